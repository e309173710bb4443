"""The way that an optimiser takes over a loss of two parameters, seen from above, and how the loss falls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rnnlib.viz import Dots, Heatmap, Line, Panel, Scene
from rnnlib.viz.scene import Mark

EDGE = 3.0  # of the plane: both parameters from -3 to 3


def paths(loss: Callable[[np.ndarray], np.ndarray], taken: Mapping[str, np.ndarray]) -> Scene:
    """The steps of several optimisers over the same loss.

    Args:
        loss: of points (..., 2), one number for each.
        taken: by name, the points (steps + 1, 2), the start in front.
    """
    line = np.linspace(-EDGE, EDGE, 61)
    height = np.log10(loss(np.stack(np.meshgrid(line, line), axis=-1)) + 1e-2)
    above: list[Mark] = [
        Heatmap(height, "log₁₀ loss", limits=(-2.0, 4.0), center=-2.0, x_range=(-EDGE, EDGE), y_range=(-EDGE, EDGE))
    ]
    fall: list[Mark] = []
    for (name, points), color in zip(taken.items(), ("blue", "vermillion", "green", "purple"), strict=False):
        inside = np.where((np.abs(points) <= EDGE).all(axis=1, keepdims=True), points, np.nan)
        above += [Line(inside[:, 0], inside[:, 1], color=color), Dots(inside[:, 0], inside[:, 1], name, color, size=5)]
        fall.append(Line(np.arange(len(points)), np.maximum(loss(points), 1e-6), name, color))
    ends = ", ".join(f"{name} {float(loss(points[-1])):.2g}" for name, points in taken.items())
    return Scene(
        [
            Panel(
                above, "Seen from above", x_label="parameter θ₁", y_label="parameter θ₂", x_limits=(-EDGE, EDGE),
                y_limits=(-EDGE, EDGE), equal=True, height=320,
            ),
            Panel(
                fall, "The loss", x_label="step", y_label="loss", y_scale="log", y_limits=(1e-6, 1e4), height=320
            ),
        ],
        alt=f"Paths over a loss that is far steeper in θ₂ than in θ₁. Loss after the last step: {ends}.",
        columns=2,
    )  # fmt: skip
