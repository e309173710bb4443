"""Grades as other systems read them: nbgrader's own table, Canvas' gradebook, Moodle's grading worksheet.

Each is an nbgrader export plugin: `nbgrader export --exporter=autograder.export.Canvas` does what `autograder export`
does. They read the gradebook, and the journal for the reasons; they run nothing and change nothing. Learners choose
their names and cause the messages, and a spreadsheet runs a cell that begins like a formula: every text is disarmed.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, BaseCell, Comment, Grade, Gradebook, SubmittedAssignment, SubmittedNotebook
from nbgrader.api import Student as StudentRow
from nbgrader.plugins import ExportPlugin
from sqlalchemy import Select, func, select
from traitlets import List, Unicode

from autograder.course_files import Course, CourseError, write_atomically
from autograder.grade import journal_path
from autograder.record import Journal

FORMULA = re.compile(r"(^\s*|[;\r\n\t]\s*)(?=[=+\-@\t\r＝＋－＠])")  # a sheet may split a line at ; or tab
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True)
class Row:
    """A student's line. `waits` says that a person has still to score something, which counts as 0 until then."""

    student: str
    last_name: str
    first_name: str
    email: str
    handed_in: bool = False
    timestamp: datetime | None = None
    raw_score: float = 0.0
    penalty: float = 0.0
    waits: bool = False

    @property
    def score(self) -> float:
        """What counts: the penalty is taken off, and nothing is below 0."""
        return max(0.0, self.raw_score - self.penalty)


