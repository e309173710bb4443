"""What every cell does with a batch of sequences before and after its own mathematics: check it, pack it, unpack it.

Packing drops the padding and lays the real steps out row by row: all first steps, then all second steps, and so on,
with the longest sequence first, so that the sequences still running at a step are always the first rows.

    lengths (3, 1, 2)      order: 0 2 1      rows: a1 c1 b1 | a2 c2 | a3      sizes: 3 2 1

What is never read cannot leak, whatever stands in the padding, and what is never written keeps a gradient of zero.
No cell's mathematics comes in here.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

BLOCK_ROWS = 512  # rows of one GEMM: enough to be efficient, few enough to stay in cache (256 to 1024 measure alike)
REAL = np.dtype(np.float32), np.dtype(np.float64)


class Packing(NamedTuple):
    """Where each real step of a padded batch lies among the packed rows.

    States are kept in an array of N + rows rows: the N initial states, longest sequence first, then one row a step.
    """

    T: int
    N: int
    sizes: list[int]  # sequences still running at each step
    starts: list[int]  # the row at which each step begins, and at the end the number of rows
    order: slice | np.ndarray  # the sequences, longest first
    where: slice | tuple[np.ndarray, np.ndarray]  # the (step, sequence) each row came from
    previous: np.ndarray | None  # for each row, the row of the state before it; None: the same row (no padding)
    last: slice | np.ndarray  # for each sequence, the row of its last state

    def pack(self, padded: np.ndarray) -> np.ndarray:
        """(T, N, D) -> (rows, D), contiguous for the GEMMs to come; a view where nothing has to move."""
        return np.ascontiguousarray(padded[self.where].reshape(self.starts[-1], padded.shape[2]))

    def unpack(self, rows: np.ndarray) -> np.ndarray:
        """(rows, D) -> (T, N, D), exactly zero on padding; a view where nothing has to move."""
        if isinstance(self.where, slice):
            return rows.reshape(self.T, self.N, rows.shape[1])[self.where]
        padded = np.zeros((self.T, self.N, rows.shape[1]), rows.dtype)
        padded[self.where] = rows
        return padded

    def restore(self, states: np.ndarray) -> np.ndarray:
        """(N, H), longest sequence first -> (N, H), in the caller's order, always a copy."""
        restored = np.empty_like(states)
        restored[self.order] = states
        return restored

    def before(self, rows: slice) -> slice | np.ndarray:
        """Which rows of the states hold the state before each of these rows."""
        return rows if self.previous is None else self.previous[rows]

    def steps_before(self, states: np.ndarray, rows: slice, sizes: list[int]) -> np.ndarray | list[np.ndarray]:
        """For each step of a block, the states before it of the sequences that run at it."""
        if self.previous is None:
            return by_step(states[rows], sizes)
        first = self.previous[list(accumulate(sizes[:-1], initial=rows.start))]
        return [states[row : row + n] for row, n in zip(first.tolist(), sizes, strict=True)]

    def blocks(self) -> list[tuple[slice, list[int]]]:
        """Runs of steps, each of at most about BLOCK_ROWS rows: (which rows, the sizes of the steps)."""
        k = self.steps_per_block
        cuts = range(0, len(self.sizes), k)
        return [(slice(self.starts[t], self.starts[min(t + k, len(self.sizes))]), self.sizes[t : t + k]) for t in cuts]

    @property
    def steps_per_block(self) -> int:
        return max(1, min(len(self.sizes), BLOCK_ROWS // self.N))

    @property
    def rows_per_block(self) -> int:
        """The most rows a block can have: the size of its temporaries."""
        return self.steps_per_block * self.N


def plan(T: int, N: int, lengths: np.ndarray | None, reverse: bool) -> Packing:
    """Lay out a batch; `reverse` reads every sequence from its last valid step back to its first."""
    if lengths is None or (lengths == T).all():
        every = slice(None, None, -1 if reverse else 1)
        return Packing(T, N, [N] * T, list(range(0, T * N + 1, N)), slice(None), every, None, slice(T * N, None))
    order = np.argsort(-lengths, kind="stable")
    lengths = lengths[order]
    running = np.arange(T)[:, None] < lengths
    step, rank = np.nonzero(running)  # row by row, step by step: the packed order
    sizes = running[: lengths[0]].sum(axis=1).tolist()
    starts = [0, *accumulate(sizes)]
    states_after = np.array([0, *(N + start for start in starts)])  # the row at which the states after k steps begin
    where = (lengths[rank] - 1 - step if reverse else step, order[rank])
    return Packing(T, N, sizes, starts, order, where, states_after[step] + rank, states_after[lengths] + np.arange(N))


def by_step(rows: np.ndarray, sizes: list[int]) -> np.ndarray | list[np.ndarray]:
    """One view for each step of a contiguous block of rows."""
    if alike(sizes):  # walking a 3-D view costs a third of slicing
        return rows.reshape(len(sizes), sizes[0], rows.shape[1])
    return [rows[end - n : end] for n, end in zip(sizes, accumulate(sizes), strict=True)]


def alike(sizes: list[int]) -> bool:
    """Whether the same sequences run at every step of a block; then its rows can be walked as one array of steps."""
    return sizes[0] == sizes[-1]


def gates_apart(buffer: np.ndarray, gates: int, rows: slice, sizes: list[int]) -> np.ndarray:
    """A block's share of a flat buffer, as (gates, rows, H); as (gates, steps, N, H) where its steps are alike.

    In memory the gates of one step then lie side by side, which the loop over steps feels; what is done for all steps
    at once does not. The buffer is (gates * rows, H).
    """
    part, H = buffer[gates * rows.start : gates * rows.stop], buffer.shape[1]
    if alike(sizes):
        return part.reshape(len(sizes), gates, sizes[0], H).swapaxes(0, 1)
    return part.reshape(gates, -1, H)


def gates_abreast(rows: np.ndarray, gates: int, sizes: list[int]) -> np.ndarray:
    """The same view of a block (rows, gates * H), as a GEMM leaves it or takes it."""
    if alike(sizes):
        return rows.reshape(len(sizes), sizes[0], gates, -1).transpose(2, 0, 1, 3)
    return rows.reshape(len(rows), gates, -1).swapaxes(0, 1)


def gates_by_step(block: np.ndarray, sizes: list[int]) -> np.ndarray | list[np.ndarray]:
    """One view for each step of some gates (gates, ..., H) of a block, or of one (..., H)."""
    if alike(sizes):
        return block if block.ndim == 3 else block.swapaxes(0, 1)
    return [block[..., end - n : end, :] for n, end in zip(sizes, accumulate(sizes), strict=True)]


def first_rows(a: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """For each step, a view of the first rows of `a` (..., N, H): those of the sequences that run at it."""
    if alike(sizes):
        return [a[..., : sizes[0], :]] * len(sizes)
    return [a[..., :n, :] for n in sizes]


def gates_product(
    W: np.ndarray, gates: int, N: int
) -> tuple[Callable[..., object], np.ndarray, np.ndarray, np.ndarray]:
    """How to multiply states (n, H) by W (gates * H, H) so that each gate comes out in one piece.

    Returns:
        product, weights, out, q: after product(h, weights, out), q (gates, N, H), the same memory as out, holds the
        gates. Each comes from a GEMM of its own. With a single sequence, where (gates, 1, H) and (1, gates * H) are
        the same memory, one GEMV does it in half the time.
    """
    H = W.shape[1]
    q = np.empty((gates, N, H), W.dtype)
    if N == 1:
        return np.dot, np.ascontiguousarray(W.T), q.reshape(1, gates * H), q
    return np.matmul, np.ascontiguousarray(W.reshape(gates, H, H).swapaxes(1, 2)), q, q


def check_lengths(lengths: ArrayLike, T: int, N: int) -> np.ndarray:
    """Lengths as an (N,) array of whole numbers from 0 to T.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: they have another shape, or a sequence is shorter than 0 or longer than T.
    """
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise TypeError(
            f"lengths has dtype {lengths.dtype}: expected whole numbers, how many steps each sequence has; "
            "from a mask of shape (T, N), take mask.sum(axis=0)"
        )
    if lengths.shape != (N,):
        raise ValueError(
            f"lengths has shape {lengths.shape}: expected {(N,)}, one for each sequence; is the batch time-major?"
        )
    lengths = lengths.astype(np.int64)
    if lengths.min() < 0 or lengths.max() > T:
        raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}: each must lie in 0 to T = {T}")
    return lengths


def check_shapes(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Compare arrays with the shapes they must have; the text beside a shape says what usually makes them differ.

    Raises:
        ValueError: a shape differs.
    """
    for name, (shape, cause) in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}: expected {shape}; {cause}")


def common_dtype(arrays: Mapping[str, np.ndarray]) -> np.dtype:
    """The one floating type of all arrays; complex beside real of the same precision is complex.

    Raises:
        TypeError: an array is not a NumPy array, not floating, or of another precision than the first.
    """
    dtypes = {getattr(array, "dtype", None) for array in arrays.values()}
    for dtype in REAL:
        if dtypes == {dtype}:  # the usual case, and this runs at every call
            return dtype
    precisions = set()
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name} is a {type(array).__name__}: expected a NumPy array; use np.asarray({name})")
        if array.dtype.kind not in "fc":
            raise TypeError(
                f"{name} has dtype {array.dtype}: expected floating point; convert with {name}.astype(np.float64), "
                "and turn token ids into vectors before a cell sees them"
            )
        precisions.add(array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1))
    if len(precisions) > 1:
        found = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(
            f"arrays of several precisions came together: {found}; a cell computes in one precision, and NumPy makes "
            "float64 unless told: convert with .astype(np.float32) or .astype(np.float64)"
        )
    return np.result_type(*(array.dtype for array in arrays.values()))


def admit(
    x: np.ndarray,
    states: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    gates: int = 1,
) -> list[np.ndarray]:
    """Check what came to a cell's door and return it in one dtype, in the order given: x, the states, the weights.

    Args:
        x: (T, N, D).
        states: the initial states by name, each (N, H).
        weights: W_ih (gates*H, D), W_hh (gates*H, H), b_ih and b_hh (gates*H,).
        gates: how many blocks of H rows the weights stack: 1 in an RNN, 3 in a GRU, 4 in an LSTM.

    Raises:
        TypeError: see `common_dtype`.
        ValueError: a shape does not fit; the message says which, and the usual cause.
    """
    arrays = {"x": x, **states, **weights}
    dtype = common_dtype(arrays)
    if x.ndim != 3:
        raise ValueError(f"x has shape {x.shape}: expected (T, N, D); a single sequence (T, D) becomes x[:, None, :]")
    if 0 in x.shape:
        raise ValueError(f"x has shape {x.shape}: expected at least one step, one sequence and one input")
    _, N, D = x.shape
    H = weights["W_hh"].shape[-1]
    for name, state in states.items():
        if state.shape == (x.shape[0], H) != (N, H):
            raise ValueError(
                f"x has shape {x.shape} and {name} {state.shape}: rnnlib is time-major, (T, N, D); "
                "transpose with x.swapaxes(0, 1)"
            )
    rows = gates * H
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "W_ih": ((rows, D), "the layout is torch's, one row for each gate's H units, one column for each input"),
        "W_hh": ((rows, H), "the layout is torch's, one row for each gate's H units, one column for each of H"),
        "b_ih": ((rows,), "a bias is flat, one number for each row of its matrix"),
        "b_hh": ((rows,), "a bias is flat, one number for each row of its matrix"),
    }
    for name in states:
        shapes[name] = (N, H), "N is the number of sequences in x, H the number of columns of W_hh"
    check_shapes(arrays, shapes)
    return [array.astype(dtype, copy=False) for array in arrays.values()]


def admit_gradients(
    packing: Packing, states: np.ndarray, dhs: np.ndarray | None, last: Mapping[str, np.ndarray | None]
) -> list[np.ndarray]:
    """Check the gradients that came to `backward`, put zeros in place of None, and return dhs and the last ones.

    Raises:
        TypeError: the dtype is not that of the states.
        ValueError: the shape is not that of the states.
    """
    state = packing.N, states.shape[1]
    shapes = {"dhs": (packing.T, *state)} | dict.fromkeys(last, state)
    given = {name: array for name, array in {"dhs": dhs, **last}.items() if array is not None}
    common_dtype({"the states": states, **given})
    check_shapes(given, {name: (shapes[name], "the shape of what `forward` returned") for name in given})
    return [given[name] if name in given else np.zeros(shape, states.dtype) for name, shape in shapes.items()]
