"""What a learner's own step, schedule and loop do: a walk down a valley, a log, a run that stops (problem set 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rnnlib.viz import Dots, Heatmap, Label, Line, Panel, Scene
from rnnlib.viz.scene import Mark

START = np.array([-3.4, 1.9])
# A valley that lies a little aslant: 60 times as steep across as along.
_ALONG, _ACROSS = np.array([np.cos(0.4), -np.sin(0.4)]), np.array([np.sin(0.4), np.cos(0.4)])
_CURVATURE = np.outer(_ALONG, _ALONG) + 60 * np.outer(_ACROSS, _ACROSS)


def valley_loss(theta: np.ndarray) -> np.ndarray:
    """L = θᵀ A θ / 2 of points (..., 2); its lowest point is (0, 0)."""
    return np.einsum("...i,ij,...j->...", theta, _CURVATURE, theta) / 2


def valley_gradient(theta: np.ndarray) -> np.ndarray:
    """A θ."""
    return _CURVATURE @ theta


def walk(step: Callable[[np.ndarray, int], np.ndarray], steps: int) -> np.ndarray:
    """Where steps lead from `START`.

    Args:
        step: from a point (2,) and how many steps were taken to the next point.
        steps: how many.

    Returns:
        (steps + 1, 2); NaN from where a point is not finite or far away.
    """
    path = np.full((steps + 1, 2), np.nan)
    path[0] = START
    for k in range(steps):
        there = np.asarray(step(path[k].copy(), k), float)
        if not np.abs(there).max() < 1e3:
            break
        path[k + 1] = there
    return path


def walked(path: np.ndarray, rates: Sequence[float], *, name: str, other: np.ndarray, other_name: str) -> Scene:
    """Two walks over the valley, and the rates of the first.

    Args:
        path, other: (steps + 1, 2), of the learner's step and of one to compare it with.
        rates: (steps,), of the learner's schedule.
        name, other_name: what the two are called.
    """
    width, height = np.linspace(-4, 4, 81), np.linspace(-3, 3, 61)
    grid = np.stack(np.meshgrid(width, height), axis=-1)
    surface = Heatmap(np.log10(valley_loss(grid) + 0.01), "log₁₀ of the loss", x_range=(-4, 4), y_range=(-3, 3))
    mine, theirs = _inside(path), _inside(other)
    marks: list[Mark] = [
        surface,
        Line(theirs[:, 0], theirs[:, 1], other_name, "vermillion", dashed=True),
        Line(mine[:, 0], mine[:, 1], name, "blue"),
        Dots(mine[:, 0], mine[:, 1], color="blue", size=4),
        Label(0, 0, "+"),
    ]
    ends = {what: _loss_at_the_end(way) for what, way in ((name, path), (other_name, other))}
    alt = "; ".join(f"{what}: a loss of {loss:.2g} after {len(path) - 1} steps" for what, loss in ends.items()) + "."
    over = Panel(marks, "Down a valley", x_label="θ₁", y_label="θ₂", x_limits=(-4, 4), y_limits=(-3, 3), height=300)
    rate = Panel(
        [Line(np.arange(len(rates)), rates, color="blue")], "The rate", x_label="step", y_label="η", height=300
    )
    return Scene([over, rate], alt, columns=2)


def _inside(path: np.ndarray) -> np.ndarray:
    """A path as far as the picture shows it."""
    return np.where((np.abs(path) <= [4, 3]).all(axis=1, keepdims=True), path, np.nan)


def _loss_at_the_end(path: np.ndarray) -> float:
    return float(valley_loss(path[-1])) if np.isfinite(path[-1]).all() else np.inf


def run_log(
    losses: Sequence[float],
    rates: Sequence[float],
    norms: Sequence[float],
    *,
    max_norm: float,
    validation: Sequence[float],
    keep: int,
) -> Scene:
    """The three curves that every run should leave behind.

    Args:
        losses, rates, norms: one for each update; the loss in nats.
        max_norm: where gradients are clipped.
        validation: the loss after each epoch, in nats.
        keep: the epoch whose weights are kept.
    """
    updates = np.arange(1, len(losses) + 1)
    ends = len(losses) / len(validation) * np.arange(1, len(validation) + 1)
    loss = [
        Line(updates, losses, "training", "sky"),
        Line(ends, validation, "validation", "vermillion"),
        Dots([ends[keep]], [validation[keep]], "kept", "ink", 9),
    ]
    clipped = float(np.mean(np.asarray(norms) > max_norm))
    limit = Line([1, len(losses)], [max_norm, max_norm], "clipped above", "grey", dashed=True)
    size = {"x_label": "update", "height": 240}
    panels = [
        Panel(loss, "Loss", y_label="nats a character", **size),  # type: ignore[arg-type]
        Panel([Line(updates, rates, color="blue")], "Rate", y_label="η", **size),  # type: ignore[arg-type]
        Panel(
            [Line(updates, norms, "before clipping", "green"), limit],
            "Gradient norm",
            y_label="‖g‖",
            **size,  # type: ignore[arg-type]
        ),
    ]
    alt = f"{len(losses)} updates: the training loss goes from {losses[0]:.2f} to {losses[-1]:.2f} nats; epoch {keep} "
    alt += f"is kept, with {validation[keep]:.2f} nats in validation; {clipped:.0%} of the gradients are clipped."
    return Scene(panels, alt, columns=3)


def stopped(validation: Sequence[float], stop: int, keep: int) -> Scene:
    """A run's validation losses, where it would have ended, and which epoch would have been kept.

    Args:
        validation: the loss after each epoch, in nats.
        stop, keep: two of its epochs.
    """
    epochs = np.arange(len(validation))
    low, high = float(np.min(validation)), float(np.max(validation))
    marks: list[Mark] = [
        Line(epochs, validation, "never trained", "grey", dashed=True),
        Line(epochs[: stop + 1], validation[: stop + 1], "trained", "blue"),
        Line([stop, stop], [low, high], "stop", "vermillion"),
        Dots([keep], [validation[keep]], "keep", "ink", 9),
    ]
    spared = len(validation) - 1 - stop
    alt = (
        f"Stopped after epoch {stop}, epochs spared: {spared}; epoch {keep} is kept, with {validation[keep]:.3f} nats. "
    )
    alt += f"The lowest of all {len(validation)} is {low:.3f}."
    panel = Panel(marks, "When to stop", x_label="epoch", y_label="validation loss (nats a character)", height=280)
    return Scene([panel], alt)
