"""A share of words or letters along their length or place: a curve for each that is compared (lesson 16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.studies import interval
from rnnlib.viz import Band, Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark

COLORS = ("vermillion", "blue", "green", "purple")


def curves(
    x: Sequence[float], shares: Mapping[str, ArrayLike], *, title: str, x_label: str, y_label: str, height: int = 280
) -> Scene:
    """Shares from 0 to 1, in percent; over several seeds their mean, in a band that is its interval.

    Args:
        x: (n,), such as lengths.
        shares: by name (n,), or (seeds, n) with two seeds at least.
        title, x_label, y_label: y in percent.
        height: of the panel in pixels.
    """
    marks: list[Mark] = []
    told = []
    for color, (name, values) in zip(COLORS, shares.items(), strict=False):
        rows = 100 * np.atleast_2d(np.asarray(values, dtype=float))
        mean = rows.mean(axis=0)
        if len(rows) > 1:
            _, low, high = np.array([interval(column) for column in rows.T]).T
            marks.append(Band(x, np.clip(low, 0, 100), np.clip(high, 0, 100), "", color))
        marks += [Line(x, mean, name, color), Dots(x, mean, "", color, size=6)]
        told.append(f"{name} {', '.join(f'{share:.0f}' for share in mean)}")
    panel = Panel(marks, title, x_label, y_label, (min(x) - 0.3, max(x) + 0.3), (-2, 102), height=height)
    return Scene([panel], alt=f"{y_label}, for {x_label} {min(x):g} to {max(x):g}: {'; '.join(told)}.")
