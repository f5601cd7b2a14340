/* Sweeps: a scenario is run again and again, and each time another of its calls goes wrong.
 * It must end with 0 or with that error, having left no descriptor open. */
#ifndef IO_SWEEP_H
#define IO_SWEEP_H

/* The k-th blocking call, or the k-th wait, is cancelled, for each k. */
void sweep_cancels(int (*scenario)(void *arg), void *arg);
/* kin's k-th request for memory fails. */
void sweep_memory(int (*scenario)(void *arg), void *arg);
/* The k-th request at a site of the library fails; how many there are. */
int sweep_site(const char *site, int error, int (*scenario)(void *arg), void *arg);

#endif
