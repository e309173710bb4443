"""Training data here, test data there, and nothing that stands on both sides.

A split is honest when the test set is to the training set what tomorrow, or the next patient, will be: later in time,
or another entity. Each function returns positions, (n,) int64, to index any array with. Models do not come in here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Fold(NamedTuple):
    """One origin: the positions known there, and those to forecast from it."""

    train: np.ndarray
    test: np.ndarray


class Leakage(NamedTuple):
    """What stands on both sides of a split; empty arrays where nothing was found.

    Attributes:
        items: positions that are in both.
        entities: entities that have items in both.
        times: (k, 2), stretches of time that items of both touch: the first step and one past the last.
    """

    items: np.ndarray
    entities: np.ndarray
    times: np.ndarray

    @property
    def found(self) -> bool:
        """Whether anything stands on both sides."""
        return any(len(part) > 0 for part in self)

    def __str__(self) -> str:
        """The finding in a sentence or three."""
        says = []
        if len(self.items):
            says.append(f"{len(self.items)} items are in both: {some(self.items)}.")
        if len(self.entities):
            says.append(f"{len(self.entities)} entities are in both: {some(self.entities)}.")
        if len(self.times):
            stretches = [f"{first} up to {stop}" for first, stop in self.times]
            says.append(f"{len(stretches)} stretches of time are in both: {some(stretches)}.")
        return " ".join(says) or "Nothing stands on both sides."


def by_time(times: ArrayLike, shares: Sequence[float] = (0.8, 0.2), *, gap: ArrayLike = 0) -> tuple[np.ndarray, ...]:
    """Split into parts that follow one another in time: each part is later than all parts before it.

    Args:
        times: (N,), when each item was observed: numbers or datetime64, in any order. Items of one moment stay
            together. For a series in time order, `np.arange(T)`.
        shares: of each part, earliest first, adding up to 1: training and test, or training, validation and test.
        gap: items less than this after a part's end, or exactly so, are left out of the next, for a target that looks
            ahead or a series that forgets slowly; in the unit of times (np.timedelta64 for datetime64).

    Returns:
        One array of positions for each part, in time order.

    Raises:
        ValueError: times or shares have a wrong form, or a part is left without items.
    """
    times = np.asarray(times)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times has shape {times.shape}: expected (N,), one moment for each of N items")
    if np.any(times != times):
        raise ValueError("times holds NaN or NaT: an item without a time has no place in a split by time")
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    cuts = [int(np.searchsorted(ordered, ordered[k - 1], side="right")) if k else 0 for k in ends(shares, len(times))]
    parts, start = [], 0
    for stop in cuts:
        parts.append(order[start:stop])
        last = ordered[stop - 1]
        start = max(stop, int(np.searchsorted(ordered, last + gap, side="right")))
    check_parts(parts, "times", len(times))
    return tuple(parts)


def by_entity(
    entities: ArrayLike, shares: Sequence[float] = (0.8, 0.2), *, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Split so that all items of an entity (a patient, a speaker, a surname) are in one part.

    Args:
        entities: (N,), the entity of each item.
        shares: of the entities, for each part, adding up to 1; shares of items differ where entities have
            different numbers of them.
        rng: chooses the entities. The same entities and the same state of rng give the same split.

    Returns:
        One array of positions for each part, ascending.

    Raises:
        ValueError: entities or shares have a wrong form, or a part is left without entities.
    """
    entities = np.asarray(entities)
    if entities.ndim != 1:
        raise ValueError(f"entities has shape {entities.shape}: expected (N,), one entity for each item")
    names, entity = np.unique(entities, return_inverse=True)
    cuts = ends(shares, len(names))
    place = rng.permutation(len(names))[entity]  # of each item's entity in a random order
    parts = [np.flatnonzero((start <= place) & (place < stop)) for start, stop in zip([0, *cuts], cuts, strict=False)]
    check_parts(parts, "entities", len(names))
    return tuple(parts)


def rolling_origin(
    T: int, *, first: int, horizon: int, step: int | None = None, window: int | None = None, gap: int = 0
) -> list[Fold]:
    """Forecast, learn what came, forecast again: the cross-validation of a time series.

    Args:
        T: steps of the series.
        first: steps known at the first origin.
        horizon: steps to forecast from each origin.
        step: from one origin to the next; None: `horizon`, so that each step is forecast at most once.
        window: train on the last `window` steps only (sliding); None: on all that is known (expanding).
        gap: steps left out between what is known and what is forecast.

    Returns:
        A Fold for each origin whose whole horizon lies in the series; later steps than the last fold's are not tested.

    Raises:
        ValueError: a number is out of range, or the series is too short for one fold.

    Reference:
        Tashman (2000), Out-of-sample tests of forecasting accuracy: an analysis and review.
    """
    step = horizon if step is None else step
    if min(first, horizon, step) < 1 or gap < 0 or (window is not None and window < 1):
        raise ValueError(
            f"first, horizon, step, window and gap are {first}, {horizon}, {step}, {window} and {gap}: "
            "each must be at least 1, gap at least 0"
        )
    if window is not None and window > first:
        raise ValueError(f"window is {window} and first is {first}: the first origin must know a whole window")
    if first + gap + horizon > T:
        raise ValueError(f"T is {T}: the first fold needs first + gap + horizon = {first + gap + horizon} steps")
    return [
        Fold(
            np.arange(0 if window is None else origin - window, origin),
            np.arange(origin + gap, origin + gap + horizon),
        )
        for origin in range(first, T - gap - horizon + 1, step)
    ]


