"""A run on disk: everything from which it goes on exactly where it was, in one file of torch's that runs no code.

It holds tensors and plain values only and is read with `weights_only=True`. It is written beside the old one and then
takes its place, so that a crash leaves one of the two, whole. Order and noise follow from seed, epoch and step, and so
no generator stands in it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rnnlib.torchref.run import State
from rnnlib.torchref.training.records import Sums
from rnnlib.training.checkpoint import check_identity
from rnnlib.training.records import Epoch

FORMAT = 1


@dataclass
class Run:
    """Where a run is.

    Attributes:
        epoch: how many are over.
        batches: how many of the next one have been read.
        steps: how many were tried since training began.
        skipped: how many of these were not taken, because float16 overflowed.
        state: the carried one.
        sums: over what has been read of this epoch.
        history: one record for each epoch that is over.
        best: a copy of the module's state dict after the epoch with the lowest validation loss; empty where none is
            kept.
    """

    epoch: int = 0
    batches: int = 0
    steps: int = 0
    skipped: int = 0
    state: State | None = None
    sums: Sums = field(default_factory=Sums)
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)


class Learner(NamedTuple):
    """What changes as a run goes on, beside the run itself."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def state_dict(self) -> dict[str, Any]:
        """Everything of the three."""
        return {name: part.state_dict() for name, part in self._asdict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the three where they were."""
        for name, part in self._asdict().items():
            part.load_state_dict(state[name])


class Checkpoint:
    """Where a run is written, and how often; the twin of `rnnlib.training.Checkpoint`.

    Args:
        path: of the file, ending in .pt; its folder must exist.
        every: steps from one writing to the next, beside one after each epoch; None: only that.
        resume: go on from the file if there is one.

    Raises:
        FileNotFoundError: the folder is not there.
        ValueError: the path has another ending, or every is below 1.
    """

    def __init__(self, path: str | PathLike[str], *, every: int | None = None, resume: bool = False) -> None:
        self.path, self.every, self.resume = Path(path).absolute(), every, resume
        if self.path.suffix != ".pt":
            raise ValueError(f"{path}: a checkpoint of a torch module is a .pt file; .npz is rnnlib.training's")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path.parent} is no folder: make it before training, not to lose an epoch")
        if every is not None and every < 1:
            raise ValueError(f"every is {every}: expected at least one step")

    def begin(self, learner: Learner, identity: Mapping[str, Any]) -> Run:
        """A run at its start, or where the file has it, with the learner put there.

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
        return load(self.path, learner, identity)

    def due(self, steps: int) -> bool:
        """Whether the run is written after so many steps."""
        return self.every is not None and steps % self.every == 0

    def save(self, run: Run, learner: Learner, identity: Mapping[str, Any]) -> None:
        """Write the run, so that at any moment the path has either the old file or the new one.

        Raises:
            OSError: the file cannot be written.
        """
        plain = vars(run) | {"sums": run.sums.saved(), "history": [record._asdict() for record in run.history]}
        kept = plain | {"state": copied(run.state), "format": FORMAT, "identity": json.dumps(identity)}
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                torch.save(kept | learner.state_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)


def load(path: Path, learner: Learner, identity: Mapping[str, Any]) -> Run:
    """Read a run, and put the learner where it was; where it raises, nothing is changed.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no checkpoint, or that of another run.
    """
    device = next(learner.module.parameters()).device
    with path.open("rb") as file:
        try:
            kept = torch.load(file, map_location=device, weights_only=True)
            written, known = kept.pop("format"), json.loads(kept.pop("identity"))
        except Exception as error:  # foreign bytes bring torch's unpickler to any error whatever
            raise ValueError(
                f"{path} holds no checkpoint: expected what rnnlib.torchref.training wrote, whole"
            ) from error
    if written != FORMAT:
        raise ValueError(f"{path} has format {written}, and this rnnlib reads {FORMAT}")
    check_identity(path, known, json.loads(json.dumps(identity)))
    learner.load_state_dict({name: kept.pop(name) for name in Learner._fields})
    sums, history = Sums(**kept.pop("sums")), [Epoch(**record) for record in kept.pop("history")]
    return Run(**kept, sums=sums, history=history)


def copied(state: State | None) -> State | None:
    """The state in memory of its own: a view of a layer's output would bring all of that into the file."""
    if state is None or isinstance(state, torch.Tensor):
        return None if state is None else state.clone()
    return tuple(tensor.clone() for tensor in state)
