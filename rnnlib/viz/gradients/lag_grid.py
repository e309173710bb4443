"""The tables of lesson 05: a box for every network and lag, coloured by what arrives there, or by what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.viz import Box, Label, Panel, Scene
from rnnlib.viz.scene import Mark

MEASURE = "lag (steps)"


def arriving(shares: Mapping[str, Sequence[float]], lags: Sequence[int], title: str) -> Scene:
    """Powers of ten: white where all of a gradient arrives, blue where it has vanished, orange where it has grown.

    Args:
        shares: by network, one for each lag, 1 where all arrives.
        lags: in steps.
        title: of the panel.
    """
    powers = {name: np.log10(np.maximum(values, 1e-99)) for name, values in shares.items()}
    boxes = {name: [(f"{v:.1e}", power / 8) for v, power in zip(shares[name], powers[name], strict=True)]
             for name in shares}  # fmt: skip
    spoken = "; ".join(f"{name}: " + ", ".join(text for text, _ in row) for name, row in boxes.items())
    return Scene(
        [_panel(boxes, lags, title, MEASURE)], alt=f"What arrives of a gradient at lags {_spoken(lags)}. {spoken}."
    )


def learned(
    scores: Mapping[str, np.ndarray],
    lags: Sequence[int],
    title: str,
    *,
    chance: float = 0.0,
    solved: float = 0.9,
    measure: str = MEASURE,
) -> Scene:
    """How many seeds solved the task; the colour is the mean score, white at chance, orange at 1.

    Args:
        scores: by network, (lags, seeds), 1 at best.
        lags: in steps.
        title: of the panel.
        chance: the score of one that learned nothing.
        solved: above this, a run counts.
        measure: what the columns are.
    """
    boxes = {
        name: [(f"{(row > solved).sum()} of {len(row)}", float(row.mean() - chance) / (1 - chance)) for row in values]
        for name, values in scores.items()
    }
    spoken = "; ".join(f"{name}: " + ", ".join(text for text, _ in row) for name, row in boxes.items())
    return Scene(
        [_panel(boxes, lags, title, measure)], alt=f"Runs that solved the task by {measure}, {_spoken(lags)}. {spoken}."
    )


def _panel(boxes: Mapping[str, Sequence[tuple[str, float]]], lags: Sequence[int], title: str, measure: str) -> Panel:
    marks: list[Mark] = [Label(column, 0.9, f"{lag}") for column, lag in enumerate(lags)]
    marks.append(Label(-0.7, 0.9, measure, align="right"))
    for row, (name, values) in enumerate(boxes.items()):
        marks.append(Label(-0.7, -row, name, align="right"))
        marks += [
            Box(column, -row, text, float(np.clip(value, -1, 1)), 0.94, 0.88, color="grey")
            for column, (text, value) in enumerate(values)
        ]
    return Panel(
        marks, title, axes=False, x_limits=(-2.6, len(lags) - 0.4), y_limits=(-len(boxes) + 0.4, 1.4),
        height=60 + 34 * (len(boxes) + 1),
    )  # fmt: skip


def _spoken(lags: Sequence[int]) -> str:
    return ", ".join(map(str, lags))
