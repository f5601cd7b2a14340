#ifndef KIN_CLI_URL_H
#define KIN_CLI_URL_H

#include <stddef.h>

/* Whether kin fetch can fetch it: 0, or -EINVAL with the reason in why, -ENOMEM. */
int url_check(const char *url, size_t length, char *why, size_t size);

/* The URL for people: as text_printable, and "…" in place of user and password. */
void url_printable(char *out, size_t size, const char *url, size_t length);

/* A file name for the page: the last part of its path, and its query, without
 * anything that a directory or a terminal would mind; "index.html" where that
 * leaves nothing. At most URL_NAME_MAX bytes; -ENOMEM. */
#define URL_NAME_MAX 180
int url_file_name(const char *url, char name[URL_NAME_MAX + 1]);

#endif
