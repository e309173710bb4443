"""Sequences that were measured and have one label each. Source and licence stand in `rnnlib.data.datasets`."""

from importlib.resources import as_file, files
from typing import NamedTuple

import numpy as np

from rnnlib.data.batching import pad
from rnnlib.data.libraries import optional


class Labelled(NamedTuple):
    """Sequences with one label each.

    Attributes:
        x: (T, N, D), float64; zero on padding.
        lengths: (N,).
        labels: (N,), whole numbers from 0.
    """

    x: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray


def japanese_vowels() -> tuple[Labelled, Labelled]:
    """Who speaks? Nine men say two vowels, /a/ and /e/, in one go.

    640 utterances of 7 to 29 frames, each of 12 LPC cepstrum coefficients. A frame covers 25.6 ms, and a new one starts
    every 6.4 ms. The values are rounded to four decimals; the script beside the extract,
    `extracts/make_japanese_vowels.py`, made it from the six of the original.

    Returns:
        train: 270 utterances, 30 of each speaker.
        test: 370 utterances of the same speakers on other occasions, 24 to 88 of each: the donors' own split.

    Reference:
        Kudo, Toyama, Shimbo (1999), Multidimensional curve classification using passing-through regions.
    """
    with as_file(files("rnnlib.data") / "extracts" / "japanese_vowels.npz") as path, np.load(path) as extract:
        train, test = (
            _cut(extract[f"{part}_frames"], extract[f"{part}_lengths"], extract[f"{part}_speakers"])
            for part in ("train", "test")
        )
    return train, test


def _cut(frames: np.ndarray, lengths: np.ndarray, speakers: np.ndarray) -> Labelled:
    """Utterances one after the other, in units of 1e-4, to a padded batch."""
    utterances = np.split(frames / 1e4, np.cumsum(lengths.astype(np.int64))[:-1])
    return Labelled(*pad(utterances), speakers.astype(np.int64))


def digit_rows() -> Labelled:
    """Handwritten digits read from top to bottom: 1797 images as eight steps of eight pixels each.

    Returns:
        Labelled with x (8, 1797, 8), the ink of each pixel from 0 to 1; labels are the digits. The 13 writers are not
        named: a split by writer is not possible.

    Raises:
        ImportError: scikit-learn is not installed; the message names the extra.
    """
    digits = optional("sklearn.datasets", "the digits").load_digits()
    x = np.ascontiguousarray(digits.images.swapaxes(0, 1)) / 16
    return Labelled(x, np.full(x.shape[1], 8), digits.target.astype(np.int64))
