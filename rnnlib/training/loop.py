"""The training loop, in one eyeful. What it calls has a file of its own."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from rnnlib.models.model import Model
from rnnlib.optim import Optimizer, Schedule, constant
from rnnlib.training.batches import Data
from rnnlib.training.checkpoint import Checkpoint, Run
from rnnlib.training.records import Epoch, Sums
from rnnlib.training.reports import Report, Reports
from rnnlib.training.step import Clip, check_finite, clipper, differs, evaluate, gather

ORDER, NOISE = 0, 1  # what a generator is for, beside the seed


def train(
    model: Model,
    data: Data,
    optimizer: Optimizer,
    *,
    epochs: int,
    validation: Data | None = None,
    clip: float | Clip | None = None,
    schedule: Schedule | None = None,
    accumulate: int = 1,
    patience: int | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    reports: Sequence[Report] = (),
    measure: Callable[[], Mapping[str, float]] | None = None,
    before_step: Callable[[int], None] | None = None,
) -> list[Epoch]:
    """Train a model.

    All that is random follows from the seed, the epoch and the step, so the same call gives the same numbers, and a run
    that was interrupted and resumed gives those of one that was not, bit for bit.

    Args:
        model: gives losses and gradients; its parameters are changed in place.
        data: gives the batches of an epoch.
        optimizer: of these parameters, or of some of them: the others stay frozen.
        epochs: how many in all, those before a resumption included.
        validation: on which the loss is measured after each epoch.
        clip: a global norm; or a function such as `lambda g: clip_by_value(g, 0.1)`; None: nothing is clipped.
        schedule: what the learning rate is multiplied with at each step; None: 1.
        accumulate: how many batches make a step; their gradients count as if they were one batch.
        patience: stop after so many epochs without a lower validation loss, and in the end give the model the
            parameters of its best epoch; None: train to the end and keep the last.
        seed: of the order of the data and of dropout; initial parameters have their own.
        checkpoint: where the run is written, and whether it goes on from there.
        reports: who is told.
        measure: called after each epoch, returns more numbers for its record, such as an accuracy.
        before_step: called before each step with the number of steps taken, for what follows a schedule of its own,
            such as scheduled sampling.

    Returns:
        One record for each epoch.

    Raises:
        FileExistsError: the checkpoint is there, and resumption was not asked for.
        FloatingPointError: a loss or a gradient is not finite; it names the epoch, the step and the parameter.
        ValueError: a number is out of range, patience has no validation, or the checkpoint is that of another run.
    """
    check(model, optimizer, epochs, accumulate, patience, validation)
    parameters, identity = model.parameters, describe(model, data, optimizer, seed, accumulate, clip)
    clip, schedule = clipper(clip), schedule or constant()
    run = Run() if checkpoint is None else checkpoint.begin(parameters, optimizer, identity)
    with Reports(reports) as tell:
        tell.start(identity, run.history, len(data))
        while run.epoch < epochs and not stalled(run.history, patience):
            run.sums.start_clock()
            batches = islice(data.epoch(np.random.default_rng([seed, ORDER, run.epoch])), run.batches, None)
            while group := list(islice(batches, accumulate)):
                t = optimizer.steps
                if before_step:
                    before_step(t)
                noise = np.random.default_rng([seed, NOISE, t])
                loss, targets, gradients, run.state = gather(model, group, run.state, data.carries_state, noise)
                gradients = {name: gradients[name] for name in optimizer.parameters}
                clipped, norm = clip(gradients)
                check_finite(f"epoch {run.epoch + 1}, step {t + 1}", loss, norm, gradients, parameters)
                rate = optimizer.learning_rate * schedule(t)
                optimizer.step(clipped, rate)
                run.batches += len(group)
                run.sums.add(group, loss, targets, norm, differs(clipped, gradients), rate)
                tell.step(run.batches, loss)
                if checkpoint and checkpoint.due(optimizer.steps):
                    checkpoint.save(run, parameters, optimizer, identity)
            finish_epoch(run, model, optimizer, validation, measure, keep_best=patience is not None)
            if checkpoint:
                checkpoint.save(run, parameters, optimizer, identity)
            tell.epoch(run.history[-1])
    if patience is not None:
        for name, best in run.best.items():
            parameters[name][...] = best
    return run.history


def finish_epoch(
    run: Run,
    model: Model,
    optimizer: Optimizer,
    validation: Data | None,
    measure: Callable[[], Mapping[str, float]] | None,
    *,
    keep_best: bool,
) -> None:
    """Evaluate, write the record, keep the parameters if they are the best so far, and turn to the next epoch.

    Raises:
        FloatingPointError: the validation loss is not finite.
    """
    loss = None if validation is None else evaluate(model, validation)
    if loss is not None and not math.isfinite(loss):
        raise FloatingPointError(f"epoch {run.epoch + 1}: the validation loss is {loss}; are its inputs finite?")
    measures = {} if measure is None else {name: float(value) for name, value in measure().items()}
    if keep_best and loss is not None and loss < lowest(run.history):
        run.best = {name: parameter.copy() for name, parameter in model.parameters.items()}
    run.history.append(run.sums.epoch(run.epoch + 1, optimizer.steps, model.likelihood, loss, measures))
    run.epoch, run.batches, run.state, run.sums = run.epoch + 1, 0, None, Sums()


def lowest(history: Sequence[Epoch]) -> float:
    """The lowest validation loss so far."""
    return min((record.validation_loss for record in history if record.validation_loss is not None), default=math.inf)


def stalled(history: Sequence[Epoch], patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no lower validation loss."""
    return (
        patience is not None and len(history) > patience and lowest(history[-patience:]) >= lowest(history[:-patience])
    )


def describe(
    model: Model, data: Data, optimizer: Optimizer, seed: int, accumulate: int, clip: float | Clip | None
) -> dict[str, Any]:
    """What makes this run this run, in plain values. A function, such as a schedule, does not show in it."""
    shapes = {f"parameters.{name}": f"{p.dtype} {p.shape}" for name, p in model.parameters.items()}
    numbers = {name: value for name, value in vars(optimizer).items() if isinstance(value, int | float | tuple)}
    of_optimizer = {f"optimizer.{name}": value for name, value in numbers.items() if name != "steps"}
    return (
        model.describe()
        | shapes
        | {"optimizer": type(optimizer).__name__, "trained": list(optimizer.parameters)}
        | of_optimizer
        | data.describe()
        | {"seed": seed, "accumulate": accumulate, "clip": "function" if callable(clip) else clip}
    )


def check(
    model: Model,
    optimizer: Optimizer,
    epochs: int,
    accumulate: int,
    patience: int | None,
    validation: Data | None,
) -> None:
    """What came to the door of `train`; errors as there."""
    own = model.parameters
    for name, parameter in optimizer.parameters.items():
        if own.get(name) is not parameter:
            raise ValueError(
                f"the optimiser's parameter {name!r} is not an array of this model: it would learn nothing; was the "
                "model built anew after the optimiser?"
            )
    if epochs < 0 or accumulate < 1:
        raise ValueError(f"epochs is {epochs} and accumulate {accumulate}: expected at least 0 and at least 1")
    if patience is not None and (patience < 1 or validation is None):
        raise ValueError(
            f"patience is {patience} with{'out' if validation is None else ''} validation data: expected at least 1 "
            "epoch, and data on which the loss is measured after each"
        )
