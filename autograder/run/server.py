"""The fork server: imports everything once, then gives each submission a process of its own. Runs inside the sandbox.

Three parties: the *server* waits and forks; a *warden* per submission reads the job, puts up the walls, holds the
clock and writes the record of how it ended; the *submission* runs the cells. The server never reads a job, so no
submission finds another one's text in its memory. The warden keeps both pipes; the submission gets one end of its
own, and cannot name, signal or trace the warden, which lives outside its pid namespace.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from autograder.run import frames, jail, session, shell

Body = Callable[[dict[str, Any], Callable[[bytes], None]], None]
LOOK_EVERY = 0.1  # seconds between two looks at memory and at a submission that may have ended


def main(jailed: bool) -> None:
    """Serve until the grader closes its end of the pipe."""
    source, sink = os.dup(0), os.dup(1)
    notebook = shell.build()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # input() finds no one there
    gc.collect()
    gc.freeze()
    frames.write(sink, frames.pack(frames.READY))
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    while waiting.poll()[0][1] & select.POLLIN:
        warden = os.fork()
        if warden == 0:
            _guard(lambda: keep_watch(lambda job, write: session.run(notebook, job, write), source, sink, jailed))
        if os.waitpid(warden, 0)[1]:
            return  # the pipe is in an unknown state; the grader starts a new server


def _guard(body: Any) -> None:
    """Run a forked process's body; never return into the parent's code."""
    status = 1
    try:
        body()
        status = 0
    finally:
        os._exit(status)


def keep_watch(body: Body, source: int, sink: int, jailed: bool) -> None:
    """The warden: one submission from job to record.

    Args:
        body: what the submission does, given the job and a way to write bytes to the grader.
        source: where the job comes in; `job["keep"]` names open descriptors that the submission keeps.
        sink: where what the submission writes, and the record, go out.
        jailed: whether to put up walls.
    """
    _, payload = frames.read(source)
    job = json.loads(payload)
    processes = os.open("/proc", os.O_RDONLY) if jailed else None
    others = {"1", str(os.getpid()), str(os.getppid())}
    scratch = jail.SCRATCH if jailed else tempfile.mkdtemp(prefix="submission-")
    if jailed:
        try:
            jail.enter(job["limits"]["scratch_bytes"])
        except OSError as error:
            frames.write(sink, frames.pack(frames.END, json.dumps({"cause": "no walls", "said": str(error)}).encode()))
            return
    _lay_out(job["files"], scratch)
    reader, writer = os.pipe()
    submission = os.fork()
    if submission == 0:
        _guard(lambda: _be_the_submission(body, job, writer, scratch, jailed, processes))
    os.close(writer)
    watch = _Watch(submission, job["limits"], processes, others)
    cause = watch.relay(reader, sink)
    status = watch.end(whole_group=not jailed)
    if not jailed:
        shutil.rmtree(scratch, ignore_errors=True)
    record = {"cause": cause, "status": os.waitstatus_to_exitcode(status)}
    frames.write(sink, frames.pack(frames.END, json.dumps(record).encode()))


def _lay_out(files: dict[str, str], scratch: str) -> None:
    """Put a submission's data files into its own scratch, and nowhere else."""
    for name, content in files.items():
        handle = os.open(f"{scratch}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64decode(content))


def _be_the_submission(
    body: Body, job: dict[str, Any], writer: int, scratch: str, jailed: bool, processes: int | None
) -> None:
    os.setsid()
    if processes is not None:
        _offer_to_the_oom_killer(processes)
    kept = sorted([2, writer, *job.get("keep", ()), resource.getrlimit(resource.RLIMIT_NOFILE)[0]])
    for below, above in pairwise(kept):
        os.closerange(below + 1, above)
    os.chdir(scratch)
    if jailed:
        jail.lock(job["limits"])
    else:
        jail.limit(job["limits"], count_processes=False)
    body(job, lambda line: frames.write(writer, line))


def _offer_to_the_oom_killer(processes: int) -> None:
    """If the machine runs out of memory, the kernel shall end a submission, not the grader."""
    try:
        handle = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=processes)
        os.write(handle, b"1000")
        os.close(handle)
    except OSError:
        return


class _Watch:
    """Holds clock, output cap and memory of one submission.

    Args:
        submission: its process id.
        limits: `Limits` as a dict.
        processes: an open /proc, None where submissions are not jailed.
        others: process ids there that are not the submission's.
    """

    def __init__(self, submission: int, limits: dict[str, Any], processes: int | None, others: set[str]) -> None:
        self._submission = submission
        self._limits = limits
        self._processes = processes
        self._others = others
        self._status: int | None = None

    def relay(self, reader: int, sink: int) -> str:
        """Pass on what the submission writes until something ends it; returns what: "exit" or a limit's name."""
        deadline = time.monotonic() + self._limits["submission_seconds"]
        left = self._limits["output_bytes"]
        look = time.monotonic() + LOOK_EVERY
        while (now := time.monotonic()) < deadline:
            if now >= look:
                look = now + LOOK_EVERY
                if self._memory() > self._limits["memory_bytes"]:
                    return "memory"
            if not select.select([reader], [], [], max(0, min(look, deadline) - now))[0]:
                if self._has_exited():
                    return "exit"
                continue
            data = os.read(reader, 1 << 16)
            if not data:
                return "exit"
            left -= len(data)
            if left < 0:
                return "output limit"
            frames.write(sink, frames.pack(frames.DATA, data))
        return "deadline"

    def end(self, whole_group: bool) -> int:
        """Kill what is left and reap it; returns the wait status. In a jail, process 1 takes all others with it."""
        if self._status is None:
            (os.killpg if whole_group else os.kill)(self._submission, signal.SIGKILL)
            self._status = os.waitpid(self._submission, 0)[1]
        return self._status

    def _has_exited(self) -> bool:
        pid, status = os.waitpid(self._submission, os.WNOHANG)
        if pid:
            self._status = status
        return bool(pid)

    def _memory(self) -> int:
        """Bytes of real memory that all of the submission's processes use, shared pages counted once."""
        if self._processes is None:
            return 0
        pids = [name for name in os.listdir(self._processes) if name.isdigit() and name not in self._others]
        return sum(_bytes_in_use(pid, self._processes) for pid in pids)


def _bytes_in_use(pid: str, processes: int) -> int:
    """A process's share of real memory; all it touches, where it hides its details; 0 once it is gone."""
    try:
        with os.fdopen(os.open(f"{pid}/smaps_rollup", os.O_RDONLY, dir_fd=processes)) as file:
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, ValueError):
        pass
    try:
        with os.fdopen(os.open(f"{pid}/statm", os.O_RDONLY, dir_fd=processes)) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
