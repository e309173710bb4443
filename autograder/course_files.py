"""Where a course's files lie: nbgrader's layout, and beside it what only the trusted side may read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autograder.questions import questions_of
from autograder.version import code_version

LONGEST_ID = 120  # bytes: nbgrader's ids hold 128 characters, file names 255 bytes with what is added to them


class CourseError(RuntimeError):
    """Something is missing from the course folder; the message says what to do."""


@dataclass(frozen=True)
class Course:
    """A course root as nbgrader knows it. Paths exist only where nbgrader or a command here has made them."""

    root: Path

    @classmethod
    def at(cls, root: Path | str) -> Course:
        """Open a course root.

        Raises:
            CourseError: the folder has no nbgrader_config.py.
        """
        course = cls(Path(root).resolve())
        if not (course.root / "nbgrader_config.py").is_file():
            raise CourseError(
                f"{root} is not a course: it has no nbgrader_config.py. "
                "Run this in the project's folder, or say --course DIR."
            )
        return course

    @cached_property
    def config(self) -> Any:
        """The course's nbgrader configuration."""
        from traitlets.config.loader import PyFileConfigLoader

        return PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()

    @property
    def db_url(self) -> str:
        """The gradebook's address: `c.CourseDirectory.db_url`, or SQLite in the course root."""
        configured = self.config.CourseDirectory.get("db_url")
        return str(configured) if configured else f"sqlite:///{self.root / 'gradebook.db'}"

    @property
    def course_id(self) -> str:
        """The course's name in the gradebook."""
        return str(self.config.CourseDirectory.get("course_id") or "default_course")

    def released_path(self, problem_set: str) -> Path:
        """The notebook that was handed out."""
        return self.root / "release" / problem_set / f"{problem_set}.ipynb"

    def released(self, problem_set: str) -> dict[str, Any]:
        """The notebook that was handed out, as JSON, every source one string.

        Raises:
            CourseError: it was never released.
        """
        import nbformat

        path = self.released_path(problem_set)
        if not path.is_file():
            raise CourseError(f"{problem_set} is not released yet. Run: autograder release {problem_set}")
        return json.loads(json.dumps(nbformat.read(path, as_version=4)))

    def runs_ours_in_nbgrader(self) -> bool:
        """Whether a stock `nbgrader autograde`, formgrader's button too, goes through our sandbox and judge here."""
        chosen = self.config.Autograde
        listed = [*chosen.get("sanitize_preprocessors", []), *chosen.get("autograde_preprocessors", [])]
        return {"autograder.stock.Rebuild", "autograder.stock.Judge"} <= {str(name) for name in listed}

    def submissions(self, problem_set: str) -> dict[str, Path]:
        """Every student's folder for a problem set, by student, in order.

        A folder's name becomes a student's id: in it, what cannot be printed stands as an escape, so that it can be
        recorded and shown. Hidden folders are nobody's.
        """
        submitted = self.root / "submitted"
        if not submitted.is_dir():
            return {}
        entries = [entry for entry in os.scandir(submitted) if not entry.name.startswith(".") and entry.is_dir()]
        folders = {id_of(entry.name): Path(entry.path) / problem_set for entry in entries}
        return {student: folder for student, folder in sorted(folders.items()) if _is_there(folder)}

    def out(self, kind: str, student: str, problem_set: str, suffix: str = ".ipynb") -> Path:
        """Where a student's "autograded" or "feedback" file goes."""
        return self.root / kind / student / problem_set / f"{problem_set}{suffix}"

    def seed(self, problem_set: str, new: bool = False, given: int | None = None) -> int:
        """The problem set's secret seed: drawn once and kept where only the instructor can read it."""
        path = self.root / "private" / f"{problem_set}.seed"
        if given is None and not new and path.is_file():
            return int(path.read_text())
        seed = secrets.randbits(64) if given is None else given
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.parent.chmod(0o700)
        write_atomically(path, f"{seed}\n".encode(), private=True)
        return seed

    @contextmanager
    def locked(self, problem_set: str) -> Iterator[None]:
        """Keep a second grading run of the same problem set out.

        Raises:
            CourseError: one is at work.
        """
        path = self.root / "private" / f"{problem_set}.lock"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CourseError(
                    f"Another grading run of {problem_set} is at work in this course. Wait for it."
                ) from None
            yield

    def version(self, problem_set: str) -> str:
        """Names everything that a score depends on besides the submission and the seed: the handout and the code."""
        handed_out = hashlib.sha256(self.released_path(problem_set).read_bytes()).hexdigest()
        return hashlib.sha256(f"{handed_out} {code_version()}".encode()).hexdigest()

    def max_points(self, problem_set: str) -> dict[str, float]:
        """Points by grade_id, those that a person gives included."""
        marked = [cell["metadata"].get("nbgrader", {}) for cell in self.released(problem_set)["cells"]]
        return {meta["grade_id"]: float(meta["points"]) for meta in marked if meta.get("grade")}

    def check_points(self, problem_set: str) -> None:
        """Refuse a handout whose points are not the questions' points.

        Raises:
            CourseError: a question has no cell, or other points.
        """
        handed_out = self.max_points(problem_set)
        for name, question in questions_of(problem_set).items():
            if handed_out.get(name) != question.points:
                raise CourseError(
                    f"{problem_set}: the question {name} is worth {question.points:g} points, "
                    f"its cell says {handed_out.get(name)}. Correct the source notebook and release it again."
                )


def _is_there(path: Path) -> bool:
    """Whether something lies at `path`, a broken link too.

    Raises:
        CourseError: we may not even look. That is nobody's zero.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CourseError(
            f"{path} cannot be looked at: {error.strerror}. Mend its permissions; nothing was graded."
        ) from None
    return True


def printable(text: str) -> str:
    """The text with escapes for what cannot be printed or encoded."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole)


def id_of(folder: str) -> str:
    """The student's id that a folder's name stands for: printable, and where too long, ended by a digest of it all."""
    shown = printable(folder)
    if len(shown.encode()) <= LONGEST_ID:
        return shown
    digest = hashlib.sha256(folder.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{shown.encode()[: LONGEST_ID - 9].decode('utf-8', 'ignore')}-{digest}"


def write_atomically(path: Path, content: bytes, private: bool = False) -> None:
    """Write a file wholly or not at all; `private`, for the owner's eyes only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not private:
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
