"""The explorer of lesson 15 about frameworks: one weight matrix as two of them write it, and what a slip costs.

The conventions are those of `rnnlib.torchref.rosetta`, which needs torch; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rnnlib.recurrent import GRU, LSTM, RNN
from rnnlib.recurrent.stack import Stack
from rnnlib.viz import Bars, Choice, Dots, Explorer, Heatmap, Label, Line, Panel, Scene
from rnnlib.viz.scene import Mark

GATES = {
    "rnnlib, torch": {"GRU": "rzn", "LSTM": "ifgo"},
    "Keras 3": {"GRU": "zrn", "LSTM": "ifgo"},
    "ONNX": {"GRU": "zrn", "LSTM": "iofg"},
}
COLUMNS = {"Keras 3"}  # whose gates stand side by side: (D, G*H), the transpose of the others
RIGHT = "nothing"
RESHAPED, UNSORTED, ONE_BIAS, BEFORE = (
    "to transpose: reshape instead",
    "to sort the gates",
    "that biases are two: add them up",
    "where the reset gate acts",
)
SLIPS = (RIGHT, RESHAPED, UNSORTED, ONE_BIAS, BEFORE)
COLORS = {"i": "blue", "r": "blue", "f": "vermillion", "z": "vermillion", "g": "green", "n": "green", "o": "purple"}


class Weights(NamedTuple):
    """One layer's parameters, in rnnlib's form: (G*H, D), (G*H, H), (G*H,), (G*H,); and where a GRU's reset acts."""

    W_ih: np.ndarray
    W_hh: np.ndarray
    b_ih: np.ndarray
    b_hh: np.ndarray
    reset: str = "after"


JOURNEYS = (  # from rnnlib: what is worth looking at
    ("GRU", "Keras 3", RIGHT),
    ("GRU", "Keras 3", RESHAPED),
    ("GRU", "Keras 3", UNSORTED),
    ("GRU", "Keras 3", ONE_BIAS),
    ("GRU", "Keras 3", BEFORE),
    ("LSTM", "Keras 3", RESHAPED),
    ("LSTM", "Keras 3", UNSORTED),
    ("LSTM", "Keras 3", ONE_BIAS),
    ("LSTM", "ONNX", UNSORTED),
)


class Verdict(NamedTuple):
    """What a classifier with other weights says of the test sentences.

    Attributes:
        logits: (N, classes).
        accuracy: the share that is right.
    """

    logits: np.ndarray
    accuracy: float


def weights(layer: Stack) -> Weights:
    """The parameters of a layer of depth one and one direction."""
    W_ih, W_hh, b_ih, b_hh = (layer.parameters[name] for name in layer.names(0))
    return Weights(W_ih, W_hh, b_ih, b_hh, getattr(layer, "reset", "after"))


def layer(cell: str, weights: Weights) -> Stack:
    """The inverse of `weights`: a layer with these parameters."""
    H, D, dtype = weights.W_hh.shape[1], weights.W_ih.shape[1], weights.W_ih.dtype
    made = GRU(D, H, reset=weights.reset, dtype=dtype) if cell == "GRU" else LSTM(D, H, dtype=dtype)
    for name, array in zip(made.names(0), weights[:4], strict=True):
        made.parameters[name][...] = array
    return made


def biases_add_up(name: str) -> bool:
    """Whether a cell computes the same with b_ih + b_hh and zero as with the two.

    Args:
        name: "RNN", "LSTM", "GRU, reset after" or "GRU, reset before".
    """
    kind, _, reset = name.partition(", reset ")
    options = {"reset": reset} if reset else {}
    net = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}[kind](3, 4, rng=0, **options)
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    before, *_ = net.forward(x)
    *_, b_ih, b_hh = net.names(0)
    net.parameters[b_ih][...], net.parameters[b_hh][...] = net.parameters[b_ih] + net.parameters[b_hh], 0
    return bool(np.allclose(before, net.forward(x)[0], atol=1e-12))


def written(W: np.ndarray, framework: str, cell: str) -> np.ndarray:
    """A matrix of rnnlib's form (G*H, m), as a framework writes it."""
    blocks = dict(zip(GATES["rnnlib, torch"][cell], np.split(W, len(GATES["rnnlib, torch"][cell])), strict=True))
    ordered = np.concatenate([blocks[gate] for gate in GATES[framework][cell]])
    return ordered.T if framework in COLUMNS else ordered


def taken(W: np.ndarray, framework: str, cell: str) -> np.ndarray:
    """The inverse of `written`: what a framework's matrix means, in rnnlib's form."""
    rows = W.T if framework in COLUMNS else W
    blocks = dict(zip(GATES[framework][cell], np.split(rows, len(GATES[framework][cell])), strict=True))
    return np.concatenate([blocks[gate] for gate in GATES["rnnlib, torch"][cell]])


def handed_over(W: np.ndarray, source: str, target: str, cell: str, slip: str) -> np.ndarray:
    """A matrix in the target's layout, made from the source's, with one thing forgotten.

    Args:
        W: in rnnlib's form, (G*H, m); a bias has m = 1.
        source, target: of GATES.
        cell: GRU or LSTM.
        slip: of SLIPS; those that are not about matrices change nothing here.
    """
    right = written(W, target, cell)
    if slip == UNSORTED:
        rows = written(W, source, cell).T if source in COLUMNS else written(W, source, cell)
        return rows.T if target in COLUMNS else rows
    if slip == RESHAPED and (source in COLUMNS) != (target in COLUMNS):
        return right.T.reshape(right.shape)
    return right


def blocks(source: str, target: str, cell: str, slip: str) -> str:
    """Which gate each block of a matrix from `handed_over` is in truth; a space where its numbers are mixed up."""
    if slip == RESHAPED and (source in COLUMNS) != (target in COLUMNS):
        return " " * len(GATES[target][cell])
    return GATES[source if slip == UNSORTED else target][cell]


