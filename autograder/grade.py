"""A grading run: what is new goes through the pool, what comes back is recorded, in one place and at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder import ingest, pool
from autograder.course_files import Course, CourseError, printable
from autograder.pipeline import OUR_FAULT, Graded
from autograder.record import Book, Journal, as_record
from autograder.run import Limits, probe


@dataclass(frozen=True)
class Options:
    """How to grade. `seed` repeats a seed, `new_seed` draws another; `students` limits the run."""

    workers: int = 0
    seed: int | None = None
    new_seed: bool = False
    force: bool = False
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    sandboxed: bool = True
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
    if options.sandboxed:
        probe()
    with course.locked(problem_set), Book(course, problem_set) as book:
        yield from _grade(course, problem_set, options, folders, book)


def _grade(
    course: Course, problem_set: str, options: Options, folders: dict[str, Path], book: Book
) -> Iterator[dict[str, Any]]:
    seed = course.seed(problem_set, options.new_seed, options.seed)
    released, max_points = course.released(problem_set), course.max_points(problem_set)
    job = pool.Job(problem_set, released, seed, options.limits, options.sandboxed)
    how = f"{course.version(problem_set)} {seed} {options.limits} {options.sandboxed}"
    version = hashlib.sha256(how.encode()).hexdigest()  # hashed: the seed must not be read off the journal
    journal, entered = Journal(journal_path(course, problem_set)), book.scores()
    keys: dict[str, str] = {}
    known: list[dict[str, Any]] = []

    def to_do() -> Iterator[tuple[str, bytes | ingest.Ungradable]]:
        for student, raw in pool.read_all(folders, course.released_path(problem_set).name):
            content = ingest.digest(raw) if isinstance(raw, bytes) else f"ungradable: {raw}"
            keys[student] = f"{content} {version}"
            record = journal.find(student, keys[student])
            if record and not options.force and _is_recorded(course, record, entered.get(student)):
                known.append(record)
            else:
                yield student, raw

    for student, graded in pool.grade_many(job, to_do(), options.workers or pool.cores()):
        graded = _written(book, student, graded, job)
        record = as_record(student, problem_set, graded, max_points)
        others = ingest.not_read(folders[student], course.released_path(problem_set).name)
        if others:
            record["detail"] += f" Also handed in, and not read: {', '.join(map(printable, others))}."
        journal.append(keys[student], record)
        yield record
    yield from known


def _is_recorded(course: Course, record: dict[str, Any], scores: dict[str, float | None] | None) -> bool:
    """Whether the gradebook and the folder still say what the journal says; a fault of ours is always tried again."""
    if scores is None or record["ended"] == OUR_FAULT:
        return False
    same = all(scores.get(name) == entry["points"] for name, entry in record["questions"].items())
    return same and course.out("autograded", record["student"], record["problem_set"]).is_file()


def _written(book: Book, student: str, graded: Graded, job: pool.Job) -> Graded:
    """Record a submission; what cannot be written down as it is, is recorded as such, and the run goes on."""
    try:
        book.write(student, graded)
    except ValueError as error:  # text that no encoding holds, and the like; a locked gradebook is another matter
        graded = pool.our_fault(job, error)
        book.write(student, graded)
    return graded


def _folders(course: Course, problem_set: str, students: tuple[str, ...]) -> dict[str, Path]:
    folders = course.submissions(problem_set)
    if not folders:
        raise CourseError(f"Nobody handed in {problem_set}: expected submitted/<student>/{problem_set}/*.ipynb.")
    unknown = set(students) - set(folders)
    if unknown:
        raise CourseError(f"No submission of {problem_set} by: {', '.join(sorted(unknown))}.")
    return {student: folder for student, folder in folders.items() if not students or student in students}
