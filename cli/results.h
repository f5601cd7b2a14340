#ifndef KIN_CLI_RESULTS_H
#define KIN_CLI_RESULTS_H

#include "item.h"
#include "kin.h"
#include "out.h"

/* Finished items on their way to standard output. */
struct results {
    struct fetch *fetch;
    bool ordered;
    uint32_t window;            /* so far finished items may be ahead */
    struct item **slots;        /* ordered: item i waits at i % window */
    struct item *first, *last;  /* unordered: a queue */
    uint64_t head;              /* items printed; ordered: the index to print next */
    uint64_t held;              /* items that wait */
    bool complete;              /* no more will come */
    kin_event ready, room;
    struct out out;
};

/* 0 or -ENOMEM. */
int results_open(struct results *results, struct fetch *fetch);
void results_close(struct results *results);

/* Waits until the item of that index may be read. 0 or KIN_ECANCELED. */
int results_wait_room(struct results *results, uint64_t index);
/* Hands over an item that has ended, and counts its outcome. Never blocks. */
void results_put(struct results *results, struct item *item);
/* Says that all items have been handed over. */
void results_complete(struct results *results);

/* The function of the printing task. It ends when everything is printed, or with
 * a code when standard output fails. */
int results_print(void *results);

#endif
