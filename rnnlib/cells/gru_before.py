"""The gated recurrent unit as first published: the reset gate acts on the state, before the recurrent product.

    (1)  a_t = W_ih x_t + b_ih + b_hh                                three blocks of H rows: r, z, n
    (2)  r_t = σ(a^r + W_hr h_{t-1})       z_t = σ(a^z + W_hz h_{t-1})
    (3)  n_t = tanh(a^n + W_hn (r_t ⊙ h_{t-1}))
    (4)  h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

where W_hr, W_hz and W_hn are the three blocks of W_hh. With d· for the derivative of the loss, from the bottom up:

    (4') dn_t = dh_t ⊙ (1 - z_t)    dz_t = dh_t ⊙ (h_{t-1} - n_t)    dh_{t-1} = dh_t ⊙ z_t + ...
    (3') da^n = dn_t ⊙ (1 - n_t²)   ds_t = W_hnᵀ da^n, with s_t = r_t ⊙ h_{t-1}
         dr_t = ds_t ⊙ h_{t-1}      dh_{t-1} = ... + ds_t ⊙ r_t + ...
    (2') da^r = dr_t ⊙ r_t (1 - r_t)                                 da^z = dz_t ⊙ z_t (1 - z_t)
         dh_{t-1} = ... + W_hrᵀ da^r + W_hzᵀ da^z
    (1') dx_t = W_ihᵀ da_t          dW_ih = Σ da_t x_tᵀ              db_ih = db_hh = Σ da_t
         dW_hr = Σ da^r h_{t-1}ᵀ    dW_hz = Σ da^z h_{t-1}ᵀ          dW_hn = Σ da^n s_tᵀ

`gru` holds torch's form, which needs one recurrent product a step instead of two. This one is here because older
papers, and Keras with reset_after=False, mean it.

Reference:
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical machine translation,
    equations 5 to 8; Chung et al. (2014), Empirical evaluation of gated recurrent neural networks on sequence modeling.
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
    plan,
)
from rnnlib.cells.sigmoid import sigmoid

GATES = 3


class StepCache(NamedTuple):
    x: np.ndarray
    h: np.ndarray
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray
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
    gates: np.ndarray  # (4 * rows, H), block by block as `gates_apart` has them: r, z, n, s
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


def step_forward(
    x: np.ndarray, h: np.ndarray, W_ih: np.ndarray, W_hh: np.ndarray, b_ih: np.ndarray, b_hh: np.ndarray
) -> tuple[np.ndarray, StepCache]:
    """One step, equations (1) to (4): x (N, D) and h (N, H) give h_next (N, H) and what the backward step needs."""
    W_hr, W_hz, W_hn = np.split(W_hh, GATES)
    # (1) a_t = W_ih x_t + b_ih + b_hh
    a_r, a_z, a_n = np.split(x @ W_ih.T + b_ih + b_hh, GATES, axis=1)
    # (2) r_t = σ(a^r + W_hr h_{t-1}), z_t = σ(a^z + W_hz h_{t-1})
    r, z = sigmoid(a_r + h @ W_hr.T), sigmoid(a_z + h @ W_hz.T)
    # (3) n_t = tanh(a^n + W_hn (r_t ⊙ h_{t-1}))
    n = np.tanh(a_n + (r * h) @ W_hn.T)
    # (4) h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}
    return (1 - z) * n + z * h, StepCache(x, h, r, z, n, W_ih, W_hh)


def step_backward(dh_next: np.ndarray, cache: StepCache) -> StepGradients:
    """One step back, equations (4') to (1'): dh_next (N, H) gives a gradient for everything that went in."""
    x, h, r, z, n, W_ih, W_hh = cache
    W_hr, W_hz, W_hn = np.split(W_hh, GATES)
    # (4') dn_t = dh_t ⊙ (1 - z_t), dz_t = dh_t ⊙ (h_{t-1} - n_t), dh_{t-1} = dh_t ⊙ z_t + ...
    dn, dz, dh = dh_next * (1 - z), dh_next * (h - n), dh_next * z
    # (3') da^n = dn_t ⊙ (1 - n_t²), ds_t = W_hnᵀ da^n, dr_t = ds_t ⊙ h_{t-1}, dh_{t-1} = ... + ds_t ⊙ r_t + ...
    da_n = dn * (1 - n**2)
    ds = da_n @ W_hn
    dr, dh = ds * h, dh + ds * r
    # (2') da^r = dr_t ⊙ r_t (1 - r_t), da^z = dz_t ⊙ z_t (1 - z_t), dh_{t-1} = ... + W_hrᵀ da^r + W_hzᵀ da^z
    da_r, da_z = dr * r * (1 - r), dz * z * (1 - z)
    dh = dh + da_r @ W_hr + da_z @ W_hz
    # (1') dx_t = W_ihᵀ da_t, dW_ih = Σ da_t x_tᵀ, db = Σ da_t,
    #      dW_hr = Σ da^r h_{t-1}ᵀ, dW_hz = Σ da^z h_{t-1}ᵀ, dW_hn = Σ da^n s_tᵀ
    da = np.concatenate([da_r, da_z, da_n], axis=1)
    dW_hh = np.concatenate([da_r.T @ h, da_z.T @ h, da_n.T @ (r * h)])
    return StepGradients(da @ W_ih, dh, da.T @ x, dW_hh, da.sum(axis=0), da.sum(axis=0))


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
    """Run a batch of sequences; arguments, results and errors are those of `gru.forward`."""
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
    scale = np.repeat(np.array([0.5, 0.5, 1], dtype), H)  # σ(a) = (1 + tanh(a/2)) / 2
    W_x, W_h = np.ascontiguousarray((W_ih * scale[:, None]).T), W_hh * scale[:, None]
    W_h = np.ascontiguousarray(W_h.reshape(GATES, H, H).swapaxes(1, 2))  # so that each gate comes out contiguous
    W_rz, W_n = W_h[:2], W_h[2]
    b = (b_ih + b_hh) * scale
    a = np.empty((packing.rows_per_block, GATES * H), dtype)
    for rows, sizes in packing.blocks():
        # (1) a_t = W_ih x_t + b_ih + b_hh, for a block of steps
        a_block = np.dot(x_rows[rows], W_x, out=a[: sum(sizes)])
        a_block += b
        by_gate, block = gates_abreast(a_block, GATES, sizes), gates_apart(gates, 4, rows, sizes)
        for h, a_rz, a_n, rz, r, z, n, s, h_t in zip(
            packing.steps_before(hs, rows, sizes),
            gates_by_step(by_gate[:2], sizes),
            gates_by_step(by_gate[2], sizes),
            gates_by_step(block[:2], sizes),
            *(gates_by_step(gate, sizes) for gate in block),
            by_step(hs[N:][rows], sizes),
            strict=True,
        ):
            # (2) r_t = σ(a^r + W_hr h_{t-1}), z_t = σ(a^z + W_hz h_{t-1})
            np.matmul(h, W_rz, rz)
            np.add(rz, a_rz, rz)
            np.tanh(rz, rz)
            np.multiply(rz, half, rz)
            np.add(rz, half, rz)
            # (3) n_t = tanh(a^n + W_hn (r_t ⊙ h_{t-1}))
            np.multiply(r, h, s)
            np.matmul(s, W_n, n)
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
    """Send the gradient of a loss back through all steps; arguments, results and errors are those of `gru.backward`."""
    x_rows, hs, gates, packing, W_ih, W_hh = cache
    dhs, dh_last = admit_gradients(packing, hs, dhs, {"dh_last": dh_last})
    N, H, dtype = packing.N, hs.shape[1], hs.dtype

    dh_rows = packing.pack(dhs)
    dh = dh_last[packing.order].copy()  # the gradient that travels back: dh_t, then dh_{t-1}, at last dh0
    dx_rows = np.empty(x_rows.shape, dtype)
    W_rz, W_n = W_hh[: 2 * H], W_hh[2 * H :]
    dW_ih, dW_hh, db = (np.zeros(shape, dtype) for shape in (W_ih.shape, W_hh.shape, len(W_hh)))
    da = np.empty((packing.rows_per_block, GATES * H), dtype)
    slopes = np.empty((GATES * packing.rows_per_block, H), dtype)
    ds, spare = np.empty((N, H), dtype), np.empty((N, H), dtype)
    for rows, sizes in reversed(packing.blocks()):
        r, z, n, s = block = gates_apart(gates, 4, rows, sizes)
        before = hs[packing.before(rows)]
        slope_r, slope_z, slope_n = slope = gates_apart(slopes, GATES, slice(0, sum(sizes)), sizes)
        # da^n = dh_t ⊙ (1 - n_t²) (1 - z_t), for a block of steps
        np.subtract(1, np.multiply(n, n, out=slope_n), out=slope_n)
        np.subtract(1, block[:2], out=slope[:2])
        slope_n *= slope_z
        # da^r = ds_t ⊙ h_{t-1} r_t (1 - r_t), da^z = dh_t ⊙ (h_{t-1} - n_t) z_t (1 - z_t)
        slope_r *= s
        slope_z *= z
        slope_z *= before.reshape(n.shape) - n
        da_block = da[: sum(sizes)]
        da_r, da_z, da_n = gates_abreast(da_block, GATES, sizes)
        steps = zip(
            first_rows(dh, sizes),
            first_rows(ds, sizes),
            first_rows(spare, sizes),
            by_step(dh_rows[rows], sizes),
            *(gates_by_step(gate, sizes) for gate in (slope_r, slope_z, slope_n, r, z, da_r, da_z, da_n)),
            by_step(da_block[:, : 2 * H], sizes),
            strict=True,
        )
        for dh_t, ds_t, part, dh_loss, to_r, to_z, to_n, r_t, z_t, r_out, z_out, n_out, rz_out in reversed(list(steps)):
            np.add(dh_t, dh_loss, dh_t)
            # (4') and (3') da^n, then ds_t = W_hnᵀ da^n
            np.multiply(to_n, dh_t, n_out)
            np.matmul(n_out, W_n, ds_t)
            # (2') da^r and da^z
            np.multiply(to_r, ds_t, r_out)
            np.multiply(to_z, dh_t, z_out)
            # dh_{t-1} = dh_t ⊙ z_t + ds_t ⊙ r_t + W_hrᵀ da^r + W_hzᵀ da^z
            np.multiply(dh_t, z_t, part)
            np.multiply(ds_t, r_t, ds_t)
            np.matmul(rz_out, W_rz, dh_t)
            np.add(dh_t, part, dh_t)
            np.add(dh_t, ds_t, dh_t)
        # (1') dx_t = W_ihᵀ da_t, dW_ih = Σ da_t x_tᵀ, db = Σ da_t, and W_hh's, for a block of steps
        da_block.dot(W_ih, dx_rows[rows])
        dW_ih += da_block.T.dot(x_rows[rows])
        dW_hh[: 2 * H] += da_block[:, : 2 * H].T @ before
        dW_hh[2 * H :] += da_block[:, 2 * H :].T @ s.reshape(-1, H)
        db += da_block.sum(axis=0)

    return Gradients(packing.unpack(dx_rows), packing.restore(dh), dW_ih, dW_hh, db, db.copy())
