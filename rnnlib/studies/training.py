"""The studies of lesson 10: which of the usual advice on training helps, and by how much.

Most are put to one small task: a GRU that reads a piece of Python's documentation, and is judged by the piece that
follows. A seed has its own piece, its own first parameters, and shares both with every arm.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnlib.data.text import python_documentation
from rnnlib.models import LanguageModel, Model, SequenceClassifier, StepForecaster
from rnnlib.optim import (
    SGD,
    Adam,
    Optimizer,
    RMSprop,
    Schedule,
    clip_by_global_norm,
    constant,
    cosine_decay,
    linear_warmup,
)
from rnnlib.studies.study import Measures, Results, Study
from rnnlib.training import Batch, Data, Epoch, Report, Sequences, Stream, evaluate, train

UNITS, ROWS, WINDOW = 24, 16, 16  # H, N, T of the small task
WINDOWS = 30  # in an epoch
JUDGED = 4000  # characters of the piece for validation, and of that for the test
BLOCK = 5  # steps whose losses make one point of a curve


# ---- one run -------------------------------------------------------------------------------------------------------


class Log(NamedTuple):
    """What a run writes down; where a number is not finite it ends before that.

    Attributes:
        losses, norms, rates: (n,), of every step; norms before clipping.
        history: of every epoch that is over.
        limit: at which gradients were clipped.
        batches: in an epoch.
        diverged: whether it ended since something was not finite.
    """

    losses: np.ndarray
    norms: np.ndarray
    rates: np.ndarray
    history: list[Epoch]
    limit: float
    batches: int
    diverged: bool


class _Losses(Report):
    """Keeps the loss of every step and the record of every epoch."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.history: list[Epoch] = []

    def step(self, batches: int, loss: float) -> None:
        self.losses.append(loss)

    def epoch(self, record: Epoch) -> None:
        self.history.append(record)


