/* The switch for processors without one of their own: POSIX contexts, which save
 * the signal mask by a system call each time. Slow, and right. The saved "stack
 * pointer" is the address of a context that lies on the stack it describes. */
#include "core/core.h"

#include <ucontext.h>

void kin__switch(void **save, void *load)
{
    ucontext_t here;

    *save = &here;
    swapcontext(&here, load);
}

void *kin__switch_prepare(char *top, void (*entry)(void))
{
    ucontext_t *context = (ucontext_t *)(((uintptr_t)top - sizeof *context) & ~(uintptr_t)63);

    getcontext(context);
    context->uc_link = NULL;
    context->uc_stack.ss_sp = (char *)context - 16384;   /* only its end is looked at */
    context->uc_stack.ss_size = 16384;
    makecontext(context, entry, 0);
    return context;
}
