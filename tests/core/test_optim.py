"""Optimisers, clipping and schedules: torch's numbers, exact resumption, and no bad step taken in silence."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.optim import (
    SGD,
    Adam,
    AdamW,
    RMSprop,
    clip_by_global_norm,
    clip_by_value,
    clip_per_tensor_norm,
    constant,
    cosine_decay,
    global_norm,
    linear_warmup,
    step_decay,
)

OPTIMISERS = [
    (SGD, {}),
    (SGD, {"weight_decay": 0.1}),
    (SGD, {"momentum": 0.9}),
    (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (RMSprop, {}),
    (RMSprop, {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    (Adam, {}),
    (Adam, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    (AdamW, {}),
    (AdamW, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
]
every_optimiser = pytest.mark.parametrize(("kind", "options"), OPTIMISERS)
CLIPPERS = [clip_by_global_norm, clip_by_value, clip_per_tensor_norm]


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {"cell.weight": rng.standard_normal((4, 3)).astype(dtype), "bias": rng.standard_normal(4).astype(dtype)}


def gradients(step, dtype=np.float64):
    rng = np.random.default_rng([1, step])
    return {"cell.weight": rng.standard_normal((4, 3)).astype(dtype), "bias": rng.standard_normal(4).astype(dtype)}


@every_optimiser
@pytest.mark.parametrize("learning_rate", [None, 0.03])
def test_twenty_steps_are_torch_s(kind, options, learning_rate):
    torch = pytest.importorskip("torch")
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in parameters().items()}
    rate = {} if learning_rate is None else {"lr": learning_rate}
    defaults = {"lr": 1e-2} if kind is SGD else {}  # torch's own default for SGD has changed over the years
    peer = getattr(torch.optim, kind.__name__)(list(theirs.values()), **(defaults | rate), **options)
    ours = parameters()
    optimiser = kind(ours, **({} if learning_rate is None else {"learning_rate": learning_rate}), **options)
    for step in range(20):
        for name, gradient in gradients(step).items():
            theirs[name].grad = torch.tensor(gradient)
        peer.step()
        optimiser.step(gradients(step))
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected.detach().numpy(), rtol=1e-12, atol=1e-12)


@every_optimiser
def test_a_rate_for_one_step_is_that_of_a_torch_schedule(kind, options):
    torch = pytest.importorskip("torch")
    schedule = linear_warmup(3, then=cosine_decay(7, floor=0.1))
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in parameters().items()}
    peer = getattr(torch.optim, kind.__name__)(list(theirs.values()), lr=0.05, **options)
    scheduler = torch.optim.lr_scheduler.LambdaLR(peer, schedule)
    ours = parameters()
    optimiser = kind(ours, learning_rate=123.0, **options)
    for step in range(12):
        for name, gradient in gradients(step).items():
            theirs[name].grad = torch.tensor(gradient)
        peer.step()
        scheduler.step()
        optimiser.step(gradients(step), learning_rate=0.05 * schedule(step))
    assert optimiser.learning_rate == 123
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected.detach().numpy(), rtol=1e-12, atol=1e-12)


@every_optimiser
def test_a_step_changes_the_parameters_own_arrays_and_nothing_else(kind, options):
    ours = parameters()
    arrays, grads = dict(ours), gradients(0)
    optimiser = kind(ours, **options)
    optimiser.step(grads)
    before = parameters()
    for name, array in arrays.items():
        assert ours[name] is array
        assert (array != before[name]).all()
        assert np.array_equal(grads[name], gradients(0)[name])


@every_optimiser
def test_float32_stays_float32_and_near_float64(kind, options):
    wide, narrow = parameters(), parameters(np.float32)
    optimisers = kind(wide, **options), kind(narrow, learning_rate=np.float64(kind(wide).learning_rate), **options)
    for step in range(5):
        optimisers[0].step(gradients(step))
        optimisers[1].step(gradients(step, np.float32), learning_rate=np.float64(optimisers[0].learning_rate))
    for name in wide:
        assert narrow[name].dtype == np.float32
        np.testing.assert_allclose(narrow[name], wide[name], rtol=1e-4, atol=1e-4)
    assert {a.dtype for key, a in optimisers[1].state().items() if "." in key} <= {np.dtype(np.float32)}


@every_optimiser
def test_a_resumed_run_is_the_run_that_was_never_interrupted(kind, options):
    whole = parameters()
    optimiser = kind(whole, **options)
    for step in range(10):
        if step == 6:
            optimiser.learning_rate /= 3
            file = io.BytesIO()
            np.savez(file, **optimiser.state())
            resumed = {name: value.copy() for name, value in whole.items()}
        optimiser.step(gradients(step))
    file.seek(0)
    fresh = kind(resumed, learning_rate=0.5, **options)
    fresh.restore(np.load(file))
    for step in range(6, 10):
        fresh.step(gradients(step))
    for name in whole:
        assert np.array_equal(resumed[name], whole[name])
    assert fresh.steps == 10


def test_a_state_is_a_copy_in_both_directions():
    optimiser = Adam(parameters())
    optimiser.step(gradients(0))
    state = optimiser.state()
    kept = {key: value.copy() for key, value in state.items()}
    other = Adam(parameters())
    other.restore(state)
    optimiser.step(gradients(1))
    other.step(gradients(1))
    assert all(np.array_equal(state[key], kept[key]) for key in kept)
    assert set(state) == {"steps", "learning_rate"} | {
        f"{m}.{n}" for m in ("mean", "mean_square") for n in parameters()
    }


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"bias": None}, KeyError, r"missing \['bias'\], unknown \[\]"),
        ({"extra": np.zeros(4)}, KeyError, r"missing \[\], unknown \['extra'\]"),
        ({"bias": np.zeros((4, 1))}, ValueError, r"the gradient of 'bias' has shape \(4, 1\)"),
        ({"bias": np.zeros(4, np.float32)}, TypeError, "the gradient of 'bias' is float32: expected float64"),
        ({"bias": [0.0] * 4}, TypeError, "the gradient of 'bias' is list"),
        ({"bias": np.array([0, 0, np.nan, 0])}, FloatingPointError, r"the gradient of 'bias' is nan at \(2,\)"),
        ({"bias": np.array([0, -np.inf, 0, 0])}, FloatingPointError, r"the gradient of 'bias' is -inf at \(1,\)"),
    ],
)
def test_a_gradient_that_does_not_fit_is_named_and_nothing_moves(change, error, says):
    ours = parameters()
    optimiser = AdamW(ours)
    state = optimiser.state()
    wrong = {name: value for name, value in (gradients(0) | change).items() if value is not None}
    with pytest.raises(error, match=says):
        optimiser.step(wrong)
    assert all(np.array_equal(ours[name], value) for name, value in parameters().items())
    assert all(np.array_equal(optimiser.state()[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: SGD({"ids": np.zeros(3, int)}), TypeError, "parameter 'ids' is int64"),
        (lambda: SGD({"w": [1.0]}), TypeError, "parameter 'w' is list"),
        (lambda: SGD({"w": np.broadcast_to(1.0, 3)}), ValueError, "parameter 'w' is read-only"),
        (lambda: SGD({"a": (w := np.zeros(3)), "b": w}), ValueError, "'a' and 'b' are the same array"),
        (lambda: SGD({}, nesterov=True), ValueError, "momentum is 0"),
        (lambda: SGD({}, momentum=1.0), ValueError, "momentum is 1.0"),
        (lambda: SGD({}, learning_rate=-1), ValueError, "learning_rate is -1"),
        (lambda: SGD({}).step({}, learning_rate=np.nan), ValueError, "learning_rate is nan"),
        (lambda: SGD({}, weight_decay=-1), ValueError, "weight_decay is -1"),
        (lambda: RMSprop({}, alpha=1), ValueError, "alpha is 1"),
        (lambda: RMSprop({}, eps=0), ValueError, "eps is 0"),
        (lambda: Adam({}, betas=(0.9, 1)), ValueError, r"betas\[1\] is 1"),
        (lambda: Adam({}, betas=(-0.1, 0.9)), ValueError, r"betas\[0\] is -0.1"),
        (lambda: Adam({}, eps=0), ValueError, "eps is 0"),
    ],
)
def test_an_optimiser_that_cannot_work_is_not_made(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_another_optimiser_s_state_is_refused_and_nothing_moves():
    optimiser = Adam(parameters())
    optimiser.step(gradients(0))
    state = optimiser.state()
    with pytest.raises(KeyError, match=r"mean\.bias"):
        optimiser.restore(SGD(parameters()).state())
    with pytest.raises(ValueError, match=r"state 'mean_square.bias' is float64 \(1,\): expected float64 \(4,\)"):
        optimiser.restore(Adam(parameters()).state() | {"mean_square.bias": np.zeros(1)})
    with pytest.raises(ValueError, match="is float32"):
        optimiser.restore(Adam(parameters(np.float32)).state())
    assert all(np.array_equal(optimiser.state()[key], value) for key, value in state.items())


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 99), st.sampled_from([1e-3, 0.5, 1.0, 3.0, 1e3]))
def test_clipping_by_norm_and_by_value_is_torch_s(seed, limit):
    torch = pytest.importorskip("torch")
    ours = gradients(seed)
    norm = np.sqrt(sum((g**2).sum() for g in ours.values()))

    def peer(clip, names):
        tensors = {name: torch.zeros(ours[name].shape, dtype=torch.float64) for name in names}
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(ours[name])
        clip(tensors.values())
        return {name: tensor.grad.numpy() for name, tensor in tensors.items()}

    # torch divides by norm + 1e-6, so that much is between the two
    norms = torch.nn.utils.clip_grad_norm_
    expected = {
        clip_by_global_norm: (peer(lambda p: norms(p, limit), ours), 1e-5),
        clip_by_value: (peer(lambda p: torch.nn.utils.clip_grad_value_(p, limit), ours), 0),
        clip_per_tensor_norm: ({k: v for n in ours for k, v in peer(lambda p: norms(p, limit), [n]).items()}, 1e-5),
    }
    for clip, (theirs, tolerance) in expected.items():
        clipped, before = clip(ours, limit)
        assert before == pytest.approx(norm, rel=1e-14)
        for name in ours:
            np.testing.assert_allclose(clipped[name], theirs[name], rtol=tolerance)


def test_a_clipped_gradient_has_exactly_the_largest_norm_and_its_old_direction():
    ours = gradients(0)
    clipped, norm = clip_by_global_norm(ours, 0.25)
    assert norm > 0.25
    assert global_norm(clipped) == pytest.approx(0.25, rel=1e-14)
    for name in ours:
        np.testing.assert_allclose(clipped[name] * norm, ours[name] * 0.25, rtol=1e-14)
    each, _ = clip_per_tensor_norm(ours, 0.25)
    assert [global_norm({name: g}) for name, g in each.items()] == pytest.approx([0.25, 0.25], rel=1e-14)
    assert np.array_equal(clip_by_value({"g": np.array([-3.0, 0.1, 2.0])}, 0.5)[0]["g"], [-0.5, 0.1, 0.5])


@pytest.mark.parametrize("clip", CLIPPERS)
def test_clipping_changes_no_gradient_it_was_given_and_no_gradient_that_is_short(clip):
    ours = gradients(0)
    for limit in (0.1, 100.0, np.inf):
        clipped, _ = clip(ours, limit)
        assert all(np.array_equal(ours[name], value) for name, value in gradients(0).items())
        assert all(np.array_equal(clipped[name], ours[name]) == (limit > 1) for name in ours)


@pytest.mark.parametrize("clip", CLIPPERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_never_clipped_into_zeros(clip, bad):
    ours = gradients(0)
    ours["bias"][1] = bad
    clipped, norm = clip(ours, 1.0)
    assert not np.isfinite(norm)
    assert all(np.array_equal(clipped[name], ours[name], equal_nan=True) for name in ours)
    with pytest.raises(FloatingPointError, match="'bias'"):
        SGD(parameters()).step(clipped)


@pytest.mark.parametrize("clip", CLIPPERS)
def test_clipping_keeps_float32(clip):
    clipped, _ = clip(gradients(0, np.float32), np.float64(0.1))
    assert {g.dtype for g in clipped.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("clip", CLIPPERS)
@pytest.mark.parametrize("limit", [0, -1.0, np.nan])
def test_a_limit_that_lets_nothing_through_is_explained(clip, limit):
    for grads in (gradients(0), {}):
        with pytest.raises(ValueError, match=f"is {limit}: expected a number above 0, or every gradient becomes zero"):
            clip(grads, limit)


def test_the_norm_overflows_only_where_it_must_and_vanishes_nowhere():
    assert global_norm({"a": np.array([3e200]), "b": np.array([4e200])}) == pytest.approx(5e200, rel=1e-15)
    assert global_norm({"a": np.array([3e30, 4e30], np.float32)}) == pytest.approx(5e30, rel=1e-6)
    assert global_norm({"a": np.array([3e-200]), "b": np.array([4e-200])}) == pytest.approx(5e-200, rel=1e-15)
    assert math.isnan(global_norm({"a": np.array([1.0]), "b": np.array([np.nan]), "c": np.array([2.0])}))
    assert global_norm({"a": np.array([1.0]), "b": np.array([-np.inf])}) == np.inf
    assert global_norm({}) == global_norm({"a": np.zeros(3)}) == global_norm({"a": np.zeros((0, 3))}) == 0


def torch_factors(make, steps):
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(torch.optim.lr_scheduler, optimiser), []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make", "steps"),
    [
        (constant(0.3), lambda lr, o: lr.ConstantLR(o, factor=0.3, total_iters=100), 20),
        (linear_warmup(8), lambda lr, o: lr.LinearLR(o, start_factor=1 / 8, total_iters=7), 20),
        (cosine_decay(15), lambda lr, o: lr.CosineAnnealingLR(o, T_max=15), 16),
        (cosine_decay(15, floor=0.2), lambda lr, o: lr.CosineAnnealingLR(o, T_max=15, eta_min=0.2), 16),
        (step_decay(4), lambda lr, o: lr.StepLR(o, step_size=4), 20),
        (step_decay(4, factor=0.5), lambda lr, o: lr.StepLR(o, step_size=4, gamma=0.5), 20),
    ],
)
def test_a_schedule_is_torch_s(schedule, make, steps):
    assert [schedule(t) for t in range(steps)] == pytest.approx(torch_factors(make, steps), rel=1e-12, abs=1e-15)


def test_a_warm_up_hands_over_to_the_schedule_that_follows():
    for then in (cosine_decay(6, floor=0.1), step_decay(2), linear_warmup(3), constant(0.5)):
        schedule = linear_warmup(4, then)
        assert [schedule(t) for t in range(4)] == [0.25, 0.5, 0.75, 1.0]
        assert [schedule(t + 4) for t in range(10)] == [then(t) for t in range(10)]


def test_after_its_end_a_schedule_stays_where_it_is():
    assert cosine_decay(10, floor=0.1)(10) == cosine_decay(10, floor=0.1)(10**9) == pytest.approx(0.1, rel=1e-15)
    assert linear_warmup(10)(10**9) == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: linear_warmup(0), "steps is 0: expected at least one step"),
        (lambda: cosine_decay(0), "steps is 0"),
        (lambda: cosine_decay(5, floor=1.5), "floor is 1.5"),
        (lambda: step_decay(0), "every is 0"),
        (lambda: step_decay(3, -1), "factor is -1"),
        (lambda: constant(np.inf), "factor is inf"),
    ],
)
def test_a_schedule_that_cannot_work_is_not_made(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_parameters_without_names_are_refused():
    with pytest.raises(TypeError, match="parameters is a list: expected arrays by name"):
        Adam([np.zeros(3)])
