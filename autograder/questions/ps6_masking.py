"""Problem set 6: sequences of different lengths in one batch, and everything that must not see the padding (lesson 09).

Where several designs are right, a rule makes the answer one (zeros on padding, batches from short to long) or the
locked cell asks only for what all of them share (how ties are broken, the order within a batch). What stands in the
padding of what comes in is garbage or NaN, so that a mask which multiplies fails and one which chooses does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograder.question import Arrays, Backward, Bug, Case, Part, Question, with_upstream
from autograder.questions.padded import uneven, with_padding
from autograder.questions.ps6_masking_bugs import (
    BACKWARD_BUGS,
    BUCKETING,
    FORWARD_ALONE_BUGS,
    FORWARD_BUGS,
    LOSS_BUGS,
    MASK_ALONE_BUGS,
    MASK_BUGS,
    PADDING,
    REVERSAL,
)
from rnnlib import losses
from rnnlib.cells import rnn
from rnnlib.data import batching

LESSON = "09_masking.ipynb"
_WEIGHTS = ("W_ih", "W_hh", "b_ih", "b_hh")


# ---- pad -----------------------------------------------------------------------------------------------------------


def _sequences(rng: np.random.Generator, lengths: np.ndarray, D: int) -> Arrays:
    """All sequences' steps, one sequence after the other; one step is zero, as data may be."""
    steps = rng.normal(size=(lengths.sum(), D))
    steps[lengths.sum() - 1] = 0
    return steps, lengths


def _pad_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = Case("four sequences", _sequences(rng, uneven(rng, 6, 4), 3))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("as many sequences as steps", _sequences(rng, uneven(rng, 4, 4), 4))
    yield Case("arrays that are not contiguous", _sequences(rng, uneven(rng, 5, 3), 2), layout="strided")
    yield Case("one sequence", _sequences(rng, np.array([3]), 2), edge=True)
    yield Case("an empty sequence", _sequences(rng, np.array([2, 0, 4]), 2), edge=True)
    yield Case("all of one length", _sequences(rng, np.array([3, 3]), 2), edge=True, layout="F")


def _pad_model(steps, lengths):  # type: ignore[no-untyped-def]
    sequences = np.split(steps, np.cumsum(lengths)[:-1])
    N, D = len(sequences), steps.shape[1]
    T = max(len(s) for s in sequences)
    padded = np.zeros((T, N, D))
    lengths = np.array([len(s) for s in sequences])
    for n, s in enumerate(sequences):
        padded[: len(s), n] = s
    return padded, lengths


def _pad_reference(steps: np.ndarray, lengths: np.ndarray) -> Arrays:
    return batching.pad(np.split(steps, np.cumsum(lengths)[:-1]))


