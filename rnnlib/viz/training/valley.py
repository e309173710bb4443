"""Lesson 10's optimisers on a landscape with two parameters: a long valley, steep across and flat along."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnlib.optim import SGD, Adam, Optimizer, RMSprop
from rnnlib.viz import Choice, Dots, Explorer, Heatmap, Line, Panel, Scene, Slider, Toggle
from rnnlib.viz.scene import Mark

START = -2.0, 0.9
STEPS = 60
LIMITS = (-2.6, 2.6), (-1.3, 1.3)
KINDS: dict[str, Callable[[dict[str, np.ndarray], float], Optimizer]] = {
    "SGD": SGD,
    "momentum": lambda parameters, rate: SGD(parameters, rate, momentum=0.9),
    "RMSprop": lambda parameters, rate: RMSprop(parameters, rate, alpha=0.9),
    "Adam": Adam,
}


def loss(along: np.ndarray, across: np.ndarray, steepness: float) -> np.ndarray:
    """(along² + steepness · across²) / 2: zero at the origin."""
    return (along**2 + steepness * across**2) / 2


def walk(kind: str, rate: float, steepness: float, steps: int = STEPS, noise: float = 0.0) -> np.ndarray:
    """Where an optimiser of rnnlib goes.

    Args:
        kind: one of KINDS.
        rate: η.
        steepness: of the valley's sides, as a multiple of the slope along its floor.
        steps: how many.
        noise: the spread of what is added to the gradient, as from small batches.

    Returns:
        (steps + 1, 2), along and across; NaN once it has left by more than a thousand.
    """
    place = {"place": np.array(START)}
    optimizer, rng = KINDS[kind](place, rate), np.random.default_rng(0)
    path = np.full((steps + 1, 2), np.nan)
    path[0] = START
    for t in range(steps):
        gradient = place["place"] * [1.0, steepness] + noise * rng.normal(size=2)
        optimizer.step({"place": gradient})
        if np.abs(place["place"]).max() > 1e3:
            break
        path[t + 1] = place["place"]
    return path


def explorer() -> Explorer:
    """Two optimisers side by side in one valley."""
    return Explorer(
        draw,
        Choice("kind", "optimiser", tuple(KINDS), "SGD"),
        Choice("other", "beside it", tuple(KINDS), "Adam"),
        Slider("power", "rate, as a power of ten", -3.0, 0.0, 0.1, value=-1.5),
        Slider("steepness", "steepness across", 1, 50, 1, value=20),
        Toggle("noisy", "noise of small batches", False),
        Slider("step", "after step", 1, STEPS, 1, value=STEPS, steps_per_second=12),
        title="One valley, four rules",
        description="Find for each rule the rate that brings it closest to the middle. Then make the valley steeper.",
    )


def draw(kind: str, other: str, power: float, steepness: int, noisy: bool, step: int) -> Scene:
    """The landscape from above with both walks, and both losses below it.

    Args:
        kind, other: of KINDS.
        power: the rate is ten to it.
        steepness: of the valley's sides.
        noisy: whether the gradient has noise.
        step: how far the walks are drawn.
    """
    rate = 10.0**power
    paths = {name: walk(name, rate, steepness, noise=0.5 * noisy) for name in dict.fromkeys((kind, other))}
    xs, ys = (np.linspace(*limits, 61) for limits in LIMITS)
    height = np.sqrt(loss(xs[None], ys[:, None], steepness))
    above: list[Mark] = [
        Heatmap(height, "√loss", (0.0, float(height.max())), center=float(height.max()) / 2, x_range=LIMITS[0],
                y_range=LIMITS[1]),
    ]  # fmt: skip
    below: list[Mark] = []
    told = []
    for name, path in paths.items():
        seen = path[: step + 1]
        inside = np.where(np.all(np.abs(seen) < [LIMITS[0][1], LIMITS[1][1]], axis=1, keepdims=True), seen, np.nan)
        losses = loss(seen[:, 0], seen[:, 1], steepness)
        above += [
            Line(inside[:, 0], inside[:, 1], name, "ink" if name == kind else "purple", dashed=name != kind),
            Dots(inside[:, 0], inside[:, 1], color="ink" if name == kind else "purple", size=3.5),
        ]
        below.append(
            Line(np.arange(len(losses)), np.clip(losses, 1e-6, 1e3), name, "ink" if name == kind else "purple",
                 dashed=name != kind)
        )  # fmt: skip
        last = losses[-1]
        told.append(f"{name} {last:.2g}" if np.isfinite(last) else f"{name} is out of sight")
    panels = [
        Panel(above, "From above", x_label="along the valley", y_label="across", x_limits=LIMITS[0],
              y_limits=LIMITS[1], height=300),
        Panel(below, "Loss", x_label="step", y_label="loss", x_limits=(0, STEPS), y_limits=(1e-6, 1e3),
              y_scale="log", height=230),
    ]  # fmt: skip
    return Scene(panels, alt=f"Rate {rate:.3g}, steepness {steepness}. Loss after step {step}: {', '.join(told)}.")


def nearest(kind: str, rate: float, steepness: int = 20) -> str:
    """How far down an optimiser comes in so many steps, in a sentence: the answer to an exercise.

    Args:
        kind: one of KINDS.
        rate: to try.
        steepness: of the valley's sides.
    """
    end = walk(kind, rate, steepness)[-1]
    if not np.isfinite(end).all():
        return f"{kind} at {rate:g}: left the valley. Not yet: steps across must shrink, not grow."
    reached = float(loss(end[0], end[1], steepness))
    verdict = "Right" if reached < 0.01 else "Not yet: below 0.01 is asked for"
    return f"{kind} at {rate:g}: loss {reached:.2g} after {STEPS} steps. {verdict}."
