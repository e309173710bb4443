"""autograder collect: bring in what was handed in."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.cli.command import declare
from autograder.course_files import Course, CourseError, printable

if TYPE_CHECKING:
    from autograder.collect import Line

SOURCES = ("moodle", "canvas", "gradescope", "folder", "exchange")
ORDER = ("collected", "replaced", "unchanged", "kept", "left out")


def add(commands: Any) -> None:
    """Declare the command."""
    collect = declare(commands, "collect", "bring in what was handed in, from an LMS, an exchange or a folder", run)
    collect.add_argument("problem_set")
    collect.add_argument(
        "source", type=Path, nargs="?", help="a folder, or the zip that the LMS gave out; for an exchange its root"
    )
    collect.add_argument(
        "--from", choices=SOURCES, dest="told", default="", help="how it is named (default: recognise it, and say so)"
    )
    collect.add_argument(
        "--roster", type=Path, metavar="FILE", help="a csv as `nbgrader db student import` takes it: names to ids"
    )
    collect.add_argument(
        "--replace", action="store_true", help="take what is given here, even where what lies there may be newer"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from autograder.collect import collect
    from autograder.exchange import from_exchange
    from autograder.naming import recognise
    from autograder.roster import Roster
    from autograder.unpack import opened

    course, name = Course.at(options.course), options.problem_set
    course.released(name)
    roster = Roster(options.roster) if options.roster else None
    if options.told == "exchange":
        found = from_exchange(course, name, options.source)
        lines = _said(collect(course, name, found, roster, options.replace), found.how)
    elif options.source is None:
        raise CourseError("Say where to collect from: a zip file, a folder, or --from exchange.")
    else:
        with opened(options.source) as files:
            found = recognise(course, name, options.source, files, options.told)
            lines = _said(collect(course, name, found, roster, options.replace), found.how)
    return _summed_up(course, name, lines, roster.students if roster else [])


def _said(lines: Iterable[Line], how: str) -> list[Line]:
    """Print each line when it is done."""
    print(f"Read as {how}.")
    done = []
    for line in lines:
        done.append(line)
        print(_shown(line))
    return done


def _shown(line: Line) -> str:
    at = f"  {line.at:%Y-%m-%d %H:%M} UTC" if line.at else "  late" if line.late else ""
    text = f"  {line.what:<9}  {printable(line.student)[:40]:<24}{at}  {printable(line.note)}".rstrip()
    if line.reason and line.what != "kept":
        text += f"\n{'':13}scores 0: {line.reason}"
    if line.others:
        more = f" and {len(line.others) - 5} more" if len(line.others) > 5 else ""
        text += f"\n{'':13}not taken: {', '.join(line.others[:5])}{more}"
    return text


def _summed_up(course: Course, problem_set: str, lines: list[Line], students: list[str]) -> int:
    count = Counter(line.what for line in lines)
    print(", ".join(f"{count[what]} {what}" for what in ORDER if count[what]) or "Nothing was there to collect.")
    late = [line.student for line in lines if line.late and line.at is None and line.what != "left out"]
    if late:
        print(f"Late, and the LMS does not say how late (a penalty is yours to give): {', '.join(late)}")
    there = course.submissions(problem_set)
    missing = [student for student in students if student not in there]
    if missing:
        print(f"Handed in nothing: {', '.join(missing)}")
    print(f"Next: autograder grade {problem_set}")
    return int(bool(count["left out"]))
