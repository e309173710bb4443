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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 20 << 20  # of a submitted notebook
MAX_CELLS = 2_000
MAX_SOURCE = 1 << 20  # characters of one cell
EXPLORE = "explore"  # the tag of instructor cells that are for playing, not for grading


class Ungradable(ValueError):
    """A submission that cannot be run. The message is the reason that its owner reads."""


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
    """
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise Ungradable("The submission is not a folder.")
        notebooks = sorted(entry for entry in os.listdir(folder) if entry.endswith(".ipynb"))
    except OSError as error:
        raise Ungradable(f"The submission's folder cannot be read: {error.strerror}.") from error
    if name not in notebooks and len(notebooks) != 1:
        found = f"{len(notebooks)} other notebooks" if notebooks else "no notebook"
        raise Ungradable(f"There is no {name} in the submission; there is {found}.")
    return _read_regular_file(folder / (name if name in notebooks else notebooks[0]))


def _read_regular_file(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Ungradable("The notebook is a link or cannot be opened; hand in the file itself.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Ungradable("The notebook is not an ordinary file.")
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Ungradable(f"The notebook is larger than {MAX_BYTES >> 20} MiB. Clear its outputs, save, hand in again.")
    return raw


def digest(raw: bytes) -> str:
    """The name of a submission's content in the journal."""
    return hashlib.sha256(raw).hexdigest()


def parse(raw: bytes) -> list[Cell]:
    """Read the cells of a notebook file without trusting any of it.

    Raises:
        Ungradable: not JSON, not a notebook of format 4, too deep or too many cells.
    """
    try:
        notebook = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Ungradable(
            "The file is not a notebook: it is not valid JSON. Was it cut off, or edited by hand?"
        ) from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise Ungradable("The file is not a notebook of format 4: open it in JupyterLab, save it, hand in again.")
    if len(notebook["cells"]) > MAX_CELLS:
        raise Ungradable(f"The notebook has more than {MAX_CELLS} cells.")
    return [_parse_cell(cell) for cell in notebook["cells"] if isinstance(cell, dict)]


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
        A notebook as JSON. A cell that was copied counts where it stands: the first copy fills the solution cell, the
        others run after it, as Run All would. A deleted solution cell is empty; a deleted locked cell is back.
    """
    known = {_name(cell): cell for cell in released["cells"]}
    solutions: dict[str, str] = {}
    extras: dict[str | None, list[Cell]] = {None: []}
    anchor: str | None = None
    for cell in cells:
        instructors = known.get(cell.name)
        if instructors is None or (cell.name in solutions and cell.kind == "code"):
            if cell.kind == "code" and cell.source.strip():
                extras.setdefault(anchor, []).append(cell)
            continue
        if is_solution(instructors) and cell.name not in solutions:
            solutions[cell.name] = cell.source
        anchor = cell.name

    notebook = {**copy.deepcopy(released), "cells": []}
    notebook["cells"] = list(_woven(released["cells"], solutions, extras))
    return notebook


def _woven(
    instructors: list[dict[str, Any]], solutions: dict[str, str], extras: dict[str | None, list[Cell]]
) -> Iterator[dict[str, Any]]:
    count = 0
    for anchor in (None, *instructors):
        if anchor is not None:
            cell = copy.deepcopy(anchor)
            if is_solution(cell):
                text = solutions.get(_name(cell), "")
                cell["source"] = text if cell["cell_type"] == "code" else without_tags(text)
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
            yield cell
        for extra in extras.get(None if anchor is None else _name(anchor), []):
            count += 1
            yield {
                "cell_type": "code",
                "id": f"extra-{count}",
                "metadata": {},
                "source": extra.source,
                "outputs": [],
                "execution_count": None,
            }


def without_tags(markdown: str) -> str:
    """A learner's Markdown with HTML tags shown as text, so that no reader's browser ever runs them."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", markdown)


def is_solution(cell: dict[str, Any]) -> bool:
    """Whether a released cell is the learner's to fill."""
    return bool(cell.get("metadata", {}).get("nbgrader", {}).get("solution"))


def is_run(cell: dict[str, Any]) -> bool:
    """Whether a cell of a rebuilt notebook is run when grading."""
    return cell["cell_type"] == "code" and EXPLORE not in cell.get("metadata", {}).get("tags", [])


def _name(cell: dict[str, Any]) -> str:
    return cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") or cell["id"]
