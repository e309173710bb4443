"""How many tokens a second, measured so that a comparison can be trusted.

Whatever is compared takes turns, so that a machine that is busy for a moment slows all of it alike. Other work can only
make a round slower, so each contender is judged by its fastest round, as Python's `timeit` advises; how far the usual
round falls behind is shown beside it. What is run does not come in here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rnnlib.viz import Bars, Line, Panel, Scene


class Gain(NamedTuple):
    """A speed over the best of the first contender: of the fastest round, and of the usual one, the median."""

    best: float
    usual: float


def tokens_per_second(
    contenders: Mapping[str, Callable[[], object]],
    tokens: int,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Time functions that do the same work, in turns.

    Args:
        contenders: by name, each called without arguments; once before the clock starts, to warm up.
        tokens: real steps that each of them reads in one call, padding not counted.
        rounds: how often each is timed.
        clock: seconds, as a float.

    Returns:
        By name, (rounds,) tokens a second; position i of each belongs to the same round.

    Raises:
        ValueError: there is nothing to time, or tokens or rounds is below 1.
    """
    if not contenders or tokens < 1 or rounds < 1:
        raise ValueError(f"{len(contenders)} contenders, {tokens} tokens and {rounds} rounds: each must be at least 1")
    for run in contenders.values():
        run()
    speeds = {name: np.empty(rounds) for name in contenders}
    for i in range(rounds):
        for name, run in contenders.items():
            start = clock()
            run()
            speeds[name][i] = tokens / max(clock() - start, 1e-9)  # a coarse clock may not have moved
    return speeds


def gains(speeds: Mapping[str, np.ndarray]) -> dict[str, Gain]:
    """How many times as fast as the first each contender is.

    Args:
        speeds: from `tokens_per_second`.

    Returns:
        By name; `best` of the first is 1.
    """
    first = next(iter(speeds.values())).max()
    return {name: Gain(float(speed.max() / first), float(np.median(speed) / first)) for name, speed in speeds.items()}


def panel(measured: Mapping[str, Gain], possible: Mapping[str, float], height: int = 240) -> Panel:
    """Measured gains as bars, with a line down to the usual round, beside what could be won at most.

    Args:
        measured: from `gains`.
        possible: by the same names, positions computed by the first over those computed by this one.
    """
    places = np.arange(len(measured), dtype=float)
    top = 1.15 * max([g.best for g in measured.values()] + list(possible.values()))
    marks = [
        Bars(places - 0.18, [possible[name] for name in measured], "if only positions counted", "grey", 0.34),
        Bars(places + 0.18, [g.best for g in measured.values()], "measured, fastest round", "blue", 0.34),
        *(Line([x + 0.18] * 2, [g.usual, g.best], color="ink") for x, g in zip(places, measured.values(), strict=True)),
    ]
    return Panel(
        marks, "Tokens a second, beside the first", y_label="times as many", x_names=list(measured), y_limits=(0, top),
        x_limits=(-0.6, len(measured) - 0.4), height=height,
    )  # fmt: skip


def chart(measured: Mapping[str, Gain], possible: Mapping[str, float]) -> Scene:
    """The same as a picture of its own, with its numbers in words."""
    first, *others = measured
    spoken = [f"{name} {measured[name].best:.1f} times ({possible[name]:.1f} possible)" for name in others]
    return Scene([panel(measured, possible)], alt=f"Tokens a second beside {first}: {', '.join(spoken)}.")
