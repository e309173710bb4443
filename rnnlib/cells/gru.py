"""The gated recurrent unit, in torch's convention: the reset gate acts after the recurrent product.

    (1)  a_t = W_ih x_t + b_ih      q_t = W_hh h_{t-1} + b_hh        three blocks of H rows each: r, z, n
    (2)  r_t = σ(a^r + q^r)         z_t = σ(a^z + q^z)
    (3)  n_t = tanh(a^n + r_t ⊙ q^n)
    (4)  h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

and, with d· for the derivative of the loss, read from the bottom up:

    (4') dn_t = dh_t ⊙ (1 - z_t)    dz_t = dh_t ⊙ (h_{t-1} - n_t)    dh_{t-1} = dh_t ⊙ z_t + ...
    (3') da^n = dn_t ⊙ (1 - n_t²)   dq^n = da^n ⊙ r_t                dr_t = da^n ⊙ q^n
    (2') da^r = dq^r = dr_t ⊙ r_t (1 - r_t)                          da^z = dq^z = dz_t ⊙ z_t (1 - z_t)
    (1') dx_t = W_ihᵀ da_t          dh_{t-1} = ... + W_hhᵀ dq_t
         dW_ih = Σ da_t x_tᵀ   dW_hh = Σ dq_t h_{t-1}ᵀ   db_ih = Σ da_t   db_hh = Σ dq_t

`step_forward` and `step_backward` are these lines. `forward` and `backward` compute the same over whole sequences,
fast. (1) and (1') are one GEMM for many steps wherever no earlier step is needed. The derivatives of (2') to (4') are
taken for many steps at once, and what is left for the loop is linear in dh_t. Inside, what has a derivative stands in
the order n, r, z, q^n: the first three blocks are da_t, the last three dq_t. W and b of r and z are halved once, since
σ(a) = (1 + tanh(a/2)) / 2.

`gru_before` holds the original, where the reset gate acts before the product. Weights do not carry over between them.

Reference:
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical machine translation;
    the convention (3) is that of Appleyard, Kocisky and Blunsom (2016), Optimizing performance of recurrent neural
    networks on GPUs, and of torch.nn.GRU.
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

GATES = 3


class UpdateCache(NamedTuple):
    h: np.ndarray
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray
    q_n: np.ndarray


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
    hs: np.ndarray  # N rows of h0, then the packed rows of h_t
    gates: np.ndarray  # (4 * rows, H), block by block as `gates_apart` has them: r, z, n, q^n
    packing: Packing
    W_ih: np.ndarray
    W_hh: np.ndarray


class Gradients(NamedTuple):
    dx: np.ndarray
    dh0: np.ndarray
    dW_ih: np.ndarray
    dW_hh: np.ndarray
    db_ih: np.ndarray
    db_hh: np.ndarray


def update_forward(a: np.ndarray, q: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, UpdateCache]:
    """Equations (2) to (4), from what the input says, a (N, 3H), what the state says, q (N, 3H), and h (N, H)."""
    (a_r, a_z, a_n), (q_r, q_z, q_n) = np.split(a, GATES, axis=1), np.split(q, GATES, axis=1)
    # (2) r_t = σ(a^r + q^r), z_t = σ(a^z + q^z)
    r, z = sigmoid(a_r + q_r), sigmoid(a_z + q_z)
    # (3) n_t = tanh(a^n + r_t ⊙ q^n)
    n = np.tanh(a_n + r * q_n)
    # (4) h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}
    return (1 - z) * n + z * h, UpdateCache(h, r, z, n, q_n)


def update_backward(dh_next: np.ndarray, cache: UpdateCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equations (4') to (2'): da and dq (N, 3H), and the part of dh that does not pass through q."""
    h, r, z, n, q_n = cache
    # (4') dn_t = dh_t ⊙ (1 - z_t), dz_t = dh_t ⊙ (h_{t-1} - n_t), dh_{t-1} = dh_t ⊙ z_t + ...
    dn, dz, dh = dh_next * (1 - z), dh_next * (h - n), dh_next * z
    # (3') da^n = dn_t ⊙ (1 - n_t²), dq^n = da^n ⊙ r_t, dr_t = da^n ⊙ q^n
    da_n = dn * (1 - n**2)
    dq_n, dr = da_n * r, da_n * q_n
    # (2') da^r = dq^r = dr_t ⊙ r_t (1 - r_t), da^z = dq^z = dz_t ⊙ z_t (1 - z_t)
    da_r, da_z = dr * r * (1 - r), dz * z * (1 - z)
    return np.concatenate([da_r, da_z, da_n], axis=1), np.concatenate([da_r, da_z, dq_n], axis=1), dh


