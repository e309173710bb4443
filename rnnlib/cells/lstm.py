"""The long short-term memory: a cell state c that changes by addition, and three gates that say how.

    (1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh      four blocks of H rows: a^i, a^f, a^g, a^o
    (2)  i_t = σ(a^i)   f_t = σ(a^f)   g_t = tanh(a^g)   o_t = σ(a^o)
    (3)  c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
    (4)  h_t = o_t ⊙ tanh(c_t)

and, with d· for the derivative of the loss, read from the bottom up:

    (4') do_t = dh_t ⊙ tanh(c_t)      dc_t += dh_t ⊙ o_t ⊙ (1 - tanh(c_t)²)
    (3') di_t = dc_t ⊙ g_t   dg_t = dc_t ⊙ i_t   df_t = dc_t ⊙ c_{t-1}   dc_{t-1} = dc_t ⊙ f_t
    (2') da^i = di_t ⊙ i_t (1 - i_t), alike for f and o;   da^g = dg_t ⊙ (1 - g_t²)
    (1') dx_t = W_ihᵀ da_t      dh_{t-1} = W_hhᵀ da_t
         dW_ih = Σ da_t x_tᵀ    dW_hh = Σ da_t h_{t-1}ᵀ    db_ih = db_hh = Σ da_t

`step_forward` and `step_backward` are these lines. `forward` and `backward` compute the same over whole sequences,
fast. (1) and (1') are one GEMM for many steps wherever no earlier step is needed. The derivatives of (2') to (4') are
taken for many steps at once, and what is left for the loop is linear in dh_t and dc_t. Inside, the gates stand in the
order o, i, f, g, so that what is multiplied by dc_t is contiguous, and W and b of the three σ gates are halved once,
since σ(a) = (1 + tanh(a/2)) / 2: one tanh serves all four.

Reference:
    Hochreiter and Schmidhuber (1997), Long short-term memory. Gers, Schmidhuber and Cummins (2000), Learning to forget:
    continual prediction with LSTM, for the gate f.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import (
    Packing,
    admit,
    admit_gradients,
    by_step,
    check_lengths,
    first_rows,
    gates_abreast,
    gates_apart,
    gates_by_step,
    gates_product,
    plan,
)
from rnnlib.cells.sigmoid import sigmoid

GATES = 4


class UpdateCache(NamedTuple):
    c: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    tanh_c_next: np.ndarray


class StepCache(NamedTuple):
    x: np.ndarray
    h: np.ndarray
    update: UpdateCache
    W_ih: np.ndarray
    W_hh: np.ndarray


class StepGradients(NamedTuple):
    dx: np.ndarray
    dh: np.ndarray
    dc: np.ndarray
    dW_ih: np.ndarray
    dW_hh: np.ndarray
    db_ih: np.ndarray
    db_hh: np.ndarray


class Cache(NamedTuple):
    x: np.ndarray  # packed rows
    hs: np.ndarray  # N rows of h0, then the packed rows of h_t
    cs: np.ndarray  # the same of c
    gates: np.ndarray  # (4 * rows, H), block by block as `gates_apart` has them: o, i, f, g
    packing: Packing
    W_ih: np.ndarray
    W_hh: np.ndarray


class Gradients(NamedTuple):
    dx: np.ndarray
    dh0: np.ndarray
    dc0: np.ndarray
    dW_ih: np.ndarray
    dW_hh: np.ndarray
    db_ih: np.ndarray
    db_hh: np.ndarray


def update_forward(
    a: np.ndarray, q: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, UpdateCache]:
    """Equations (2) to (4), from what the input says, a (N, 4H), and what the state says, q (N, 4H); h is not used."""
    # (2) i_t = σ(a^i), f_t = σ(a^f), g_t = tanh(a^g), o_t = σ(a^o)
    a_i, a_f, a_g, a_o = np.split(a + q, GATES, axis=1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    # (3) c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
    c_next = f * c + i * g
    # (4) h_t = o_t ⊙ tanh(c_t)
    tanh_c_next = np.tanh(c_next)
    return o * tanh_c_next, c_next, UpdateCache(c, i, f, g, o, tanh_c_next)


def update_backward(
    dh_next: np.ndarray, dc_next: np.ndarray, cache: UpdateCache
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Equations (4') to (2'): da and dq (N, 4H), which are the same, dh (zero) and dc."""
    c, i, f, g, o, tanh_c = cache
    # (4') do_t = dh_t ⊙ tanh(c_t), dc_t += dh_t ⊙ o_t ⊙ (1 - tanh(c_t)²)
    do, dc_t = dh_next * tanh_c, dc_next + dh_next * o * (1 - tanh_c**2)
    # (3') di_t = dc_t ⊙ g_t, dg_t = dc_t ⊙ i_t, df_t = dc_t ⊙ c_{t-1}, dc_{t-1} = dc_t ⊙ f_t
    di, dg, df, dc = dc_t * g, dc_t * i, dc_t * c, dc_t * f
    # (2') da^i = di_t ⊙ i_t (1 - i_t), alike for f and o; da^g = dg_t ⊙ (1 - g_t²)
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], axis=1)
    return da, da, np.zeros_like(dh_next), dc


