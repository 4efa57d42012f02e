# SPDX-License-Identifier: GPL-2.0-only
"""Commands to the guest, for module portal, which has all that is public here.

The table (portal_cmd.def) is part of python.so: from it come OP_*, the layouts and
the decoding of answers.
"""
import collections
import errno
import os
import re
import struct
import types

import _portal

ROOM = 65536		# for an answer whose size the command does not say
MOST = 64 << 20		# bytes of all answers of one helper: a guest can go on for ever

# ---- the table of commands ---------------------------------------------------------


class Layout:
    """A struct of the table: a namedtuple from and to bytes."""

    CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "s32": "i", "s64": "q"}

    def __init__(self, name):
        self.name = name
        self.fields = []
        self.format = "<"

    def add(self, kind, field):
        self.fields.append(field)
        self.format += self.CODES.get(kind) or kind.replace("char", "") + "s"

    def complete(self):
        self.chained = "len" in self.fields	# a path is behind each
        names = self.fields + (["path"] if self.chained else [])
        self.tuple = collections.namedtuple(self.name, names,
                                            defaults=[""] if self.chained else None)
        self.size = struct.calcsize(self.format)

    def unpack(self, data, offset=0, path=()):
        values = struct.unpack_from(self.format, data, offset)
        return self.tuple(*[_text(v) if isinstance(v, bytes) else v for v in values], *path)

    def pack(self, *values):
        return struct.pack(self.format, *values)

    def records(self, data):
        found, at = [], 0
        while at + self.size <= len(data):
            if not self.chained:
                found.append(self.unpack(data, at))
                at += self.size
                continue
            step = self.unpack(data, at).len
            if step < self.size or step > len(data) - at:
                break		# a guest can say anything
            path = data[at + self.size:at + step]
            found.append(self.unpack(data, at, [_text(path)]))
            at += step
        return found


class Op:
    """A command of the table."""

    def __init__(self, number, name, kind):
        self.number = number
        self.name = name
        self.kind = kind
        self.uses = []
        self.head = None	# struct that the answer begins with
        self.tail = None	# what follows: bytes, strings or a struct's name
        self.answers = False

    @property
    def sized(self):
        """The caller says how long the answer is."""
        return self.answers and "size" in self.uses and not self.head and self.tail == "bytes"


def _text(data):
    return data.split(b"\0", 1)[0].decode(errors="surrogateescape")


def _parse(table):
    structs, ops = {}, {}
    layout = op = None
    for line in table.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "struct":
            layout, op = structs.setdefault(words[1], Layout(words[1])), None
        elif words[0] == "op":
            op = Op(int(words[1], 0), words[2], words[3])
            ops[op.number] = ops[op.name] = op
        elif op and words[0] == "use":
            op.uses.append(words[1])
        elif op and words[0] == "out":
            op.answers = True
            op.head = structs.get(words[1])
            op.tail = structs.get(words[2], words[2])
        elif not op and layout and re.fullmatch(r"[us]\d+|char\d+", words[0]):
            layout.add(words[0], words[1])
    for layout in structs.values():
        layout.complete()
    return structs, ops


STRUCTS, OPS = _parse(_portal.COMMANDS)
globals().update({"OP_" + op.name.upper(): op.number for op in OPS.values()})

# ---- commands ----------------------------------------------------------------------


class PortalError(OSError):
    """A command failed. answer: what there is of it all the same (PARTIAL)."""

    def __init__(self, number, op=None, answer=None):
        name = OPS[op].name if op in OPS else op
        super().__init__(number, f"{name}: {os.strerror(number)}" if name else os.strerror(number))
        self.op = op
        self.answer = answer


class PortalCmd:
    """A command for the guest's agent, to be given by yield. op: OP_* or its name."""

    __slots__ = ("op", "addr", "size", "pid", "data", "room", "timeout_ms", "cookie")

    def __init__(self, op, addr=0, size=0, pid=0, data=b"", room=None, timeout_ms=0, cookie=0):
        known = OPS.get(op)
        if isinstance(op, str):
            if not known:
                raise ValueError(f"there is no command '{op}'")
            op = known.number
        self.op = op
        self.addr = addr or 0
        self.size = size or 0
        self.pid = pid or 0	# 0 is process 0
        self.data = data.encode() + b"\0" if isinstance(data, str) else data or b""
        if room is None:
            room = self.size if known and known.sized else ROOM
            if known and not known.answers:
                room = 0
        self.room = room
        self.timeout_ms = timeout_ms
        self.cookie = cookie

    @classmethod
    def none(cls):
        """No command: the generator goes on at once, with None."""
        return cls(None)


class Answer(bytes):
    """What a command gave: its bytes, and the rest as attributes.

    size: bytes of the answer, or written. value, cursor, count: commands.rst.
    """

    def __new__(cls, data, op, flags, size, value, cursor, count):
        self = super().__new__(cls, data)
        self.op = op
        self.partial = bool(flags & _portal.PARTIAL)
        self.more = bool(flags & _portal.MORE)
        self.torn = bool(flags & _portal.TORN)
        self.size, self.value, self.cursor, self.count = size, value, cursor, count
        return self

    @property
    def _tail(self):
        head = OPS[self.op].head
        return self[head.size:] if head else bytes(self)

    @property
    def head(self):
        """The struct it begins with."""
        head = OPS[self.op].head
        if not head or len(self) < head.size:
            raise PortalError(errno.EPROTO, self.op, self)
        return head.unpack(self)

    @property
    def records(self):
        return OPS[self.op].tail.records(self._tail)

    @property
    def strings(self):
        return [s.decode(errors="surrogateescape") for s in self._tail.split(b"\0")[:-1]]


