"""The walls around one submission, put up by its warden inside the sandbox, with nothing but system calls.

Linux only. `enter` gives the submission its own namespaces and an empty scratch; `lock` takes from the submission's
own process every privilege and sets its limits.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
from collections.abc import Callable
from typing import Any

from autograder.run import seccomp

SCRATCH = "/scratch"
NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x08000000 | 0x00020000  # CLONE_NEWUSER, NEWPID, NEWIPC, NEWNS
PRIVATE = 0x40000 | 0x4000  # MS_PRIVATE | MS_REC
NO_SETUID_NO_DEVICES = 0x2 | 0x4  # MS_NOSUID | MS_NODEV
FILES_IN_SCRATCH = 10_000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION = 0x20080522
SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{getattr(function, '__name__', 'call')}: {os.strerror(number)}")


def enter(scratch_bytes: int) -> None:
    """Leave for new user, mount, IPC namespaces; the next fork is process 1 of a new pid namespace.

    Scratch and /dev/shm are fresh and limited, /proc is empty.

    Raises:
        OSError: the kernel allows no nested user namespaces here.
    """
    user, group = os.getuid(), os.getgid()
    _call(_libc.unshare, NEW_NAMESPACES)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _call(_libc.mount, b"none", b"/", None, PRIVATE, None)
    roomy = f"size={scratch_bytes},nr_inodes={FILES_IN_SCRATCH},mode=700".encode()
    for folder, options in ((SCRATCH, roomy), ("/dev/shm", roomy), ("/proc", b"size=4096,mode=555")):
        _call(_libc.mount, b"tmpfs", folder.encode(), b"tmpfs", NO_SETUID_NO_DEVICES, options)


def limit(limits: dict[str, Any], count_processes: bool = True) -> None:
    """Set the resource limits of this process and all it starts; they can never be raised again.

    Args:
        limits: `Limits` as a dict.
        count_processes: False outside a jail, where the system would count all of the user's processes.
    """
    wanted = {
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_CPU: math.ceil(limits["submission_seconds"]) + 1,
        resource.RLIMIT_NOFILE: 128,  # also bounds what sockets hold in the kernel, which no other limit counts
        resource.RLIMIT_CORE: 0,
    }
    if count_processes:
        wanted[resource.RLIMIT_NPROC] = limits["processes"]
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))


def lock(limits: dict[str, Any]) -> None:
    """Die with the warden, take every limit, drop every capability, filter system calls."""
    _call(_libc.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    limit(limits)
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    _libc.prctl(PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, nothing = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    _call(_libc.capset, ctypes.byref(header), ctypes.byref(nothing))
    _call(_libc.prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)  # so that the warden may read how much memory it uses
    _call(_libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    seccomp.install(_libc)
