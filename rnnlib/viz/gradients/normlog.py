"""The gradient-norm log of lesson 06 read as a diagnosis: six small trainings, of which five have something.

Each is trained when it is first asked for, by `rnnlib.training.train`, and is the same in every session.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rnnlib.data.synthetic import adding
from rnnlib.data.text import python_documentation
from rnnlib.models import Forecaster, LanguageModel, Model, StepForecaster
from rnnlib.optim import SGD, clip_by_global_norm
from rnnlib.training import Data, Report, Sequences, Stream, train
from rnnlib.viz import Band, Choice, Dots, Explorer, Label, Line, Panel, Scene, Toggle
from rnnlib.viz.scene import Mark

WINDOWS, T, N = 30, 24, 16  # of an epoch of the streams


# ---- keeping it ------------------------------------------------------------------------------------------------------


class Log(NamedTuple):
    """Attributes:
    norms: (n,), of the gradient at each step, before clipping; the last is not finite where training stopped.
    losses: (n,), of each step's batch.
    limit: c; infinity: nothing was clipped.
    chance: the loss of a model that has learned nothing from the past.
    batches: in an epoch.
    """

    norms: np.ndarray
    losses: np.ndarray
    limit: float
    chance: float
    batches: int


def keep_log(
    model: Model, data: Data, rate: float, limit: float = math.inf, epochs: int = 2, chance: float = math.nan
) -> Log:
    """Train with SGD, and keep the norm and the loss of every step.

    Args:
        model: its parameters are changed.
        data: what it reads.
        rate: the learning rate.
        limit: the global norm at which gradients are clipped; infinity: they are only measured.
        epochs: how many.
        chance: goes into the log.

    Returns:
        Log; where the gradient is not finite it ends there.
    """
    norms: list[float] = []
    losses: list[float] = []

    def clip(gradients: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
        clipped, norm = clip_by_global_norm(gradients, limit)
        norms.append(norm)
        return clipped, norm

    with np.errstate(all="ignore"):  # an overflow is the point of one of these logs
        try:
            train(model, data, SGD(model.parameters, rate), epochs=epochs, clip=clip, reports=[_Losses(losses)])
        except FloatingPointError:
            losses.append(math.nan)
    return Log(np.array(norms), np.array(losses[: len(norms)]), limit, chance, len(data))


class _Losses(Report):
    """Keeps the loss of every step."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def step(self, batches: int, loss: float) -> None:
        self.losses.append(loss)


# ---- drawing it ------------------------------------------------------------------------------------------------------


def show(log: Log, title: str = "") -> Scene:
    """A log as two curves: the norm of every step's gradient before clipping, and the loss."""
    return Scene([_norms(log, title), _losses(log)], alt=_told(log))


def _told(log: Log) -> str:
    finite = log.norms[np.isfinite(log.norms)]
    end = "" if len(finite) == len(log.norms) else f" At step {len(log.norms)} it is not finite, and training stops."
    clipped = (
        "Nothing is clipped" if math.isinf(log.limit) else f"Clipped at {log.limit:g} in {share(log):.0%} of steps"
    )
    known = log.losses[np.isfinite(log.losses)]
    return (
        f"{len(log.norms)} steps. {clipped}. Norm before clipping: median {np.median(finite):.2g}, largest "
        f"{finite.max():.2g}.{end} Loss: {known[0]:.3g} at first, {np.median(known[-9:]):.3g} in the last steps; "
        f"without any memory {log.chance:.3g}."
    ).replace("%", " %")


def share(log: Log) -> float:
    """Of the steps, how many were clipped."""
    return float((log.norms > log.limit).mean())


def _norms(log: Log, title: str) -> Panel:
    steps = np.arange(1, len(log.norms) + 1)
    shown = np.where(np.isfinite(log.norms), log.norms, np.nan)
    over = np.where(shown > log.limit, shown, np.nan)
    marks: list[Mark] = [Line(steps, shown, "norm before clipping", "blue"), Dots(steps, shown, color="blue", size=4)]
    if math.isfinite(log.limit):
        marks += [
            Dots(steps, over, "clipped", "vermillion", size=6),
            Line([1, steps[-1]], [log.limit, log.limit], "c", "grey", dashed=True),
        ]
    if not np.isfinite(log.norms[-1]):
        top = float(np.nanmax(shown))
        marks += [
            Dots([steps[-1]], [top], color="vermillion", size=9),
            Label(steps[-1] - 0.2, top, "NaN", align="right"),
        ]
    low, high = min(0.01, 0.5 * float(np.nanmin(shown))), max(10.0, 2 * float(np.nanmax(shown)))
    return Panel(marks, title, x_label="step", y_label="gradient norm", y_scale="log", y_limits=(low, high), height=230)


