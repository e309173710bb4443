"""How far back a learner's own gradient reaches: the picture of problem set 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rnnlib.viz import Dots, Explorer, Heatmap, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

T, D, H = 30, 2, 6
MEASURED = (0, 5, 15, 30)  # lags at which the numerical gradient is asked too
STEP = 1e-5
Function = Callable[..., Any]


def explorer(rnn_forward: Function, rnn_backward: Function, numerical_gradient: Function) -> Explorer:
    """‖∂L/∂h_{T-k}‖ against the lag k, under a slider for the size of the recurrent weights."""
    return Explorer(
        partial(reach, rnn_forward, rnn_backward, numerical_gradient),
        Slider("size", "size of W_hh", 0.1, 1.5, 0.05, value=0.9),
        title="Your gradient, on its way back",
        description="The loss stands at the last step. How much of the blame reaches thirty steps back? Is there a "
        "size at which all of it arrives?",
    )


def reach(rnn_forward: Function, rnn_backward: Function, numerical_gradient: Function, size: float) -> Scene:
    """The gradient that a loss at the last step sends to every state before; or, where that cannot be drawn, why.

    Args:
        rnn_forward: (x, h0, W_ih, W_hh, b_ih, b_hh) -> (hs, h_last, cache), written by a learner.
        rnn_backward: (dhs, dh_last, cache) -> (dx, dh0, ...), the same.
        numerical_gradient: (f, x, h) -> the gradient of f at x, the same; without it there are no dots.
        size: all singular values of W_hh.
    """
    try:
        by_lag, loss_of = _sent_back(rnn_forward, rnn_backward, size)
    except Exception as error:  # whatever a learner's code raises: the notebook goes on, the check above explains
        return _not_yet(error)
    norms, lags = np.linalg.norm(by_lag, axis=1), np.arange(T + 1)
    marks: list[Mark] = [Line(lags, np.where(norms > 0, norms, np.nan), "your rnn_backward", "vermillion")]
    measured = _measured(numerical_gradient, loss_of)
    if measured is not None:
        above = np.where(measured > 0, measured, np.nan)
        marks.append(Dots(np.array(MEASURED), above, "your numerical_gradient", "blue", size=9))
    alt = f"Size of W_hh {size:g}: of a gradient of norm {norms[0]:.2g} at the last step, {norms[10]:.2g} arrives 10 "
    alt += f"steps earlier and {norms[-1]:.2g} arrives {T} steps earlier."
    if measured is None:
        alt += " Dots will appear when numerical_gradient is written."
    return Scene([_norm_panel(marks), _unit_panel(by_lag)], alt=alt)


def _weights(size: float) -> tuple[np.ndarray, ...]:
    """x (T, 1, D), h0 (1, H), the four parameters and ∂L/∂h_T (1, H), the same each time but for `size`."""
    rng = np.random.default_rng(3)
    x, W_ih = rng.normal(size=(T, 1, D)), rng.normal(0, 0.25, (H, D))
    W_hh = size * np.linalg.qr(rng.normal(size=(H, H)))[0]
    dh_last = rng.normal(size=(1, H))
    return x, np.zeros((1, H)), W_ih, W_hh, np.zeros(H), np.zeros(H), dh_last / np.linalg.norm(dh_last)


def _sent_back(
    rnn_forward: Function, rnn_backward: Function, size: float
) -> tuple[np.ndarray, Callable[[int], tuple[np.ndarray, Callable[[np.ndarray], float]]]]:
    """∂L/∂h_{T-k} for k = 0 to T, (T + 1, H); and, for a lag, that state and the loss as a function of it."""
    x, h0, *weights, dh_last = _weights(size)
    hs = np.asarray(rnn_forward(x, h0, *weights)[0], dtype=float).reshape(T, 1, H)
    states = np.concatenate([h0[None], hs])
    by_lag = [dh_last]
    for lag in range(1, T + 1):  # the last `lag` steps alone: their dh0 is the gradient of the state before them
        _, _, cache = rnn_forward(x[T - lag :], states[T - lag].copy(), *weights)
        gradient = rnn_backward(np.zeros((lag, 1, H)), dh_last.copy(), cache)[1]
        by_lag.append(np.asarray(gradient, dtype=float).reshape(1, H))
    if not np.isfinite(by_lag).all():
        raise ValueError("the gradient has entries that are not finite")

    def loss_of(lag: int) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
        def loss(h: np.ndarray) -> float:
            h_last = rnn_forward(x[T - lag :], h, *weights)[1] if lag else h
            return float(np.sum(dh_last * h_last))

        return states[T - lag].copy(), loss

    return np.concatenate(by_lag), loss_of


def _measured(numerical_gradient: Function, loss_of: Function) -> np.ndarray | None:
    """‖∂L/∂h_{T-k}‖ at the lags `MEASURED`, from the loss alone; None where the function cannot say."""
    norms = []
    for lag in MEASURED:
        state, loss = loss_of(lag)
        try:
            gradient = np.asarray(numerical_gradient(loss, state, STEP), dtype=float)
        except Exception:  # not written yet, or wrong: its own check says so
            return None
        if gradient.shape != state.shape or not np.isfinite(gradient).all():
            return None
        norms.append(np.linalg.norm(gradient))
    return np.array(norms)


def _norm_panel(marks: list[Mark]) -> Panel:
    return Panel(
        marks, "How much arrives", x_label="lag k (steps before the loss)", y_label="norm of the gradient",
        x_limits=(-0.5, T + 0.5), y_scale="log", y_limits=(1e-8, 100), height=250,
    )  # fmt: skip


def _unit_panel(by_lag: np.ndarray) -> Panel:
    return Panel(
        [Heatmap(by_lag.T, label="∂L/∂h", limits=(-0.8, 0.8))],
        "... unit by unit",
        x_label="lag k (steps before the loss)",
        y_label="hidden unit",
        height=200,
    )


def _not_yet(error: Exception) -> Scene:
    """Empty axes, and below them what to do."""
    empty: list[Mark] = [Line(np.arange(T + 1), np.full(T + 1, np.nan), color="vermillion")]
    why = "" if isinstance(error, NotImplementedError) else f" It stopped with {type(error).__name__}: {error}"
    return Scene(
        [_norm_panel(empty), _unit_panel(np.full((T + 1, H), np.nan))],
        alt=f"Nothing to draw yet. Write rnn_forward and rnn_backward above, then run this cell again.{why}",
    )
