/* Making, printing, writing and reading random programs.
 *
 * Times and codes are drawn from short lists, so that many things happen at the same
 * time and that many codes mean what kin's own mean. References go to nodes, not to
 * numbers of instances: they stay right when other nodes are taken away. */
#include "random_program.h"

int64_t time_of(uint8_t number)
{
    static const int64_t time[TIMES] = { 0, 1, 100, KIN_US(1), KIN_US(2), KIN_US(10), KIN_MS(1),
                                         KIN_MS(2), KIN_MS(5), KIN_FOREVER, -1 };

    return time[number];
}

int code_of(uint8_t number, int last)
{
    static const int code[CODE_LAST] = { 0, 3, -EIO, -EPERM, KIN_ECANCELED, KIN_ETIMEDOUT,
                                         KIN_EDECIDED, -ECANCELED, -ETIMEDOUT, KIN_EAGAIN };

    return number == CODE_LAST ? last : code[number];
}

/* ------------------------------------------------------------------- making */

struct maker {
    struct program *program;
    uint64_t random;
    int depth;
};

static uint32_t below(struct maker *m, uint32_t n)
{
    m->random = m->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(m->random >> 33) % n;
}

static bool one_in(struct maker *m, uint32_t n)
{
    return below(m, n) == 0;
}

/* What nobody has to wait for long, and for ever now and then. */
static uint8_t some_time(struct maker *m)
{
    return (uint8_t)(one_in(m, 12) ? TIME_FOREVER : 1 + below(m, TIME_FOREVER - 1));
}

static uint8_t some_limit(struct maker *m)
{
    return one_in(m, 25) ? TIME_PAST : some_time(m);
}

static uint8_t some_code(struct maker *m)
{
    return (uint8_t)(one_in(m, 2) ? 0 : one_in(m, 3) ? CODE_LAST : below(m, CODES));
}

static uint8_t one_of(struct maker *m, bool (*fits)(uint8_t kind))
{
    for (int i = 0; i < 4; i++) {
        uint8_t n = (uint8_t)below(m, m->program->count);

        if (fits(m->program->node[n].kind))
            return n;
    }
    return 0;
}

static bool is_group(uint8_t kind)
{
    return kind == GROUP;
}

static bool is_task(uint8_t kind)
{
    return kind == TASK || kind == START;
}

static bool is_scope(uint8_t kind)
{
    return kind == GROUP || kind == SCOPE;
}

static bool is_any(uint8_t kind)
{
    return is_scope(kind) || is_task(kind);
}

static void make_group(struct maker *m, struct node *n)
{
    n->policy = (uint8_t)below(m, KIN_CUSTOM + 1);
    n->quorum = (uint8_t)below(m, 4);
    n->limit = (uint8_t)(one_in(m, 2) ? 0 : 1 + below(m, 3));
    n->max_queued = (uint8_t)(one_in(m, 4) ? 1 + below(m, 2) : 0);
    n->flags = (uint8_t)((one_in(m, 8) ? KEEP_WHOLE : 0) | (one_in(m, 3) ? COLLECT : 0));
}

static void make_scope(struct maker *m, struct node *n)
{
    n->timeout = one_in(m, 3) ? some_limit(m) : 0;
    n->grace = one_in(m, 4) ? some_time(m) : 0;
    n->shield = n->kind == SCOPE && one_in(m, 3) ? some_time(m) : 0;
    n->code = some_code(m);
    n->flags |= (uint8_t)((one_in(m, 20) ? CANCELLED : 0) | (one_in(m, 8) ? LEAVE : 0));
}

static void make_task(struct maker *m, struct node *n)
{
    n->target = one_in(m, 4) ? one_of(m, is_group) : 0;
    n->timeout = one_in(m, 3) ? some_limit(m) : 0;
    n->code = some_code(m);
    n->flags = (uint8_t)((one_in(m, 4) ? OPTIONAL : 0) | (one_in(m, 6) ? SKIP_CANCELLED : 0) |
                         (one_in(m, 6) ? DONT_WAIT : 0) | (one_in(m, 8) ? SERVICE : 0));
}

