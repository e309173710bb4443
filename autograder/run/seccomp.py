"""The system calls a submission may not make: new namespaces and mounts, other processes' memory, memory that no
limit counts, sockets of unusual families, and the corners of the kernel that no notebook needs.

A filter is a short classic BPF program over (call number, architecture, arguments). On a machine whose call numbers
are not listed here there is no filter; every other wall stands without it.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

# One row a call: name, number on x86_64, number on aarch64.
DENIED = [
    ("unshare", 272, 97),
    ("setns", 308, 268),
    ("mount", 165, 40),
    ("umount2", 166, 39),
    ("pivot_root", 155, 41),
    ("chroot", 161, 51),
    ("open_tree", 428, 428),
    ("move_mount", 429, 429),
    ("fsopen", 430, 430),
    ("fsconfig", 431, 431),
    ("fsmount", 432, 432),
    ("fspick", 433, 433),
    ("mount_setattr", 442, 442),
    ("name_to_handle_at", 303, 264),
    ("open_by_handle_at", 304, 265),
    ("ptrace", 101, 117),
    ("process_vm_readv", 310, 270),
    ("process_vm_writev", 311, 271),
    ("kcmp", 312, 272),
    ("pidfd_getfd", 438, 438),
    ("process_madvise", 440, 440),
    ("memfd_create", 319, 279),
    ("memfd_secret", 447, 447),
    ("shmget", 29, 194),
    ("msgget", 68, 186),
    ("semget", 64, 190),
    ("bpf", 321, 280),
    ("perf_event_open", 298, 241),
    ("userfaultfd", 323, 282),
    ("fanotify_init", 300, 262),
    ("io_uring_setup", 425, 425),
    ("io_uring_enter", 426, 426),
    ("io_uring_register", 427, 427),
    ("add_key", 248, 217),
    ("request_key", 249, 218),
    ("keyctl", 250, 219),
    ("syslog", 103, 116),
    ("acct", 163, 89),
    ("quotactl", 179, 60),
    ("reboot", 169, 142),
    ("swapon", 167, 224),
    ("swapoff", 168, 225),
    ("kexec_load", 246, 104),
    ("init_module", 175, 105),
    ("finit_module", 313, 273),
    ("delete_module", 176, 106),
]
# machine: (column in DENIED, AUDIT_ARCH, clone, clone3, socket)
MACHINES = {"x86_64": (1, 0xC000003E, 56, 435, 41), "aarch64": (2, 0xC00000B7, 220, 435, 198)}

LOAD, JUMP_EQUAL, JUMP_GE, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
ALLOW = 0x7FFF0000
X32 = 0x40000000  # x86_64's second set of call numbers
NEW_NAMESPACE = 0x7E020080  # every CLONE_NEW* flag of clone()
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6; a raw vsock would not stop at the network namespace
PR_SET_SECCOMP, FILTER_MODE = 22, 2


def _fail(number: int) -> tuple[int, int, int, int]:
    return RETURN, 0, 0, 0x00050000 | number


def program(machine: str) -> list[tuple[int, int, int, int]] | None:
    """The filter as (code, jump if true, jump if false, k) rows; None for a machine that is not listed."""
    if machine not in MACHINES:
        return None
    column, architecture, clone, clone3, socket = MACHINES[machine]
    allow = (RETURN, 0, 0, ALLOW)
    rows = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, architecture), _fail(errno.ENOSYS), (LOAD, 0, 0, NUMBER)]
    rows += [(JUMP_GE, 0, 1, X32), _fail(errno.ENOSYS)]
    for row in DENIED:
        rows += [(JUMP_EQUAL, 0, 1, int(row[column])), _fail(errno.EPERM)]
    rows += [(JUMP_EQUAL, 0, 1, clone3), _fail(errno.ENOSYS)]  # its flags lie out of sight; libc then uses clone
    rows += [(JUMP_EQUAL, 0, 4, clone), (LOAD, 0, 0, ARGUMENT), (JUMP_SET, 0, 1, NEW_NAMESPACE), _fail(errno.EPERM)]
    rows += [allow, (JUMP_EQUAL, 0, 5, socket), (LOAD, 0, 0, ARGUMENT)]
    rows += [(JUMP_EQUAL, 3 - i, 0, family) for i, family in enumerate(FAMILIES)]
    return [*rows, _fail(errno.EAFNOSUPPORT), allow]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_void_p))


def install(libc: ctypes.CDLL) -> None:
    """Put the filter on this process and all it starts. "No new privileges" must be set before.

    Raises:
        OSError: the kernel refuses.
    """
    rows = program(platform.machine())
    if rows is None:
        return
    raw = b"".join(struct.pack("=HBBI", *row) for row in rows)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    filter_program = _Program(len(rows), ctypes.cast(buffer, ctypes.c_void_p))
    if libc.prctl(PR_SET_SECCOMP, FILTER_MODE, ctypes.byref(filter_program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter")
