"""A recurrence step by step, with what a cell's fast form does not know: layer norm, a held mask, zoneout.

Between the two projections and the cell's own update there is room for all three:

    a_t = LN(W_ih x_t; γ_ih) + b_ih      q_t = LN(W_hh (m ⊙ h_{t-1}); γ_hh) + b_hh
    ĥ_t = update(a_t, q_t, h_{t-1})      h_t = d_t ⊙ h_{t-1} + (1 - d_t) ⊙ ĥ_t

m is drawn once for each sequence (variational dropout), d_t at every step (zoneout, for c_t as well), and LN normalises
all the gates of a projection together. The mathematics of a cell does not come in here.

Reference:
    Ba, Kiros and Hinton (2016), Layer normalization, supplementary material; without the third LN, of an LSTM's c_t.
    Gal and Ghahramani (2016), A theoretically grounded application of dropout in recurrent neural networks.
    Krueger et al. (2017), Zoneout: regularizing RNNs by randomly preserving hidden activations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import Packing, admit, admit_gradients, check_lengths, plan
from rnnlib.layers import layer_norm_backward, layer_norm_forward


class ScanCache(NamedTuple):
    cell: Any
    packing: Packing
    hs: np.ndarray  # the packed rows of h_t
    input_projection: "ProjectionCache"
    steps: list["StepCache"]
    hidden_mask: np.ndarray | None
    recurrent_weights: list[np.ndarray]  # W_hh, b_hh and, with layer norm, γ_hh


class ProjectionCache(NamedTuple):
    x: np.ndarray
    W: np.ndarray
    norm: Any  # None: no layer norm


class StepCache(NamedTuple):
    projection: ProjectionCache
    update: Any
    kept: list[Any]  # d_t of each state; None: no zoneout


def project(x: np.ndarray, W: np.ndarray, b: np.ndarray, gain: np.ndarray | None) -> tuple[np.ndarray, ProjectionCache]:
    """LN(W x; gain) + b, or W x + b where there is no gain."""
    a, norm = x @ W.T, None
    if gain is not None:
        a, norm = layer_norm_forward(a, gain, None)
    return a + b, ProjectionCache(x, W, norm)


def project_backward(da: np.ndarray, cache: ProjectionCache) -> tuple[np.ndarray, list[np.ndarray]]:
    """dx, and the gradients of W, b and, where there is one, the gain."""
    db, dgain = da.sum(axis=0), []
    if cache.norm is not None:
        da, gain, _ = layer_norm_backward(da, cache.norm)
        dgain.append(gain)
    return da @ cache.W, [da.T @ cache.x, db, *dgain]


def forward(
    cell: Any,
    x: np.ndarray,
    states: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    lengths: ArrayLike | None,
    *,
    reverse: bool,
    hidden_mask: np.ndarray | None = None,
    zoneout: Sequence[float] = (),
    seed: Sequence[int] | None = None,
    **options: Any,
) -> tuple[Any, ...]:
    """Run a batch of sequences; what is not said here is as in the cell's own `forward`.

    Args:
        cell: a module of `rnnlib.cells` with `update_forward` and `update_backward`.
        states: h0, or h0 and c0, each (N, H).
        weights: W_ih, W_hh, b_ih, b_hh, and with layer norm the gains γ_ih and γ_hh, (gates * H,) each.
        hidden_mask: m (N, H), what the recurrent weights see of the state; None: all of it.
        zoneout: for each state the probability that an entry is held for a step; () for none.
        seed: of d_t; None: evaluation, d_t is its expected value.
        options: for the cell's update.

    Returns:
        hs (T, N, H), the last states (N, H), and the cache for `backward`.

    Raises:
        TypeError, ValueError: as the cell's own `forward`.
    """
    names = ("h0", "c0")[: len(states)]
    matrices = dict(zip(("W_ih", "W_hh", "b_ih", "b_hh"), weights[:4], strict=True))
    admitted = admit(x, dict(zip(names, states, strict=True)), matrices, cell.GATES)
    x, states, (W_ih, W_hh, b_ih, b_hh) = admitted[0], admitted[1:-4], admitted[-4:]
    gain_ih, gain_hh = weights[4:] or (None, None)
    T, N, _ = x.shape
    packing = plan(T, N, None if lengths is None else check_lengths(lengths, T, N), reverse)
    rng = None if seed is None else np.random.default_rng(seed)

    a, input_projection = project(packing.pack(x), W_ih, b_ih, gain_ih)
    mask = None if hidden_mask is None else hidden_mask[packing.order]
    now, steps = [state[packing.order] for state in states], []
    hs = np.empty((len(a), W_hh.shape[1]), np.result_type(x, *weights[4:]))
    for start, n in zip(packing.starts, packing.sizes, strict=False):
        rows, before = slice(start, start + n), [state[:n] for state in now]
        # q_t = LN(W_hh (m ⊙ h_{t-1}); γ_hh) + b_hh
        seen = before[0] if mask is None else before[0] * mask[:n]
        q, projection = project(seen, W_hh, b_hh, gain_hh)
        # ĥ_t = update(a_t, q_t, h_{t-1})
        *after, update = cell.update_forward(a[rows], q, *before, **options)
        # h_t = d_t ⊙ h_{t-1} + (1 - d_t) ⊙ ĥ_t
        kept: list[Any] = [draw(rng, p, before[0]) for p in zoneout] or [None] * len(now)
        after = [mix(d, old, new) for d, old, new in zip(kept, before, after, strict=True)]
        now = [np.concatenate([new, state[n:]]) for new, state in zip(after, now, strict=True)]
        hs[rows] = after[0]
        steps.append(StepCache(projection, update, kept))

    last = [packing.restore(state) for state in now]
    recurrent_weights = [W_hh, b_hh] if gain_hh is None else [W_hh, b_hh, gain_hh]
    return packing.unpack(hs), *last, ScanCache(cell, packing, hs, input_projection, steps, mask, recurrent_weights)


def backward(dhs: np.ndarray | None, last: Sequence[np.ndarray | None], cache: ScanCache) -> list[np.ndarray]:
    """Send the gradient of a loss back through all steps.

    Args:
        dhs: (T, N, H), never read on padding; None: zero.
        last: the gradients of the last states, (N, H) each; None: zero.
        cache: from `forward`.

    Returns:
        dx, the gradients of the initial states, and those of the weights, in the order of `forward`.

    Raises:
        TypeError, ValueError: as the cell's own `backward`.
    """
    cell, packing, hs, input_projection, steps, mask, recurrent_weights = cache
    names = ("dh_last", "dc_last")[: len(last)]
    dhs, *dlast = admit_gradients(packing, hs, dhs, dict(zip(names, last, strict=True)))
    dh_rows, d_now = packing.pack(dhs), [d[packing.order] for d in dlast]
    da = np.empty((len(hs), cell.GATES * hs.shape[1]), hs.dtype)
    d_recurrent = [np.zeros_like(w) for w in recurrent_weights]
    for start, n, step in reversed(list(zip(packing.starts, packing.sizes, steps, strict=False))):
        rows, d_next = slice(start, start + n), [d[:n] for d in d_now]
        d_next[0] = d_next[0] + dh_rows[rows]
        # dĥ_t = (1 - d_t) ⊙ dh_t, dh_{t-1} = d_t ⊙ dh_t + ...
        d_new = [d if kept is None else (1 - kept) * d for kept, d in zip(step.kept, d_next, strict=True)]
        da[rows], dq, *d_before = cell.update_backward(*d_new, step.update)
        d_seen, d_weights = project_backward(dq, step.projection)
        d_before[0] = d_before[0] + (d_seen if mask is None else d_seen * mask[:n])
        held = zip(step.kept, d_next, d_before, strict=True)
        d_before = [through if kept is None else kept * d + through for kept, d, through in held]
        d_now = [np.concatenate([new, d[n:]]) for new, d in zip(d_before, d_now, strict=True)]
        d_recurrent = [total + d for total, d in zip(d_recurrent, d_weights, strict=True)]
    dx_rows, (dW_ih, db_ih, *dgain_ih) = project_backward(da, input_projection)
    dW_hh, db_hh, *dgain_hh = d_recurrent
    d_states = [packing.restore(d) for d in d_now]
    return [packing.unpack(dx_rows), *d_states, dW_ih, dW_hh, db_ih, db_hh, *dgain_ih, *dgain_hh]


def draw(rng: np.random.Generator | None, p: float, like: np.ndarray) -> np.ndarray | float:
    """d_t: one where an entry is held, with probability p; p itself in evaluation."""
    return p if rng is None else (rng.random(like.shape) < p).astype(like.dtype)


def mix(kept: np.ndarray | float | None, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """d ⊙ old + (1 - d) ⊙ new; new itself where there is no zoneout."""
    return new if kept is None else kept * old + (1 - kept) * new
