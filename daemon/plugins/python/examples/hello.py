# SPDX-License-Identifier: GPL-2.0-only
"""Says which processes the guest has, whenever it is interrupted.

portalctl interrupt VM INSTANCE, or hypercall 0 of the guest, makes it look.
"""
import portal


def look(count):
    try:
        uname = yield from portal.uname()
        tasks = yield from portal.ps()
    except portal.PortalError as e:
        portal.log(f"cannot look: {e}", portal.LOG_WARNING)
        return
    print(f"{count} times: {uname.nodename} has {len(tasks)} processes")


portal.register_interrupt_handler("look", look)
portal.register_interrupt_handler("*", look)


@portal.call(0)
def hypercall(call):
    portal.queue_interrupt("look")
    return call.args[0]
