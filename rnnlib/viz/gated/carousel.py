"""The pictures and the first explorer of lesson 07: one LSTM cell, the state that it keeps, and what comes back.

Blue goes forwards and vermillion back, as in lesson 04. Of the gates, i is green, f is blue, o is purple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.cells import lstm
from rnnlib.cells.sigmoid import sigmoid
from rnnlib.viz import Arrow, Bars, Box, Dots, Explorer, Line, Panel, Scene, Slider, Toggle
from rnnlib.viz.scene import Mark

FORWARD, BACK = "blue", "vermillion"
GATE_COLORS = {"i": "green", "f": "blue", "o": "purple"}


# ---- the cell as a diagram ---------------------------------------------------------------------------------------


def cell(back: bool = False) -> Scene:
    """What is computed from what in one step; with `back`, the gradients that return along the states too."""
    alt = (
        "The cell state runs straight through from left to right: c of the step before, times f, plus i times g, is "
        "the new c. Below it f, i, g and o are each computed from x and the h before. The new c, through tanh and "
        "times o, is the new h."
    )
    if back:
        alt += (
            " Red arrows run back along the state: into the new c from the next step and from h through tanh; from "
            "there through the sum unchanged, and times f to the c before. From i, f, g and o a red arrow leads down "
            "to x and the h before."
        )
    return Scene([diagram({}, back=back)], alt=alt)


def diagram(values: Mapping[str, float], title: str = "", back: bool = False, height: int = 270) -> Panel:
    """One step of the cell.

    Args:
        values: of "c before", "f", "i", "g", "o", "c" and "h", as many as are known; they are written into their boxes
            and colour them.
        title: of the panel.
        back: draw the gradients' arrows beside the others.
        height: in pixels.
    """

    def box(x: float, y: float, name: str, key: str = "", width: float = 1.0, height: float = 0.62) -> Box:
        value = values.get(key)
        text = name if value is None else f"{name} {value:.2f}".replace("-", "−")
        return Box(x, y, text, value, width=width, height=height, limit=1.5)

    before, after = box(0, 2, "cₜ₋₁", "c before", 1.5), box(10.4, 2, "cₜ", "c", 1.3)
    keep, add, write = (
        Box(x, y, text, width=0.5, height=0.5) for x, y, text in ((2.2, 2, "×"), (4.7, 2, "+"), (4.7, 0.9, "×"))
    )
    f, i, g, o = (box(x, -0.3, name, name, 1.25) for x, name in ((2.2, "f"), (3.95, "i"), (5.45, "g"), (7.2, "o")))
    squash, release = Box(8.6, 1.0, "tanh", width=0.9, height=0.5), Box(8.6, -0.3, "×", width=0.5, height=0.5)
    out, entry = box(10.4, -0.3, "hₜ", "h", 1.3), Box(4.7, -1.7, "xₜ and hₜ₋₁", width=6.2, height=0.55)
    marks: list[Mark] = [before, after, keep, add, write, f, i, g, o, squash, release, out, entry]
    pairs = [
        (before, keep, 3.0), (keep, add, 3.0), (add, after, 3.0), (f, keep, 1.5), (i, write, 1.5), (g, write, 1.5),
        (write, add, 1.5), (squash, release, 1.5), (o, release, 1.5), (release, out, 1.5),
    ]  # fmt: skip
    for start, end, width in pairs:
        marks += arrows(start, end, back, width)
    tap = Box(8.6, 2, "", width=0.01, height=0.01)  # where h branches off the state
    marks += arrows(tap, squash, back, 1.5)
    for gate in (f, i, g, o):
        marks += arrows(Box(gate.x, -1.7, width=0.1, height=0.55), gate, back, 1.5)
    return Panel(marks, title, axes=False, x_limits=(-0.9, 11.2), y_limits=(-2.1, 2.5), height=height)


def arrows(start: Box, end: Box, back: bool, width: float) -> list[Mark]:
    """The arrow forwards and, with `back`, the one that returns, side by side."""
    there = Arrow.between(start, end, color=FORWARD, width=width)
    if not back:
        return [there]
    home = Arrow.between(end, start, color=BACK, width=width)
    dx, dy = (0.0, 0.1) if abs(start.y - end.y) < 0.1 else (-0.12, 0.0)
    return [
        Arrow(there.x + dx, there.y + dy, there.to_x + dx, there.to_y + dy, color=FORWARD, width=width),
        Arrow(home.x - dx, home.y - dy, home.to_x - dx, home.to_y - dy, color=BACK, width=width),
    ]


# ---- plots -------------------------------------------------------------------------------------------------------


def decay(biases: Sequence[float], steps: int = 50) -> Scene:
    """What is left of dc, or of c, after k steps through a forget gate that stands at σ(b), a line for each b."""
    lags = np.arange(steps + 1)
    left = {b: float(sigmoid(np.array(b))) ** lags for b in biases}
    panel = Panel(
        [Line(lags, values, f"b = {b:g}, f = {values[1]:.3f}") for b, values in left.items()],
        x_label="lag k (steps)",
        y_label="share left, fᵏ",
        y_scale="log",
        y_limits=(1e-4, 1.5),
        height=270,
    )
    said = [f"{values[20]:.2g} with b = {b:g}" for b, values in left.items()]
    return Scene([panel], alt=f"What a gate of σ(b) leaves after 20 steps: {', '.join(said)}.")


def race(losses: Mapping[str, np.ndarray], guess: float, window: int = 10) -> Scene:
    """Training losses, averaged over a few updates, several runs for each name in its colour.

    Args:
        losses: by name, (runs, updates), in nats.
        guess: the loss of one who guesses.
        window: updates in a mean.
    """
    marks: list[Mark] = []
    updates = next(iter(losses.values())).shape[1]
    marks.append(Line([0, updates], [guess, guess], "a guess", "grey", dashed=True))
    for (name, runs), color in zip(losses.items(), (BACK, "blue", "green", "purple"), strict=False):
        for k, run in enumerate(runs):
            smooth = np.convolve(run, np.ones(window) / window, "valid")
            marks.append(Line(np.arange(window, updates + 1), smooth, name if k == 0 else "", color))
    panel = Panel(marks, x_label="updates", y_label="loss (nats)", y_limits=(0, 0.85), height=270)
    ends = [f"{name}: {', '.join(f'{run[-window:].mean():.2f}' for run in runs)}" for name, runs in losses.items()]
    return Scene([panel], alt=f"Loss over {updates} updates. At the end, run by run: {'; '.join(ends)}.")


# ---- the explorer ------------------------------------------------------------------------------------------------

STEPS = 40
LEAST = 1e-6  # of the gradients shown
OPEN, SHUT = 12.0, -12.0  # what σ makes of these is 1 and 0, but for six millionths


def explorer() -> Explorer:
    """One cell whose gates are operated by hand: write, keep, read."""
    return Explorer(
        operate,
        Slider("write", "write at step", 1, STEPS, 1, value=5),
        Slider("read", "read at step", 1, STEPS, 1, value=35),
        Slider("keep", "sum of the forget gate, aᶠ", -2.0, 8.0, 0.5, value=1.0),
        Toggle("guarded", "input gate shut, but for the writing", True),
        title="You are the gates",
        description="Keep the number that comes at the writing step until the reading step, against the noise.",
    )


def operate(write: int, read: int, keep: float, guarded: bool) -> Scene:
    """An LSTM of one unit that reads noise, with gates that do what the controls say.

    Args:
        write: at this step the input gate is open, and the forget gate shut: what was there before goes.
        read: at this step the output gate is open, and the loss, h itself, stands here.
        keep: the sum of the forget gate at all other steps.
        guarded: the input gate is shut at all other steps; else it is half open.
    """
    gates, c, h, dc = operated(write, read, keep, guarded)
    steps = np.arange(1, STEPS + 1)
    f = float(sigmoid(np.array(keep)))
    written, shown = gates["g"][write - 1], np.where(dc > LEAST, dc, np.nan)
    lines = [Line(steps, gates[name], f"{name}", color) for name, color in GATE_COLORS.items()]
    state: list[Mark] = [
        Bars(steps, gates["g"], "g", "grey", width=0.5),
        Line(steps, c, "c", "ink"),
        Dots([write], [written], "to be kept", "green", size=10),
        Dots([read], [h[read - 1]], "h, read", BACK, size=10),
    ]
    way_back: list[Mark] = [
        Line(steps, shown, "dc", BACK),
        Dots(steps, shown, color=BACK, size=5),
    ]
    span = (0.0, STEPS + 1.0)
    return Scene(
        [
            Panel(lines, "The gates", y_label="open", y_limits=(-0.05, 1.05), height=140, x_limits=span),
            Panel(state, "The cell state", y_label="value", y_limits=(-3.3, 3.3), height=200, x_limits=span),
            Panel(
                way_back, "The gradient, back from the reading", x_label="step t", y_label="∂h_read / ∂c_t",
                y_scale="log", y_limits=(LEAST, 10), height=170, x_limits=span,
            ),
        ],
        alt=_told(write, read, f, written, c[read - 1], h[read - 1], dc),
    )  # fmt: skip


def _told(write: int, read: int, f: float, written: float, held: float, said: float, dc: np.ndarray) -> str:
    """The caption: what was kept, and what came back."""
    text = f"The forget gate stands at {f:.3f}. "
    if read < write:
        return text + f"Step {read} is read, before anything is written at step {write}: no gradient gets there."
    lag = read - write
    return (
        f"{text}At step {write}, {written:.2f} was written; {lag} steps later c holds {held:.2f}, and {said:.2f} is "
        f"read. Of the gradient in c at the reading, a share of {dc[write - 1] / dc[read - 1]:.2g} comes back to the "
        "writing."
    )


def operated(
    write: int, read: int, keep: float, guarded: bool
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """The cell of `operate`: gates by name, c, h and ∂h_read/∂c_t, (STEPS,) each."""
    a = np.empty((STEPS, 1, lstm.GATES))  # the sums of i, f, g and o, which in a network (1) would give
    a[:, 0, 0], a[write - 1, 0, 0] = SHUT if guarded else 0.0, OPEN
    a[:, 0, 1], a[write - 1, 0, 1] = keep, SHUT
    a[:, 0, 2] = np.random.default_rng(20).uniform(-1.2, 1.2, STEPS)
    a[write - 1, 0, 2] = 1.2
    a[:, 0, 3], a[read - 1, 0, 3] = SHUT, OPEN
    h, c, caches, hs, cs = np.zeros((1, 1)), np.zeros((1, 1)), [], [], []
    for a_t in a:
        h, c, cache = lstm.update_forward(a_t, np.zeros_like(a_t), h, c)
        caches.append(cache)
        hs.append(h.item())
        cs.append(c.item())
    dc, arrived = np.zeros((1, 1)), np.zeros(STEPS)
    for t in reversed(range(read)):
        dh, cache = np.full((1, 1), float(t == read - 1)), caches[t]
        arrived[t] = (dc + dh * cache.o * (1 - cache.tanh_c_next**2)).item()  # (4'), all that comes back into c_t
        _, _, _, dc = lstm.update_backward(dh, dc, cache)
    gates = {name: np.array([getattr(cache, name).item() for cache in caches]) for name in "ifgo"}
    return gates, np.array(cs), np.array(hs), arrived
