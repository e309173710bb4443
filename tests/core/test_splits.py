"""Splits: every item on one side, the future after the past, and leakage found where there is some."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rnnlib.data.batching import series_windows
from rnnlib.data.splits import by_entity, by_time, leakage, rolling_origin

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)
SHARES = st.sampled_from([(0.8, 0.2), (0.5, 0.5), (0.6, 0.2, 0.2)])


def parts_of(split):
    """The parts, or nothing to claim where the data is too small for them."""
    try:
        return split()
    except ValueError as error:
        assume("none may be empty" not in str(error))
        raise


@SETTINGS
@given(st.lists(st.integers(0, 30), min_size=4, max_size=60), SHARES, st.integers(0, 4))
def test_each_part_is_later_than_the_parts_before_it(times, shares, gap):
    times = np.array(times)
    parts = parts_of(lambda: by_time(times, shares, gap=gap))
    for earlier, later in pairwise(parts):
        assert times[earlier].max() + gap < times[later].min()
    used = np.concatenate(parts)
    assert len(set(used.tolist())) == len(used)
    if gap == 0:
        assert len(used) == len(times)


def test_a_series_is_cut_at_its_shares_and_the_gap_is_left_out():
    train, test = by_time(np.arange(10))
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9])
    train, validation, test = by_time(np.arange(20), (0.5, 0.25, 0.25), gap=2)
    assert (len(train), validation.tolist(), test.tolist()) == (10, [12, 13, 14], [17, 18, 19])


def test_dates_in_any_order_are_split_by_date():
    dates = np.datetime64("2020-01-01") + np.array([9, 0, 5, 1, 8, 2, 7, 3, 6, 4])
    train, test = by_time(dates, (0.5, 0.5), gap=np.timedelta64(2, "D"))
    assert sorted(dates[train].astype("datetime64[D]").astype(str)) == [f"2020-01-0{d}" for d in range(1, 6)]
    assert [str(date) for date in dates[test]] == ["2020-01-08", "2020-01-09", "2020-01-10"]
    assert [str(date) for date in dates[by_time(dates)[1]]] == ["2020-01-09", "2020-01-10"]


@SETTINGS
@given(st.lists(st.integers(0, 12), min_size=4, max_size=60), SHARES, st.integers(0, 9))
def test_no_entity_is_on_two_sides_and_no_item_is_lost(entities, shares, seed):
    entities = np.array(entities)
    parts = parts_of(lambda: by_entity(entities, shares, rng=np.random.default_rng(seed)))
    sides = [set(entities[part].tolist()) for part in parts]
    assert sum(len(side) for side in sides) == len(set(entities.tolist()))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(entities)))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_a_split_by_entity_is_repeatable_and_random():
    patients = np.array([f"p{i % 20:02}" for i in range(100)])
    splits = [by_entity(patients, rng=np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert np.array_equal(splits[0][1], splits[1][1])
    assert not np.array_equal(splits[0][1], splits[2][1])
    assert len(set(patients[splits[0][1]])) == 4
    shuffled = np.random.default_rng(0).permutation(100)
    again = by_entity(patients[shuffled], rng=np.random.default_rng(3))
    assert set(patients[shuffled][again[1]]) == set(patients[splits[0][1]])  # the order of the items does not matter


@pytest.mark.parametrize("shares", [(0.8, 0.1), (1.0,), (1.2, -0.2), (1.0, 0.0)])
def test_shares_that_do_not_divide_the_whole_are_explained(shares):
    for split in (
        lambda: by_time(np.arange(9), shares),
        lambda: by_entity(range(9), shares, rng=np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match="add up to 1"):
            split()


@pytest.mark.parametrize(
    ("split", "says"),
    [
        (lambda: by_time([1, 1, 1]), r"the parts hold \[3, 0\] items"),
        (lambda: by_time(range(10), gap=5), r"the parts hold \[8, 0\] items"),
        (lambda: by_time(np.zeros((3, 2))), r"expected \(N,\)"),
        (lambda: by_time([]), r"expected \(N,\)"),
        (lambda: by_time([1.0, np.nan]), "NaN or NaT"),
        (lambda: by_time(np.array(["2020", "NaT"], "datetime64[D]")), "NaN or NaT"),
        (lambda: by_entity(["a"] * 5, rng=np.random.default_rng(0)), "none may be empty"),
        (lambda: by_entity([[1]], rng=np.random.default_rng(0)), r"expected \(N,\)"),
    ],
)
def test_a_split_that_cannot_be_is_explained(split, says):
    with pytest.raises(ValueError, match=says):
        split()


def test_the_origin_rolls_over_an_expanding_window():
    folds = rolling_origin(12, first=5, horizon=2)
    assert [(fold.train.tolist(), fold.test.tolist()) for fold in folds] == [
        ([*range(5)], [5, 6]),
        ([*range(7)], [7, 8]),
        ([*range(9)], [9, 10]),
    ]


def test_the_origin_rolls_over_a_sliding_window_with_a_gap():
    folds = rolling_origin(12, first=5, horizon=2, step=1, window=3, gap=2)
    assert [(fold.train.tolist(), fold.test.tolist()) for fold in folds] == [
        ([2, 3, 4], [7, 8]),
        ([3, 4, 5], [8, 9]),
        ([4, 5, 6], [9, 10]),
        ([5, 6, 7], [10, 11]),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"first": 0, "horizon": 1}, "each must be at least 1"),
        ({"first": 1, "horizon": 0}, "each must be at least 1"),
        ({"first": 1, "horizon": 1, "step": 0}, "each must be at least 1"),
        ({"first": 1, "horizon": 1, "gap": -1}, "gap at least 0"),
        ({"first": 3, "horizon": 1, "window": 0}, "each must be at least 1"),
        ({"first": 3, "horizon": 1, "window": 4}, "must know a whole window"),
        ({"first": 8, "horizon": 2, "gap": 1}, r"first \+ gap \+ horizon = 11 steps"),
    ],
)
def test_folds_that_cannot_be_are_explained(arguments, says):
    with pytest.raises(ValueError, match=says):
        rolling_origin(10, **arguments)


def test_an_honest_split_has_no_leakage():
    patients = np.arange(40) // 4
    found = leakage(*by_entity(patients, rng=np.random.default_rng(0)), entities=patients)
    assert not found.found
    assert str(found) == "Nothing stands on both sides."


def test_a_random_split_of_a_patient_s_items_names_the_patients():
    patients = np.array(["ann", "bob", "cyd", "cyd", "bob"])
    found = leakage([0, 1, 2], [3, 4], entities=patients)
    assert found.found
    assert found.entities.tolist() == ["bob", "cyd"]
    assert str(found) == "2 entities are in both: bob, cyd."
    assert leakage([0, 1], [1, 2]).items.tolist() == [1]
    assert str(leakage([0, 1], [1, 2])) == "1 items are in both: 1."


def test_windows_that_reach_over_the_boundary_are_found_and_a_gap_removes_them():
    _, _, spans = series_windows(np.arange(100.0), 8, horizon=2)
    starts = spans[:, 0]
    found = leakage(*by_time(starts), spans=spans)
    assert found.times.tolist() == [[73, 82]]  # windows 0 to 72 train, 73 to 90 test; a window covers ten steps
    assert not found.items.size
    assert "1 stretches of time are in both: 73 up to 82." in str(found)
    assert not leakage(*by_time(starts, gap=9), spans=spans).found
    assert leakage(*by_time(starts, gap=8), spans=spans).times.tolist() == [[81, 82]]


@SETTINGS
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6), st.integers(0, 2)), min_size=2, max_size=20),
    st.integers(1, 19),
    st.booleans(),
)
def test_the_stretches_found_are_exactly_the_steps_that_both_sides_touch(items, cut, with_entities):
    cut = min(cut, len(items) - 1)
    spans = np.array([(start, start + n) for start, n, _ in items])
    owners = np.array([owner for _, _, owner in items])
    steps = [{(t, owners[i] if with_entities else 0) for t in range(*spans[i])} for i in range(len(items))]
    both = {t for t, _ in set().union(*steps[:cut]) & set().union(*steps[cut:])}
    indices = np.arange(len(items))
    found = leakage(indices[:cut], indices[cut:], spans=spans, entities=owners if with_entities else None).times
    assert {t for start, stop in found for t in range(start, stop)} == both
    assert all(start < stop for start, stop in found)
    assert all(a[1] < b[0] for a, b in pairwise(found))


def test_stretches_of_dates_are_found_too():
    days = np.array([["2020-01-01", "2020-01-05"], ["2020-01-04", "2020-01-09"]], "datetime64[D]")
    assert str(leakage([0], [1], spans=days)) == "1 stretches of time are in both: 2020-01-04 up to 2020-01-05."


def test_a_long_finding_is_cut_short_in_words_only():
    found = leakage(range(9), range(9))
    assert len(found.items) == 9
    assert str(found) == "9 items are in both: 0, 1, 2, 3, 4 and 4 more."


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: leakage([True, False], [1]), TypeError, r"np\.flatnonzero\(mask\)"),
        (lambda: leakage([[0]], [1]), ValueError, r"expected \(n,\)"),
        (lambda: leakage([0], [5], entities=["a", "b"]), ValueError, "not of one side"),
        (lambda: leakage([-1], [0], entities=["a", "b"]), ValueError, "not of one side"),
        (lambda: leakage([0], [1], spans=[1, 2]), ValueError, "not of one side"),
        (lambda: leakage([0], [1], spans=[[1, 2, 3], [1, 2, 3]]), ValueError, r"expected \(N, 2\)"),
        (lambda: leakage([0], [1], spans=[[3, 2], [1, 2]]), ValueError, r"expected \(N, 2\)"),
    ],
)
def test_a_check_that_cannot_be_made_is_explained(call, error, says):
    with pytest.raises(error, match=says):
        call()
