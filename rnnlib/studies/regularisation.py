"""The studies of lesson 11: which regulariser helps a network that has too little data, and by how much.

One task: who speaks, of nine men? Two layers of GRU learn from ten utterances of each, until they know them by heart. A
seed has its own ten, its own validation utterances and first parameters, and shares them with every arm; the test
utterances, of other occasions, are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths
from rnnlib.data.labelled import Labelled, japanese_vowels
from rnnlib.layers import DropoutCache, dropout_backward, dropout_forward
from rnnlib.models import Model, SequenceClassifier
from rnnlib.optim import Adam, AdamW, Optimizer
from rnnlib.recurrent import GRU, RNN, scan
from rnnlib.recurrent.stack import Stack
from rnnlib.studies.study import Measures, Results, Study
from rnnlib.training import Batch, Data, Sequences, evaluate, train

SPEAKERS, UNITS, LAYERS = 9, 16, 2
EACH = 10  # utterances of each speaker, to learn from; as many for validation
RATE, BLOCKS, BLOCK = 0.01, 10, 4  # epochs are BLOCKS times BLOCK; the losses are looked at after each block

# ---- dropout that is drawn anew at every step ------------------------------------------------------------------------


class Step(NamedTuple):
    """What one step of `Redrawn` leaves for its way back."""

    dropped: DropoutCache
    cell: Any


class RedrawnCache(NamedTuple):
    steps: list[Step]
    lengths: np.ndarray


class Redrawn(Stack):
    """A stack that drops entries of the state anew at every step: what one should not do.

    Args:
        recurrent_dropout: the probability that an entry of the state is dropped at a step.
        weights_only: drop only what the recurrent weights see, as variational dropout does; otherwise the state itself,
            so that what goes on around the weights, as in a GRU, is lost as well.
        options: those of the layer; none that needs its slow form.
    """

    def __init__(self, *sizes: int, recurrent_dropout: float, weights_only: bool = False, **options: Any) -> None:
        self.recurrent_dropout, self.weights_only = recurrent_dropout, weights_only
        super().__init__(*sizes, **options)

    def sweep(
        self, sweep: int, x: np.ndarray, states: list[np.ndarray], lengths: ArrayLike | None, seeds: list[int] | None
    ) -> tuple[Any, ...]:
        if seeds is None:
            return super().sweep(sweep, x, states, lengths, seeds)
        weights, (T, N, _) = [self.parameters[name] for name in self.names(sweep)], x.shape
        whole = check_lengths(np.full(N, T) if lengths is None else lengths, T, N)
        rng = np.random.default_rng(seeds)
        h, outputs, steps = states[0], [], []
        for t in range(T):
            goes_on = whole > t  # a sequence that is over keeps its state
            now, ends, options = x[t : t + 1], goes_on.astype(np.int64), self.cell_options()
            if self.weights_only:
                # h_t = cell(x_t, h_{t-1}), whose W_hh sees m_t ⊙ h_{t-1} / (1 - p)
                mask, dropped = dropout_forward(np.ones_like(h), self.recurrent_dropout, rng)
                whole_step = scan.forward(
                    self.cell, now, [h], weights, ends, reverse=False, hidden_mask=mask, **options
                )
            else:
                # h_t = cell(x_t, m_t ⊙ h_{t-1} / (1 - p))
                seen, dropped = dropout_forward(h, self.recurrent_dropout, rng)
                whole_step = self.cell.forward(now, seen, *weights, ends, **options)
            hs, new, cache = whole_step
            h = np.where(goes_on[:, None], new, h)
            outputs.append(hs[0])
            steps.append(Step(dropped, cache))
        return np.stack(outputs), h, RedrawnCache(steps, whole)

    def sweep_backward(self, dhs: np.ndarray, last: Sequence[np.ndarray], cache: Any) -> Sequence[np.ndarray]:
        if not isinstance(cache, RedrawnCache):
            return super().sweep_backward(dhs, last, cache)
        (steps, whole), dh, dx = cache, last[0], []
        totals: list[np.ndarray] = []
        for t, step in reversed(list(enumerate(steps))):
            goes_on = (whole > t)[:, None]
            d_new = [np.where(goes_on, dh, 0)]
            part, through, *gradients = super().sweep_backward(dhs[t : t + 1], d_new, step.cell)
            if not self.weights_only:
                through = dropout_backward(through, step.dropped)
            dh = np.where(goes_on, through, dh)
            dx.append(part[0])
            totals = [a + b for a, b in zip(totals, gradients, strict=True)] if totals else list(gradients)
        return [np.stack(dx[::-1]), dh, *totals]


class RedrawnRNN(Redrawn, RNN):
    """An RNN with `Redrawn`'s dropout."""


class RedrawnGRU(Redrawn, GRU):
    """A GRU with `Redrawn`'s dropout."""


# ---- noise on the data -----------------------------------------------------------------------------------------------


