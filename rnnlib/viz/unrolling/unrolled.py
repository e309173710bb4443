"""The pictures and the explorer of lesson 04: values forwards through the unrolled network, gradients back.

Blue arrows go forwards, vermillion ones back, in every picture here.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping

import numpy as np

from rnnlib.cells import rnn
from rnnlib.viz import Arrow, Band, Bars, Box, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark
from rnnlib.viz.unrolling.recurrence import random_weights

FORWARD, BACK = "blue", "vermillion"


# ---- diagrams ----------------------------------------------------------------------------------------------------


def graph() -> Scene:
    """Four steps unrolled, with a loss at each: what goes forwards, and the gradients that come back."""
    states = [Box(1.7 * t, 0, f"h{_low(t)}", width=0.8) for t in range(5)]
    marks: list[Mark] = [*states]
    for before, after in itertools.pairwise(states):
        marks += _both_ways(before, after)
    for t, state in enumerate(states[1:], start=1):
        entry, loss = Box(state.x, -1.3, f"x{_low(t)}", width=0.8), Box(state.x, 1.3, f"L{_low(t)}", width=0.8)
        marks += [entry, loss, *_both_ways(entry, state), *_both_ways(state, loss)]
    marks += [
        Label(0.85, 0.42, "W_hh"),
        Label(1.4, -0.65, "W_ih", align="right"),
        Label(1.4, 0.78, "W", align="right"),
        Label(7.5, 1.3, "losses", align="left"),
        Label(7.5, 0, "states", align="left"),
        Label(7.5, -1.3, "inputs", align="left"),
    ]
    panel = Panel(marks, axes=False, x_limits=(-0.6, 8.4), y_limits=(-1.7, 1.7), height=260)
    return Scene(
        [panel],
        alt="The network unrolled over four steps: h₀ to h₄ in a row, each with its input x below and its loss above. "
        "Blue arrows go forwards, from x and from the state before into each state, and from it to its loss. Beside "
        "each a red arrow runs the other way: every state gets a gradient from its own loss and one from the state "
        "after it. All steps share W_ih, W_hh and W.",
    )


def _both_ways(start: Box, end: Box, apart: float = 0.11) -> tuple[Arrow, Arrow]:
    """The arrow forwards, and beside it the one back."""
    there, back = Arrow.between(start, end, color=FORWARD), Arrow.between(end, start, color=BACK)
    dx, dy = (0.0, apart) if start.y == end.y else (-apart, 0.0)
    return (
        Arrow(there.x + dx, there.y + dy, there.to_x + dx, there.to_y + dy, color=FORWARD, width=2),
        Arrow(back.x - dx, back.y - dy, back.to_x - dx, back.to_y - dy, color=BACK, width=2),
    )


def two_paths() -> Scene:
    """The two gradients that meet in a state: from its own output, and from the next state."""
    state, following, loss = (
        Box(0, 0, "hₜ", width=0.9),
        Box(3.4, 0, "hₜ₊₁", width=0.9),
        Box(0, 1.5, "Lₜ", width=0.9),
    )
    before, later = Box(-3.0, 0, "hₜ₋₁", width=0.9), Box(6.0, 0, "all later\nlosses", width=1.2, height=0.7)
    marks: list[Mark] = [state, following, loss, before, later]
    for start, end in ((state, loss), (state, following), (before, state), (following, later)):
        marks += _both_ways(start, end, apart=0.12)
    marks += [
        Label(0.3, 0.78, "1: own output, dhsₜ", BACK, "left"),
        Label(1.7, -0.36, "2: next state, W_hhᵀ daₜ₊₁", BACK),
        Label(-1.5, -0.36, "the sum goes on", BACK),
    ]
    panel = Panel(marks, axes=False, x_limits=(-3.7, 6.9), y_limits=(-0.7, 2), height=210)
    return Scene(
        [panel],
        alt="A state h_t lies on two ways to the loss: to its own output's loss L_t, and to the next state h_{t+1} and "
        "through it to all later losses. Two red arrows come back into h_t, one from each; their sum goes on to the "
        "state before.",
    )


# ---- plots -------------------------------------------------------------------------------------------------------


def check_error(steps: np.ndarray, errors: Mapping[str, np.ndarray]) -> Scene:
    """The error of a numerical gradient against its step size, a line for each method.

    Args:
        steps: (n,), the step sizes.
        errors: by name, (n,), relative errors; an exact result is drawn at 1e-17.
    """
    marks: list[Mark] = []
    for (name, error), color in zip(errors.items(), (BACK, "green", FORWARD), strict=False):
        shown = np.maximum(error, 1e-17)
        marks += [Line(steps, shown, name, color, dashed=color == FORWARD), Dots(steps, shown, color=color, size=5)]
    spoken = [f"{name} is best at {steps[e.argmin()]:.0e}, with {e.min():.0e}" for name, e in errors.items()]
    panel = Panel(
        marks, x_label="step size h", y_label="relative error", x_scale="log", y_scale="log", y_limits=(1e-17, 10),
        height=290,
    )  # fmt: skip
    return Scene([panel], alt=f"Error against step size: {'; '.join(spoken)}.")


def window_cost(windows: np.ndarray, errors: Mapping[str, np.ndarray], reaches: Mapping[str, np.ndarray]) -> Scene:
    """What truncation costs, against the window: the error of the gradient, and how many losses see their cause.

    Args:
        windows: (n,), window sizes k.
        errors: by name, (n,), the relative error of a truncated gradient.
        reaches: by name, (n,), the share of losses whose cause lies in the same window, 0 to 1.
    """

    def panel(lines: Mapping[str, np.ndarray], title: str, label: str, limits: tuple[float, float]) -> Panel:
        marks: list[Mark] = [Band([64, 256], [0, 0], [limits[1]] * 2, "64 to 256", color="grey")]
        for (name, values), color in zip(lines.items(), ("green", "blue", BACK), strict=False):
            marks += [Line(windows, values, name, color), Dots(windows, values, color=color)]
        return Panel(
            marks, title, x_label="window k (steps)", y_label=label, x_scale="log", y_limits=limits, height=280
        )

    high = 1.1 * max(float(e.max()) for e in errors.values())
    ends = [f"{name} {e[0]:.2f} to {e[-1]:.2g}" for name, e in errors.items()]
    seen = [f"{name} {100 * r[-1]:.0f} %" for name, r in reaches.items()]
    return Scene(
        [
            panel(errors, "Error of dW_hh", "relative error", (0, high)),
            panel({name: 100 * r for name, r in reaches.items()}, "Losses that see their cause", "share (%)", (0, 105)),
        ],
        alt=f"For windows from {windows[0]} to {windows[-1]} steps. Relative error of dW_hh: {', '.join(ends)}. Losses "
        f"whose cause lies in the same window, at {windows[-1]} steps: {', '.join(seen)}.",
        columns=2,
    )


def checkpoints(T: int = 36) -> Scene:
    """Which states are in memory halfway back: all of them, or every √T-th and those of one window."""
    k = round(T**0.5)
    steps, starts, window = np.arange(T), np.arange(0, T, k), np.arange(T // 2, T // 2 + k)
    marks: list[Mark] = [
        Dots(steps, np.ones(T), color="blue", size=10),
        Dots(steps, np.zeros(T), color="grey", size=3),
        Dots(starts, np.zeros(len(starts)), "kept on the way forwards", "blue", 10),
        Dots(window[1:], np.zeros(k - 1), "computed again, when the way back gets there", BACK, 10),
        Label(-1, 1, "all kept", align="right"),
        Label(-1, 0, "√T", align="right"),
    ]
    panel = Panel(marks, axes=False, x_limits=(-4.5, T), y_limits=(-0.6, 1.6), height=120)
    return Scene(
        [panel],
        alt=f"{T} steps in two rows. Above, all {T} states are kept. Below, every {k}th is kept, {len(starts)} in all, "
        f"and the {k - 1} others of one window have been computed again.",
    )


# ---- the explorer ------------------------------------------------------------------------------------------------

STEPS, UNITS, SEED = 12, 6, 4
ALL = 2 * STEPS + 1  # moments: each step forwards, each step back, and h₀


def explorer(window: int = STEPS, loss_at: int = STEPS) -> Explorer:
    """The unrolled network: states flow forwards, the gradient of one loss flows back."""
    return Explorer(
        back,
        Slider("radius", "spectral radius of W_hh", 0.0, 2.0, 0.1, value=0.9),
        Slider("loss_at", "the loss stands at step", 1, STEPS, 1, value=loss_at),
        Slider("window", "truncation window k", 1, STEPS, 1, value=window, unit="steps"),
        Slider("moment", "moment", 1, ALL, 1, value=ALL, steps_per_second=3),
        title="Forwards, and back",
        description="Play the moment: first the states fill in from left to right, then the gradient comes back. Move "
        "the radius, then the loss, then the window.",
    )


def back(loss_at: int, radius: float, window: int, moment: int) -> Scene:
    """A random tanh network of 12 steps with a loss at one of them, as far as it is computed at this moment.

    Args:
        loss_at: the step whose state the loss reads.
        radius: spectral radius of W_hh.
        window: steps in a window of truncated BPTT; at its first step the gradient is cut.
        moment: 1 to 12: steps forwards; then one step back each, from the last step to h₀.
    """
    x, hs, dhs, added = sent_back(loss_at, radius, window)
    _, _, full, added_in_full = sent_back(loss_at, radius, STEPS)
    done, reached = min(moment, STEPS), max(ALL - moment, 0)  # states up to done, gradients down to reached
    known = np.arange(STEPS + 1) >= reached
    norms, whole = (np.where(n > 0, n, np.nan) for n in (np.linalg.norm(d, axis=1) for d in (dhs, full)))
    dW, dW_full = added.sum(axis=0), added_in_full.sum(axis=0)
    error = float(np.linalg.norm(dW - dW_full) / (np.linalg.norm(dW_full) or 1.0))
    return Scene(
        [
            _network(x, hs, dhs, loss_at, radius, window, done, reached),
            Panel(
                [
                    Line(np.arange(STEPS + 1), whole, "full BPTT", "grey", dashed=True),
                    Line(np.arange(STEPS + 1), np.where(known, norms, np.nan), "this gradient", BACK),
                    Dots(np.arange(STEPS + 1), np.where(known, norms, np.nan), color=BACK),
                ],
                "How much of the gradient arrives",
                y_label="norm of dh",
                x_limits=SPAN,
                y_scale="log",
                y_limits=(1e-4, 20),
                height=150,
            ),
            Panel(
                [Bars(np.arange(1, STEPS + 1), np.where(known[1:], np.linalg.norm(added, axis=(1, 2)), 0), color=BACK)],
                "What each step adds to dW_hh",
                x_label="step t",
                y_label="norm",
                x_limits=SPAN,
                y_limits=(0, 2.1),
                height=150,
            ),
        ],
        alt=f"Moment {moment} of {ALL}. The loss stands at step {loss_at}, spectral radius {radius:g}, windows of "
        f"{window}. " + _told(dhs, loss_at, window, reached, error),
    )


def _told(dhs: np.ndarray, loss_at: int, window: int, reached: int, error: float) -> str:
    """The rest of the caption: how far the gradient has come, and what truncation costs."""
    if reached > loss_at:
        return "No gradient has come back yet."
    start = (loss_at - 1) // window * window
    step = max(reached, start + 1 if start else 0)
    text = f"The gradient starts with norm 1; {np.linalg.norm(dhs[step]):.2g} of it has come to h{_low(step)}."
    return text + (f" Truncated, dW_hh is off by {100 * error:.0f} %." if reached == 0 and error else "")


@functools.lru_cache(maxsize=128)
def sent_back(loss_at: int, radius: float, window: int) -> tuple[np.ndarray, ...]:
    """The explorer's network, forwards and back.

    Returns:
        x: (STEPS,), hs: (STEPS + 1, H) from h₀ on, dhs: (STEPS + 1, H), the gradient of each state, and what each step
        adds to dW_hh, (STEPS, H, H).
    """
    weights = random_weights(1, UNITS, radius, seed=SEED, input_scale=0.5)
    rng = np.random.default_rng(2)
    x, direction = rng.uniform(-1, 1, STEPS), rng.normal(size=UNITS)
    hs, caches = [np.zeros((1, UNITS))], []
    for x_t in x:
        h, cache = rnn.step_forward(np.full((1, 1), x_t), hs[-1], *weights)
        hs.append(h)
        caches.append(cache)
    dhs, added = np.zeros((STEPS + 1, UNITS)), np.zeros((STEPS, UNITS, UNITS))
    dhs[loss_at] = direction / np.linalg.norm(direction)
    for t in range(loss_at, 0, -1):
        gradients = rnn.step_backward(dhs[t : t + 1], caches[t - 1])
        added[t - 1] = gradients.dW_hh
        if (t - 1) % window:
            dhs[t - 1] = gradients.dh[0]
        elif t == 1:
            dhs[0] = gradients.dh[0]  # h₀ is inside the first window
    return x, np.concatenate(hs), dhs, added


SPAN = (-1.0, STEPS + 0.6)  # of the x axis: the three panels stand above each other, step by step


def _network(
    x: np.ndarray, hs: np.ndarray, dhs: np.ndarray, loss_at: int, radius: float, window: int, done: int, reached: int
) -> Panel:
    """Inputs, states and gradients of every step in three rows, with the loss between states and gradients."""
    marks: list[Mark] = []
    top, bottom = UNITS + 1.0, -4.0  # of the strips of states and of gradients
    for t in range(STEPS + 1):
        marks += _strip(t, top, hs[t] if t <= done else None)
        marks += _strip(t, bottom, dhs[t] if t >= reached else None, limit=0.6)
        if t == 0:
            continue
        entry = Box(t, top + 3, f"{x[t - 1]:.1f}", x[t - 1], width=0.7, height=1.6)
        marks.append(entry)
        if t <= done:
            marks.append(Arrow(t, top + 2.2, t, top + 0.1, color=FORWARD))
        if t <= done and radius > 0:
            marks.append(Arrow(t - 0.75, top - UNITS / 2, t - 0.25, top - UNITS / 2, color=FORWARD, width=2))
        cut = t > 1 and (t - 1) % window == 0
        if cut:
            marks.append(Line([t - 0.5] * 2, [bottom - UNITS - 0.6, bottom + 0.6], color="ink", dashed=True))
        elif t > reached and dhs[t].any() and dhs[t - 1].any():
            marks.append(Arrow(t - 0.25, bottom - UNITS / 2, t - 0.75, bottom - UNITS / 2, color=BACK, width=2))
    loss = Box(loss_at, (top - UNITS + bottom) / 2, "L", width=0.5, height=1.7)
    marks.append(loss)
    if loss_at <= done:
        marks.append(Arrow(loss_at, top - UNITS - 0.05, loss_at, loss.y + 0.95, color=FORWARD))
    if loss_at >= reached:
        marks.append(Arrow(loss_at, loss.y - 0.95, loss_at, bottom + 0.05, color=BACK))
    for y, name in ((top + 3, "x"), (top - UNITS / 2, "h"), (bottom - UNITS / 2, "dh")):
        marks.append(Label(SPAN[0], y, name, align="left"))
    return Panel(
        marks, "States forwards (blue), the gradient back (red); dashed: where a window cuts it", axes=False,
        x_limits=SPAN, y_limits=(bottom - UNITS - 0.8, top + 4), height=310,
    )  # fmt: skip


def _strip(t: int, top: float, values: np.ndarray | None, limit: float = 1.0) -> list[Mark]:
    """The units of one step, one above the other; empty boxes where nothing is known yet."""
    shades = [None] * UNITS if values is None else [float(v) for v in values]
    return [
        Box(t, top - i - 0.5, "", value, width=0.46, height=1.0, limit=limit, color="grey")
        for i, value in enumerate(shades)
    ]


def _low(number: int) -> str:
    """A number as a subscript."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
