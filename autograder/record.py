"""The only writer: the graded notebook, nbgrader's gradebook, and a journal that a later run resumes from."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbgrader import utils
from nbgrader.api import (
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.preprocessors import AssignLatePenalties, SaveCells
from sqlalchemy import Index, func, select

from autograder.course_files import Course, CourseError, write_atomically
from autograder.ingest import digest
from autograder.pipeline import Graded
from autograder.verdict import Verdict


def as_record(student: str, problem_set: str, graded: Graded, max_points: dict[str, float]) -> dict[str, Any]:
    """One student's result as plain data.

    Returns:
        student, problem_set, points and max_points (of what the machine grades), questions (by name: points,
        max_points, parts, bugs, message, read), diagnoses (all bug names), manual (grade_ids that wait for a
        person), ended, detail, sandboxed.
    """
    questions = {verdict.question: _as_entry(verdict) for verdict in graded.verdicts}
    return {
        "student": student,
        "problem_set": problem_set,
        "points": sum(verdict.points for verdict in graded.verdicts),
        "max_points": sum(verdict.max_points for verdict in graded.verdicts),
        "questions": questions,
        "diagnoses": sorted({bug for entry in questions.values() for bug in entry["bugs"]}),
        "manual": sorted(set(max_points) - set(questions)),
        "ended": graded.ended,
        "detail": graded.detail,
        "sandboxed": graded.sandboxed,
    }


def _as_entry(verdict: Verdict) -> dict[str, Any]:
    diagnosis = verdict.diagnosis
    return {
        "title": verdict.title,
        "points": verdict.points,
        "max_points": verdict.max_points,
        "parts": {part.name: [part.points, part.max_points] for part in verdict.parts},
        "bugs": list(diagnosis.bugs) if diagnosis else [],
        "message": diagnosis.text if diagnosis else "",
        "read": diagnosis.read if diagnosis else "",
    }


class Journal:
    """An append-only file of results; a line counts only when it is whole, and of a student's lines the newest.

    In memory it is an index: a record is read from the file when it is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._newest: dict[str, _Line] = {}
        if path.is_file():
            with path.open("rb") as file:
                at = 0
                for line in file:
                    self._notice(line, at)
                    at += len(line)

    def _notice(self, line: bytes, at: int) -> None:
        try:
            entry = json.loads(line)
            student = sys.intern(entry["record"]["student"])
            self._newest[student] = _Line(entry["key"], entry.get("notebook", ""), at)
        except (ValueError, KeyError, TypeError):
            return  # cut off by a kill: that submission is graded again

    @property
    def students(self) -> list[str]:
        """Everybody who has a record, in order."""
        return sorted(self._newest)

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """The newest record of every student, in order. All at once: for a class that fits in memory."""
        return {student: self.record(student) for student in self.students}

    def record(self, student: str) -> dict[str, Any]:
        """The student's newest record."""
        with self.path.open("rb") as file:
            file.seek(self._newest[student].at)
            return json.loads(file.readline())["record"]

    def find(self, student: str, key: str, notebook: str) -> dict[str, Any] | None:
        """The student's record, if the newest one was made under this key and names this graded notebook."""
        line = self._newest.get(student)
        return self.record(student) if line and (line.key, line.notebook) == (key, notebook) else None

    def append(self, key: str, record: dict[str, Any], notebook: str, seconds: float = 0.0) -> None:
        """Add a result, on disk before this returns. The newline before it closes a line that a kill cut off.

        Args:
            key: names the submission and what it was graded with.
            record: as `as_record` makes it.
            notebook: the digest of the graded notebook.
            seconds: how long its cells ran; beside the record, which is the same in every run.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = json.dumps({"key": key, "notebook": notebook, "seconds": round(seconds, 3), "record": record}).encode()
        with self.path.open("ab") as file:
            at = file.tell() + 1
            file.write(b"\n" + line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._newest[record["student"]] = _Line(key, notebook, at)


class _Line(NamedTuple):
    """What a line is found by: the key, the digest of the graded notebook, and where the line begins in the file."""

    key: str
    notebook: str
    at: int


class Book:
    """nbgrader's gradebook, opened once, one transaction a submission; between two it holds no rows.

    Raises:
        CourseError: the handout has other cells than the one that submissions were recorded under.
    """

    def __init__(self, course: Course, problem_set: str) -> None:
        self.course, self.problem_set = course, problem_set
        find_alembic()
        self.gradebook = Gradebook(course.db_url, course.course_id)
        self._db = self.gradebook.db
        _index_by_notebook(self._db.get_bind())
        try:
            self.gradebook.find_assignment(problem_set)
        except MissingEntry:
            self.gradebook.add_assignment(problem_set, course_id=course.course_id)
        handed_out = nbformat.from_dict(course.released(problem_set))
        names = {"notebook": problem_set, "assignment": problem_set, "db_url": course.db_url}
        try:
            SaveCells(config=course.config).preprocess(handed_out, {"nbgrader": names})
        except RuntimeError as error:
            raise CourseError(
                f"{error}. Release {problem_set} as it was, or remove it with: nbgrader db assignment remove --force"
            ) from None
        self._db.expire_all()
        notebook = self.gradebook.find_notebook(problem_set, problem_set)
        self._notebook_id, self._assignment_id = notebook.id, notebook.assignment_id
        self._graded = {cell.name: cell.id for cell in [*notebook.grade_cells, *notebook.task_cells]}
        self._commented = {cell.name: cell.id for cell in [*notebook.solution_cells, *notebook.task_cells]}
        self._late = AssignLatePenalties(config=course.config)
        self._late.init_plugin()
        self._forget()

    def __enter__(self) -> Book:
        return self

    def __exit__(self, *exception: object) -> None:
        self.gradebook.close()

    def _forget(self) -> None:
        """End the transaction and drop every row that it held, so that a long run needs no more memory."""
        self._db.rollback()
        self._db.expunge_all()

    def scores(self, student: str) -> dict[str, float | None]:
        """What the machine gave a student, by grade_id; empty where nothing is recorded."""
        rows = self._db.execute(
            select(BaseCell.name, Grade.auto_score)
            .join(Grade, Grade.cell_id == BaseCell.id)
            .join(SubmittedNotebook, SubmittedNotebook.id == Grade.notebook_id)
            .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
            .where(
                SubmittedNotebook.notebook_id == self._notebook_id,
                SubmittedAssignment.assignment_id == self._assignment_id,
                SubmittedAssignment.student_id == student,
            )
        )
        found = {name: score for name, score in rows}
        self._forget()
        return found

    def write(self, student: str, graded: Graded, handed_in: datetime | None) -> str:
        """Record a graded submission: its notebook, then scores, comments and penalty in one transaction.

        Args:
            handed_in: when, in UTC. None leaves the time that the gradebook has, as nbgrader does.

        Returns:
            The digest of the notebook that was written.
        """
        notebook = nbformat.from_dict(graded.notebook)
        content = nbformat.writes(notebook).encode()
        cells = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
        write_atomically(self.course.out("autograded", student, self.problem_set), content)
        try:
            submitted = self._find(student) or self._add(student)
            if handed_in is not None:
                submitted.assignment.timestamp = handed_in
            names = {cell_id: name for name, cell_id in [*self._graded.items(), *self._commented.items()]}
            for grade in submitted.grades:
                if utils.is_grade(cells[names[grade.cell_id]]):  # a task has points too, all of them a person's
                    _set_score(grade, cells[names[grade.cell_id]])
            for comment in submitted.comments:
                comment.auto_comment = _comment(cells[names[comment.cell_id]])
            self._penalise(student, submitted)
            self._db.commit()
        finally:
            self._forget()
        return digest(content)

    def refresh(self, student: str, handed_in: datetime | None) -> None:
        """Give a recorded submission the penalty of today: due dates, extensions and scores by hand change."""
        try:
            submitted = self._find(student)
            if submitted is not None:
                if handed_in is not None and submitted.assignment.timestamp != handed_in:
                    submitted.assignment.timestamp = handed_in
                self._penalise(student, submitted)
                self._db.commit()
        finally:
            self._forget()

    def _penalise(self, student: str, submitted: SubmittedNotebook) -> None:
        """As nbgrader's AssignLatePenalties does it, but inside the transaction of the scores."""
        penalty = None
        seconds = submitted.assignment.total_seconds_late
        if seconds > 0:
            self._db.flush()
            score = self._db.scalar(
                select(func.coalesce(func.sum(Grade.score), 0.0)).where(Grade.notebook_id == submitted.id)
            )
            penalty = self._late.plugin_inst.late_submission_penalty(student, score, seconds)
            if penalty is not None:
                penalty = 0 if penalty < 0 else min(penalty, score)
        if submitted.late_submission_penalty != penalty:
            submitted.late_submission_penalty = penalty

    def _find(self, student: str) -> SubmittedNotebook | None:
        return self._db.scalar(
            select(SubmittedNotebook)
            .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
            .where(
                SubmittedNotebook.notebook_id == self._notebook_id,
                SubmittedAssignment.assignment_id == self._assignment_id,
                SubmittedAssignment.student_id == student,
            )
        )

    def _add(self, student: str) -> SubmittedNotebook:
        """Make the student's rows without a commit: nbgrader's own methods commit every row."""
        if self._db.get(Student, student) is None:
            self._db.add(Student(id=student))
        submission = self._db.scalar(
            select(SubmittedAssignment).where(
                SubmittedAssignment.assignment_id == self._assignment_id, SubmittedAssignment.student_id == student
            )
        ) or SubmittedAssignment(assignment_id=self._assignment_id, student_id=student)
        submitted = SubmittedNotebook(notebook_id=self._notebook_id, assignment=submission)
        submitted.grades = [Grade(cell_id=cell_id) for cell_id in self._graded.values()]
        submitted.comments = [Comment(cell_id=cell_id) for cell_id in self._commented.values()]
        self._db.add(submitted)
        self._db.flush()
        return submitted


