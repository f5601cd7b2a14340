/* The switch for x86-64, inlined. A context is a struct on the stack that it belongs
 * to. Only what the compiler cannot be told to give up is saved: the address to go on
 * at, the stack pointer and the frame pointer; all other registers are clobbered, so the
 * compiler saves those that are needed, once.
 *
 * It is inlined, and ends in an indirect jump, because of the processor's stack of return
 * addresses, which knows nothing of our switch. A switch that returns is mispredicted
 * itself. One that is called and jumps leaves an address behind, and then every return
 * after it is mispredicted: that doubled the cost of a yield. SSE and x87 control words
 * belong to the thread and are not saved.
 */
#ifndef KIN_SWITCH_X86_64_H
#define KIN_SWITCH_X86_64_H

#include <stdint.h>

struct kin__context {
    void *pc, *sp, *fp;
};

static inline __attribute__((always_inline)) void kin__switch(void **save, void *load)
{
    struct kin__context here, *from = &here;

    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %0, (%2)\n\t"
                     "movq %%rax, 0(%0)\n\t"
                     "movq %%rsp, 8(%0)\n\t"
                     "movq %%rbp, 16(%0)\n\t"
                     "movq 8(%1), %%rsp\n\t"
                     "movq 16(%1), %%rbp\n\t"
                     "notrack jmp *0(%1)\n"
                     "1:\n\t"
                     "endbr64"
                     : "+D"(from), "+S"(load), "+d"(save)
                     :
                     : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                       "memory", "cc");
}

/* A context from which the switch jumps to entry, with an aligned stack and no caller:
 * a return address of 0, and a frame pointer of 0, end the chain of frames. */
static inline void *kin__switch_prepare(char *top, void (*entry)(void))
{
    void **sp = (void **)(void *)((uintptr_t)top & ~(uintptr_t)15) - 1;
    struct kin__context *context = (struct kin__context *)(void *)(sp - 5);

    *sp = NULL;
    *context = (struct kin__context){ .pc = (void *)(uintptr_t)entry, .sp = sp, .fp = NULL };
    return context;
}

#endif
