"""Who handed a file in, read off its path: the names that Moodle, Canvas, Gradescope and plain folders give.

Each naming is an nbgrader `FileNameCollectorPlugin`, whose named groups say it, so that an instructor's own plugin or
`c.FileNameCollectorPlugin.named_regexp` does the same work. A path's front is written by the LMS and its end by a
learner: every pattern here begins at the front and takes the least it can, so that no file's name makes it another's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from nbgrader.plugins import FileNameCollectorPlugin
from nbgrader.utils import parse_utc
from traitlets import Unicode
from traitlets.utils.importstring import import_item

from autograder.course_files import Course, CourseError
from autograder.ingest import Ungradable
from autograder.unpack import File

METADATA = "submission_metadata.yml"  # Gradescope's, beside the folders of its export
TIMESTAMP = "timestamp.txt"  # nbgrader's, in submitted/<student>/<problem set>/


class Stranger(ValueError):
    """Files that cannot be given to one student of the class. The message is the reason that the instructor reads."""


@dataclass(frozen=True)
class Who:
    """A person as a source knows them. `student` is their id in the course; where it is empty, a roster finds it.

    `otherwise` is the id that they get where there is no roster.
    """

    student: str = ""
    lms_id: str = ""
    email: str = ""
    name: str = ""
    otherwise: str = ""

    def __str__(self) -> str:
        return self.name or self.student or self.email or self.otherwise


@dataclass(frozen=True)
class HandedIn:
    """A file that somebody handed in, and its `name` there, before an LMS put anything in front of it.

    `at` is in UTC; `number` grows from version to version, where the LMS counts them.
    """

    who: Who
    file: File
    name: str
    at: datetime | None = None
    number: int = 0
    late: bool = False


@dataclass(frozen=True)
class Recognised:
    """What a source's names said. `strangers` are the paths that said nothing, with the reason."""

    how: str
    handed_in: list[HandedIn]
    strangers: list[tuple[str, str]]


class Moodle(FileNameCollectorPlugin):
    """`Ada Lovelace_12345_assignsubmission_file_/ps1.ipynb`, or the same without a folder."""

    named_regexp = Unicode(r"(?P<full_name>[^/]+?)_(?P<number>\d+)_assignsubmission_[a-z]+(_?/|_)(?P<file_id>.+)")


class Canvas(FileNameCollectorPlugin):
    """`lovelaceada_LATE_12345_67890_ps1-1.ipynb`: person and file have numbers."""

    named_regexp = Unicode(r"(?P<full_name>[^/_]+)_(?P<late>LATE_)?(?P<lms_id>\d+)_(?P<version>\d+)_(?P<file_id>.+)")


class Gradescope(FileNameCollectorPlugin):
    """`submission_12345/ps1.ipynb`; who that is, several perhaps, is in `submission_metadata.yml`."""

    named_regexp = Unicode(r"(?P<submission>submission_\d+)/(?P<file_id>.+)")


class Folder(FileNameCollectorPlugin):
    """`ada/ps1.ipynb`, `ada/ps1/ps1.ipynb` as nbgrader keeps them, or `ada.ipynb`."""

    named_regexp = Unicode(r"(?P<student_id>[^/]+?)(/(?P<file_id>.+)|\.[^/.]+$|$)")


NAMINGS: dict[str, type[FileNameCollectorPlugin]] = {
    "moodle": Moodle,
    "canvas": Canvas,
    "gradescope": Gradescope,
    "folder": Folder,
}

# What fits nothing is told to the instructor with its reason, once, by the command.
_quiet = logging.Logger("naming", logging.CRITICAL)


def recognise(course: Course, problem_set: str, source: Path, files: Sequence[File], told: str = "") -> Recognised:
    """Find out who handed in which file.

    Args:
        source: where the files come from.
        told: a name of `NAMINGS`. Without it, the course's own plugin or pattern, or else what fits.

    Raises:
        CourseError: nothing fits; Gradescope's metadata is missing.
    """
    own = None if told else _own(course)
    if own:
        read = partial(_by_own_pattern, own, course, problem_set, source)
        return _recognised("the pattern in nbgrader_config.py", files, read)
    naming = told or _fitting(files, source)
    files = _without_wrapper(NAMINGS[naming], files, (source.stem, problem_set, "submitted"))
    if naming == "gradescope":
        return _recognised("Gradescope's export", files, partial(_by_gradescope, _metadata(files)))
    if naming == "folder":
        return _recognised("folders or files named for students", files, _by_folder(problem_set, files))
    return _recognised(f"{naming.capitalize()}'s names", files, {"moodle": _by_moodle, "canvas": _by_canvas}[naming])


