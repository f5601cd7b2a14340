/* URL patterns.
 *
 * A pattern is a row of parts: literal text, a set {a,b,c}, a range of numbers
 * [1-10], [001-100], [0-100:10], or of letters [a-z]. Expanding is counting with
 * one wheel a part, as an odometer does, so that [1-1000000000] costs as much
 * memory as [1-2]. curl has the same language, but inside its tool and not in
 * libcurl, so there was no parser to take.
 *
 * A backslash takes the next of { } [ ] literally. Brackets around an IPv6
 * address, and an empty pair, are literal too. Sets and ranges do not nest.
 */
#include "glob.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct glob_part {
    enum { PART_TEXT, PART_SET, PART_NUMBERS, PART_LETTERS } kind;
    const char *text;           /* of the pattern: the text, or inside the braces */
    size_t length;
    uint64_t first, step, count;
    uint64_t at;                /* the wheel */
    int width;                  /* of numbers with leading zeros */
};

static int problem(struct glob *glob, const char *pattern, const char *at, const char *what)
{
    snprintf(glob->problem, sizeof glob->problem, "%s at position %zu of the pattern", what,
             (size_t)(at - pattern) + 1);
    return -EINVAL;
}

static struct glob_part *add_part(struct glob *glob)
{
    /* Grown at powers of two. */
    if ((glob->count & (glob->count - 1)) == 0) {
        size_t room = glob->count == 0 ? 1 : glob->count * 2;
        struct glob_part *parts = realloc(glob->parts, room * sizeof *parts);
        if (parts == NULL)
            return NULL;
        glob->parts = parts;
    }
    struct glob_part *part = &glob->parts[glob->count++];
    *part = (struct glob_part){ .count = 1 };
    return part;
}

/* Whether the bracket opens an IPv6 address: a colon, or a zone after it, and
 * nothing but what addresses are made of. */
static bool is_address(const char *text, size_t length)
{
    const char *zone = memchr(text, '%', length);
    size_t digits = zone != NULL ? (size_t)(zone - text) : length;

    return memchr(text, ':', digits) != NULL && memchr(text, '-', digits) == NULL &&
           strspn(text, "0123456789abcdefABCDEF:.") >= digits;
}

