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
    struct sigaction pipe, size;        /* what SIGPIPE and SIGXFSZ did */
};

int signals_open(struct signals *signals, struct fetch *fetch);     /* 0 or -errno */
void signals_close(struct signals *signals);
/* The function of the task that serves them; it ends only by being cancelled. */
int signals_serve(void *signals);

/* Notes a signal that came too late for the task. */
void signals_note_late(struct signals *signals);

/* Ends the process as if the signal had never been caught. Returns only if the
 * signal was ignored before. Call after signals_close. */
void signals_die_of(int signal);

#endif
