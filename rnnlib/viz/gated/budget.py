"""The race of lesson 08: cells at one parameter budget, over several seeds, by validation loss, gradient norm and time.

What is raced, and on what, the lesson says: here are the counting, the running and the drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rnnlib.models import Model
from rnnlib.optim import Adam
from rnnlib.training import Data, Epoch, train
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

COLORS = {"RNN": "orange", "GRU": "blue", "LSTM": "green"}


# ---- running it --------------------------------------------------------------------------------------------------


class Runs(NamedTuple):
    """One kind of cell at one budget, a row for each seed and a column for each epoch.

    Attributes:
        units: H.
        parameters: of the whole model.
        updates: (epochs,), taken so far.
        losses: (seeds, epochs), on the validation data.
        norms: (seeds, epochs), of the gradient before clipping, the mean over the epoch.
        seconds: (seeds, epochs), spent on training so far.
    """

    units: int
    parameters: int
    updates: np.ndarray
    losses: np.ndarray
    norms: np.ndarray
    seconds: np.ndarray


def count(model: Model) -> int:
    """How many parameters a model has."""
    return sum(parameter.size for parameter in model.parameters.values())


def units(make: Callable[[int], Model], budget: int) -> int:
    """The largest number of units that a budget pays for.

    Args:
        make: gives the model with so many units; it must grow with them.
        budget: parameters of the whole model.

    Raises:
        ValueError: not even one unit fits.
    """
    if count(make(1)) > budget:
        raise ValueError(
            f"budget is {budget} and one unit takes {count(make(1))}: expected more, or a smaller embedding"
        )
    low, high = 1, 2
    while count(make(high)) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(make(middle)) <= budget else (low, middle)
    return low


def race(
    make: Callable[[str, int, int], Model],
    data: Data,
    validation: Data,
    budget: int,
    *,
    epochs: int,
    kinds: Sequence[str] = tuple(COLORS),
    seeds: Sequence[int] = (0, 1, 2),
    rate: float = 0.01,
    clip: float = 1.0,
) -> dict[str, Runs]:
    """Train every kind at one budget with Adam, seed by seed in turn, so that a busy machine slows all alike.

    Args:
        make: (kind, units, seed) gives a model.
        data, validation: read by all.
        budget: parameters of the whole model, at most.
        epochs: of each run.
        kinds: of cells, some of COLORS.
        seeds: of the initial parameters and of the order of the data.
        rate, clip: the same for all.
    """
    sizes = {kind: units(lambda H, kind=kind: make(kind, H, 0), budget) for kind in kinds}  # type: ignore[misc]
    histories: dict[str, list[list[Epoch]]] = {kind: [] for kind in kinds}
    for seed in seeds:
        for kind in kinds:
            model = make(kind, sizes[kind], seed)
            optimizer = Adam(model.parameters, rate)
            histories[kind].append(
                train(model, data, optimizer, epochs=epochs, validation=validation, clip=clip, seed=seed)
            )
    return {
        kind: Runs(
            sizes[kind],
            count(make(kind, sizes[kind], 0)),
            np.array([epoch.steps for epoch in runs[0]]),
            np.array([[epoch.validation_loss for epoch in run] for run in runs]),
            np.array([[epoch.gradient_norm for epoch in run] for run in runs]),
            np.array([[epoch.seconds for epoch in run] for run in runs]).cumsum(axis=1),
        )
        for kind, runs in histories.items()
    }


# ---- drawing it --------------------------------------------------------------------------------------------------


def explorer(races: Mapping[str, Mapping[str, Runs]], guess: Mapping[str, float]) -> Explorer:
    """Several races, watched epoch by epoch.

    Args:
        races: by name, each from `race`.
        guess: by the same names, the validation loss of one who knows nothing of the past, in nats.
    """
    longest = max(len(next(iter(one.values())).updates) for one in races.values())

    def draw(name: str, epoch: int, against: str) -> Scene:
        return at_epoch(races[name], guess[name], epoch, against)

    return Explorer(
        draw,
        Choice("name", "race", tuple(races), next(iter(races))),
        Slider("epoch", "after epoch", 1, longest, 1, value=longest, steps_per_second=4),
        Choice("against", "against", ("updates", "seconds"), "updates"),
        title="A race at equal budgets",
        description="A curve for every seed. Play it, then look at it against seconds, and at the other races.",
    )


def at_epoch(runs: Mapping[str, Runs], guess: float, epoch: int, against: str = "updates") -> Scene:
    """The validation losses and the gradient norms up to an epoch, every run on its own, and the losses side by side.

    Args:
        runs: by kind.
        guess: a loss to compare with, in nats.
        epoch: from 1; a race that has fewer is drawn to its end.
        against: "updates" or "seconds".
    """
    kinds = list(runs)
    epoch = min(epoch, len(runs[kinds[0]].updates))
    whole = [run.losses for run in runs.values()]
    limits = min(float(np.nanmin(part)) for part in whole), max(guess, *(float(np.nanmax(part)) for part in whole))
    room = 0.04 * (limits[1] - limits[0])
    y_limits = limits[0] - room, limits[1] + room
    far = max(float(_along(run, k, against)[-1]) for run in runs.values() for k in range(len(run.losses)))
    losses: list[Mark] = [Line([0, far], [guess, guess], "a guess", "grey", dashed=True)]
    norms: list[Mark] = []
    ends: list[Mark] = [Line([-0.5, len(kinds) - 0.5], [guess, guess], "", "grey", dashed=True)]
    for place, (kind, run) in enumerate(runs.items()):
        for k in range(len(run.losses)):
            x, name = _along(run, k, against)[:epoch], kind if k == 0 else ""
            losses.append(Line(x, run.losses[k, :epoch], name, COLORS[kind]))
            losses.append(Dots(x[-1:], run.losses[k, epoch - 1 : epoch], "", COLORS[kind], size=5))
            norms.append(Line(x, run.norms[k, :epoch], name, COLORS[kind]))
        now = run.losses[:, epoch - 1]
        ends.append(Dots(place + np.linspace(-0.12, 0.12, len(now)), now, "", COLORS[kind], size=8))
        ends.append(Line([place - 0.25, place + 0.25], [now.mean()] * 2, "", COLORS[kind]))
    powers = np.log10(np.concatenate([run.norms.ravel() for run in runs.values()]))
    x_label, x_limits = ("updates" if against == "updates" else "training time (s)"), (0.0, far * 1.02)
    return Scene(
        [
            Panel(losses, "Validation loss", x_label, "loss (nats)", x_limits, y_limits, height=280),
            Panel(
                ends, "The same, run by run", "", "loss (nats)", (-0.5, len(kinds) - 0.5), y_limits, x_names=kinds,
                height=280,
            ),
            Panel(
                norms, "Gradient norm", x_label, "norm before clipping", x_limits,
                (10 ** float(np.floor(powers.min())), 10 ** float(np.ceil(powers.max()))), y_scale="log", height=250,
            ),
            _times(runs),
        ],
        alt=_told(runs, epoch),
        columns=2,
    )  # fmt: skip


def _along(run: Runs, k: int, against: str) -> np.ndarray:
    return run.updates if against == "updates" else run.seconds[k]


def _times(runs: Mapping[str, Runs]) -> Panel:
    """Milliseconds of an update, run by run."""
    marks: list[Mark] = []
    for place, (kind, run) in enumerate(runs.items()):
        took = milliseconds(run)
        marks.append(Dots(place + np.linspace(-0.12, 0.12, len(took)), took, "", COLORS[kind], size=8))
        marks.append(Line([place - 0.25, place + 0.25], [took.mean()] * 2, "", COLORS[kind]))
    top = max(float(milliseconds(run).max()) for run in runs.values())
    return Panel(
        marks, "Time of an update", "", "milliseconds", (-0.5, len(runs) - 0.5), (0, 1.15 * top), x_names=list(runs),
        height=250,
    )  # fmt: skip


def milliseconds(run: Runs) -> np.ndarray:
    """(seeds,), of one update, the mean over each run; on this machine, as busy as it was."""
    return 1000 * run.seconds[:, -1] / run.updates[-1]


def _told(runs: Mapping[str, Runs], epoch: int) -> str:
    updates = next(iter(runs.values())).updates[epoch - 1]
    said = [
        f"{kind} ({run.units} units, {run.parameters:,} parameters) "
        f"{', '.join(f'{loss:.3f}' for loss in run.losses[:, epoch - 1])}"
        for kind, run in runs.items()
    ]
    return f"After {updates} updates, validation loss in nats, seed by seed: {'; '.join(said)}."