def step_forward(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, StepCache]:
    """One step, equations (1) to (4): x (N, D), h and c (N, H) give h_next, c_next and what the backward step needs."""
    # (1) a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    h_next, c_next, update = update_forward(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, h, c)
    return h_next, c_next, StepCache(x, h, update, W_ih, W_hh)


def step_backward(dh_next: np.ndarray, dc_next: np.ndarray, cache: StepCache) -> StepGradients:
    """One step back, equations (4') to (1'): dh_next and dc_next (N, H) give a gradient for everything that went in."""
    x, h, update, W_ih, W_hh = cache
    da, _, _, dc = update_backward(dh_next, dc_next, update)
    # (1') dx_t = W_ihᵀ da_t, dh_{t-1} = W_hhᵀ da_t, dW_ih = Σ da_t x_tᵀ, dW_hh = Σ da_t h_{t-1}ᵀ, db = Σ da_t
    return StepGradients(da @ W_ih, da @ W_hh, dc, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0))


def gates_inside(w: np.ndarray) -> np.ndarray:
    """Rows of a weight or bias from torch's order i, f, g, o to o, i, f, g; a copy."""
    cut = 3 * len(w) // GATES
    return np.concatenate([w[cut:], w[:cut]])


def gates_outside(w: np.ndarray) -> np.ndarray:
    """Rows back to torch's order; a copy."""
    cut = len(w) // GATES
    return np.concatenate([w[cut:], w[:cut]])


