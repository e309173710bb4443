"""Attention: torch's numbers and gradients, and keys that are padding neither give nor get anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.attention import (
    additive_backward,
    additive_forward,
    dot_backward,
    dot_forward,
    masked_softmax,
    masked_softmax_backward,
    project_keys_backward,
    project_keys_forward,
    remember,
)
from rnnlib.gradcheck import check_gradient

LENGTHS = [5, 0, 2, 1]
ours_and_torch_s = settings(derandomize=True, deadline=None, max_examples=40)
shapes = given(
    seed=st.integers(0, 99),
    sizes=st.tuples(*[st.integers(1, 4)] * 5),
    padded=st.booleans(),
)


def dot(queries, keys, values, lengths=None):
    """Forward and a function from dcontext to all gradients, by name."""
    context, weights, cache = dot_forward(queries, remember(keys, values, lengths))
    names = "queries", "keys", "values"
    return context, weights, lambda dcontext: dict(zip(names, dot_backward(dcontext, cache), strict=True))


def additive(queries, keys, values, lengths=None, *, W_query, W_key, v):
    memory, key_cache = project_keys_forward(remember(keys, values, lengths), W_key)
    context, weights, cache = additive_forward(queries, memory, W_query, v)

    def backward(dcontext):
        dqueries, dprojected, dvalues, dW_query, dv = additive_backward(dcontext, cache)
        dkeys, dW_key = project_keys_backward(dprojected, key_cache)
        named = {"queries": dqueries, "keys": dkeys, "values": dvalues}
        return named | {"W_query": dW_query, "W_key": dW_key, "v": dv}

    return context, weights, backward


def batch(seed, Tq, Tk, N, D, Dv, A=3):
    rng = np.random.default_rng(seed)
    arrays = {"queries": (Tq, N, D), "keys": (Tk, N, D), "values": (Tk, N, Dv)}
    weights = {"W_query": (A, D), "W_key": (A, D), "v": (A,)}
    return [{k: rng.standard_normal(s) for k, s in named.items()} for named in (arrays, weights)], rng


(ARRAYS, WEIGHTS), _ = batch(0, 3, 5, 4, 2, 6)
DCONTEXT = np.random.default_rng(1).standard_normal((3, 4, 6))
KINDS = {"dot": (dot, {}), "additive": (additive, WEIGHTS)}
both = pytest.mark.parametrize(("attend", "weights"), KINDS.values(), ids=KINDS)


def compare(outputs, backward, theirs, expected, dcontext):
    """Hold context, weights and every gradient beside torch's."""
    torch = pytest.importorskip("torch")
    for ours, tensor in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, tensor.detach().numpy(), rtol=0, atol=1e-12)
    expected[0].backward(torch.tensor(dcontext))
    for name, gradient in backward(dcontext).items():
        wanted = theirs[name].grad.numpy()
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-10 * max(1, np.abs(wanted).max()), err_msg=name)


def some_lengths(rng, Tk, N, padded):
    return rng.integers(1, Tk + 1, N) if padded else None  # torch gives NaN for a sequence without keys


@ours_and_torch_s
@shapes
def test_dot_attention_and_its_gradients_are_torch_s(seed, sizes, padded):
    torch = pytest.importorskip("torch")
    (arrays, _), rng = batch(seed, *sizes)
    Tq, Tk, N, _, Dv = sizes
    lengths, dcontext = some_lengths(rng, Tk, N, padded), rng.standard_normal((Tq, N, Dv))
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    mask = None if lengths is None else torch.tensor(np.arange(Tk) < lengths[:, None])[:, None, :]
    q, k, v = (tensor.transpose(0, 1) for tensor in theirs.values())
    attend = torch.nn.functional.scaled_dot_product_attention
    maps = attend(q, k, torch.eye(Tk, dtype=torch.float64).expand(N, Tk, Tk), attn_mask=mask)
    context, weights, backward = dot(**arrays, lengths=lengths)
    expected = attend(q, k, v, attn_mask=mask).transpose(0, 1), maps.transpose(0, 1)
    compare((context, weights), backward, theirs, expected, dcontext)


@ours_and_torch_s
@shapes
def test_additive_attention_and_its_gradients_are_those_of_torch_s_autograd(seed, sizes, padded):
    torch = pytest.importorskip("torch")
    (arrays, parameters), rng = batch(seed, *sizes)
    Tq, Tk, N, _, Dv = sizes
    lengths, dcontext = some_lengths(rng, Tk, N, padded), rng.standard_normal((Tq, N, Dv))
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in (arrays | parameters).items()}
    q, k = (torch.nn.functional.linear(theirs[x], theirs[W]) for x, W in (("queries", "W_query"), ("keys", "W_key")))
    scores = torch.tanh(q[:, None] + k[None]) @ theirs["v"]  # (Tq, Tk, N)
    if lengths is not None:
        scores = scores.masked_fill(torch.tensor(np.arange(Tk)[:, None] >= lengths), -torch.inf)
    maps = scores.softmax(dim=1)
    context, weights, backward = additive(**arrays, lengths=lengths, **parameters)
    expected = torch.einsum("qkn,knd->qnd", maps, theirs["values"]), maps.transpose(1, 2)
    compare((context, weights), backward, theirs, expected, dcontext)


