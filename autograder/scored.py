"""The other kind of question: a model that learners train themselves, scored by how well it predicts what comes next.

There is no one right answer to compare with. A source whose probabilities are known writes contexts; learners answer
with a probability for every symbol; perplexity is measured here, on targets that never leave this side. Points lie
between what counting can reach and what nobody can beat: both are measured on the very same contexts.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from autograder import wire
from autograder.diagnose import Raised
from autograder.question import PUBLIC_SEED, Part
from autograder.verdict import Diagnosis, PartResult, Verdict

AGAIN = 200  # contexts that are asked about a second time, in another order and among others
SAME = 1e-3  # how far two answers to one context may lie apart: float32 in another batch is 1e-6
ROUNDING = {2: 1e-2}  # how far a row's sum may lie from 1, by bytes of the dtype; else
ROUNDED = 1e-3
ROOM = 4  # standard errors that grading allows beyond a bar that the public check pays without: luck costs nothing
TOO_LARGE = re.compile(r"array of shape \((\d{1,9}(?:, \d{1,9}){1,5})\), larger")
MOST_SAID = 1 << 40  # entries that an answer may claim to have had
MOST_ROOM = 0.02  # nats: what varies more than a good model does not buy leniency with it


@dataclass(frozen=True)
class Level(Part):
    """Points for a loss below a bar.

    The bar lies `share` of the way from one baseline's loss to another's, or to the source's own.

    Attributes:
        between: two names, of baselines; "" is the source.
    """

    between: tuple[str, str] = ("", "")
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Mistake:
    """A mistake that people really make, as what it leaves in the answers.

    Attributes:
        name: what reports call it.
        shows: whether it is there.
        says: for the learner: what the numbers show and what that suggests. Never a solution.
        read: the section of the question's lesson to read again.
    """

    name: str
    shows: Callable[[Seen], bool]
    says: str
    read: str


@dataclass(frozen=True, eq=False)
class Scored:
    """A function from contexts to probabilities, and everything needed to score it.

    Attributes:
        name: what `check` is called with, and the grade_id of its cell.
        title: for reports.
        V: how many symbols there are.
        draw_contexts: a generator of random numbers -> contexts (N, T) and targets (N,).
        source: contexts -> (N, V), the best prediction there is.
        baselines: contexts, targets -> nats (N,) by baseline, the worst first.
        levels: points by how far the loss has come, the easiest first.
        steady: points for the same answer to the same context; paid once the second level is reached.
        mistakes: looked for in this order; those of form before those of content.
        where: contexts, answers, targets -> in words, where the loss is, that a better memory would not have.
        lesson: file name of the lesson that teaches it.
    """

    name: str
    title: str
    V: int
    draw_contexts: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
    source: Callable[[np.ndarray], np.ndarray]
    baselines: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]]
    levels: tuple[Level, ...]
    steady: Part
    mistakes: tuple[Mistake, ...]
    where: Callable[[Seen], str]
    lesson: str
    arguments: tuple[str, ...] = ("contexts",)
    outputs: tuple[str, ...] = ("probabilities",)
    backward: None = None
    builds_on: tuple[str, ...] = ()

    @property
    def returned(self) -> tuple[tuple[str, ...], ...]:
        """The names of the outputs, function by function."""
        return (self.outputs,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """How the points are spread."""
        return (*self.levels, self.steady)

    @property
    def bugs(self) -> tuple[Mistake, ...]:
        """The mistakes, under the name that reports ask for."""
        return self.mistakes

    @property
    def points(self) -> float:
        """The most that can be earned."""
        return sum(part.points for part in self.parts)

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Contexts and targets of a seed; questions of one problem set draw independently."""
        return self.draw_contexts(np.random.default_rng([seed, zlib.crc32(self.name.encode())]))