/* Reads digits; how many, or 0 when there are none or they are too many. */
static int read_number(const char **p, uint64_t *number)
{
    int digits = 0;

    for (*number = 0; **p >= '0' && **p <= '9'; (*p)++, digits++)
        *number = *number * 10 + (uint64_t)(**p - '0');
    return digits <= 18 ? digits : 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads "first-last" or "first-last:step" up to the bracket; false if it is not. */
static bool read_range(struct glob_part *part, const char *p, const char *end)
{
    uint64_t last, step = 1;

    if (is_letter(p[0]) && p[1] == '-' && is_letter(p[2]) && (p[0] <= 'Z') == (p[2] <= 'Z')) {
        part->kind = PART_LETTERS;
        part->first = (unsigned char)p[0];
        last = (unsigned char)p[2];
        p += 3;
    } else {
        const char *start = p;
        part->kind = PART_NUMBERS;
        int digits = read_number(&p, &part->first);
        if (digits == 0 || *p++ != '-' || read_number(&p, &last) == 0)
            return false;
        part->width = *start == '0' ? digits : 1;
    }
    if (*p == ':') {
        p++;
        if (read_number(&p, &step) == 0)
            return false;
    }
    if (p != end || last < part->first || step == 0)
        return false;
    part->step = step;
    part->count = (last - part->first) / step + 1;
    return true;
}

static uint64_t count_alternatives(const char *text, size_t length)
{
    uint64_t count = 1;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\\' && i + 1 < length)
            i++;
        else if (text[i] == ',')
            count++;
    return count;
}

/* The closing character of the set or range, or NULL. */
static const char *find_end(const char *p, char close)
{
    for (; *p != '\0' && *p != close; p++)
        if (*p == '{' || *p == '[')
            return NULL;
        else if (*p == '\\' && p[1] != '\0')
            p++;
    return *p == close ? p : NULL;
}

/* Literal text reaches to the next part; *p is moved there. */
static int parse_text(struct glob *glob, const char *pattern, const char **p)
{
    const char *start = *p, *end;

    for (; **p != '\0' && **p != '{'; (*p)++) {
        if (**p == '\\' && (*p)[1] != '\0')
            (*p)++;
        else if (**p == '}' || **p == ']')
            return problem(glob, pattern, *p, "nothing is open that this bracket closes");
        else if (**p == '[') {
            end = strchr(*p, ']');
            if (end == NULL || (end > *p + 1 && !is_address(*p + 1, (size_t)(end - *p - 1))))
                break;
            *p = end;
        }
    }
    if (*p == start)
        return 0;
    struct glob_part *part = add_part(glob);
    if (part == NULL)
        return -ENOMEM;
    part->text = start;
    part->length = (size_t)(*p - start);
    return 0;
}

static int parse_choice(struct glob *glob, const char *pattern, const char **p)
{
    const char *open = *p, *end = find_end(open + 1, *open == '{' ? '}' : ']');

    if (end == NULL)
        return problem(glob, pattern, open, "a bracket that is not closed");
    struct glob_part *part = add_part(glob);
    if (part == NULL)
        return -ENOMEM;
    if (*open == '{') {
        part->kind = PART_SET;
        part->text = open + 1;
        part->length = (size_t)(end - open - 1);
        part->count = count_alternatives(part->text, part->length);
        if (part->length == 0)
            return problem(glob, pattern, open, "an empty set");
    } else if (!read_range(part, open + 1, end)) {
        return problem(glob, pattern, open, "not a range (such as [1-10], [01-20:2], [a-z])");
    }
    if (__builtin_mul_overflow(glob->total, part->count, &glob->total))
        return problem(glob, pattern, open, "too many URLs");
    *p = end + 1;
    return 0;
}

int glob_open(struct glob *glob, const char *pattern)
{
    const char *p = pattern;

    *glob = (struct glob){ .total = 1 };
    while (*p != '\0') {
        int rc = parse_text(glob, pattern, &p);
        if (rc == 0 && *p != '\0')
            rc = parse_choice(glob, pattern, &p);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Appends text without its backslashes before brackets; NULL only measures. */
static size_t put_text(char *out, const char *text, size_t length)
{
    size_t size = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length && strchr("{}[],", text[i + 1]) != NULL)
            i++;
        if (out != NULL)
            out[size] = text[i];
        size++;
    }
    return size;
}

/* The n-th alternative of a set. */
static size_t put_alternative(char *out, const struct glob_part *part)
{
    size_t from = 0, to;

    for (uint64_t n = part->at;; from = to + 1) {
        for (to = from; to < part->length && part->text[to] != ','; to++)
            if (part->text[to] == '\\' && to + 1 < part->length)
                to++;
        if (n-- == 0)
            return put_text(out, part->text + from, to - from);
    }
}

static size_t put_part(char *out, const struct glob_part *part)
{
    uint64_t value = part->first + part->at * part->step;
    char text[32] = "";

    switch (part->kind) {
    case PART_TEXT:
        return put_text(out, part->text, part->length);
    case PART_SET:
        return put_alternative(out, part);
    case PART_LETTERS:
        text[0] = (char)value;
        break;
    case PART_NUMBERS:
        snprintf(text, sizeof text, "%0*" PRIu64, part->width, value);
        break;
    }
    size_t size = strlen(text);
    if (out != NULL)
        memcpy(out, text, size);
    return size;
}

/* Turns the last wheel by one, and the one before it where it comes round. */
static bool advance(struct glob *glob)
{
    for (size_t i = glob->count; i-- > 0;) {
        if (++glob->parts[i].at < glob->parts[i].count)
            return true;
        glob->parts[i].at = 0;
    }
    return false;
}

int glob_next(struct glob *glob, char **url)
{
    size_t size = 0;

    if (glob->started && !glob->ended)
        glob->ended = !advance(glob);
    glob->started = true;
    if (glob->ended)
        return 0;
    for (size_t i = 0; i < glob->count; i++)
        size += put_part(NULL, &glob->parts[i]);
    char *out = *url = malloc(size + 1);
    if (out == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < glob->count; i++)
        out += put_part(out, &glob->parts[i]);
    *out = '\0';
    return 1;
}

void glob_close(struct glob *glob)
{
    free(glob->parts);
    glob->parts = NULL;
    glob->count = 0;
}