_PLACE, _SPLIT = "padded[: len(s), n] = s", "np.split(steps, np.cumsum(lengths)[:-1])"
PAD = Question(
    name="pad",
    title="Pad",
    arguments=("sequences",),
    outputs=("padded", "lengths"),
    axes={"padded": ("step", "sequence", "input"), "lengths": ("sequence",)},
    reference=_pad_reference,
    cases=_pad_cases,
    parts=(
        Part("padded", 1, ("padded",)),
        Part("lengths", 1, ("lengths",)),
        Part("one sequence, an empty one", 1, ("padded", "lengths"), edge=True),
    ),
    model=_pad_model,
    bugs=(
        Bug(
            "padded_in_front",
            {_PLACE: "padded[T - len(s) :, n] = s"},
            "Your padding stands in front. Here all sequences begin at step 0, and the padding follows.",
            PADDING,
        ),
        Bug(
            "batch_first",
            {"return padded,": "return padded.swapaxes(0, 1),"},
            "Your batch has sequences on its first axis. Time comes first: (T, N, D).",
            PADDING,
        ),
        Bug(
            "reshaped_in_place_of_swapped",
            {"return padded,": "return padded.swapaxes(0, 1).reshape(T, N, D),"},
            "Your batch has the right shape, and mixes the sequences: (N, T, D) became (T, N, D) by reshape, which "
            "deals the numbers out anew. Axes are exchanged by swapaxes, or by np.stack(..., axis=1) from the start.",
            PADDING,
        ),
        Bug(
            "cut_to_the_shortest",
            {"max(len(s) for": "min(len(s) for", _PLACE: "padded[: len(s), n] = s[:T]"},
            "Your batch ends with its shortest sequence: real steps are lost. (zip does so without a word.)",
            PADDING,
        ),
        Bug(
            "last_step_repeated",
            {_PLACE: "padded[: len(s), n], padded[len(s) :, n] = s, s[-1]"},
            "Your padding repeats each sequence's last step. Here it is zero.",
            PADDING,
        ),
        Bug(
            "sequence_repeated",
            {_PLACE: "padded[:, n] = np.resize(s, (T, D))"},
            "Your padding is the sequence once more, from its beginning (np.resize does that). Here it is zero.",
            PADDING,
        ),
        Bug(
            "padded_with_ones",
            {"np.zeros(": "np.ones("},
            "Your padding is 1. Here it is zero.",
            PADDING,
        ),
        Bug(
            "padded_with_minus_one",
            {"np.zeros(": "-np.ones("},
            "Your padding is -1. Here it is zero.",
            PADDING,
        ),
        Bug(
            "padded_with_nan",
            {"np.zeros(": "np.nan * np.ones("},
            "Your padding is NaN. That is a good way to find out who reads it; what is asked for here is zero.",
            PADDING,
        ),
        Bug(
            "one_step_too_many",
            {"max(len(s) for s in sequences)": "max(len(s) for s in sequences) + 1"},
            "Your batch has one step more than its longest sequence.",
            PADDING,
        ),
        Bug(
            "as_long_as_all_together",
            {"max(len(s) for s in sequences)": "len(steps)"},
            "Your batch has as many steps as all sequences together. It needs those of the longest.",
            PADDING,
        ),
        Bug(
            "fractions_cut_off",
            {"np.zeros((T, N, D))": "np.zeros((T, N, D), int)"},
            "Your batch holds whole numbers: fractions were cut off. np.zeros(shape) without a dtype is float.",
            PADDING,
        ),
        Bug(
            "last_step_lost",
            {_PLACE: "padded[: max(len(s) - 1, 0), n] = s[:-1]"},
            "In your batch the last step of each sequence is missing. A slice ends before its second number.",
            PADDING,
        ),
        Bug(
            "longest_first",
            {_SPLIT: f"sorted({_SPLIT}, key=len, reverse=True)"},
            "Your sequences are sorted, the longest first. They keep the order in which they came: somebody has labels "
            "in that order.",
            PADDING,
        ),
        Bug(
            "shortest_first",
            {_SPLIT: f"sorted({_SPLIT}, key=len)"},
            "Your sequences are sorted, the shortest first. They keep the order in which they came: somebody has "
            "labels in that order.",
            PADDING,
        ),
        Bug(
            "lengths_of_the_batch",
            {"np.array([len(s) for s in sequences])": "np.full(N, T)"},
            "Your lengths are those after padding, all T. What is asked for is how many steps each sequence had.",
            PADDING,
        ),
        Bug(
            "lengths_are_last_indices",
            {"np.array([len(s) for s in sequences])": "np.array([len(s) - 1 for s in sequences])"},
            "Your lengths are one too small: the number of the last step, counted from 0, is one less than how many "
            "there are.",
            PADDING,
        ),
        Bug(
            "lengths_count_numbers",
            {"np.array([len(s) for s in sequences])": "np.array([s.size for s in sequences])"},
            "Your lengths count all numbers of a sequence. A length counts steps, and each holds D numbers.",
            PADDING,
        ),
        Bug(
            "lengths_count_what_is_not_zero",
            {"    return padded, lengths": "    return padded, (padded != 0).any(axis=2).sum(axis=0)"},
            "Your lengths count the steps that are not zero. Data may be zero too: the length must be taken from the "
            "sequence before it is padded.",
            PADDING,
        ),
    ),
    lesson=LESSON,
)


# ---- mask ----------------------------------------------------------------------------------------------------------


def _mask_case(rng: np.random.Generator, name: str, lengths: np.ndarray, T: int, nan: bool, **how: object) -> Case:
    x = rng.normal(size=(T, len(lengths), 2))
    return Case(name, (with_padding(rng, x, lengths, nan), lengths), **how)  # type: ignore[arg-type]


