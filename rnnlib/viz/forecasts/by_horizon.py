"""A study's measure at every horizon: a line for each method, a band for what other seeds would likely give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.studies import Results, interval
from rnnlib.viz import Band, Line, Panel, Scene
from rnnlib.viz.forecasts.methods import COLORS, DASHED
from rnnlib.viz.scene import Limits, Mark


def show(
    every: Mapping[str, Results],
    measures: Sequence[tuple[str, str, str]],
    *,
    y_label: str,
    times: float = 1.0,
    y_limits: Limits = (0, None),
    promised: float | None = None,
    columns: int = 3,
) -> Scene:
    """A panel for each series.

    Args:
        every: results by the name of the series.
        measures: (arm, measure, name): a list over horizons, and its name in `methods`.
        y_label: with its unit.
        times: what the measures are multiplied with, such as 100 for percent.
        y_limits: of all panels.
        promised: where a dotted line is drawn.
        columns: panels side by side.
    """
    panels, said = [], []
    for title, results in every.items():
        marks: list[Mark] = []
        for arm, measure, name in measures:
            lines = times * results.values(arm, measure)
            steps = np.arange(1, lines.shape[1] + 1)
            mean, low, high = np.array([interval(column) for column in lines.T]).T
            if np.any(high > low):
                marks.append(Band(steps, low, high, "", COLORS[name]))
            marks.append(Line(steps, mean, name, COLORS[name], name in DASHED))
            said.append(f"{title}, {name}: {mean[0]:.3g} one step ahead, {mean[-1]:.3g} at the last")
        if promised is not None:
            marks.append(Line([1, steps[-1]], [promised, promised], "promised", "grey", dashed=True))
        panels.append(Panel(marks, title, "horizon (steps ahead)", y_label, y_limits=y_limits, height=400))
    return Scene(panels, alt=f"{y_label} by horizon. {'; '.join(said)}.", columns=columns)
