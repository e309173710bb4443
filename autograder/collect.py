"""From what an LMS, an exchange or a folder gives out to `submitted/<student>/<problem set>/`, where grading looks.

Of each student one notebook is taken, the newest, under the handout's name, and of each data file that the problem set
asks for the newest; nothing else that they handed in is written anywhere. Where no notebook can be taken the folder
says why, and the reason is graded. What lay there before stays until a newer one comes, and then beside it, hidden.
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
from autograder.questions import data_files
from autograder.roster import Roster
from autograder.unpack import files_of_zip

COLLECTED, REPLACED, UNCHANGED, KEPT, LEFT_OUT = "collected", "replaced", "unchanged", "kept", "left out"


@dataclass(frozen=True)
class Chosen:
    """What counts of one student's files: a notebook, or the reason why there is none. `others` are not taken.

    `data` holds what the problem set asks for beside it.
    """

    notebook: bytes | None
    data: dict[str, bytes]
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


def choose(files: Sequence[HandedIn], problem_set: str, wanted: Sequence[str] = ()) -> Chosen:
    """Choose what counts of one student's files: the newest; of one time the notebook with the handout's name.

    A zip archive is opened where no notebook lies beside it, and one inside it is not.

    Args:
        wanted: names of data files; of each the newest counts, also under the name that a browser gave a copy.

    Raises:
        PermissionError: of a folder or the chosen file; it is ours to mend.
    """
    for one in files:
        if one.file.unseen:
            raise one.file.unseen
    ordered = sorted(files, key=lambda one: _rank(one, problem_set), reverse=True)
    best = ordered[0]
    try:
        best, notebook, inside = _take(ordered, problem_set, may_open=True)
        reason = ""
    except Ungradable as error:
        notebook, reason, inside = None, str(error), []
    data, taken = _data([*ordered, *inside], wanted) if notebook is not None else ({}, [])
    others = [one.file.path for one in ordered if one.file is not best.file and one not in taken]
    others += [f"{best.file.path}: {one.file.path}" for one in inside if one not in taken]
    return Chosen(notebook, data, reason, best.file.path, best.at, best.late, tuple(others))


def _data(files: Sequence[HandedIn], wanted: Sequence[str]) -> tuple[dict[str, bytes], list[HandedIn]]:
    """The data files, and where they come from; what cannot be read, or is too large, is not there."""
    data, taken = {}, []
    for name in wanted:
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        renamed = re.compile(rf"{re.escape(stem)}([-_ ()\d]|copy)*{re.escape(suffix)}", re.IGNORECASE)
        fitting = [one for one in files if renamed.fullmatch(PurePosixPath(one.name).name)]
        for one in sorted(
            fitting, key=lambda one: (one.at or datetime.min, one.number, one.name == name), reverse=True
        ):
            with suppress(Ungradable):
                data[name] = one.file.read()
                taken.append(one)
                break
    return data, taken


def _take(ordered: Sequence[HandedIn], problem_set: str, may_open: bool) -> tuple[HandedIn, bytes, list[HandedIn]]:
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
            return best, notebook, [one for one in inside if one is not taken]
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
                chosen = choose(files, problem_set, data_files(problem_set))
                yield _put(course, problem_set, student, chosen, overwrite)
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
        notebook, data, reason, at = _lying(target, name, data_files(problem_set))
        same = (notebook, data, reason) == (chosen.notebook, chosen.data, chosen.reason)
        if same and chosen.at in (None, at):
            return _as(line, UNCHANGED, chosen.taken)
        better = notebook is None and chosen.notebook is not None
        newer = chosen.at is not None and (same if at is None else chosen.at > at)
        if not (overwrite or better or newer):
            known = f"what lies there is from {at:%Y-%m-%d %H:%M} UTC" if at and chosen.at else ""
            why = known or "it differs from what lies there, and nothing says which is newer"
            return _as(line, KEPT, f"{chosen.taken} not taken: {why}; --replace takes it")
    content = {NOT_COLLECTED: chosen.reason.encode()}
    if chosen.notebook is not None:
        content = {name: chosen.notebook, **chosen.data}
    if chosen.at is not None:
        content[TIMESTAMP] = f"{chosen.at:%Y-%m-%d %H:%M:%S.%f} UTC".encode()
    _swap_in(target, content)
    return _as(line, REPLACED, chosen.taken) if lies_there else line


def _as(line: Line, what: str, note: str) -> Line:
    return replace(line, what=what, note=note)


def _lying(
    target: Path, name: str, wanted: Sequence[str]
) -> tuple[bytes | None, dict[str, bytes], str, datetime | None]:
    """What was collected before: a notebook and its data, or the reason why there is none, and its time."""
    at = None
    with suppress(Ungradable):
        at = as_utc(read_regular_file(target / TIMESTAMP)[:100].decode("utf-8", "replace").strip())
    try:
        found = ingest.read_with_data(target, name, wanted)
        return found.notebook, found.files, "", at
    except Ungradable as reason:
        return None, {}, str(reason), at


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
