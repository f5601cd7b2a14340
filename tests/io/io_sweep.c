/* The helpers of io_sweep.h. */
#include "io_sweep.h"

#include "core/core.h"
#include "io_test.h"
#include "kin_ext.h"

enum { MOST = 10000 };

static void ignore(const char *line, void *arg)
{
    (void)line, (void)arg;
}

static int run(int (*scenario)(void *arg), void *arg, struct kin_faults *faults)
{
    int before = open_descriptors();
    int rc = kin_run(scenario, arg, .faults = faults, .on_report = ignore);

    kin__os_fault = NULL;
    CHECK_INT(open_descriptors(), before);
    return rc;
}

static void expect(int rc, int error)
{
    if (rc != error)
        CHECK_CODE(rc, 0);
}

void sweep_cancels(int (*scenario)(void *arg), void *arg)
{
    struct kin_faults faults = { .calls = 1 };

    for (uint64_t k = 1; k < MOST && faults.calls >= k - 1; k++) {
        tap_note("call %d is cancelled", (int)k);
        faults = (struct kin_faults){ .cancel_call = k };
        expect(run(scenario, arg, &faults), KIN_ECANCELED);
    }
    faults.waits = 1;
    for (uint64_t k = 1; k < MOST && faults.waits >= k - 1; k++) {
        tap_note("wait %d is cancelled", (int)k);
        faults = (struct kin_faults){ .cancel_wait = k };
        expect(run(scenario, arg, &faults), KIN_ECANCELED);
    }
    tap_note("no fault");
    CHECK_CODE(run(scenario, arg, NULL), 0);
}

void sweep_memory(int (*scenario)(void *arg), void *arg)
{
    for (uint64_t k = 1; k < MOST; k++) {
        struct kin_faults faults = { .fail_request = k };

        tap_note("request %d fails", (int)k);
        expect(run(scenario, arg, &faults), -ENOMEM);
        if (faults.requests < k)
            break;
    }
}

int sweep_site(const char *site, int error, int (*scenario)(void *arg), void *arg)
{
    for (int k = 0; k < MOST; k++) {
        int rc;

        tap_note("%s %d fails", site, k + 1);
        fail_later(site, error, k, 1);
        rc = run(scenario, arg, NULL);
        expect(rc, -error);
        if (failed_so_far() == 0)
            return k;
        CHECK_CODE(run(scenario, arg, NULL), 0);        /* as if nothing had been */
    }
    return MOST;
}
