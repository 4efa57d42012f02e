// SPDX-License-Identifier: GPL-2.0-only
/* Compiles on every kernel, unless the test itself is broken. */
#include <linux/module.h>
#include <linux/mm.h>

struct page *portal_conftest(unsigned long pfn);

struct page *portal_conftest(unsigned long pfn)
{
	return pfn_to_page(pfn);
}