@both
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_every_gradient_agrees_with_the_loss(attend, weights, lengths):
    everything = ARRAYS | weights
    for name, gradient in attend(**everything, lengths=lengths)[2](DCONTEXT).items():

        def loss(value, name=name):
            return (attend(**(everything | {name: value}), lengths=lengths)[0] * DCONTEXT).sum()

        assert check_gradient(loss, everything[name], gradient).error < 1e-13, name


@both
@pytest.mark.parametrize("dirt", [np.nan, np.inf, 1e300])
def test_what_stands_in_the_padding_leaks_neither_forward_nor_backward(attend, weights, dirt):
    padding = np.arange(5)[:, None] >= LENGTHS
    dirty = {name: np.where(padding[:, :, None], dirt, ARRAYS[name]) for name in ("keys", "values")}
    context, maps, backward = attend(**(ARRAYS | dirty), **weights, lengths=LENGTHS)
    expected, expected_maps, expected_backward = attend(**ARRAYS, **weights, lengths=LENGTHS)
    assert np.array_equal(context, expected)
    assert np.array_equal(maps, expected_maps)
    assert not maps.transpose(2, 1, 0)[padding].any()
    gradients = backward(DCONTEXT)
    for name, gradient in expected_backward(DCONTEXT).items():
        assert np.array_equal(gradients[name], gradient), name
    assert not gradients["keys"][padding].any()
    assert not gradients["values"][padding].any()


@both
def test_a_sequence_without_keys_reads_zero_and_sends_no_gradient(attend, weights):
    context, maps, backward = attend(**ARRAYS, **weights, lengths=LENGTHS)
    gradients = backward(DCONTEXT)
    for array in (context, maps, gradients["queries"], gradients["keys"], gradients["values"]):
        assert not array[:, 1].any()
        assert array[:, 0].any()
    # and it is as if that sequence were not there
    others = [0, 2, 3]
    fewer = {name: array[:, others] for name, array in ARRAYS.items()}
    _, _, backward = attend(**fewer, **weights, lengths=[LENGTHS[n] for n in others])
    for name, gradient in backward(DCONTEXT[:, others]).items():
        same = gradients[name] if name in weights else gradients[name][:, others]
        np.testing.assert_allclose(gradient, same, rtol=0, atol=1e-14)


