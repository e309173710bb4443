"""From an untrusted file to a clean notebook: the instructor's cells, the learner's text, nothing else of theirs.

Locked cells, their order, tags and metadata come from the released notebook. A submission contributes the *text* of
its solution cells, found by grade_id, and its own extra code cells, kept in place and stripped of metadata.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import stat
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

MAX_BYTES = 20 << 20  # of a submitted notebook
MAX_DATA = 8 << 20  # of a data file that an assignment asks for, such as weights
MAX_VALUES = 500_000  # strings, numbers, lists and so on in it: each costs Python up to 100 bytes
MAX_CELLS = 2_000
MAX_SOURCE = 1 << 20  # characters of one cell
MAX_ANSWER = 10_000  # characters of a written answer
NOT_COLLECTED = "not_collected.txt"  # in place of a notebook: why `autograder collect` could take none
EXPLORE = "explore"  # the tag of instructor cells that are for playing, not for grading


class Ungradable(ValueError):
    """A submission that cannot be run. The message is the reason that its owner reads."""


@dataclass(frozen=True)
class Submission:
    """A notebook and the data files that its assignment asks for, unopened: bytes by name, or why there are none."""

    notebook: bytes
    files: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """What is read from one submitted cell. `name` is its grade_id, or else its id, or empty."""

    kind: str
    source: str
    name: str


def read(folder: Path, name: str) -> bytes:
    """Read the submitted notebook from a learner's folder.

    Args:
        folder: `submitted/<student>/<problem set>`.
        name: the released notebook's file name; the only other notebook in the folder is accepted in its place,
            since browsers rename downloads.

    Raises:
        Ungradable: nothing there, several candidates, not a regular file, or too large.
        PermissionError: we may not read it.
    """
    try:
        if not all(stat.S_ISDIR(os.lstat(path).st_mode) for path in (folder.parent, folder)):
            raise Ungradable("The submission is a link, not a folder.")
        notebooks = sorted(entry for entry in os.listdir(folder) if entry.endswith(".ipynb"))
    except NotADirectoryError as error:
        raise Ungradable("The submission is not a folder.") from error
    if name not in notebooks and len(notebooks) != 1:
        found = f"{len(notebooks)} other notebooks" if notebooks else "no notebook"
        reason = "" if notebooks else reason_given(folder)
        raise Ungradable(reason or f"There is no {name} in the submission; there is {found}.")
    return read_regular_file(folder / (name if name in notebooks else notebooks[0]))


def read_with_data(folder: Path, name: str, wanted: Sequence[str]) -> Submission:
    """Read the notebook, and each data file that the assignment asks for; nothing here opens one.

    Args:
        folder, name: as for `read`.
        wanted: names of data files; the only other file of such a kind in the folder is accepted in its place.

    Raises:
        Ungradable, PermissionError: as `read`. A data file that cannot be had is no reason not to grade.
    """
    submission = Submission(read(folder, name))
    for file in wanted:
        try:
            submission.files[file] = _read_data(folder, file)
        except Ungradable as reason:
            submission.refused[file] = str(reason)
    return submission


def _read_data(folder: Path, name: str) -> bytes:
    present = [entry for entry in sorted(os.listdir(folder)) if not entry.startswith(".")]
    alike = [entry for entry in present if PurePath(entry).suffix.lower() == PurePath(name).suffix]
    if name not in present and len(alike) != 1:
        others = ", ".join(alike or [entry for entry in present if not entry.endswith(".ipynb")])
        found = f"there is {_shown(others)}" if others else "there is only the notebook"
        raise Ungradable(f"There is no {name} in the submission; {found}.")
    return read_regular_file(folder / (name if name in present else alike[0]), what=name, limit=MAX_DATA)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def not_read(folder: Path, name: str) -> list[str]:
    """The other notebooks that lie beside the one that `read` takes; of a link, none: they are somebody else's."""
    try:
        if not all(stat.S_ISDIR(os.lstat(path).st_mode) for path in (folder.parent, folder)):
            return []
        notebooks = sorted(entry for entry in os.listdir(folder) if entry.endswith(".ipynb"))
    except (NotADirectoryError, PermissionError):
        return []
    return [other for other in notebooks if other != name] if name in notebooks else []


def reason_given(folder: Path) -> str:
    """Why nothing could be collected for this folder, or nothing.

    Read only where there is no notebook: whoever forges it earns the 0 that they would have had, in their own words.
    """
    try:
        text = read_regular_file(folder / NOT_COLLECTED).decode("utf-8", "replace")
    except Ungradable:
        return ""
    return "".join(c if c.isprintable() else " " for c in text[:1000]).strip()


