"""A small feed-forward network while it learns: what it says over the plane, and its loss, under a slider for the step.

The mathematics is that of `rnnlib.layers`, `losses` and `optim`; here it is only trained, kept step by step, and drawn.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from rnnlib import init
from rnnlib.cells.sigmoid import sigmoid
from rnnlib.layers import linear_backward, linear_forward
from rnnlib.losses import binary_cross_entropy
from rnnlib.optim import SGD, Adam
from rnnlib.viz import Choice, Dots, Explorer, Heatmap, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

STEPS, N, NOISE, SEED = 200, 120, 0.22, 1
RATES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
OPTIMISERS: dict[str, type[SGD] | type[Adam]] = {"SGD": SGD, "Adam": Adam}
EDGE = 2.8  # of the plane: both inputs from -2.8 to 2.8
GRID = np.linspace(-EDGE, EDGE, 45)


class Run(NamedTuple):
    """Attributes:
    W1, b1, W2, b2: the parameters before the first step and after each, the step in front: (STEPS + 1, ...).
    training, validation: (STEPS + 1,), the loss in nats.
    right: (STEPS + 1,), the share of validation points on the right side.
    """

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray
    training: np.ndarray
    validation: np.ndarray
    right: np.ndarray


def moons(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """SYNTHETIC: two half moons that reach into each other, half of the points in each.

    Args:
        count: how many points; even.
        rng: where the randomness comes from.

    Returns:
        x: (count, 2), y: (count,), 0 or 1.
    """
    y = np.arange(count) % 2
    angle, sign = np.pi * rng.random(count), 1 - 2 * y
    x = np.stack([np.cos(angle) * sign - 0.5 * sign, np.sin(angle) * sign - 0.25 * sign], axis=1)
    return 1.3 * (x + rng.normal(0, NOISE, x.shape)), y


@functools.lru_cache(maxsize=32)
def trained(units: int, rate: float, optimiser: str) -> Run:
    """A network with one hidden layer of tanh units, trained on all moons at every step."""
    rng = np.random.default_rng(SEED)
    (x, y), (x_new, y_new) = moons(N, rng), moons(N, rng)
    parameters = {
        "W1": init.xavier_uniform((units, 2), rng),
        "b1": np.zeros(units),
        "W2": init.xavier_uniform((1, units), rng),
        "b2": np.zeros(1),
    }
    keeper, history = OPTIMISERS[optimiser](parameters, rate), []
    for step in range(STEPS + 1):
        W1, b1, W2, b2 = parameters.values()
        hidden, first = linear_forward(x, W1, b1)
        h = np.tanh(hidden)
        z, second = linear_forward(h, W2, b2)
        loss, dz = binary_cross_entropy(z[:, 0], y)
        history.append((*(p.copy() for p in parameters.values()), loss))
        if step < STEPS:
            dh, dW2, db2 = linear_backward(dz[:, None], second)
            _, dW1, db1 = linear_backward(dh * (1 - h**2), first)
            keeper.step({"W1": dW1, "b1": db1, "W2": dW2, "b2": db2})
    W1, b1, W2, b2, training = map(np.array, zip(*history, strict=True))
    h = np.tanh(x_new @ W1.swapaxes(1, 2) + b1[:, None])  # all steps at once: (STEPS + 1, N, units)
    wrong = (1 - 2 * y_new) * (h @ W2.swapaxes(1, 2) + b2[:, None])[..., 0]  # the logit of the other class
    return Run(W1, b1, W2, b2, training, np.logaddexp(0, wrong).mean(axis=1), (wrong < 0).mean(axis=1))


def logits(x: np.ndarray, W1: np.ndarray, b1: np.ndarray, W2: np.ndarray, b2: np.ndarray) -> np.ndarray:
    """What the network says of points (..., 2): above 0 for yes; (...)."""
    h = np.tanh(linear_forward(x, W1, b1)[0])
    return linear_forward(h, W2, b2)[0][..., 0]


# ---- the explorer ------------------------------------------------------------------------------------------------


def explorer() -> Explorer:
    """The decision of a small network over the plane, step by step, at any learning rate."""
    return Explorer(
        learning,
        Slider("step", "steps taken", 0, STEPS, 5, value=STEPS, unit="steps", steps_per_second=12),
        Choice("rate", "learning rate η", RATES, 0.1),
        Choice("optimiser", "optimiser", tuple(OPTIMISERS), "SGD"),
        Slider("units", "hidden units", 1, 16, 1, value=8),
        title="A network learns",
        description="Play the steps. Then change the rate: where is it too small, where too large? How few units "
        "still do?",
    )


def learning(step: int, rate: float, optimiser: str, units: int) -> Scene:
    """The network after some steps: its probability of class 1 over the plane, and its losses so far and to come.

    Args:
        step: how many steps of training it has had.
        rate: the learning rate.
        optimiser: "SGD" or "Adam".
        units: in the hidden layer.
    """
    run = trained(units, rate, optimiser)
    now = run.W1[step], run.b1[step], run.W2[step], run.b2[step]
    return Scene(
        [_plane(now, f"After {step} steps"), _losses(run, step)],
        alt=f"{units} hidden units, {optimiser} with rate {rate:g}. After {step} steps the training loss is "
        f"{run.training[step]:.3g}, the validation loss {run.validation[step]:.3g}, and {100 * run.right[step]:.0f} % "
        f"of new points are on the right side.",
        columns=2,
    )


def _plane(parameters: tuple[np.ndarray, ...], title: str) -> Panel:
    """The probability over the plane, the training points, and for each hidden unit the line where its sum is 0."""
    x, y = moons(N, np.random.default_rng(SEED))
    plane = np.stack(np.meshgrid(GRID, GRID), axis=-1)  # row 0 is at the bottom
    p = sigmoid(logits(plane, *parameters))
    surface = Heatmap(
        p, "probability of class 1", limits=(0, 1), center=0.5, x_range=(-EDGE, EDGE), y_range=(-EDGE, EDGE)
    )
    marks: list[Mark] = [surface]
    for (w1, w2), b in zip(parameters[0], parameters[1], strict=True):
        marks += border(w1, w2, b)
    marks.append(
        Dots(x[:, 0], x[:, 1], color="ink", size=7)
    )  # a ring around each dot: its colour may be that of the surface
    for label, (name, color) in enumerate((("class 0", "sky"), ("class 1", "orange"))):
        marks.append(Dots(x[y == label, 0], x[y == label, 1], name, color, size=5))
    return Panel(
        marks, title, x_label="input x₁", y_label="input x₂", x_limits=(-EDGE, EDGE), y_limits=(-EDGE, EDGE),
        equal=True, height=340,
    )  # fmt: skip


def border(w1: float, w2: float, b: float) -> list[Mark]:
    """The line w₁ x₁ + w₂ x₂ + b = 0 as far as it lies in the plane."""
    steep = abs(w2) < abs(w1)
    other = -(w1 * GRID + b) / w2 if not steep else -(w2 * GRID + b) / w1
    x1, x2 = (other, GRID) if steep else (GRID, other)
    inside = np.abs(other) <= EDGE
    return [Line(x1[inside], x2[inside], color="green")] if inside.sum() > 1 else []


def _losses(run: Run, step: int) -> Panel:
    steps = np.arange(STEPS + 1)
    marks: list[Mark] = [
        Line(steps, run.training, "training", "blue"),
        Line(steps, run.validation, "validation", "vermillion", dashed=True),
        Line([0, STEPS], [np.log(2)] * 2, "a coin, log 2", "grey", dashed=True),
        Dots([step], [run.training[step]], color="blue", size=9),
        Dots([step], [run.validation[step]], color="vermillion", size=9),
    ]
    return Panel(
        marks, "Loss", x_label="step", y_label="cross-entropy (nats)", x_limits=(0, STEPS), y_scale="log",
        y_limits=(0.003, 100), height=340,
    )  # fmt: skip
