"""Time of a step against its arithmetic, as overhead + work: where a recurrent step stops being free (lesson 23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.viz import Dots, Label, Line, Panel, Scene
from rnnlib.viz.scene import Mark

COLORS = {"loop": "vermillion", "fused": "blue"}


class Cost(NamedTuple):
    """What a step costs.

    Attributes:
        overhead: seconds, however little there is to compute.
        per_flop: seconds for each addition or multiplication.
    """

    overhead: float
    per_flop: float

    @property
    def knee(self) -> float:
        """The arithmetic (flop) that takes as long as the overhead; infinite where none was seen to take time."""
        return self.overhead / self.per_flop if self.per_flop else float("inf")

    def seconds(self, flops: ArrayLike) -> np.ndarray:
        """Of steps with so much arithmetic."""
        return self.overhead + self.per_flop * np.asarray(flops, dtype=np.float64)


def flops(N: int, D: int, H: int, gates: int = 4) -> float:
    """Additions and multiplications in the matrix products of a step, forward and backward.

    Forward N rows times D + H inputs times gates * H outputs, a product and a sum each; backward as much for the
    gradient of what went in, and as much for that of the weights.
    """
    return 3.0 * 2 * N * (D + H) * gates * H


def fit(work: ArrayLike, seconds: ArrayLike) -> Cost:
    """The overhead and the time per flop that come closest to what was measured, none below zero.

    Errors count as shares of each time, so that the shortest steps say as much as the longest.

    Args:
        work: (n,) flop of a step.
        seconds: (n,) that it took.

    Raises:
        ValueError: fewer than two sizes, or a time that is not above zero.
    """
    work, seconds = np.asarray(work, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if len(np.unique(work)) < 2 or len(work) != len(seconds) or not (seconds > 0).all():
        raise ValueError(f"work is {work} and seconds are {seconds}: expected two sizes or more, and times above zero")
    unit = work.max()
    columns = np.stack([np.ones_like(work), work / unit], axis=1) / seconds[:, None]
    ones = np.ones(len(work))
    tries = [np.linalg.lstsq(columns, ones, rcond=None)[0]]
    if tries[0].min() < 0:  # the better of the two edges
        alone = [float(column.sum() / (column @ column)) for column in columns.T]
        tries = [np.array([alone[0], 0.0]), np.array([0.0, alone[1]])]
    best = min(tries, key=lambda found: float(((columns @ found - 1) ** 2).sum()))
    return Cost(float(best[0]), float(best[1] / unit))


def against_work(measured: Mapping[str, Sequence[tuple[float, float]]], costs: Mapping[str, Cost], where: str) -> Scene:
    """Measured steps and the fitted lines, both axes logarithmic.

    Args:
        measured: by form, pairs of the flop of a step and the seconds that it took.
        costs: by form, from `fit`.
        where: what it was measured on.
    """
    work = np.array([flop for points in measured.values() for flop, _ in points])
    grid = np.geomspace(work.min() / 2, work.max() * 2, 80)
    marks: list[Mark] = []
    for form, points in measured.items():
        x, y = np.array(points).T
        marks.append(Line(grid, 1e6 * costs[form].seconds(grid), f"{form}: overhead + work", COLORS[form]))
        marks.append(Dots(x, 1e6 * y, f"{form}, measured", COLORS[form], size=7))
        knee = costs[form].knee
        if grid[0] < knee < grid[-1]:
            height = 1e6 * float(costs[form].seconds(knee))
            marks.append(Dots([knee], [height], "", "ink", size=10))
            marks.append(Label(knee, 1.5 * height, "knee", "ink", "right"))
    ends = np.log10(np.concatenate([1e6 * cost.seconds(grid) for cost in costs.values()]))
    low, high = (float(10.0**power) for power in (np.floor(ends.min() - 0.1), np.ceil(ends.max() + 0.1)))
    panel = Panel(
        marks, f"One step on {where}", "arithmetic of a step (flop)", "time of a step (µs)",
        (float(grid[0]), float(grid[-1])), (low, high), x_scale="log", y_scale="log", height=320,
    )  # fmt: skip
    said = "; ".join(
        f"{form} {1e6 * cost.overhead:.3g} µs and {1e12 * cost.per_flop:.3g} ps a flop, knee at {cost.knee:.2g} flop"
        for form, cost in costs.items()
    )
    return Scene([panel], alt=f"Time of a step against its arithmetic, fitted by overhead + work: {said}.")