def read_regular_file(
    path: Path | str, inside: int | None = None, what: str = "The notebook", limit: int | None = None
) -> bytes:
    """Read a file that a learner may have put there.

    Args:
        path: of the file; relative to the open folder `inside`, if there is one.
        what: what a message calls it.
        limit: bytes that it may have; None: those of a notebook.

    Raises:
        Ungradable: a link, a pipe, a device, a folder, or too large.
        PermissionError: we may not read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise  # ours to mend, and nobody's zero
        raise Ungradable(f"{what} is a link, not a file; hand in the file itself.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Ungradable(f"{what} is not an ordinary file.")
    with os.fdopen(descriptor, "rb") as file:
        most = MAX_BYTES if limit is None else limit
        raw = file.read(most + 1)
    if len(raw) > most:
        fix = "Clear its outputs, save, hand in again." if limit is None else "Hand in a smaller one."
        raise Ungradable(f"{what} is larger than {most >> 20} MiB. {fix}")
    return raw


def digest(raw: bytes | Submission) -> str:
    """The name of a submission's content in the journal."""
    if isinstance(raw, bytes):
        return hashlib.sha256(raw).hexdigest()
    files = {name: digest(content) for name, content in raw.files.items()}
    return digest(json.dumps([digest(raw.notebook), files, raw.refused], sort_keys=True).encode())


