"""The simple recurrent network of Elman: one state, pushed through one nonlinearity.

    (1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (2)  h_t = φ(a_t)                                     φ = tanh or relu

and, with d· for the derivative of the loss, read from the bottom up:

    (2') da_t = dh_t ⊙ φ'(a_t)                            tanh' = 1 - h_t²,  relu' = 1 where h_t > 0
    (1') dx_t = W_ihᵀ da_t      dh_{t-1} = W_hhᵀ da_t
         dW_ih = Σ da_t x_tᵀ    dW_hh = Σ da_t h_{t-1}ᵀ    db_ih = db_hh = Σ da_t

`step_forward` and `step_backward` are these lines. `forward` and `backward` compute the same over whole sequences,
fast: the parts of (1) and (1') that need no earlier step are one GEMM for many steps, φ' is taken for many steps at
once, and the loop over time holds only what is truly sequential.

Reference:
    Elman (1990), Finding structure in time. Werbos (1990), Backpropagation through time: what it does and how to do it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import Packing, admit, admit_gradients, by_step, check_lengths, first_rows, plan

GATES = 1


class UpdateCache(NamedTuple):
    h_next: np.ndarray
    nonlinearity: str


class StepCache(NamedTuple):
    x: np.ndarray
    h: np.ndarray
    update: UpdateCache
    W_ih: np.ndarray
    W_hh: np.ndarray


class StepGradients(NamedTuple):
    dx: np.ndarray
    dh: np.ndarray
    dW_ih: np.ndarray
    dW_hh: np.ndarray
    db_ih: np.ndarray
    db_hh: np.ndarray


class Cache(NamedTuple):
    x: np.ndarray  # packed rows
    states: np.ndarray  # N rows of h0, then the packed rows of h_t
    packing: Packing
    W_ih: np.ndarray
    W_hh: np.ndarray
    nonlinearity: str


class Gradients(NamedTuple):
    dx: np.ndarray
    dh0: np.ndarray
    dW_ih: np.ndarray
    dW_hh: np.ndarray
    db_ih: np.ndarray
    db_hh: np.ndarray


def relu(a: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """max(a, 0); NumPy orders complex numbers by their real part, which is what a complex-step check needs."""
    return np.maximum(a, 0, out=out)


def activation(nonlinearity: str) -> Callable[..., np.ndarray]:
    """φ by name.

    Raises:
        ValueError: the name is unknown.
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity is {nonlinearity!r}: expected 'tanh' or 'relu'")
    return np.tanh if nonlinearity == "tanh" else relu


def slope(h: np.ndarray, nonlinearity: str, out: np.ndarray | None = None) -> np.ndarray:
    """φ'(a) from h = φ(a); at the kink of ReLU it is 0, as in torch."""
    if nonlinearity == "relu":
        return np.greater(h, 0, out=out)
    return np.subtract(1, np.multiply(h, h, out=out), out=out)


def update_forward(
    a: np.ndarray, q: np.ndarray, h: np.ndarray, nonlinearity: str = "tanh"
) -> tuple[np.ndarray, UpdateCache]:
    """Equation (2), from what the input says, a (N, H), and what the state says, q (N, H); h is not used."""
    # (2) h_t = φ(a_t)
    h_next = activation(nonlinearity)(a + q)
    return h_next, UpdateCache(h_next, nonlinearity)