def _mask_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _mask_case(rng, "T=6, N=4", uneven(rng, 6, 4), 6, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _mask_case(rng, "as many sequences as steps", uneven(rng, 4, 4), 4, nan=True)
    yield _mask_case(rng, "more steps than the longest sequence", uneven(rng, 4, 3), 6, nan=True, layout="strided")
    yield _mask_case(rng, "lengths of 0 and of T", np.array([0, 3, 1]), 3, nan=True, edge=True)
    yield _mask_case(rng, "one sequence", np.array([2]), 4, nan=True, edge=True)


def _mask_model(x, lengths):  # type: ignore[no-untyped-def]
    T = len(x)
    mask = np.arange(T)[:, None] < lengths
    return mask.astype(float), x[mask]


def _mask_reference(x: np.ndarray, lengths: np.ndarray) -> Arrays:
    valid = losses.valid_positions(x.shape[:2], lengths)
    return valid.astype(float), x[valid]


MASK = Question(
    name="valid_mask",
    title="The mask",
    arguments=("x", "lengths"),
    outputs=("mask", "x[mask]"),
    axes={"mask": ("step", "sequence"), "x[mask]": ("valid position", "input")},
    reference=_mask_reference,
    cases=_mask_cases,
    parts=(
        Part("mask", 1, ("mask",)),
        Part("what it chooses", 1, ("x[mask]",)),
        Part("lengths of 0 and of T, one sequence", 1, ("mask", "x[mask]"), edge=True),
    ),
    model=_mask_model,
    bugs=(*MASK_BUGS, *MASK_ALONE_BUGS),
    lesson=LESSON,
)


# ---- the masked recurrence -----------------------------------------------------------------------------------------


def _recurrent_case(
    rng: np.random.Generator, name: str, lengths: np.ndarray, T: int, D: int, H: int, nan: bool = True, **how: object
) -> Case:
    """x, h0, W_ih, W_hh, b_ih, b_hh, lengths, of a size at which tanh bends and is not saturated."""
    N = len(lengths)
    x, h0 = with_padding(rng, rng.normal(size=(T, N, D)), lengths, nan), rng.uniform(-0.9, 0.9, (N, H))
    W_ih, W_hh = rng.normal(0, 0.7 / np.sqrt(D), (H, D)), rng.normal(0, 0.9 / np.sqrt(H), (H, H))
    biases = rng.uniform(0.2, 0.6, (2, H)) * rng.choice([-1, 1], (2, H))
    return Case(name, (x, h0, W_ih, W_hh, *biases, lengths), **how)  # type: ignore[arg-type]


def _forward_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _recurrent_case(rng, "T=5, N=4, numbers in the padding", uneven(rng, 5, 4), 5, 3, 6, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _recurrent_case(rng, "NaN in the padding, and padding after every sequence", uneven(rng, 4, 3), 5, 2, 5)
    yield _recurrent_case(rng, "all sizes equal, not contiguous", uneven(rng, 4, 4), 4, 4, 4, layout="strided")
    yield _recurrent_case(rng, "lengths of 0 and of T", np.array([0, 4, 0, 2]), 4, 2, 3, edge=True)
    yield _recurrent_case(rng, "one sequence", np.array([2]), 4, 3, 4, edge=True, layout="F")


def _forward_model(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):  # type: ignore[no-untyped-def]
    T = len(x)
    mask = np.arange(T)[:, None] < lengths
    clean = np.where(mask[:, :, None], x, 0)
    h = h0
    hs = []
    for t in range(T):
        m = mask[t][:, None]
        new = np.tanh(clean[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        h = np.where(m, new, h)
        hs.append(np.where(m, h, 0))
    h_last = h
    return np.stack(hs), h_last


def _forward_reference(*arguments: np.ndarray) -> Arrays:
    hs, h_last, _ = rnn.forward(*arguments)
    return hs, h_last


_STATES = {"hs": ("step", "sequence", "unit"), "h_last": ("sequence", "unit")}
FORWARD = Question(
    name="masked_forward",
    title="Hold the state",
    arguments=("x", "h0", *_WEIGHTS, "lengths"),
    outputs=("hs", "h_last"),
    axes=_STATES,
    reference=_forward_reference,
    cases=_forward_cases,
    parts=(
        Part("hs", 2, ("hs",)),
        Part("h_last", 3, ("h_last",)),
        Part("lengths of 0 and of T, one sequence", 1, ("hs", "h_last"), edge=True),
    ),
    model=_forward_model,
    bugs=(*FORWARD_BUGS, *MASK_BUGS, *FORWARD_ALONE_BUGS),
    lesson=LESSON,
    builds_on=("valid_mask",),
)


# ---- and back ------------------------------------------------------------------------------------------------------


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    def gradients(case: Case) -> Arrays:
        x, h0, *_, lengths = case.inputs
        dhs = with_padding(rng, rng.normal(size=(len(x), *h0.shape)), lengths, nan=case.edge)
        return dhs, rng.normal(size=h0.shape)

    return with_upstream(_forward_cases(rng), gradients)


def _backward_model(x, h0, W_ih, W_hh, b_ih, b_hh, lengths, dhs, dh_last):  # type: ignore[no-untyped-def]
    T = len(x)
    mask = np.arange(T)[:, None] < lengths
    clean = np.where(mask[:, :, None], x, 0)
    h = h0
    hs, kept = [], []
    for t in range(T):
        m = mask[t][:, None]
        new = np.tanh(clean[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        kept.append((h, new, m))
        h = np.where(m, new, h)
        hs.append(np.where(m, h, 0))
    h_last = h
    dxs, dW_ih, dW_hh, db = [], 0, 0, 0
    dh = dh_last
    for t in reversed(range(T)):
        before, new, m = kept[t]
        arrived = np.where(m, dhs[t], 0) + dh
        dnew = np.where(m, arrived, 0)
        held = np.where(m, 0, arrived)
        da = dnew * (1 - new**2)
        dxs.append(da @ W_ih)
        dW_ih, dW_hh = dW_ih + da.T @ clean[t], dW_hh + da.T @ before
        db = db + da.sum(axis=0)
        dh = da @ W_hh + held
    return np.stack(hs), h_last, np.stack(dxs[::-1]), dh, dW_ih, dW_hh, db, (db + 0)


def _backward_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dhs, dh_last = arguments
    hs, h_last, cache = rnn.forward(*inputs)
    return hs, h_last, *rnn.backward(dhs, dh_last, cache)


_GRADIENTS = ("dx", "dh0", "dW_ih", "dW_hh", "db_ih", "db_hh")
BACKWARD = Question(
    name="masked_backward",
    title="And its way back",
    arguments=FORWARD.arguments,
    outputs=("hs", "h_last", *_GRADIENTS),
    axes={
        **_STATES,
        "dx": ("step", "sequence", "input"),
        "dh0": ("sequence", "unit"),
        "dW_ih": ("unit", "input"),
        "dW_hh": ("unit", "unit before"),
        "db_ih": ("unit",),
        "db_hh": ("unit",),
    },
    reference=_backward_reference,
    cases=_backward_cases,
    parts=(
        Part("dx", 2, ("dx",)),
        Part("dh0", 2, ("dh0",)),
        Part("weights and biases", 3, ("dW_ih", "dW_hh", "db_ih", "db_hh")),
        Part("lengths of 0 and of T, NaN in dhs, one sequence", 1, _GRADIENTS, edge=True),
    ),
    model=_backward_model,
    bugs=(*BACKWARD_BUGS, *FORWARD_BUGS, *MASK_BUGS),
    lesson=LESSON,
    backward=Backward("masked_forward", "masked_backward", ("dhs", "dh_last"), _GRADIENTS),
    builds_on=("valid_mask", "masked_forward"),
)


# ---- the masked loss -----------------------------------------------------------------------------------------------


def _loss_case(
    rng: np.random.Generator, name: str, lengths: np.ndarray, T: int, V: int, nan: bool = True, **how: object
) -> Case:
    """Half of the targets of real steps are 0; on padding stands a class where the logits are NaN, elsewhere -1."""
    N = len(lengths)
    targets = rng.integers(1, V, (T, N)) * rng.integers(0, 2, (T, N))
    targets[0] = np.arange(N) % V
    if not nan:
        targets[np.arange(T)[:, None] >= lengths] = -1
    return Case(name, (with_padding(rng, rng.normal(0, 1.5, (T, N, V)), lengths, nan), targets, lengths), **how)  # type: ignore[arg-type]


def _loss_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _loss_case(rng, "T=6, N=3, -1 in the targets' padding", uneven(rng, 6, 3), 6, 4, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _loss_case(rng, "NaN in the logits' padding, a class in the targets'", uneven(rng, 5, 4), 6, 3)
    yield _loss_case(rng, "all sizes equal, not contiguous", uneven(rng, 4, 4), 4, 4, layout="strided")
    yield _loss_case(rng, "lengths of 0 and of T", np.array([3, 0, 1]), 3, 4, edge=True)
    yield _loss_case(rng, "one step of one sequence", np.array([1]), 2, 3, edge=True, layout="F")
    logits, targets, lengths = _loss_case(rng, "", uneven(rng, 3, 2), 3, 4).inputs
    large = logits + rng.permutation([800.0, -800.0, 800.0, 0.0, 0.0, -800.0]).reshape(3, 2, 1)
    large[0, 1, (targets[0, 1] + 1) % 4] += 800  # the target's own probability is too small for a float
    yield Case("large logits", (large, targets, lengths), edge=True, condition=10)  # near 800, float32 keeps 4 decimals


def _loss_model(logits, targets, lengths):  # type: ignore[no-untyped-def]
    T, V = len(logits), logits.shape[-1]
    mask = np.arange(T)[:, None] < lengths
    z = np.where(mask[:, :, None], logits, 0)
    y = np.where(mask, targets, 0)
    shifted = z - z.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True)
    picked = np.take_along_axis(shifted - np.log(total), y[:, :, None], axis=-1)[:, :, 0]
    p = np.exp(shifted) / total
    onehot = np.eye(V)[y]
    count = mask.sum()
    loss = -np.where(mask, picked, 0).sum() / count
    dlogits = np.where(mask[:, :, None], p - onehot, 0) / count
    return loss, dlogits


def _loss_reference(logits: np.ndarray, targets: np.ndarray, lengths: np.ndarray) -> Arrays:
    loss, dlogits = losses.cross_entropy(logits, targets, lengths)
    return np.asarray(loss), dlogits


CROSS_ENTROPY = Question(
    name="masked_cross_entropy",
    title="The masked loss",
    arguments=("logits", "targets", "lengths"),
    outputs=("loss", "dlogits"),
    axes={"loss": (), "dlogits": ("step", "sequence", "class")},
    reference=_loss_reference,
    cases=_loss_cases,
    parts=(
        Part("loss", 2, ("loss",)),
        Part("dlogits", 3, ("dlogits",)),
        Part("lengths of 0 and of T, one step, large logits", 1, ("loss", "dlogits"), edge=True),
    ),
    model=_loss_model,
    bugs=(*LOSS_BUGS, *MASK_BUGS),
    lesson=LESSON,
    builds_on=("valid_mask",),
)


# ---- buckets -------------------------------------------------------------------------------------------------------


def _bucket_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, N: int, size: int, longest: int, **how: object) -> Case:
        lengths = rng.integers(1, longest, N)
        lengths[[0, -1]] = longest, 1  # not in order
        return Case(name, (lengths, np.array(size)), **how)  # type: ignore[arg-type]

    general = case("9 sequences in batches of 4", 9, 4, 8)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("13 sequences in batches of 5", 13, 5, 30)
    yield case("12 sequences in batches of 3", 12, 3, 20, layout="strided")
    yield case("one batch that holds all", 4, 9, 7, edge=True)
    yield case("batches of one", 4, 1, 7, edge=True)
    yield Case("empty sequences too", (np.array([4, 0, 2, 0, 5]), np.array(2)), edge=True)


def _bucket_model(lengths, batch_size):  # type: ignore[no-untyped-def]
    N, size = len(lengths), int(batch_size)
    order = np.argsort(lengths, kind="stable")
    batches = [order[i : i + size] for i in range(0, N, size)]
    times = np.bincount(np.concatenate(batches), minlength=N)
    positions = sum(len(b) * lengths[b].max() for b in batches)
    valid = sum(lengths[b].sum() for b in batches)
    ratio = 1 - valid / positions
    sizes = np.array([len(b) for b in batches])
    steps = np.concatenate([np.sort(lengths[b]) for b in batches])
    return times, sizes, steps, ratio


def _bucket_reference(lengths: np.ndarray, batch_size: np.ndarray) -> Arrays:
    """rnnlib's own buckets, which come in random order, from the shortest to the longest."""
    size = int(batch_size)
    batches, ratio = batching.bucket(lengths, size, np.random.default_rng(0))
    batches = sorted(batches, key=lambda b: (len(b) < size, lengths[b].max(), lengths[b].sum()))
    taken = np.bincount(np.concatenate(batches), minlength=len(lengths))
    steps = np.concatenate([np.sort(lengths[b]) for b in batches])
    return taken, np.array([len(b) for b in batches]), steps, np.array(ratio)


_SORT = 'np.argsort(lengths, kind="stable")'
_CUT, _PADDING = "[order[i : i + size] for i in range(0, N, size)]", "1 - valid / positions"
BUCKET = Question(
    name="bucket",
    title="Buckets",
    arguments=("lengths", "batch_size"),
    outputs=("times each sequence is in a batch", "batch sizes", "lengths batch by batch", "padding ratio"),
    axes={
        "times each sequence is in a batch": ("sequence",),
        "batch sizes": ("batch",),
        "lengths batch by batch": ("place",),
        "padding ratio": (),
    },
    reference=_bucket_reference,
    cases=_bucket_cases,
    parts=(
        Part("every sequence once", 1, ("times each sequence is in a batch", "batch sizes")),
        Part("alike ones together", 1, ("lengths batch by batch",)),
        Part("the padding ratio", 2, ("padding ratio",)),
        Part(
            "one batch, batches of one, empty sequences",
            1,
            ("times each sequence is in a batch", "batch sizes", "lengths batch by batch", "padding ratio"),
            edge=True,
        ),
    ),
    model=_bucket_model,
    bugs=(
        Bug(
            "leftover_lost",
            {_CUT: "[order[i : i + size] for i in range(0, N - size + 1, size)]"},
            "The sequences left over at the end are in no batch. The last batch may be smaller; it counts.",
            BUCKETING,
        ),
        Bug(
            "last_batch_lost",
            {_CUT: "[order[i : i + size] for i in range(0, N - size, size)]"},
            "Your last batch is lost, even where it is full: range ends before its second number already.",
            BUCKETING,
        ),
        Bug(
            "not_sorted",
            {_SORT: "np.arange(N)"},
            "Your batches hold the sequences as they came, long beside short. Sort by length first.",
            BUCKETING,
        ),
        Bug(
            "longest_first",
            {"np.argsort(lengths,": "np.argsort(-lengths,"},
            "Your batches go from long to short. Here the shortest come first, so the smaller last batch holds long "
            "ones.",
            BUCKETING,
        ),
        Bug(
            "lengths_for_indices",
            {_SORT: "np.sort(lengths)"},
            "Your batches hold lengths, where they should hold which sequences: np.sort gives the sorted values, "
            "np.argsort where they stood.",
            BUCKETING,
        ),
        Bug(
            "ranks_for_indices",
            {_SORT: "np.argsort(np.argsort(lengths, kind='stable'))"},
            "Your batches hold ranks: argsort of argsort says at which place each sequence would stand. What is asked "
            "for is which sequence stands at each place.",
            BUCKETING,
        ),
        Bug(
            "batches_one_too_small",
            {"order[i : i + size]": "order[i : i + size - 1]"},
            "Of each batch one sequence is missing. A slice ends before its second number already.",
            BUCKETING,
        ),
        Bug(
            "batches_overlap",
            {"order[i : i + size]": "order[i : i + size + 1]"},
            "Your batches overlap: the first sequence of each is in the one before as well.",
            BUCKETING,
        ),
        Bug(
            "as_many_batches_as_their_size",
            {_CUT: "np.array_split(order, size)"},
            "You make batch_size batches. What is asked for is batches of batch_size sequences.",
            BUCKETING,
        ),
        Bug(
            "batches_evened_out",
            {_CUT: "np.array_split(order, -(-N // size))"},
            "Your batches are as many as they should be, and of even sizes. Here each is full but the last.",
            BUCKETING,
        ),
        Bug(
            "dealt_out",
            {_CUT: "[order[k :: -(-N // size)] for k in range(-(-N // size))]"},
            "Your sequences are sorted and then dealt out like cards, so each batch has short and long ones. "
            "Neighbours belong together.",
            BUCKETING,
        ),
        Bug(
            "smaller_batch_first",
            {_CUT: "[order[max(i, 0) : i + size] for i in range(-(-N % size), N, size)]"},
            "Your smaller batch comes first. Here it is the last.",
            BUCKETING,
        ),
        Bug(
            "ratio_of_what_is_valid",
            {_PADDING: "valid / positions"},
            "Your ratio is the share of positions that hold data. What is asked for is the share that is padding.",
            BUCKETING,
        ),
        Bug(
            "ratio_to_what_is_valid",
            {_PADDING: "positions / valid - 1"},
            "Your ratio divides the padding by the valid positions. It is a share of all positions.",
            BUCKETING,
        ),
        Bug(
            "ratio_in_percent",
            {_PADDING: "100 * (1 - valid / positions)"},
            "Your ratio is in percent. It goes from 0 to 1.",
            BUCKETING,
        ),
        Bug(
            "ratio_not_divided",
            {_PADDING: "positions - valid"},
            "Your ratio is how many positions are padding. Divide by how many there are.",
            BUCKETING,
        ),
        Bug(
            "ratio_without_buckets",
            {"len(b) * lengths[b].max()": "len(b) * lengths.max()"},
            "Your ratio comes out when every batch is padded to the longest sequence of all. Each is padded to its "
            "own longest: that is what buckets are for.",
            BUCKETING,
        ),
        Bug(
            "ratio_is_a_mean_of_ratios",
            {_PADDING: "np.mean([1 - lengths[b].mean() / max(lengths[b].max(), 1) for b in batches])"},
            "Your ratio is the mean of the batches' own ratios. A batch of long sequences has more positions than one "
            "of short ones: count all, then divide once.",
            BUCKETING,
        ),
        Bug(
            "last_batch_counted_full",
            {"len(b) * lengths[b].max()": "size * lengths[b].max()"},
            "Your ratio counts the last batch as if it were full.",
            BUCKETING,
        ),
    ),
    lesson=LESSON,
)


# ---- back into order -----------------------------------------------------------------------------------------------


def _order_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, N: int, size: int, width: int, **how: object) -> Case:
        order = np.arange(N)
        while (order[order] == np.arange(N)).any() and N > 2:  # neither it nor any part of it its own reverse
            order = rng.permutation(N)
        sizes = np.diff([*range(0, N, size), N])
        return Case(name, (rng.normal(size=(N, width)), order, sizes), **how)  # type: ignore[arg-type]

    general = case("7 sequences in batches of 3", 7, 3, 2)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("8 sequences in batches of 4", 8, 4, 8, layout="strided")
    yield case("one batch", 5, 5, 3, edge=True)
    yield case("one sequence", 1, 2, 2, edge=True)


def _order_model(values, order, sizes):  # type: ignore[no-untyped-def]
    ends = np.cumsum(sizes)[:-1]
    parts, batches = np.split(values, ends), np.split(order, ends)
    restored = np.zeros(values.shape)
    for part, batch in zip(parts, batches, strict=True):
        restored[batch] = part
    return (restored,)


def _order_reference(values: np.ndarray, order: np.ndarray, sizes: np.ndarray) -> Arrays:
    return (values[np.argsort(order)],)


IN_ORDER = Question(
    name="in_order",
    title="Back into order",
    arguments=("parts", "batches"),
    outputs=("restored",),
    axes={"restored": ("sequence", "unit")},
    reference=_order_reference,
    cases=_order_cases,
    parts=(Part("several batches", 1, ("restored",)), Part("one batch, one sequence", 1, ("restored",), edge=True)),
    model=_order_model,
    bugs=(
        Bug(
            "only_joined",
            {"return (restored,)": "return (values,)"},
            "Your results stand in the order of the batches. They should stand as the sequences came.",
            BUCKETING,
        ),
        Bug(
            "sorted_once_more",
            {"return (restored,)": "return (values[order],)"},
            "Your results are sorted a second time. Row k of the joined parts belongs to sequence order[k]: that is a "
            "place to write to, not one to read from.",
            BUCKETING,
        ),
        Bug(
            "order_forgotten_within_a_batch",
            {"restored[batch] = part": "restored[np.sort(batch)] = part"},
            "Each batch's results go to the right places, but not each to its own: within a batch they have changed "
            "places.",
            BUCKETING,
        ),
        Bug(
            "only_the_last_batch",
            {"zip(parts, batches, strict=True)": "[(parts[-1], batches[-1])]"},
            "Only the last batch is in your results: is the array made anew for every batch?",
            BUCKETING,
        ),
        Bug(
            "only_the_first_batch",
            {"        restored[batch] = part\n": "        restored[batch] = part\n        break\n"},
            "Only the first batch is in your results. Is your `return` inside the loop?",
            BUCKETING,
        ),
        Bug(
            "turned_round",
            {"return (restored,)": "return (values[::-1],)"},
            "Your results are the batches', from behind. They should stand as the sequences came.",
            BUCKETING,
        ),
    ),
    lesson=LESSON,
)


# ---- reversal ------------------------------------------------------------------------------------------------------


def _reverse_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, lengths: np.ndarray, T: int, D: int, nan: bool = True, **how: object) -> Case:
        x = with_padding(rng, rng.normal(size=(T, len(lengths), D)), lengths, nan)
        return Case(name, (x, lengths), **how)  # type: ignore[arg-type]

    general = case("T=6, N=4, numbers in the padding", uneven(rng, 6, 4), 6, 3, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("NaN in the padding, and padding after every sequence", uneven(rng, 5, 3), 7, 2)
    yield case("all sizes equal, not contiguous", uneven(rng, 4, 4), 4, 4, layout="strided")
    yield case("lengths of 0, 1 and T", np.array([1, 4, 0]), 4, 2, edge=True)
    yield case("one sequence", np.array([3]), 5, 2, edge=True, layout="F")


def _reverse_model(x, lengths):  # type: ignore[no-untyped-def]
    N = x.shape[1]
    out = np.zeros(x.shape)
    for n in range(N):
        L = lengths[n]
        out[:L, n] = x[:L, n][::-1]
    return (out,)


def _reverse_reference(x: np.ndarray, lengths: np.ndarray) -> Arrays:
    """What a backward direction reads: the last steps first, as the cells lay them out."""
    T, N, _ = x.shape
    source = np.maximum(lengths - 1 - np.arange(T)[:, None], 0)
    valid = losses.valid_positions((T, N), lengths)
    return (np.where(valid[:, :, None], x[source, np.arange(N)], 0),)


_TURN = "out[:L, n] = x[:L, n][::-1]"
REVERSE = Question(
    name="reverse",
    title="Reverse",
    arguments=("x", "lengths"),
    outputs=("reversed",),
    axes={"reversed": ("step", "sequence", "input")},
    reference=_reverse_reference,
    cases=_reverse_cases,
    parts=(Part("reversed", 2, ("reversed",)), Part("lengths of 0, 1 and T", 1, ("reversed",), edge=True)),
    model=_reverse_model,
    bugs=(
        Bug(
            "padding_reversed_too",
            {_TURN: "out[:, n] = x[::-1, n]"},
            "You reverse the padding too: it comes first now, as it stood, and an RNN would read it before the data.",
            REVERSAL,
        ),
        Bug(
            "padding_in_front",
            {_TURN: "out[len(x) - L :, n] = x[:L, n][::-1]"},
            "Your sequences are reversed and stand at the end, with zeros in front. They should begin at step 0.",
            REVERSAL,
        ),
        Bug(
            "padding_from_behind",
            {_TURN: "out[:L, n] = x[::-1, n][:L]"},
            "You reverse the whole batch and keep the first L steps: they begin with the padding. Reverse the first L "
            "steps alone.",
            REVERSAL,
        ),
        Bug(
            "padding_from_in_front",
            {_TURN: "out[:, n] = x[(L - 1 - np.arange(len(x))) % len(x), n]"},
            "Your sequences are reversed, and after them stands what an index below 0 fetches: numbers from the end of "
            "the batch. On padding it is zero.",
            REVERSAL,
        ),
        Bug(
            "padding_left_as_it_was",
            {"np.zeros(x.shape)": "x.copy()"},
            "Your sequences are right, and on padding stands what stood there before. Here it is zero.",
            REVERSAL,
        ),
        Bug(
            "begins_with_padding",
            {_TURN: "out[:L, n] = x[np.arange(L, 0, -1) % len(x), n]"},
            "Your sequences begin with a step of padding: of one of length L the last step is L - 1, counted from 0.",
            REVERSAL,
        ),
        Bug(
            "begins_one_step_early",
            {_TURN: "out[:L, n] = x[np.arange(L - 2, -2, -1), n]"},
            "Your sequences begin with their last step but one, and end with step -1, which is the last of the batch.",
            REVERSAL,
        ),
        Bug(
            "last_step_missing",
            {_TURN: "out[: max(L - 1, 0), n] = x[: max(L - 1, 0), n][::-1]"},
            "Your sequences have lost their last step.",
            REVERSAL,
        ),
        Bug(
            "mirrored",
            {_TURN: "out[:L, n] = x[np.maximum(np.arange(L), L - 1 - np.arange(L)), n]"},
            "The second half of each of your sequences mirrors the first: steps were overwritten before they were "
            "read. Write into another array.",
            REVERSAL,
        ),
        Bug(
            "one_length_for_all",
            {"L = lengths[n]": "L = lengths[0]"},
            "All your sequences are reversed as if they had the length of the first.",
            REVERSAL,
        ),
        Bug(
            "longest_length_for_all",
            {"L = lengths[n]": "L = lengths.max()"},
            "All your sequences are reversed as if they had the length of the longest: for the others padding comes "
            "first.",
            REVERSAL,
        ),
        Bug(
            "not_reversed",
            {_TURN: "out[:L, n] = x[:L, n]"},
            "Your sequences come back as they were, with zeros for padding.",
            REVERSAL,
        ),
        Bug(
            "inputs_reversed",
            {_TURN: "out[:L, n] = x[:L, n][:, ::-1]"},
            "You reverse the D numbers of every step. It is the order of steps that turns round: axis 0.",
            REVERSAL,
        ),
        Bug(
            "batch_reversed",
            {"return (out,)": "return (out[:, ::-1],)"},
            "Your sequences are reversed, and the order of the sequences in the batch as well.",
            REVERSAL,
        ),
        Bug(
            "sequences_exchanged",
            {_TURN: "out[:L, n] = x[:L, N - 1 - n]"},
            "You reverse the order of the sequences in the batch. It is the order of steps that turns round: axis 0.",
            REVERSAL,
        ),
        Bug(
            "ones_on_padding",
            {"np.zeros(x.shape)": "np.ones(x.shape)"},
            "Your sequences are right, and on padding stand ones. Here it is zero.",
            REVERSAL,
        ),
    ),
    lesson=LESSON,
)

QUESTIONS = (PAD, MASK, FORWARD, BACKWARD, CROSS_ENTROPY, BUCKET, IN_ORDER, REVERSE)
