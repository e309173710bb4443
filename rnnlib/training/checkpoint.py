"""A run on disk: everything from which it goes on exactly where it was, in one file without pickle.

The file is an .npz of plain arrays, one of them JSON as bytes. It is written beside the old one and then takes its
place, so that a crash leaves one of the two, whole.
"""

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rnnlib.optim import Optimizer
from rnnlib.recurrent.stack import State
from rnnlib.training.records import Epoch, Sums

FORMAT = 1


@dataclass
class Run:
    """Where a run is.

    Attributes:
        epoch: how many are over.
        batches: how many of the next one have been read.
        state: the carried one.
        sums: over what has been read of this epoch.
        history: one record for each epoch that is over.
        best: copies of the parameters after the epoch with the lowest validation loss; empty where none is kept.
    """

    epoch: int = 0
    batches: int = 0
    state: State | None = None
    sums: Sums = field(default_factory=Sums)
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)


class Checkpoint:
    """Where a run is written, and how often.

    Args:
        path: of the file, ending in .npz; its folder must exist.
        every: steps of the optimiser from one writing to the next, beside one after each epoch; None: only that.
        resume: go on from the file if there is one.

    Raises:
        FileNotFoundError: the folder is not there.
        ValueError: the path has another ending, or every is below 1.
    """

    def __init__(self, path: str | PathLike[str], *, every: int | None = None, resume: bool = False) -> None:
        self.path, self.every, self.resume = Path(path).absolute(), every, resume
        if self.path.suffix != ".npz":
            raise ValueError(f"{path}: a checkpoint is an .npz file")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path.parent} is no folder: make it before training, not to lose an epoch")
        if every is not None and every < 1:
            raise ValueError(f"every is {every}: expected at least one step")

    def begin(self, parameters: dict[str, np.ndarray], optimizer: Optimizer, identity: Mapping[str, Any]) -> Run:
        """A run at its start, or where the file has it, with parameters and optimiser put there.

        Raises:
            FileExistsError: there is a file, and resume was not asked for.
            ValueError: the file holds another run.
        """
        if not self.path.exists():
            return Run()
        if not self.resume:
            raise FileExistsError(
                f"{self.path} is there already: Checkpoint(..., resume=True) goes on from it; to start again, delete "
                "it or give another path"
            )
        return load(self.path, parameters, optimizer, identity)

    def due(self, steps: int) -> bool:
        """Whether the run is written after so many steps."""
        return self.every is not None and steps % self.every == 0

    def save(
        self, run: Run, parameters: Mapping[str, np.ndarray], optimizer: Optimizer, identity: Mapping[str, Any]
    ) -> None:
        """Write the run."""
        save(self.path, run, parameters, optimizer, identity)


def save(
    path: Path, run: Run, parameters: Mapping[str, np.ndarray], optimizer: Optimizer, identity: Mapping[str, Any]
) -> None:
    """Write a run, so that at any moment the path has either the old file or the new one.

    Args:
        path: of the file.
        run: where it is.
        parameters, optimizer: as they are now.
        identity: what must be the same when it goes on, in plain values.

    Raises:
        OSError: the file cannot be written.
    """
    states = [] if run.state is None else [run.state] if isinstance(run.state, np.ndarray) else list(run.state)
    plain = {
        "format": FORMAT,
        "identity": identity,
        "epoch": run.epoch,
        "batches": run.batches,
        "state": "none" if run.state is None else "array" if isinstance(run.state, np.ndarray) else "tuple",
        "sums": run.sums.saved(),
        "history": [record._asdict() for record in run.history],
    }
    named = {"parameters": parameters, "optimizer": optimizer.state(), "best": run.best}
    arrays = {f"{group}/{name}": array for group, arrays in named.items() for name, array in arrays.items()}
    arrays |= {f"state/{k}": array for k, array in enumerate(states)}
    arrays["json"] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, parameters: dict[str, np.ndarray], optimizer: Optimizer, identity: Mapping[str, Any]) -> Run:
    """Read a run, and put parameters (in place) and optimiser where they were; where it raises, nothing is changed.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no checkpoint, or that of another run.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        plain = json.loads(arrays.pop("json").tobytes())
        written = plain["format"]
    except (KeyError, TypeError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} holds no checkpoint: expected what rnnlib.training wrote, whole") from error
    if written != FORMAT:
        raise ValueError(f"{path} has format {written}, and this rnnlib reads {FORMAT}")
    check_identity(path, plain["identity"], json.loads(json.dumps(identity)))
    kept: dict[str, dict[str, np.ndarray]] = {group: {} for group in ("parameters", "optimizer", "best", "state")}
    for name, array in arrays.items():
        group, _, inner = name.partition("/")
        kept[group][inner] = array
    states = tuple(kept["state"].values())
    run = Run(
        plain["epoch"],
        plain["batches"],
        {"none": None, "array": states[0] if states else None, "tuple": states}[plain["state"]],
        Sums(**plain["sums"]),
        [Epoch(**record) for record in plain["history"]],
        kept["best"],
    )
    optimizer.restore(kept["optimizer"])
    for name, parameter in parameters.items():
        parameter[...] = kept["parameters"][name]
    return run


def check_identity(path: Path, written: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Whether the run in a file is the one that is to go on.

    Raises:
        ValueError: it is another, and in what.
    """
    names = [name for name in {**written, **here} if written.get(name) != here.get(name)]
    if names:
        differences = "; ".join(f"{name} is {written.get(name)} there and {here.get(name)} here" for name in names)
        raise ValueError(
            f"{path} is the checkpoint of another run: {differences}. It goes on only with the model, optimiser, data "
            "and seed it began with: build them as they were, or give another path"
        )