def forward(
    x: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
    lengths: ArrayLike | None = None,
    *,
    reverse: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Cache]:
    """Run a batch of sequences.

    Args:
        x: (T, N, D); what stands in the padding is never read.
        h0, c0: (N, H).
        W_ih, W_hh, b_ih, b_hh: (4H, D), (4H, H), (4H,), (4H,), the gates in torch's order i, f, g, o.
        lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.
        reverse: read each sequence from its last valid step to its first.

    Returns:
        hs: (T, N, H), the state after each step, where that step stands in x; zero on padding. Read-only: copy first.
        h_last, c_last: (N, H), after the last step that was read; h0 and c0 for a sequence of length 0.
        cache: what `backward` needs. It refers to x and the weights: change them only after `backward`.

    Raises:
        TypeError: integers, or float32 beside float64.
        ValueError: a shape or a length is wrong.
    """
    weights = {"W_ih": W_ih, "W_hh": W_hh, "b_ih": b_ih, "b_hh": b_hh}
    x, h0, c0, W_ih, W_hh, b_ih, b_hh = admit(x, {"h0": h0, "c0": c0}, weights, GATES)
    T, N, _ = x.shape
    H, dtype = W_hh.shape[1], x.dtype
    packing = plan(T, N, None if lengths is None else check_lengths(lengths, T, N), reverse)

    x_rows = packing.pack(x)
    hs, cs = (np.empty((N + len(x_rows), H), dtype) for _ in range(2))
    hs[:N], cs[:N] = h0[packing.order], c0[packing.order]
    gates = np.empty((GATES * len(x_rows), H), dtype)
    half = np.array(0.5, dtype)  # a Python float costs a quarter of a microsecond at every use
    W_x, W_h, b = (gates_inside(w) for w in (W_ih, W_hh, b_ih + b_hh))
    for w in (W_x, W_h, b):
        w[: 3 * H] *= half
    W_x = np.ascontiguousarray(W_x.T)
    product, W_h, out, q = gates_product(W_h, GATES, N)
    a = np.empty((packing.rows_per_block, GATES * H), dtype)
    ig = np.empty((N, H), dtype)
    for rows, sizes in packing.blocks():
        # (1) a_t = W_ih x_t + b_ih + b_hh + ..., for a block of steps
        a_block = np.dot(x_rows[rows], W_x, out=a[: sum(sizes)])
        a_block += b
        block = gates_apart(gates, GATES, rows, sizes)
        for h, c, out_t, q_t, a_t, all_t, sigma_t, o, i, f, g, ig_t, c_t, h_t in zip(
            packing.steps_before(hs, rows, sizes),
            packing.steps_before(cs, rows, sizes),
            first_rows(out, sizes),
            first_rows(q, sizes),
            gates_by_step(gates_abreast(a_block, GATES, sizes), sizes),
            gates_by_step(block, sizes),
            gates_by_step(block[:3], sizes),
            *(gates_by_step(gate, sizes) for gate in block),
            first_rows(ig, sizes),
            by_step(cs[N:][rows], sizes),
            by_step(hs[N:][rows], sizes),
            strict=True,
        ):
            # (1) ... + W_hh h_{t-1}
            product(h, W_h, out_t)
            np.add(q_t, a_t, all_t)
            # (2) i_t = σ(a^i), f_t = σ(a^f), g_t = tanh(a^g), o_t = σ(a^o)
            np.tanh(all_t, all_t)
            np.multiply(sigma_t, half, sigma_t)
            np.add(sigma_t, half, sigma_t)
            # (3) c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
            np.multiply(f, c, c_t)
            np.multiply(i, g, ig_t)
            np.add(c_t, ig_t, c_t)
            # (4) h_t = o_t ⊙ tanh(c_t)
            np.tanh(c_t, h_t)
            np.multiply(o, h_t, h_t)

    output, h_last, c_last = (
        packing.unpack(hs[N:]),
        packing.restore(hs[packing.last]),
        packing.restore(cs[packing.last]),
    )
    output.flags.writeable = False  # without padding it is the cache's own memory
    return output, h_last, c_last, Cache(x_rows, hs, cs, gates, packing, W_ih, W_hh)


