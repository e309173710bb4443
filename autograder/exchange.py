"""What students submitted through nbgrader's exchange: nbgrader finds it there, and we read it.

nbgrader's own collect copies a whole folder and follows the links in it, with the instructor's rights; so of it only
the finding is used: where the exchange is, which of several submissions counts, and when each was made.
"""

from __future__ import annotations

import logging
import os
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.course_files import Course, CourseError
from autograder.naming import TIMESTAMP, HandedIn, Recognised, Who, as_utc
from autograder.record import find_alembic
from autograder.unpack import files_of_folder


def from_exchange(course: Course, problem_set: str, root: Path | None = None) -> Recognised:
    """The submissions in nbgrader's exchange.

    Args:
        root: the exchange's folder; without one, the configured one.

    Raises:
        CourseError: there is no such exchange, or one of another kind than nbgrader's own.
    """
    collector = _collector(course, problem_set, root)
    inbound = Path(collector.inbound_path)
    handed_in, strangers = [], []
    for record in collector.src_records:
        student, folder = record["username"], inbound / record["filename"]
        if folder.is_symlink() or not folder.is_dir():
            strangers.append((record["filename"], "in the exchange this is no folder"))
            continue
        if collector.check_owner and (owner := _owner(folder)) != student:
            reason = f"it is owned by {owner}, not by {student}; c.ExchangeCollect.check_owner = False takes it"
            strangers.append((record["filename"], reason))
            continue
        who = Who(student, otherwise=student)
        for at, version in [(record["timestamp"], folder), *_earlier(inbound, problem_set, record)]:
            files = [replace(file, path=f"{version.name}/{file.path}") for file in files_of_folder(version)]
            handed_in += [HandedIn(who, file, file.name, at) for file in files if file.name != TIMESTAMP]
    return Recognised(f"nbgrader's exchange, {inbound}", handed_in, strangers)


def _earlier(inbound: Path, problem_set: str, record: dict[str, Any]) -> list[tuple[datetime, Path]]:
    """A student's submissions before the one that counts. Folders are called student+problem set+time+random."""
    found = []
    for folder in sorted(inbound.iterdir()):
        student, *rest = folder.name.rsplit("+", 3)
        at = as_utc(rest[1]) if len(rest) == 3 else None
        if student == record["username"] and rest[:1] == [problem_set] and at and at < record["timestamp"]:
            found += [(at, folder)] if folder.is_dir() and not folder.is_symlink() else []
    return found


def _collector(course: Course, problem_set: str, root: Path | None) -> Any:
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.exchange import ExchangeError, ExchangeFactory
    from nbgrader.exchange.default import ExchangeCollect

    config = deepcopy(course.config)
    config.CourseDirectory.root = str(course.root)
    config.CourseDirectory.assignment_id = problem_set
    config.CourseDirectory.db_url = course.db_url
    if root is not None:
        config.Exchange.root = str(root.resolve())
    quiet = logging.Logger("exchange", logging.CRITICAL + 1)  # what it has to say comes as an error
    find_alembic()
    coursedir = CourseDirectory(config=config)
    collector = ExchangeFactory(config=config).Collect(coursedir=coursedir, config=config, log=quiet)
    if not isinstance(collector, ExchangeCollect):
        raise CourseError(
            f"{type(collector).__name__} is not nbgrader's own exchange. Run: nbgrader collect {problem_set}, "
            "which writes into submitted/ itself."
        )
    try:
        collector.init_src()
    except ExchangeError as error:
        raise CourseError(f"{error} Say where the exchange is: c.Exchange.root, or its folder here.") from None
    return collector


def _owner(folder: Path) -> str:
    import pwd

    try:
        return pwd.getpwuid(os.lstat(folder).st_uid).pw_name
    except KeyError:
        return "an unknown user"
