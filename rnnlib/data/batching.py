"""Sequences into batches: padded, of similar length, or cut from one long stream.

Batches are time-major with `lengths` beside them. Everything counts: no sequence and no step is dropped without being
named in what is returned. Scaling and splitting do not come in here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Buckets(NamedTuple):
    """One epoch of batches.

    Attributes:
        batches: for each batch, which sequences it holds; every sequence is in exactly one.
        padding_ratio: the share of positions that will be padding when each batch is padded to its longest sequence.
    """

    batches: list[np.ndarray]
    padding_ratio: float


class StreamWindows(NamedTuple):
    """One long stream as N rows that are read side by side, window by window.

    Attributes:
        inputs: windows of shape (T, N, ...), the last one perhaps shorter; window k + 1 goes on where window k ended,
            in the same row, so the state after window k is the state before window k + 1.
        targets: what comes one step later, shaped alike.
        remainder: how many elements at the end of the stream are no target, because they do not fill N rows.
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    remainder: int


class SeriesWindows(NamedTuple):
    """Every stretch of a series, as an example of its own.

    Attributes:
        inputs: (T, N, D).
        targets: (horizon, N, D), the steps that follow the inputs.
        spans: (N, 2), the first step an example touches and one past the last, targets included; for
            `rnnlib.data.splits.leakage`.
    """

    inputs: np.ndarray
    targets: np.ndarray
    spans: np.ndarray