@both
def test_the_amount_of_padding_changes_nothing(attend, weights):
    longer = {name: np.concatenate([ARRAYS[name], ARRAYS[name]]) for name in ("keys", "values")}
    context, maps, backward = attend(**(ARRAYS | longer), **weights, lengths=LENGTHS)
    expected, expected_maps, expected_backward = attend(**ARRAYS, **weights, lengths=LENGTHS)
    np.testing.assert_allclose(context, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(maps[:, :, :5], expected_maps, rtol=0, atol=1e-14)
    gradients = backward(DCONTEXT)
    for name, gradient in expected_backward(DCONTEXT).items():
        np.testing.assert_allclose(gradients[name][: len(gradient)], gradient, rtol=0, atol=1e-13)


def test_a_decoder_that_asks_step_by_step_gets_what_one_call_gives():
    memory, key_cache = project_keys_forward(remember(ARRAYS["keys"], ARRAYS["values"], LENGTHS), WEIGHTS["W_key"])
    dot_memory = remember(ARRAYS["keys"], ARRAYS["values"], LENGTHS)
    W_query, v = WEIGHTS["W_query"], WEIGHTS["v"]
    for attend, given_weights in KINDS.values():
        context, maps, backward = attend(**ARRAYS, **given_weights, lengths=LENGTHS)
        gradients, sums = backward(DCONTEXT), dict.fromkeys(("keys", "values", "W_query", "v"), 0.0)
        for t in range(3):
            query, dc = ARRAYS["queries"][t : t + 1], DCONTEXT[t : t + 1]
            if attend is dot:
                step_context, step_maps, cache = dot_forward(query, dot_memory)
                dquery, *parts = dot_backward(dc, cache)
            else:
                step_context, step_maps, cache = additive_forward(query, memory, W_query, v)
                dquery, *parts = additive_backward(dc, cache)
            np.testing.assert_allclose(step_context[0], context[t], rtol=0, atol=1e-14)
            np.testing.assert_allclose(step_maps[0], maps[t], rtol=0, atol=1e-14)
            np.testing.assert_allclose(dquery[0], gradients["queries"][t], rtol=0, atol=1e-14)
            for name, part in zip(sums, parts, strict=False):
                sums[name] = sums[name] + part
        if attend is additive:
            sums["keys"], dW_key = project_keys_backward(sums["keys"], key_cache)
            np.testing.assert_allclose(dW_key, gradients["W_key"], rtol=0, atol=1e-13)
        for name in ("keys", "values", *(["W_query", "v"] if attend is additive else [])):
            np.testing.assert_allclose(sums[name], gradients[name], rtol=0, atol=1e-13)


def test_without_padding_a_memory_is_no_copy_and_with_padding_shared_keys_are_cleaned_once():
    keys = ARRAYS["keys"]
    for lengths in (None, [5, 5, 5, 5]):
        memory = remember(keys, keys, lengths)
        assert memory.keys is keys
        assert memory.values is keys
    memory = remember(keys, keys, LENGTHS)
    assert memory.keys is memory.values
    assert not np.shares_memory(memory.keys, keys)


def test_masked_softmax_sums_to_one_over_the_valid_keys_and_does_not_overflow():
    scores = np.array([[[1e4, -1e4, np.nan], [-1e4, -1e4, 7], [1, 2, 3], [np.nan, np.inf, 0]]])
    with np.errstate(all="raise", under="ignore"):
        weights = masked_softmax(scores, [2, 2, 1, 0])
    assert np.array_equal(weights, [[[1, 0, 0], [0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]]])


def test_masked_softmax_s_gradient_agrees_with_it_and_reads_nothing_on_padding():
    rng = np.random.default_rng(0)
    scores, dweights = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    weights = masked_softmax(scores, LENGTHS)
    dscores = masked_softmax_backward(dweights, weights)
    report = check_gradient(lambda v: (masked_softmax(v, LENGTHS) * dweights).sum(), scores, dscores)
    assert report.error < 1e-14
    padding = np.arange(5) >= np.array(LENGTHS)[:, None]
    assert np.array_equal(masked_softmax_backward(np.where(padding, np.nan, dweights), weights), dscores)


@both
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("steps", [1, 3])
def test_attention_keeps_float32(attend, weights, lengths, steps):
    narrow = {name: array.astype(np.float32) for name, array in (ARRAYS | weights).items()}
    narrow["queries"] = narrow["queries"][:steps]
    context, maps, backward = attend(**narrow, lengths=lengths)
    found = (context, maps, *backward(DCONTEXT[:steps].astype(np.float32)).values())
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


MEMORY = remember(ARRAYS["keys"], ARRAYS["values"], LENGTHS)
PROJECTED, PROJECTION = project_keys_forward(MEMORY, WEIGHTS["W_key"])
QUERIES = ARRAYS["queries"]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: remember(QUERIES[0], QUERIES), ValueError, r"keys has shape \(4, 2\): expected \(Tk, N, D\)"),
        (lambda: remember(QUERIES, QUERIES[:2]), ValueError, r"values has shape \(2, 4, 2\)"),
        (lambda: remember(QUERIES, QUERIES, [4, 1, 1, 1]), ValueError, "each must lie in 0 to T = 3"),
        (lambda: remember(QUERIES, QUERIES.astype(np.float32)), TypeError, "several precisions"),
        (lambda: dot_forward(QUERIES[0], MEMORY), ValueError, r"one step \(N, D\) becomes q\[None\]"),
        (lambda: dot_forward(QUERIES.swapaxes(0, 1), MEMORY), ValueError, "rnnlib is time-major"),
        (lambda: dot_forward(QUERIES[:, :, :1], MEMORY), ValueError, "expected a last axis of 2, as long as the keys"),
        (lambda: dot_forward(QUERIES.astype(np.float32), MEMORY), TypeError, "several precisions"),
        (lambda: project_keys_forward(MEMORY, np.ones((3, 5))), ValueError, r"expected \(A, D\) with D = 2"),
        (lambda: project_keys_backward(QUERIES, PROJECTION), ValueError, r"dprojected has shape \(3, 4, 2\)"),
        (
            lambda: additive_forward(QUERIES, MEMORY, WEIGHTS["W_query"], WEIGHTS["v"]),
            ValueError,
            "did the memory go through `project_keys_forward`",
        ),
        (
            lambda: additive_forward(QUERIES[:, :, :1], PROJECTED, WEIGHTS["W_query"], WEIGHTS["v"]),
            ValueError,
            "one number for each column of W_query",
        ),
        (lambda: dot_backward(DCONTEXT[0], dot_forward(QUERIES, MEMORY)[2]), ValueError, "dcontext has shape"),
        (lambda: masked_softmax(np.ones(3), [1]), ValueError, r"expected \(\.\.\., N, Tk\)"),
        (lambda: masked_softmax_backward(np.ones((3, 1)), np.ones((3, 2))), ValueError, "dweights has shape"),
    ],
)
def test_a_wrong_argument_is_explained(call, error, says):
    with pytest.raises(error, match=says):
        call()