def parse(raw: bytes) -> list[Cell]:
    """Read the cells of a notebook file without trusting any of it.

    Raises:
        Ungradable: not JSON, not a notebook of format 4, too deep, too many cells, or more values than we unpack.
    """
    if _holds_too_much(raw):
        raise Ungradable(f"The notebook holds more than {MAX_VALUES:,} values. Clear its outputs, save, hand in again.")
    try:
        notebook = json.loads(raw.decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise Ungradable(
            "The file is not a notebook: it is not valid JSON. Was it cut off, or edited by hand?"
        ) from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise Ungradable("The file is not a notebook of format 4: open it in JupyterLab, save it, hand in again.")
    if len(notebook["cells"]) > MAX_CELLS:
        raise Ungradable(f"The notebook has more than {MAX_CELLS} cells.")
    return [_parse_cell(cell) for cell in notebook["cells"] if isinstance(cell, dict)]


def _holds_too_much(raw: bytes) -> bool:
    """Whether JSON of so few bytes would fill the memory: `[[],[],...` becomes 30 times its size.

    Each value but the first follows a bracket, a comma or a colon. Those within strings do not count.
    """
    if sum(raw.count(mark) for mark in (b"[", b"{", b",", b":")) < MAX_VALUES:
        return False
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = (match for match in re.finditer(rb'"[^"]*"?|[\[{,:]', unescaped) if match[0][:1] != b'"')
    return next(islice(marks, MAX_VALUES, None), None) is not None


def _parse_cell(cell: dict[str, Any]) -> Cell:
    source = cell.get("source")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        source = ""
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    name = grade_id if isinstance(grade_id, str) and grade_id else cell.get("id")
    kind = cell.get("cell_type")
    text = source.encode("utf-8", "replace").decode()[:MAX_SOURCE]
    return Cell(kind if isinstance(kind, str) else "", text, name if isinstance(name, str) else "")


def rebuild(cells: list[Cell], released: dict[str, Any]) -> dict[str, Any]:
    """Put a learner's work into the instructor's notebook.

    Args:
        cells: what was handed in.
        released: the notebook that was handed out, as JSON.

    Returns:
        A notebook as JSON. Of a cell that was copied, the first copy fills the solution cell and the others run where
        they stand, as Run All would. A deleted solution cell is empty, a deleted locked cell is back. Lines that a
        learner added to an instructor's cell that is not a check run after it; a written answer that stands in a new
        Markdown cell is taken from there.
    """
    instructors = {name_of(cell): cell for cell in released["cells"]}
    if not any(cell.name in instructors for cell in cells):
        cells = _recognised(cells, released["cells"])
    place = {name: i for i, name in enumerate(instructors)}
    in_order = _longest_ascent([place.get(cell.name, -1) for cell in cells])
    solutions: dict[str, str] = {}
    for kind_matters in (True, False):  # a copy of the cell's own kind counts before one that was converted
        for cell in cells:
            original = instructors.get(cell.name)
            if original and is_solution(original) and (cell.kind == original["cell_type"] or not kind_matters):
                solutions.setdefault(cell.name, cell.source)

    extras: dict[int, list[str]] = {}
    used: set[str] = set()
    anchor = -1
    for i, cell in enumerate(cells):
        original = instructors.get(cell.name)
        if i in in_order:
            anchor = place[cell.name]
        if original is None:
            own = cell.source
            if cell.kind == "markdown" and own.strip():
                _answer_beside(released["cells"], anchor, own, solutions)
        elif is_solution(original):
            own = cell.source if cell.name in used or cell.source != solutions[cell.name] else ""
            used |= {cell.name} if not own else set()
        else:
            own = "" if is_grade(original) else _added(cell.source, original["source"])
        if cell.kind == "code" and own.strip():
            extras.setdefault(anchor, []).append(own)

    notebook = {**copy.deepcopy(released), "cells": []}
    notebook["cells"] = list(_woven(released["cells"], solutions, extras))
    return notebook


def _recognised(cells: list[Cell], instructors: list[dict[str, Any]]) -> list[Cell]:
    """Name the cells of a notebook that lost all names, as some tools save it.

    Cells whose text is the handout's are known; between two of these, a cell of a solution's kind is that solution.
    """
    theirs, ours = [cell["source"].strip() for cell in instructors], [cell.source.strip() for cell in cells]
    named = list(cells)
    gap_theirs = gap_ours = 0
    for block in SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks():
        free = list(range(gap_ours, block.b))
        for original in instructors[gap_theirs : block.a]:
            at = next((i for i in free if cells[i].kind == original["cell_type"]), None)
            if is_solution(original) and at is not None:
                named[at] = replace(cells[at], name=name_of(original))
                free = [i for i in free if i > at]
        for i in range(block.size):
            named[block.b + i] = replace(cells[block.b + i], name=name_of(instructors[block.a + i]))
        gap_theirs, gap_ours = block.a + block.size, block.b + block.size
    return named


def _longest_ascent(places: list[int]) -> set[int]:
    """The indices of a longest strictly ascending run of places; -1 is no place. Copied and moved cells fall out."""
    ends: list[int] = []  # the index at which the best run of each length ends
    before: dict[int, int | None] = {}
    for i, here in enumerate(places):
        if here < 0:
            continue
        at = bisect_left([places[end] for end in ends], here)
        before[i] = ends[at - 1] if at else None
        ends[at : at + 1] = [i]
    chosen: set[int] = set()
    last = ends[-1] if ends else None
    while last is not None:
        chosen.add(last)
        last = before[last]
    return chosen


def _added(text: str, original: str) -> str:
    """The lines that a learner added to an instructor's cell."""
    known = Counter(original.splitlines())
    lines = text.splitlines()
    known.subtract(lines)
    return "\n".join(line for line in lines if known[line] < 0)


def _answer_beside(instructors: list[dict[str, Any]], anchor: int, text: str, solutions: dict[str, str]) -> None:
    """Count a new Markdown cell at or just before a written answer as part of that answer."""
    for i in (anchor, anchor + 1):
        if 0 <= i < len(instructors) and is_solution(instructors[i]) and instructors[i]["cell_type"] == "markdown":
            name = name_of(instructors[i])
            answer = solutions.get(name, instructors[i]["source"])
            if answer == instructors[i]["source"]:
                solutions[name] = text
            elif len(answer) <= MAX_ANSWER:
                solutions[name] = f"{answer}\n\n{text}"
            return


def _woven(
    instructors: list[dict[str, Any]], solutions: dict[str, str], extras: dict[int, list[str]]
) -> Iterator[dict[str, Any]]:
    count = 0
    for i in range(-1, len(instructors)):
        if i >= 0:
            cell = copy.deepcopy(instructors[i])
            if is_solution(cell):
                text = solutions.get(name_of(cell), "")
                if cell["cell_type"] == "code":
                    cell["source"] = text
                elif text.strip():  # an answer left empty stays as it was handed out: no response, nothing to read
                    cell["source"] = harmless(text)
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
            yield cell
        for source in extras.get(i, []):
            count += 1
            yield {
                "cell_type": "code",
                "id": f"extra-{count}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }


def harmless(markdown: str) -> str:
    """A learner's Markdown in which no tag, link or picture is left: a reader's browser runs and fetches nothing.

    Formgrader renders written answers with neither sanitising nor a limit, and slowly where they are long.
    """
    if len(markdown) > MAX_ANSWER:
        markdown = f"{markdown[:MAX_ANSWER]}\n\n(cut here: an answer may have {MAX_ANSWER} characters)"
    markdown = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", markdown)
    markdown = re.sub(r"\]\s*(?=[(\[:])", r"]\\", markdown)  # [text](link), [text][name], [name]: link
    return re.sub(r"\\{3,}", r"\\\\", markdown)


def is_solution(cell: dict[str, Any]) -> bool:
    """Whether a released cell is the learner's to fill."""
    return bool(cell.get("metadata", {}).get("nbgrader", {}).get("solution"))


def is_grade(cell: dict[str, Any]) -> bool:
    """Whether a released cell carries points."""
    return bool(cell.get("metadata", {}).get("nbgrader", {}).get("grade"))


def is_run(cell: dict[str, Any]) -> bool:
    """Whether a cell of a rebuilt notebook is run when grading."""
    return cell["cell_type"] == "code" and EXPLORE not in cell.get("metadata", {}).get("tags", [])


def name_of(cell: dict[str, Any]) -> str:
    """A released cell's grade_id, or else its id."""
    return cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") or cell["id"]
