// SPDX-License-Identifier: GPL-2.0-only
/*
 * python.c - plugins in Python: one script, one instance
 *
 * The interpreter starts in open(), where files can be opened still, and runs the
 * script. From then on the GIL is free but in callbacks, so that threads of the
 * script's own can run while the worker waits.
 */
#include "python.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/portal_channel.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

EMBED(portal_py, "plugins/python/portal.py");
EMBED(portal_cmd_py, "plugins/python/portal_cmd.py");

#define MAX_KEYS	64

const struct portald_api *py_api;
struct portal_instance *py_instance;

static char *script;
static struct { char *key, *value; } keys[MAX_KEYS];
static unsigned int nr_keys;
static PyObject *portal;	/* module */
static PyThreadState *main_thread;

/*
 * Plugins are loaded with local symbols. Python's own modules (ctypes, ...) are
 * not linked to libpython: they find it only if it is global. It stays loaded.
 */
static int publish_libpython(void)
{
	Dl_info where;

	if (!dladdr((void *)Py_IsInitialized, &where) ||
	    !dlopen(where.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD | RTLD_NODELETE)) {
		py_api->error("libpython cannot be made global: %s", dlerror());
		return -ENOEXEC;
	}
	return 0;
}

static int python_load(const struct portald_api *api)
{
	static bool known;

	py_api = api;
	if (api->struct_size < offsetof(struct portald_api, command_info) + sizeof(void *)) {
		api->error("this portald has no commands; upgrade it");
		return -EPROTO;
	}
	if (!known && PyImport_AppendInittab("_portal", py_module_init))
		return -ENOMEM;
	known = true;
	return publish_libpython();
}

static void python_unload(void)
{
	free(script);
	script = NULL;
	while (nr_keys) {
		free(keys[--nr_keys].key);
		free(keys[nr_keys].value);
	}
}

static int python_config(const char *key, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	if (!strcmp(key, "script")) {
		free(script);
		script = copy;
		return 0;
	}
	if (nr_keys == MAX_KEYS) {
		free(copy);
		py_api->error("more than %d keys for the script", MAX_KEYS);
		return -E2BIG;
	}
	keys[nr_keys].key = strdup(key);
	keys[nr_keys].value = copy;
	if (!keys[nr_keys].key) {
		free(copy);
		return -ENOMEM;
	}
	nr_keys++;
	return 0;
}

static int python_config_complete(void)
{
	if (!script || *script != '/') {
		py_api->error("'script=' is needed: the absolute path of a Python script");
		return -EINVAL;
	}
	if (access(script, R_OK)) {
		int err = -errno;

		py_api->error("script %s: %s", script, strerror(errno));
		return err;
	}
	return 0;
}

/* Why Python failed, for the administrator. */
static void tell_exception(void)
{
	PyObject *type, *value, *trace, *text;
	const char *why;

	PyErr_Fetch(&type, &value, &trace);
	text = value ? PyObject_Str(value) : NULL;
	why = text ? PyUnicode_AsUTF8(text) : NULL;
	py_api->error("python: %s", why ? why : "it failed and does not say why");
	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
}

/* Nothing of the environment or of a home directory: the worker may be root. */
static int start_interpreter(void)
{
	PyPreConfig before;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;
	PyConfig_InitIsolatedConfig(&config);
	config.write_bytecode = 0;
	/* tells where its modules are; else a python3 in PATH decides */
	status = Py_PreInitialize(&before);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesString(&config, &config.program_name, PYTHON_PROGRAM);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (PyStatus_Exception(status)) {
		py_api->error("python cannot start: %s", status.err_msg ? : "unknown reason");
		return -EIO;
	}
	return 0;
}

static PyObject *config_dict(void)
{
	PyObject *dict = PyDict_New();

	for (unsigned int i = 0; dict && i < nr_keys; i++) {
		PyObject *value = PyUnicode_DecodeFSDefault(keys[i].value);

		if (!value || PyDict_SetItemString(dict, keys[i].key, value))
			Py_CLEAR(dict);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *import_embedded(const char *name, const char *file, const char *source)
{
	PyObject *code = Py_CompileString(source, file, Py_file_input);
	PyObject *mod = code ? PyImport_ExecCodeModule(name, code) : NULL;

	Py_XDECREF(code);
	return mod;
}

static int run_script(void)
{
	PyObject *dict = NULL, *why = NULL, *cmd;
	int ret = -EIO;

	cmd = import_embedded("portal_cmd", "portal_cmd.py", portal_cmd_py);
	portal = cmd ? import_embedded("portal", "portal.py", portal_py) : NULL;
	if (portal)
		dict = config_dict();
	if (dict)
		why = PyObject_CallMethod(portal, "_run", "sO", script, dict);
	if (!why)
		tell_exception();
	else if (why == Py_None)
		ret = 0;
	else
		py_api->error("%s", PyUnicode_AsUTF8(why) ? : script);
	PyErr_Clear();
	Py_XDECREF(why);
	Py_XDECREF(dict);
	Py_XDECREF(cmd);
	return ret;
}

static void python_close(void *handle)
{
	PyEval_RestoreThread(main_thread);
	Py_CLEAR(portal);
	Py_FinalizeEx();
}

static void *python_open(struct portal_instance *pi)
{
	int ret;

	py_instance = pi;
	if (start_interpreter())
		return NULL;
	ret = run_script();
	main_thread = PyEval_SaveThread();
	if (ret) {
		python_close(pi);
		return NULL;
	}
	return pi;
}

static int python_call(void *handle, const struct portal_call *call, uint64_t *value)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	unsigned long long val = 0;
	PyObject *res;
	int ret = -EIO;

	res = PyObject_CallMethod(portal, "_call", "IIKKKK", call->fn, call->vcpu,
				  (unsigned long long)call->args[0],
				  (unsigned long long)call->args[1],
				  (unsigned long long)call->args[2],
				  (unsigned long long)call->args[3]);
	if (!res || !PyArg_ParseTuple(res, "iK", &ret, &val))
		PyErr_WriteUnraisable(portal);
	Py_XDECREF(res);
	PyGILState_Release(gil);
	*value = val;
	return ret;
}

static int python_interrupt(void *handle, uint64_t count, uint64_t *value)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *res = PyObject_CallMethod(portal, "_interrupt", "K", (unsigned long long)count);
	int ret = res ? 0 : -EIO;

	if (res)
		*value = PyLong_AsUnsignedLongLong(res);
	else
		PyErr_WriteUnraisable(portal);
	Py_XDECREF(res);
	PyGILState_Release(gil);
	return ret;
}

static struct portald_plugin plugin = {
	.name = "python",
	.longname = "portal plugins in Python",
	.description = "a Python script: interrupt handlers, hypercalls, commands to the guest",
	.config_help = "script=PATH  (required) the script\n"
		       "KEY=VALUE  any other: portal.config[KEY] of the script\n",
	.load = python_load,
	.unload = python_unload,
	.config = python_config,
	.config_complete = python_config_complete,
	.open = python_open,
	.close = python_close,
	.fns = PORTAL_FN_CHANNEL,
	.call = python_call,
	.interrupt = python_interrupt,
	.commands = 1,
};

PORTALD_PLUGIN(plugin)
