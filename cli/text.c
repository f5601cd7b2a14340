/* Text that comes from outside, shown to people and to JSON parsers.
 *
 * URLs and servers' words are data: they may hold control characters, which a
 * terminal would obey, and bytes that are no UTF-8, which JSON forbids.
 */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *text_colour(FILE *out, const char *sequence)
{
    const char *refused = getenv("NO_COLOR");

    return isatty(fileno(out)) && (refused == NULL || refused[0] == '\0') ? sequence : "";
}

/* By RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t text_utf8(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (length == 0 || p[0] < 0x80)
        return length > 0;
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || size > length)
        return 0;
    uint32_t point = p[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (p[i] & 0x3f);
    }
    if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    return size;
}

/* Neither of the two sets of control characters, U+0000 to 1F and U+007F to 9F. */
static bool is_visible(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;

    if (length > 1)
        return p[0] != 0xc2 || p[1] >= 0xa0;
    return length == 1 && p[0] >= 0x20 && p[0] != 0x7f;
}

void text_printable(char *out, size_t size, const char *text, size_t length)
{
    static const char cut[] = "…";
    size_t used = 0, at = 0;

    while (at < length) {
        size_t n = text_utf8(text + at, length - at);
        bool visible = is_visible(text + at, n);
        size_t needed = visible ? n : 1;
        if (used + needed + sizeof cut > size && used + length - at + 1 > size) {
            memcpy(out + used, cut, sizeof cut);
            return;
        }
        if (visible)
            memcpy(out + used, text + at, n);
        else
            out[used] = '?';
        used += needed;
        at += n > 0 ? n : 1;
    }
    out[used] = '\0';
}
