"""Make japanese_vowels.npz, the extract beside this file, from the copy of the data that comes with aeon.

    pip install "aeon>=1.6" && python make_japanese_vowels.py

aeon 1.6 wants numpy < 2.3, so run it in an environment of its own. The same data gives the same file, byte for byte.

Data: Japanese Vowels, UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47, donated by M. Kudo, J. Toyama
and M. Shimbo; CC BY 4.0. Changed: rounded to four decimals and kept as int16, in units of 1e-4.
"""

from pathlib import Path
from typing import Any

import numpy as np
from aeon.datasets import load_japanese_vowels  # type: ignore[import-not-found]


def main() -> None:
    extract: dict[str, Any] = {}
    for part in ("train", "test"):
        utterances, speakers = load_japanese_vowels(split=part)  # each (12, T_n); speakers "1" to "9"
        frames = np.concatenate([utterance.T for utterance in utterances])
        extract[f"{part}_frames"] = np.rint(frames * 1e4).astype(np.int16)
        extract[f"{part}_lengths"] = np.array([utterance.shape[1] for utterance in utterances], np.uint8)
        extract[f"{part}_speakers"] = speakers.astype(np.uint8) - 1
    np.savez_compressed(Path(__file__).with_name("japanese_vowels.npz"), **extract)


if __name__ == "__main__":
    main()
