"""autograder release: make a problem set's student version."""

from __future__ import annotations

import argparse
from typing import Any

from autograder.cli.command import declare
from autograder.course_files import Course


def add(commands: Any) -> None:
    """Declare the command."""
    declare(commands, "release", "make the student version of a problem set", run).add_argument("problem_set")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from autograder.release import release

    print(f"Released {release(Course.at(options.course), options.problem_set)}")
    return 0
