"""The class's page: scores, hardest questions, shared mistakes, what a person should look at, how every run ended."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from statistics import mean, median
from typing import Any

from nbgrader.api import Gradebook

from autograder.course_files import Course
from autograder.questions import questions_of
from autograder.record import find_alembic
from autograder.report import similarity
from autograder.report.marks import Marks, marks_of, roster
from autograder.report.pages import put, render
from autograder.report.records import latest_records, seconds_run
from autograder.report.similarity import Own, Pair

Records = list[dict[str, Any]]
SHOWN = 30  # groups of near duplicates, those most alike first
COMPARED = 4  # members of a group that are laid beside its first


def write_class_report(course: Course, problem_set: str) -> Path:
    """Write the class's page.

    Returns:
        Where it lies.

    Raises:
        CourseError: nothing was graded yet.
    """
    by_student = latest_records(course, problem_set)
    records = list(by_student.values())
    find_alembic()
    with Gradebook(course.db_url, course.course_id) as gradebook:
        marks, people = marks_of(gradebook, problem_set), roster(gradebook)
    handed_in = course.submissions(problem_set)
    own = _own_texts(course, problem_set, list(by_student))
    page = render(
        "class.html",
        problem_set=problem_set,
        records=records,
        not_graded=[student for student in handed_in if student not in by_student],
        missing=[student for student in people if student not in handed_in],
        late=_late(marks, by_student),
        waiting=sum(None in marks[student].scores.values() for student in by_student if student in marks),
        unsandboxed=sum(not record["sandboxed"] for record in records),
        endings=_endings(records),
        durations=_durations(list(seconds_run(course, problem_set).values())),
        misconceptions=_misconceptions(problem_set, records),
        unexplained=_unexplained(records),
        hardest=_hardest(problem_set, records),
        **_scores(records),
        **_alike(own),
    )
    path = course.root / "report" / f"{problem_set}.html"
    put(path, page)
    return path


# ---- points and mistakes


def _scores(records: Records, bins: int = 10) -> dict[str, Any]:
    points, most = [record["points"] for record in records], records[0]["max_points"]
    counts = Counter(min(bins - 1, int(bins * earned / most)) for earned in points)
    edges = [most * i / bins for i in range(bins + 1)]
    highest = max(counts.values())
    return {
        "max_points": most,
        "mean": mean(points),
        "median": median(points),
        "bars": [
            {"label": f"{edges[i]:.3g} – {edges[i + 1]:.3g}", "count": counts[i], "share": counts[i] / highest}
            for i in reversed(range(bins))
        ],
    }


def _hardest(problem_set: str, records: Records) -> list[dict[str, Any]]:
    rows = []
    for name, question in questions_of(problem_set).items():
        entries = [record["questions"][name] for record in records if name in record["questions"]]
        if not entries:
            continue
        parts = [
            {
                "name": part.name,
                "max_points": part.points,
                "mean": mean(entry["parts"].get(part.name, [0])[0] for entry in entries),
                "full": mean(entry["parts"].get(part.name, [0])[0] == part.points for entry in entries),
            }
            for part in question.parts
        ]
        rows.append(
            {
                "title": question.title,
                "max_points": question.points,
                "mean": mean(entry["points"] for entry in entries),
                "full": mean(entry["points"] == question.points for entry in entries),
                "parts": parts,
            }
        )
    return sorted(rows, key=lambda row: row["mean"] / row["max_points"])


def _misconceptions(problem_set: str, records: Records) -> list[dict[str, Any]]:
    """Known mistakes by how many students made them, whichever questions they made them in."""
    known = {bug.name: (bug, question) for question in questions_of(problem_set).values() for bug in question.bugs}
    students, titles = defaultdict(set), defaultdict(set)
    for record in records:
        for entry in record["questions"].values():
            for bug in entry["bugs"]:
                students[bug].add(record["student"])
                titles[bug].add(entry["title"])
    rows = [
        {
            "bug": bug,
            "says": known[bug][0].says,
            "read": f"{known[bug][1].lesson}, “{known[bug][0].read}”",
            "questions": sorted(titles[bug]),
            "students": sorted(students[bug]),
        }
        for bug in students
        if bug in known
    ]
    return sorted(rows, key=lambda row: (-len(row["students"]), row["bug"]))


def _unexplained(records: Records) -> list[dict[str, Any]]:
    """What is wrong for no known reason, most students first, messages that differ in numbers only under the first."""
    students, titles = defaultdict(set), defaultdict(set)
    messages: dict[str, str] = {}
    for record in records:
        for entry in record["questions"].values():
            if entry["points"] < entry["max_points"] and not entry["bugs"]:
                kind = re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "0", entry["message"])
                messages.setdefault(kind, entry["message"])
                students[kind].add(record["student"])
                titles[kind].add(entry["title"])
    rows = [{"message": messages[k], "titles": sorted(titles[k]), "students": sorted(students[k])} for k in messages]
    return sorted(rows, key=lambda row: (-len(row["students"]), row["message"]))


# ---- who and how


def _late(marks: dict[str, Marks], present: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"student": student, "seconds": line.seconds_late, "late": _span(line.seconds_late), "penalty": line.penalty}
        for student, line in marks.items()
        if line.seconds_late > 0 and student in present
    ]
    return sorted(rows, key=lambda row: (-row["seconds"], row["student"]))


def _span(seconds: float) -> str:
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "less than a second"


def _endings(records: Records) -> list[dict[str, Any]]:
    """How many runs ended in which way; of those that did not finish, whose."""
    students = defaultdict(list)
    for record in records:
        students[record["ended"]].append(record["student"])
    rows = [{"ended": ended, "students": names} for ended, names in students.items()]
    return sorted(rows, key=lambda row: (-len(row["students"]), row["ended"]))


def _durations(seconds: list[float]) -> dict[str, Any]:
    """Median, 95th percentile (the nearest rank), longest and sum, of so many runs as have a duration."""
    if not seconds:
        return {}
    ranked = sorted(seconds)
    return {
        "count": len(ranked),
        "median": median(ranked),
        "p95": ranked[math.ceil(0.95 * len(ranked)) - 1],
        "longest": ranked[-1],
        "total": sum(ranked),
    }


# ---- who wrote alike


def _own_texts(course: Course, problem_set: str, students: Sequence[str]) -> list[Own]:
    released, own = course.released(problem_set), []
    for student in students:
        path = course.out("autograded", student, problem_set)
        if path.is_file():
            notebook = json.loads(path.read_bytes())
            for cell in notebook["cells"]:
                cell["source"] = "".join(cell["source"])
            own.append(similarity.own_text(student, notebook, released))
    return own


def _alike(own: Sequence[Own]) -> dict[str, Any]:
    programs, answers = [one.code for one in own], [one.answer for one in own]
    pairs = similarity.near_duplicates(programs)
    groups = similarity.grouped(pairs)
    borrowed = similarity.like_the_library([one.cells for one in own], _library())
    chance = similarity.CHANCE * len(own) * (len(own) - 1) / 2
    return {
        "groups": [_group(group, own, pairs) for group in groups[:SHOWN]],
        "more_groups": max(0, len(groups) - SHOWN),
        "same_answers": [
            {"students": [own[i].student for i in group], "text": answers[group[0]]}
            for group in similarity.grouped(similarity.same_answers(answers))[:SHOWN]
        ],
        "borrowed": [
            {
                "student": own[one.place].student,
                "function": one.function,
                "as_written": one.as_written,
                "sides": _beside(one.mine, one.theirs),
            }
            for one in borrowed
        ],
        "chance": f"{chance:.1g}" if chance < 10 else f"{chance:.0f}",
        "bounds": similarity,
    }


def _group(group: Sequence[int], own: Sequence[Own], pairs: Sequence[Pair]) -> dict[str, Any]:
    """A group, and its first members laid beside the one that most of the others are alike to."""
    inside = [pair for pair in pairs if pair.first in group]
    degree = Counter(place for pair in inside for place in (pair.first, pair.second))
    centre = min(group, key=lambda place: (-degree[place], own[place].student))
    others = [place for place in group if place != centre][:COMPARED]
    nearest = max(inside, key=lambda pair: (pair.as_written, pair.renamed))
    return {
        "students": [own[place].student for place in group],
        "as_written": nearest.as_written,
        "renamed": nearest.renamed,
        "comparisons": [
            {
                "names": (own[centre].student, own[place].student),
                "pair": similarity.compared(own[centre].code, own[place].code),
                "sides": _beside(own[centre].code, own[place].code),
            }
            for place in others
        ],
        "not_compared": len(group) - 1 - len(others),
    }


def _beside(first: str, second: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Two texts by lines, and of each line whether the other text has it too."""
    mine, theirs = first.splitlines(), second.splitlines()
    matcher = SequenceMatcher(None, [line.strip() for line in mine], [line.strip() for line in theirs], autojunk=False)
    here, there = set(), set()
    for block in matcher.get_matching_blocks():
        here |= set(range(block.a, block.a + block.size))
        there |= set(range(block.b, block.b + block.size))
    return [(line, i in here) for i, line in enumerate(mine)], [(line, i in there) for i, line in enumerate(theirs)]


def _library() -> Path:
    import rnnlib

    return Path(rnnlib.__file__).parent
