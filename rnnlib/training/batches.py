"""What training reads: the batches of an epoch, in an order that a Generator draws, and whether they carry a state."""

import zlib
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths
from rnnlib.data.batching import bucket, stream_windows


class Batch(NamedTuple):
    """One batch.

    Attributes:
        arguments: what the model's `forward` takes.
        tokens: how many steps hold data.
        positions: how many steps there are with padding.
    """

    arguments: tuple[Any, ...]
    tokens: int
    positions: int


class Data:
    """What a training loop asks of its data.

    Attributes:
        carries_state: whether the state after a batch is the state before the next.
    """

    carries_state: ClassVar[bool] = False

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch; the same state of rng gives the same batches."""
        raise NotImplementedError

    def __len__(self) -> int:
        """How many batches an epoch has."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What tells this data from other data, in plain values: a checkpoint goes on with the same only."""
        return {"data": type(self).__name__}


class Stream(Data):
    """One long stream, read in windows with the state carried from each to the next: truncated BPTT.

    Args:
        stream: (L,) ids, or (L, D) numbers.
        N: rows read side by side.
        T: steps of a window: how far back a gradient can reach.

    Attributes:
        remainder: how many elements at the end are no target, because they do not fill N rows.

    Raises:
        ValueError: N or T is below 1, or the stream is too short.
    """

    carries_state = True

    def __init__(self, stream: ArrayLike, N: int, T: int) -> None:
        stream = np.asarray(stream)
        self.N, self.T, self.checksum = N, T, checksum(stream)
        self.inputs, self.targets, self.remainder = stream_windows(stream, N, T)

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        for inputs, targets in zip(self.inputs, self.targets, strict=True):
            positions = inputs.shape[0] * inputs.shape[1]
            yield Batch((inputs, targets), positions, positions)

    def __len__(self) -> int:
        return len(self.inputs)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"N": self.N, "T": self.T, "checksum": self.checksum}


class Sequences(Data):
    """Sequences with what is asked of each, in batches of similar length, each cut to its longest.

    Args:
        inputs: (T, N) ids, or (T, N, D) numbers.
        targets: (N,), one for each sequence; or (T, N, ...), one for each step; without lengths also (horizon, N, D).
        lengths: (N,); None: every sequence has T steps.
        batch_size: how many sequences in a batch; one may have fewer.
        pool: how many batches are sorted together by length; 1 is plain shuffling; see `rnnlib.data.batching.bucket`.

    Raises:
        TypeError: lengths are not whole numbers.
        ValueError: shapes, lengths or sizes do not fit.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: ArrayLike | None = None,
        *,
        batch_size: int,
        pool: int | None = None,
    ) -> None:
        T, N = inputs.shape[:2]
        self.per_sequence = targets.ndim == 1
        if targets.shape[0 if self.per_sequence else 1] != N:
            raise ValueError(
                f"targets has shape {targets.shape} and inputs {inputs.shape}: expected ({N},) or (T, {N}, ...); both "
                "are time-major"
            )
        if lengths is not None and not self.per_sequence and len(targets) != T:
            raise ValueError(f"targets has {len(targets)} steps and inputs {T}: with lengths each step has its target")
        self.inputs, self.targets = inputs, targets
        self.lengths = None if lengths is None else check_lengths(lengths, T, N)
        self.batch_size, self.pool = batch_size, pool
        self.checksum = checksum(inputs, targets, *([] if self.lengths is None else [self.lengths]))
        bucket(self.steps, batch_size, np.random.default_rng(0), pool=pool)  # what it refuses, it refuses now

    @property
    def steps(self) -> np.ndarray:
        """How many steps each sequence has, (N,)."""
        return np.full(self.inputs.shape[1], len(self.inputs)) if self.lengths is None else self.lengths

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        for chosen in bucket(self.steps, self.batch_size, rng, pool=self.pool).batches:
            targets = self.targets[chosen] if self.per_sequence else self.targets[:, chosen]
            if self.lengths is None:
                inputs = self.inputs[:, chosen]
                yield Batch((inputs, targets), inputs.shape[0] * len(chosen), inputs.shape[0] * len(chosen))
            else:
                inputs, lengths = cut(self.inputs, self.lengths, chosen)
                targets = targets if self.per_sequence else targets[: len(inputs)]
                yield Batch((inputs, targets, lengths), int(lengths.sum()), inputs.shape[0] * len(chosen))

    def __len__(self) -> int:
        return -(-self.inputs.shape[1] // self.batch_size)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"batch_size": self.batch_size, "pool": self.pool, "checksum": self.checksum}


class Pairs(Data):
    """Pairs of sequences, in batches of similar length, each side cut to its longest.

    Args:
        source: (T, N) ids, with source_lengths (N,).
        target: (T', N) ids, each ended by EOS, with target_lengths (N,).
        batch_size, pool: as in `Sequences`; sorted by the length of both together.

    Raises:
        TypeError: lengths are not whole numbers.
        ValueError: shapes, lengths or sizes do not fit.
    """

    def __init__(
        self,
        source: np.ndarray,
        source_lengths: ArrayLike,
        target: np.ndarray,
        target_lengths: ArrayLike,
        *,
        batch_size: int,
        pool: int | None = None,
    ) -> None:
        if source.shape[1] != target.shape[1]:
            raise ValueError(f"source has shape {source.shape} and target {target.shape}: expected as many sequences")
        self.source, self.source_lengths = source, check_lengths(source_lengths, *source.shape[:2])
        self.target, self.target_lengths = target, check_lengths(target_lengths, *target.shape[:2])
        self.batch_size, self.pool = batch_size, pool
        self.checksum = checksum(source, self.source_lengths, target, self.target_lengths)
        bucket(self.source_lengths + self.target_lengths, batch_size, np.random.default_rng(0), pool=pool)

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        steps = self.source_lengths + self.target_lengths
        for chosen in bucket(steps, self.batch_size, rng, pool=self.pool).batches:
            source, source_lengths = cut(self.source, self.source_lengths, chosen)
            target, target_lengths = cut(self.target, self.target_lengths, chosen)
            yield Batch(
                (source, target, source_lengths, target_lengths),
                int(steps[chosen].sum()),
                (len(source) + len(target)) * len(chosen),
            )

    def __len__(self) -> int:
        return -(-self.source.shape[1] // self.batch_size)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"batch_size": self.batch_size, "pool": self.pool, "checksum": self.checksum}


def cut(padded: np.ndarray, lengths: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some sequences of a padded batch, as long as the longest of them and at least one step, and their lengths."""
    own = lengths[chosen]
    return padded[: max(1, int(own.max())), chosen], own


def checksum(*arrays: np.ndarray) -> int:
    """A number that differs for different data; it guards against mistakes, not against malice."""
    value = 0
    for array in arrays:
        value = zlib.crc32(
            np.ascontiguousarray(array).data, zlib.crc32(str((array.dtype, array.shape)).encode(), value)
        )
    return value
