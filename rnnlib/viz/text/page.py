"""Text as a page: a tile for each character, coloured by a number that belongs to it; or plain lines."""

from __future__ import annotations

import numpy as np

from rnnlib.viz import Label, Panel
from rnnlib.viz.scene import Box, Mark

COLUMNS = 52
ROW = 24  # pixels


def rows(text: str, columns: int = COLUMNS) -> list[str]:
    """A text in rows of at most so many characters; a line break belongs to the row that it ends."""
    found = []
    for line in text.splitlines(keepends=True):
        found += [line[i : i + columns] for i in range(0, len(line), columns)]
    return found


def tiles(
    text: str, values: np.ndarray, limit: float, title: str, *, most: int = 9, columns: int = COLUMNS, given: int = 0
) -> Panel:
    """A page of coloured characters: white at 0, dark orange at the limit, blue below 0.

    Args:
        text: what is written.
        values: (len(text),), the number of each character; NaN where there is none.
        limit: the number at which colours end.
        title: of the panel; it says what the colours mean.
        most: rows; what does not fit is left out.
        columns: characters of a row.
        given: so many characters at the beginning are no model's, and get blue edges.
    """
    marks: list[Mark] = []
    at = 0
    for y, row in enumerate(rows(text, columns)[:most]):
        for x, character in enumerate(row):
            value = float(values[at])
            shown = "↵" if character == "\n" else character
            edge = "blue" if at < given else "grey"
            marks.append(Box(x, -y, shown, value if np.isfinite(value) else 0.0, 1.0, 1.0, limit, edge))
            at += 1
    return Panel(
        marks or [Label(0, 0, "nothing is written")],
        title, axes=False, x_limits=(-0.7, columns - 0.3), y_limits=(0.4 - most, 0.6), height=45 + ROW * most,
    )  # fmt: skip


def plain(text: str, title: str, *, most: int = 10, columns: int = COLUMNS) -> Panel:
    """A page without colours."""
    lines = [row.rstrip("\n") for row in rows(text, columns)[:most]]
    marks: list[Mark] = [Label(0, -y, line, align="left") for y, line in enumerate(lines)]
    return Panel(
        marks or [Label(0, 0, "nothing is written")],
        title, axes=False, x_limits=(-0.02, 1), y_limits=(0.6 - most, 0.6), height=45 + 18 * most,
    )  # fmt: skip
