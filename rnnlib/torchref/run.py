"""Ways to run a torch RNN, GRU or LSTM, behind one interface: a loop written out, and the fused kernel.

    a_t = LN(W_ih x_t; γ_ih) + b_ih      q_t = LN(W_hh (m ⊙ h_{t-1}); γ_hh) + b_hh
    ĥ_t = update(a_t, q_t, h_{t-1})      h_t = d_t ⊙ h_{t-1} + (1 - d_t) ⊙ ĥ_t

as in `rnnlib.recurrent.scan`; LN, m and d_t are left out where a module has no layer norm, dropout or zoneout.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlib.cells.sequences import check_lengths
from rnnlib.recurrent.stack import MAX_SEED
from rnnlib.torchref.noise import Noise, Rng, draw

State: TypeAlias = torch.Tensor | tuple[torch.Tensor, ...]
Lengths: TypeAlias = torch.Tensor | np.ndarray | Sequence[int]
KERNELS = torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM


class Recurrence(NamedTuple):
    """What every step of one sweep shares.

    Attributes:
        mode: the cell: torch's RNN_TANH, RNN_RELU, GRU and LSTM, or GRU_BEFORE.
        W_hh, b_hh: (G*H, H) and (G*H,), with G gates.
        gain: γ_hh (G*H,); None: no layer norm.
        mask: m (N, H); None: nothing dropped.
        zoneout: d_t of each state where it is the same at every step, in evaluation; () for none.
    """

    mode: str
    W_hh: torch.Tensor
    b_hh: torch.Tensor
    gain: torch.Tensor | None
    mask: torch.Tensor | None
    zoneout: tuple[float, ...]


class Unsupported(ValueError):
    """What was asked for cannot be had from this framework, in this form or on this machine; the message says why."""


Steps: TypeAlias = Callable[..., tuple[torch.Tensor, list[torch.Tensor]]]


def loop(
    module: torch.nn.RNNBase,
    x: torch.Tensor,
    state: State | None = None,
    lengths: Lengths | None = None,
    *,
    rng: Rng | None = None,
) -> tuple[torch.Tensor, State]:
    """The recurrence, step by step in tensor operations; slow, plain, and differentiated by autograd.

    Args:
        module: owns the weights and says depth, direction, nonlinearity and what else its cell does.
        x: (T, N, D), on the module's device and in its dtype; padding may hold anything.
        state: (K * directions, N, H), for an LSTM the pair of h and c; None: zero.
        lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.
        rng: draws what is dropped or held, in training: a NumPy Generator draws what rnnlib's layer would draw, a
            torch.Generator draws on its device; None: evaluation, whatever `module.training` says.

    Returns:
        output: (T, N, H * directions), zero on padding.
        state: after the last valid step, in the form of the initial one; the initial one for a sequence of length 0.

    Raises:
        TypeError: lengths are not whole numbers, or rng is no Generator.
        ValueError: x, the state or the lengths have a wrong shape, or a length is not from 0 to T.
    """
    counts = check(module, x, state, lengths)
    noise = None if rng is None else draw(module, x, counts, rng)
    valid = None if counts is None else within(counts, x)
    return unroll(module, x, as_tuple(initial_state(module, x, state)), valid, noise, steps)


def within(counts: list[int], x: torch.Tensor) -> torch.Tensor:
    """Which entries of x (T, N, D) are no padding: (T, N, 1)."""
    return (torch.arange(len(x), device=x.device)[:, None] < torch.tensor(counts, device=x.device))[:, :, None]


def unroll(
    module: torch.nn.RNNBase,
    x: torch.Tensor,
    initial: Sequence[torch.Tensor],
    valid: torch.Tensor | None,
    noise: Noise | None,
    run: Steps,
) -> tuple[torch.Tensor, State]:
    """The loop over layers and directions; `run` is `steps`, or another form of it."""
    directions, last = 2 if module.bidirectional else 1, []
    # A NaN held back by torch.where still comes out of the backward pass as 0 * NaN: it must not enter at all.
    output = x if valid is None else torch.where(valid, x, torch.zeros_like(x))
    for layer in range(module.num_layers):
        sweeps = []
        if noise is not None and noise.inputs[layer] is not None:
            output = output * noise.inputs[layer]
        for reverse in range(directions):
            row = layer * directions + reverse
            hs, states = sweep(module, row, output, [s[row] for s in initial], valid, noise, run)
            sweeps.append(hs)
            last.append(states)
        output = torch.cat(sweeps, dim=2)
    final = tuple(torch.stack(states) for states in zip(*last, strict=True))
    return output, final if isinstance(module, torch.nn.LSTM) else final[0]


def sweep(
    module: torch.nn.RNNBase,
    row: int,
    x: torch.Tensor,
    states: list[torch.Tensor],
    valid: torch.Tensor | None,
    noise: Noise | None,
    run: Steps,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """One layer in one direction. Padding holds the state, so the reverse reader starts at the last valid step."""
    layer, reverse = divmod(row, 2 if module.bidirectional else 1)
    suffix = f"_l{layer}{'_reverse' if reverse else ''}"
    W_ih, W_hh, b_ih, b_hh = (getattr(module, w + suffix) for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    gain_ih, gain_hh = (getattr(module, gain + suffix, None) for gain in ("norm_ih", "norm_hh"))
    mask, held = (None, None) if noise is None else (noise.hidden[row], noise.held[row])
    rates = getattr(module, "zoneout", ())
    expected = tuple(rates) if noise is None and any(rates) else ()
    recurrence = Recurrence(mode_of(module), W_hh, b_hh, gain_hh, mask, expected)
    a = project(x, W_ih, b_ih, gain_ih)
    order = range(len(x))[::-1] if reverse else range(len(x))
    return run(recurrence, a, valid, held, states, order)


def steps(
    recurrence: Recurrence,
    a: torch.Tensor,
    valid: torch.Tensor | None,
    held: tuple[torch.Tensor, ...] | None,
    states: list[torch.Tensor],
    order: range,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Step after step through a (T, N, G*H), in an order: h_t (T, N, H), zero on padding, and the last states."""
    hs = [states[0]] * len(a)
    for t in order:
        kept = recurrence.zoneout if held is None else [d[t] for d in held]
        hs[t], states = step(recurrence, a[t], None if valid is None else valid[t], kept, states)
    return torch.stack(hs), states


