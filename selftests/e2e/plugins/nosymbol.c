// SPDX-License-Identifier: GPL-2.0-only
/* nosymbol.c - a shared object that is no plugin */
int e2e_not_a_plugin;
