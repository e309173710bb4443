"""A comparison over seeds: every arm tried with every seed, in turn; each result is kept as soon as it is there."""

import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

KEPT = Path(__file__).parent / "results"
# What Student's t exceeds with a probability of 2.5 %, for 1 to 20 degrees of freedom (any table of it).
T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
T_975 += [2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086]

Measures = Mapping[str, float | Sequence[float]]


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: ArrayLike) -> Interval:
    """The mean of some values with the 95 % interval of Student's t: what other seeds would likely give.

    Args:
        values: (n,), one for each seed.

    Raises:
        ValueError: fewer than two values, or one that is not finite: no interval can be had.

    Reference:
        Student (1908), The probable error of a mean.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"values are {values!r}: expected at least two finite numbers, one for each seed")
    n = len(values)
    # t s / √n, with the spread s of the values around their mean
    half = T_975[min(n - 1, len(T_975)) - 1] * values.std(ddof=1) / math.sqrt(n)
    return Interval(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


@dataclass(frozen=True)
class Results:
    """What came out.

    Attributes:
        rows: for each arm and seed, its measures: numbers, or lists of them, such as a curve.
    """

    rows: Mapping[tuple[str, int], Measures]

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order of the study."""
        return tuple(dict.fromkeys(arm for arm, _ in self.rows))

    def values(self, arm: str, measure: str) -> np.ndarray:
        """One measure of one arm, a row for each seed: (seeds,) for a number, (seeds, n) for a list of n.

        Raises:
            KeyError: there is no such arm or measure; the message lists those that there are.
        """
        found = [measures for (name, _), measures in self.rows.items() if name == arm]
        if not found:
            raise KeyError(f"there is no arm {arm!r}; there are {', '.join(map(repr, self.arms))}")
        if measure not in found[0]:
            raise KeyError(f"there is no measure {measure!r}; there are {', '.join(map(repr, found[0]))}")
        return np.array([measures[measure] for measures in found], dtype=np.float64)

    def interval(self, arm: str, measure: str) -> Interval:
        """The mean of a measure over the seeds, with its interval."""
        return interval(self.values(arm, measure))

    def difference(self, arm: str, other: str, measure: str) -> Interval:
        """How much more an arm has than another, seed by seed, with its interval: 0 outside means that it matters.

        Both arms of a seed start alike and see the same data, so most of the luck cancels.
        """
        return interval(self.values(arm, measure) - self.values(other, measure))


@dataclass(frozen=True)
class Study:
    """A question put to every arm with every seed.

    Attributes:
        name: of its file in results/.
        question: in one sentence.
        arms: what is compared, in the order in which it is shown.
        measure: (arm, seed, full) -> its measures. All that is random in it must follow from the seed; `full` asks for
            the long setting.
        quick, full: how many seeds each setting takes.
    """

    name: str
    question: str
    arms: tuple[str, ...]
    measure: Callable[[str, int, bool], Measures]
    quick: int = 3
    full: int = 10

    def run(self, *, full: bool = False, path: str | PathLike[str] | None = None, show: bool = True) -> Results:
        """Try every arm with every seed, seed by seed, so that a run cut short has compared fairly.

        Args:
            full: the long setting.
            path: a JSON file that takes each result as soon as it is there, and from which the run goes on.
            show: a progress bar, where tqdm is installed.

        Raises:
            ValueError: the file at `path` is of another study or setting.
        """
        rows = {} if path is None else self._found(Path(path), full)
        wanted = [(arm, seed) for seed in range(self.full if full else self.quick) for arm in self.arms]
        for key in _bar([key for key in wanted if key not in rows], show):
            rows[key] = self.measure(*key, full)
            if path is not None:
                self._write(Path(path), full, rows)
        return Results({key: rows[key] for key in sorted(wanted, key=lambda key: self.arms.index(key[0]))})

    def kept(self) -> Results:
        """The full run that comes with rnnlib.

        Raises:
            FileNotFoundError: it was never made, or not to its end.
        """
        path = KEPT / f"{self.name}.json"
        rows = self._found(path, full=True)
        wanted = [(arm, seed) for arm in self.arms for seed in range(self.full)]
        if missing := [key for key in wanted if key not in rows]:
            raise FileNotFoundError(
                f"the full run of {self.name!r} lacks {len(missing)} of {len(wanted)} results: "
                f"python -m rnnlib.studies {self.name}"
            )
        return Results({key: rows[key] for key in wanted})

    def _found(self, path: Path, full: bool) -> dict[tuple[str, int], Measures]:
        if not path.exists():
            return {}
        record = json.loads(path.read_text(encoding="utf-8"))
        came = record["study"], record["setting"]
        if came != (expected := (self.name, "full" if full else "quick")):
            raise ValueError(f"{path.name} holds {came[0]!r}, {came[1]}: expected {expected[0]!r}, {expected[1]}")
        return {(row.pop("arm"), row.pop("seed")): row for row in record["rows"]}

    def _write(self, path: Path, full: bool, rows: Mapping[tuple[str, int], Measures]) -> None:
        record = {
            "study": self.name,
            "question": self.question,
            "setting": "full" if full else "quick",
            "command": f"python -m rnnlib.studies {self.name}",
            "made with": f"Python {platform.python_version()}, NumPy {np.__version__}",
        }
        lines = ",\n".join(json.dumps({"arm": arm, "seed": seed, **_plain(row)}) for (arm, seed), row in rows.items())
        beside = path.with_suffix(".new")
        beside.write_text(f'{json.dumps(record, indent=1)[:-2]},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")
        replace(beside, path)


def _plain(measures: Measures) -> dict[str, Any]:
    """Numbers with six digits: enough for every picture, and a file that stays small."""
    rounded = {name: np.vectorize(lambda v: float(f"{v:.6g}"))(value).tolist() for name, value in measures.items()}
    if not_finite := [name for name, value in measures.items() if not np.isfinite(value).all()]:
        raise ValueError(
            f"{', '.join(not_finite)} is not finite: measure what can be compared, such as that it diverged"
        )
    return rounded


def _bar(keys: Sequence[tuple[str, int]], show: bool) -> Iterator[tuple[str, int]]:
    """The keys, with a progress bar that names what is being tried."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield from keys
        return
    bar = tqdm(keys, disable=not show or not keys, unit="run", leave=False)
    for arm, seed in bar:
        bar.set_description_str(f"{arm}, seed {seed}", refresh=True)
        yield arm, seed
