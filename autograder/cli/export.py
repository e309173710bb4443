"""autograder export: write grades as nbgrader, Canvas or Moodle read them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from autograder.cli.command import declare
from autograder.course_files import Course, CourseError


def add(commands: Any) -> None:
    """Declare the command."""
    export = declare(commands, "export", "write grades as nbgrader, Canvas or Moodle read them", run)
    export.add_argument("problem_set")
    export.add_argument("--format", choices=("nbgrader", "canvas", "moodle"), default="nbgrader")
    export.add_argument("--to", type=Path, metavar="FILE", help="default: report/<problem set>-<format>.csv")
    export.add_argument(
        "--roster", default="", metavar="FILE", help="Canvas' gradebook export or Moodle's grading worksheet"
    )
    export.add_argument("--column", default="", metavar="NAME", help="the assignment's column in Canvas")
    export.add_argument("--student", action="append", default=[], metavar="NAME", help="only this one (repeatable)")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from nbgrader.api import Gradebook

    from autograder.export import FORMATS, rows
    from autograder.record import find_alembic

    course, name = Course.at(options.course), options.problem_set
    if options.roster and options.format == "nbgrader":
        raise CourseError("nbgrader's table takes no roster. Say --format canvas or --format moodle.")
    if options.column and options.format != "canvas":
        raise CourseError("--column names a column of Canvas. Say --format canvas.")
    to = options.to or course.root / "report" / f"{name}-{options.format}.csv"
    more = {"roster": options.roster} if options.format != "nbgrader" else {}
    more |= {"column": options.column} if options.format == "canvas" else {}
    more |= {"course": str(course.root)} if options.format == "moodle" else {}
    find_alembic()
    with Gradebook(course.db_url, course.course_id) as gradebook:
        exporter = FORMATS[options.format](to=str(to), assignment=[name], student=options.student, **more)
        exporter.export(gradebook)
        waiting = [row.student for row in rows(gradebook, name, options.student) if row.waits]
    print(f"Grades: {to}")
    if waiting:
        print(f"{len(waiting)} submissions wait for a person's score, which counts as 0 until it is given.")
    left_out = getattr(exporter, "left_out", [])
    if left_out:
        print(f"Not on the roster, and left out: {', '.join(left_out)}.")
    return int(bool(left_out))
