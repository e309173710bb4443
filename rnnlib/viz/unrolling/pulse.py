"""What a learner's own forward pass does with one pulse: the picture of problem set 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from rnnlib.viz import Explorer, Heatmap, Panel, Scene, Slider

T, H, PULSE = 40, 12, 5


def explorer(rnn_forward: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Explorer:
    """One pulse through `rnn_forward`, under a slider for the size of the recurrent weights."""
    return Explorer(
        partial(response, rnn_forward),
        Slider("memory", "size of W_hh", 0.0, 1.5, 0.05, value=0.9),
        title="Your network, one pulse",
        description="For how many steps can you still see it?",
    )


def response(rnn_forward: Callable[..., tuple[np.ndarray, np.ndarray]], memory: float) -> Scene:
    """The states that a pulse at step 5 leaves; or, where `rnn_forward` cannot draw them yet, why.

    Args:
        rnn_forward: (x, h0, W_ih, W_hh, b_ih, b_hh) -> (hs, h_last), written by a learner.
        memory: all singular values of W_hh.
    """
    rng = np.random.default_rng(0)
    W_ih, W_hh = rng.normal(size=(H, 1)), memory * np.linalg.qr(rng.normal(size=(H, H)))[0]
    x = np.zeros((T, 1, 1))
    x[PULSE] = 2.0
    try:
        hs = np.asarray(rnn_forward(x, np.zeros((1, H)), W_ih, W_hh, np.zeros(H), np.zeros(H))[0], dtype=float)
        hs = hs.reshape(T, H)
    except Exception as error:  # whatever a learner's code raises: the notebook goes on, the check below it explains
        return _not_yet(error)
    left = np.abs(hs[-1]).max()
    heatmap = Heatmap(hs.T, label="state h", limits=(-1, 1))
    panel = Panel([heatmap], "The state after each step", x_label="step t", y_label="hidden unit", height=260)
    return Scene(
        [panel], alt=f"A pulse at step {PULSE}, size of W_hh {memory:g}: at step {T - 1}, |h| is at most {left:.2g}."
    )


def _not_yet(error: Exception) -> Scene:
    """An empty picture, and below it what to do."""
    empty = Heatmap(np.full((H, T), np.nan), label="state h", limits=(-1, 1))
    panel = Panel([empty], "Nothing to draw yet", x_label="step t", y_label="hidden unit", height=260)
    why = "" if isinstance(error, NotImplementedError) else f" It stopped with {type(error).__name__}."
    return Scene([panel], alt=f"Write rnn_forward above, then run this cell again.{why}")
