"""Outputs, states and every gradient of the recurrent layers, held beside torch's own, for any shape and lengths."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlib.recurrent import GRU, LSTM, RNN

KINDS = {"rnn": (RNN, {}), "relu": (RNN, {"nonlinearity": "relu"}), "gru": (GRU, {}), "lstm": (LSTM, {})}


def arrays(state):
    return list(state) if isinstance(state, tuple) else [state]


def twins(kind, T, N, D, H, K, bidirectional, lengths, checkpoint=False, dtype=np.float64, seed=0):
    """Everything that comes out of our layer and of torch's, by name. Sequences of length 0, which torch cannot pack,
    are left out on its side: they must hand their states through and have no part in anything else."""
    layer_type, options = KINDS[kind]
    rng = np.random.default_rng(seed)
    layer = layer_type(D, H, K, bidirectional=bidirectional, checkpoint=checkpoint, dtype=dtype, rng=rng, **options)
    S = K * layer.directions

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, doutput = normal(T, N, D), normal(T, N, H * layer.directions)
    two = 2 if kind == "lstm" else 1
    first, dlast = ([normal(S, N, H) for _ in range(two)] for _ in range(2))
    whole = np.full(N, T) if lengths is None else np.array(lengths)
    x[np.arange(T)[:, None] >= whole] = np.nan
    some = whole > 0

    def form(state):
        return tuple(state) if two == 2 else state[0]

    output, last, cache = layer.forward(x, form(first), lengths)
    dx, dfirst, gradients = layer.backward(doutput, form(dlast), cache)
    states = [*arrays(last), *arrays(dfirst)]
    for state, passed in zip(states, [*first, *dlast], strict=True):
        assert np.array_equal(state[:, ~some], passed[:, ~some])
    ours = [output, dx, *(state[:, some] for state in states), *gradients.values()]
    if not some.any():
        return dict(enumerate(ours)), {k: np.zeros_like(a) for k, a in enumerate(ours)}

    module = getattr(torch.nn, layer_type.__name__)(D, H, K, bidirectional=bidirectional, **options)
    module.to(torch.from_numpy(x).dtype)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.parameters.items()})
    x_torch = torch.from_numpy(np.nan_to_num(x)[:, some]).requires_grad_()
    start = [torch.from_numpy(state[:, some]).requires_grad_() for state in first]
    packed, end = module(
        pack_padded_sequence(x_torch, torch.from_numpy(whole[some]), enforce_sorted=False), form(start)
    )
    out, _ = pad_packed_sequence(packed, total_length=T)
    upstream = [torch.from_numpy(np.ascontiguousarray(a[:, some])) for a in (doutput, *dlast)]
    dx_torch, *rest = torch.autograd.grad([out, *arrays(end)], [x_torch, *start, *module.parameters()], upstream)
    wide = []
    for part, like in ((out.detach(), output), (dx_torch, dx)):
        padded = np.zeros_like(like)
        padded[:, some] = part.numpy()
        wide.append(padded)
    theirs = [*wide, *(state.detach().numpy() for state in arrays(end)), *(gradient.numpy() for gradient in rest)]
    names = ["output", "dx", *(f"state {k}" for k in range(len(states))), *gradients]
    return dict(zip(names, ours, strict=True)), dict(zip(names, theirs, strict=True))


def assert_within(tolerance, ours, theirs):
    for name, value in ours.items():
        scale = np.abs(theirs[name]).max(initial=0)
        assert np.abs(value - theirs[name]).max(initial=0) <= tolerance * scale, name


@st.composite
def networks(draw):
    T, N, D, H, K = (draw(st.integers(1, most)) for most in (12, 6, 5, 6, 3))
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N))
    switches = draw(st.booleans()), draw(st.booleans())
    return draw(st.sampled_from(list(KINDS))), T, N, D, H, K, switches[0], lengths, switches[1]


@settings(deadline=None, max_examples=200, derandomize=True)
@given(networks(), st.integers(0, 99))
def test_float64_agrees_with_torch_within_1e_10_of_the_largest_entry(network, seed):
    assert_within(1e-10, *twins(*network, seed=seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, "random"])
def test_long_batches_of_many_blocks_agree_too(kind, lengths):
    counts = np.random.default_rng(2).integers(0, 201, 24).tolist() if lengths else None
    assert_within(1e-10, *twins(kind, 200, 24, 8, 16, 2, True, counts))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [60, 0, 31, 7]])
def test_float32_agrees_with_torch_within_1e_4(kind, lengths):
    assert_within(1e-4, *twins(kind, 60, 4, 8, 32, 2, True, lengths, dtype=np.float32))


@pytest.mark.parametrize("lengths", [None, [5, 0, 3]])
def test_the_original_gru_agrees_with_its_equations_under_autograd(lengths):
    rng = np.random.default_rng(0)
    layer, x, h0 = GRU(2, 4, reset="before", rng=0), rng.standard_normal((5, 3, 2)), rng.standard_normal((1, 3, 4))
    output, h_n, cache = layer.forward(x, h0, lengths)
    doutput, dh_n = rng.standard_normal(output.shape), rng.standard_normal(h_n.shape)
    dx, dh0, gradients = layer.backward(doutput, dh_n, cache)

    leaves = [torch.from_numpy(a).requires_grad_() for a in (x, h0, *layer.parameters.values())]
    x_torch, start, W_ih, W_hh, b_ih, b_hh = leaves
    h, hs = start[0], []
    for t in range(5):
        a_r, a_z, a_n = (x_torch[t] @ W_ih.T + b_ih + b_hh).chunk(3, dim=1)
        W_r, W_z, W_n = W_hh.chunk(3)
        r, z = torch.sigmoid(a_r + h @ W_r.T), torch.sigmoid(a_z + h @ W_z.T)
        n = torch.tanh(a_n + (r * h) @ W_n.T)
        running = torch.tensor([[t < length] for length in lengths or [5] * 3])
        h_next = (1 - z) * n + z * h
        h, shown = torch.where(running, h_next, h), torch.where(running, h_next, 0)
        hs.append(shown)
    out = torch.stack(hs)
    theirs = torch.autograd.grad([out, h[None]], leaves, [torch.from_numpy(doutput), torch.from_numpy(dh_n)])
    names = ["output", "h_n", "dx", "dh0", *gradients]
    ours = dict(zip(names, (output, h_n, dx, dh0, *gradients.values()), strict=True))
    expected = [out, h[None], *theirs]
    assert_within(1e-13, ours, {n: a.detach().numpy() for n, a in zip(names, expected, strict=True)})
