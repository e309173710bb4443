"""The journal, read for those who report: the newest result of everybody, and how long each run took."""

from __future__ import annotations

import json
from typing import Any

from autograder.course_files import Course, CourseError
from autograder.grade import journal_path
from autograder.record import Journal


def latest_records(course: Course, problem_set: str) -> dict[str, dict[str, Any]]:
    """The newest result of everybody whose submission is there, by student.

    Raises:
        CourseError: nothing was graded yet.
    """
    present = course.submissions(problem_set)
    journal = Journal(journal_path(course, problem_set))
    records = {student: journal.record(student) for student in journal.students if student in present}
    if not records:
        raise CourseError(f"Nothing of {problem_set} is graded yet. Run: autograder grade {problem_set}")
    return records


def seconds_run(course: Course, problem_set: str) -> dict[str, float]:
    """How long the cells of each student's newest result ran, where the journal's lines say so."""
    seconds: dict[str, float] = {}
    with journal_path(course, problem_set).open("rb") as file:
        for line in file:
            try:
                entry = json.loads(line)
                seconds[entry["record"]["student"]] = float(entry["seconds"])
            except (ValueError, KeyError, TypeError):
                continue
    return seconds
