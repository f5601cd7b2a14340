#ifndef KIN_CLI_TEXT_H
#define KIN_CLI_TEXT_H

#include <stddef.h>
#include <stdio.h>

#define TEXT_PLAIN "\033[0m"
#define TEXT_DIM "\033[2m"
#define TEXT_RED "\033[31m"
#define TEXT_GREEN "\033[32m"
#define TEXT_YELLOW "\033[33m"
#define TEXT_WIPE "\r\033[K"         /* the line, as a status line is */

/* The escape sequence where colours are welcome: on a terminal, unless NO_COLOR
 * is set; else "". */
const char *text_colour(FILE *out, const char *sequence);

/* How many bytes at the start of the text are one UTF-8 character; 0: none. */
size_t text_utf8(const char *text, size_t length);

/* A copy for people: control characters and what is not UTF-8 become '?', and
 * what does not fit is cut off with "…". */
void text_printable(char *out, size_t size, const char *text, size_t length);

#endif
