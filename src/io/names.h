/* Names: what the call (names.c), the look-ups of the process (names_lookup.c), and those who
 * take addresses as text share. */
#ifndef KIN__NAMES_H
#define KIN__NAMES_H

#include "io/io.h"
#include "kin_io.h"

#include <netdb.h>

struct kin__question {
    const char *host, *service;         /* may be NULL */
    struct addrinfo hints;
};

/* What getaddrinfo returned, and errno. */
struct kin__answer {
    int code, error;
    struct addrinfo *found;
};

/* names.c. Asks the system in the run's own thread: for numbers alone. */
void kin__ask_here(const struct kin__question *question, struct kin__answer *answer);
/* 0, or what a failure is for kin's callers. */
int kin__answer_code(const struct kin__answer *answer);
void kin__address_of_info(const struct addrinfo *info, kin_address *address);

/* names_address.c. Of a path, or of "@name": 0, KIN_EINVAL, -ENAMETOOLONG. */
int kin__address_of_path(const char *path, kin_address *address);

/* names_lookup.c. Whom the threads ask: the system, unless a test puts itself in its place. */
struct kin__name_source {
    int (*find)(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found);
    void (*release)(struct addrinfo *found);
};
extern struct kin__name_source kin__name_source;

/* One call's part in a look-up. Lies on its stack; .wait is in the look-up's list. */
struct kin__asker {
    struct kin_wait wait;
    kin_remote remote;                  /* woken when the answer is there */
    struct kin__lookup *lookup;
    bool parked;
};

/* Takes part in the look-up for this question, which it begins where there is none. The
 * asker's remote is open, and woken once, unless it leaves before. 0 or -ENOMEM. */
int kin__lookup_join(struct kin__asker *asker, const struct kin__question *question);
/* Does so at any time. */
void kin__lookup_leave(struct kin__asker *asker);
/* Once the remote has been woken; until the asker leaves. */
const struct kin__answer *kin__lookup_answer(const struct kin__lookup *lookup);

#endif
