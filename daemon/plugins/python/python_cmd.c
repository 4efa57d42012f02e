// SPDX-License-Identifier: GPL-2.0-only
/*
 * python_cmd.c - module _portal: what portal.py has of the daemon
 *
 * The GIL is taken before the channel's lock, never while it is held: done() is
 * called without it. So command() may keep the GIL, and what is over cannot
 * reach its task before the task knows the transaction id.
 */
#include "python.h"

#include <errno.h>
#include <linux/portal_channel.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <syslog.h>

EMBED(commands_def, "../uapi/linux/portal_cmd.def");

/**
 * struct py_command - a command and what has to live as long
 * @in: all of @payload
 * @task: portal.Task that waits for it
 */
struct py_command {
	struct portal_command cmd;
	struct iovec in;
	Py_buffer payload;
	PyObject *task;
};

static PyObject *raise_errno(int ret)
{
	errno = -ret;
	return PyErr_SetFromErrno(PyExc_OSError);
}

static int to_u64(PyObject *obj, void *to)
{
	unsigned long long val = PyLong_AsUnsignedLongLong(obj);

	if (PyErr_Occurred())
		return 0;
	*(uint64_t *)to = val;
	return 1;
}

static int to_u32(PyObject *obj, void *to)
{
	uint64_t val;

	if (!to_u64(obj, &val))
		return 0;
	if (val > UINT32_MAX) {
		PyErr_Format(PyExc_OverflowError, "%R does not fit 32 bits", obj);
		return 0;
	}
	*(uint32_t *)to = (uint32_t)val;
	return 1;
}

static void free_command(struct py_command *pc)
{
	PyBuffer_Release(&pc->payload);
	Py_XDECREF(pc->task);
	free(pc);
}

/* A copy: the guest may change it while the script looks. */
static PyObject *copy_answer(const struct portal_command *cmd)
{
	size_t len = 0;
	PyObject *bytes;
	char *to;

	for (uint32_t i = 0; i < cmd->out_cnt; i++)
		len += cmd->out[i].iov_len;
	bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
	if (!bytes)
		return NULL;
	to = PyBytes_AS_STRING(bytes);
	for (uint32_t i = 0; i < cmd->out_cnt; i++) {
		memcpy(to, cmd->out[i].iov_base, cmd->out[i].iov_len);
		to += cmd->out[i].iov_len;
	}
	return bytes;
}

/* In the worker's thread, or in the one that cancels it, which has the GIL already. */
static void command_done(struct portal_command *cmd)
{
	struct py_command *pc = (void *)((char *)cmd - offsetof(struct py_command, cmd));
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *bytes = copy_answer(cmd), *ret = NULL;
	int status = cmd->status;

	py_api->command_end(py_instance, cmd);
	if (!bytes) {
		PyErr_Clear();
		status = -ENOMEM;
		bytes = PyBytes_FromStringAndSize(NULL, 0);	/* there is one always */
	}
	ret = PyObject_CallMethod(pc->task, "_done", "iOIKKKK", status, bytes, cmd->flags,
				  (unsigned long long)cmd->out_size,
				  (unsigned long long)cmd->value,
				  (unsigned long long)cmd->cursor,
				  (unsigned long long)cmd->count);
	if (!ret)
		PyErr_WriteUnraisable(pc->task);
	Py_XDECREF(ret);
	Py_XDECREF(bytes);
	free_command(pc);
	PyGILState_Release(gil);
}