def update_backward(dh_next: np.ndarray, cache: UpdateCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equation (2'): da and dq (N, H), which are the same, and dh, which is zero."""
    # (2') da_t = dh_t ⊙ φ'(a_t)
    da = dh_next * slope(cache.h_next, cache.nonlinearity)
    return da, da, np.zeros_like(da)


def step_forward(
    x: np.ndarray,
    h: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
    nonlinearity: str = "tanh",
) -> tuple[np.ndarray, StepCache]:
    """One step, equations (1) and (2): x (N, D) and h (N, H) give h_next (N, H) and what the backward step needs."""
    # (1) a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    h_next, update = update_forward(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, h, nonlinearity)
    return h_next, StepCache(x, h, update, W_ih, W_hh)


def step_backward(dh_next: np.ndarray, cache: StepCache) -> StepGradients:
    """One step back, equations (2') and (1'): dh_next (N, H) gives a gradient for everything that went in."""
    x, h, update, W_ih, W_hh = cache
    da, _, _ = update_backward(dh_next, update)
    # (1') dx_t = W_ihᵀ da_t, dh_{t-1} = W_hhᵀ da_t, dW_ih = Σ da_t x_tᵀ, dW_hh = Σ da_t h_{t-1}ᵀ, db = Σ da_t
    return StepGradients(da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0))


def forward(
    x: np.ndarray,
    h0: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
    lengths: ArrayLike | None = None,
    *,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> tuple[np.ndarray, np.ndarray, Cache]:
    """Run a batch of sequences.

    Args:
        x: (T, N, D); what stands in the padding is never read.
        h0: (N, H).
        W_ih, W_hh, b_ih, b_hh: (H, D), (H, H), (H,), (H,).
        lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.
        reverse: read each sequence from its last valid step to its first.
        nonlinearity: "tanh" or "relu".

    Returns:
        hs: (T, N, H), the state after each step, where that step stands in x; zero on padding. Read-only: copy first.
        h_last: (N, H), the state after the last step that was read; h0 for a sequence of length 0.
        cache: what `backward` needs. It refers to x and the weights: change them only after `backward`.

    Raises:
        TypeError: integers, or float32 beside float64.
        ValueError: a shape, a length or the nonlinearity is wrong.
    """
    phi = activation(nonlinearity)
    weights = {"W_ih": W_ih, "W_hh": W_hh, "b_ih": b_ih, "b_hh": b_hh}
    x, h0, W_ih, W_hh, b_ih, b_hh = admit(x, {"h0": h0}, weights)
    T, N, _ = x.shape
    packing = plan(T, N, None if lengths is None else check_lengths(lengths, T, N), reverse)

    x_rows = packing.pack(x)
    states = np.empty((N + len(x_rows), len(W_hh)), x.dtype)
    states[:N] = h0[packing.order]
    h_rows = states[N:]
    a = np.empty((packing.rows_per_block, len(W_hh)), x.dtype)
    W_ih_T, W_hh_T = np.ascontiguousarray(W_ih.T), np.ascontiguousarray(W_hh.T)  # GEMM with .T is slower
    b = b_ih + b_hh
    for rows, sizes in packing.blocks():
        # (1) a_t = W_ih x_t + b_ih + b_hh + ..., for a block of steps
        a_block = np.dot(x_rows[rows], W_ih_T, out=a[: sum(sizes)])
        a_block += b
        a_steps, h_steps = by_step(a_block, sizes), by_step(h_rows[rows], sizes)
        for h, a_t, h_t in zip(packing.steps_before(states, rows, sizes), a_steps, h_steps, strict=True):
            # (1) ... + W_hh h_{t-1} (the method .dot costs a third less than np.dot when N = 1)
            h.dot(W_hh_T, h_t)
            np.add(h_t, a_t, h_t)
            # (2) h_t = φ(a_t)
            phi(h_t, h_t)

    hs, h_last = packing.unpack(h_rows), packing.restore(states[packing.last])
    hs.flags.writeable = False  # without padding it is the cache's own memory
    return hs, h_last, Cache(x_rows, states, packing, W_ih, W_hh, nonlinearity)


def backward(dhs: np.ndarray | None, dh_last: np.ndarray | None, cache: Cache) -> Gradients:
    """Send the gradient of a loss back through all steps.

    Args:
        dhs: (T, N, H), the gradient of `hs`, never read on padding; None: zero.
        dh_last: (N, H), the gradient of `h_last`; None: zero.
        cache: from `forward`; it is not changed.

    Returns:
        Gradients of everything `forward` computes with, shaped alike; `dx` is zero on padding.

    Raises:
        TypeError: dhs or dh_last has another dtype than the states.
        ValueError: dhs or dh_last has another shape than the states.
    """
    x_rows, states, packing, W_ih, W_hh, nonlinearity = cache
    dhs, dh_last = admit_gradients(packing, states, dhs, {"dh_last": dh_last})

    dh_rows, h_rows = packing.pack(dhs), states[packing.N :]
    dh = dh_last[packing.order].copy()  # the gradient that travels back: dh_t, then dh_{t-1}, at last dh0
    dx_rows = np.empty(x_rows.shape, states.dtype)
    dW_ih, dW_hh, db = (np.zeros(shape, states.dtype) for shape in (W_ih.shape, W_hh.shape, len(W_hh)))
    da = np.empty((packing.rows_per_block, len(W_hh)), states.dtype)
    for rows, sizes in reversed(packing.blocks()):
        # (2') da_t = φ'(a_t) ⊙ ..., for a block of steps
        da_block = slope(h_rows[rows], nonlinearity, out=da[: sum(sizes)])
        steps = zip(first_rows(dh, sizes), by_step(da_block, sizes), by_step(dh_rows[rows], sizes), strict=True)
        for dh_next, da_t, dh_t in reversed(list(steps)):
            # (2') ... ⊙ dh_t, which is what came back from step t + 1 and what the loss says at step t
            np.add(dh_next, dh_t, dh_next)
            np.multiply(da_t, dh_next, da_t)
            # (1') dh_{t-1} = W_hhᵀ da_t
            da_t.dot(W_hh, dh_next)
        # (1') dx_t = W_ihᵀ da_t, dW_ih = Σ da_t x_tᵀ, dW_hh = Σ da_t h_{t-1}ᵀ, db = Σ da_t, for a block of steps
        da_block.dot(W_ih, dx_rows[rows])
        dW_ih += da_block.T.dot(x_rows[rows])
        dW_hh += da_block.T.dot(states[packing.before(rows)])
        db += da_block.sum(axis=0)

    return Gradients(packing.unpack(dx_rows), packing.restore(dh), dW_ih, dW_hh, db, db.copy())
