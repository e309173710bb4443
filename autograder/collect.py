"""From what an LMS, an exchange or a folder gives out to `submitted/<student>/<problem set>/`, where grading looks.

Of each student one notebook is taken, the newest, under the handout's name; nothing else that they handed in is
written anywhere. Where none can be taken the folder says why, and the reason is graded. What lay there before stays
until a newer one comes, and then beside it, hidden.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path, PurePosixPath

from autograder import ingest
from autograder.course_files import Course, write_atomically
from autograder.ingest import NOT_COLLECTED, Ungradable, read_regular_file
from autograder.naming import TIMESTAMP, HandedIn, Recognised, Stranger, as_utc
from autograder.roster import Roster
from autograder.unpack import files_of_zip

COLLECTED, REPLACED, UNCHANGED, KEPT, LEFT_OUT = "collected", "replaced", "unchanged", "kept", "left out"


@dataclass(frozen=True)
class Chosen:
    """What counts of one student's files: a notebook, or the reason why there is none. `others` are not taken."""

    notebook: bytes | None
    reason: str
    taken: str
    at: datetime | None
    late: bool
    others: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """What became of one student's files. `note` says it in words."""

    student: str
    what: str
    note: str = ""
    reason: str = ""
    at: datetime | None = None
    late: bool = False
    others: tuple[str, ...] = ()


def choose(files: Sequence[HandedIn], problem_set: str) -> Chosen:
    """Choose what counts of one student's files: the newest; of one time the notebook with the handout's name.

    A zip archive is opened where no notebook lies beside it, and one inside it is not.

    Raises:
        PermissionError: of a folder or the chosen file; it is ours to mend.
    """
    for one in files:
        if one.file.unseen:
            raise one.file.unseen
    ordered = sorted(files, key=lambda one: _rank(one, problem_set), reverse=True)
    best = ordered[0]
    try:
        best, notebook, beside = _take(ordered, problem_set, may_open=True)
        reason = ""
    except Ungradable as error:
        notebook, reason, beside = None, str(error), []
    others = [one.file.path for one in ordered if one is not best and one.file is not best.file] + beside
    return Chosen(notebook, reason, best.file.path, best.at, best.late, tuple(others))


def _take(ordered: Sequence[HandedIn], problem_set: str, may_open: bool) -> tuple[HandedIn, bytes, list[str]]:
    best = ordered[0]
    same = [one for one in ordered if _rank(one, problem_set) == _rank(best, problem_set)]
    kind = PurePosixPath(best.file.path).suffix.lower()
    if kind == ".ipynb":
        if len(same) > 1:
            names = ", ".join(sorted(one.file.path for one in same)[:5])
            raise Ungradable(f"Several notebooks could be meant: {names}. Hand in one, called {problem_set}.ipynb.")
        return best, best.file.read(), []
    if kind == ".zip" and may_open and len(same) == 1:
        inside = [replace(best, file=file, name=file.name) for file in files_of_zip(best.file.read())]
        inside.sort(key=lambda one: _rank(one, problem_set), reverse=True)
        if inside:
            taken, notebook, _ = _take(inside, problem_set, may_open=False)
            return best, notebook, [f"{best.file.path}: {one.file.path}" for one in inside if one is not taken]
        raise Ungradable(f"There is nothing in {best.file.name}.")
    names = ", ".join(one.file.name for one in ordered[:5])
    raise Ungradable(f"There is no {problem_set}.ipynb in what was handed in: {names}. Hand in the notebook itself.")


def _rank(one: HandedIn, problem_set: str) -> tuple[datetime, int, bool, int, bool, int]:
    """Greater is better: newer, a notebook, the handout's, a later version, not renamed, not deep in folders."""
    path, stem = PurePosixPath(one.file.path), PurePosixPath(one.name).stem
    kind = {".ipynb": 2, ".zip": 1}.get(path.suffix.lower(), 0)
    ours = re.fullmatch(rf"{re.escape(problem_set)}([-_ ()\d]|copy)*", stem, re.IGNORECASE) is not None
    return one.at or datetime.min, kind, ours, one.number, stem == problem_set, -len(path.parts)


