"""Who is in the class: the csv that `nbgrader db student import` takes, and how an LMS's people are found in it."""

from __future__ import annotations

import csv
import unicodedata
from collections import defaultdict
from pathlib import Path

from autograder.course_files import CourseError
from autograder.naming import Stranger, Who

COLUMNS = ("id", "first_name", "last_name", "email", "lms_user_id")  # nbgrader's


class Roster:
    """The students of a class by what is known of them."""

    def __init__(self, path: Path) -> None:
        """Read a roster.

        Raises:
            CourseError: it has no column "id", or one id twice.
        """
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            lines = [{name: (line.get(name) or "").strip() for name in COLUMNS} for line in reader]
        if not lines or not all(line["id"] for line in lines):
            raise CourseError(
                f"{path}: expected a table with a column id, filled in every line, and besides it any of "
                f"{', '.join(COLUMNS[1:])}, as `nbgrader db student import` takes it."
            )
        self.students = [line["id"] for line in lines]
        twice = sorted({student for student in self.students if self.students.count(student) > 1})
        if twice:
            raise CourseError(f"{path} lists twice: {', '.join(twice)}.")
        self._by: dict[str, dict[str, set[str]]] = {kind: defaultdict(set) for kind in ("id", "lms", "email", "name")}
        for line in lines:
            first, last = line["first_name"], line["last_name"]
            names = [first + last, last + first] if first or last else []
            known = [("id", line["id"]), ("lms", line["lms_user_id"]), ("email", line["email"].casefold())]
            for kind, value in [*known, *(("name", _letters(name)) for name in names)]:
                if value:
                    self._by[kind][value].add(line["id"])

    def find(self, who: Who) -> str:
        """The id of somebody that an LMS names.

        Raises:
            Stranger: nobody or several may be meant, or its number says one and its name another.
        """
        email, name = who.email.casefold(), _letters(who.name)
        asked = [("id", who.student), ("lms", who.lms_id), ("email", email), ("name", name)]
        hits = [self._by[kind][value] for kind, value in asked if value and value in self._by[kind]]
        if not hits:
            raise Stranger("not on the roster")
        agreed = set.intersection(*hits)
        if len(agreed) != 1:
            people = ", ".join(sorted(set.union(*hits)))
            raise Stranger(f"on the roster it could be any of {people}: fill in lms_user_id or the names there")
        return agreed.pop()


def _letters(name: str) -> str:
    """A name's letters and digits, as Canvas writes them, so that order, case and marks between do not matter."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())
