/* A random program as data: a tree of nodes in an array. Everything in a node is a
 * byte, and a byte of 0 is always the simplest choice; so a program can be printed,
 * written on one line and read back, and made smaller piece by piece. */
#ifndef RANDOM_PROGRAM_H
#define RANDOM_PROGRAM_H

#include "kin_test.h"

#include <stdio.h>

enum kind {
    NOTHING,                /* was here before the program was made smaller */
    GROUP, SCOPE, TASK, START, REPEAT,      /* these have statements inside */
    SLEEP, YIELD, LOOK, WAIT_CANCELLED, CANCEL, MOVE_DEADLINE,
    ACQUIRE, LOCK, PUT, GET, TRY_PUT, TRY_GET, WAIT_EVENT, SET_EVENT, CLEAR_EVENT,
    WAIT_TASK, NEXT,
    READY,
    GIVE_UP,                /* returns the last code, if it is negative */
    RETURN, KINDS
};

enum flag {
    OPTIONAL = 1 << 0, SKIP_CANCELLED = 1 << 1, DONT_WAIT = 1 << 2, SERVICE = 1 << 3, /* tasks */
    KEEP_WHOLE = 1 << 4, COLLECT = 1 << 5,      /* groups */
    CANCELLED = 1 << 6, LEAVE = 1 << 7          /* groups and scopes */
};

struct node {
    uint8_t kind;
    uint8_t first, next;    /* statements inside, and the statement after this one; 0: none */
    uint8_t target;         /* the node whose latest instance is meant; 0: the nearest around */
    uint8_t policy, quorum, limit, max_queued;
    uint8_t timeout, grace, shield;     /* numbers of times */
    uint8_t code;                       /* number of a code */
    uint8_t flags;
    uint8_t times;                      /* REPEAT: how often */
};

enum { NODES = 96 };

struct program {
    uint8_t count;
    uint8_t order;          /* the seed of its schedule; 0: first in, first out */
    struct node node[NODES];            /* the first is the root */
};

enum { TIME_PAST = 10, TIME_FOREVER = 9, TIMES = 11, CODES = 11, CODE_LAST = 10 };
int64_t time_of(uint8_t number);
int code_of(uint8_t number, int last);          /* CODE_LAST: what the last statement gave */

void program_make(struct program *p, uint64_t seed);
void program_print(const struct program *p, FILE *out);

/* One line of digits, and back; false if it is none. */
void program_write(const struct program *p, FILE *out);
bool program_read(struct program *p, const char *line);

/* Runs it and checks everything (random_run.c). What is wrong ends the process. The
 * number depends on all that happened, in its order. */
uint64_t program_run(const struct program *p);

#endif
