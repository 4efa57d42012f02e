# SPDX-License-Identifier: GPL-2.0-only
"""Module portal: what a script of portald's plugin python can use.

It is part of python.so, as portal_cmd.py is. See portald-plugin-python(1).
"""
import collections
import collections.abc
import errno
import importlib.machinery
import inspect
import io
import linecache
import operator
import os
import sys
import threading
import traceback
import types

import _portal
from _portal import LOG_DEBUG, LOG_ERR, LOG_INFO, LOG_WARNING, info
from portal_cmd import *

MOST_REFUSED = 100	# commands that a generator gives and that cannot even start

config = {}		# the instance's keys but plugin and script

# ---- generators --------------------------------------------------------------------


class Task:
    """A generator that goes on whenever its command is over."""

    def __init__(self, generator, on_end=None):
        self._generator = generator
        self._on_end = on_end
        self._ended = threading.Event()
        self._op = None
        self._txn = 0		# set by _portal.command()
        self.result = None
        self.error = None

    @property
    def done(self):
        return self._ended.is_set()

    def cancel(self):
        """Its command ends with ECANCELED, or its answer if that was faster."""
        if self._txn:
            try:
                _portal.cancel(self._txn)
            except OSError as e:
                if e.errno != errno.ENOENT:
                    raise

    def wait(self, timeout=None):
        """Its result; for threads of the script's own."""
        if threading.current_thread() is threading.main_thread() and not self.done:
            raise PortalError(errno.EDEADLK)	# who waits here serves the guest
        if not self._ended.wait(timeout):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if self.error:
            raise self.error
        return self.result

    def _start(self, cmd):
        """The exception that keeps @cmd from being started."""
        if not isinstance(cmd, PortalCmd):
            return TypeError(f"a handler yields PortalCmd, not {type(cmd).__name__}")
        self._op = cmd.op
        try:
            _portal.command(self, cmd.op, cmd.pid, cmd.addr, cmd.size, cmd.room,
                            cmd.timeout_ms, cmd.cookie, cmd.data)
        except OSError as e:
            return PortalError(e.errno, cmd.op)
        except Exception as e:		# a number out of its range, no bytes
            return e
        return None

    def _advance(self, value=None, error=None):
        refused = 0
        while True:
            try:
                cmd = self._generator.throw(error) if error else self._generator.send(value)
            except StopIteration as stop:
                return self._end(stop.value, None)
            except BaseException as e:
                return self._end(None, e)
            value = error = None
            if isinstance(cmd, PortalCmd) and cmd.op is None:
                continue
            error = self._start(cmd)
            if not error:
                return None
            refused += 1
            if refused == MOST_REFUSED:
                return self._give_up(error)

    def _give_up(self, error):
        try:
            self._generator.close()
        except BaseException as e:
            error = e
        self._end(None, error)

    def _end(self, result, error):
        self.result, self.error = result, error
        if error:
            _log_exception(getattr(self._generator, "__qualname__", "a handler"), error)
        self._generator = None
        self._ended.set()
        if self._on_end:
            self._on_end()

    def _done(self, status, data, *rest):
        """Called by _portal when the command is over."""
        self._txn = 0
        answer = Answer(data, self._op, *rest)
        if status:
            self._advance(error=PortalError(-status, self._op, answer))
        else:
            self._advance(answer)


def start(generator):
    """Starts it beside all others; from any thread."""
    if not isinstance(generator, collections.abc.Generator):
        raise TypeError(f"start() takes a generator, not {type(generator).__name__}")
    task = Task(generator)
    task._advance()
    return task


# ---- interrupts and hypercalls -----------------------------------------------------

_lock = threading.Lock()
_handlers = {}
_calls = {}
_queued = 0		# by queue_interrupt()
_taken = 0		# that the guest let run
_others = 0		# of them, those that somebody else queued


class _Handler:
    """One at a time runs of each; what is queued meanwhile is one more, with its count."""

    def __init__(self, name, function):
        self.name = name
        self.function = function
        self.queued = 0
        self.due = False
        self.task = None
        try:
            inspect.signature(function).bind(1)
            self.counted = True
        except (TypeError, ValueError):
            self.counted = False

    def run(self):
        if self.task:
            self.due = True
            return
        with _lock:
            count, self.queued = self.queued, 0
        try:
            result = self.function(count) if self.counted else self.function()
        except BaseException as e:
            _log_exception(f"handler {self.name}", e)
            return
        if isinstance(result, collections.abc.Generator):
            self.task = Task(result, self.ended)
            self.task._advance()

    def ended(self):
        self.task = None
        if self.due:
            self.due = False
            self.run()


