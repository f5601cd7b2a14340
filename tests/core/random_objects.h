/* What the parts of random_objects.c share: the objects, and the books kept on them. */
#ifndef RANDOM_OBJECTS_H
#define RANDOM_OBJECTS_H

#include "core/core.h"
#include "kin_test.h"

enum { UNITS = 2, PARTIES = 3, ONCES = 3, ROOM = 7, RECORDS = 128 };
enum { FIFO, LIFO, LEAST, DIRECT, QUEUES };
enum { MOST_CALLS = 4096, MOST_IDS = 1 << 15 };

/* Of an item, whose number is that of the call that puts it. */
enum item { NONE, OFFERED, PUT, GOT, DROPPED, TAKEN_BACK };

struct objects {
    uint64_t random, trace;
    uint32_t calls, number[MOST_IDS];       /* of the latest call of each task, by its id */
    kin_mutex mutex;
    kin_condition condition;
    int inside, tokens, notified, told;
    kin_rwlock rwlock;
    int readers, writers;
    kin_semaphore semaphore;
    int units;
    kin_once once[ONCES];
    bool in_once[ONCES], done_once[ONCES];
    kin_event event;
    int event_owed, event_got;
    kin_barrier barrier;
    int rounds[PARTIES];
    kin_limiter limiter;
    int64_t passed[MOST_CALLS];
    uint32_t passes;
    kin_queue queue[QUEUES];
    void *slots[QUEUES][ROOM];
    uint32_t got[QUEUES], finished[QUEUES];
    uint8_t item[MOST_CALLS];               /* enum item */
    uint32_t taken[MOST_CALLS];             /* by the call of this number */
    uint8_t taken_from[MOST_CALLS];         /* a queue, from 1 */
    kin_task record[RECORDS];
    int records, tasks;
    int service_failures, reported;
};
extern struct objects w;

struct me {                     /* a task */
    uint32_t number;
    int depth;
    void *local;                /* what it must find bound */
    kin_group *group;           /* it lives in */
    bool starting;              /* not a member of the group before it is ready */
    bool ready;                 /* has said so, with the value 7 */
    bool ran;
};

uint32_t draw(uint32_t n);
void note(const struct me *me, int rc);
void dawdle(void);
uint32_t begin_call(void);
void check_not_overtaken(const struct kin_wait_list *line, uint32_t call);
uint32_t line_length(const struct kin_wait_list *line);
void check_lines(void);

/* random_objects_use.c: one call on one object, and what it must have done */
int use_an_object(struct me *me);
void drop_item(void *item);
int compare_items(const void *a, const void *b);

/* random_objects_group.c: tasks that use objects, in groups */
int use_objects(struct me *me);

#endif
