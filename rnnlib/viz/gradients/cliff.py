"""The cliff of lesson 06: a network of two parameters, its loss surface, and the step that leaves it.

One unit, h_t = tanh(w h_{t-1} + b), starts at 0.5 and should be at 0.7 after T steps: Pascanu's example, with our tanh.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from rnnlib.optim import clip_by_global_norm, clip_by_value
from rnnlib.probes import Surface, loss_surface
from rnnlib.viz import Arrow, Choice, Dots, Explorer, Heatmap, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

BEGIN, TARGET = 0.5, 0.7  # h_0, and what h_T should be
START = 2.25, 0.1  # w and b before the first update
UPDATES = 60
W, B = (0.8, 2.6), (-1.2, 0.6)  # the part of the surface that is shown
KINDS = {"by global norm": clip_by_global_norm, "by value": clip_by_value}
FREE, CLIPPED = "vermillion", "blue"


def loss_and_gradient(w: float, b: float, T: int) -> tuple[float, float, float]:
    """(h_T - 0.7)² of one unit, and its slope along w and along b.

    In plain numbers, and with the derivatives carried forwards: `rnn.forward` and `rnn.backward` give the same, but an
    explorer asks 120 times per picture, and arrays of one entry are 20 times slower.
    """
    h, dw, db = BEGIN, 0.0, 0.0  # dw = ∂h/∂w, db = ∂h/∂b
    for _ in range(T):
        h_next = math.tanh(w * h + b)
        slope = 1 - h_next**2
        dw, db = slope * (h + w * dw), slope * (1 + w * db)
        h = h_next
    return (h - TARGET) ** 2, 2 * (h - TARGET) * dw, 2 * (h - TARGET) * db


def loss(w: float, b: float, T: int) -> float:
    """(h_T - 0.7)² alone."""
    h = BEGIN
    for _ in range(T):
        h = math.tanh(w * h + b)
    return (h - TARGET) ** 2


@functools.lru_cache(maxsize=64)
def surface(T: int, points: int = 51) -> Surface:
    """The loss over w (rows) and b (columns)."""
    w, b = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    a = np.linspace(*W, points), np.linspace(*B, points)
    return loss_surface(lambda p: loss(float(p[0]), float(p[1]), T), np.zeros(2), w, b, *a)


class Walk(NamedTuple):
    """Attributes:
    w, b: (UPDATES + 1,), the parameters before the first update and after each.
    loss: (UPDATES + 1,), there.
    norm: (UPDATES + 1,), of the gradient there, before clipping.
    """

    w: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    norm: np.ndarray


@functools.lru_cache(maxsize=256)
def descend(T: int, rate: float, limit: float = math.inf, kind: str = "by global norm") -> Walk:
    """Gradient descent from START.

    Args:
        T: steps of the network.
        rate: learning rate.
        limit: where the gradient is clipped; infinity: not at all.
        kind: one of KINDS.
    """
    p, rows = {"w": np.array(START[0]), "b": np.array(START[1])}, []
    for _ in range(UPDATES + 1):
        height, dw, db = loss_and_gradient(float(p["w"]), float(p["b"]), T)
        clipped, norm = KINDS[kind]({"w": np.array(dw), "b": np.array(db)}, limit)
        rows.append((float(p["w"]), float(p["b"]), height, norm))
        p = {name: value - rate * clipped[name] for name, value in p.items()}
    return Walk(*np.array(rows).T)


def arrive(T: int, rate: float, limit: float, kind: str = "by global norm") -> str:
    """Where a descent stands after all its updates, in words, and what that says of the limit.

    Args:
        T, rate, limit, kind: as for `descend`.
    """
    walk = descend(T, rate, limit, kind)
    w, b, height = (float(values[-1]) for values in (walk.w, walk.b, walk.loss))
    where = f"loss {height:.1e} at w = {w:.2f}, b = {b:.2f}"
    if height < 1e-3:
        return f"Right: {where}, and {(walk.norm > limit).sum()} of {UPDATES} steps clipped."
    if height > 1:
        return f"Not yet: {where}, on the high plateau. Its steps did not carry it back: another limit."
    if not (W[0] <= w <= W[1] and B[0] <= b <= B[1]):
        return f"Not yet: {where}, thrown off the map, where the slope is {walk.norm[-1]:.0e}: the limit is too high."
    return f"Not yet: {where}, still under way."


# ---- seen from the side --------------------------------------------------------------------------------------------


def steepest(T: int, w: float = 2.0) -> tuple[float, float]:
    """Where along b the loss changes fastest, and its slope there.

    The wall may be narrower than any fixed grid, so it is looked for again around the steepest place found, ten times.
    """
    low, high = B
    for _ in range(10):
        b = np.linspace(low, high, 101)
        slopes = np.abs([loss_and_gradient(w, float(each), T)[2] for each in b])
        change = np.abs(np.diff([loss(w, float(each), T) for each in b]))
        at = b[slopes.argmax()] if slopes.max() * (b[1] - b[0]) > change.max() else b[change.argmax()]
        low, high = at - 2 * (b[1] - b[0]), at + 2 * (b[1] - b[0])
    return float(b[slopes.argmax()]), float(slopes.max())


def side(*Ts: int, w: float = 2.0) -> Scene:
    """The loss against b, for some numbers of steps: the wall from the side.

    Args:
        Ts: steps, at most four numbers.
        w: the recurrent weight.
    """
    marks: list[Mark] = []
    said = []
    for T, color in zip(Ts, ("sky", "green", "purple", FREE), strict=False):
        at, slope = steepest(T, w)
        b = np.sort(np.concatenate([np.linspace(-0.9, 0.2, 221), at + np.linspace(-3, 3, 41) / slope]))
        marks.append(Line(b, [loss(w, float(each), T) for each in b], f"T = {T}", color))
        said.append(f"{slope:.2g} for {T} steps")
    panel = Panel(marks, f"The loss at w = {w:g}", x_label="b", y_label="loss", y_limits=(0, 3.1), height=280)
    return Scene(
        [panel],
        alt=f"A high plateau on the left, a low one on the right, a wall between. Steepest slope: {', '.join(said)}.",
    )


# ---- the explorer --------------------------------------------------------------------------------------------------


def explorer() -> Explorer:
    """The surface from above, and two walks down: one that takes every step as it comes, one that clips."""
    return Explorer(
        walks,
        Slider("update", "update", 0, UPDATES, 1, value=UPDATES, steps_per_second=6),
        Slider("limit", "clip at c", 0.1, 5.0, 0.1, value=1.0),
        Choice("kind", "clip", tuple(KINDS), "by global norm"),
        Slider("rate", "learning rate", 0.02, 0.4, 0.02, value=0.2),
        Slider("T", "steps T", 2, 30, 1, value=15, unit="steps"),
        title="The cliff, and the step that leaves it",
        description="Both walks start at the same place with the same learning rate. Play the updates; then move the "
        "limit, the learning rate and the number of steps.",
    )


def walks(update: int, limit: float, kind: str, rate: float, T: int) -> Scene:
    """Two descents from one start, so many updates far: without clipping and with it."""
    free, clipped = descend(T, rate), descend(T, rate, limit, kind)
    return Scene(
        [
            _map(T, free, clipped, update),
            _curves(free.loss, clipped.loss, update, "Loss", "loss", (1e-8, 10)),
            _curves(free.norm, clipped.norm, update, "The log: gradient norm before clipping", "norm", (1e-4, 1e4),
                    limit),
        ],
        alt=f"After {update} updates with {T} steps, unclipped: {_told(free, update)}. Clipped {kind} at {limit:g}: "
        f"{_told(clipped, update)}.",
    )  # fmt: skip


def _told(walk: Walk, update: int) -> str:
    norm = walk.norm[: update + 1].max()
    return (
        f"loss {walk.loss[update]:.2g} at w = {walk.w[update]:.2f}, b = {walk.b[update]:.2f}, largest norm {norm:.2g}"
    )


def _map(T: int, free: Walk, clipped: Walk, update: int) -> Panel:
    """The loss from above, with both walks."""
    height = np.log10(np.maximum(surface(T).loss, 1e-9))
    marks: list[Mark] = [
        Heatmap(height, "log₁₀ of the loss", limits=(-4, 0.6), center=-1.7, x_range=B, y_range=W),
    ]
    for walk, name, color in ((free, "not clipped", FREE), (clipped, "clipped", CLIPPED)):
        marks += _path(walk, update, name, color)
    marks.append(Dots([START[1]], [START[0]], "start", "green", size=11))
    return Panel(marks, "From above", x_label="b", y_label="w", x_limits=B, y_limits=W, height=360)


def _path(walk: Walk, update: int, name: str, color: str) -> list[Mark]:
    """A walk as far as it stays on the map; where it leaves, an arrow to the edge."""
    w, b = walk.w[: update + 1], walk.b[: update + 1]
    outside = (w < W[0]) | (w > W[1]) | (b < B[0]) | (b > B[1])
    last = int(outside.argmax()) if outside.any() else len(w)  # the first point that is not on the map
    marks: list[Mark] = [Line(b[:last], w[:last], name, color), Dots(b[:last], w[:last], color=color, size=5)]
    if last < len(w):
        marks.append(_leaving(b[last - 1], w[last - 1], b[last], w[last], color))
    return marks


def _leaving(b: float, w: float, to_b: float, to_w: float, color: str) -> Arrow:
    """From a point on the map towards one that is not, as far as the edge."""
    shares = [
        (edge - at) / (to - at)
        for at, to, edges in ((b, to_b, B), (w, to_w, W))
        for edge in edges
        if to != at and (edge - at) / (to - at) > 0
    ]
    share = min(shares)
    return Arrow(b, w, b + share * (to_b - b), w + share * (to_w - w), color=color, width=3)


def _curves(
    free: np.ndarray, clipped: np.ndarray, update: int, title: str, label: str, limits: tuple[float, float],
    limit: float | None = None,
) -> Panel:  # fmt: skip
    """Both walks against the number of updates; what leaves the axis below is drawn at its edge."""
    t = np.arange(UPDATES + 1)
    marks: list[Mark] = []
    if limit is not None:
        marks.append(Line([0, UPDATES], [limit, limit], "c", "grey", dashed=True))
    for values, name, color in ((free, "not clipped", FREE), (clipped, "clipped", CLIPPED)):
        marks.append(Line(t, np.where(t <= update, np.clip(values, *limits), np.nan), name, color))
    return Panel(
        marks, title, x_label="update", y_label=label, x_limits=(0, UPDATES), y_scale="log", y_limits=limits, height=210
    )
