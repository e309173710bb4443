"""Grade many submissions on all cores. Workers are pure: bytes in, verdicts out; only the caller writes."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from autograder import ingest
from autograder.pipeline import OUR_FAULT, Graded, Runs, grade, ungradable
from autograder.questions import data_files, questions_of
from autograder.run import KernelSandbox, Limits, Sandbox, SandboxUnavailable, Unsandboxed


@dataclass(frozen=True)
class Job:
    """What every worker needs to know about one grading run."""

    problem_set: str
    released: dict[str, Any]
    seed: int
    limits: Limits
    sandboxed: bool
    kernel: bool = False


Handed = bytes | ingest.Submission  # a notebook, or one with data files
Read = Handed | ingest.Ungradable | PermissionError  # or why there is none

_opened: dict[tuple[Limits, bool, bool], Sandbox] = {}  # one at most: a process's sandbox


def open_sandbox(limits: Limits, sandboxed: bool = True, kernel: bool = False) -> Runs:
    """This process's sandbox, opened at its first submission and kept until one under other limits is asked for.

    Args:
        limits: what every submission may use.
        sandboxed: False runs code unprotected.
        kernel: a fresh sandboxed kernel for each submission, in place of a fork.

    Raises:
        SandboxUnavailable: this machine cannot start one.
    """
    asked = limits, sandboxed, kernel
    if asked not in _opened:
        _close_sandbox()
        _opened[asked] = (Unsandboxed if not sandboxed else KernelSandbox if kernel else Sandbox)(limits)
    return _opened[asked]


@atexit.register
def _close_sandbox() -> None:
    while _opened:
        _opened.popitem()[1].close()


def grade_one(job: Job, raw: Handed) -> Graded:
    """Grade one submission in this process. A fault of ours is that submission's record, not the end of the run.

    Raises:
        SandboxUnavailable: the walls cannot be put up. That is nobody's zero: the run stops.
    """
    try:
        sandbox = open_sandbox(job.limits, job.sandboxed, job.kernel)
        return grade(raw, job.released, questions_of(job.problem_set), job.seed, sandbox)
    except SandboxUnavailable:
        raise
    except Exception as error:
        return our_fault(job, error)


def unread(job: Job, reason: ingest.Ungradable | PermissionError) -> Graded:
    """The record of a submission that could not be read: what its owner did is a zero, what we may not read is ours."""
    if isinstance(reason, PermissionError):
        return our_fault(job, reason)
    return ungradable(str(reason), job.released, questions_of(job.problem_set))


def our_fault(job: Job, error: BaseException) -> Graded:
    """The record of a submission that the grader itself failed on: no points, and words for the instructor."""
    reason = f"The grader itself failed ({type(error).__name__}: {str(error)[:300]!r}). Your instructor can see this."
    return replace(ungradable(reason, job.released, questions_of(job.problem_set)), ended=OUR_FAULT)


def grade_many(job: Job, submissions: Iterable[tuple[str, Read]], workers: int) -> Iterator[tuple[str, Graded]]:
    """Grade submissions in parallel, in whatever order they finish.

    Args:
        job: what to grade against.
        submissions: student and file, or student and the reason why there is none. Read lazily: a few more than
            there are workers are held at a time.
        workers: how many processes. If one of them dies, what was under way is tried once more, each in a process
            of its own.
    """
    remaining = iter(submissions)
    suspects: dict[str, Handed] = {}
    pool = _pool(workers)
    running: dict[Future[Graded], tuple[str, Handed]] = {}
    try:
        while True:
            for student, raw in islice(remaining, 0 if suspects else 2 * workers - len(running)):
                if not isinstance(raw, Exception):
                    running[pool.submit(grade_one, job, raw)] = student, raw
                else:
                    yield student, unread(job, raw)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                student, raw = running.pop(future)
                try:
                    graded = future.result()
                except BrokenProcessPool:
                    suspects[student] = raw
                else:
                    yield student, graded
            if suspects and not running:
                pool.shutdown()
                yield from ((student, _grade_alone(job, raw)) for student, raw in suspects.items())
                suspects, pool = {}, _pool(workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Let a worker end with the run that started it: when that is killed, an idle worker would wait for ever."""
    parent = parent_process()
    assert parent is not None  # this runs in a worker

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _grade_alone(job: Job, raw: Handed) -> Graded:
    with _pool(1) as pool:
        try:
            return pool.submit(grade_one, job, raw).result()
        except BrokenProcessPool as error:
            return our_fault(job, error)


def read_all(folders: dict[str, Path], name: str) -> Iterator[tuple[str, Read]]:
    """Read the submissions, one at a time; what cannot be read comes with its reason."""
    wanted = data_files(Path(name).stem)
    for student, folder in folders.items():
        try:
            yield student, ingest.read_with_data(folder, name, wanted) if wanted else ingest.read(folder, name)
        except (ingest.Ungradable, PermissionError) as reason:
            yield student, reason


def cores() -> int:
    """How many workers the machine is good for."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
