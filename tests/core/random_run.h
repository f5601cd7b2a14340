/* What the parts of the interpreter of random programs share. */
#ifndef RANDOM_RUN_H
#define RANDOM_RUN_H

#include "random_model.h"
#include "random_program.h"

enum { SHADOWS = 320 };

struct world {
    const struct program *program;
    struct shadow *latest[NODES];       /* instance of each node */
    struct shadow shadow[SHADOWS];
    int shadows;
    uint8_t node;                       /* being run */
    uint64_t trace;
    unsigned lost;                      /* reports of lost errors */
    bool reasons_to_report;
};
extern struct world world;

/* Where a task is in its code. */
struct place {
    struct shadow *task;
    struct shadow *at;                  /* the innermost scope */
    int last;                           /* what the last statement gave */
    bool returning;                     /* with .code, through all that is open */
    int code;
};

/* random_run.c */
struct shadow *new_shadow(enum shadow_kind kind, struct shadow *parent, uint8_t node);
void note(uint64_t value);
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void check_result(const char *what, int got, int wanted);
void run_statements(struct place *place, uint8_t index);

/* random_group.c */
void run_group(struct place *place, const struct node *n, uint8_t index);
void run_scope(struct place *place, const struct node *n, uint8_t index);
void run_spawn(struct place *place, const struct node *n, uint8_t index);
struct shadow *nearest_group(struct shadow *s);
bool endless(const struct shadow *s);           /* behind a shield for ever */

int run_task(void *arg);
void check_outcome(struct shadow *task);
bool has_room_for_certain(const struct shadow *g);

/* random_start.c */
void run_start(struct place *place, const struct node *n, uint8_t index);
int be_ready(struct place *place);

/* random_wait.c */
int wait_for_next(struct place *place, const struct node *n);
int wait_for_tasks(struct place *place, const struct node *n);
int wait_for_cancellation(struct place *place);

#endif
