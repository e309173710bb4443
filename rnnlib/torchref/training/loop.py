"""The training loop for torch modules: `rnnlib.training.train` once more, on a device."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch

from rnnlib.optim import Schedule, above_zero, constant
from rnnlib.recurrent.stack import MAX_SEED
from rnnlib.torchref.noise import Rng
from rnnlib.torchref.training.checkpoint import Checkpoint, Learner, Run
from rnnlib.torchref.training.feeding import feed
from rnnlib.torchref.training.precision import Arithmetic, Precision
from rnnlib.torchref.training.records import Sums
from rnnlib.torchref.training.step import descend, evaluate, gather
from rnnlib.training.batches import Data
from rnnlib.training.loop import NOISE, ORDER, lowest, stalled
from rnnlib.training.records import Epoch
from rnnlib.training.reports import Report, Reports


def train(
    module: torch.nn.Module,
    data: Data,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    validation: Data | None = None,
    clip: float | None = None,
    schedule: Schedule | None = None,
    accumulate: int = 1,
    patience: int | None = None,
    seed: int = 0,
    precision: Precision | None = None,
    noise: Literal["host", "device"] = "host",
    checkpoint: Checkpoint | None = None,
    reports: Sequence[Report] = (),
    measure: Callable[[], Mapping[str, float]] | None = None,
    before_step: Callable[[int], None] | None = None,
    prefetch: int = 2,
) -> list[Epoch]:
    """Train a torch module where it lies.

    Order and noise follow from the seed, the epoch and the step as in `rnnlib.training.train`: with the same weights in
    float64 on a CPU both give the same records. On a CPU a run that was interrupted and resumed gives those of one that
    was not, bit for bit; on a GPU as far as its kernels do.

    Args:
        module: `module(*arguments, state=..., rng=...)` gives loss, targets and state of a batch; it has `likelihood`
            and `describe()`, as what `rnnlib.torchref.models.twin_model` makes; what it draws it draws from `rng`.
        data: gives the batches of an epoch.
        optimizer: of these parameters, or of some of them: the others stay frozen.
        epochs: how many in all, those before a resumption included.
        validation: on which the loss is measured after each epoch.
        clip: a global norm, that of the gradient without the scale of the loss; None: nothing is clipped.
        schedule: what the learning rates are multiplied with at each step; None: 1.
        accumulate: how many batches make a step; their gradients count as if they were one batch.
        patience: stop after so many epochs without a lower validation loss, and in the end give the module the
            parameters of its best epoch; None: train to the end and keep the last.
        seed: of the order of the data and of dropout; initial parameters have their own.
        precision: None, the module's own; "bf16" or "fp16": see `rnnlib.torchref.training.precision.Arithmetic`.
            A step that float16 skips has its place in the schedule, so that this ends with the data.
        noise: where what is dropped is drawn: "host", by NumPy, the same on every device and as in rnnlib; or "device",
            which spares a GPU the wait for NumPy.
        checkpoint: where the run is written, and whether it goes on from there.
        reports: who is told.
        measure: called after each epoch, returns more numbers for its record, such as an accuracy.
        before_step: called before each step with the number of steps tried, for what follows a schedule of its own,
            such as scheduled sampling; the batches to come have been read by then.
        prefetch: how many batches a thread prepares ahead; 0: none, and no thread.

    Returns:
        One record for each epoch; its learning rate is that of the optimiser's first group. With "fp16" its measures
        also say `skipped_steps` of the epoch and the `loss_scale` after it.

    Raises:
        FileExistsError: the checkpoint is there, and resumption was not asked for.
        FloatingPointError: a loss or a gradient is not finite, with "fp16" also under a small scale; it names the
            epoch, the step and the parameter.
        Unsupported: the device has no kernel for the precision.
        ValueError: a number is out of range, patience has no validation, or the checkpoint is that of another run.
    """
    check(module, optimizer, epochs, accumulate, patience, validation, prefetch)
    if noise not in ("host", "device"):
        raise ValueError(f'noise is {noise!r}: expected "host" or "device", where it is drawn')
    arithmetic = Arithmetic(module, precision)
    about = {"seed": seed, "accumulate": accumulate, "clip": clip, "precision": precision, "noise": noise}
    identity = describe(module, data, optimizer) | about
    limit, schedule = math.inf if clip is None else above_zero("clip", clip, "a global norm"), schedule or constant()
    learner = Learner(module, optimizer, arithmetic.scaler)
    run = Run() if checkpoint is None else checkpoint.begin(learner, identity)
    with Reports(reports) as tell:
        tell.start(identity, run.history, len(data))
        while run.epoch < epochs and not stalled(run.history, patience):
            run.sums.start_clock()
            rest = islice(data.epoch(np.random.default_rng([seed, ORDER, run.epoch])), run.batches, None)
            with closing(feed(rest, arithmetic.device, arithmetic.dtype, prefetch)) as batches:
                while group := list(islice(batches, accumulate)):
                    t = run.steps
                    if before_step:
                        before_step(t)
                    rng, factor = drawing(seed, t, arithmetic.device if noise == "device" else None), schedule(t)
                    gathered = gather(module, group, run.state, data.carries_state, rng, arithmetic)
                    where = f"epoch {run.epoch + 1}, step {t + 1}"
                    step = descend(module, optimizer, arithmetic, gathered, limit, factor, where)
                    run.steps, run.batches, run.state = t + 1, run.batches + len(group), gathered.state
                    rate, targets = float(optimizer.param_groups[0]["lr"]) * factor, sum(gathered.targets)
                    if step.taken:
                        run.sums.add(group, step.loss, targets, step.norm, step.clipped, rate)
                    else:
                        run.sums.skip(group, step.loss, targets, rate)
                        run.skipped += 1
                    tell.step(run.batches, step.loss)
                    if checkpoint and checkpoint.due(run.steps):
                        checkpoint.save(run, learner, identity)
            finish_epoch(run, module, arithmetic, validation, measure, prefetch, keep_best=patience is not None)
            if checkpoint:
                checkpoint.save(run, learner, identity)
            tell.epoch(run.history[-1])
    if patience is not None and run.best:
        module.load_state_dict(run.best)
    return run.history


def drawing(seed: int, t: int, device: torch.device | None) -> Rng:
    """What draws the noise of step t: NumPy's generator as in `rnnlib.training`, or one of torch's on a device."""
    rng = np.random.default_rng([seed, NOISE, t])
    return rng if device is None else torch.Generator(device).manual_seed(int(rng.integers(MAX_SEED)))


def finish_epoch(
    run: Run,
    module: torch.nn.Module,
    arithmetic: Arithmetic,
    validation: Data | None,
    measure: Callable[[], Mapping[str, float]] | None,
    prefetch: int,
    *,
    keep_best: bool,
) -> None:
    """Evaluate, write the record, keep the parameters if they are the best so far, and turn to the next epoch.

    Raises:
        FloatingPointError: the validation loss is not finite.
    """
    loss = None
    if validation is not None:
        loss = evaluate(module, validation, precision=arithmetic.precision, prefetch=prefetch)
    if loss is not None and not math.isfinite(loss):
        raise FloatingPointError(f"epoch {run.epoch + 1}: the validation loss is {loss}; are its inputs finite?")
    measures = {} if measure is None else {name: float(value) for name, value in measure().items()}
    if arithmetic.scaler.is_enabled():
        measures |= {"skipped_steps": float(run.sums.skipped), "loss_scale": arithmetic.scaler.get_scale()}
    if keep_best and loss is not None and loss < lowest(run.history):
        run.best = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    steps = run.steps - run.skipped
    run.history.append(run.sums.epoch(run.epoch + 1, steps, module.likelihood, loss, measures))
    run.epoch, run.batches, run.state, run.sums = run.epoch + 1, 0, None, Sums()


def describe(module: torch.nn.Module, data: Data, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What makes this run this run, in plain values. Schedule and device are not in it: a run may change its place."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    shapes = {f"parameters.{name}": f"{p.dtype} {tuple(p.shape)}" for name, p in module.named_parameters()}
    groups = {
        f"optimizer.{k}.{name}": value if isinstance(value, bool | int | float | tuple | None) else str(value)
        for k, group in enumerate(optimizer.param_groups)
        for name, value in group.items()
        if name != "params"
    }
    trained = [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]
    by = {"optimizer": type(optimizer).__name__, "trained": trained}
    return module.describe() | shapes | by | groups | data.describe()


def check(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    accumulate: int,
    patience: int | None,
    validation: Data | None,
    prefetch: int,
) -> None:
    """What came to the door of `train`; errors as there."""
    own = {id(parameter) for parameter in module.parameters()}
    strange = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in own]
    if strange:
        raise ValueError(
            f"{len(strange)} parameters of the optimiser, such as one of shape {tuple(strange[0].shape)}, are not of "
            "this module: it would learn nothing; was the module built anew, or converted, after the optimiser?"
        )
    if epochs < 0 or accumulate < 1 or prefetch < 0:
        raise ValueError(
            f"epochs is {epochs}, accumulate {accumulate} and prefetch {prefetch}: expected at least 0, 1 and 0"
        )
    if patience is not None and (patience < 1 or validation is None):
        raise ValueError(
            f"patience is {patience} with{'out' if validation is None else ''} validation data: expected at least 1 "
            "epoch, and data on which the loss is measured after each"
        )
