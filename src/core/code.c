/* Codes: what each is called and says. kin's own come from the table KIN_CODES;
 * the system's from the C library; other classes from whoever registered them.
 * The register is process-wide and only ever grows at its head, so readers need
 * no lock.
 */
#include "core/core.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct entry {
    struct kin_class_texts texts;
    struct entry *next;
};

static _Atomic(struct entry *) registered;

int kin_class(int code)
{
    return code < 0 ? (int)(-(unsigned)code >> 16) : 0;
}

static const struct kin_class_texts *texts_of(int class_number)
{
    for (struct entry *e = atomic_load(&registered); e; e = e->next)
        if (e->texts.class_number == class_number)
            return &e->texts;
    return NULL;
}

static bool may_register(int class_number)
{
    return class_number == KIN_CLASS_HTTP || class_number == KIN_CLASS_HTTP_STATUS ||
           class_number == KIN_CLASS_TLS ||
           (class_number >= KIN_CLASS_USER && class_number <= KIN_CLASS_LAST);
}

int kin_class_register(const struct kin_class_texts *texts)
{
    struct entry *entry;

    if (!texts || !texts->name || !may_register(texts->class_number))
        return KIN_EINVAL;
    entry = kin__os_alloc(sizeof *entry);
    if (!entry)
        return -ENOMEM;
    entry->texts = *texts;
    entry->next = atomic_load(&registered);
    while (!atomic_compare_exchange_weak(&registered, &entry->next, entry))
        ;
    return 0;
}

const char *kin_class_name(int class_number)
{
    static const char *const own[] = {
        [KIN_CLASS_SYSTEM] = "system", [KIN_CLASS_CANCEL] = "cancel",
        [KIN_CLASS_TIMEOUT] = "timeout", [KIN_CLASS_REFUSED] = "refused",
        [KIN_CLASS_MISUSE] = "misuse", [KIN_CLASS_NAME] = "name", [KIN_CLASS_STREAM] = "stream",
    };
    const struct kin_class_texts *texts;

    if (class_number >= 0 && class_number < (int)(sizeof own / sizeof own[0]) && own[class_number])
        return own[class_number];
    texts = texts_of(class_number);
    if (texts)
        return texts->name;
    return class_number >= KIN_CLASS_USER ? "user" : "unknown";
}

#if defined __GLIBC__
#define errno_name strerrorname_np
#define errno_text strerrordesc_np
#else
static const char *errno_name(int number)
{
    (void)number;
    return NULL;
}
#define errno_text strerror
#endif

static const char *own_name(int code)
{
    switch (code) {
#define NAME(name, class, number, text) case name: return #name;
        KIN_CODES(NAME)
#undef NAME
    default:
        return NULL;
    }
}

static const char *own_text(int code)
{
    switch (code) {
#define TEXT(name, class, number, text) case name: return text;
        KIN_CODES(TEXT)
#undef TEXT
    default:
        return NULL;
    }
}

const char *kin_code_name(int code)
{
    const struct kin_class_texts *texts;
    const char *name = own_name(code);

    if (code >= 0)
        return "OK";
    if (!name && kin_class(code) == KIN_CLASS_SYSTEM)
        name = errno_name(-code);
    texts = name ? NULL : texts_of(kin_class(code));
    if (texts && texts->code_name)
        name = texts->code_name((int)(-(unsigned)code & 0xffff));
    return name ? name : "unknown";
}

const char *kin_code_text(int code)
{
    const struct kin_class_texts *texts;
    const char *text = own_text(code);

    if (code >= 0)
        return "success";
    if (!text && kin_class(code) == KIN_CLASS_SYSTEM)
        text = errno_text(-code);
    texts = text ? NULL : texts_of(kin_class(code));
    if (texts && texts->code_text)
        text = texts->code_text((int)(-(unsigned)code & 0xffff));
    return text ? text : "unknown error";
}

const char *kin_status_name(kin_status status)
{
    static const char *const name[] = { "pending",   "ok",      "failed", "timed_out",
                                        "cancelled", "skipped", "refused" };

    return (unsigned)status < sizeof name / sizeof name[0] ? name[status] : "unknown";
}

const char *kin_reason_name(kin_reason_kind kind)
{
    static const char *const name[] = { "nobody",  "hand",   "deadline", "sibling", "decision",
                                        "leaving", "signal", "deadlock", "shutdown" };

    return (unsigned)kind < sizeof name / sizeof name[0] ? name[kind] : "unknown";
}