def logged(
    model: Model,
    data: Data,
    optimizer: Optimizer,
    *,
    epochs: int,
    limit: float = math.inf,
    schedule: Schedule | None = None,
    spoil: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None,
    **options: Any,
) -> Log:
    """Train, and keep what every step says.

    Args:
        model, data, optimizer, epochs: as in `rnnlib.training.train`.
        limit: the global norm at which gradients are clipped; infinity: they are only measured.
        schedule: what the rate is multiplied with; None: 1.
        spoil: what a faulty program does to the gradients before they are used.
        options: others of `train`, such as validation and seed.
    """
    norms: list[float] = []
    schedule = schedule or constant()

    def clip(gradients: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
        clipped, norm = clip_by_global_norm(spoil(gradients) if spoil else gradients, limit)
        norms.append(norm)
        return clipped, norm

    kept, diverged = _Losses(), True
    with np.errstate(all="ignore"), contextlib.suppress(FloatingPointError):  # some runs are here because they overflow
        train(model, data, optimizer, epochs=epochs, clip=clip, schedule=schedule, reports=[kept], **options)
        diverged = False
    taken = len(kept.losses)
    rates = optimizer.learning_rate * np.array([schedule(t) for t in range(taken)])
    return Log(np.array(kept.losses), np.array(norms[:taken]), rates, kept.history, limit, len(data), diverged)


# ---- the small task ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _documentation() -> tuple[np.ndarray, int]:
    """The whole text as ids, and how many kinds of characters it has."""
    text = python_documentation().lower()
    alphabet = {character: k for k, character in enumerate(sorted(set(text)))}
    return np.array([alphabet[character] for character in text]), len(alphabet)


def piece(seed: int, characters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """A piece of the text: ids for training, for validation and for the test, one after the other, and V."""
    ids, V = _documentation()
    whole = characters + 2 * JUDGED
    start = int(np.random.default_rng(seed).integers(0, len(ids) - whole))
    parts = np.split(ids[start : start + whole], [characters, characters + JUDGED])
    return parts[0], parts[1], parts[2], V


OPTIMIZERS: dict[str, Callable[[dict[str, np.ndarray], float], Optimizer]] = {
    "SGD": SGD,
    "momentum": lambda parameters, rate: SGD(parameters, rate, momentum=0.9),
    "RMSprop": RMSprop,
    "Adam": Adam,
}
CORRECTED = "corrected"  # Adam that averages no gradients is RMSprop whose start is corrected
RULES = OPTIMIZERS | {CORRECTED: lambda parameters, rate: Adam(parameters, rate, betas=(0.0, 0.99))}
SCHEDULES = "constant", "warm-up", "cosine", "both"


def schedule(name: str, steps: int) -> Schedule:
    """A schedule of so many steps by its name; warm-up takes the first tenth of them."""
    rise = max(1, steps // 10)
    made: dict[str, Callable[[], Schedule]] = {
        "constant": constant,
        "warm-up": lambda: linear_warmup(rise),
        "cosine": lambda: cosine_decay(steps),
        "both": lambda: linear_warmup(rise, cosine_decay(steps - rise)),
    }
    return made[name]()


class Trained(NamedTuple):
    """A run of the small task and what it is judged by; a run that diverged knows nothing: its losses are ln V."""

    log: Log
    validation: float
    test: float


def read(
    seed: int,
    epochs: int,
    optimizer: str = "Adam",
    rate: float = 0.01,
    *,
    plan: str = "constant",
    limit: float = 1.0,
    layer: str = "gru",
    nonlinearity: str = "",
    scale: float = 1.0,
) -> Trained:
    """Train on a seed's piece of text.

    Args:
        seed: of the piece and of the first parameters.
        epochs: of WINDOWS steps each.
        optimizer, plan: names from RULES and SCHEDULES.
        rate, limit: the learning rate, and the global norm at which gradients are clipped.
        layer, nonlinearity: of the model.
        scale: what its first recurrent weights are multiplied with.
    """
    learn, validate, test, V = piece(seed, ROWS * WINDOW * WINDOWS + ROWS)
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    model = LanguageModel(V, layer, hidden_size=UNITS, embedding_size=12, dtype=np.float32, rng=seed, **options)
    model.parameters["rnn.weight_hh_l0"] *= scale
    data = Stream(learn, ROWS, WINDOW)
    log = logged(
        model, data, RULES[optimizer](model.parameters, rate), epochs=epochs, limit=limit,
        schedule=schedule(plan, epochs * len(data)), seed=seed,
    )  # fmt: skip
    judged = (math.log(V), math.log(V)) if log.diverged else tuple(_judged(model, ids) for ids in (validate, test))
    return Trained(log, judged[0], judged[1])


def _judged(model: LanguageModel, ids: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return min(evaluate(model, Stream(ids, ROWS, 50)), 1e3)


def curve(losses: np.ndarray) -> np.ndarray:
    """The mean loss of every BLOCK steps."""
    whole = len(losses) // BLOCK * BLOCK
    return losses[:whole].reshape(-1, BLOCK).mean(axis=1)


# ---- rates -----------------------------------------------------------------------------------------------------------

RATES = {
    "SGD": (0.1, 0.3, 1.0, 3.0, 10.0),
    "momentum": (0.01, 0.03, 0.1, 0.3, 1.0),
    "RMSprop": (0.001, 0.003, 0.01, 0.03, 0.1),
    "Adam": (0.001, 0.003, 0.01, 0.03, 0.1),
}


def arm(optimizer: str, rate: float, plan: str = "constant") -> str:
    """The name of an arm of `rates`."""
    return f"{optimizer} {rate:g} {plan}"


def _rates(name: str, seed: int, full: bool) -> Measures:
    optimizer, rate, plan = name.split()
    epochs = 4 if full else 2
    run = read(seed, epochs, optimizer, float(rate), plan=plan)
    drawn = np.full(epochs * WINDOWS // BLOCK, math.log(_documentation()[1]))  # a run that diverged knows nothing
    known = curve(run.log.losses)
    drawn[: len(known)] = known
    return {"validation": run.validation, "test": run.test, "curve": drawn.tolist()}


rates = Study(
    "rates",
    "Which rate suits which optimiser, and what does a schedule change?",
    tuple(arm(*each, plan) for plan in SCHEDULES for each in ((o, r) for o in RATES for r in RATES[o])),
    _rates,
    quick=2,
    full=3,
)


def chosen(results: Results, optimizer: str, plan: str = "constant") -> float:
    """The rate with the lowest mean validation loss, among those of a search; the test losses are not looked at."""
    return min(RATES[optimizer], key=lambda rate: results.values(arm(optimizer, rate, plan), "validation").mean())


# What the kept run of `rates` chooses; a test says so.
CHOSEN = {"SGD": 3.0, "momentum": 0.3, "RMSprop": 0.01, "Adam": 0.03}
FRESH = 100  # the first seed of the studies that use what `rates` chose: none of them took part in the choice


def _optimizers(name: str, seed: int, full: bool) -> Measures:
    run = read(FRESH + seed, 4 if full else 2, name, CHOSEN[name])
    return {"validation": run.validation, "test": run.test}


optimizers = Study(
    "optimizers",
    "Which optimiser reads best, each at the rate that was chosen for it?",
    tuple(CHOSEN),
    _optimizers,
    quick=2,
)


def _start(name: str, seed: int, full: bool) -> Measures:
    rule, rate = name.split()
    return {"test": read(FRESH + seed, 4 if full else 2, rule, float(rate)).test}


start = Study(
    "start",
    "How much of RMSprop's lead comes from its uncorrected start?",
    ("RMSprop 0.01", f"{CORRECTED} 0.01", f"{CORRECTED} 0.03"),
    _start,
    quick=2,
)


# ---- schedules and clipping ------------------------------------------------------------------------------------------

HIGH = 0.1  # a rate that is too high for Adam without a schedule


def _schedules(name: str, seed: int, full: bool) -> Measures:
    rate, plan = name.split(" ", 1)
    run = read(FRESH + seed, 4 if full else 1, "Adam", float(rate), plan=plan)
    return {"test": run.test}


schedules = Study(
    "schedules",
    "Do warm-up and cosine decay help Adam, at the chosen rate and at one that is too high?",
    tuple(f"{rate:g} {plan}" for rate in (CHOSEN["Adam"], HIGH) for plan in SCHEDULES),
    _schedules,
    quick=2,
)

RISKS: dict[str, dict[str, Any]] = {
    "GRU, Adam": {"rate": CHOSEN["Adam"]},
    "GRU, SGD": {"optimizer": "SGD", "rate": CHOSEN["SGD"]},
    "ReLU, SGD": {"optimizer": "SGD", "rate": 1.0, "layer": "rnn", "nonlinearity": "relu", "scale": 1.5},
}
LIMITS = {"none": math.inf, "1": 1.0, "0.5": 0.5, "0.05": 0.05}


def _clipping(name: str, seed: int, full: bool) -> Measures:
    network, limit = name.split(", clip ")
    run = read(FRESH + seed, 3 if full else 1, limit=LIMITS[limit], **RISKS[network])
    return {"test": run.test, "diverged": float(run.log.diverged), "clipped": float((run.log.norms > 1).mean())}


clipping = Study(
    "clipping",
    "Does clipping help, in a calm network and in one that explodes?",
    tuple(f"{network}, clip {limit}" for network in RISKS for limit in LIMITS),
    _clipping,
    quick=2,
    full=8,
)


# ---- windows ---------------------------------------------------------------------------------------------------------


class Forgetful(Data):
    """The windows of a stream, each read from a state of zeros."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def epoch(self, rng: np.random.Generator) -> Any:
        return self.stream.epoch(rng)

    def __len__(self) -> int:
        return len(self.stream)

    def describe(self) -> dict[str, Any]:
        return self.stream.describe() | super().describe()


LENGTHS = 4, 16, 64, 256


def _windows(name: str, seed: int, full: bool) -> Measures:
    T, how = name.split()
    read_at_once, steps = (1024, 100) if full else (512, 15)  # characters of an update, and updates, for every length
    N = read_at_once // int(T)
    learn, _, test, V = piece(FRESH + seed, read_at_once * steps + N)
    model = LanguageModel(V, "gru", hidden_size=UNITS, embedding_size=12, dtype=np.float32, rng=seed)
    data: Data = Stream(learn, N, int(T))
    if how == "zeros":
        data = Forgetful(data)  # type: ignore[arg-type]
    logged(model, data, Adam(model.parameters, CHOSEN["Adam"]), epochs=1, limit=1.0)
    return {"test": _judged(model, test)}


windows = Study(
    "windows",
    "How far back must a gradient reach in text, and does it help to carry the state?",
    tuple(f"{T} {how}" for how in ("carried", "zeros") for T in LENGTHS),
    _windows,
    quick=2,
    full=6,
)

BLANKS = 4, 8  # the fewest and the most between a key and its question
REACHES = 4, 8, 16, 32


def keys(rounds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """SYNTHETIC: a key, a or b; blanks; a question mark; the same key; and so on.

    Args:
        rounds: how many questions.
        rng: draws keys, and how many blanks.

    Returns:
        ids (L,): 0 and 1 the keys, 2 the blank, 3 the question; and where (L,) an id is an answer.
    """
    drawn = zip(rng.integers(2, size=rounds), rng.integers(BLANKS[0], BLANKS[1] + 1, rounds), strict=True)
    ids = np.concatenate([[key, *[2] * blanks, 3, key] for key, blanks in drawn])
    return ids, np.append(False, ids[:-1] == 3)


def remember(seed: int, T: int, steps: int = 150) -> tuple[Log, float, float]:
    """Train on keys in windows of T steps: the log, the share of right answers, and their mean loss in nats."""
    read_in_all = 32 * T * steps + 1
    ids, _ = keys(read_in_all // (BLANKS[0] + 3) + 1, np.random.default_rng(seed))
    model = LanguageModel(4, "gru", hidden_size=16, embedding_size=4, dtype=np.float32, rng=seed)
    data = Stream(ids[:read_in_all], 32, T)
    log = logged(model, data, Adam(model.parameters, 0.03), epochs=1, limit=1.0)
    asked, answers = keys(400, np.random.default_rng(FRESH + seed))
    logits = model.logits(asked[:-1, None])[0][answers[1:], 0]
    key = asked[answers]
    margin = (logits[:, 0] - logits[:, 1]) * np.where(key == 0, 1, -1)
    return log, float((margin > 0).mean()), float(np.logaddexp(0, -margin).mean())


def _recall(name: str, seed: int, full: bool) -> Measures:
    _, right, loss = remember(seed, int(name), 300 if full else 150)
    return {"right": right, "loss": loss}


recall = Study(
    "recall",
    "A key is asked for at most 9 steps later: how long must a window be?",
    tuple(map(str, REACHES)),
    _recall,
    quick=2,
    full=6,
)


# ---- early stopping --------------------------------------------------------------------------------------------------

PATIENCE = 3


def overfitting(seed: int, epochs: int, patience: int | None = None) -> tuple[LanguageModel, Log, float]:
    """A GRU with far more parameters than its text has characters: the model, its log, its test loss."""
    learn, validate, test, V = piece(seed, 8 * WINDOW * 12 + 8)
    model = LanguageModel(V, "gru", hidden_size=40, embedding_size=16, dtype=np.float32, rng=seed)
    log = logged(
        model, Stream(learn, 8, WINDOW), Adam(model.parameters, 0.02), epochs=epochs, limit=1.0,
        validation=Stream(validate, 8, 100), patience=patience,
    )  # fmt: skip
    return model, log, _judged(model, test)


def _stopping(name: str, seed: int, full: bool) -> Measures:
    stops = name == "early stopping"
    _, log, test = overfitting(FRESH + seed, 25 if full else 12, PATIENCE if stops else None)
    return {"test": test, "epochs": float(len(log.history))}


stopping = Study(
    "stopping",
    "What does stopping early save, in loss and in time?",
    ("to the end", "early stopping"),
    _stopping,
    quick=2,
    full=8,
)


# ---- symptoms --------------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A run and how it came out: a loss that is comparable between a sick run and its remedied one."""

    log: Log
    outcome: float


def _reads(ill: dict[str, Any], cured: dict[str, Any], epochs: int = 2) -> Callable[[int, bool], Seen]:
    def run(seed: int, remedy: bool) -> Seen:
        trained = read(seed, epochs, **(cured if remedy else ill))
        return Seen(trained.log, trained.validation)

    return run


def _kept_gradients(seed: int, remedy: bool) -> Seen:
    """A program that forgets to clear the gradients of the steps before."""
    learn, validate, _, V = piece(seed, ROWS * WINDOW * WINDOWS + ROWS)
    model = LanguageModel(V, "gru", hidden_size=UNITS, embedding_size=12, dtype=np.float32, rng=seed)
    sums: dict[str, np.ndarray] = {}

    def never_cleared(gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, gradient in gradients.items():
            sums[name] = sums.get(name, 0) + gradient
        return dict(sums)

    data, sgd = Stream(learn, ROWS, WINDOW), SGD(model.parameters, 1.0)
    log = logged(model, data, sgd, epochs=2, spoil=None if remedy else never_cleared)
    return Seen(log, _judged(model, validate))


def _short_window(seed: int, remedy: bool) -> Seen:
    log, _, loss = remember(seed, 16 if remedy else 4)
    return Seen(log, loss)


def _overfits(seed: int, remedy: bool) -> Seen:
    _, log, test = overfitting(seed, 12, PATIENCE if remedy else None)
    return Seen(log, test)


def _series(seed: int, steps: int) -> np.ndarray:
    """SYNTHETIC: a noisy wave of size 1, (steps,)."""
    noise = np.random.default_rng(seed).normal(size=steps)
    return (np.sin(0.3 * np.arange(steps)) + 0.1 * noise).astype(np.float32)


def _forecasts(seed: int, learn: np.ndarray, unit: float = 1.0) -> Seen:
    """Train on a series; the outcome is the squared error on a clean one of the same unit, over its variance."""
    model = StepForecaster(1, "rnn", hidden_size=16, dtype=np.float32, rng=seed)
    log = logged(model, Stream(learn[:, None], 8, 16), SGD(model.parameters, 0.1), epochs=3, limit=1.0)
    clean = unit * _series(FRESH + seed, 2001)
    return Seen(log, evaluate(model, Stream(clean[:, None], 8, 50)) / float(clean.var()))


def _bad_batch(seed: int, remedy: bool) -> Seen:
    series = _series(seed, 8 * 16 * 20 + 8)
    if not remedy:
        series[1000:1010] *= 200
    return _forecasts(seed, series)


def _not_scaled(seed: int, remedy: bool) -> Seen:
    unit = 1.0 if remedy else 1000.0
    return _forecasts(seed, unit * _series(seed, 8 * 16 * 20 + 8), unit)


class _Sorted(Sequences):
    """Sequences in the order of their labels, every epoch."""

    def epoch(self, rng: np.random.Generator) -> Any:
        order = np.argsort(self.targets, kind="stable")
        for k in range(0, len(order), self.batch_size):
            chosen = order[k : k + self.batch_size]
            positions = len(self.inputs) * len(chosen)
            yield Batch((self.inputs[:, chosen], self.targets[chosen]), positions, positions)


def _in_order(seed: int, remedy: bool) -> Seen:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 640, 1)).astype(np.float32)
    labels = (x.sum(axis=0)[:, 0] > 0).astype(int)
    model = SequenceClassifier(2, "gru", input_size=1, hidden_size=8, dtype=np.float32, rng=seed)
    kind = Sequences if remedy else _Sorted
    log = logged(
        model, kind(x[:, :480], labels[:480], batch_size=24), Adam(model.parameters, 0.03), epochs=3, limit=1.0
    )
    return Seen(log, evaluate(model, Sequences(x[:, 480:], labels[480:], batch_size=160)))


class Symptom(NamedTuple):
    """A row of the table.

    Attributes:
        shows: what the log says.
        disease: its name.
        remedy: what is changed.
        outcome: what the runs are judged by.
        run: (seed, with the remedy) -> Seen.
    """

    shows: str
    disease: str
    remedy: str
    outcome: str
    run: Callable[[int, bool], Seen]


_RELU: dict[str, Any] = {"optimizer": "SGD", "rate": 1.0, "layer": "rnn", "nonlinearity": "relu", "scale": 2.0}
SYMPTOMS = (
    Symptom(
        "norm through many powers of ten, then nothing", "exploding gradient", "clip at 1", "validation loss",
        _reads({**_RELU, "limit": math.inf}, _RELU),
    ),
    Symptom(
        "loss jumps and stays high", "rate too high", "a tenth of the rate", "validation loss",
        _reads({"rate": 0.3}, {"rate": 0.03}),
    ),
    Symptom(
        "loss falls, smooth and slow; norms calm", "rate too low", "thirty times the rate", "validation loss",
        _reads({"rate": 0.001}, {"rate": 0.03}),
    ),
    Symptom(
        "norms calm, yet every step clipped; loss creeps", "limit too low", "a limit of 1", "validation loss",
        _reads({"optimizer": "SGD", "rate": 3.0, "limit": 0.02}, {"optimizer": "SGD", "rate": 3.0}),
    ),
    Symptom(
        "loss falls, then rises while the norm grows step by step", "gradients never cleared", "clear them",
        "validation loss", _kept_gradients,
    ),
    Symptom(
        "training loss falls on, validation loss rises", "overfitting", "stop early", "test loss", _overfits,
    ),
    Symptom(
        "all calm, and what lies far back is never learned", "window too short", "a longer window",
        "loss of the answers", _short_window,
    ),
    Symptom(
        "a spike at the same batch of every epoch", "bad batch", "mend the data", "error / variance", _bad_batch,
    ),
    Symptom(
        "loss in thousands or more, every step clipped", "inputs not scaled", "scale them",
        "error / variance", _not_scaled,
    ),
    Symptom(
        "loss swings in time with the epoch", "data in order", "shuffle", "validation loss", _in_order,
    ),
)  # fmt: skip


def _symptoms(name: str, seed: int, full: bool) -> Measures:
    disease, how = name.split(": ")
    row = next(row for row in SYMPTOMS if row.disease == disease)
    return {"outcome": row.run(FRESH + seed, how == "remedy").outcome}


symptoms = Study(
    "symptoms",
    "Does each remedy of the table of symptoms help?",
    tuple(f"{row.disease}: {how}" for row in SYMPTOMS for how in ("ill", "remedy")),
    _symptoms,
    quick=2,
    full=5,
)
