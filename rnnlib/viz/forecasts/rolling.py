"""Origins that roll: what each method says from here, and how far off it has been so far."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from rnnlib.studies.forecasting import HORIZON, Series, ahead
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.forecasts.methods import COLORS, DASHED
from rnnlib.viz.scene import Mark

ALL = "all"
BEFORE = 3 * HORIZON  # steps that are shown before the origin
STEPS = np.arange(1, HORIZON + 1)


def explorer(of: Series, forecasts: Mapping[str, np.ndarray]) -> Explorer:
    """Move the origin, or let it roll.

    Args:
        of: the series.
        forecasts: (n, HORIZON), from each of its origins, by the name of the method.
    """
    n = len(of.origins)
    return Explorer(
        functools.partial(at, of, forecasts),
        Slider("origin", "origin", 1, n, 1, value=n // 3, unit=f"of {n}", steps_per_second=6),
        Choice("method", "forecast by", (ALL, *forecasts), ALL),
        title="One origin after another",
        description="Left of the line all is known, right of it nothing. Press play: each origin adds to the errors.",
    )


def at(of: Series, forecasts: Mapping[str, np.ndarray], origin: int, method: str) -> Scene:
    """The forecasts from one origin, and the errors of all origins up to it.

    Args:
        of, forecasts: as in `explorer`.
        origin: counted from 1.
        method: a name, or "all".
    """
    shown = list(forecasts) if method == ALL else [method]
    truth = ahead(of.values, of.origins)[:origin]
    off = {name: np.abs(forecasts[name][:origin] - truth).mean(axis=0) / of.scale for name in forecasts}
    year = of.times[of.origins[origin - 1] - 1]
    means = ", ".join(f"{name} {off[name].mean():.2f}" for name in forecasts)
    return Scene(
        [_forecasts(of, {name: forecasts[name][origin - 1] for name in shown}, origin), _errors(off, shown, origin)],
        alt=f"Forecasts of {HORIZON} {of.step}s made when {year:.0f} was known. Mean absolute scaled error over "
        f"{origin} origins: {means}.",
        columns=2,
    )


def _forecasts(of: Series, forecasts: Mapping[str, np.ndarray], origin: int) -> Panel:
    start = int(of.origins[origin - 1])
    known, come = slice(start - BEFORE, start), slice(start - 1, start + HORIZON)
    marks: list[Mark] = [
        Line(of.times[known], of.values[known], "known", "ink"),
        Line(of.times[come], of.values[come], "what came", "green"),
        Dots(of.times[start : start + HORIZON], of.values[start : start + HORIZON], "", "green", 5),
    ]
    for name, said in forecasts.items():
        marks.append(Line(of.times[start : start + HORIZON], said, name, COLORS[name], name in DASHED))
    seen = np.concatenate([mark.extent()[1] for mark in marks])
    marks.append(Line([of.times[start - 1]] * 2, [seen.min(), seen.max()], "", "grey", dashed=True))
    return Panel(marks, f"Known up to {of.times[start - 1]:.0f}", "year", of.unit, height=330)


def _errors(off: Mapping[str, np.ndarray], shown: list[str], origin: int) -> Panel:
    marks = [Line(STEPS, off[name], name, COLORS[name], name in DASHED) for name in shown]
    return Panel(
        marks, f"Mean of {origin} origins", "horizon (steps ahead)", "scaled error", y_limits=(0, None), height=330
    )
