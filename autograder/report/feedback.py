"""One student's feedback: what they read first, then question by question what happened, and what they handed in.

Nothing enters but the student's own record, graded notebook and marks, and of the handout the headings: no expected
value, no seed, nobody else.
"""

from __future__ import annotations

import json
import re
from typing import Any

from autograder.course_files import Course
from autograder.ingest import EXPLORE, is_grade, is_solution
from autograder.report import plain
from autograder.report.marks import Marks
from autograder.report.pages import cleaned, put, render

ALL_WELL = "Every cell ran."


def write_feedback(
    course: Course, problem_set: str, record: dict[str, Any], marks: Marks, max_points: dict[str, float]
) -> None:
    """Write one student's page, and the same in plain text beside it, where nbgrader keeps feedback.

    Args:
        course, problem_set: where to look and to write.
        record: the student's result.
        marks: what the gradebook has of the student.
        max_points: by grade_id, a person's too.

    Raises:
        FileNotFoundError: the graded notebook is gone.
    """
    student = record["student"]
    notebook = json.loads(course.out("autograded", student, problem_set).read_bytes())
    content = _content(notebook, record, marks, max_points)
    html = course.out("feedback", student, problem_set, ".html")
    put(html, render("feedback.html", **content))
    put(html.with_suffix(".txt"), plain.letter(content, html.name).encode("utf-8", "replace"))


def _content(
    notebook: dict[str, Any], record: dict[str, Any], marks: Marks, max_points: dict[str, float]
) -> dict[str, Any]:
    questions, rest = _questions(notebook["cells"], record, marks, max_points)
    return {
        "problem_set": record["problem_set"],
        "student": record["student"],
        "detail": record["detail"] if record["detail"] != ALL_WELL else "",
        "points": sum(question["points"] or 0 for question in questions) - marks.penalty,
        "max_points": sum(question["max_points"] for question in questions),
        "late": marks.penalty,
        "waiting": [question["title"] for question in questions if question["points"] is None],
        "questions": questions,
        "rest": rest,
    }


def _questions(
    cells: list[dict[str, Any]], record: dict[str, Any], marks: Marks, max_points: dict[str, float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The notebook by questions, each with the learner's cells since the one before; and what stands after the last."""
    questions: list[dict[str, Any]] = []
    work: list[dict[str, Any]] = []
    comments: list[str] = []
    heading = ""
    for cell in cells:
        name = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", "")
        source = _text(cell["source"])
        if is_solution(cell) or not name:
            mine = _mine(cell, source)
            work += [mine] if mine else []
            if cell["cell_type"] == "markdown" and not is_solution(cell):
                found = re.findall(r"^## (?:\d+ · )?(.*)", source, re.MULTILINE)
                heading = found[-1] if found else heading
        if name in marks.comments:
            comments.append(cleaned(marks.comments[name]))
        if is_grade(cell):
            entry = record["questions"].get(name, {"title": heading or name.replace("_", " ").capitalize()})
            questions.append(_question(name, entry, marks, max_points[name]) | {"work": work, "comments": comments})
            work, comments = [], []
    return questions, work


def _question(name: str, entry: dict[str, Any], marks: Marks, max_points: float) -> dict[str, Any]:
    points = marks.scores.get(name)
    if points is None:
        state = "To be read"
    elif "points" not in entry:
        state = "Read by a person"
    else:
        state = "Right" if points >= max_points else "Not yet"
    return {
        "name": name,
        "title": entry["title"],
        "points": points,
        "max_points": max_points,
        "state": state,
        "parts": [{"name": n, "points": p, "max_points": m} for n, (p, m) in entry.get("parts", {}).items()],
        "message": entry.get("message", ""),
        "read": entry.get("read", ""),
        "by_hand": marks.by_hand.get(name),
        "machine": entry.get("points"),
    }


def _mine(cell: dict[str, Any], source: str) -> dict[str, Any]:
    """A cell that the learner wrote, as the page shows it; nothing for the instructor's own."""
    if cell["cell_type"] == "markdown":
        return {"answer": cleaned(source)} if is_solution(cell) and source.strip() else {}
    if cell["cell_type"] != "code" or EXPLORE in cell.get("metadata", {}).get("tags", []):
        return {}
    return {"code": source, "outputs": [_output(output) for output in cell.get("outputs", [])]}


def _output(output: dict[str, Any]) -> dict[str, str]:
    data = output.get("data", {})
    for mime in ("image/png", "image/jpeg"):
        if mime in data:
            return {"mime": mime, "picture": "".join(_text(data[mime]).split())}
    if output["output_type"] == "error":
        return {"text": f"{output['ename']}: {output['evalue']}"}
    return {"text": _text(output.get("text") or data.get("text/plain") or "")}


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
