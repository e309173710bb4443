"""autograder feedback: write every student's page, and the same as plain text."""

from __future__ import annotations

import argparse
from typing import Any

from autograder.cli.command import declare
from autograder.course_files import Course


def add(commands: Any) -> None:
    """Declare the command."""
    declare(commands, "feedback", "write every student's feedback", run).add_argument("problem_set")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from nbgrader.api import Gradebook
    from tqdm import tqdm

    from autograder.report import latest_records, marks_of, write_feedback

    course, problem_set = Course.at(options.course), options.problem_set
    records, max_points = latest_records(course, problem_set), course.max_points(problem_set)
    with Gradebook(course.db_url, course.course_id) as gradebook:
        marks = marks_of(gradebook, problem_set)
    left_out = []
    for student, record in tqdm(records.items(), unit="page", desc="feedback"):
        try:
            write_feedback(course, problem_set, record, marks[student], max_points)
        except (FileNotFoundError, KeyError):
            left_out.append(student)
    print(f"Feedback: {course.root / 'feedback'}/<student>/{problem_set}/{problem_set}.html, and .txt for a mail")
    if left_out:
        print(
            f"No page for {', '.join(left_out)}: graded once, but no longer in the gradebook or in autograded/. "
            f"Run: autograder grade {problem_set}"
        )
    return 0
