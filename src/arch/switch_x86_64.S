/* void kin__switch(void **save, void *load)
 *
 * Saves the six registers that a function must keep and the stack pointer, loads
 * another set. It ends in an indirect jump, not in ret: the processor's stack of
 * return addresses knows nothing of our switch, and a mispredicted ret costs
 * three times as much as the rest. SSE and x87 control words belong to the
 * thread and are not saved.
 */
        .text
        .globl  kin__switch
        .hidden kin__switch
        .type   kin__switch, @function
        .p2align 5
kin__switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size   kin__switch, . - kin__switch

/* void *kin__switch_prepare(char *top, void (*entry)(void)): a frame from which
 * kin__switch jumps to entry with an aligned stack and no caller. */
        .globl  kin__switch_prepare
        .hidden kin__switch_prepare
        .type   kin__switch_prepare, @function
        .p2align 4
kin__switch_prepare:
        .cfi_startproc
        endbr64
        andq    $-16, %rdi
        movq    $0, -8(%rdi)            /* entry's return address: none */
        movq    %rsi, -16(%rdi)
        movq    $0, -24(%rdi)           /* rbp: the end of the chain of frames */
        leaq    -64(%rdi), %rax         /* rbx and r12 to r15: whatever lies there */
        ret
        .cfi_endproc
        .size   kin__switch_prepare, . - kin__switch_prepare

        .section .note.GNU-stack, "", @progbits

        /* This object is made for indirect branch tracking. */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* sizes of the name and the rest, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* X86_FEATURE_1_AND: IBT */