static uint8_t some_kind(struct maker *m)
{
    static const uint8_t kind[] = {
        GROUP, GROUP, SCOPE, SCOPE, TASK, TASK, TASK, TASK, TASK, TASK, START, REPEAT,
        SLEEP, SLEEP, SLEEP, YIELD, YIELD, LOOK, WAIT_CANCELLED, CANCEL, CANCEL, MOVE_DEADLINE,
        ACQUIRE, ACQUIRE, LOCK, PUT, PUT, GET, GET, TRY_PUT, TRY_GET, WAIT_EVENT, SET_EVENT,
        CLEAR_EVENT, WAIT_TASK, WAIT_TASK, NEXT, READY, GIVE_UP, GIVE_UP, RETURN
    };

    return kind[below(m, sizeof kind)];
}

static uint8_t make_statements(struct maker *m);

/* Most of those that are started say so sooner or later. */
static void make_ready(struct maker *m, struct node *n)
{
    uint8_t *link = &n->first, index = m->program->count;

    if (index == NODES)
        return;
    for (uint32_t i = below(m, 4); i > 0 && *link; i--)
        link = &m->program->node[*link].next;
    m->program->count++;
    m->program->node[index] = (struct node){ .kind = READY, .next = *link };
    *link = index;
}

static void make_inside(struct maker *m, uint8_t index)
{
    struct node *n = &m->program->node[index];

    if (n->kind == GROUP)
        make_group(m, n);
    if (n->kind == GROUP || n->kind == SCOPE)
        make_scope(m, n);
    if (is_task(n->kind))
        make_task(m, n);
    if (n->kind == REPEAT)
        n->times = (uint8_t)(one_in(m, 12) ? 40 : 2 + below(m, 3));
    n->first = make_statements(m);
    if (n->kind == START && !one_in(m, 4))
        make_ready(m, n);
}

static void make_leaf(struct maker *m, struct node *n)
{
    switch (n->kind) {
    case CANCEL:
        n->target = one_of(m, is_any);
        break;
    case MOVE_DEADLINE:
        n->target = one_of(m, is_scope);
        n->timeout = one_in(m, 4) ? TIME_PAST : some_time(m);
        break;
    case WAIT_TASK:
        n->target = one_in(m, 2) ? one_of(m, is_task) : 0;
        n->policy = (uint8_t)below(m, 3);
        break;
    case RETURN:
        n->code = some_code(m);
        break;
    default:
        break;
    }
    if (n->timeout == 0)
        n->timeout = some_time(m);
}

static uint8_t make_node(struct maker *m)
{
    uint8_t index = m->program->count++;
    struct node *n = &m->program->node[index];

    *n = (struct node){ .kind = some_kind(m) };
    if (n->kind > REPEAT)
        make_leaf(m, n);
    else if (m->depth < 6)
        make_inside(m, index);
    else
        n->kind = YIELD;
    return index;
}

static uint8_t make_statements(struct maker *m)
{
    uint32_t n = m->depth < 3 ? 2 + below(m, 5) : below(m, 4);
    uint8_t first = 0, last = 0;

    m->depth++;
    while (n-- > 0 && m->program->count < NODES) {
        uint8_t index = make_node(m);

        if (last)
            m->program->node[last].next = index;
        else
            first = index;
        last = index;
    }
    m->depth--;
    return first;
}

void program_make(struct program *p, uint64_t seed)
{
    struct maker m = { .program = p, .random = seed * 0x9e3779b97f4a7c15u };

    p->count = 2;
    p->order = (uint8_t)(one_in(&m, 3) ? 0 : 1 + below(&m, 255));
    p->node[0] = (struct node){ .kind = REPEAT, .times = 1, .first = 1 };
    p->node[1] = (struct node){ .kind = GROUP };
    make_inside(&m, 1);
}

/* ----------------------------------------------------------------- printing */