def register_interrupt_handler(name, function):
    """function() or function(count), a generator function or not, for queue_interrupt(name).

    Name "*": interrupts that others queued (portalctl interrupt).
    """
    if not callable(function):
        raise TypeError("an interrupt handler is a function")
    with _lock:
        _handlers[name] = _Handler(name, function)


def queue_interrupt(name):
    """The guest is interrupted, and lets the handler run; coalesced, with a count."""
    global _queued
    with _lock:
        handler = _handlers.get(name)
        if not handler:
            raise LookupError(f"there is no interrupt handler '{name}'")
        # published before it is signalled
        handler.queued += 1
        _queued += 1
    try:
        _portal.queue_interrupt()
    except OSError:
        with _lock:
            handler.queued = max(handler.queued - 1, 0)
            _queued -= 1
        raise


def _interrupt(count):
    global _taken, _others
    with _lock:
        _taken += count
        others = max(_taken - _queued - _others, 0)
        _others += others
        if others and "*" in _handlers:
            _handlers["*"].queued += others
        due = [h for h in _handlers.values() if h.queued]
    for handler in due:
        handler.run()
    return count


Call = collections.namedtuple("Call", "fn vcpu args")


def call(fn):
    """Decorator: the function gets a Call and gives the hypercall's value, or raises OSError."""
    if not 0 <= fn < _portal.FNS:
        raise ValueError(f"functions are 0 to {_portal.FNS - 1}")

    def register(function):
        _calls[fn] = function
        return function
    return register


def _call(fn, vcpu, *args):
    if fn not in _calls:
        return -errno.ENOSYS, 0
    try:
        value = _calls[fn](Call(fn, vcpu, args))
        if isinstance(value, collections.abc.Generator):
            value.close()
            raise TypeError("a call is answered at once: give generators to portal.start()")
        return 0, operator.index(value or 0) & 0xffffffffffffffff
    except OSError as e:
        return -e.errno if e.errno and 0 < e.errno < 4096 else -errno.EIO, 0
    except BaseException as e:
        _log_exception(f"call {fn}", e)
        return -errno.EIO, 0


# ---- the script --------------------------------------------------------------------


def log(text, level=LOG_INFO):
    for line in str(text).splitlines():
        _portal.log(level, line)


def _log_exception(what, error):
    if isinstance(error, SystemExit):
        log(f"{what}: exit({error.code}): a handler cannot end the worker", LOG_ERR)
        return
    log(f"{what}: {type(error).__name__}", LOG_ERR)
    log("".join(traceback.format_exception(error)), LOG_ERR)


class _Log(io.TextIOBase):
    """print() goes to portald's log, line by line."""

    def __init__(self, level):
        self.level = level
        self.line = ""

    def writable(self):
        return True

    def write(self, text):
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            _portal.log(self.level, line)
        return len(text)


class _Sealed:
    """Asked before files are looked for: says why they cannot be opened."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        try:
            os.close(os.open(_Sealed.script, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as e:
            raise ModuleNotFoundError(
                f"No module named '{name}': in the sandbox no file can be opened; import it "
                "at the script's beginning, or see sandbox in portald.conf(5)", name=name) from e


def _run(script, keys):
    """The script, before the sandbox; None, or why it failed."""
    sys.stdout, sys.stderr = _Log(LOG_INFO), _Log(LOG_ERR)
    sys.path.insert(0, os.path.dirname(script))
    config.update(keys)
    main = types.ModuleType("__main__")
    main.__file__ = script
    main.__builtins__ = __builtins__
    sys.modules["__main__"] = main
    try:
        with io.open_code(script) as f:
            code = compile(f.read(), script, "exec")
        linecache.getlines(script)	# for tracebacks
        types.FunctionType(code, main.__dict__)()
    except BaseException as e:
        _log_exception(script, e)
        at = [f for f in traceback.extract_tb(e.__traceback__) if f.filename == script]
        line = f":{at[-1].lineno}" if at else ""
        return f"{script}{line}: {type(e).__name__}: {e}"
    _Sealed.script = script
    sys.meta_path.insert(sys.meta_path.index(importlib.machinery.PathFinder), _Sealed)
    return None
