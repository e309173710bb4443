"""Sequences into batches: nothing is lost, nothing comes twice, and the padding is what it is said to be."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.cells.sequences import check_lengths
from rnnlib.data.batching import bucket, pad, padding_ratio, series_windows, stream_windows

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)
LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=40).filter(any)


@SETTINGS
@given(LENGTHS, st.sampled_from([(), (1,), (3,)]), st.sampled_from([np.int64, np.float32, np.float64]))
def test_padding_keeps_every_step_and_adds_nothing_else(lengths, columns, dtype):
    rng = np.random.default_rng(sum(lengths))
    sequences = [rng.integers(1, 9, (T, *columns)).astype(dtype) for T in lengths]
    padded, found = pad(sequences, value=-7)
    assert padded.dtype == dtype
    assert padded.shape == (max(lengths), len(lengths), *columns)
    assert check_lengths(found, *padded.shape[:2]).tolist() == lengths
    for n, sequence in enumerate(sequences):
        assert np.array_equal(padded[: lengths[n], n], sequence)
        assert (padded[lengths[n] :, n] == -7).all()


def test_padding_is_pad_unless_told_and_takes_lists():
    padded, lengths = pad([[1, 2, 3], [], [4]])
    assert padded.tolist() == [[1, 0, 4], [2, 0, 0], [3, 0, 0]]
    assert lengths.tolist() == [3, 0, 1]
    assert padded.dtype == lengths.dtype == np.int64


@pytest.mark.parametrize(
    ("sequences", "error", "says"),
    [
        ([], ValueError, "0 sequences came with no step"),
        ([[], []], ValueError, "2 sequences came with no step"),
        ([np.zeros((3, 2)), np.zeros((4, 3))], ValueError, r"\(T_n, D\) for all with one D"),
        ([np.zeros((3, 2)), np.zeros(4)], ValueError, r"\(T_n, D\) for all with one D"),
        ([3, 4], ValueError, r"expected \(T_n,\)"),
        ([np.zeros((2, 2, 2))], ValueError, r"expected \(T_n,\)"),
        ([[1, 2], [0.5]], TypeError, "convert all to one dtype"),
    ],
)
def test_sequences_that_make_no_batch_are_explained(sequences, error, says):
    with pytest.raises(error, match=says):
        pad(sequences)


def test_the_padding_ratio_counts_positions():
    assert padding_ratio([4, 4]) == 0
    assert padding_ratio([4, 1, 1]) == 0.5
    assert padding_ratio([4, 1, 1], T=8) == 0.75
    for lengths, T in (([5], 4), ([0, 0], None)):
        with pytest.raises(ValueError, match="lengths up to T"):
            padding_ratio(lengths, T)
    with pytest.raises(TypeError, match="lengths has dtype float64"):
        padding_ratio([1.5])
    with pytest.raises(ValueError, match="for at least one sequence"):
        padding_ratio([])
    with pytest.raises(ValueError, match="0 or more"):
        padding_ratio([3, -1])


@SETTINGS
@given(LENGTHS, st.integers(1, 9), st.sampled_from([None, 1, 2]))
def test_every_sequence_is_in_one_batch_and_the_stated_padding_is_what_padding_makes(lengths, batch_size, pool):
    batches, ratio = bucket(lengths, batch_size, np.random.default_rng(0), pool=pool)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    assert max(map(len, batches)) <= batch_size
    of_each = np.asarray(lengths)
    positions = sum(of_each[batch].max() * len(batch) for batch in batches)
    assert ratio == pytest.approx(1 - sum(lengths) / positions, abs=1e-15)
    if pool is None:  # sorted: what one batch ends with is no longer than what the next begins with
        extents = sorted((of_each[batch].min(), of_each[batch].max()) for batch in batches)
        assert all(a[1] <= b[0] for a, b in pairwise(extents))


def test_buckets_waste_less_than_shuffling_and_are_still_random():
    lengths = np.random.default_rng(0).integers(5, 100, 320)
    sorted_, pooled, shuffled = (
        bucket(lengths, 16, np.random.default_rng(1), pool=pool).padding_ratio for pool in (None, 5, 1)
    )
    assert sorted_ < 0.05 < pooled < 0.2 < 0.4 < shuffled
    epochs = [bucket(lengths, 16, np.random.default_rng(seed)).batches for seed in (1, 1, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(epochs[0], epochs[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(epochs[0], epochs[2], strict=True))
    longest = [lengths[batch].max() for batch in epochs[0]]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))  # batches come in random order
    met = [{frozenset(b.tolist()) for b in bucket([7] * 8, 4, np.random.default_rng(s)).batches} for s in range(4)]
    assert any(groups != met[0] for groups in met)  # equal lengths meet others each epoch


def test_impossible_buckets_are_explained():
    rng = np.random.default_rng(0)
    for batch_size, pool in ((0, None), (4, 0)):
        with pytest.raises(ValueError, match="each must be at least 1"):
            bucket([1, 2], batch_size, rng, pool=pool)
    with pytest.raises(ValueError, match="every length is 0"):
        bucket([0, 0], 2, rng)


@SETTINGS
@given(st.integers(2, 60), st.integers(1, 6), st.integers(1, 9), st.sampled_from([(), (2,)]))
def test_windows_of_a_stream_carry_on_and_lose_nothing_silently(L, N, T, columns):
    N = min(N, L - 1)
    stream = np.arange(L * (2 if columns else 1)).reshape(L, *columns)
    inputs, targets, remainder = stream_windows(stream, N, T)
    assert all(len(window) == T for window in inputs[:-1])
    assert 1 <= len(inputs[-1]) <= T
    assert [window.shape for window in inputs] == [window.shape for window in targets]
    xs, ys = np.concatenate(inputs), np.concatenate(targets)
    rows = [xs[:, n] for n in range(N)]
    assert np.array_equal(np.concatenate(rows), stream[: len(xs) * N])  # row after row, window after window
    assert np.array_equal(np.concatenate([ys[:, n] for n in range(N)]), stream[1 : len(xs) * N + 1])
    assert 0 <= remainder < N
    assert 1 + xs.shape[0] * N + remainder == L
    assert all(window.flags.c_contiguous and window.dtype == stream.dtype for window in inputs + targets)


@pytest.mark.parametrize(("L", "N", "T", "says"), [(4, 4, 1, "L > N = 4"), (9, 0, 1, "at least 1"), (9, 1, 0, "at")])
def test_a_stream_that_makes_no_window_is_explained(L, N, T, says):
    with pytest.raises(ValueError, match=says):
        stream_windows(np.arange(L), N, T)


@SETTINGS
@given(st.integers(2, 40), st.integers(1, 8), st.integers(1, 4), st.integers(1, 5))
def test_windows_of_a_series_touch_exactly_their_span(L, T, horizon, stride):
    L = max(L, T + horizon)
    series = np.random.default_rng(L).standard_normal((L, 2))
    inputs, targets, spans = series_windows(series, T, horizon=horizon, stride=stride)
    assert spans[:, 0].tolist() == list(range(0, L - T - horizon + 1, stride))
    for n, (start, stop) in enumerate(spans):
        assert np.array_equal(np.concatenate([inputs[:, n], targets[:, n]]), series[start:stop])
    assert (len(inputs), len(targets)) == (T, horizon)


def test_a_plain_series_has_one_column_and_a_short_one_is_explained():
    inputs, targets, _ = series_windows(np.arange(5.0), 3)
    assert inputs[:, :, 0].T.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert targets[:, :, 0].T.tolist() == [[3], [4]]
    with pytest.raises(ValueError, match=r"L >= T \+ horizon = 6"):
        series_windows(np.arange(5.0), 3, horizon=3)
    for wrong in ({"T": 0}, {"T": 1, "horizon": 0}, {"T": 1, "stride": 0}):
        with pytest.raises(ValueError, match="each must be at least 1"):
            series_windows(np.arange(5.0), **wrong)