def _recognised(how: str, files: Sequence[File], read: Callable[[File], list[HandedIn]]) -> Recognised:
    handed_in, strangers = [], []
    for file in files:
        try:
            handed_in += read(file)
        except Stranger as reason:
            strangers.append((file.path, str(reason)))
    return Recognised(how, handed_in, strangers)


def _groups(plugin: FileNameCollectorPlugin, path: str) -> dict[str, str]:
    """The named groups of a path.

    Raises:
        Stranger: it does not fit.
    """
    plugin.valid_ext = [PurePosixPath(path).suffix]  # whoever hands in another kind of file is told so, and known
    groups = plugin.collect(path)
    if not groups:
        raise Stranger("its name does not say whose it is")
    return {name: value for name, value in groups.items() if value is not None}


def _name(groups: dict[str, str]) -> str:
    return groups.get("file_id", "").rpartition("/")[2]


def _plugin(kind: type[FileNameCollectorPlugin], **more: Any) -> FileNameCollectorPlugin:
    return kind(log=_quiet, **more)


def _fits(kind: type[FileNameCollectorPlugin], files: Sequence[File]) -> bool:
    """Whether most of the names fit."""
    plugin = _plugin(kind)
    fitting = 0
    for file in files:
        with suppress(Stranger):
            fitting += bool(_groups(plugin, file.path))
    return 2 * fitting > len(files)


def _fitting(files: Sequence[File], source: Path) -> str:
    for front in (files, _inner(files)):  # as they are before anything is taken off, and the stricter pattern first
        for naming in ("canvas", "moodle"):
            if _fits(NAMINGS[naming], front):
                return naming
    if any(file.path == METADATA for file in _without_wrapper(Gradescope, files)):
        return "gradescope"
    loose = [file.path for file in files if "/" not in file.path]
    if 2 * len(loose) > len(files):
        raise CourseError(
            f"{source}: who handed in {loose[0]}? Say --from folder where each file is named for its student, "
            "or set c.FileNameCollectorPlugin.named_regexp in nbgrader_config.py, as for nbgrader zip_collect."
        )
    return "folder"


def _without_wrapper(
    kind: type[FileNameCollectorPlugin], files: Sequence[File], known: Sequence[str] = ()
) -> Sequence[File]:
    """The files without the one folder that holds them all, where that is nobody's: one of `known`, or all fit within.

    It is found once for all files: within a learner's part of a path nothing is looked for.
    """
    inner = _inner(files)
    if kind is Folder:
        return inner if inner and files[0].path.partition("/")[0] in known else files
    return inner if not _fits(kind, files) and _fits(kind, inner) else files


def _inner(files: Sequence[File]) -> Sequence[File]:
    """The files within the one folder that holds them all, or none."""
    tops = {file.path.partition("/")[0] for file in files}
    inner = [replace(file, path=file.path.partition("/")[2]) for file in files]
    return inner if len(tops) == 1 and all(file.path for file in inner) else []


# ---- one function a naming: a file -> who handed it in -----------------------------------------------------------


def _by_moodle(file: File) -> list[HandedIn]:
    """Moodle's number is this assignment's name for a person, and says nothing elsewhere: a roster goes by the name."""
    found = _groups(_plugin(Moodle), file.path)
    name, number = found["full_name"], found["number"]
    blind = name.startswith("Participant")
    who = Who(lms_id=number, otherwise=number) if blind else Who(name=name, otherwise=number)
    return [HandedIn(who, file, _name(found))]


def _by_canvas(file: File) -> list[HandedIn]:
    found = _groups(_plugin(Canvas), file.path)
    who = Who(lms_id=found["lms_id"], name=found["full_name"], otherwise=found["lms_id"])
    return [HandedIn(who, file, _name(found), number=int(found["version"][:18]), late="late" in found)]