def step_forward(
    x: np.ndarray, h: np.ndarray, W_ih: np.ndarray, W_hh: np.ndarray, b_ih: np.ndarray, b_hh: np.ndarray
) -> tuple[np.ndarray, StepCache]:
    """One step, equations (1) to (4): x (N, D) and h (N, H) give h_next (N, H) and what the backward step needs."""
    # (1) a_t = W_ih x_t + b_ih, q_t = W_hh h_{t-1} + b_hh
    h_next, update = update_forward(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, h)
    return h_next, StepCache(x, h, update, W_ih, W_hh)


def step_backward(dh_next: np.ndarray, cache: StepCache) -> StepGradients:
    """One step back, equations (4') to (1'): dh_next (N, H) gives a gradient for everything that went in."""
    x, h, update, W_ih, W_hh = cache
    da, dq, dh = update_backward(dh_next, update)
    # (1') dx_t = W_ihᵀ da_t, dh_{t-1} = ... + W_hhᵀ dq_t,
    #      dW_ih = Σ da_t x_tᵀ, dW_hh = Σ dq_t h_{t-1}ᵀ, db_ih = Σ da_t, db_hh = Σ dq_t
    return StepGradients(da @ W_ih, dh + dq @ W_hh, da.T @ x, dq.T @ h, da.sum(axis=0), dq.sum(axis=0))


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
) -> tuple[np.ndarray, np.ndarray, Cache]:
    """Run a batch of sequences.

    Args:
        x: (T, N, D); what stands in the padding is never read.
        h0: (N, H).
        W_ih, W_hh, b_ih, b_hh: (3H, D), (3H, H), (3H,), (3H,), the gates in torch's order r, z, n.
        lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.
        reverse: read each sequence from its last valid step to its first.

    Returns:
        hs: (T, N, H), the state after each step, where that step stands in x; zero on padding. Read-only: copy first.
        h_last: (N, H), the state after the last step that was read; h0 for a sequence of length 0.
        cache: what `backward` needs. It refers to x and the weights: change them only after `backward`.

    Raises:
        TypeError: integers, or float32 beside float64.
        ValueError: a shape or a length is wrong.
    """
    weights = {"W_ih": W_ih, "W_hh": W_hh, "b_ih": b_ih, "b_hh": b_hh}
    x, h0, W_ih, W_hh, b_ih, b_hh = admit(x, {"h0": h0}, weights, GATES)
    T, N, _ = x.shape
    H, dtype = W_hh.shape[1], x.dtype
    packing = plan(T, N, None if lengths is None else check_lengths(lengths, T, N), reverse)

    x_rows = packing.pack(x)
    hs = np.empty((N + len(x_rows), H), dtype)
    hs[:N] = h0[packing.order]
    gates = np.empty((4 * len(x_rows), H), dtype)
    half = np.array(0.5, dtype)  # a Python float costs a quarter of a microsecond at every use
    scale = np.repeat(np.array([0.5, 0.5, 1], dtype), H)
    W_x = np.ascontiguousarray((W_ih * scale[:, None]).T)
    product, W_h, out, q = gates_product(W_hh * scale[:, None], GATES, N)
    b = b_ih * scale
    b[: 2 * H] += half * b_hh[: 2 * H]
    b_n = np.tile(b_hh[2 * H :], (N, 1))
    a = np.empty((packing.rows_per_block, GATES * H), dtype)
    for rows, sizes in packing.blocks():
        # (1) a_t = W_ih x_t + b_ih, for a block of steps; b_hh of r and z comes along
        a_block = np.dot(x_rows[rows], W_x, out=a[: sum(sizes)])
        a_block += b
        by_gate, block = gates_abreast(a_block, GATES, sizes), gates_apart(gates, 4, rows, sizes)
        for h, out_t, q_rz, q_hn, a_rz, a_n, rz, r, z, n, q_n, b_t, h_t in zip(
            packing.steps_before(hs, rows, sizes),
            *(first_rows(part, sizes) for part in (out, q[:2], q[2])),
            gates_by_step(by_gate[:2], sizes),
            gates_by_step(by_gate[2], sizes),
            gates_by_step(block[:2], sizes),
            *(gates_by_step(gate, sizes) for gate in block),
            first_rows(b_n, sizes),
            by_step(hs[N:][rows], sizes),
            strict=True,
        ):
            # (1) q_t = W_hh h_{t-1} + b_hh
            product(h, W_h, out_t)
            np.add(q_hn, b_t, q_n)
            # (2) r_t = σ(a^r + q^r), z_t = σ(a^z + q^z)
            np.add(q_rz, a_rz, rz)
            np.tanh(rz, rz)
            np.multiply(rz, half, rz)
            np.add(rz, half, rz)
            # (3) n_t = tanh(a^n + r_t ⊙ q^n)
            np.multiply(r, q_n, n)
            np.add(n, a_n, n)
            np.tanh(n, n)
            # (4) h_t = n_t + z_t ⊙ (h_{t-1} - n_t)
            np.subtract(h, n, h_t)
            np.multiply(h_t, z, h_t)
            np.add(h_t, n, h_t)

    output, h_last = packing.unpack(hs[N:]), packing.restore(hs[packing.last])
    output.flags.writeable = False  # without padding it is the cache's own memory
    return output, h_last, Cache(x_rows, hs, gates, packing, W_ih, W_hh)


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
    x_rows, hs, gates, packing, W_ih, W_hh = cache
    dhs, dh_last = admit_gradients(packing, hs, dhs, {"dh_last": dh_last})
    N, H, dtype = packing.N, hs.shape[1], hs.dtype

    dh_rows = packing.pack(dhs)
    dh = dh_last[packing.order].copy()  # the gradient that travels back: dh_t, then dh_{t-1}, at last dh0
    dx_rows = np.empty(x_rows.shape, dtype)
    W_x = np.concatenate([W_ih[2 * H :], W_ih[: 2 * H]])  # n, r, z
    dW_x, dW_hh, db = (np.zeros(shape, dtype) for shape in (W_ih.shape, W_hh.shape, 4 * H))
    d = np.empty((packing.rows_per_block, 4 * H), dtype)
    slopes = np.empty((4 * packing.rows_per_block, H), dtype)
    spare = np.empty((N, H), dtype)
    for rows, sizes in reversed(packing.blocks()):
        r, z, n, q_n = block = gates_apart(gates, 4, rows, sizes)
        before = hs[packing.before(rows)]
        slope_n, slope_r, slope_z, slope_q = slope = gates_apart(slopes, 4, slice(0, sum(sizes)), sizes)
        # da^n = dh_t ⊙ (1 - n_t²) (1 - z_t), for a block of steps
        np.subtract(1, np.multiply(n, n, out=slope_n), out=slope_n)
        np.subtract(1, block[:2], out=slope[1:3])
        slope_n *= slope_z
        # dq^n = dh_t ⊙ ∂a^n r_t, da^r = dh_t ⊙ ∂a^n q^n r_t (1 - r_t), da^z = dh_t ⊙ (h_{t-1} - n_t) z_t (1 - z_t)
        np.multiply(slope_n, r, out=slope_q)
        slope_r *= q_n
        slope_r *= slope_q
        slope_z *= z
        slope_z *= before.reshape(n.shape) - n
        d_block = d[: sum(sizes)]
        steps = zip(
            first_rows(dh, sizes),
            first_rows(spare, sizes),
            by_step(dh_rows[rows], sizes),
            gates_by_step(slope, sizes),
            gates_by_step(z, sizes),
            gates_by_step(gates_abreast(d_block, 4, sizes), sizes),
            by_step(d_block[:, H:], sizes),
            strict=True,
        )
        for dh_t, through_z, dh_loss, slope_t, z_t, d_t, dq_t in reversed(list(steps)):
            np.add(dh_t, dh_loss, dh_t)
            # (4') to (2') da_t and dq_t
            np.multiply(slope_t, dh_t, d_t)
            # (1') dh_{t-1} = dh_t ⊙ z_t + W_hhᵀ dq_t
            np.multiply(dh_t, z_t, through_z)
            dq_t.dot(W_hh, dh_t)
            np.add(dh_t, through_z, dh_t)
        # (1') dx_t = W_ihᵀ da_t, dW_ih = Σ da_t x_tᵀ, dW_hh = Σ dq_t h_{t-1}ᵀ, db = Σ d_t, for a block of steps
        da_block, dq_block = d_block[:, : 3 * H], d_block[:, H:]
        np.matmul(da_block, W_x, out=dx_rows[rows])
        dW_x += da_block.T @ x_rows[rows]  # .dot would copy the transposed slice
        dW_hh += dq_block.T @ before
        db += d_block.sum(axis=0)

    dW_ih, db_ih = (np.concatenate([d[H : 3 * H], d[:H]]) for d in (dW_x, db))
    return Gradients(packing.unpack(dx_rows), packing.restore(dh), dW_ih, dW_hh, db_ih, db[H:].copy())
