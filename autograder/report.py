"""Pages to read: feedback for each student, and a picture of the class. Neither runs anything in a browser.

A learner's own words reach a page only escaped, or as Markdown that nh3 has cleaned; a Content-Security-Policy
forbids everything but the page's own style and its pictures.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import mean, median
from typing import Any
from urllib.parse import quote

import jinja2
import mistune
import nh3
from nbgrader.api import Gradebook

from autograder.course_files import Course, CourseError, write_atomically
from autograder.grade import journal_path
from autograder.ingest import EXPLORE, is_grade, is_solution
from autograder.questions import questions_of
from autograder.record import Journal

ALL_WELL = "Every cell ran."
TEMPLATES = Path(__file__).parent / "templates"


def latest_records(course: Course, problem_set: str) -> dict[str, dict[str, Any]]:
    """The newest result of everybody whose submission is there, by student.

    Raises:
        CourseError: nothing was graded yet.
    """
    present = course.submissions(problem_set)
    records = Journal(journal_path(course, problem_set)).records
    records = {student: record for student, record in records.items() if student in present}
    if not records:
        raise CourseError(f"Nothing of {problem_set} is graded yet. Run: autograder grade {problem_set}")
    return records


# ---- feedback ----------------------------------------------------------------------------------------------------


def write_feedback(course: Course, problem_set: str, record: dict[str, Any], gradebook: Gradebook) -> Path:
    """Write one student's page, with what a person added in nbgrader's gradebook.

    Returns:
        Where it lies: nbgrader's own place for feedback.
    """
    student = record["student"]
    notebook = json.loads(course.out("autograded", student, problem_set).read_text())
    submitted = gradebook.find_submission_notebook(problem_set, problem_set, student)
    comments = {comment.name: _cleaned(comment.comment) for comment in submitted.comments if comment.comment}
    rows = [_row(grade, record) for grade in submitted.grades]
    by_hand = {grade.name: grade.score for grade in submitted.grades if grade.manual_score is not None}
    late = submitted.assignment.late_submission_penalty or 0
    order = [cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") for cell in notebook["cells"]]
    page = _environment().get_template("feedback.html")
    html = page.render(
        problem_set=problem_set,
        student=student,
        detail=record["detail"] if record["detail"] != ALL_WELL else "",
        rows=sorted(rows, key=lambda row: order.index(row["name"])),
        points=sum(row["points"] or 0 for row in rows) - late,
        late=late,
        max_points=sum(row["max_points"] for row in rows),
        waiting=[row["title"] for row in rows if row["points"] is None],
        cells=[_shown(cell, record, comments, by_hand) for cell in notebook["cells"]],
    )
    path = course.out("feedback", student, problem_set, ".html")
    write_atomically(path, html.encode())
    return path


def _row(grade: Any, record: dict[str, Any]) -> dict[str, Any]:
    entry = record["questions"].get(grade.name, {})
    return {
        "name": grade.name,
        "title": entry.get("title", grade.name.replace("_", " ").capitalize()),
        "points": None if grade.auto_score is None and grade.manual_score is None else grade.score,
        "max_points": grade.max_score,
        "message": entry.get("message", ""),
    }


def _shown(
    cell: dict[str, Any], record: dict[str, Any], comments: dict[str, str], by_hand: dict[str, float]
) -> dict[str, Any]:
    """A cell as the page shows it: the learner's in full, of the instructor's prose the headings."""
    name = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", "")
    source = _text(cell["source"])
    if cell["cell_type"] == "markdown":
        text = source if is_solution(cell) else "\n".join(re.findall(r"^## \d.*", source, re.MULTILINE))
        return {"name": name, "markdown": _cleaned(text), "comment": comments.get(name)} if text else {}
    if EXPLORE in cell["metadata"].get("tags", []) or (name and not is_solution(cell) and not is_grade(cell)):
        return {}
    verdict = record["questions"].get(name)
    return {
        "name": name,
        "code": source,
        "outputs": [] if verdict else [_output(output) for output in cell.get("outputs", [])],
        "verdict": verdict and {**verdict, "right": verdict["points"] == verdict["max_points"]},
        "by_hand": by_hand.get(name),
        "comment": comments.get(name),
    }


def _cleaned(markdown: str) -> str:
    """Markdown as HTML without pictures, scripts and styles."""
    return nh3.clean(str(mistune.html(markdown)), tags=nh3.ALLOWED_TAGS - {"img"})


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


# ---- the class ---------------------------------------------------------------------------------------------------


def write_class_report(course: Course, problem_set: str) -> Path:
    """Write the class's page: scores, hardest questions, shared mistakes, and how every run ended."""
    records = list(latest_records(course, problem_set).values())
    max_points = records[0]["max_points"]
    bars = _histogram([record["points"] for record in records], max_points)
    html = (
        _environment()
        .get_template("class.html")
        .render(
            problem_set=problem_set,
            records=records,
            max_points=max_points,
            histogram=bars,
            histogram_alt="; ".join(f"{bar['count']} students with {bar['label']} points" for bar in bars),
            hardest=_hardest(records),
            misconceptions=_misconceptions(problem_set, records),
            unexplained=_unexplained(records),
            mean=mean(record["points"] for record in records),
            median=median(record["points"] for record in records),
            unsandboxed=sum(not record["sandboxed"] for record in records),
        )
    )
    path = course.root / "report" / f"{problem_set}.html"
    write_atomically(path, html.encode())
    return path


