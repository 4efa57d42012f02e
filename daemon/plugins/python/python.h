/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * python.h - plugin python: CPython in a worker
 *
 * python.c is the plugin, python_cmd.c module _portal: what needs C. The rest is
 * portal.py, which is embedded here.
 */
#ifndef PORTALD_PLUGIN_PYTHON_H
#define PORTALD_PLUGIN_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <portald/plugin.h>

extern const struct portald_api *py_api;
extern struct portal_instance *py_instance;

/* A file as a string, in the one source file that says so. */
#define EMBED(name, file)						\
	extern const char name[] __attribute__((visibility("hidden")));	\
	__asm__(".pushsection .rodata\n" #name ":\n"			\
		".incbin \"" file "\"\n.byte 0\n.popsection\n")

/* For PyImport_AppendInittab(). */
PyObject *py_module_init(void);

#endif /* PORTALD_PLUGIN_PYTHON_H */