def handed_in_at(folder: Path) -> datetime | None:
    """The time in nbgrader's timestamp.txt beside a submission, if there is one that says a time."""
    path = folder / "timestamp.txt"
    try:
        if not path.is_file() or path.is_symlink():
            return None
        with path.open(errors="replace") as file:
            return utils.parse_utc(file.read(100).strip())
    except (ValueError, OverflowError, PermissionError):
        return None


def _set_score(grade: Grade, cell: Any) -> None:
    """As nbgrader's SaveAutoGrades does it: a person's score stays, and is shown to them again."""
    grade.auto_score, _ = utils.determine_grade(cell)
    grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None


def _comment(cell: Any) -> str | None:
    unchanged = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
    return "No response." if unchanged and not utils.is_task(cell) else None


def _index_by_notebook(bind: Any) -> None:
    """Let the gradebook find a submission's rows: without an index every look reads the whole class's."""
    for column in (Grade.notebook_id, Comment.notebook_id, SubmittedNotebook.assignment_id):
        table = column.class_.__table__
        name = f"ix_{table.name}_{column.key}"
        index = next((i for i in table.indexes if i.name == name), None) or Index(name, column)
        index.create(bind, checkfirst=True)


def find_alembic() -> None:
    """nbgrader calls the `alembic` command by name; it lies beside our interpreter."""
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", "")])