def _histogram(points: list[float], max_points: float, bins: int = 10) -> list[dict[str, Any]]:
    counts = [0] * bins
    for earned in points:
        counts[min(bins - 1, int(bins * earned / max_points))] += 1
    edges = [max_points * i / bins for i in range(bins + 1)]
    return [
        {"count": count, "height": round(120 * count / max(counts)), "label": f"{edges[i]:.3g}–{edges[i + 1]:.3g}"}
        for i, count in enumerate(counts)
    ]


def _hardest(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, first in records[0]["questions"].items():
        earned = [record["questions"][name]["points"] for record in records]
        full = sum(points == first["max_points"] for points in earned)
        rows.append({"title": first["title"], "mean": mean(earned), "max_points": first["max_points"], "full": full})
    return sorted(rows, key=lambda row: row["mean"] / row["max_points"])


def _misconceptions(problem_set: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Known mistakes by how many students made them, whichever questions they made them in."""
    said = {bug.name: bug.says for question in questions_of(problem_set).values() for bug in question.bugs}
    students, titles = defaultdict(set), defaultdict(set)
    for record in records:
        for entry in record["questions"].values():
            for bug in entry["bugs"]:
                students[bug].add(record["student"])
                titles[bug].add(entry["title"])
    rows = [
        {"bug": bug, "says": said[bug], "questions": sorted(titles[bug]), "students": sorted(students[bug])}
        for bug in students
        if bug in said
    ]
    return sorted(rows, key=lambda row: (-len(row["students"]), row["bug"]))


def _unexplained(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is wrong for no known reason, most students first: for a person to look at."""
    students, titles = defaultdict(set), defaultdict(set)
    for record in records:
        for entry in record["questions"].values():
            if entry["points"] < entry["max_points"] and not entry["bugs"]:
                students[entry["message"]].add(record["student"])
                titles[entry["message"]].add(entry["title"])
    rows = [{"message": m, "titles": sorted(titles[m]), "students": sorted(students[m])} for m in students]
    return sorted(rows, key=lambda row: (-len(row["students"]), row["message"]))


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters["link"] = lambda name: quote(name, safe="")
    environment.filters["points"] = lambda points: f"{points:g}"
    environment.globals["css"] = (TEMPLATES / "page.css").read_text()
    return environment