@dataclass(frozen=True, eq=False)
class Trial:
    """What is asked from one seed, and everything that stays on this side: targets, and how hard they are.

    Attributes:
        contexts, targets: (N, T) and (N,).
        again: (AGAIN,), which contexts are asked about a second time.
        source: (N, V), the source's own probabilities.
        floor: (N,), nats that the source itself needs.
        baselines: nats (N,) by name.
    """

    contexts: np.ndarray
    targets: np.ndarray
    again: np.ndarray
    source: np.ndarray
    floor: np.ndarray
    baselines: Mapping[str, np.ndarray]

    def asked(self) -> list[np.ndarray]:
        """Each call's contexts: all; some again, in another order; the same call once more; one alone."""
        some = self.contexts[self.again]
        return [self.contexts, some, some, some[:1]]

    def encoded(self) -> list[list[list[dict[str, Any]]]]:
        """The inputs as data for `ask`."""
        return [[[wire.encode(contexts)]] for contexts in self.asked()]

    def bar(self, level: Level) -> np.ndarray:
        """What a level asks for: nats (N,)."""
        start, end = (self.baselines[name] if name else self.floor for name in level.between)
        return (1 - level.share) * start + level.share * end


@lru_cache(maxsize=4)
def trial(question: Scored, seed: int) -> Trial:
    """Draw the contexts of `seed`, and measure on them what the baselines and the source reach."""
    contexts, targets = question.draw(seed)
    again = np.random.default_rng([seed, len(targets)]).permutation(len(targets))[:AGAIN]
    source = question.source(contexts)
    floor = -np.log(source[np.arange(len(targets)), targets])
    return Trial(contexts, targets, again, source, floor, question.baselines(contexts, targets))


@dataclass(frozen=True, eq=False)
class Seen:
    """A learner's answers beside what is known: what a mistake is looked for in.

    Attributes:
        question, drawn: what was asked.
        came: the answer to all contexts, as it came.
        later: the answers to the later calls, as far as they are arrays.
        p: (N, V), the answer as probabilities, each row's sum made exactly 1; None where it is none.
    """

    question: Scored
    drawn: Trial
    came: np.ndarray
    later: Sequence[np.ndarray | None]
    p: np.ndarray | None

    def loss(self, p: np.ndarray) -> float:
        """Mean nats of probabilities (N, V), or of what else somebody may have meant; they may be off in sum."""
        with np.errstate(all="ignore"):
            p = p / p.sum(axis=1, keepdims=True)
            chosen = p[np.arange(len(p)), self.drawn.targets]
            return float(np.mean(-np.log(np.where(chosen > 0, chosen, 1e-12))))

    @cached_property
    def mean(self) -> dict[str, float]:
        """Mean nats of each baseline, and of the source as ""."""
        return {name: float(nats.mean()) for name, nats in self.drawn.baselines.items()} | {
            "": float(self.drawn.floor.mean())
        }


def judge(question: Scored, answers: Any, seed: int) -> Verdict:
    """Judge the answers to one question.

    Args:
        question: what was asked.
        answers: what `ask` collected, possibly forged or damaged: anything is judged, nothing raises.
        seed: the seed that the inputs were drawn from.
    """
    drawn = trial(question, seed)
    if not isinstance(answers, list) or len(answers) != len(drawn.asked()):
        return nothing(question, "The answers do not belong to this question's inputs.")
    first, *later = (_read(answer) for answer in answers)
    if isinstance(first, Raised):
        return nothing(question, _said(first))
    seen = Seen(
        question,
        drawn,
        first,
        [a if isinstance(a, np.ndarray) else None for a in later],
        _sound(question, drawn, first),
    )
    if seen.p is None:
        return nothing(question, *_explained(seen, _form(question, drawn, first)))
    chosen = seen.p[np.arange(len(seen.p)), drawn.targets]
    impossible = int((chosen <= 0).sum())
    if impossible:
        return nothing(question, *_explained(seen, _impossible(impossible, len(chosen))))
    return _scored(seen, -np.log(chosen), later, seed)


def nothing(question: Scored, reason: str, bugs: tuple[str, ...] = (), read: str = "") -> Verdict:
    """The verdict where no perplexity can be measured: no points, and the reason."""
    parts = tuple(PartResult(part.name, 0.0, part.points, reason) for part in question.parts)
    return Verdict(question.name, question.title, parts, Diagnosis(bugs, reason, read))


