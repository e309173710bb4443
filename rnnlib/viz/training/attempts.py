"""Instant answers to the exercises of lesson 11: each tries what a learner wrote and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnlib.studies import Results


def dropout(of: Callable[..., np.ndarray]) -> str:
    """Whether (x, p, rng) -> y is dropout with its scale, and nothing in evaluation."""
    x, p = np.linspace(1, 2, 20000).reshape(100, 200), 0.3
    before = x.copy()
    y = np.asarray(of(x, p, np.random.default_rng(0)))
    if not np.array_equal(x, before):
        return "Not yet: x itself was changed. Return a new array."
    if y.shape != x.shape:
        return f"Not yet: y has shape {y.shape}, expected that of x, {x.shape}."
    share = float((y == 0).mean())
    if abs(share - p) > 0.02:
        return f"Not yet: with p = {p} a share of {share:.2f} is dropped."
    kept = y[y != 0] / x[y != 0]
    if not np.allclose(kept, 1 / (1 - p)):
        return (
            f"Not yet: what is kept is multiplied by {kept.mean():.3f}, and the mean becomes "
            f"{y.mean() / x.mean():.2f} times that of x. Which factor makes up for the share that is gone?"
        )
    try:
        quiet = of(x, p, None)
    except AttributeError:
        return "Not yet: right in training. But rng may be None: that is evaluation, where nothing is drawn."
    if not np.array_equal(quiet, x):
        return "Not yet: right in training. In evaluation (rng is None) x comes back as it is."
    return "Right: the mean is kept, and evaluation needs no scale."


def variational(of: Callable[..., np.ndarray]) -> str:
    """Whether (xs, h, W, U, p, rng) -> hs is an RNN with one mask for a whole sequence, another for each sequence."""
    T, N, D, H, p = 8, 5, 3, 40, 0.4
    rng = np.random.default_rng(1)
    h0, nothing = rng.uniform(0.2, 0.8, size=(N, H)), np.zeros((T, N, D))
    W, U = rng.normal(size=(H, D)), np.eye(H)
    hs = np.asarray(of(nothing, h0, W, U, p, np.random.default_rng(0)))
    if hs.shape != (T, N, H):
        return f"Not yet: the states have shape {hs.shape}, expected (T, N, H) = {(T, N, H)}."
    first = hs[0] != 0
    if first.all():
        return "Not yet: nothing was dropped. Is the mask still there?"
    share = float(1 - first.mean())
    if abs(share - p) > 0.1:
        return f"Not yet: with p = {p} a share of {share:.2f} is dropped."
    if (first == first[0]).all():
        return "Not yet: all sequences of the batch have the same mask. Each needs its own: (N, H)."
    if not (hs[-1] != 0)[first].all():
        return (
            f"Not yet: of the units that came through the first step {(hs[-1] != 0)[first].mean():.0%} are left after "
            f"{T}. The mask is still drawn inside the loop."
        )
    expected = np.tanh(h0 * first / (1 - p))
    if not np.allclose(hs[0], expected):
        return "Not yet: the mask is the same at every step, but what it keeps is not scaled by 1 / (1 - p)."
    return "Right: a unit is there for the whole sequence or not at all."


def ends(results: Results, smallest_gap: str, lowest_loss: str) -> str:
    """Whether these are the arm with the smallest gap and that with the lowest test loss, on average.

    Args:
        results: of the study `regularisers`.
        smallest_gap, lowest_loss: names of its arms.
    """
    for arm in (smallest_gap, lowest_loss):
        if arm not in results.arms:
            return f"Not yet: there is no arm {arm!r}; there are {', '.join(results.arms)}."
    found = {of: min(results.arms, key=lambda arm: results.interval(arm, of).mean) for of in ("gap", "test")}
    if smallest_gap != found["gap"]:
        return f"Not yet: the gap of {smallest_gap!r} is not the smallest."
    if lowest_loss != found["test"]:
        return f"The gap is right. Not yet: the test loss of {lowest_loss!r} is not the lowest."
    if smallest_gap == lowest_loss:
        return "Right: here it is one and the same. That need not be."
    return "Right, and they are two: what closes the gap most is not what helps most."
