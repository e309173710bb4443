"""Intervals from past residuals: how wide at each horizon, and how much of what came lies inside."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from rnnlib.studies.forecasting import HORIZON, Series, ahead, coverage, margins
from rnnlib.viz import Band, Choice, Dots, Explorer, Line, Panel, Scene, Slider

STEPS = np.arange(1, HORIZON + 1)
BEFORE = 2 * HORIZON  # steps that are shown before the origin


def explorer(of: Series, forecasts: np.ndarray, residuals: Mapping[str, np.ndarray]) -> Explorer:
    """Choose the level, where the residuals come from, and a factor for the width.

    Args:
        of: the series.
        forecasts: (n, HORIZON), from each of its origins.
        residuals: (k, HORIZON), by where they come from.
    """
    n = len(of.origins)
    return Explorer(
        functools.partial(at, of, forecasts, residuals),
        Slider("level", "promised", 50, 95, 5, value=80, unit="%"),
        Choice("source", "residuals from", tuple(residuals), next(iter(residuals))),
        Slider("factor", "width times", 0.5, 2.5, 0.1, value=1.0),
        Slider("origin", "origin", 1, n, 1, value=n // 2, unit=f"of {n}"),
        title="How wide, and is it enough?",
        description="Make the dots on the right meet the promise: first by the source, then by the factor.",
    )


def at(
    of: Series,
    forecasts: np.ndarray,
    residuals: Mapping[str, np.ndarray],
    level: int,
    source: str,
    factor: float,
    origin: int,
) -> Scene:
    """The interval at one origin, and the coverage over all of them.

    Args:
        of, forecasts, residuals: as in `explorer`.
        level: in percent.
        source: a name in residuals.
        factor: that the margins are multiplied with.
        origin: counted from 1.
    """
    margin = factor * margins(residuals[source], level / 100)
    inside = 100 * coverage(ahead(of.values, of.origins), forecasts, margin)
    start, said = int(of.origins[origin - 1]), forecasts[origin - 1]
    when, come = of.times[start : start + HORIZON], of.values[start : start + HORIZON]
    known = slice(start - BEFORE, start)
    one = Panel(
        [
            Line(of.times[known], of.values[known], "known", "ink"),
            Band(when, said - margin, said + margin, f"{level} % interval", "vermillion"),
            Line(when, said, "forecast", "vermillion"),
            Dots(when, come, "what came", "green", 6),
        ],
        f"Known up to {of.times[start - 1]:.0f}", "year", of.unit, height=330,
    )  # fmt: skip
    every = Panel(
        [
            Line([1, HORIZON], [level, level], "promised", "ink", dashed=True),
            Line(STEPS, inside, "inside", "vermillion"),
            Dots(STEPS, inside, "", "vermillion", 7),
        ],
        f"All {len(of.origins)} origins: {inside.mean():.0f} %", "horizon (steps ahead)", "of what came (%)",
        y_limits=(0, 102), height=330,
    )  # fmt: skip
    return Scene(
        [one, every],
        alt=f"{level} % intervals from residuals {source}, width times {factor:.1f}: {inside.mean():.0f} % of what "
        f"came lies inside, {inside[0]:.0f} % one step ahead and {inside[-1]:.0f} % {HORIZON} steps ahead; mean width "
        f"{2 * margin.mean():.3g} {of.unit}.",
        columns=2,
    )
