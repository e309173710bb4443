"""Two ways to run the weights of a torch.nn.RNN, behind one interface: a loop written out, and the fused kernel."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def rnn_loop(
    module: torch.nn.RNN,
    x: torch.Tensor,
    h0: torch.Tensor | None = None,
    lengths: torch.Tensor | Sequence[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The recurrence, step by step in tensor operations; slow, plain, and differentiated by autograd.

    Args:
        module: owns the weights and says depth, direction and nonlinearity.
        x: (T, N, D), on the module's device and in its dtype; padding may hold anything.
        h0: (K * directions, N, H); None: zero.
        lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.

    Returns:
        output: (T, N, H * directions), zero on padding.
        h_n: (K * directions, N, H); h0 for a sequence of length 0.
    """
    T, N, _ = x.shape
    directions = 2 if module.bidirectional else 1
    h0 = initial_state(module, x, h0)
    counts = torch.as_tensor([T] * N if lengths is None else lengths, device=x.device)
    valid = (torch.arange(T, device=x.device)[:, None] < counts)[:, :, None]
    # A NaN held back by torch.where still comes out of the backward pass as 0 * NaN: it must not enter at all.
    output, h_n = torch.where(valid, x, torch.zeros_like(x)), []
    for layer in range(module.num_layers):
        sweeps = []
        for reverse in range(directions):
            suffix = f"_l{layer}{'_reverse' if reverse else ''}"
            hs, h = sweep(module, suffix, output, h0[layer * directions + reverse], valid, bool(reverse))
            sweeps.append(hs)
            h_n.append(h)
        output = torch.cat(sweeps, dim=2)
    return output, torch.stack(h_n)


def sweep(
    module: torch.nn.RNN, suffix: str, x: torch.Tensor, h: torch.Tensor, valid: torch.Tensor, reverse: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """One layer in one direction. Padding holds the state, so the reverse reader starts at the last valid step."""
    weights = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    W_ih, W_hh, b_ih, b_hh = (getattr(module, weight + suffix) for weight in weights)
    phi = torch.tanh if module.nonlinearity == "tanh" else torch.relu
    hs = [h] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        # h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
        h_next = phi(x[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        h = torch.where(valid[t], h_next, h)
        hs[t] = torch.where(valid[t], h_next, torch.zeros_like(h_next))
    return torch.stack(hs), h


def rnn_fused(
    module: torch.nn.RNN,
    x: torch.Tensor,
    h0: torch.Tensor | None = None,
    lengths: torch.Tensor | Sequence[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The module's own forward pass, on a packed sequence where there are lengths. Arguments and results as `rnn_loop`.

    Raises:
        ValueError: a length is 0, which torch cannot pack; `rnn_loop` can.
    """
    h0 = initial_state(module, x, h0)
    if lengths is None:
        return module(x, h0)
    counts = torch.as_tensor(lengths, device="cpu")
    if (counts < 1).any():
        raise ValueError("a length is 0: torch.nn.utils.rnn.pack_padded_sequence refuses it; use rnn_loop")
    packed, h_n = module(pack_padded_sequence(x, counts, enforce_sorted=False), h0)
    output, _ = pad_packed_sequence(packed, total_length=len(x))
    return output, h_n


def initial_state(module: torch.nn.RNN, x: torch.Tensor, h0: torch.Tensor | None) -> torch.Tensor:
    """h0, or zeros of its shape."""
    if h0 is not None:
        return h0
    sweeps = module.num_layers * (2 if module.bidirectional else 1)
    return x.new_zeros(sweeps, x.shape[1], module.hidden_size)
