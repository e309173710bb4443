"""Two ways to run a torch RNN, GRU or LSTM, behind one interface: a loop written out, and the fused kernel."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

State: TypeAlias = torch.Tensor | tuple[torch.Tensor, ...]
Lengths: TypeAlias = torch.Tensor | Sequence[int]


def loop(
    module: torch.nn.RNNBase, x: torch.Tensor, state: State | None = None, lengths: Lengths | None = None
) -> tuple[torch.Tensor, State]:
    """The recurrence, step by step in tensor operations; slow, plain, and differentiated by autograd.

    Args:
        module: owns the weights and says depth, direction and nonlinearity.
        x: (T, N, D), on the module's device and in its dtype; padding may hold anything.
        state: (K * directions, N, H), for an LSTM the pair of h and c; None: zero.
        lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.

    Returns:
        output: (T, N, H * directions), zero on padding.
        state: after the last valid step, in the form of the initial one; the initial one for a sequence of length 0.
    """
    T, N, _ = x.shape
    directions = 2 if module.bidirectional else 1
    initial = as_tuple(initial_state(module, x, state))
    counts = torch.as_tensor([T] * N if lengths is None else lengths, device=x.device)
    valid = (torch.arange(T, device=x.device)[:, None] < counts)[:, :, None]
    # A NaN held back by torch.where still comes out of the backward pass as 0 * NaN: it must not enter at all.
    output, last = torch.where(valid, x, torch.zeros_like(x)), []
    for layer in range(module.num_layers):
        sweeps = []
        for reverse in range(directions):
            suffix, row = f"_l{layer}{'_reverse' if reverse else ''}", layer * directions + reverse
            hs, states = sweep(module, suffix, output, [s[row] for s in initial], valid, bool(reverse))
            sweeps.append(hs)
            last.append(states)
        output = torch.cat(sweeps, dim=2)
    final = tuple(torch.stack(states) for states in zip(*last, strict=True))
    return output, final if isinstance(module, torch.nn.LSTM) else final[0]


def sweep(
    module: torch.nn.RNNBase,
    suffix: str,
    x: torch.Tensor,
    states: list[torch.Tensor],
    valid: torch.Tensor,
    reverse: bool,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """One layer in one direction. Padding holds the state, so the reverse reader starts at the last valid step."""
    W_ih, W_hh, b_ih, b_hh = (getattr(module, w + suffix) for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    hs = [states[0]] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        after = step(module, x[t] @ W_ih.T + b_ih, states[0] @ W_hh.T + b_hh, *states)
        states = [torch.where(valid[t], new, old) for new, old in zip(after, states, strict=True)]
        hs[t] = torch.where(valid[t], after[0], torch.zeros_like(after[0]))
    return torch.stack(hs), states


def step(
    module: torch.nn.RNNBase, a: torch.Tensor, q: torch.Tensor, h: torch.Tensor, *c: torch.Tensor
) -> list[torch.Tensor]:
    """One step from a = W_ih x_t + b_ih and q = W_hh h_{t-1} + b_hh, (N, gates * H) each: h_t, and c_t of an LSTM."""
    if isinstance(module, torch.nn.LSTM):
        i, f, g, o = (a + q).chunk(4, dim=1)
        # c_t = σ(f) ⊙ c_{t-1} + σ(i) ⊙ tanh(g), h_t = σ(o) ⊙ tanh(c_t)
        c_next = torch.sigmoid(f) * c[0] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c_next), c_next]
    if isinstance(module, torch.nn.GRU):
        (a_r, a_z, a_n), (q_r, q_z, q_n) = a.chunk(3, dim=1), q.chunk(3, dim=1)
        # n = tanh(a^n + r ⊙ q^n), h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
        r, z = torch.sigmoid(a_r + q_r), torch.sigmoid(a_z + q_z)
        return [(1 - z) * torch.tanh(a_n + r * q_n) + z * h]
    # h_t = φ(a + q)
    return [torch.tanh(a + q) if module.nonlinearity == "tanh" else torch.relu(a + q)]


def fused(
    module: torch.nn.RNNBase, x: torch.Tensor, state: State | None = None, lengths: Lengths | None = None
) -> tuple[torch.Tensor, State]:
    """The module's own forward pass, on a packed sequence where there are lengths. Arguments and results as `loop`.

    Raises:
        ValueError: a length is 0, which torch cannot pack; `loop` can.
    """
    state = initial_state(module, x, state)
    if lengths is None:
        return module(x, state)
    counts = torch.as_tensor(lengths, device="cpu")
    if (counts < 1).any():
        raise ValueError("a length is 0: torch.nn.utils.rnn.pack_padded_sequence refuses it; use torchref.loop")
    packed, last = module(pack_padded_sequence(x, counts, enforce_sorted=False), state)
    output, _ = pad_packed_sequence(packed, total_length=len(x))
    return output, last


def initial_state(module: torch.nn.RNNBase, x: torch.Tensor, state: State | None) -> State:
    """The state, or zeros in its form."""
    if state is not None:
        return state
    sweeps = module.num_layers * (2 if module.bidirectional else 1)
    zeros = x.new_zeros(sweeps, x.shape[1], module.hidden_size)
    return (zeros, zeros) if isinstance(module, torch.nn.LSTM) else zeros


def as_tuple(state: State) -> tuple[torch.Tensor, ...]:
    """The tensors of a state, one or two."""
    return state if isinstance(state, tuple) else (state,)
