/* kin_resolve: a name's addresses, seen from the run.
 *
 * What needs no looking up is answered at once, without a thread: addresses in numbers, and
 * the paths of Unix sockets. Whether it does need it, getaddrinfo itself is asked, with the
 * flags that forbid it to look anywhere: so there is one grammar of numbers, the system's.
 *
 * For everything else the task takes part in a look-up of the process (names_lookup.c)
 * and parks until its remote is woken. It can leave at any moment: a cancelled call returns
 * at once, whatever the name servers do.
 */
#include "io/names.h"

#include <string.h>

/* -------------------------------------------------------------------- answers */

int kin__answer_code(const struct kin__answer *answer)
{
    switch (answer->code) {
    case 0:
        return 0;
    case EAI_NONAME:
#if defined EAI_NODATA && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#endif
#if defined EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
#endif
    case EAI_SERVICE:
        return KIN_ENAME;
    case EAI_AGAIN:
        return KIN_ENAMELATER;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return answer->error > 0 ? -answer->error : KIN_ENAMESERVER;
    case EAI_FAMILY:
    case EAI_SOCKTYPE:
    case EAI_BADFLAGS:
        return KIN_EINVAL;
    default:
        return KIN_ENAMESERVER;
    }
}

void kin__address_of_info(const struct addrinfo *info, kin_address *address)
{
    assert(info->ai_addrlen <= sizeof address->storage);
    memcpy(&address->storage, info->ai_addr, info->ai_addrlen);
    address->length = info->ai_addrlen;
}

static int copy_addresses(const struct addrinfo *found, kin_address **addresses)
{
    kin_address *list;
    int count = 0;

    for (const struct addrinfo *info = found; info; info = info->ai_next)
        count++;
    if (count == 0)
        return KIN_ENAME;
    list = kin__os_alloc((size_t)count * sizeof *list);
    if (!list)
        return -ENOMEM;
    *addresses = list;
    for (const struct addrinfo *info = found; info; info = info->ai_next)
        kin__address_of_info(info, list++);
    return count;
}

static int take_answer(const struct kin__answer *answer, kin_address **addresses)
{
    int rc = kin__answer_code(answer);

    return rc < 0 ? rc : copy_addresses(answer->found, addresses);
}

/* ------------------------------------------------------------ without looking up */

static const char unix_prefix[] = "unix:";

static bool is_unix(const char *host)
{
    return host && strncmp(host, unix_prefix, sizeof unix_prefix - 1) == 0;
}

static int unix_address(const char *host, kin_address **addresses)
{
    kin_address address;
    int rc = kin__address_of_path(host + sizeof unix_prefix - 1, &address);

    if (rc < 0)
        return rc;
    *addresses = kin__os_alloc(sizeof address);
    if (!*addresses)
        return -ENOMEM;
    **addresses = address;
    return 1;
}

void kin__ask_here(const struct kin__question *question, struct kin__answer *answer)
{
    *answer = (struct kin__answer){ .found = NULL };
    answer->code = kin__io_fails("getaddrinfo", ENOMEM)
                       ? EAI_SYSTEM : getaddrinfo(question->host, question->service,
                                                  &question->hints, &answer->found);
    answer->error = errno;
}

/* False: these are not all numbers. */
static bool find_numbers(const struct kin__question *question, kin_address **addresses, int *rc)
{
    struct kin__question numbers = *question;
    struct kin__answer answer;

    numbers.hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    kin__ask_here(&numbers, &answer);
    if (answer.code == EAI_NONAME || answer.code == EAI_SERVICE)
        return false;
    *rc = take_answer(&answer, addresses);
    if (answer.code == 0)
        freeaddrinfo(answer.found);
    return true;
}

/* ------------------------------------------------------------------- looking up */

static void name_answered(kin_remote *remote)
{
    struct kin__asker *asker = kin__container(remote, struct kin__asker, remote);

    if (!asker->parked)
        return;                         /* cancelled, and about to leave */
    asker->parked = false;
    kin_wait_wake(&asker->wait, 0);
}

static bool resolve_abort(struct kin_wait *wait)
{
    kin__container(wait, struct kin__asker, wait)->parked = false;
    return true;
}

static void resolve_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const struct kin__question *question = wait->object;

    snprintf(text, size, "%s", question->host ? question->host : question->service);
}

static const struct kin_wait_ops resolve_ops = { "name", resolve_abort, resolve_describe };

static int look_up(struct kin__asker *asker, const struct kin__question *question,
                   kin_address **addresses)
{
    int rc = kin__remote_open_hook(&asker->remote, name_answered);

    if (rc < 0)
        return rc;
    rc = kin__lookup_join(asker, question);
    if (rc == 0) {
        asker->parked = true;
        rc = kin_wait_park(&asker->wait);
        if (rc == 0)
            rc = take_answer(kin__lookup_answer(asker->lookup), addresses);
        kin__lookup_leave(asker);
    }
    kin_remote_close(&asker->remote);
    return rc;
}

/* -------------------------------------------------------------------- the call */

static int resolve(struct kin__question *question, kin_address **addresses)
{
    struct kin__asker asker = { .parked = false };
    int rc = kin_wait_prepare(&asker.wait, &resolve_ops, question);

    if (rc < 0)
        return rc;
    if (is_unix(question->host))
        rc = unix_address(question->host, addresses);
    else if (!question->host && !question->service)
        rc = KIN_EINVAL;
    else if (!find_numbers(question, addresses, &rc))
        return look_up(&asker, question, addresses);
    kin_wait_skip();
    return rc;
}

int kin_resolve_with(const char *host, const char *service, kin_address **addresses,
                     const struct kin_resolve_options *options)
{
    struct kin__question question = {
        .host = host, .service = service,
        .hints = { .ai_family = options->family,
                   .ai_socktype = options->type ? options->type : SOCK_STREAM,
                   .ai_flags = options->listen ? AI_PASSIVE : 0 } };
    int rc;

    *addresses = NULL;
    rc = resolve(&question, addresses);
    if (rc >= 0 || rc == KIN_ECANCELED)
        return rc;
    return kin_fail_at(options->at, rc, "%s%s%s: %s", host ? host : "", service ? ":" : "",
                       service ? service : "", kin_code_text(rc));
}
