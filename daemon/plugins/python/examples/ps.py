# SPDX-License-Identifier: GPL-2.0-only
"""The guest's tree of processes into portald's log, or into a file of the guest.

[instance ps]
plugin = python
script = .../ps.py
into = /run/ps.txt	(guest's file; without it: the log)

portalctl interrupt VM ps
"""
import collections

import portal


def tree(tasks):
    known = {task.pid: task for task in tasks}	# each once, whatever the guest says
    tasks = list(known.values())
    children = collections.defaultdict(list)
    for task in tasks:
        children[task.ppid].append(task)
    # a process whose parent ended meanwhile is a root, too
    todo = [(task, 0) for task in reversed(tasks) if task.ppid not in known]
    while todo:
        task, depth = todo.pop()
        yield task, depth
        todo += [(child, depth + 1) for child in reversed(children[task.pid])]


def arguments(task):
    if task.flags & 1:
        return f"[{task.comm}]"
    try:
        return " ".join((yield from portal.args(task.pid))) or task.comm
    except portal.PortalError:	# it ended meanwhile
        return task.comm


def show():
    lines = []
    for task, depth in tree((yield from portal.ps())):
        command = yield from arguments(task)
        lines.append(f"{task.pid:7} {chr(task.state)} {'  ' * depth}{command}")
    text = "\n".join(lines) + "\n"
    if "into" in portal.config:
        yield from portal.write_file(portal.config["into"], text.encode(errors="replace"),
                                     truncate=True)
    else:
        portal.log(text)


portal.register_interrupt_handler("*", show)
