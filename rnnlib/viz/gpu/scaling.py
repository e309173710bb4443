"""A loss scale as it searches for its place: up after a while, down at an overflow (lesson 23)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.viz import Dots, Line, Panel, Scene


def followed(scales: ArrayLike, taken: ArrayLike, largest: ArrayLike, limit: float) -> Scene:
    """The scale of every step, beside the largest that would not have overflowed there.

    Args:
        scales: (n,), with which each step was tried.
        taken: (n,), whether it was.
        largest: (n,), the largest entry of each step's gradient, without a scale.
        limit: of the number format.
    """
    scales, taken = np.asarray(scales, dtype=np.float64), np.asarray(taken, dtype=bool)
    edge = limit / np.asarray(largest, dtype=np.float64)
    steps = np.arange(1, len(scales) + 1)
    skipped = int((~taken).sum())
    panel = Panel(
        [
            Line(steps, edge, "the largest that does not overflow", "grey", dashed=True),
            Line(steps, scales, "scale of the loss", "blue"),
            Dots(steps[taken], scales[taken], "step taken", "blue", size=4),
            Dots(steps[~taken], scales[~taken], "overflow: step left out", "vermillion", size=8),
        ],
        "A scale that follows what overflows", "step", "scale", y_scale="log", height=280,
    )  # fmt: skip
    return Scene(
        [panel],
        alt=f"A loss scale over {len(scales)} steps, from {scales[0]:.3g} to {scales[-1]:.3g}; {skipped} steps were "
        "left out since a gradient overflowed.",
    )