# ---- helpers: result = yield from portal.NAME(...) ---------------------------------


def _all(op, pid=0):
    """Everything of a command whose answers go on at a cursor."""
    answers, cursor = [], 0
    for _ in range(MOST // ROOM):
        answer = yield PortalCmd(op, pid=pid, addr=cursor)
        answers.append(answer)
        if not answer.more or answer.cursor <= cursor:
            return answers
        cursor = answer.cursor
    raise PortalError(errno.EMSGSIZE, answer.op, answer)


def _all_records(op, pid=0):
    answers = yield from _all(op, pid)
    return [record for answer in answers for record in answer.records]


def _all_strings(op, pid):
    answers = yield from _all(op, pid)
    parts = b"".join(answers).split(b"\0")
    return [s.decode(errors="surrogateescape") for s in (parts if parts[-1] else parts[:-1])]


def _head(op, **fields):
    return (yield PortalCmd(op, **fields)).head


def ping(number):
    return (yield PortalCmd("ping", number)).value


def uname():
    return (yield from _head("uname"))


def time():
    return (yield from _head("time"))


def features():
    return (yield PortalCmd("features"))


def read_mem(pid, addr, size):
    return (yield PortalCmd("mem_read", addr, size, pid))


def write_mem(pid, addr, data):
    return (yield PortalCmd("mem_write", addr, 0, pid, data)).size


def read_str(pid, addr, size=4096):
    return (yield PortalCmd("mem_read_str", addr, size, pid)).split(b"\0", 1)[0]


def read_strv(pid, addr, count=64):
    return (yield PortalCmd("mem_read_strv", addr, count, pid)).strings


def read_kmem(addr, size):
    return (yield PortalCmd("kmem_read", addr, size))


def ps():
    """All processes."""
    return (yield from _all_records("task_list"))


def task(pid):
    return (yield from _head("task_info", pid=pid))


def exe(pid):
    return _text((yield PortalCmd("task_exe", pid=pid)))


def args(pid):
    return (yield from _all_strings("task_args", pid))


def env(pid):
    return (yield from _all_strings("task_env", pid))


def maps(pid):
    return (yield from _all_records("task_maps", pid))


def fds(pid):
    return (yield from _all_records("task_fds", pid))


def regs(pid):
    return (yield from _head("task_regs", pid=pid))


def stat(path):
    return (yield from _head("file_stat", data=path))


def read_file(path, offset=0, size=None):
    """@size bytes of a file, or all up to 64 MiB."""
    parts, left = [], MOST if size is None else size
    while left > 0:
        part = yield PortalCmd("file_read", offset, min(left, ROOM), data=path)
        parts.append(part)
        offset += len(part)
        left -= len(part)
        if not part or not part.more:
            break
    else:
        if size is None:
            raise PortalError(errno.EFBIG, OPS["file_read"].number)
    return b"".join(parts)


def write_file(path, data, offset=0, create=True, truncate=False, append=False, mode=0o644):
    """Bytes written: all of them, or it raises."""
    name, done, data = path.encode() + b"\0", 0, memoryview(data).cast("B")
    while True:
        flags = (1 if create else 0) | (2 if truncate and not done else 0) | (4 if append else 0)
        how = STRUCTS["file_write"].pack(flags, mode, len(name), 0)
        part = yield PortalCmd("file_write", offset + done, 0,
                               data=how + name + bytes(data[done:done + ROOM]))
        done += part.size
        if done >= len(data):
            return done
        if not part.size:
            raise PortalError(errno.EIO, OPS["file_write"].number, part)


ExecResult = collections.namedtuple("ExecResult", "status out err whole")


def exec(argv, env=(), input=b"", room=ROOM, timeout_ms=0):
    """Runs a program; whole: that is all it wrote. status: os.waitstatus_to_exitcode()'s."""
    strings = [s.encode(errors="surrogateescape") + b"\0" for s in (*argv, *env)]
    how = STRUCTS["exec"].pack(len(argv), len(env), len(input), 0)
    answer = yield PortalCmd("exec", data=b"".join([how, *strings, input]),
                             room=STRUCTS["exec_result"].size + room, timeout_ms=timeout_ms)
    head, both = answer.head, answer._tail
    if head.out_given + head.err_given > len(both):
        raise PortalError(errno.EPROTO, answer.op, answer)
    end = head.out_given + head.err_given
    return ExecResult(os.waitstatus_to_exitcode(head.wait_status), both[:head.out_given],
                      both[head.out_given:end], end == head.out_len + head.err_len)


def lookup(name):
    """Address of a function of the kernel."""
    return (yield PortalCmd("sym_lookup", data=name)).value


def symbol(addr):
    return _text((yield PortalCmd("sym_name", addr)))


__all__ = [name for name, value in globals().items()
           if not name.startswith("_") and not isinstance(value, types.ModuleType)]
