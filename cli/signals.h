#ifndef KIN_CLI_SIGNALS_H
#define KIN_CLI_SIGNALS_H

#include "fetch.h"

#include <signal.h>

/* The signals that the command looks after, taken away from their default effect
 * from open to close. */
struct signals {
    struct fetch *fetch;
    int fd;
    sigset_t before;            /* the mask, as it was */
    struct sigaction pipe;      /* what SIGPIPE did */
};

int signals_open(struct signals *signals, struct fetch *fetch);     /* 0 or -errno */
void signals_close(struct signals *signals);
/* The function of the task that serves them; it ends only by being cancelled. */
int signals_serve(void *signals);

/* Ends the process as if the signal had never been caught. Returns only if the
 * signal was ignored before. Call after signals_close. */
void signals_die_of(int signal);

#endif