def step(
    recurrence: Recurrence,
    a: torch.Tensor,
    valid: torch.Tensor | None,
    kept: Sequence[Any],
    before: list[torch.Tensor],
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """One step from a_t (N, G*H), d_t of each state (none: ()) and h_{t-1}: what goes out, and the states."""
    mode, W_hh, b_hh, gain, mask, _ = recurrence
    if mode == "GRU_BEFORE":
        after = gru_before(a + b_hh, before[0], W_hh)
    else:
        # q_t = LN(W_hh (m ⊙ h_{t-1}); γ_hh) + b_hh, ĥ_t = update(a_t, q_t, h_{t-1})
        seen = before[0] if mask is None else before[0] * mask
        after = update(mode, a, project(seen, W_hh, b_hh, gain), *before)
    if kept:
        # h_t = d_t ⊙ h_{t-1} + (1 - d_t) ⊙ ĥ_t
        after = [d * old + (1 - d) * new for d, old, new in zip(kept, before, after, strict=True)]
    if valid is None:
        return after[0], after
    out = torch.where(valid, after[0], torch.zeros_like(after[0]))
    return out, [torch.where(valid, new, old) for new, old in zip(after, before, strict=True)]


def project(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor, gain: torch.Tensor | None) -> torch.Tensor:
    """LN(W x; gain) + b, or W x + b where there is no gain."""
    if gain is None:
        return torch.nn.functional.linear(x, W, b)
    return torch.nn.functional.layer_norm(x @ W.T, gain.shape, gain) + b


def update(mode: str, a: torch.Tensor, q: torch.Tensor, h: torch.Tensor, *c: torch.Tensor) -> list[torch.Tensor]:
    """One step from a = W_ih x_t + b_ih and q = W_hh h_{t-1} + b_hh, (N, gates * H) each: h_t, and c_t of an LSTM."""
    if mode == "LSTM":
        i, f, g, o = (a + q).chunk(4, dim=1)
        # c_t = σ(f) ⊙ c_{t-1} + σ(i) ⊙ tanh(g), h_t = σ(o) ⊙ tanh(c_t)
        c_next = torch.sigmoid(f) * c[0] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c_next), c_next]
    if mode == "GRU":
        (a_r, a_z, a_n), (q_r, q_z, q_n) = a.chunk(3, dim=1), q.chunk(3, dim=1)
        # n = tanh(a^n + r ⊙ q^n), h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
        r, z = torch.sigmoid(a_r + q_r), torch.sigmoid(a_z + q_z)
        return [(1 - z) * torch.tanh(a_n + r * q_n) + z * h]
    # h_t = φ(a + q)
    return [torch.tanh(a + q) if mode == "RNN_TANH" else torch.relu(a + q)]


