"""What a state does where its sequence has ended, under four rules: the explorer of lesson 09's masked step.

One sequence stands in a batch that is longer than it. The rules are written out here, NaN and all, because showing
what goes wrong is the purpose; the right way to run a padded batch is `rnnlib.recurrent` with lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnlib.viz import Bars, Choice, Explorer, Heatmap, Label, Line, Panel, Scene, Slider
from rnnlib.viz.unrolling.recurrence import random_weights

STEPS, UNITS, SEED = 14, 6, 3
RULES = ("no mask", "multiply", "where", "where, inputs too")
FILLS = {"zeros": 0.0, "a million": 1e6, "NaN": np.nan}
YOURS = "your step"

MaskedStep = Callable[..., np.ndarray]  # (x (N, D), h (N, H), m (N,), W_ih, W_hh, b_ih, b_hh) -> h_next (N, H)


class Held(NamedTuple):
    """One sequence and its padding, forwards and back.

    Attributes:
        x: (STEPS,), the inputs with their padding.
        hs: (STEPS, UNITS), the state after each step.
        added: (STEPS, UNITS, UNITS), what each step adds to the gradient of W_hh, for a loss that reads the last state;
            None where only the way forwards is known.
    """

    x: np.ndarray
    hs: np.ndarray
    added: np.ndarray | None


def explorer(yours: MaskedStep | None = None) -> Explorer:
    """The state of a sequence that ends before its batch does.

    Args:
        yours: a masked step of your own, `yours(x, h, m, W_ih, W_hh, b_ih, b_hh)` with x (N, D), h (N, H), m (N,) of
            bool, returning h_next (N, H); it is added to the rules.
    """

    def shown(rule: str, fill: str, length: int) -> Scene:
        return draw(rule, fill, length, yours)

    rules = (*RULES, YOURS) if yours else RULES
    return Explorer(
        shown,
        Choice("rule", "in the padding", rules, YOURS if yours else "no mask"),
        Choice("fill", "the padding holds", tuple(FILLS), "zeros"),
        Slider("length", "the sequence ends after", 1, STEPS, 1, value=6, unit="steps"),
        title="Is the state held?",
        description="Right of the dashed line is padding. Choose the rule and what the padding holds.",
    )


def draw(rule: str, fill: str, length: int, yours: MaskedStep | None = None) -> Scene:
    """The states under a rule, how far they move after the end, and what each step adds to a gradient.

    Args:
        rule: one of RULES, or YOURS.
        fill: one of FILLS, what stands in the padding.
        length: steps before the padding, 1 to STEPS.
        yours: the step that YOURS means.
    """
    run = unrolled(rule, fill, length, yours)
    steps = np.arange(1, STEPS + 1)
    with np.errstate(invalid="ignore"):
        moved = np.linalg.norm(run.hs - run.hs[length - 1], axis=1)
    after = steps >= length
    panels = [
        Panel(
            [
                Heatmap(run.hs.T, "state", (-1, 1), x_range=(1, STEPS)),
                Line([length + 0.5] * 2, [-0.5, UNITS - 0.5], color="ink", dashed=True),
            ],
            "States, step by step (grey: NaN)",
            y_label="unit",
            x_limits=SPAN,
            height=180,
        ),
        Panel(
            [
                Line([length + 0.5] * 2, [0, FAR], color="ink", dashed=True),
                Line(steps, np.where(after, moved, np.nan), color="blue"),
                *_nans(np.where(after, moved, 0.0), FAR / 2),
            ],
            "How far the state has moved since the sequence ended",
            y_label="distance",
            x_limits=SPAN,
            y_limits=(0, FAR),
            height=150,
        ),
    ]
    if run.added is not None:
        size = np.linalg.norm(run.added, axis=(1, 2))
        panels.append(
            Panel(
                [
                    Line([length + 0.5] * 2, [0, LARGE], color="ink", dashed=True),
                    Bars(steps, np.where(np.isnan(size), 0, size), color="vermillion"),
                    *_nans(size, LARGE / 2),
                ],
                "What each step adds to the gradient of W_hh",
                x_label="step",
                y_label="norm",
                x_limits=SPAN,
                y_limits=(0, LARGE),
                height=150,
            )
        )
    return Scene(panels, alt=_told(rule, fill, length, run, moved))


SPAN, FAR, LARGE = (0.4, STEPS + 0.6), 4.2, 1.6


def _nans(values: np.ndarray, y: float) -> list[Label]:
    """The word at each step whose value is NaN, since nothing can be drawn there."""
    return [Label(float(step) + 1, y, "NaN", "vermillion") for step in np.flatnonzero(np.isnan(values))]


def _told(rule: str, fill: str, length: int, run: Held, moved: np.ndarray) -> str:
    """The caption: whether the state is held, and whether the gradient is any good."""
    text = f"Rule: {rule}. The sequence ends after {length} of {STEPS} steps, the padding holds {fill}. "
    if length == STEPS:
        return text + "There is no padding."
    if np.isnan(moved[-1]):
        text += "The last state is NaN. "
    elif moved[-1] == 0:
        text += "The state is held to the last bit. "
    else:
        text += f"The last state has moved by {moved[-1]:.2g}. "
    if run.added is not None:
        of_padding = np.linalg.norm(run.added[length:].sum(axis=0))
        text += "The gradient is NaN." if np.isnan(of_padding) else f"Padding adds {of_padding:.2g} to the gradient."
    return text


def unrolled(rule: str, fill: str, length: int, yours: MaskedStep | None = None) -> Held:
    """A random tanh network over one padded sequence, and the way back from its last state.

    Args: as those of `draw`.

    Raises:
        ValueError: the rule is unknown, or YOURS came without a step.
    """
    if rule not in RULES and not (rule == YOURS and yours):
        raise ValueError(f"rule is {rule!r}: expected one of {', '.join(RULES)}, or {YOURS!r} with a step")
    weights = random_weights(1, UNITS, 0.9, seed=SEED, input_scale=0.8)
    rng = np.random.default_rng(1)
    x, dh = rng.uniform(-1, 1, STEPS), rng.normal(size=(1, UNITS))
    x[length:] = FILLS[fill]
    valid = np.arange(STEPS) < length
    with np.errstate(invalid="ignore", over="ignore"):
        if yours and rule == YOURS:
            return Held(x, _yours(yours, x, valid, weights), None)
        hs, caches = [np.zeros((1, UNITS))], []
        for x_t, m in zip(x, valid, strict=True):
            h, cache = masked_step(rule, np.full((1, 1), x_t), hs[-1], np.array([m]), *weights)
            hs.append(h)
            caches.append(cache)
        dh, added = dh / np.linalg.norm(dh), np.empty((STEPS, UNITS, UNITS))
        for t in reversed(range(STEPS)):
            dh, added[t] = masked_step_backward(rule, dh, caches[t])
    return Held(x, np.concatenate(hs[1:]), added)


def _yours(step: MaskedStep, x: np.ndarray, valid: np.ndarray, weights: tuple[np.ndarray, ...]) -> np.ndarray:
    h, hs = np.zeros((1, UNITS)), []
    for x_t, m in zip(x, valid, strict=True):
        h = np.asarray(step(np.full((1, 1), x_t), h, np.array([m]), *weights))
        if h.shape != (1, UNITS):
            raise ValueError(
                f"your step returned shape {h.shape}: expected {(1, UNITS)}, that of h; m is (N,), m[:, None] fits"
            )
        hs.append(h)
    return np.concatenate(hs)


def masked_step(
    rule: str,
    x: np.ndarray,
    h: np.ndarray,
    m: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
) -> tuple[np.ndarray, Any]:
    """One step under a rule: x (N, D), h (N, H) and m (N,) give h_next (N, H) and a cache."""
    m = m[:, None]
    if rule == "where, inputs too":
        x = np.where(m, x, 0)
    candidate = np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
    if rule == "no mask":
        h_next = candidate
    elif rule == "multiply":
        h_next = m * candidate + (1 - m) * h
    else:
        h_next = np.where(m, candidate, h)
    return h_next, (h, candidate, m, W_hh)


def masked_step_backward(rule: str, dh_next: np.ndarray, cache: Any) -> tuple[np.ndarray, np.ndarray]:
    """One step back under the same rule: dh (N, H), and what the step adds to dW_hh (H, H)."""
    h, candidate, m, W_hh = cache
    if rule == "no mask":
        d_candidate, d_held = dh_next, np.zeros_like(dh_next)
    elif rule == "multiply":
        d_candidate, d_held = m * dh_next, (1 - m) * dh_next
    else:
        d_candidate, d_held = np.where(m, dh_next, 0), np.where(m, 0, dh_next)
    da = d_candidate * (1 - candidate**2)
    return da @ W_hh + d_held, da.T @ h


def verdict(step: MaskedStep, fill: str, length: int = 6) -> str:
    """Whether a masked step holds the state over one kind of padding, and whether it is right before that, in words.

    Args:
        step: as for `explorer`.
        fill: one of FILLS.
        length: steps before the padding.
    """
    mine, right = unrolled(YOURS, fill, length, step).hs, unrolled("where, inputs too", fill, length).hs
    if not np.allclose(mine[:length], right[:length]):
        return "Not yet: the states of the real steps are not those of the network."
    if np.isnan(mine).any():
        return "Not yet: the state is NaN from the first padded step on. A product is no choice."
    if (mine[length:] != mine[length - 1]).any():
        return "Not yet: the state moves in the padding."
    return "Right: held to the last bit."
