/* void kin__switch(void **save, void *load)
 *
 * Saves the registers that a function must keep (x19 to x30, d8 to d15) and the
 * stack pointer, loads another set.
 */
        .arch   armv8-a
        .text
        .globl  kin__switch
        .hidden kin__switch
        .type   kin__switch, %function
        .p2align 5
kin__switch:
        .cfi_startproc
        hint    #34                     /* bti c */
        sub     sp, sp, #160
        .cfi_adjust_cfa_offset 160
        stp     x29, x30, [sp, #0]
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
        ldp     x29, x30, [sp, #0]
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #160
        .cfi_adjust_cfa_offset -160
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   kin__switch, . - kin__switch

/* void *kin__switch_prepare(char *top, void (*entry)(void)): a frame from which
 * kin__switch returns into entry; the other registers are whatever lies there. */
        .globl  kin__switch_prepare
        .hidden kin__switch_prepare
        .type   kin__switch_prepare, %function
        .p2align 4
kin__switch_prepare:
        .cfi_startproc
        hint    #34
        and     x0, x0, #-16
        sub     x0, x0, #160
        stp     xzr, x1, [x0]           /* x29: the end of the chain of frames; x30 */
        ret
        .cfi_endproc
        .size   kin__switch_prepare, . - kin__switch_prepare

        .section .note.GNU-stack, "", %progbits

        /* This object is made for branch target identification. */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0
