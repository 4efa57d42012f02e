// SPDX-License-Identifier: GPL-2.0-only
/* nosymbol.c - some shared object */
extern int portald_nothing;
int portald_nothing;
