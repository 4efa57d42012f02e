// SPDX-License-Identifier: GPL-2.0-only
/* vma->vm_flags may not be written directly since 6.3. */
#include <linux/mm.h>

void portal_conftest(struct vm_area_struct *vma);

void portal_conftest(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_IO);
	vm_flags_clear(vma, VM_MAYWRITE);
}