def disarmed(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before its =, +, -, @ or tab."""
    return text if len(text) < 2 or NUMBER.fullmatch(text) else FORMULA.sub(r"\1'", text)


def rows(gradebook: Gradebook, assignment: str, students: Sequence[str] = ()) -> list[Row]:
    """Every student of the gradebook, sorted by id; three queries, however large the class.

    Raises:
        CourseError: a student asked for is unknown.
    """
    db = gradebook.db
    found: dict[str, dict[str, Any]] = {}
    penalty = func.coalesce(func.sum(SubmittedNotebook.late_submission_penalty), 0.0)
    for student, timestamp, late in db.execute(
        _submissions(assignment, SubmittedAssignment.student_id, SubmittedAssignment.timestamp, penalty).group_by(
            SubmittedAssignment.student_id, SubmittedAssignment.timestamp
        )
    ):
        found[student] = {"handed_in": True, "timestamp": timestamp, "penalty": late}
    waiting = func.count().filter(Grade.needs_manual_grade)
    for student, score, waits in db.execute(
        _submissions(assignment, SubmittedAssignment.student_id, func.sum(Grade.score), waiting)
        .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
        .group_by(SubmittedAssignment.student_id)
    ):
        found[student] |= {"raw_score": score, "waits": bool(waits)}
    people = db.execute(select(StudentRow.id, StudentRow.last_name, StudentRow.first_name, StudentRow.email)).all()
    unknown = set(students) - {person.id for person in people}
    if unknown:
        raise CourseError(f"Not in the gradebook: {', '.join(sorted(unknown))}.")
    return [
        Row(student, last_name or "", first_name or "", email or "", **found.get(student, {}))
        for student, last_name, first_name, email in sorted(people, key=lambda person: person.id)
        if not students or student in students
    ]


def _submissions(assignment: str, *columns: Any) -> Select:
    return (
        select(*columns)
        .select_from(SubmittedNotebook)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .where(Assignment.name == assignment)
    )


class Nbgrader(ExportPlugin):
    """The table of `nbgrader export`, with its columns and rows, sorted, and quoted where a name has a comma."""

    COLUMNS = (
        *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
        *("raw_score", "late_submission_penalty", "score", "max_score"),
    )

    def export(self, gradebook: Gradebook) -> None:
        """Write the file."""
        wanted = {str(name) for name in self.assignment}
        table: list[Sequence[str]] = [self.COLUMNS]
        for assignment in sorted(gradebook.assignments, key=lambda assignment: assignment.name):
            if wanted and assignment.name not in wanted:
                continue
            for row in rows(gradebook, assignment.name, [str(student) for student in self.student]):
                who = [row.student, row.last_name, row.first_name, row.email]
                numbers = [row.raw_score, row.penalty, row.score, assignment.max_score]
                cells = [assignment.name, assignment.duedate, row.timestamp, *who, *numbers]
                table.append(["" if cell is None else str(cell) for cell in cells])
        _write(self.to or "grades.csv", table)


class _OneAssignment(ExportPlugin):
    """What Canvas and Moodle share: one assignment a file, and the people as that system lists them."""

    roster = Unicode("", help="a file that the other system exported, whose people are filled in").tag(config=True)
    left_out = List(help="who handed in and is not on the roster")

    def find_assignment(self, gradebook: Gradebook) -> Assignment:
        """The assignment to export.

        Raises:
            CourseError: not exactly one was named, or it is not in the gradebook.
        """
        names = [str(name) for name in self.assignment]
        if len(names) != 1:
            raise CourseError(f"{type(self).__name__} takes one assignment a file. Say which: --assignment [NAME]")
        found = gradebook.db.scalar(select(Assignment).where(Assignment.name == names[0]))
        if found is None:
            raise CourseError(f"{names[0]} is not in the gradebook. Run: autograder grade {names[0]}")
        return found

    def rows(self, gradebook: Gradebook) -> list[Row]:
        """Whoever handed in."""
        every = rows(gradebook, str(self.assignment[0]), [str(student) for student in self.student])
        return [row for row in every if row.handed_in]

    def read_roster(self, must_have: str) -> list[dict[str, str]]:
        """The roster's lines.

        Raises:
            CourseError: it is not such a file.
        """
        with Path(self.roster).open(newline="", encoding="utf-8-sig", errors="replace") as file:
            lines = list(csv.DictReader(file))
        if not lines or must_have not in lines[0]:
            raise CourseError(
                f"{self.roster} has no column {must_have!r}: expected the file that {type(self).__name__} exports."
            )
        return [{name: value or "" for name, value in line.items() if name} for line in lines]

    def match(self, found: list[Row], people: list[dict[str, str]], columns: Sequence[str]) -> dict[int, Row]:
        """Find each row's line on the roster: by the first of `columns` in which exactly one line has the student's id.

        Raises:
            CourseError: two students of the gradebook are one line.
        """
        matched: dict[int, Row] = {}
        for column in columns:
            places = defaultdict(list)
            for i, line in enumerate(people):
                places[line.get(column, "").removeprefix("Participant ")].append(i)
            for row in found:
                at = places.get(row.student, [])
                if len(at) != 1 or row in matched.values():
                    continue
                if at[0] in matched:
                    raise CourseError(f"{row.student} and {matched[at[0]].student} are one person on the roster.")
                matched[at[0]] = row
        self.left_out = sorted({row.student for row in found} - {row.student for row in matched.values()})
        if self.left_out:
            self.log.warning("Not on the roster, and left out: %s", ", ".join(self.left_out))
        return matched

    def check_maximum(self, theirs: str, ours: float) -> None:
        """Refuse grades on another scale.

        Raises:
            CourseError: the other system's maximum is not ours.
        """
        if NUMBER.fullmatch(theirs.strip()) and float(theirs) != ours:
            raise CourseError(
                f"{type(self).__name__} has {theirs.strip()} points for {self.assignment[0]}, the gradebook {ours:g}: "
                f"the grades would mean something else there. Set the maximum to {ours:g} there and export again."
            )


class Canvas(_OneAssignment):
    """A file that Canvas' gradebook imports. The roster is Canvas' own export: it holds the ids Canvas wants."""

    column = Unicode("", help="the assignment's column, with or without its (id); default: its name").tag(config=True)

    PEOPLE = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
    POINTS = "    Points Possible"

    def export(self, gradebook: Gradebook) -> None:
        """Write the file."""
        assignment, found = self.find_assignment(gradebook), self.rows(gradebook)
        column = self.column or assignment.name
        if self.roster:
            roster = self.read_roster("SIS Login ID")
            column = self._their_column(list(roster[0]), column)
            for line in roster:
                if line["Student"].strip() == self.POINTS.strip():
                    self.check_maximum(line.get(column, ""), assignment.max_score)
            people = [line for line in roster if line["ID"].strip()]
            matched = self.match(found, people, ("SIS Login ID", "SIS User ID", "ID"))
            lines = [
                [people[i].get(name, "") for name in self.PEOPLE] + [_points(matched[i].score) if i in matched else ""]
                for i in range(len(people))
            ]
        else:
            lines = [[_full_name(row, ", "), "", "", row.student, "", _points(row.score)] for row in found]
        points = [self.POINTS, "", "", "", "", _points(assignment.max_score)]
        _write(self.to or "canvas.csv", [[*self.PEOPLE, column], points, *lines])

    def _their_column(self, columns: list[str], name: str) -> str:
        """The column of Canvas' export with this name: "ps1_rnn (4711)" for "ps1_rnn"."""
        same = [column for column in columns if column == name or re.fullmatch(re.escape(name) + r" \(\d+\)", column)]
        if len(same) > 1 or (self.column and not same):
            theirs = ", ".join(column for column in columns if re.search(r"\(\d+\)$", column))
            raise CourseError(f"Which column of {self.roster} is {name}? Say --column. It has: {theirs or 'none'}.")
        return same[0] if same else name  # Canvas offers to make a new assignment of it


class Moodle(_OneAssignment):
    """Moodle's offline grading worksheet. The roster is the worksheet that Moodle gives out, filled in here."""

    course = Unicode("", help="the course root, whose journal has the reasons; default: nbgrader's").tag(config=True)

    COLUMNS = ("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Feedback comments")

    def export(self, gradebook: Gradebook) -> None:
        """Write the file."""
        assignment, found = self.find_assignment(gradebook), self.rows(gradebook)
        reasons = self._reasons(gradebook, assignment.name, found)
        if self.roster:
            people = self.read_roster("Identifier")
            if "Grade" not in people[0]:
                raise CourseError(f"{self.roster} has no column 'Grade': is it the grading worksheet?")
            for line in people:
                self.check_maximum(line.get("Maximum Grade", ""), assignment.max_score)
            columns = list(people[0])
            for i, row in self.match(found, people, ("Username", "ID number", "Email address", "Identifier")).items():
                people[i] |= {"Grade": _points(row.score), "Feedback comments": reasons[row.student]}
        else:
            columns = list(self.COLUMNS)
            people = [
                {
                    "Identifier": row.student,
                    "Full name": _full_name(row, " "),
                    "Email address": row.email,
                    "Grade": _points(row.score),
                    "Maximum Grade": _points(assignment.max_score),
                    "Feedback comments": reasons[row.student],
                }
                for row in found
            ]
        table = [columns, *([line.get(column, "") for column in columns] for line in people)]
        _write(self.to or "moodle.csv", table)

    def _reasons(self, gradebook: Gradebook, assignment: str, found: list[Row]) -> dict[str, str]:
        """Feedback by student, as HTML: points and reason by question, a person's comments, the penalty."""
        root = Path(self.course or self.config.CourseDirectory.get("root") or ".")
        journal = Journal(journal_path(Course(root), assignment))
        known = set(journal.students)
        columns = SubmittedAssignment.student_id, BaseCell.name
        grades: dict[str, list[tuple[str, float, float | None]]] = defaultdict(list)
        comments: dict[str, list[str]] = defaultdict(list)
        for student, name, score, by_hand in gradebook.db.execute(
            _submissions(assignment, *columns, Grade.score, Grade.manual_score)
            .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
            .join(BaseCell, BaseCell.id == Grade.cell_id)
            .order_by(BaseCell.name)
        ):
            grades[student].append((name, score, by_hand))
        for student, name, comment in gradebook.db.execute(
            _submissions(assignment, *columns, Comment.comment)
            .join(Comment, Comment.notebook_id == SubmittedNotebook.id)
            .join(BaseCell, BaseCell.id == Comment.cell_id)
            .order_by(BaseCell.name)
        ):
            comments[student] += [f"{name}: {comment}"] if comment else []
        reasons = {}
        for row in found:
            asked = journal.record(row.student)["questions"] if row.student in known else {}
            order = list(asked)
            lines = []
            for name, score, by_hand in sorted(
                grades[row.student], key=lambda grade: order.index(grade[0]) if grade[0] in asked else len(order)
            ):
                entry = asked.get(name, {})
                message = "A person gave this score." if by_hand is not None else entry.get("message", "")
                lines.append(f"{entry.get('title', name)}: {score:g} points. {message}".rstrip())
            late = [f"Handed in late: {row.penalty:g} points off."] if row.penalty else []
            reasons[row.student] = "<br>".join(
                html.escape(disarmed(line)).replace("\n", "<br>") for line in [*lines, *comments[row.student], *late]
            )
        return reasons


FORMATS: dict[str, type[ExportPlugin]] = {"nbgrader": Nbgrader, "canvas": Canvas, "moodle": Moodle}


def _points(points: float) -> str:
    return f"{points:.5f}".rstrip("0").rstrip(".")


def _full_name(row: Row, between: str) -> str:
    names = [row.last_name, row.first_name] if between == ", " else [row.first_name, row.last_name]
    return between.join(name for name in names if name) or row.student


def _write(path: str, table: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([disarmed(cell) for cell in line] for line in table)
    write_atomically(Path(path), text.getvalue().encode("utf-8", "replace"))