def carried(weights: Weights, source: str, target: str, cell: str, slip: str) -> Weights:
    """What the target understands, in rnnlib's form, after one thing was forgotten on the way."""

    def moved(W: np.ndarray) -> np.ndarray:
        return taken(handed_over(W, source, target, cell, slip), target, cell)

    b_ih, b_hh = (moved(b[:, None])[:, 0] for b in (weights.b_ih, weights.b_hh))
    if slip == ONE_BIAS:
        b_ih, b_hh = b_ih + b_hh, np.zeros_like(b_hh)
    reset = "before" if slip == BEFORE and cell == "GRU" else weights.reset
    return Weights(moved(weights.W_ih), moved(weights.W_hh), b_ih, b_hh, reset)


def explorer(weights: Mapping[str, Weights], judge: Callable[[str, Weights], Verdict], chance: float) -> Explorer:
    """Carry a trained layer from one framework to another, and forget one thing.

    Args:
        weights: of a trained layer, by cell.
        judge: a classifier with this cell and other weights, on the test sentences.
        chance: accuracy of one who always names the most frequent class.
    """

    def draw(cell: str, source: str, target: str, slip: str) -> Scene:
        return journey(weights[cell], judge, cell, source, target, slip, chance)

    frameworks = tuple(GATES)
    return Explorer(
        draw,
        Choice("cell", "layer", tuple(weights), next(iter(weights))),
        Choice("source", "from", frameworks, frameworks[0]),
        Choice("target", "to", frameworks, frameworks[1]),
        Choice("slip", "forget", SLIPS, RIGHT),
        title="Carry the weights across",
        description="A letter says what the framework takes a block for, the colour around it what the block is. "
        "Forget one thing: does anything crash?",
    )


def journey(
    weights: Weights,
    judge: Callable[[str, Weights], Verdict],
    cell: str,
    source: str,
    target: str,
    slip: str,
    chance: float,
) -> Scene:
    """The recurrent matrix before and after, and what the classifier says with what arrived."""
    arrived = carried(weights, source, target, cell, slip)
    at_home, abroad = judge(cell, weights), judge(cell, arrived)
    off = float(np.abs(abroad.logits - at_home.logits).max())
    agree = float((abroad.logits.argmax(1) == at_home.logits.argmax(1)).mean())
    limit = float(np.abs(weights.W_hh).max())
    there = handed_over(weights.W_hh, source, target, cell, slip)
    told = "nothing forgotten" if slip == RIGHT else f"forgotten: {slip}"
    return Scene(
        [
            _matrix(written(weights.W_hh, source, cell), "writes", source, cell, limit, GATES[source][cell]),
            _matrix(there, "reads", target, cell, limit, blocks(source, target, cell, slip)),
            _shifts(at_home.logits, abroad.logits, off),
            _scores(at_home.accuracy, abroad.accuracy, chance),
        ],
        alt=f"A {cell} from {source} to {target}, {told}. The logits differ by up to {off:.2g}, {agree:.0%} of the "
        f"answers stay, and the accuracy goes from {at_home.accuracy:.1%} to {abroad.accuracy:.1%}; "
        f"always the most frequent area: {chance:.1%}.",
        columns=2,
    )


def _matrix(W: np.ndarray, verb: str, framework: str, cell: str, limit: float, meant: str) -> Panel:
    """The matrix; beside each block the name that the framework has for it, around it the colour of what it is.

    Args:
        W: as the framework holds it.
        verb: what the framework does with it, for the title.
        framework: of GATES.
        cell: GRU or LSTM.
        limit: at which colours end.
        meant: which gate each block is in truth, in the order of the blocks; a space for none.
    """
    turned, H = framework in COLUMNS, min(W.shape)
    marks: list[Mark] = [Heatmap(W, limits=(-limit, limit))]
    for k, (name, gate) in enumerate(zip(GATES[framework][cell], meant, strict=True)):
        along, across = np.array([0, H, H, 0, 0]) + k * H - 0.5, np.array([0, 0, H, H, 0]) - 0.5
        x, y = (along, across) if turned else (across, along)
        marks.append(Line(x, y, "", COLORS.get(gate, "grey")))
        middle = k * H + (H - 1) / 2
        marks.append(Label(middle, -4, name, COLORS[name]) if turned else Label(-4, middle, name, COLORS[name]))
    size = max(W.shape)
    title = f"{framework} {verb} {W.shape}"
    return Panel(marks, title, axes=False, equal=True, x_limits=(-7, size + 1), y_limits=(-7, size + 1), height=310)


def _shifts(home: np.ndarray, abroad: np.ndarray, off: float) -> Panel:
    low, high = float(home.min()), float(home.max())
    marks: list[Mark] = [
        Dots(home.ravel(), abroad.ravel(), "one class of one sentence", "blue", size=3),
        Line([low, high], [low, high], "equal", "ink", dashed=True),
    ]
    return Panel(marks, f"Logits: off by up to {off:.2g}", "before", "after", height=260)


def _scores(home: float, abroad: float, chance: float) -> Panel:
    marks: list[Mark] = [
        Bars([0, 1], [100 * home, 100 * abroad], "", "blue"),
        Line([-0.5, 1.5], [100 * chance] * 2, "always the most frequent area", "grey", dashed=True),
        Label(0, 100 * home + 6, f"{home:.1%}"),
        Label(1, 100 * abroad + 6, f"{abroad:.1%}"),
    ]
    return Panel(
        marks, "Unseen modules", "", "right (%)", (-0.6, 1.6), (0, 100), x_names=["before", "after"], height=260
    )