def gru_before(a: torch.Tensor, h: torch.Tensor, W_hh: torch.Tensor) -> list[torch.Tensor]:
    """One step of the GRU whose reset gate acts before the recurrent product, from a = W_ih x_t + b_ih + b_hh."""
    (a_r, a_z, a_n), (W_hr, W_hz, W_hn) = a.chunk(3, dim=1), W_hh.chunk(3)
    # r = σ(a^r + W_hr h_{t-1}), z = σ(a^z + W_hz h_{t-1})
    r, z = torch.sigmoid(a_r + h @ W_hr.T), torch.sigmoid(a_z + h @ W_hz.T)
    # n = tanh(a^n + W_hn (r ⊙ h_{t-1})), h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
    return [(1 - z) * torch.tanh(a_n + (r * h) @ W_hn.T) + z * h]


def fused(
    module: torch.nn.RNNBase,
    x: torch.Tensor,
    state: State | None = None,
    lengths: Lengths | None = None,
    *,
    rng: Rng | None = None,
) -> tuple[torch.Tensor, State]:
    """torch's own kernel, cuDNN on a GPU, on a packed sequence where there are lengths; otherwise as `loop`.

    What is dropped between layers the kernel draws itself: the rng only seeds it, and masks differ from the loop's.

    Raises:
        Unsupported: a length is 0, which torch cannot pack, or the cell is none of torch's; `loop` can do both.
        TypeError, ValueError: as `loop`.
    """
    refuse_what_torch_lacks(module)
    counts = check(module, x, state, lengths)
    if counts is not None and min(counts) < 1:
        raise Unsupported("a length is 0: torch.nn.utils.rnn.pack_padded_sequence refuses it; use torchref.loop")
    kernel = next(kernel for kernel in KERNELS if isinstance(module, kernel))
    state = initial_state(module, x, state)
    with dropping(module, rng):
        if counts is None:
            return kernel.forward(module, x, state)
        packed = pack_padded_sequence(x, torch.tensor(counts), enforce_sorted=False)
        packed_output, last = kernel.forward(module, packed, state)
    output, _ = pad_packed_sequence(packed_output, total_length=len(x))
    return output, last


@contextmanager
def dropping(module: torch.nn.RNNBase, rng: Rng | None) -> Iterator[None]:
    """The module drops between its layers only where there is an rng. It trains throughout: in evaluation cuDNN keeps
    nothing for a backward pass, and refuses it."""
    before = module.training, module.dropout
    module.training, module.dropout = True, module.dropout if rng is not None else 0.0
    try:
        if rng is None or not module.dropout:
            yield
            return
        if isinstance(rng, np.random.Generator):
            seed = int(rng.integers(MAX_SEED))
        else:
            seed = int(torch.randint(MAX_SEED, (), generator=rng, device=rng.device))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        module.training, module.dropout = before


def refuse_what_torch_lacks(module: Any) -> None:
    """Say which option of a layer or module keeps it from being a torch.nn.RNN, GRU or LSTM.

    Raises:
        Unsupported: there is one.
    """
    for option, neutral in (("layer_norm", False), ("variational_dropout", 0), ("zoneout", 0), ("reset", "after")):
        value = getattr(module, option, neutral)
        if any(value) if isinstance(value, tuple) else value != neutral:
            raise Unsupported(
                f"the layer has {option}={value!r}: torch.nn.{kind_of(module)} has no equivalent; `twin` makes a "
                "module that has"
            )


def kind_of(owner: Any) -> str:
    """RNN, GRU or LSTM: what a layer or a torch module is."""
    return next(base.__name__ for base in type(owner).__mro__ if base.__name__ in ("RNN", "GRU", "LSTM"))


def mode_of(module: torch.nn.RNNBase) -> str:
    """The cell's name: torch's `mode`, or GRU_BEFORE."""
    return "GRU_BEFORE" if getattr(module, "reset", "after") == "before" else module.mode


def check(module: torch.nn.RNNBase, x: torch.Tensor, state: State | None, lengths: Lengths | None) -> list[int] | None:
    """Compare shapes, and give the lengths as whole numbers.

    Raises:
        TypeError, ValueError: as `loop`.
    """
    D = module.input_size
    if x.ndim != 3 or x.shape[2] != D:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (T, N, D) with D = input_size = {D}, time-major")
    (T, N, _), names = x.shape, ("h0", "c0")
    if state is not None:
        expected = module.num_layers * (2 if module.bidirectional else 1), N, module.hidden_size
        for name, tensor in zip(names, as_tuple(state), strict=False):
            if tensor.shape != expected:
                raise ValueError(f"{name} has shape {tuple(tensor.shape)}: expected {expected}, (K * directions, N, H)")
    if lengths is None:
        return None
    return check_lengths(lengths.cpu().numpy() if isinstance(lengths, torch.Tensor) else lengths, T, N).tolist()


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
