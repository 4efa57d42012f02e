/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest.S - what the guest does, in real mode: EBP times the same thing
 *
 * ESP is no stack but the hypercall's number. EBX, EDX: see vmm_run().
 */
	.section .rodata
	.globl	guest_start, guest_end
	.globl	guest_hypercall, guest_hypercall_insn, guest_read, guest_write, guest_out
	.globl	guest_nothing
	.code16

guest_start:
guest_hypercall:
	movl	%esp, %eax
guest_hypercall_insn:
	vmmcall			/* vmm_create() writes VMCALL here on Intel */
	decl	%ebp
	jnz	guest_hypercall
	jmp	done

guest_read:
	movl	(%bx), %eax
	decl	%ebp
	jnz	guest_read
	jmp	done

guest_write:
	movl	%ebp, (%bx)
	decl	%ebp
	jnz	guest_write
	jmp	done

guest_out:
	outl	%eax, %dx
	decl	%ebp
	jnz	guest_out

	/* not at OUT itself: KVM would take that for the one it has yet to skip */
guest_nothing:
	nop

done:
	outb	%al, $0xf4	/* PORT_DONE */
	hlt
guest_end:

	.section .note.GNU-stack, "", @progbits
