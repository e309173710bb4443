"""The only writer: the graded notebook, nbgrader's gradebook, and a journal that a later run resumes from."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbgrader import utils
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry, Student, SubmittedAssignment, SubmittedNotebook
from nbgrader.preprocessors import AssignLatePenalties, SaveCells

from autograder.course_files import Course, write_atomically
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
    """An append-only file of results; a line counts only when it is whole, and of a student's lines the newest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._newest: dict[str, dict[str, Any]] = {}
        if path.is_file():
            for line in path.read_bytes().split(b"\n"):
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # cut off by a kill: that submission is graded again
                self._newest[entry["record"]["student"]] = entry

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """The newest record of every student, in order."""
        return {student: entry["record"] for student, entry in sorted(self._newest.items())}

    def find(self, student: str, key: str) -> dict[str, Any] | None:
        """The student's record, if the newest one was made under this key."""
        entry = self._newest.get(student)
        return entry["record"] if entry and entry["key"] == key else None

    def append(self, key: str, record: dict[str, Any]) -> None:
        """Add a result, on disk before this returns. The newline before it closes a line that a kill cut off."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry = {"key": key, "record": record}
        with self.path.open("ab") as file:
            file.write(b"\n" + json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._newest[record["student"]] = entry


class Book:
    """nbgrader's gradebook, opened once, one transaction a submission."""

    def __init__(self, course: Course, problem_set: str) -> None:
        self.course, self.problem_set = course, problem_set
        self._folders = course.submissions(problem_set)
        find_alembic()
        self.gradebook = Gradebook(course.db_url, course.course_id)
        self.gradebook.update_or_create_assignment(problem_set)
        handed_out = nbformat.from_dict(course.released(problem_set))
        names = {"notebook": problem_set, "assignment": problem_set, "db_url": course.db_url}
        SaveCells(config=course.config).preprocess(handed_out, {"nbgrader": names})
        self.gradebook.db.expire_all()

    def __enter__(self) -> Book:
        return self

    def __exit__(self, *exception: object) -> None:
        self.gradebook.close()

    def scores(self) -> dict[str, dict[str, float | None]]:
        """What the machine gave, by student and grade_id."""
        submissions = self.gradebook.find_assignment(self.problem_set).submissions
        return {
            submission.student_id: {
                grade.name: grade.auto_score for book in submission.notebooks for grade in book.grades
            }
            for submission in submissions
        }

    def write(self, student: str, graded: Graded) -> None:
        """Record a graded submission: its notebook, then its scores and comments in one transaction."""
        path = self.course.out("autograded", student, self.problem_set)
        notebook = nbformat.from_dict(graded.notebook)
        write_atomically(path, nbformat.writes(notebook).encode())
        try:
            submitted = self._submitted_notebook(student)
            submitted.assignment.timestamp = self._handed_in_at(student)
            cells = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
            for grade in submitted.grades:
                _set_score(grade, cells[grade.cell.name])
            for comment in submitted.comments:
                comment.auto_comment = _comment(cells[comment.cell.name])
            self.gradebook.db.commit()
        except BaseException:
            self.gradebook.db.rollback()
            raise
        if submitted.assignment.assignment.duedate and submitted.assignment.timestamp:
            names = {"notebook": self.problem_set, "assignment": self.problem_set, "student": student}
            late = AssignLatePenalties(config=self.course.config)
            late.preprocess(notebook, {"nbgrader": {**names, "db_url": self.course.db_url}})
            self.gradebook.db.expire_all()

    def _handed_in_at(self, student: str) -> datetime | None:
        """The time in nbgrader's timestamp.txt beside the submission, if there is one that says a time."""
        path = self._folders.get(student, Path("nowhere")) / "timestamp.txt"
        if not path.is_file() or path.is_symlink():
            return None
        with path.open(errors="replace") as file:
            text = file.read(100).strip()
        try:
            return utils.parse_utc(text)
        except (ValueError, OverflowError):
            return None

    def _submitted_notebook(self, student: str) -> SubmittedNotebook:
        """The student's rows, made if need be, without a commit (nbgrader's own methods commit every row)."""
        db = self.gradebook.db
        try:
            return self.gradebook.find_submission_notebook(self.problem_set, self.problem_set, student)
        except MissingEntry:
            pass
        with db.no_autoflush:
            if db.get(Student, student) is None:
                db.add(Student(id=student))
            assignment = self.gradebook.find_assignment(self.problem_set)
            (notebook,) = assignment.notebooks
            submission = SubmittedAssignment(assignment=assignment, student_id=student)
            submitted = SubmittedNotebook(notebook=notebook, assignment=submission)
            db.add(submission)
            submitted.grades = [Grade(cell=cell) for cell in notebook.grade_cells]
            submitted.comments = [Comment(cell=cell) for cell in notebook.solution_cells]
        db.flush()
        return submitted


def _set_score(grade: Grade, cell: Any) -> None:
    """As nbgrader's SaveAutoGrades does it: a person's score stays, and is shown to them again."""
    grade.auto_score, _ = utils.determine_grade(cell)
    grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None


def _comment(cell: Any) -> str | None:
    return "No response." if cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell) else None


def find_alembic() -> None:
    """nbgrader calls the `alembic` command by name; it lies beside our interpreter."""
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", "")])