class Noisy(Data):
    """Sequences of numbers that look a little different every time.

    Args:
        clean: what is read.
        jitter: the spread of the noise added to every number.
        frame_dropout: the probability that all numbers of a step are zero.
    """

    def __init__(self, clean: Sequences, *, jitter: float = 0.0, frame_dropout: float = 0.0) -> None:
        self.clean, self.jitter, self.frame_dropout = clean, jitter, frame_dropout

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        for batch in self.clean.epoch(rng):
            x, *rest = batch.arguments
            there = rng.random((*x.shape[:2], 1)) >= self.frame_dropout
            noise = self.jitter * rng.normal(size=x.shape).astype(x.dtype)
            yield batch._replace(arguments=(np.where(there, x + noise, 0).astype(x.dtype), *rest))

    def __len__(self) -> int:
        return len(self.clean)

    def describe(self) -> dict[str, Any]:
        return self.clean.describe() | {"jitter": self.jitter, "frame_dropout": self.frame_dropout}


# ---- the task --------------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What a seed learns from, is chosen by and is judged by; every feature has mean 0 and spread 1 in `learn`."""

    learn: Sequences
    validation: Sequences
    test: Sequences


def parts(seed: int) -> Parts:
    """EACH utterances of every speaker to learn from, as many others for validation, and all of the donors' test."""
    known, test = japanese_vowels()
    rng = np.random.default_rng(seed)
    mixed = [rng.permutation(np.flatnonzero(known.labels == speaker)) for speaker in range(SPEAKERS)]
    learn, validation = (
        _some(known, np.concatenate([m[at] for m in mixed])) for at in (slice(EACH), slice(EACH, 2 * EACH))
    )
    frames = np.concatenate([learn.x[:n, i] for i, n in enumerate(learn.lengths)])
    mean, spread = frames.mean(axis=0), frames.std(axis=0)
    made = []
    for part, size in ((learn, 30), (validation, 90), (test, 370)):
        x = ((part.x - mean) / spread).astype(np.float32)
        made.append(Sequences(x, part.labels, part.lengths, batch_size=size))
    return Parts(*made)


def _some(of: Labelled, chosen: np.ndarray) -> Labelled:
    return Labelled(of.x[:, chosen], of.lengths[chosen], of.labels[chosen])


# What each regulariser was tried with. Spreads of the noise are in spreads of the features.
RATES = (0.1, 0.2, 0.4, 0.6)
STRENGTHS: dict[str, tuple[float, ...]] = {
    "input dropout": RATES,
    "dropout": RATES,
    "recurrent dropout": RATES,
    "variational dropout": RATES,
    "zoneout": RATES,
    "weight decay": (0.1, 0.3, 1.0, 3.0),
    "L2 in Adam": (0.0003, 0.001, 0.003, 0.01),
    "jitter": (0.2, 0.4, 0.8, 1.2),
    "frame dropout": RATES,
}
PLAIN = "nothing"
REDRAWN = "variational, but redrawn"  # in the same places and as strong, with a mask for each step


def model(method: str, strength: float, seed: int) -> Model:
    """The two layers with one regulariser; those that act on data or in the optimiser leave it as it is."""
    options: dict[str, Any] = {"input_size": 12, "hidden_size": UNITS, "num_layers": LAYERS, "dtype": np.float32}
    if method in ("recurrent dropout", REDRAWN):
        rng = np.random.default_rng(seed)
        everywhere: dict[str, Any] = {"weights_only": True, "dropout": strength} if method == REDRAWN else {}
        layer = RedrawnGRU(12, UNITS, LAYERS, recurrent_dropout=strength, dtype=np.float32, rng=rng, **everywhere)
        inputs = strength if method == REDRAWN else 0.0
        return SequenceClassifier(SPEAKERS, layer, input_dropout=inputs, dtype=np.float32, rng=rng)
    own: dict[str, dict[str, Any]] = {
        "input dropout": {"input_dropout": strength},
        "dropout": {"dropout": strength, "output_dropout": strength},
        "variational dropout": {"variational_dropout": strength},
        "zoneout": {"zoneout": strength},
        "layer norm": {"layer_norm": True},
    }
    return SequenceClassifier(SPEAKERS, "gru", rng=seed, **options, **own.get(method, {}))


def optimizer(method: str, strength: float, parameters: dict[str, np.ndarray]) -> Optimizer:
    """Adam; with weight decay AdamW, and with L2 the Adam whose gradient has the decay in it."""
    if method == "weight decay":
        return AdamW(parameters, RATE, weight_decay=strength)
    return Adam(parameters, RATE, weight_decay=strength if method == "L2 in Adam" else 0.0)


class Run(NamedTuple):
    """A model, and its losses in evaluation after every block of epochs: (BLOCKS,) each, in nats."""

    model: Model
    learned: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def run(method: str, strength: float, seed: int, blocks: int = BLOCKS) -> Run:
    """Train with one regulariser.

    Args:
        method: one of STRENGTHS, REDRAWN, NORM or PLAIN.
        strength: of it; read by those of STRENGTHS and by REDRAWN.
        seed: of the utterances, the first parameters, the order, and all that is dropped.
        blocks: of BLOCK epochs.
    """
    data, net = parts(seed), model(method, strength, seed)
    rule = optimizer(method, strength, net.parameters)
    own = {"jitter": "jitter", "frame dropout": "frame_dropout"}
    learn: Data = Noisy(data.learn, **{own[method]: strength}) if method in own else data.learn
    losses = []
    for block in range(blocks):
        train(net, learn, rule, epochs=BLOCK, clip=1.0, seed=1000 * seed + block)
        losses.append([evaluate(net, part) for part in data])
    return Run(net, *np.array(losses).T)


