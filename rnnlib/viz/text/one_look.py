"""One step of attention taken apart, small enough for a plane: scores, mask, softmax, context (lesson 16)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnlib.attention import additive_forward, dot_forward, project_keys_forward, remember
from rnnlib.viz import Arrow, Bars, Choice, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

# Six keys in the plane, of three lengths; the values are the keys themselves, as in an encoder.
KEYS = np.array([[2.0, 0.0], [0.6, 1.5], [-1.2, 1.2], [-0.8, -0.2], [-0.6, -1.6], [1.3, -1.2]])
NAMES = tuple("abcdef")
# Additive attention of four units. Each looks in a direction, and is loud where question and key both point there; for
# that a key has a third entry, always 1, which its weights use as a bias.
W_QUERY = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
W_KEY = np.column_stack([W_QUERY, np.full(4, -2.0)])
V = np.full(4, 2.0)
KINDS = ("dot", "additive")


class Look(NamedTuple):
    """One query over the six keys.

    Attributes:
        scores: (6,), also of those that the mask shuts out.
        weights: (6,), zero there.
        context: (2,).
    """

    scores: np.ndarray
    weights: np.ndarray
    context: np.ndarray


def look(query: np.ndarray, length: int, kind: str = "dot", masked: bool = True) -> Look:
    """Attention of one query.

    Args:
        query: (2,).
        length: how many keys are data; what stands behind them is padding.
        kind: of KINDS.
        masked: False for the mistake of reading the padding too.
    """
    q, values, lengths = np.asarray(query, dtype=float), KEYS[:, None], [length if masked else len(KEYS)]
    if kind == "dot":
        context, weights, _ = dot_forward(q[None, None], remember(values, values, lengths))
        scores = KEYS @ q / np.sqrt(2)
    else:
        keys = np.column_stack([KEYS, np.ones(len(KEYS))])
        memory, _ = project_keys_forward(remember(keys[:, None], values, lengths), W_KEY)
        context, weights, _ = additive_forward(q[None, None], memory, W_QUERY, V)
        scores = np.tanh(W_QUERY @ q + keys @ W_KEY.T) @ V
    return Look(scores, weights[0, 0], context[0, 0])


def explorer() -> Explorer:
    """A query that a reader turns and stretches over six keys, of which the last are padding."""
    return Explorer(
        at,
        Slider("angle", "direction of the query", 0, 360, 5, value=30, unit="degrees", steps_per_second=8),
        Slider("size", "length of the query", 0.0, 6.0, 0.25, value=1.5),
        Slider("length", "keys that are data", 1, len(KEYS), 1, value=4),
        Choice("mask", "padding", ("masked", "read as data"), "masked"),
        Choice("kind", "score", KINDS, "dot"),
        title="One look, taken apart",
        description="Turn the query, then stretch it. The green dot is the context, what the decoder gets to read.",
    )


def at(angle: float, size: float, length: int, mask: str = "masked", kind: str = "dot") -> Scene:
    """The plane with query, keys and context, the scores, and the weights.

    Args:
        angle, size: of the query, in degrees and units.
        length: how many keys are data.
        mask: "masked" or "read as data".
        kind: of KINDS.
    """
    turn = np.deg2rad(angle)
    query = size * np.array([np.cos(turn), np.sin(turn)])
    scores, weights, context = look(query, length, kind, mask == "masked")
    shut = np.arange(len(KEYS)) >= length if mask == "masked" else np.zeros(len(KEYS), bool)
    said = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(NAMES, weights, strict=True))
    return Scene(
        [
            _bars("1  Scores", scores, shut, "score", (-9.5, 9.5), "padding"),
            _bars("2  Weights", weights, shut, "weight", (0.0, 1.05), ""),
            _plane(query, weights, context, shut),
        ],
        alt=f"A query of length {size:g} at {angle:g} degrees, {length} of 6 keys are data, padding {mask}, {kind} "
        f"scores. Weights: {said}. The context is ({context[0]:.2f}, {context[1]:.2f}).",
        columns=3,
    )


def _plane(query: np.ndarray, weights: np.ndarray, context: np.ndarray, shut: np.ndarray) -> Panel:
    marks: list[Mark] = []
    for key, weight, name, closed in zip(KEYS, weights, NAMES, shut, strict=True):
        marks.append(Dots([key[0]], [key[1]], "", "grey" if closed else "orange", 7 + 22 * float(weight)))
        x, y = key * (1 + 0.42 / np.linalg.norm(key))
        marks.append(Label(x, y, name, "grey" if closed else "ink"))
        if weight > 0.02:
            marks.append(Line([key[0], context[0]], [key[1], context[1]], "", "grey", dashed=True))
    # the query may be longer than the plane is wide: it is drawn at a third
    marks.append(Arrow(0, 0, query[0] / 3, query[1] / 3, color="blue", width=2.5))
    marks.append(Dots([context[0]], [context[1]], "", "green", 13))
    return Panel(
        marks, "3  Context (green)", x_label="first entry", y_label="second entry",
        x_limits=(-2.8, 2.8), y_limits=(-2.6, 2.6), equal=True, height=250,
    )  # fmt: skip


def _bars(
    title: str, values: np.ndarray, shut: np.ndarray, label: str, limits: tuple[float, float], closed: str
) -> Panel:
    x = np.arange(len(values))
    marks: list[Mark] = [Bars(x[~shut], values[~shut], "", "orange")]
    if shut.any():
        marks.append(Bars(x[shut], values[shut], closed, "grey"))
    return Panel(
        marks, title, x_label="key", y_label=label, x_limits=(-0.6, len(x) - 0.4), y_limits=limits, x_names=NAMES,
        height=220,
    )  # fmt: skip