def _losses(log: Log) -> Panel:
    steps = np.arange(1, len(log.losses) + 1)
    shown = np.where(np.isfinite(log.losses), log.losses, np.nan)
    marks: list[Mark] = [
        Line(steps, shown, "loss", "purple"),
        Line([1, len(log.norms)], [log.chance, log.chance], "without any memory", "grey", dashed=True),
    ]
    wide = bool(np.nanmax(shown) > 20 * np.nanmin(shown))
    return Panel(
        marks, x_label="step", y_label="loss", y_scale="log" if wide else "linear",
        y_limits=(None if wide else 0, None), height=200,
    )  # fmt: skip


def against_limit(losses: Mapping[float, float], chance: float) -> Scene:
    """The loss after training, for several limits.

    Args:
        losses: by limit; what is not finite stands at the top, as NaN.
        chance: the loss without any memory.
    """
    limits, reached = np.array(list(losses)), np.array(list(losses.values()))
    broken = limits[~np.isfinite(reached)]
    top = 1.25 * float(np.nanmax(np.where(np.isfinite(reached), reached, np.nan)))
    marks: list[Mark] = [
        Band([0.5, 1.0], [0, 0], [top, top], "0.5 to 1.0", "grey"),
        Line(limits, np.where(np.isfinite(reached), reached, np.nan), "after training", "purple"),
        Dots(limits, np.where(np.isfinite(reached), reached, np.nan), color="purple"),
        Line([limits.min(), limits.max()], [chance, chance], "without any memory", "grey", dashed=True),
    ]
    marks += [Label(c, 0.93 * top, "NaN", "vermillion") for c in broken]
    told = [f"{loss:.2f} at {c:g}" if math.isfinite(loss) else f"NaN at {c:g}" for c, loss in losses.items()]
    panel = Panel(
        marks, x_label="limit c", y_label="loss", x_scale="log", y_limits=(0, top),
        x_limits=(limits.min() / 1.5, limits.max() * 1.5), height=280,
    )  # fmt: skip
    return Scene(
        [panel], alt=f"Loss after training against the limit: {', '.join(told)}. Without any memory {chance:.2f}."
    )


# ---- six patients ----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _text() -> tuple[Stream, int, float]:
    """Characters of Python's own documentation, how many kinds there are, and the loss of knowing only their shares."""
    text = python_documentation()[: WINDOWS * T * N + N]
    alphabet = sorted(set(text))
    ids = np.array([alphabet.index(character) for character in text])
    p = np.bincount(ids) / len(ids)
    return Stream(ids, N, T), len(alphabet), float(-(p * np.log(p)).sum())


def _reader(rate: float, limit: float, nonlinearity: str = "tanh", scale: float = 1.0) -> Log:
    """A character model, its recurrent weights multiplied by scale."""
    data, V, chance = _text()
    model = LanguageModel(V, "rnn", hidden_size=48, embedding_size=16, nonlinearity=nonlinearity, rng=0)
    model.parameters["rnn.weight_hh_l0"] *= scale
    return keep_log(model, data, rate, limit, chance=chance)


def adder(T: int, limit: float, epochs: int = 5) -> Log:
    """A tanh network that should add two numbers, the first of them half of T steps back or more.

    Args:
        T: steps of a sequence.
        limit: the global norm at which gradients are clipped.
        epochs: of 30 steps each.

    Returns:
        Log; its chance is 1/6, the error of always answering 1.
    """
    task = adding(T, 60 * N, np.random.default_rng(0))
    data = Sequences(task.x, task.y.reshape(1, -1, 1), batch_size=2 * N)
    model = Forecaster(2, "rnn", hidden_size=24, output_size=1, rng=0)
    return keep_log(model, data, 0.05, limit, epochs, chance=1 / 6)


