/* Durations on the command line.
 *
 * A number, with a fraction if need be, and a unit. The digits are read here and
 * not by strtod(), which also takes "1e99", "0x10", "inf" and "nan", and which
 * reads the fraction by the locale. Nine digits behind the point are all that a
 * nanosecond clock can tell; more are read and have no effect.
 */
#include "duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define LONGEST (INT64_C(100) * 366 * 86400 * SECOND)

static const struct unit {
    const char *name;
    int64_t size;
} units[] = {
    { "", SECOND },
    { "us", SECOND / 1000000 },
    { "ms", SECOND / 1000 },
    { "s", SECOND },
    { "m", 60 * SECOND },
    { "h", 3600 * SECOND },
};

static const struct unit *find_unit(const char *name)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits into billionths; false when there is none, or far too many. */
static bool read_number(const char **text, int64_t *whole, int64_t *billionths)
{
    const char *p = *text;

    *whole = *billionths = 0;
    for (; is_digit(*p); p++) {
        *whole = *whole * 10 + (*p - '0');
        if (*whole > LONGEST / 1000)
            return false;
    }
    if (*p == '.') {
        int64_t place = SECOND / 10;
        for (p++; is_digit(*p); p++, place /= 10)
            *billionths += place * (*p - '0');
    }
    bool any = is_digit(**text) || (**text == '.' && is_digit((*text)[1]));
    *text = p;
    return any;
}

bool duration_parse(const char *text, int64_t *duration)
{
    int64_t whole, billionths;

    if (!read_number(&text, &whole, &billionths))
        return false;
    const struct unit *unit = find_unit(text);
    if (unit == NULL || whole > LONGEST / unit->size)
        return false;
    /* The unit is a whole number of microseconds, so this cannot overflow. */
    *duration = whole * unit->size + billionths / 1000 * (unit->size / 1000) / 1000 +
                billionths % 1000 * (unit->size / 1000) / 1000000;
    return true;
}

const char *duration_print(int64_t duration, char *text, size_t size)
{
    double seconds = (double)duration / (double)SECOND;

    if (seconds < 0.01)
        snprintf(text, size, "%.1f ms", seconds * 1000);
    else if (seconds < 1)
        snprintf(text, size, "%.0f ms", seconds * 1000);
    else if (seconds < 60)
        snprintf(text, size, "%.2f s", seconds);
    else if (seconds < 3600)
        snprintf(text, size, "%" PRId64 " min %" PRId64 " s", duration / SECOND / 60,
                 duration / SECOND % 60);
    else
        snprintf(text, size, "%" PRId64 " h %" PRId64 " min", duration / SECOND / 3600,
                 duration / SECOND / 60 % 60);
    return text;
}
