"""Instant answers to the exercises of lesson 10: each tries what a learner wrote and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnlib.optim import cosine_decay, linear_warmup

LOSSES = (3.0, 2.6, 2.4, 2.5, 2.3, 2.35, 2.31, 2.4, 2.2, 2.1)


def schedule(of: Callable[[int, int, int], float]) -> str:
    """Whether (t, rise, steps) -> factor is warm-up and then cosine decay."""
    steps, rise = 40, 8
    right = linear_warmup(rise, cosine_decay(steps - rise))
    first = of(0, rise, steps)
    if first == 0:
        return "Not yet: the first step has a rate of 0, so its batch is wasted. (t + 1) / rise begins above it."
    for t in range(rise):
        if not np.isclose(of(t, rise, steps), right(t)):
            return f"Not yet: at t = {t} of a rise of {rise} expected {right(t):.3f}, got {of(t, rise, steps):.3f}."
    if not np.isclose(of(rise, rise, steps), 1.0):
        return (
            f"Not yet: after the rise the factor falls from 1 to {of(rise, rise, steps):.3f} at once. "
            "Is the cosine counted from the end of the rise, over the steps that are left?"
        )
    for t in range(rise, steps):
        if not np.isclose(of(t, rise, steps), right(t)):
            return f"Not yet: at t = {t} of {steps} expected {right(t):.3f}, got {of(t, rise, steps):.3f}."
    return "Right: from 1/rise up to 1, then along half a cosine towards 0."


def accumulation(of: Callable[[Sequence[np.ndarray], Sequence[int]], np.ndarray]) -> str:
    """Whether (gradients, targets) -> gradient is that of all batches in one."""
    rng = np.random.default_rng(0)
    targets = [60, 60, 60]
    parts = [rng.normal(size=(3, 2)) for _ in targets]
    if not np.allclose(of(parts, targets), sum(parts) / 3):
        if np.allclose(of(parts, targets), sum(parts)):
            return "Not yet: the parts are added up and not averaged, so three batches make three times the step."
        return "Not yet: even three batches of the same size do not give their mean."
    targets = [120, 60, 7]
    expected = sum(n * g for n, g in zip(targets, parts, strict=True)) / sum(targets)
    if not np.allclose(of(parts, targets), expected):
        return (
            "Not yet: right for batches of the same size. With 120, 60 and 7 targets each *target* must count the "
            "same, and now those in the smallest batch count most."
        )
    return "Right: as if all had been one batch."


def patience(of: Callable[[Sequence[float], int], tuple[int, int]]) -> str:
    """Whether (validation losses, patience) -> (epoch after which to stop, epoch to go back to), both from 1."""
    cases: Mapping[int, tuple[int, int]] = {2: (7, 5), 3: (8, 5), 4: (10, 10)}
    for wait, expected in cases.items():
        stopped, best = of(LOSSES, wait)
        if (stopped, best) != expected:
            why = "It counts the epochs since the lowest loss so far, not since the epoch before."
            if stopped == expected[0]:
                why = "It goes back to the epoch with the lowest loss among those that it has seen."
            return (
                f"Not yet: of {LOSSES} with patience {wait} expected to stop after epoch {expected[0]} and go back to "
                f"{expected[1]}, got {stopped} and {best}. {why}"
            )
    if of((3.0, 2.0), 5) != (2, 2):
        return "Not yet: where the epochs run out first, it stops after the last one."
    return "Right: and with patience 4 it would have found epoch 10, which patience 3 never saw."
