"""autograder report: write the class's page."""

from __future__ import annotations

import argparse
from typing import Any

from autograder.cli.command import declare
from autograder.course_files import Course


def add(commands: Any) -> None:
    """Declare the command."""
    declare(commands, "report", "write the class report", run).add_argument("problem_set")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from autograder.report import write_class_report

    print(f"Class report: {write_class_report(Course.at(options.course), options.problem_set)}")
    return 0
