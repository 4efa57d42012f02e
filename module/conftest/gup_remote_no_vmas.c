// SPDX-License-Identifier: GPL-2.0-only
/* get_user_pages_remote() lost its vmas argument in 6.5. */
#include <linux/mm.h>

long portal_conftest(struct mm_struct *mm, struct page **pages);

long portal_conftest(struct mm_struct *mm, struct page **pages)
{
	return get_user_pages_remote(mm, 0, 1, FOLL_WRITE, pages, NULL);
}
