"""A study as a picture: a dot for each seed, and the mean with its interval beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnlib.studies import Interval, Results, interval
from rnnlib.viz import Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark


def compared(
    results: Results,
    measure: str,
    *,
    title: str,
    x_label: str,
    beside: str | None = None,
    names: Mapping[str, str] | None = None,
    chance: float | None = None,
) -> Scene:
    """What each arm measured, the first arm on top; farther left is less.

    Args:
        results: of a study, at least two seeds.
        measure: a number of each row.
        title, x_label: the label with its unit.
        beside: an arm; every row then shows how much more it has than that arm, seed by seed.
        names: what an arm is called in the picture, where that differs.
        chance: a value that a dotted line marks, such as that of one who knows nothing.
    """
    shown = [arm for arm in results.arms if arm != beside]
    values = {arm: results.values(arm, measure) for arm in shown}
    if beside is not None:
        values = {arm: of - results.values(beside, measure) for arm, of in values.items()}
    marks: list[Mark] = []
    mark = 0.0 if beside is not None else chance
    if mark is not None:
        marks.append(Line(np.array([mark, mark]), np.array([-0.6, len(shown) - 0.4]), color="grey", dashed=True))
    means = {arm: interval(of) for arm, of in values.items()}
    for row, arm in enumerate(reversed(shown)):
        mean, low, high = means[arm]
        marks += [
            Dots(values[arm], np.full(len(values[arm]), row - 0.17), color="sky", size=3),
            Line(np.array([low, high]), np.array([row + 0.1, row + 0.1]), color="ink"),
            Dots(np.array([mean]), np.array([row + 0.1]), color="vermillion", size=5),
        ]
    panel = Panel(
        marks,
        title=title,
        x_label=x_label,
        y_limits=(-0.6, len(shown) - 0.4),
        y_names=[(names or {}).get(arm, arm) for arm in reversed(shown)],
        height=90 + 34 * len(shown),
    )
    return Scene([panel], alt=f"{title}: {'; '.join(_said(arm, means[arm]) for arm in shown)}.")


def _said(arm: str, of: Interval) -> str:
    return f"{arm} {of.mean:.3g} ({of.low:.3g} to {of.high:.3g})"