static const char *const kind_name[KINDS] = {
    "nothing", "group", "scope", "spawn", "start", "repeat", "sleep", "yield", "look", "wait_cancelled",
    "cancel", "move_deadline", "acquire", "lock", "put", "get", "try_put", "try_get",
    "wait_event", "set_event", "clear_event", "wait_task", "next", "ready", "give_up", "return"
};

static void print_time(FILE *out, const char *name, uint8_t number)
{
    int64_t time = time_of(number);

    if (time == KIN_FOREVER)
        fprintf(out, " %s=ever", name);
    else if (time)
        fprintf(out, " %s=%gus", name, (double)time / 1e3);
}

static void print_number(FILE *out, const char *name, uint8_t number)
{
    if (number)
        fprintf(out, " %s=%u", name, number);
}

static void print_options(const struct node *n, FILE *out)
{
    static const char *const policy[] = { "", " keep_going", " any", " quorum", " custom" };
    static const char *const flag[] = { "optional", "skip_cancelled", "dont_wait", "service",
                                        "keep_whole", "collect", "cancelled", "leave" };

    print_number(out, "target", n->target);
    fputs(policy[n->policy], out);
    print_number(out, "quorum", n->quorum);
    print_number(out, "limit", n->limit);
    print_number(out, "max_queued", n->max_queued);
    print_number(out, "times", n->times);
    print_time(out, n->kind > REPEAT ? "time" : "timeout", n->timeout);
    print_time(out, "grace", n->grace);
    print_time(out, "shield", n->shield);
    for (int i = 0; i < 8; i++)
        if (n->flags & 1 << i)
            fprintf(out, " %s", flag[i]);
}

static void print_code(const struct node *n, FILE *out)
{
    if (n->code == CODE_LAST)
        fputs(" the last code", out);
    else if (n->code)
        fprintf(out, " %s", n->code == 1 ? "3" : kin_code_name(code_of(n->code, 0)));
    else
        fputs(" 0", out);
}

static void print_statements(const struct program *p, uint8_t index, int depth, FILE *out)
{
    for (; index; index = p->node[index].next) {
        const struct node *n = &p->node[index];

        fprintf(out, "%*s%u %s", depth * 4, "", index, kind_name[n->kind]);
        print_options(n, out);
        if (n->kind == RETURN)
            print_code(n, out);
        fprintf(out, n->kind <= REPEAT ? " {\n" : "\n");
        if (n->kind > REPEAT)
            continue;
        print_statements(p, n->first, depth + 1, out);
        fprintf(out, "%*s}", depth * 4, "");
        if (n->kind != REPEAT)
            print_code(n, out);
        fputc('\n', out);
    }
}

void program_print(const struct program *p, FILE *out)
{
    fprintf(out, "order=%u\n", p->order);
    print_statements(p, p->node[0].first, 0, out);
}

/* -------------------------------------------------------------- on one line */

/* Nodes that nothing leads to are left out, except for their numbers. */
void program_write(const struct program *p, FILE *out)
{
    const uint8_t *byte = (const uint8_t *)p;
    size_t size = offsetof(struct program, node) + p->count * sizeof(struct node);

    for (size_t i = 0; i < size; i++) {
        size_t zeros = 0;

        while (i + zeros < size && !byte[i + zeros] && zeros < 255)
            zeros++;
        if (zeros > 2)
            fprintf(out, "z%02zx", zeros);
        else
            fprintf(out, "%02x", byte[i]);
        i += zeros > 2 ? zeros - 1 : 0;
    }
}

bool program_read(struct program *p, const char *line)
{
    uint8_t *byte = (uint8_t *)p;
    size_t at = 0;
    unsigned value;

    memset(p, 0, sizeof *p);
    while (*line) {
        bool zeros = *line == 'z';

        line += zeros;
        if (sscanf(line, "%2x", &value) != 1 || at + (zeros ? value : 1) > sizeof *p)
            return false;
        line += 2;
        if (zeros)
            at += value;
        else
            byte[at++] = (uint8_t)value;
    }
    return at > 2 && p->count <= NODES;
}