def _by_folder(problem_set: str, files: Sequence[File]) -> Callable[[File], list[HandedIn]]:
    """As nbgrader keeps them, a student's folder has one folder a problem set: then only this one's files count."""
    plugin = _plugin(Folder)
    paths = [(file.path.split("/"), file) for file in files]
    times = {parts[0]: file for parts, file in paths if parts[1:] == [problem_set, TIMESTAMP]}
    kept_so = {parts[0] for parts, _ in paths if len(parts) > 2 and parts[1] == problem_set}
    folders = any(len(parts) > 1 for parts, _ in paths)

    def read(file: File) -> list[HandedIn]:
        found = _groups(plugin, file.path)
        student = found["student_id"]
        if folders and "/" not in file.path:
            raise Stranger("it lies beside the students' folders")
        if student in kept_so and (file.path.split("/")[1] != problem_set or file.name == TIMESTAMP):
            return []
        at = _time(times[student]) if student in times else None
        return [HandedIn(Who(student, otherwise=student), file, _name(found) or file.name, at)]

    return read


def _time(file: File) -> datetime | None:
    try:
        return as_utc(file.read()[:100].decode("utf-8", "replace").strip())
    except Ungradable:
        return None


def _metadata(files: Sequence[File]) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    at = next((file for file in files if file.path == METADATA), None)
    if at is None:
        raise CourseError(f"There is no {METADATA} beside the submissions: who they are, only that file says.")
    try:
        found = yaml.load(at.read(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (Ungradable, yaml.YAMLError) as error:
        raise CourseError(f"{METADATA} cannot be read: {str(error)[:300]}") from None
    if not isinstance(found, dict):
        raise CourseError(f"{METADATA} is not Gradescope's: expected one entry per submission.")
    return found


def _by_gradescope(metadata: dict[str, Any], file: File) -> list[HandedIn]:
    if file.path == METADATA:
        return []
    groups = _groups(_plugin(Gradescope), file.path)
    entry = metadata.get(groups["submission"])
    entry = entry if isinstance(entry, dict) else {}
    submitters = entry.get(":submitters")
    if not isinstance(submitters, list) or not all(isinstance(one, dict) for one in submitters):
        raise Stranger(f"{METADATA} does not say whose it is")
    found, at = [], as_utc(entry.get(":created_at"))
    for one in submitters:
        student, email, name = (str(one.get(key) or "").strip() for key in (":sid", ":email", ":name"))
        who = Who(student, email=email, name=name, otherwise=student or email)
        found.append(HandedIn(who, file, _name(groups), at))
    return found


def _own(course: Course) -> FileNameCollectorPlugin | None:
    """The collector that the course's own configuration names, as `nbgrader zip_collect` takes it."""
    chosen = course.config.ZipCollectApp.get("collector_plugin", FileNameCollectorPlugin)
    kind = import_item(chosen) if isinstance(chosen, str) else chosen
    plugin = _plugin(kind, config=course.config)
    return plugin if kind is not FileNameCollectorPlugin or plugin.named_regexp else None


def _by_own_pattern(
    plugin: FileNameCollectorPlugin, course: Course, problem_set: str, source: Path, file: File
) -> list[HandedIn]:
    """Such patterns are written for whole paths, of where `nbgrader zip_collect` would have put the file."""
    extracted = course.root / "downloaded" / problem_set / "extracted" / source.stem / file.path
    found = _groups(plugin, str(extracted))
    if not isinstance(found.get("student_id"), str) or not found["student_id"]:
        raise Stranger("the pattern found no student_id in its name")
    name = " ".join(part for part in (found.get("first_name"), found.get("last_name")) if part)
    who = Who(found["student_id"], email=found.get("email", ""), name=name, otherwise=found["student_id"])
    return [HandedIn(who, file, _name(found), as_utc(found.get("timestamp")))]


def as_utc(time: Any) -> datetime | None:
    """A time as nbgrader keeps it: in UTC, without a zone. None for what is no time."""
    if isinstance(time, str):
        time = re.sub(r"\s+([+-]\d\d:?\d\d)$", r"\1", time.strip())  # apart, nbgrader takes it for seconds
    try:
        return parse_utc(time) if time and isinstance(time, str | datetime) else None
    except (ValueError, OverflowError, AttributeError):
        return None
