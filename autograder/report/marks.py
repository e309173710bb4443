"""What nbgrader's gradebook knows besides the machine's points: a person's scores and comments, dates, the roster.

A few queries for a whole class: nbgrader's own objects ask again for every submission.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import Select, select


@dataclass
class Marks:
    """One student's line in the gradebook.

    Attributes:
        scores: points by grade_id, None where a person has still to give them.
        by_hand: those of them that a person gave.
        comments: Markdown by the cell's grade_id.
        seconds_late: after the due date, an extension counted in; 0 where no date is known.
        penalty: points off for that.
    """

    scores: dict[str, float | None] = field(default_factory=dict)
    by_hand: dict[str, float] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    seconds_late: float = 0.0
    penalty: float = 0.0


def marks_of(gradebook: Gradebook, problem_set: str) -> dict[str, Marks]:
    """Everybody who has a submission in the gradebook, by student."""
    db, found = gradebook.db, {}
    who = SubmittedAssignment.student_id
    dates = (SubmittedAssignment.timestamp, SubmittedAssignment.extension, Assignment.duedate)
    for student, at, extension, due, penalty in db.execute(
        _rows(problem_set, who, *dates, SubmittedNotebook.late_submission_penalty)
    ):
        found[student] = Marks(seconds_late=_late(at, due, extension), penalty=penalty or 0.0)
    grades = _rows(problem_set, who, BaseCell.name, Grade.auto_score, Grade.manual_score, Grade.score).join(
        Grade, Grade.notebook_id == SubmittedNotebook.id
    )
    for student, name, auto, manual, score in db.execute(grades.join(BaseCell, BaseCell.id == Grade.cell_id)):
        found[student].scores[name] = None if auto is None and manual is None else score
        if manual is not None:
            found[student].by_hand[name] = score
    comments = _rows(problem_set, who, BaseCell.name, Comment.comment).join(
        Comment, Comment.notebook_id == SubmittedNotebook.id
    )
    for student, name, comment in db.execute(comments.join(BaseCell, BaseCell.id == Comment.cell_id)):
        if comment:
            found[student].comments[name] = comment
    return found


def roster(gradebook: Gradebook) -> list[str]:
    """Every student that the gradebook lists (`nbgrader db student import`), handed in or not, in order."""
    return sorted(gradebook.db.scalars(select(Student.id)))


def _rows(problem_set: str, *columns: Any) -> Select:
    return (
        select(*columns)
        .select_from(SubmittedNotebook)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .where(Assignment.name == problem_set)
    )


def _late(at: datetime | None, due: datetime | None, extension: timedelta | None) -> float:
    if at is None or due is None:
        return 0.0
    return max(0.0, (at - due - (extension or timedelta())).total_seconds())
