"""A sandbox's memory, processes and processor time as one sum, held by the kernel: a control group, version 2.

Where this process may make none, the limits of each process and the warden's looks hold alone, as they always do
beside it. A group bounds what happens between two looks, and keeps one submission's processes from slowing others'.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from autograder.run.outcome import Limits

NEEDED = {"memory", "pids", "cpu"}
OWN_MEMORY, OWN_PROCESSES = 256 << 20, 16  # what bubblewrap, server and warden use beside the submission
ONE_CORE = "100000 100000"
LEAF = "grader"  # where the grader's own processes go: a group that has groups may hold no processes
REMOVE_SECONDS = 1.0
FIX = "start the grader as: systemd-run --user --scope -p Delegate=yes autograder ..."


class Unavailable(OSError):
    """No group can be made here; the message says why."""


class Group:
    """A control group made for one sandbox.

    Args:
        folder: its folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._door = os.open(folder / "cgroup.procs", os.O_WRONLY)

    def enter(self) -> None:
        """Move the calling process in; all that it starts will be in it. Where that is refused, nothing changes."""
        with contextlib.suppress(OSError):
            os.write(self._door, b"0")

    def killed(self) -> int:
        """How many processes the kernel has ended here for want of memory."""
        return _counted(self._folder / "memory.events", "oom_kill")

    def close(self) -> None:
        """End whatever runs in it, and remove it."""
        os.close(self._door)
        _write(self._folder / "cgroup.kill", "1")
        until = time.monotonic() + REMOVE_SECONDS
        while self._folder.exists() and time.monotonic() < until:
            try:
                self._folder.rmdir()
            except OSError:
                time.sleep(0.005)


def make(limits: Limits) -> Group | None:
    """A new group with `limits`; None where none can be made."""
    try:
        base = prepare()
    except OSError:
        return None
    folder = base / f"submission-{os.getpid()}-{time.monotonic_ns()}"
    try:
        folder.mkdir()
        for name, value in settings(limits).items():
            (folder / name).write_text(value)
        return Group(folder)
    except OSError:
        _remove(folder)
        return None


def settings(limits: Limits) -> dict[str, str]:
    """What is written into a group's files."""
    return {
        "memory.max": str(limits.memory_bytes + OWN_MEMORY),
        "pids.max": str(limits.processes + OWN_PROCESSES),
        "cpu.max": ONE_CORE,
    }


def prepare() -> Path:
    """The folder in which groups can be made, made ready for that.

    Raises:
        Unavailable: there is none; the message says why and what helps.
    """
    own = _own_group()
    base = own.parent if own.name == LEAF else own
    missing = NEEDED - set(_read(base / "cgroup.controllers").split())
    if missing:
        raise Unavailable(f"control groups here do not hold {', '.join(sorted(missing))}; {FIX}")
    if set(_read(base / "cgroup.subtree_control").split()) >= NEEDED:
        if os.access(base, os.W_OK):
            return base
    elif _is_delegated(base):
        (base / LEAF).mkdir(exist_ok=True)
        for process in _read(base / "cgroup.procs").split():
            _write(base / LEAF / "cgroup.procs", process)
        (base / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(NEEDED)))
        return base
    raise Unavailable(f"this process's control group is not its own to divide; {FIX}")


def _own_group() -> Path:
    """The folder of the group that this process is in."""
    path = re.search(r"^0::(/.*)$", _read(Path("/proc/self/cgroup")), re.MULTILINE)
    mount = re.search(r"^(?:\S+ ){4}(\S+) .* - cgroup2 ", _read(Path("/proc/self/mountinfo")), re.MULTILINE)
    if path is None or mount is None:
        raise Unavailable("this system has no control groups of version 2")
    return Path(mount.group(1)) / path.group(1).lstrip("/")


def _is_delegated(folder: Path) -> bool:
    """Whether systemd has handed the folder over to its processes."""
    try:
        return os.getxattr(folder, "user.delegate") == b"1" and os.access(folder, os.W_OK)
    except OSError:
        return False


def _counted(path: Path, name: str) -> int:
    found = re.search(rf"^{name} (\d+)$", _read(path), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError:
        return


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