# ---- the studies -----------------------------------------------------------------------------------------------------


def arm(method: str, strength: float) -> str:
    """The name of an arm of `strengths`."""
    return f"{method} {strength:g}"


def _strengths(name: str, seed: int, full: bool) -> Measures:
    method, strength = (PLAIN, 0.0) if name == PLAIN else (name.rsplit(" ", 1)[0], float(name.rsplit(" ", 1)[1]))
    done = run(method, strength, seed, BLOCKS if full else 2)
    return {
        "learned": done.learned[-1],
        "validation": done.validation[-1],
        "learned curve": done.learned.tolist(),
        "validation curve": done.validation.tolist(),
    }


strengths = Study(
    "strengths",
    "How strong should each regulariser be?",
    (PLAIN, *(arm(method, strength) for method, tried in STRENGTHS.items() for strength in tried)),
    _strengths,
    quick=2,
    full=3,
)


def chosen(results: Results, method: str) -> float:
    """The strength with the lowest mean validation loss; the test utterances are not looked at."""
    return min(STRENGTHS[method], key=lambda s: results.values(arm(method, s), "validation").mean())


# What the kept run of `strengths` chooses; a test says so.
CHOSEN = {
    "input dropout": 0.2,
    "dropout": 0.6,
    "recurrent dropout": 0.6,
    "variational dropout": 0.1,
    "zoneout": 0.2,
    "weight decay": 0.3,
    "L2 in Adam": 0.001,
    "jitter": 1.2,
    "frame dropout": 0.1,
}
FRESH = 100  # the first seed of the study that uses what `strengths` chose: none of them took part in the choice
STOPPED, NORM = "early stopping", "layer norm"


def _regularisers(name: str, seed: int, full: bool) -> Measures:
    strength = CHOSEN["variational dropout"] if name == REDRAWN else CHOSEN.get(name, 0.0)
    done = run(PLAIN if name == STOPPED else name, strength, FRESH + seed, BLOCKS if full else 2)
    last = int(done.validation.argmin()) if name == STOPPED else len(done.test) - 1
    return {
        "test": done.test[last],
        "learned": done.learned[last],
        "gap": done.validation[last] - done.learned[last],
    }


regularisers = Study(
    "regularisers",
    "Which regulariser helps, each at the strength that was chosen for it?",
    (PLAIN, *STRENGTHS, REDRAWN, NORM, STOPPED),
    _regularisers,
    quick=2,
    full=10,
)


# ---- a task that asks for memory -------------------------------------------------------------------------------------

WAIT, CARDS = 12, 4  # steps between the card and the question; how many cards there are
RECURRENT = (PLAIN, "recurrent dropout", REDRAWN, "variational dropout", "zoneout")


def cards(N: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """SYNTHETIC: a card is shown at the first step, then noise; which was it? x (1 + WAIT, N, CARDS), labels (N,)."""
    labels = rng.integers(CARDS, size=N)
    x = 0.2 * rng.normal(size=(1 + WAIT, N, CARDS))
    x[0] = np.eye(CARDS)[labels]
    return x.astype(np.float32), labels


def holding_loss(method: str, p: float, seed: int, epochs: int) -> float:
    """The loss in evaluation, on new sequences, of a GRU that learned to name the card with one kind of dropout.

    Args:
        method: one of RECURRENT; only the recurrence is dropped or held, but for variational dropout also the inputs.
        p: its strength.
        seed: of data and parameters.
        epochs: of 10 steps each.
    """
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {"dtype": np.float32, "rng": rng}
    if method in ("recurrent dropout", REDRAWN):
        layer: Stack = RedrawnGRU(CARDS, UNITS, recurrent_dropout=p, weights_only=method == REDRAWN, **options)
    else:
        if method != PLAIN:
            options[method.replace(" ", "_")] = p
        layer = GRU(CARDS, UNITS, **options)
    net = SequenceClassifier(CARDS, layer, dtype=np.float32, rng=rng)
    learn, new = (Sequences(*cards(N, rng), batch_size=size) for N, size in ((320, 32), (400, 400)))
    train(net, learn, Adam(net.parameters, 0.02), epochs=epochs, clip=1.0, seed=seed)
    return evaluate(net, new)


def _holding(name: str, seed: int, full: bool) -> Measures:
    return {"test": holding_loss(name, 0.2, seed, 20 if full else 12)}


holding = Study(
    "holding",
    "Which dropout in the recurrence breaks a memory that the task asks for?",
    RECURRENT,
    _holding,
    quick=2,
    full=10,
)