def _forecaster() -> Log:
    """A noisy sine whose ten readings from a broken sensor are two hundred times too large."""
    rng = np.random.default_rng(0)
    series = np.sin(0.3 * np.arange(WINDOWS * T * N + N)) + 0.1 * rng.normal(size=WINDOWS * T * N + N)
    chance = float(series.var())
    series[5000:5010] *= 200
    model = StepForecaster(1, "rnn", hidden_size=24, rng=0)
    return keep_log(model, Stream(series[:, None], N, T), 0.1, 1.0, epochs=3, chance=chance)


PATIENTS: dict[str, Callable[[], Log]] = {
    "A": functools.partial(_reader, 1.0, 0.02),
    "B": _forecaster,
    "C": functools.partial(_reader, 1.0, math.inf, "relu", 2.0),
    "D": functools.partial(_reader, 1.0, 1.0),
    "E": functools.partial(adder, 100, 1.0, 2),
    "F": functools.partial(_reader, 20.0, 1.0),
}
FINDINGS = {
    "A": "limit too low",
    "B": "bad batch",
    "C": "exploding",
    "D": "healthy",
    "E": "vanishing",
    "F": "learning rate too high",
}
REASONS = {
    "limit too low": "every step is clipped although the norms are small and even: the limit has become the learning "
    "rate. Raise it above the usual norm.",
    "bad batch": "calm, but for a spike at the same place in every epoch. The weights are fine; look at that batch. "
    "Clipping keeps the harm small and does not repair the data.",
    "exploding": "the norm runs through many powers of ten within a few steps, then it is not finite. Clip.",
    "healthy": "the loss falls, the norm is of one size, and the limit catches a few steps.",
    "vanishing": "nothing is wrong with the norm, and the loss stays where a model without memory would be. Clipping "
    "does not help: too little arrives from far back.",
    "learning rate too high": "nearly every step is clipped, the norms are large and jump, and the loss is far worse "
    "than without any memory. Clipping keeps it from NaN; a smaller learning rate cures it.",
}
HINTS = {
    "A": "How many steps are clipped, and how large are the norms?",
    "B": "Count the steps between the spikes. An epoch has 30.",
    "C": "Look at the numbers on the axis of the norm.",
    "D": "Does the loss fall? How often is it clipped?",
    "E": "Compare the loss with the dashed line.",
    "F": "Compare the loss with the dashed line, then look at the norms.",
}


@functools.lru_cache(maxsize=len(PATIENTS))
def patient(name: str) -> Log:
    """The log of a patient, A to F."""
    return PATIENTS[name]()


def explorer() -> Explorer:
    """The six logs, one at a time; what each has is told when asked."""
    return Explorer(
        chart,
        Choice("name", "patient", tuple(PATIENTS), "A"),
        Toggle("told", "tell me", False),
        title="Six patients",
        description="Read each log and write down what you think before you ask.",
    )


def chart(name: str, told: bool) -> Scene:
    """A patient's log, with the finding if it is to be told."""
    drawn = show(patient(name), f"Patient {name}")
    finding = f" Finding: {FINDINGS[name]}; {REASONS[FINDINGS[name]]}" if told else ""
    return Scene(drawn.panels, alt=drawn.alt + finding)


def diagnose(guesses: Mapping[str, str]) -> str:
    """What is right about some guesses, by patient, and a hint for each that is not.

    Raises:
        ValueError: there is no such patient, or no such finding.
    """
    lines = []
    for name, guess in guesses.items():
        if name not in FINDINGS or guess not in (*REASONS, "?"):
            raise ValueError(f"{name}: {guess!r}: there are the patients {', '.join(FINDINGS)} and the findings "
                             f"{', '.join(REASONS)}")  # fmt: skip
        right = guess == FINDINGS[name]
        lines.append(f"{name}: right, {guess}: {REASONS[guess]}" if right else f"{name}: not yet. {HINTS[name]}")
    found = sum(FINDINGS[name] == guess for name, guess in guesses.items())
    return "\n".join([*lines, f"{found} of {len(FINDINGS)} found."])
