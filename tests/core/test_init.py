"""Initialisers: the right spread, true rotations, one array at a time and nothing hidden."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib import init

RANDOM = {
    init.uniform: {"bound": 0.3},
    init.gaussian: {"std": 0.3},
    init.xavier_uniform: {"gain": 0.3},
    init.xavier_normal: {"gain": 0.3},
    init.orthogonal: {"gain": 0.3},
}
every_random = pytest.mark.parametrize(("initialise", "size"), RANDOM.items(), ids=[f.__name__ for f in RANDOM])


@every_random
def test_one_seed_gives_one_array_and_a_generator_moves_on(initialise, size):
    rng = np.random.default_rng(3)
    first, second = (initialise((4, 6), rng, **size) for _ in range(2))
    assert np.array_equal(first, initialise((4, 6), np.random.default_rng(3), **size))
    assert not np.isclose(first, second).any()
    rounded = initialise((4, 6), np.random.default_rng(3), np.float32, **size)
    assert rounded.dtype == np.float32
    assert np.array_equal(rounded, first.astype(np.float32))


@every_random
def test_the_size_scales_the_values_and_zero_gives_zeros(initialise, size):
    ((name, value),) = size.items()
    small = initialise((4, 6), np.random.default_rng(3), **size)
    large = initialise((4, 6), np.random.default_rng(3), **{name: 2 * value})
    np.testing.assert_allclose(large, 2 * small, rtol=1e-13)
    assert not initialise((4, 6), np.random.default_rng(3), **{name: 0}).any()


@pytest.mark.parametrize(
    ("initialise", "size", "std", "farthest"),
    [
        (init.uniform, {"bound": 0.3}, 0.3 / np.sqrt(3), 0.3),
        (init.gaussian, {"std": 0.3}, 0.3, np.inf),
        (init.xavier_uniform, {}, np.sqrt(2 / 700), np.sqrt(6 / 700)),
        (init.xavier_normal, {}, np.sqrt(2 / 700), np.inf),
        (init.xavier_normal, {"gain": 5 / 3}, 5 / 3 * np.sqrt(2 / 700), np.inf),
    ],
)
def test_the_spread_is_what_the_papers_say(initialise, size, std, farthest):
    W = initialise((300, 400), np.random.default_rng(0), **size)
    assert W.mean() == pytest.approx(0, abs=5 * std / np.sqrt(W.size))
    assert W.std() == pytest.approx(std, rel=0.011)  # five standard deviations of the estimate
    assert (np.abs(W).max() > 3 * std) == (farthest == np.inf)
    assert np.abs(W).max() <= farthest


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 12))
def test_an_orthogonal_matrix_has_only_singular_values_of_gain(seed, outputs, inputs):
    W = init.orthogonal((outputs, inputs), np.random.default_rng(seed), gain=1.5)
    assert W.shape == (outputs, inputs)
    assert W.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False), 1.5, rtol=1e-13)


@pytest.mark.parametrize("shape", [(3, 3), (3, 2), (2, 3)])
def test_no_rotation_is_likelier_than_another(shape):
    rng = np.random.default_rng(0)
    draws = np.stack([init.orthogonal(shape, rng) for _ in range(4000)])
    # every entry has mean 0 and variance 1 / max(shape); without the signs, W[0, 0] would never be positive
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=5 / np.sqrt(4000 * 3))
    np.testing.assert_allclose(draws.var(axis=0), 1 / 3, atol=0.03)
    if shape == (3, 3):
        assert np.linalg.det(draws).mean() == pytest.approx(0, abs=5 / np.sqrt(4000))  # as many with a reflection
        assert np.trace(draws, axis1=1, axis2=2).var() == pytest.approx(1, abs=0.12)


def test_an_orthogonal_matrix_is_torch_s_for_the_same_normal_numbers(monkeypatch):
    torch = pytest.importorskip("torch")
    for shape in ((4, 4), (5, 3)):
        normal = np.random.default_rng(2).standard_normal(shape)
        monkeypatch.setattr(
            torch.Tensor, "normal_", lambda self, *args, n=normal, **options: self.copy_(torch.tensor(n))
        )
        theirs = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain=2)
        monkeypatch.undo()
        ours = init.orthogonal(shape, np.random.default_rng(2), gain=2)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-13)


def test_the_identity_keeps_a_state_and_scales_it():
    W = init.identity((4, 4), dtype=np.float32, scale=np.float64(0.5))
    assert W.dtype == np.float32
    assert np.array_equal(W @ np.arange(4), np.arange(4) / 2)
    assert np.array_equal(init.identity((3, 3)), np.eye(3))


@pytest.mark.parametrize("initialise", [init.xavier_uniform, init.xavier_normal, init.orthogonal, init.identity])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (0, 3), ()])
def test_what_is_no_matrix_is_explained(initialise, shape):
    with pytest.raises(ValueError, match=r"expected \(outputs, inputs\), each at least 1; a bias has no inputs"):
        initialise(shape, np.random.default_rng(0))


@every_random
def test_a_wrong_argument_is_explained(initialise, size):
    (name,) = size
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"{name} is {wrong}: expected a finite number, 0 or more"):
            initialise((3, 3), np.random.default_rng(0), **{name: wrong})
    with pytest.raises(TypeError, match="rng is 7: expected a Generator"):
        initialise((3, 3), 7, **size)
    with pytest.raises(TypeError, match="dtype is int64"):
        initialise((3, 3), np.random.default_rng(0), int, **size)


def test_a_wrong_identity_is_explained():
    with pytest.raises(ValueError, match="stacked gates are initialised one by one"):
        init.identity((8, 4))
    with pytest.raises(ValueError, match="scale is nan"):
        init.identity((4, 4), scale=np.nan)
    with pytest.raises(TypeError, match="dtype is int64"):
        init.identity((4, 4), dtype=int)
