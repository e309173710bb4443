"""A grading run: what is new goes through the pool, what comes back is recorded, in one place and at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder import cluster, ingest, pool
from autograder.course_files import Course, CourseError, printable
from autograder.pipeline import OUR_FAULT, Graded
from autograder.questions import generous
from autograder.record import Book, Journal, as_record, handed_in_at
from autograder.run import KernelSandbox, Limits, Sandbox, probe


@dataclass(frozen=True)
class Options:
    """How to grade. `seed` repeats a seed, `new_seed` draws another; `students` limits the run.

    `cluster` is the address of a Dask scheduler; without one, `workers` processes (0: one a core) on this machine.
    `kernel` runs each submission in a fresh sandboxed kernel.
    """

    workers: int = 0
    cluster: str = ""
    seed: int | None = None
    new_seed: bool = False
    force: bool = False
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    sandboxed: bool = True
    kernel: bool = False
    students: tuple[str, ...] = ()


def journal_path(course: Course, problem_set: str) -> Path:
    """Where a problem set's results are kept."""
    return course.root / "journal" / f"{problem_set}.jsonl"


def grade(course: Course, problem_set: str, options: Options) -> Iterator[dict[str, Any]]:
    """Grade a class, yielding each student's record when it is on disk.

    A submission that was graded before, unchanged and under the same handout, code and seed, is not run again.

    Raises:
        CourseError: nothing released, nothing submitted, or a student asked for who submitted nothing.
        SandboxUnavailable: no sandbox can be had, and `sandboxed` asks for one.
    """
    course.check_points(problem_set)
    folders = _folders(course, problem_set, options.students)
    if options.sandboxed and not options.cluster:
        probe(KernelSandbox if options.kernel else Sandbox)
    with course.locked(problem_set), Book(course, problem_set) as book:
        yield from _grade(course, problem_set, options, folders, book)


def _grade(
    course: Course, problem_set: str, options: Options, folders: dict[str, Path], book: Book
) -> Iterator[dict[str, Any]]:
    seed = course.seed(problem_set, options.new_seed, options.seed)
    released, max_points = course.released(problem_set), course.max_points(problem_set)
    limits = generous(problem_set, options.limits)
    job = pool.Job(problem_set, released, seed, limits, options.sandboxed, options.kernel)
    how = f"{course.version(problem_set)} {seed} {limits} {options.sandboxed} {options.kernel}"
    version = hashlib.sha256(how.encode()).hexdigest()  # hashed: the seed must not be read off the journal
    journal, name = Journal(journal_path(course, problem_set)), course.released_path(problem_set).name
    keys: dict[str, str] = {}
    known: list[str] = []

    def to_do() -> Iterator[tuple[str, pool.Read]]:
        for student, raw in pool.read_all(folders, name):
            content = f"unread: {raw}" if isinstance(raw, Exception) else ingest.digest(raw)
            key = f"{content} {version}"
            record = None if options.force else journal.find(student, key, _notebook(course, student, problem_set))
            if record and _is_recorded(record, book.scores(student)):
                book.refresh(student, handed_in_at(folders[student]))
                known.append(student)
            else:
                keys[student] = key
                yield student, raw

    if options.cluster:
        graded_ones = cluster.grade_many(job, to_do(), options.cluster)
    else:
        graded_ones = pool.grade_many(job, to_do(), options.workers or pool.cores())
    for student, graded in graded_ones:
        graded, notebook = _written(book, student, graded, job, handed_in_at(folders[student]))
        record = as_record(student, problem_set, graded, max_points)
        others = ingest.not_read(folders[student], name)
        if others:
            record["detail"] += f" Also handed in, and not read: {', '.join(map(printable, others))}."
        journal.append(keys.pop(student), record, notebook, graded.seconds)
        yield record
        while known:
            yield journal.record(known.pop())
    while known:
        yield journal.record(known.pop())


def _notebook(course: Course, student: str, problem_set: str) -> str:
    """The digest of the graded notebook that lies there now."""
    path = course.out("autograded", student, problem_set)
    return ingest.digest(path.read_bytes()) if path.is_file() else ""


def _is_recorded(record: dict[str, Any], scores: dict[str, float | None]) -> bool:
    """Whether the gradebook still says what the journal says; a fault of ours is always tried again."""
    same = all(scores.get(name) == entry["points"] for name, entry in record["questions"].items())
    return same and record["ended"] != OUR_FAULT


def _written(book: Book, student: str, graded: Graded, job: pool.Job, handed_in: datetime | None) -> tuple[Graded, str]:
    """Record a submission; what cannot be written down as it is, is recorded as such, and the run goes on."""
    try:
        return graded, book.write(student, graded, handed_in)
    except ValueError as error:  # text that no encoding holds, and the like; a locked gradebook is another matter
        graded = pool.our_fault(job, error)
        return graded, book.write(student, graded, handed_in)


def _folders(course: Course, problem_set: str, students: tuple[str, ...]) -> dict[str, Path]:
    folders = course.submissions(problem_set)
    if not folders:
        raise CourseError(
            f"Nobody handed in {problem_set}: expected submitted/<student>/{problem_set}/*.ipynb. "
            f"Run: autograder collect {problem_set} SOURCE"
        )
    unknown = set(students) - set(folders)
    if unknown:
        raise CourseError(f"No submission of {problem_set} by: {', '.join(sorted(unknown))}.")
    return {student: folder for student, folder in folders.items() if not students or student in students}
