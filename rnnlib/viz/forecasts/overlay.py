"""The overlay that fools: forecasts drawn over what came, and the changes that they should have foreseen."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from rnnlib.studies.forecasting import HORIZON, Series, ahead, looks, skill
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider

NAIVE = "naive"


def explorer(of: Series, forecasts: Mapping[str, np.ndarray]) -> Explorer:
    """Choose how far ahead, and who forecasts.

    Args:
        of: the series.
        forecasts: (n, HORIZON), from each of its origins, by the name of the method; one of them is "naive".
    """
    return Explorer(
        functools.partial(at, of, forecasts),
        Slider("horizon", "forecast", 1, HORIZON, 1, value=1, unit="steps ahead"),
        Choice("method", "by", tuple(forecasts), next(iter(forecasts))),
        title="A forecast over the truth",
        description="Look at the left as an advertisement would show it, then at the right. Now take more steps ahead.",
    )


def at(of: Series, forecasts: Mapping[str, np.ndarray], horizon: int, method: str) -> Scene:
    """The overlay of one horizon, and forecast against true changes since the origin.

    Args:
        of, forecasts: as in `explorer`.
        horizon: steps ahead.
        method: a name in forecasts.
    """
    rows = ahead(of.values, of.origins), forecasts[method], forecasts[NAIVE]
    truth, said, rival = (each[:, horizon - 1] for each in rows)
    last = of.values[of.origins - 1]
    r2, gain = looks(truth, said), float(skill(truth, said, rival))
    over = _over(of, said, horizon, f"{method}, {horizon} ahead")
    reach = 1.05 * float(np.abs(truth - last).max())
    changes = Panel(
        [
            Line([-reach, reach], [-reach, reach], "perfect", "grey", dashed=True),
            Dots(truth - last, said - last, "", "vermillion", 4),
        ],
        f"Skill against naive: {100 * gain:+.0f} %", f"true change ({of.unit})", f"forecast change ({of.unit})",
        (-reach, reach), (-reach, reach), height=330,
    )  # fmt: skip
    return Scene(
        [over, changes],
        alt=f"{method}, {horizon} steps ahead: R² of the values {r2:.3f}, skill against the last value "
        f"{100 * gain:+.1f} %. The forecast changes spread by {(said - last).std():.2g}, the true ones by "
        f"{(truth - last).std():.2g}.",
        columns=2,
    )


def advertised(of: Series, forecasts: np.ndarray) -> Scene:
    """The left part alone, one step ahead, as an advertisement shows it.

    Args:
        of: the series.
        forecasts: (n, HORIZON), from each of its origins.
    """
    panel = _over(of, forecasts[:, 0], 1, "forecast of the day before")
    return Scene(
        [panel], alt=f"Forecast and truth over {len(forecasts)} days nearly lie on one another. {panel.title}."
    )


def _over(of: Series, said: np.ndarray, horizon: int, label: str) -> Panel:
    truth = ahead(of.values, of.origins)[:, horizon - 1]
    when = of.times[of.origins + horizon - 1]
    return Panel(
        [Line(when, truth, "what came", "green"), Line(when, said, label, "vermillion")],
        f"R² = {looks(truth, said):.2f}", f"time ({of.step}s)", of.unit, height=330,
    )  # fmt: skip
