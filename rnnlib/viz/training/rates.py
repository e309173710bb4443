"""Lesson 10's search as a picture: every rate with its loss, and the curve of every run."""

from __future__ import annotations

import numpy as np

from rnnlib.studies import Results, interval
from rnnlib.studies.training import BLOCK, RATES, SCHEDULES, arm, schedule
from rnnlib.viz import Band, Choice, Dots, Explorer, Line, Panel, Scene, Slider, Toggle
from rnnlib.viz.scene import Mark

COLORS = {"SGD": "orange", "momentum": "vermillion", "RMSprop": "green", "Adam": "blue"}


def against_rate(results: Results, plan: str = "constant", measure: str = "validation") -> Scene:
    """The loss of each optimiser against its rate: a dot for each seed, a line through the means."""
    marks: list[Mark] = []
    told = []
    for name, tried in RATES.items():
        found = [results.values(arm(name, rate, plan), measure) for rate in tried]
        means = [float(values.mean()) for values in found]
        marks.append(Line(tried, means, name, COLORS[name]))
        marks += [
            Dots(np.full(len(values), rate), values, color=COLORS[name], size=4)
            for rate, values in zip(tried, found, strict=True)
        ]
        best = int(np.argmin(means))
        told.append(f"{name} {means[best]:.2f} at {tried[best]:g}")
    panel = Panel(marks, x_label="learning rate", y_label=f"{measure} loss (nats)", x_scale="log", height=320)
    return Scene([panel], alt=f"{measure.capitalize()} loss against the rate. Lowest means: {', '.join(told)}.")


def plans(steps: int = 120) -> Scene:
    """What the four schedules multiply the rate with."""
    t = np.arange(steps)
    marks = [
        Line(t, [schedule(plan, steps)(k) for k in range(steps)], plan, color)
        for plan, color in zip(SCHEDULES, ("grey", "orange", "sky", "purple"), strict=True)
    ]
    panel = Panel(marks, x_label="step", y_label="factor of the rate", y_limits=(0, 1.05), height=230)
    return Scene([panel], alt=f"Four schedules over {steps} steps: constant at 1; a linear rise over the first tenth; "
                 "a fall along half a cosine to 0; both, one after the other.")  # fmt: skip


def explorer(results: Results) -> Explorer:
    """Any two runs of the search side by side.

    Args:
        results: of the study `rates`.
    """

    def draw(name: str, at: int, plan: str, other: str, other_at: int, other_plan: str, seeds: bool) -> Scene:
        return beside(results, (name, at, plan), (other, other_at, other_plan), seeds)

    names = tuple(RATES)
    return Explorer(
        draw,
        Choice("name", "optimiser", names, "Adam"),
        Slider("at", "rate, 1 low to 5 high", 1, 5, 1, value=3),
        Choice("plan", "schedule", SCHEDULES, "constant"),
        Choice("other", "against", names, "SGD"),
        Slider("other_at", "its rate", 1, 5, 1, value=3),
        Choice("other_plan", "its schedule", SCHEDULES, "constant"),
        Toggle("seeds", "every seed", True),
        title="Any two of eighty settings",
        description="Three seeds each, trained before you came. Can you make any optimiser win against any other?",
    )


def beside(results: Results, one: tuple[str, int, str], other: tuple[str, int, str], seeds: bool) -> Scene:
    """The training curves of two settings, their rates over time, and what their seeds reach.

    Args:
        results: of the study `rates`.
        one, other: optimiser, place of the rate from 1, schedule.
        seeds: a curve for each seed; otherwise the mean and the range.
    """
    curves: list[Mark] = []
    paces: list[Mark] = []
    told = []
    for (name, at, plan), color, dashed in ((one, "blue", False), (other, "vermillion", True)):
        rate = RATES[name][at - 1]
        key = arm(name, rate, plan)
        title = f"{name} {rate:g}, {plan}"
        drawn = results.values(key, "curve")
        x = BLOCK * (np.arange(drawn.shape[1]) + 1)
        if seeds:
            curves += [Line(x, row, title if not k else "", color, dashed) for k, row in enumerate(drawn)]
        else:
            curves += [
                Band(x, drawn.min(axis=0), drawn.max(axis=0), color=color),
                Line(x, drawn.mean(axis=0), title, color, dashed),
            ]
        follow = schedule(plan, int(x[-1]))
        paces.append(Line(np.arange(x[-1]), [follow(t) for t in range(x[-1])], title, color, dashed))
        told.append(f"{title}: {results.values(key, 'validation').mean():.3f}")
    top = max(5.0, *(1.02 * float(np.max(mark.extent()[1])) for mark in curves))
    keys = [arm(name, RATES[name][at - 1], plan) for name, at, plan in (one, other)]
    mean, low, high = interval(results.values(keys[0], "validation") - results.values(keys[1], "validation"))
    panels = [
        Panel(curves, "Training loss", x_label="step", y_label="loss (nats)", y_limits=(1.5, top), height=280),
        Panel(paces, "Learning rate", x_label="step", y_label="share of its rate", y_limits=(0, 1.1), height=190),
    ]
    verdict = "which holds 0: not shown to differ" if low <= 0 <= high else "without 0"
    alt = f"Mean validation loss of {'; of '.join(told)}. First less second, seed by seed: {mean:+.3f}, 95 % interval "
    return Scene(panels, alt=f"{alt}{low:+.3f} to {high:+.3f}, {verdict}.")