/* command(task, op, pid, addr, size, room, timeout_ms, cookie, data) */
static PyObject *py_command(PyObject *self, PyObject *args)
{
	struct py_command *pc = calloc(1, sizeof(*pc));
	struct portal_command *cmd;
	PyObject *txn;
	int ret;

	if (!pc)
		return PyErr_NoMemory();
	cmd = &pc->cmd;
	if (!PyArg_ParseTuple(args, "OO&O&O&O&O&O&O&y*", &pc->task, to_u32, &cmd->op,
			      to_u32, &cmd->pid, to_u64, &cmd->addr, to_u64, &cmd->size,
			      to_u32, &cmd->out_len, to_u32, &cmd->timeout_ms,
			      to_u64, &cmd->cookie, &pc->payload)) {
		free(pc);
		return NULL;
	}
	Py_INCREF(pc->task);
	pc->in = (struct iovec){ pc->payload.buf, (size_t)pc->payload.len };
	cmd->in = &pc->in;
	cmd->in_cnt = pc->in.iov_len ? 1 : 0;
	cmd->done = command_done;
	ret = py_api->command(py_instance, cmd);
	if (ret) {
		free_command(pc);
		return raise_errno(ret);
	}
	txn = PyLong_FromUnsignedLongLong(cmd->txn);
	if (!txn || PyObject_SetAttrString(pc->task, "_txn", txn))
		PyErr_Clear();		/* it has begun; it cannot be cancelled */
	Py_XDECREF(txn);
	Py_RETURN_NONE;
}

static PyObject *py_cancel(PyObject *self, PyObject *args)
{
	uint64_t txn;
	int ret;

	if (!PyArg_ParseTuple(args, "O&", to_u64, &txn))
		return NULL;
	ret = py_api->command_cancel(py_instance, txn);
	if (ret)
		return raise_errno(ret);
	Py_RETURN_NONE;
}

static PyObject *py_queue_interrupt(PyObject *self, PyObject *args)
{
	int ret = py_api->queue_interrupt(py_instance);

	if (ret)
		return raise_errno(ret);
	Py_RETURN_NONE;
}

static PyObject *py_log(PyObject *self, PyObject *args)
{
	PyObject *text, *bytes;
	int level;

	if (!PyArg_ParseTuple(args, "iU", &level, &text))
		return NULL;
	/* file names of a guest need not be UTF-8 */
	bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
	if (!bytes)
		return NULL;
	py_api->log(level & LOG_PRIMASK, "%s", PyBytes_AS_STRING(bytes));
	Py_DECREF(bytes);
	Py_RETURN_NONE;
}

static PyObject *py_info(PyObject *self, PyObject *args)
{
	struct portal_command_info i = { .struct_size = sizeof(i) };
	int ret = py_api->command_info(py_instance, &i);

	if (ret)
		return raise_errno(ret);
#define N(field) #field, (unsigned long long)i.field
	return Py_BuildValue("{sKsKsKsKsKsKsKsKsKsK}", N(connected), N(credits), N(classes),
			     N(data_len), N(sent), N(answered), N(timeouts), N(cancelled),
			     N(stale), N(resets));
#undef N
}

static PyMethodDef methods[] = {
	{ "command", py_command, METH_VARARGS, NULL },
	{ "cancel", py_cancel, METH_VARARGS, NULL },
	{ "queue_interrupt", py_queue_interrupt, METH_NOARGS, NULL },
	{ "log", py_log, METH_VARARGS, NULL },
	{ "info", py_info, METH_NOARGS, "The channel: connected, credits, classes, ..." },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "_portal",
	.m_size = -1,
	.m_methods = methods,
};

PyObject *py_module_init(void)
{
	static const struct { const char *name; long value; } numbers[] = {
		{ "LOG_ERR", LOG_ERR }, { "LOG_WARNING", LOG_WARNING },
		{ "LOG_INFO", LOG_INFO }, { "LOG_DEBUG", LOG_DEBUG },
		{ "PARTIAL", PORTAL_DONE_F_PARTIAL }, { "MORE", PORTAL_DONE_F_MORE },
		{ "TORN", PORTAL_DONE_F_TORN }, { "FNS", PORTAL_FN_CHANNEL },
	};
	PyObject *m = PyModule_Create(&module);

	if (!m)
		return NULL;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		PyModule_AddIntConstant(m, numbers[i].name, numbers[i].value);
	PyModule_AddStringConstant(m, "COMMANDS", commands_def);
	return m;
}
