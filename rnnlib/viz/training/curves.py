"""Lesson 10's records: the numbers of every epoch of a run as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.training import Epoch
from rnnlib.viz import Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark


def history(epochs: Sequence[Epoch], title: str = "") -> Scene:
    """Training and validation loss of every epoch, and its gradient norm; the best epoch is marked."""
    at = [epoch.epoch for epoch in epochs]
    losses: list[Mark] = [Line(at, [epoch.loss for epoch in epochs], "training", "purple")]
    alt = f"{len(epochs)} epochs. Training loss from {epochs[0].loss:.2f} to {epochs[-1].loss:.2f}"
    judged = [epoch.validation_loss for epoch in epochs if epoch.validation_loss is not None]
    if len(judged) == len(epochs):
        best = int(np.argmin(judged))
        losses += [
            Line(at, judged, "validation", "orange"),
            Dots([at[best]], [judged[best]], "its lowest", "vermillion", size=8),
        ]
        alt += f", validation loss {judged[best]:.2f} at best, in epoch {at[best]}, and {judged[-1]:.2f} at last"
    means, most = [epoch.gradient_norm for epoch in epochs], [epoch.gradient_norm_max for epoch in epochs]
    norms = [Line(at, means, "mean of the epoch", "blue"), Line(at, most, "largest", "sky", dashed=True)]
    panels = [
        Panel(losses, title, x_label="epoch", y_label="loss (nats)", height=260),
        Panel(norms, x_label="epoch", y_label="gradient norm", y_limits=(0, None), height=200),
    ]
    return Scene(panels, alt=f"{alt}. Gradient norm {min(means):.2f} to {max(means):.2f} on average.")


def against_length(found: Mapping[str, Mapping[int, np.ndarray]], y_label: str, chance: float | None = None) -> Scene:
    """A measure against the length of the window: a dot for each seed, a line through the means.

    Args:
        found: by name of the curve and then by length, (seeds,).
        y_label: the measure with its unit.
        chance: a value that a dotted line marks.
    """
    marks: list[Mark] = []
    told = []
    lengths = list(next(iter(found.values())))
    for (name, of), color in zip(found.items(), ("blue", "vermillion"), strict=False):
        means = [float(of[T].mean()) for T in lengths]
        marks.append(Line(np.arange(len(lengths)), means, name, color))
        marks += [Dots(np.full(len(of[T]), at), of[T], color=color, size=4) for at, T in enumerate(lengths)]
        told += [f"{name} {mean:.3g} at {T:g}" for T, mean in zip(lengths, means, strict=True)]
    if chance is not None:
        marks.append(Line([0, len(lengths) - 1], [chance, chance], "a guess", "grey", dashed=True))
    panel = Panel(marks, x_label="window (steps)", y_label=y_label, x_names=[f"{T:g}" for T in lengths], height=280)
    return Scene([panel], alt=f"Means over the seeds, by length of the window: {', '.join(told)}.")
