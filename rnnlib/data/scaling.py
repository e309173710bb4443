"""Columns brought to one scale, with numbers that come from the training data and from nowhere else.

A scaling is fitted once, on the training part, and then only applied: to training, validation, test and live data
alike. Fitted on everything, it would tell the model about the future. Missing values are not filled in here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths


@dataclass(frozen=True, eq=False)
class Scaling:
    """(x - shift) / scale, column by column. Made by `fit_standard` or `fit_min_max`.

    Attributes:
        shift, scale: (D,), or () for a series without columns; float64, read-only; no scale is zero.
    """

    shift: np.ndarray
    scale: np.ndarray

    def transform(self, x: np.ndarray, lengths: ArrayLike | None = None) -> np.ndarray:
        """Data to scaled data.

        Args:
            x: (..., D), the columns this was fitted on; (T,) for a series without columns.
            lengths: (N,), for x of shape (T, N, D); None: every position is data.

        Returns:
            Like x, of the same dtype; zero on padding.

        Raises:
            TypeError: x is not floating.
            ValueError: x has other columns, or holds NaN or infinity outside the padding.
        """
        valid = self._valid(x, lengths)
        scaled = np.zeros_like(x)
        # (x - shift) / scale
        scaled[valid] = (x[valid] - self.shift) / self.scale
        return scaled

    def inverse(self, x: np.ndarray, lengths: ArrayLike | None = None) -> np.ndarray:
        """Scaled data, such as a forecast, back to the units of the original; arguments, result and errors alike."""
        valid = self._valid(x, lengths)
        original = np.zeros_like(x)
        # x scale + shift
        original[valid] = x[valid] * self.scale + self.shift
        return original

    def _valid(self, x: np.ndarray, lengths: ArrayLike | None) -> np.ndarray:
        valid = data_positions(x, lengths)
        if x.shape[-1:] != self.shift.shape and (self.shift.ndim or x.ndim != 1):
            expected = f"(..., {self.shift.size})" if self.shift.ndim else "(T,)"
            raise ValueError(f"x has shape {x.shape}: expected {expected}, the columns this scaling was fitted on")
        return valid


def fit_standard(train: np.ndarray, lengths: ArrayLike | None = None) -> Scaling:
    """The scaling that gives each column of the training data mean 0 and standard deviation 1.

    Args:
        train: training data only: (T,), (T, D) or (T, N, D), floating. The last of several axes is columns: a batch
            (T, N) of single numbers becomes `x[:, :, None]`.
        lengths: (N,), for (T, N, D); what stands in the padding is never read.

    Returns:
        A Scaling; a constant column keeps scale 1 and becomes 0.

    Raises:
        TypeError: the data is not floating.
        ValueError: there is no data, or it holds NaN or infinity; the message says where.
    """
    rows = train[data_positions(train, lengths)].astype(np.float64)
    shift, scale = rows.mean(axis=0), rows.std(axis=0)
    return frozen(np.where(constant(rows), rows[0], shift), np.where(constant(rows), 1, scale))


def fit_min_max(train: np.ndarray, lengths: ArrayLike | None = None, *, low: float = 0.0, high: float = 1.0) -> Scaling:
    """The scaling that takes each column's smallest training value to `low` and its largest to `high`.

    Later data may lie outside: that is news, not an error.

    Args:
        train, lengths: as for `fit_standard`.
        low, high: the range of the scaled training data.

    Returns:
        A Scaling; a constant column keeps scale 1 and becomes `low`.

    Raises:
        TypeError: the data is not floating.
        ValueError: as `fit_standard`, or low is not below high.
    """
    if not low < high:
        raise ValueError(f"low is {low} and high is {high}: low must be below high")
    rows = train[data_positions(train, lengths)].astype(np.float64)
    smallest, largest = rows.min(axis=0), rows.max(axis=0)
    scale = np.where(constant(rows), 1, (largest - smallest) / (high - low))
    return frozen(smallest - low * scale, scale)


def constant(rows: np.ndarray) -> np.ndarray:
    """Which columns never change; a standard deviation is no test, it rounds to something above zero."""
    return rows.min(axis=0) == rows.max(axis=0)


def frozen(shift: np.ndarray, scale: np.ndarray) -> Scaling:
    """A scaling whose numbers cannot be changed."""
    shift, scale = np.array(shift), np.array(scale)
    for array in (shift, scale):
        array.flags.writeable = False
    return Scaling(shift, scale)


def data_positions(x: np.ndarray, lengths: ArrayLike | None) -> np.ndarray:
    """Which positions of x hold data: (...,) of bool, without the axis of columns.

    Raises:
        TypeError: x is not a floating array.
        ValueError: x has another number of axes, holds no data, or holds NaN or infinity where data should be.
    """
    kind = getattr(x, "dtype", type(x).__name__)
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        raise TypeError(f"the data is {kind}: expected a floating array; convert with np.asarray(x, np.float64)")
    if x.ndim not in (1, 2, 3) or (lengths is not None and x.ndim != 3):
        raise ValueError(
            f"the data has shape {x.shape}: expected (T,), (T, D) or (T, N, D), and (T, N, D) where lengths are given"
        )
    shape = x.shape[:-1] if x.ndim > 1 else x.shape
    valid = np.ones(shape, bool) if lengths is None else np.arange(shape[0])[:, None] < check_lengths(lengths, *shape)
    if not valid.any() or 0 in x.shape:
        raise ValueError(f"the data has shape {x.shape} and no valid position: there is nothing to scale")
    bad = ~np.isfinite(x) & (valid if x.ndim == 1 else valid[..., None])
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"the data holds {bad.sum()} values that are NaN or infinite, the first at index {first}: fill missing "
            "values from the past only, leave those steps out, or, if they are padding, give lengths"
        )
    return valid
