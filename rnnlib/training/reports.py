"""Who is told how training goes: a file of JSON lines, a progress bar, or whoever has these four methods."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self, TextIO

from rnnlib.training.records import Epoch


class Report:
    """Hears of a run from its start to its end. A subclass answers what it cares about, such as to draw a figure."""

    def start(self, identity: Mapping[str, Any], history: Sequence[Epoch], total: int) -> None:
        """A run begins, or goes on after the epochs of its history.

        Args:
            identity: model, optimiser, data and seed in plain values.
            history: the epochs that are over.
            total: batches of an epoch.
        """

    def step(self, batches: int, loss: float) -> None:
        """A step was taken: so many batches of the epoch are read, and this was the loss of the last ones."""

    def epoch(self, record: Epoch) -> None:
        """An epoch is over."""

    def close(self, finished: bool) -> None:
        """The run is over; or it was not finished, since an error or the user stopped it."""


class Reports(Report):
    """Several at once; closed when the `with` block that trains is left."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self.reports = reports

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(finished=kind is None)

    def start(self, identity: Mapping[str, Any], history: Sequence[Epoch], total: int) -> None:
        for report in self.reports:
            report.start(identity, history, total)

    def step(self, batches: int, loss: float) -> None:
        for report in self.reports:
            report.step(batches, loss)

    def epoch(self, record: Epoch) -> None:
        for report in self.reports:
            report.epoch(record)

    def close(self, finished: bool) -> None:
        for report in self.reports:
            report.close(finished)


class JsonLines(Report):
    """One line of JSON for each epoch. A run that starts begins the file anew; one that goes on leaves its own lines.

    Args:
        path: of the file; its folder must exist.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    def start(self, identity: Mapping[str, Any], history: Sequence[Epoch], total: int) -> None:
        self.path.write_text("".join(map(line, history)), encoding="utf-8")

    def epoch(self, record: Epoch) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line(record))


class PlainProgress(Report):
    """One line of text for each epoch.

    Args:
        file: where it is written; None: standard output.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file

    def epoch(self, record: Epoch) -> None:
        print(summary(record), file=self.file or sys.stdout, flush=True)


class Bar(Report):
    """A tqdm bar for each epoch, left standing with its summary."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self.tqdm, self.total = tqdm, 0
        self.bar: Any = None

    def start(self, identity: Mapping[str, Any], history: Sequence[Epoch], total: int) -> None:
        self.total = total

    def step(self, batches: int, loss: float) -> None:
        if self.bar is None:
            self.bar = self.tqdm(total=self.total, unit="batch")
        self.bar.update(batches - self.bar.n)
        self.bar.set_postfix(loss=f"{loss:.4g}", refresh=False)

    def epoch(self, record: Epoch) -> None:
        if self.bar is not None:
            self.bar.set_description_str(summary(record))
        self.close(finished=True)

    def close(self, finished: bool) -> None:
        if self.bar is not None:
            self.bar.close()
        self.bar = None


def progress() -> Report:
    """A tqdm bar where tqdm is installed, otherwise a line for each epoch."""
    try:
        return Bar()
    except ImportError:
        return PlainProgress()


def summary(record: Epoch) -> str:
    """An epoch in one line."""
    shown = {
        "loss": record.loss,
        "perplexity": record.perplexity,
        "validation": record.validation_loss,
        "gradient norm": record.gradient_norm,
        **record.measures,
    }
    return f"epoch {record.epoch}: " + ", ".join(f"{k} {v:.4g}" for k, v in shown.items() if v is not None)


def values(record: Epoch) -> dict[str, Any]:
    """An epoch as one flat dictionary."""
    flat = record._asdict()
    return flat | flat.pop("measures")


def line(record: Epoch) -> str:
    """An epoch as a line of JSON, which knows no infinity: null stands for it."""
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values(record).items()}
    return json.dumps(plain) + "\n"