def _scored(seen: Seen, nats: np.ndarray, later: Sequence[np.ndarray | Raised], seed: int) -> Verdict:
    question, drawn = seen.question, seen.drawn
    perplexity = np.exp(nats.mean())
    results, reached = [], []
    for level in question.levels:
        bar = drawn.bar(level)
        over = nats - bar
        room = 0.0 if seed == PUBLIC_SEED else min(ROOM * over.std() / np.sqrt(len(over)), MOST_ROOM)
        reached.append(bool(over.mean() <= room))
        reason = "" if reached[-1] else f"Yours is {perplexity:.2f}; this needs {np.exp(bar.mean()):.2f} or less."
        results.append(PartResult(level.name, level.points * reached[-1], level.points, reason))
    changes = _unsteady(seen, later)
    unsteady = changes or ("" if reached[1] else "Pays once the level before the n-grams is reached.")
    steady = question.steady
    results.append(PartResult(steady.name, 0.0 if unsteady else steady.points, steady.points, unsteady))
    bugs: tuple[str, ...] = ()
    text, read = _standing(seen, nats), ""
    if not all(reached) or unsteady:
        said, bugs, read = _explained(seen, "")
        text = f"{text} {said or (changes and changes + ' ') + question.where(seen)}"
    return Verdict(question.name, question.title, tuple(results), Diagnosis(bugs, text, read))


def _standing(seen: Seen, nats: np.ndarray) -> str:
    """Perplexity, and between which two it lies, in words."""
    mine, floor = nats.mean(), seen.mean[""]
    names = list(seen.drawn.baselines)
    best = seen.mean[names[-1]]
    text = f"Perplexity {np.exp(mine):.2f} on {len(nats):,} contexts; the source itself has {np.exp(floor):.2f} here, "
    text += f"the best n-gram {np.exp(best):.2f}."
    if mine < best:
        return f"{text} Of the way between these two, your model has gone {100 * (best - mine) / (best - floor):.0f} %."
    worse = [name for name in names if seen.mean[name] > mine + 1e-9]
    return f"{text} It does better than: {worse[-1]}." if worse else f"{text} Nothing is won over a blind guess."


def _explained(seen: Seen, otherwise: str) -> tuple[str, tuple[str, ...], str]:
    """The first mistake that shows: what it says, its name, and where to read; or else a sentence."""
    for mistake in seen.question.mistakes:
        if mistake.shows(seen):
            return mistake.says, (mistake.name,), f"{seen.question.lesson}, “{mistake.read}”"
    return otherwise, (), ""


# What is raised, or said, about weights, and its usual cause.
CAUSES = {
    "FileNotFoundError": "The weights must lie beside the notebook, under just the name that it opens.",
    "allow_pickle=False": "The file holds Python objects, not arrays: save each array under a name of its own, "
    "np.savez(file, W=W, b=b), not a dict or a list as one.",
    "BadZipFile": "The file is no whole .npz: was it cut off, saved by something else than np.savez, or written anew "
    "since it was opened (then run the cell that opens it again)?",
    "pickled": "The file is no .npz of arrays: save it by np.savez.",
    "is not a file in the archive": "The file holds no array of that name: np.load(file).files lists those it holds.",
    "MemoryError": "What the file declares does not fit into memory.",
    "NameError": "Was it defined in the training cell? That one is not run when graded.",
    "ModuleNotFoundError": "When graded there are Python's standard library, NumPy and matplotlib, nothing else.",
}


# ---- reading -----------------------------------------------------------------------------------------------------


