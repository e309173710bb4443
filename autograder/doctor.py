"""Can grading work here? Each finding is tried, not guessed."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from autograder.course_files import Course, CourseError
from autograder.questions import PROBLEM_SETS


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. `detail` says what was seen, and where it failed, what to do."""

    what: str
    ok: bool
    detail: str


def examine(course: Path) -> Iterator[Finding]:
    """Try everything that grading needs."""
    yield Finding("Python", True, f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} cores")
    for name in ("numpy", "nbgrader", "nh3", "mistune", "jinja2", "tqdm"):
        yield _installed(name)
    yield from _sandboxes()
    yield from _course(course)


def _installed(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, 'not installed: pip install "rnn-notebooks[grade]"')


def _sandboxes() -> Iterator[Finding]:
    """Both ways to run a submission, and whether its processes can be held to one sum."""
    from autograder.run import KernelSandbox, Sandbox, SandboxUnavailable, cgroup, probe

    for name, kind in (("sandbox", Sandbox), ("sandboxed kernel", KernelSandbox)):
        try:
            yield Finding(name, True, probe(kind))
        except SandboxUnavailable as error:
            yield Finding(name, False, str(error))
    try:
        seen = f"limits hold for all of a submission's processes together, in {cgroup.prepare()}"
    except OSError as error:
        seen = f"not used, the limits of each process and the warden's hold: {error}"
    yield Finding("control groups", True, seen)  # they are a second line, nothing that grading waits for


def _course(root: Path) -> Iterator[Finding]:
    try:
        course = Course.at(root)
    except CourseError as error:
        yield Finding("course", False, str(error))
        return
    ours = course.runs_ours_in_nbgrader()
    where = course.root / "nbgrader_config.py"
    yield Finding(
        "nbgrader autograde",
        ours,
        "goes through the sandbox and the judge here"
        if ours
        else f"would run strangers' code unprotected: give {where} the c.Autograde lines of autograder/course",
    )
    for problem_set in PROBLEM_SETS:
        try:
            course.check_points(problem_set)
        except CourseError as error:
            yield Finding(problem_set, False, str(error))
        else:
            handed_in = len(course.submissions(problem_set))
            yield Finding(problem_set, True, f"released; {handed_in} submissions")
