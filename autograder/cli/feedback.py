"""autograder feedback: write every student's page."""

from __future__ import annotations

import argparse
from typing import Any

from autograder.cli.command import declare
from autograder.course_files import Course


def add(commands: Any) -> None:
    """Declare the command."""
    declare(commands, "feedback", "write every student's feedback page", run).add_argument("problem_set")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from nbgrader.api import Gradebook, MissingEntry
    from tqdm import tqdm

    from autograder.report import latest_records, write_feedback

    course = Course.at(options.course)
    records = latest_records(course, options.problem_set)
    left_out = []
    with Gradebook(course.db_url, course.course_id) as gradebook:
        for student, record in tqdm(records.items(), unit="page", desc="feedback"):
            try:
                write_feedback(course, options.problem_set, record, gradebook)
            except (FileNotFoundError, MissingEntry):
                left_out.append(student)
    print(f"Feedback: {course.root / 'feedback'}/<student>/{options.problem_set}/{options.problem_set}.html")
    if left_out:
        print(
            f"No page for {', '.join(left_out)}: graded once, but no longer in the gradebook or in autograded/. "
            f"Run: autograder grade {options.problem_set}"
        )
    return 0