def pad(sequences: Sequence[ArrayLike], value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Put sequences of several lengths side by side.

    Args:
        sequences: N of them, each (T_n,) ids or (T_n, D) numbers, of one dtype; a T_n may be 0.
        value: what stands in the padding; 0 is PAD in every vocabulary of this library.

    Returns:
        padded: (T, N) or (T, N, D), where T is the longest T_n.
        lengths: (N,), int64.

    Raises:
        TypeError: some sequences hold whole numbers and others do not.
        ValueError: there is no sequence or no step, or D differs.
    """
    arrays = [np.asarray(sequence) for sequence in sequences]
    filled = [array for array in arrays if array.size]
    if not filled:
        raise ValueError(f"{len(arrays)} sequences came with no step in any: expected at least one step to batch")
    shapes = {array.shape[1:] for array in filled}
    if len(shapes) > 1 or filled[0].ndim not in (1, 2) or any(array.ndim == 0 for array in arrays):
        raise ValueError(
            f"sequences have shapes such as {sorted({array.shape for array in arrays})[:3]}: "
            "expected (T_n,) for all or (T_n, D) for all with one D"
        )
    if len({array.dtype.kind in "iu" for array in filled}) > 1:
        raise TypeError("some sequences hold whole numbers and others do not: convert all to one dtype first")
    lengths = np.array([len(array) for array in arrays], np.int64)
    dtype = np.result_type(*(array.dtype for array in filled))
    padded = np.full((lengths.max(), len(arrays), *shapes.pop()), value, dtype)
    for n, array in enumerate(arrays):
        if array.size:
            padded[: len(array), n] = array
    return padded, lengths


def padding_ratio(lengths: ArrayLike, T: int | None = None) -> float:
    """The share of a batch's positions that hold no data.

    Args:
        lengths: (N,) whole numbers from 0 to T.
        T: how many steps the batch has; None: as many as its longest sequence.

    Returns:
        From 0, nothing wasted, to 1.

    Raises:
        TypeError: the lengths are not whole numbers.
        ValueError: there is none, they are negative, exceed T or are all zero with no T.
    """
    lengths = whole_lengths(lengths)
    steps = int(lengths.max()) if T is None else T
    if steps < 1 or lengths.max() > steps:
        raise ValueError(f"lengths reach {lengths.max()} and T is {steps}: expected lengths up to T, and T at least 1")
    return float(1 - lengths.sum() / (steps * len(lengths)))


def bucket(lengths: ArrayLike, batch_size: int, rng: np.random.Generator, *, pool: int | None = None) -> Buckets:
    """Form the batches of one epoch from sequences of similar length, in random order.

    The sequences are shuffled; each pool of `pool * batch_size` of them is sorted by length and cut into batches; the
    batches are shuffled. A small pool leaves more chance in who meets whom, and more padding.

    Args:
        lengths: (N,) whole numbers, 0 or more.
        batch_size: how many sequences in a batch; one batch may have fewer.
        rng: shuffles.
        pool: how many batches are sorted together; 1 is plain shuffling, None sorts all of them: the least padding.

    Returns:
        Buckets, for one epoch; call again for the next.

    Raises:
        TypeError: the lengths are not whole numbers.
        ValueError: there is no sequence, all are empty, or batch_size or pool is below 1.
    """
    lengths = whole_lengths(lengths)
    if batch_size < 1 or (pool is not None and pool < 1):
        raise ValueError(f"batch_size is {batch_size} and pool is {pool}: each must be at least 1")
    shuffled = rng.permutation(len(lengths))
    pool_size = len(lengths) if pool is None else pool * batch_size
    batches = []
    for start in range(0, len(lengths), pool_size):
        members = shuffled[start : start + pool_size]
        by_length = members[np.argsort(lengths[members], kind="stable")]
        batches += [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]
    batches = [batches[i] for i in rng.permutation(len(batches))]
    positions = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    if positions == 0:
        raise ValueError("every length is 0: there is no step to batch")
    return Buckets(batches, float(1 - lengths.sum() / positions))


def stream_windows(stream: np.ndarray, N: int, T: int) -> StreamWindows:
    """Cut one long stream for truncated BPTT with carried state.

    The stream is cut into N rows of equal length, row n + 1 following row n; window k holds steps kT to (k + 1)T of all
    rows. Each target is the element after its input, also where a window or a row ends.

    Args:
        stream: (L,) ids, or (L, D) numbers.
        N: rows read side by side.
        T: steps of a window: how far back a gradient can reach.

    Returns:
        StreamWindows. Of L elements the first is no target, `remainder` (fewer than N) at the end are none, and each
        other is a target once.

    Raises:
        ValueError: N or T is below 1, or the stream is too short for one step in each row.

    Reference:
        Williams and Peng (1990), An efficient gradient-based algorithm for on-line training of recurrent networks.
    """
    stream = np.asarray(stream)
    if N < 1 or T < 1:
        raise ValueError(f"N is {N} and T is {T}: each must be at least 1")
    if stream.ndim not in (1, 2) or len(stream) <= N:
        raise ValueError(
            f"stream has shape {stream.shape}: expected (L,) or (L, D) with L > N = {N}, at least one input and one "
            "target in each row; join several texts with np.concatenate"
        )
    R = (len(stream) - 1) // N
    rows = (N, R, *stream.shape[1:])
    inputs, targets = (part.reshape(rows).swapaxes(0, 1) for part in (stream[: N * R], stream[1 : N * R + 1]))
    cuts = range(0, R, T)
    return StreamWindows(
        [np.ascontiguousarray(inputs[t : t + T]) for t in cuts],
        [np.ascontiguousarray(targets[t : t + T]) for t in cuts],
        len(stream) - 1 - N * R,
    )


def series_windows(series: np.ndarray, T: int, *, horizon: int = 1, stride: int = 1) -> SeriesWindows:
    """Every stretch of T steps of a series with the `horizon` steps after it, each an example that starts afresh.

    Neighbours overlap when stride < T + horizon: split the series first, or `rnnlib.data.splits.leakage` will say
    which steps stand on both sides.

    Args:
        series: (L,) or (L, D) numbers.
        T: steps of an input.
        horizon: steps of a target.
        stride: steps from the start of one example to the next; a last, incomplete example is left out.

    Returns:
        SeriesWindows; a series (L,) has D = 1.

    Raises:
        ValueError: T, horizon or stride is below 1, or the series is too short for one example.
    """
    series = np.asarray(series)
    if min(T, horizon, stride) < 1:
        raise ValueError(f"T, horizon and stride are {T}, {horizon} and {stride}: each must be at least 1")
    if series.ndim not in (1, 2) or len(series) < T + horizon:
        raise ValueError(
            f"series has shape {series.shape}: expected (L,) or (L, D) with L >= T + horizon = {T + horizon}"
        )
    columns = series.reshape(len(series), -1)
    starts = np.arange(0, len(series) - T - horizon + 1, stride)
    steps = np.arange(T + horizon)[:, None] + starts
    examples = columns[steps]
    return SeriesWindows(examples[:T], examples[T:], np.stack([starts, starts + T + horizon], axis=1))


def whole_lengths(lengths: ArrayLike) -> np.ndarray:
    """Lengths as an (N,) int64 array, N >= 1, none negative.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: they have another shape, or one is negative.
    """
    lengths = np.asarray(lengths)
    if lengths.size and lengths.dtype.kind not in "iu":
        raise TypeError(f"lengths has dtype {lengths.dtype}: expected whole numbers, how many steps each sequence has")
    if lengths.ndim != 1 or lengths.size == 0 or lengths.min() < 0:
        raise ValueError(f"lengths is {lengths}: expected (N,) whole numbers, 0 or more, for at least one sequence")
    return lengths.astype(np.int64)
