"""√T checkpointing: keep the state at the start of every window of √T steps, and run a window again when backward needs
what it computed. Memory for caches falls from T steps to about 2 √T; a second forward pass pays for it.

Reference:
    Chen et al. (2016), Training deep nets with sublinear memory cost. Gruslys et al. (2016), Memory-efficient
    backpropagation through time.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths

Run = Callable[..., tuple[Any, ...]]  # (x, states, lengths, window) -> (hs, *last states, cache)


class CheckpointCache(NamedTuple):
    run: Run
    x: np.ndarray
    lengths: np.ndarray | None
    windows: list[slice]  # in the order of reading
    states: list[list[np.ndarray]]  # before each window


def forward(
    run: Run, x: np.ndarray, states: Sequence[np.ndarray], lengths: ArrayLike | None, *, reverse: bool
) -> tuple[Any, ...]:
    """Run a batch of sequences window by window.

    Args:
        run: sends one window, x (k, N, D) with its initial states and lengths, through a cell; its fourth argument is
            the number of the window, so that what it draws can be drawn again.
        x: (T, N, D).
        states: each (N, H).
        lengths: (N,); None: every sequence has T steps.
        reverse: the windows are read from the last to the first; `run` reads each the same way.

    Returns:
        hs (T, N, H), the last states, and the cache for `backward`.

    Raises:
        TypeError, ValueError: as `run`, and for lengths that do not fit.
    """
    T, N, _ = x.shape
    k = math.isqrt(T - 1) + 1
    windows = [slice(start, min(start + k, T)) for start in range(0, T, k)][:: -1 if reverse else 1]
    whole = None if lengths is None else check_lengths(lengths, T, N)
    now, before = list(states), []
    for number, window in enumerate(windows):
        before.append(now)
        part, *now, _ = run(x[window], now, inside(whole, window), number)
        if number == 0:
            hs = np.empty((T, *part.shape[1:]), part.dtype)
        hs[window] = part
    hs.flags.writeable = False  # as where it is a cache's own memory
    return hs, *now, CheckpointCache(run, x, whole, windows, before)


def backward(
    dhs: np.ndarray | None,
    last: Sequence[np.ndarray | None],
    cache: CheckpointCache,
    run_backward: Callable[..., Sequence[np.ndarray]],
) -> list[np.ndarray]:
    """Send the gradient of a loss back, running each window forward once more.

    Args:
        dhs: (T, N, H); None: zero.
        last: the gradients of the last states; None: zero.
        cache: from `forward`.
        run_backward: takes dhs, the gradients of the last states, and the cache that `run` returned.

    Returns:
        dx, the gradients of the initial states, and those of the weights.

    Raises:
        TypeError, ValueError: as `run_backward`.
    """
    run, x, lengths, windows, states = cache
    d_now: list[Any] = list(last)
    totals: list[np.ndarray] = []
    dx = np.empty(x.shape, x.dtype)
    for number, window in reversed(list(enumerate(windows))):
        *_, inner = run(x[window], states[number], inside(lengths, window), number)
        gradients = run_backward(None if dhs is None else dhs[window], d_now, inner)
        dx[window], d_now = gradients[0], list(gradients[1 : 1 + len(last)])
        parts = gradients[1 + len(last) :]
        totals = [total + part for total, part in zip(totals, parts, strict=True)] if totals else list(parts)
    return [dx, *d_now, *totals]


def inside(lengths: np.ndarray | None, window: slice) -> np.ndarray | None:
    """How many steps of each sequence lie inside a window."""
    return None if lengths is None else np.clip(lengths - window.start, 0, window.stop - window.start)
