"""Which part of a series each fold learns from, and which it is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.viz import Heatmap, Panel, Scene

LEARNS, TESTED, NEITHER = -0.6, 0.6, 0.0


def show(plans: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], T: int) -> Scene:
    """Several plans side by side, a row for each fold: blue is learned from, orange tested on.

    Args:
        plans: by title, the positions of each fold: learned from, tested on.
        T: moments of the series.
    """
    panels = []
    for title, folds in plans.items():
        grid = np.full((len(folds), T), NEITHER)
        for row, (train, test) in enumerate(folds):
            grid[row, train], grid[row, test] = LEARNS, TESTED
        names = [str(k + 1) for k in range(len(folds))]
        marks = [Heatmap(grid, limits=(-1, 1))]
        panels.append(Panel(marks, title, "time (steps)", "fold", y_names=names, height=210))
    sizes = "; ".join(f"{title}: {len(folds)} folds" for title, folds in plans.items())
    return Scene(
        panels,
        alt=f"Learned from (blue) and tested on (orange), fold by fold. {sizes}.",
        columns=len(panels),
    )