def _read(answer: Any) -> np.ndarray | Raised:
    """One call's answer as an array, or why there is none."""
    if isinstance(answer, dict) and isinstance(answer.get("raised"), dict):
        name, message, line = (answer["raised"].get(key) for key in ("type", "message", "line"))
        return Raised(
            name[:100] if isinstance(name, str) else "an error",
            message[:500] if isinstance(message, str) else "",
            line if type(line) is int and 0 <= line < 1_000_000 else 0,
        )
    try:
        value = wire.decode(answer.get("value") if isinstance(answer, dict) else None)
    except wire.WireError as error:
        return Raised("WireError", str(error), 0)
    if value is None:
        return Raised("WireError", "your function gave nothing back: does it end in `return ...`?", 0)
    value = _stacked(value)
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, wire.Refused) and (found := TOO_LARGE.match(value.type_name)):
        shape = tuple(map(int, found[1].split(", ")))
        if math.prod(shape) < MOST_SAID:
            return np.broadcast_to(0.0, shape)  # no memory: only its shape is looked at any more
    kind = value.type_name if isinstance(value, wire.Refused) else f"a list of {len(value)} things of different shapes"
    return Raised("WireError", f"probabilities should be one array of numbers; your function returned: {kind}", 0)


def _stacked(value: Any) -> Any:
    """A list of equal arrays, or of lists of them, is the array it stands for."""
    if not isinstance(value, tuple) or not value:
        return value
    rows = [_stacked(row) for row in value]
    alike = all(isinstance(row, np.ndarray) for row in rows) and len({row.shape for row in rows}) == 1
    return np.stack(rows) if alike else value


def _said(raised: Raised) -> str:
    """What was raised, and where it is about the weights, what usually causes it."""
    text = raised.sentence()
    for sign, cause in CAUSES.items():
        if sign == raised.type_name or sign in raised.message:
            return f"{text} {cause}"
    return text


def _sound(question: Scored, drawn: Trial, came: np.ndarray) -> np.ndarray | None:
    """The answer as probabilities, if it is: floats, (N, V), finite, not negative, rows that sum to 1."""
    if came.dtype.kind != "f" or came.shape != (len(drawn.targets), question.V) or not np.isfinite(came).all():
        return None
    p = came.astype(np.float64)
    off = ROUNDING.get(came.dtype.itemsize, ROUNDED)
    if p.min() < -1e-6 or np.abs(p.sum(axis=1) - 1).max() > off:
        return None
    p = np.maximum(p, 0)
    return p / p.sum(axis=1, keepdims=True)


def _form(question: Scored, drawn: Trial, came: np.ndarray) -> str:
    """What keeps an answer from being probabilities, in a sentence."""
    expected = (len(drawn.targets), question.V)
    if came.shape != expected:
        rows = "one row for each context, one column for each symbol"
        return f"probabilities has shape {came.shape}; expected {expected}: {rows}."
    if came.dtype.kind != "f":
        return f"probabilities came as {came.dtype}; expected floats."
    bad = ~np.isfinite(came)
    if bad.any():
        return f"probabilities holds nan or infinity, first in row {np.argwhere(bad)[0, 0]}."
    p = came.astype(np.float64)
    if p.min() < -1e-6:
        return f"probabilities holds numbers below 0, first in row {np.argwhere(p < -1e-6)[0, 0]}."
    sums = p.sum(axis=1)
    row = int(np.argmax(np.abs(sums - 1) > ROUNDING.get(came.dtype.itemsize, ROUNDED)))
    return f"Each row of probabilities must sum to 1; row {row} sums to {sums[row]:.4g}."


def _impossible(count: int, N: int) -> str:
    return (
        f"Your model gave probability 0 to what came next in {count} of {N:,} contexts: one such miss makes the "
        "perplexity infinite. A softmax never says 0; rounding, clipping and counts without smoothing do."
    )


def _unsteady(seen: Seen, later: Sequence[np.ndarray | Raised]) -> str:
    """Why two answers to one context are not the same, or nothing."""
    again = seen.drawn.again
    for answer, rows, call in zip(
        later,
        (again, again, again[:1]),
        ("fewer contexts, in another order", "the same call once more", "one context alone"),
        strict=True,
    ):
        if isinstance(answer, Raised):
            return f"Asked about {call}: {answer.sentence()}"
        if answer.shape != (len(rows), seen.question.V):
            return f"Asked about {call}, {len(rows)} in all: the answer has shape {answer.shape}."
        assert seen.p is not None
        if answer.dtype.kind != "f" or not np.abs(answer - seen.p[rows]).max() <= SAME:
            return f"Asked about {call}, your function gives other probabilities for the same contexts."
    return ""