def leakage(
    train: ArrayLike, test: ArrayLike, *, entities: ArrayLike | None = None, spans: ArrayLike | None = None
) -> Leakage:
    """Look for items, entities and stretches of time that stand on both sides of a split.

    Args:
        train, test: positions of the items of each side.
        entities: (N,), the entity of each item of the data; None: not looked at.
        spans: (N, 2), the first step each item touches and one past the last, inputs and targets, such as
            `rnnlib.data.batching.series_windows` returns; None: not looked at. Where entities are given too, each has a
            time of its own, and only stretches of one entity are compared.

    Returns:
        Leakage; `.found` is what a test asserts, `str()` what a person reads.

    Raises:
        TypeError: train or test are not positions.
        ValueError: a shape is wrong, a position lies outside the data, or a span ends before it starts.
    """
    train, test = positions("train", train), positions("test", test)
    items = np.intersect1d(train, test)
    found_entities, found_times = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    names = None
    if entities is not None:
        names = np.asarray(entities)
        check_items("entities", names, 1, train, test)
        found_entities = np.intersect1d(names[train], names[test])
    if spans is not None:
        extents = np.asarray(spans)
        check_items("spans", extents, 2, train, test)
        if extents.shape[1] != 2 or np.any(extents[:, 0] > extents[:, 1]):
            raise ValueError(f"spans has shape {extents.shape}: expected (N, 2), a start and a later stop for each")
        pairs = (
            [(train, test)]
            if names is None
            else [(train[names[train] == name], test[names[test] == name]) for name in found_entities]
        )
        stretches = [covered_by_all(extents[a], extents[b]) for a, b in pairs]
        found_times = covered_by_all(np.concatenate([np.empty((0, 2), extents.dtype), *stretches]))
    return Leakage(items, found_entities, found_times)


def covered_by_all(*sides: np.ndarray) -> np.ndarray:
    """The time that every side covers with some span, (n, 2) each, as stretches (k, 2) in order that do not touch."""
    edges = np.unique(np.concatenate(sides))  # between two neighbours, each span covers everything or nothing
    everywhere = np.ones(len(edges), bool)
    for spans in sides:
        begun, ended = (np.searchsorted(np.sort(spans[:, i]), edges, side="right") for i in (0, 1))
        everywhere &= begun > ended
    changes = np.flatnonzero(np.diff(everywhere, prepend=False))  # at the last edge everything has ended
    return edges[changes].reshape(-1, 2)


def ends(shares: Sequence[float], n: int) -> list[int]:
    """Where each part ends when n things are divided by shares.

    Raises:
        ValueError: the shares are not positive or do not add up to 1.
    """
    if len(shares) < 2 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares are {tuple(shares)}: expected two or more above 0 that add up to 1")
    return [round(float(share) * n) for share in np.cumsum(shares)]


def check_parts(parts: Sequence[np.ndarray], what: str, n: int) -> None:
    """See that no part is empty.

    Raises:
        ValueError: one is.
    """
    sizes = [len(part) for part in parts]
    if 0 in sizes:
        raise ValueError(
            f"the parts hold {sizes} items of {n} {what}: none may be empty; give more data, a smaller gap or other "
            "shares"
        )


def positions(side: str, values: ArrayLike) -> np.ndarray:
    """Positions as an (n,) int64 array.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: they are not a flat list.
    """
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{side} has dtype {array.dtype}: expected positions; from a mask, take np.flatnonzero(mask)")
    if array.ndim != 1:
        raise ValueError(f"{side} has shape {array.shape}: expected (n,), positions of items")
    return array.astype(np.int64)


def check_items(name: str, values: np.ndarray, ndim: int, train: np.ndarray, test: np.ndarray) -> None:
    """See that there is a value for every item of both sides.

    Raises:
        ValueError: there is not.
    """
    used = np.concatenate([train, test])
    if values.ndim != ndim or (used.size and not 0 <= used.min() <= used.max() < len(values)):
        raise ValueError(
            f"{name} has shape {values.shape} and the positions run from {used.min(initial=0)} to "
            f"{used.max(initial=0)}: expected one row for each item of the whole data, not of one side"
        )


def some(values: Sequence[object] | np.ndarray, most: int = 5) -> str:
    """The first few of a list, and how many more there are."""
    listed = ", ".join(str(value) for value in values[:most])
    return listed if len(values) <= most else f"{listed} and {len(values) - most} more"