def backward(dhs: np.ndarray | None, dh_last: np.ndarray | None, dc_last: np.ndarray | None, cache: Cache) -> Gradients:
    """Send the gradient of a loss back through all steps.

    Args:
        dhs: (T, N, H), the gradient of `hs`, never read on padding; None: zero.
        dh_last, dc_last: (N, H), the gradients of `h_last` and `c_last`; None: zero.
        cache: from `forward`; it is not changed.

    Returns:
        Gradients of everything `forward` computes with, shaped alike; `dx` is zero on padding.

    Raises:
        TypeError: a gradient has another dtype than the states.
        ValueError: a gradient has another shape than the states.
    """
    x_rows, hs, cs, gates, packing, W_ih, W_hh = cache
    dhs, dh_last, dc_last = admit_gradients(packing, hs, dhs, {"dh_last": dh_last, "dc_last": dc_last})
    N, H, dtype = packing.N, hs.shape[1], hs.dtype

    dh_rows = packing.pack(dhs)
    dh, dc = (d[packing.order].copy() for d in (dh_last, dc_last))  # what travels back
    dx_rows = np.empty(x_rows.shape, dtype)
    W_x, W_h = gates_inside(W_ih), gates_inside(W_hh)
    dW_x, dW_h, db = (np.zeros(shape, dtype) for shape in (W_ih.shape, W_hh.shape, len(W_hh)))
    da = np.empty((packing.rows_per_block, GATES * H), dtype)
    slopes = np.empty(((GATES + 1) * packing.rows_per_block, H), dtype)
    spare = np.empty((N, H), dtype)
    for rows, sizes in reversed(packing.blocks()):
        n = sum(sizes)
        o, i, f, g = block = gates_apart(gates, GATES, rows, sizes)
        # what dh_t or dc_t will be multiplied with: da^o = dh_t ⊙ o_dh, da^i = dc_t ⊙ i_dc, ..., dc_t += dh_t ⊙ c_dh
        o_dh, i_dc, f_dc, g_dc, c_dh = slope = gates_apart(slopes, GATES + 1, slice(0, n), sizes)
        # (2') the slope of each gate, for a block of steps: σ' = σ (1 - σ), tanh' = 1 - tanh²
        np.subtract(1, block[:3], out=slope[:3])
        slope[:3] *= block[:3]
        np.subtract(1, np.multiply(g, g, out=g_dc), out=g_dc)
        # (3') ... ⊙ g_t, c_{t-1}, i_t
        i_dc *= g
        f_dc *= cs[packing.before(rows)].reshape(f.shape)
        g_dc *= i
        # (4') ... ⊙ tanh(c_t), and o_t ⊙ (1 - tanh(c_t)²)
        tanh_c = np.tanh(cs[N:][rows].reshape(o.shape), out=c_dh)
        o_dh *= tanh_c
        np.subtract(1, np.multiply(tanh_c, tanh_c, out=c_dh), out=c_dh)
        c_dh *= o
        da_block = da[:n]
        by_gate = gates_abreast(da_block, GATES, sizes)
        steps = zip(
            first_rows(dh, sizes),
            first_rows(dc, sizes),
            first_rows(spare, sizes),
            by_step(dh_rows[rows], sizes),
            gates_by_step(c_dh, sizes),
            gates_by_step(o_dh, sizes),
            gates_by_step(slope[1:4], sizes),
            gates_by_step(f, sizes),
            gates_by_step(by_gate[0], sizes),
            gates_by_step(by_gate[1:], sizes),
            by_step(da_block, sizes),
            strict=True,
        )
        for dh_t, dc_t, spare_t, dh_loss, c_dh_t, o_dh_t, ifg_dc_t, f_t, da_o, da_ifg, da_t in reversed(list(steps)):
            # dh_t is what came back from step t + 1 and what the loss says at step t
            np.add(dh_t, dh_loss, dh_t)
            # (4') dc_t += dh_t ⊙ o_t ⊙ (1 - tanh(c_t)²)
            np.multiply(dh_t, c_dh_t, spare_t)
            np.add(dc_t, spare_t, dc_t)
            # (2') da^o from dh_t; da^i, da^f and da^g from dc_t
            np.multiply(o_dh_t, dh_t, da_o)
            np.multiply(ifg_dc_t, dc_t, da_ifg)
            # (3') dc_{t-1} = dc_t ⊙ f_t
            np.multiply(dc_t, f_t, dc_t)
            # (1') dh_{t-1} = W_hhᵀ da_t
            da_t.dot(W_h, dh_t)
        # (1') dx_t = W_ihᵀ da_t, dW_ih = Σ da_t x_tᵀ, dW_hh = Σ da_t h_{t-1}ᵀ, db = Σ da_t, for a block of steps
        da_block.dot(W_x, dx_rows[rows])
        dW_x += da_block.T.dot(x_rows[rows])
        dW_h += da_block.T.dot(hs[packing.before(rows)])
        db += da_block.sum(axis=0)

    dW_ih, dW_hh, db = (gates_outside(d) for d in (dW_x, dW_h, db))
    return Gradients(packing.unpack(dx_rows), packing.restore(dh), packing.restore(dc), dW_ih, dW_hh, db, db.copy())