def collect(
    course: Course, problem_set: str, recognised: Recognised, roster: Roster | None = None, overwrite: bool = False
) -> Iterator[Line]:
    """Write what was recognised into the course, yielding what became of each student's files when it is done.

    Args:
        overwrite: take what is given here even where what lies there may be newer.

    Raises:
        CourseError: nothing released of that name, or a grading run is at work.
    """
    course.released(problem_set)
    found, strangers = _by_student(recognised, roster)
    yield from (Line(path, LEFT_OUT, reason) for path, reason in strangers)
    with course.locked(problem_set):
        for student, files in sorted(found.items()):
            try:
                _check(course, student, files)
                yield _put(course, problem_set, student, choose(files, problem_set), overwrite)
            except Stranger as reason:
                yield Line(student, LEFT_OUT, str(reason), others=tuple(one.file.path for one in files))
            except PermissionError as error:  # ours to mend, and nobody's zero
                yield Line(student, LEFT_OUT, f"{error.filename or files[0].file.path} may not be read: mend that")


def _by_student(
    recognised: Recognised, roster: Roster | None
) -> tuple[dict[str, list[HandedIn]], list[tuple[str, str]]]:
    found: dict[str, list[HandedIn]] = defaultdict(list)
    strangers = dict(recognised.strangers)
    for one in recognised.handed_in:
        try:
            found[roster.find(one.who) if roster else one.who.otherwise].append(one)
        except Stranger as reason:
            strangers[str(one.who)] = str(reason)
    return found, list(strangers.items())


def _check(course: Course, student: str, files: Sequence[HandedIn]) -> None:
    """Refuse what cannot be a student's folder, and files of several people.

    Raises:
        Stranger: the reason.
    """
    people = {one.who.otherwise: one.who for one in files}
    if len(people) > 1:
        raise Stranger(f"several people are taken for this one: {', '.join(sorted(people))}")
    if not student or student.startswith(".") or "/" in student or not student.isprintable():
        raise Stranger(f"{student!r} cannot be the name of a student's folder")
    if len(os.fsencode(student)) > 200:
        raise Stranger("this name is too long for a folder")
    if (course.root / "submitted" / student).is_symlink():
        raise Stranger(f"submitted/{student} is a link: nothing is written through it")


def _put(course: Course, problem_set: str, student: str, chosen: Chosen, overwrite: bool) -> Line:
    """Write one student's submission, unless what lies there is the same or may be newer."""
    home = course.root / "submitted" / student
    target, name = home / problem_set, course.released_path(problem_set).name
    line = Line(student, COLLECTED, chosen.taken, chosen.reason, chosen.at, chosen.late, chosen.others)
    lies_there = os.path.lexists(target)
    if lies_there:
        notebook, reason, at = _lying(target, name)
        same = (notebook, reason) == (chosen.notebook, chosen.reason)
        if same and chosen.at in (None, at):
            return _as(line, UNCHANGED, chosen.taken)
        better = notebook is None and chosen.notebook is not None
        newer = chosen.at is not None and (same if at is None else chosen.at > at)
        if not (overwrite or better or newer):
            known = f"what lies there is from {at:%Y-%m-%d %H:%M} UTC" if at and chosen.at else ""
            why = known or "it differs from what lies there, and nothing says which is newer"
            return _as(line, KEPT, f"{chosen.taken} not taken: {why}; --replace takes it")
    content = {name: chosen.notebook} if chosen.notebook is not None else {NOT_COLLECTED: chosen.reason.encode()}
    if chosen.at is not None:
        content[TIMESTAMP] = f"{chosen.at:%Y-%m-%d %H:%M:%S.%f} UTC".encode()
    _swap_in(target, content)
    return _as(line, REPLACED, chosen.taken) if lies_there else line


def _as(line: Line, what: str, note: str) -> Line:
    return replace(line, what=what, note=note)


def _lying(target: Path, name: str) -> tuple[bytes | None, str, datetime | None]:
    """What was collected before: a notebook, or the reason why there is none, and its time."""
    at = None
    with suppress(Ungradable):
        at = as_utc(read_regular_file(target / TIMESTAMP)[:100].decode("utf-8", "replace").strip())
    try:
        return ingest.read(target, name), "", at
    except Ungradable as reason:
        return None, str(reason), at


def _swap_in(target: Path, content: dict[str, bytes]) -> None:
    """Put a whole new folder in the place of an old one, which stays beside it under a hidden name."""
    new = target.with_name(f".{target.name}.new")
    if new.is_dir() and not new.is_symlink():
        shutil.rmtree(new)  # of a run that was cut off
    for name, raw in content.items():
        write_atomically(new / name, raw)
    if not os.path.lexists(target):
        new.rename(target)
        return
    versions = (target.with_name(f".{target.name}.before-{i}") for i in count(1))
    old = next(path for path in versions if not os.path.lexists(path))
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise
