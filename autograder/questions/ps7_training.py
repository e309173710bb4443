"""Problem set 7: a training run, from one step of Adam to a loop that knows when to stop (lesson 10).

The pieces are functions of arrays, so a check needs no data and no randomness: what is random in training is the
order of its batches, and one long text has only one order. What a caller handed in is watched too, for a step that
writes into it spoils the best weights that somebody keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from autograder.question import Arrays, Bug, Case, Part, Question
from autograder.questions.ps7_training_bugs import (
    ADAM_ALONE_BUGS,
    ADAM_BUGS,
    CARRY,
    SCHEDULE_ALONE_BUGS,
    SCHEDULE_BUGS,
    STOP,
    TRAIN_BUGS,
)
from rnnlib import losses, metrics, optim
from rnnlib.cells import rnn
from rnnlib.data import batching

LESSON = "10_training.ipynb"
MASKED_LOSS = "The mask in the loss"  # a section of lesson 09, where the perplexity's counting is taught


# ---- one step of Adam ----------------------------------------------------------------------------------------------


def _adam_case(rng: np.random.Generator, name: str, shape: tuple[int, ...], t: int, **how: object) -> Case:
    """The ten arguments of a step, all of them so large that none can hide."""
    parameter, gradient, m = rng.choice([-1, 1], (3, *shape)) * rng.uniform(0.5, 1.5, (3, *shape))
    v = rng.uniform(0.3, 1.2, shape)
    first = t == 1
    numbers = (
        np.array(t),
        rng.uniform(0.3, 0.6),
        rng.uniform(0.6, 0.8),
        rng.uniform(0.9, 0.97),
        rng.uniform(0.1, 0.2),
        rng.uniform(0.3, 0.5),
    )
    return Case(name, (parameter, gradient, m * (not first), v * (not first), *map(np.asarray, numbers)), **how)  # type: ignore[arg-type]


def _adam_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _adam_case(rng, "a matrix (3, 2), third step", (3, 2), 3)
    yield general
    yield Case("the same call again", general.inputs)
    yield _adam_case(rng, "a square matrix, not contiguous", (4, 4), 2, layout="strided")
    parameter, gradient, m, v, t, *others, _ = _adam_case(rng, "", (5,), 6).inputs
    yield Case("a vector, no weight decay", (parameter, gradient, m, v, t, *others, np.array(0.0)))
    yield _adam_case(rng, "the first step of all", (2, 3), 1, edge=True)
    yield _adam_case(rng, "a step after very many", (2, 3), 5000, edge=True, layout="F")
    parameter, *numbers = _adam_case(rng, "", (3,), 1).inputs
    yield Case("a gradient of zero", (parameter, np.zeros(3), *numbers[1:]), edge=True)


def _adam_model(  # type: ignore[no-untyped-def]
    parameter, gradient, m, v, t, learning_rate, beta_1, beta_2, eps, weight_decay
):
    g = gradient
    m_new = beta_1 * m + (1 - beta_1) * g
    v_new = beta_2 * v + (1 - beta_2) * g**2
    m_hat = m_new / (1 - beta_1**t)
    v_hat = v_new / (1 - beta_2**t)
    step = m_hat / (np.sqrt(v_hat) + eps)
    theta = parameter - learning_rate * step - learning_rate * weight_decay * parameter
    kept_m, kept_v = m_new, v_new
    spoilt_parameter = 0
    spoilt_gradient = 0
    spoilt_moments = 0
    return theta, kept_m, kept_v, np.array([spoilt_parameter, spoilt_gradient, spoilt_moments])


def _adam_reference(
    parameter: np.ndarray,
    gradient: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: np.ndarray,
    learning_rate: np.ndarray,
    beta_1: np.ndarray,
    beta_2: np.ndarray,
    eps: np.ndarray,
    weight_decay: np.ndarray,
) -> Arrays:
    """A step of rnnlib's AdamW, which is brought to the state that is given."""
    theta = parameter.copy()
    adam = optim.AdamW(
        {"theta": theta}, float(learning_rate), betas=(float(beta_1), float(beta_2)), eps=float(eps),
        weight_decay=float(weight_decay),
    )  # fmt: skip
    adam.steps = int(t) - 1
    adam.memory["mean"]["theta"][...], adam.memory["mean_square"]["theta"][...] = m, v
    adam.step({"theta": gradient})
    return theta, adam.memory["mean"]["theta"], adam.memory["mean_square"]["theta"], np.zeros(3)


_UNTOUCHED = "changes made to the parameter, the gradient, m or v that came in"
ADAM_STEP = Question(
    name="adam_step",
    title="One step of Adam",
    arguments=(
        "parameter",
        "gradient",
        "m",
        "v",
        "t",
        "learning_rate",
        "beta_1",
        "beta_2",
        "eps",
        "weight_decay",
    ),
    outputs=("parameter", "m", "v", _UNTOUCHED),
    axes={"parameter": (), "m": (), "v": (), _UNTOUCHED: ("array",)},
    reference=_adam_reference,
    cases=_adam_cases,
    parts=(
        Part("the new parameter", 3, ("parameter",)),
        Part("the new m and v", 1, ("m", "v")),
        Part("what came in stays as it was", 1, (_UNTOUCHED,)),
        Part("the first step, a late one, a gradient of zero", 1, ("parameter", "m", "v", _UNTOUCHED), edge=True),
    ),
    model=_adam_model,
    bugs=(*ADAM_BUGS, *ADAM_ALONE_BUGS),
    lesson=LESSON,
)


# ---- warm-up and cosine --------------------------------------------------------------------------------------------


def _schedule_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, steps: int, warmup: int, floor: bool, beyond: int = 0, **how: object) -> Case:
        peak = rng.uniform(2, 3)
        numbers = steps, warmup, peak * rng.uniform(0.1, 0.3) * floor
        return Case(name, (np.array(peak), np.arange(steps + beyond), *map(np.asarray, numbers)), **how)  # type: ignore[arg-type]

    general = case("17 steps, 5 of them warm-up", 17, 5, floor=True)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("12 steps, 4 of them warm-up, down to 0", 12, 4, floor=False)
    yield case("without warm-up", 9, 0, floor=True, edge=True)
    yield case("asked after its end", 8, 3, floor=True, beyond=5, edge=True)
    yield case("a warm-up of one step", 6, 1, floor=True, edge=True)


def _schedule_model(peak, at, steps, warmup, floor):  # type: ignore[no-untyped-def]
    rates = []
    for s in at:
        if s < warmup:
            rate = peak * (s + 1) / warmup
        elif s < steps:
            share = (s - warmup) / (steps - warmup)
            rate = floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2
        else:
            rate = floor
        rates.append(rate)
    return np.array(rates[:warmup]), np.array(rates[warmup:])


def _factor(steps: int, warmup: int, floor: float = 0.0) -> optim.Schedule:
    """What rnnlib multiplies the peak with."""
    cosine = optim.cosine_decay(steps - warmup, floor)
    return optim.linear_warmup(warmup, cosine) if warmup else cosine


def _schedule_reference(
    peak: np.ndarray, at: np.ndarray, steps: np.ndarray, warmup: np.ndarray, floor: np.ndarray
) -> Arrays:
    factor = _factor(int(steps), int(warmup), float(floor / peak))
    rates = np.array([peak * factor(int(s)) for s in at])
    return rates[: int(warmup)], rates[int(warmup) :]


_RATES = ("rates of the warm-up", "rates after it")
SCHEDULE = Question(
    name="learning_rate_at",
    title="Warm-up and cosine",
    arguments=("peak", "step", "steps", "warmup", "floor"),
    outputs=_RATES,
    axes={_RATES[0]: ("step",), _RATES[1]: ("step w +",)},
    reference=_schedule_reference,
    cases=_schedule_cases,
    parts=(
        Part("warm-up", 1, _RATES[:1]),
        Part("cosine", 2, _RATES[1:]),
        Part("no warm-up, one step of it, after the end", 1, _RATES, edge=True),
    ),
    model=_schedule_model,
    bugs=(*SCHEDULE_BUGS, *SCHEDULE_ALONE_BUGS),
    lesson=LESSON,
)


# ---- perplexity ----------------------------------------------------------------------------------------------------


def _perplexity_case(
    rng: np.random.Generator, name: str, lengths: list[list[int]], T: int, nan: bool = True, **how: object
) -> Case:
    """Log-losses of all batches side by side, padding behind them; later batches are harder."""
    sizes, flat = np.array([len(batch) for batch in lengths]), np.concatenate(lengths).astype(int)
    hard = np.repeat(np.linspace(0.5, 1.5, len(sizes)), sizes)
    nats = rng.uniform(0.2, 1.8, (T, len(flat))) * hard
    padding = np.full(nats.shape, np.nan) if nan else rng.uniform(2, 4, nats.shape)
    return Case(name, (np.where(np.arange(T)[:, None] < flat, nats, padding), flat, sizes), **how)  # type: ignore[arg-type]


def _perplexity_cases(rng: np.random.Generator) -> Iterator[Case]:
    def some(n: int, low: int, high: int) -> list[int]:
        return [*rng.integers(low, high, n - 1), high]

    general = _perplexity_case(
        rng, "three batches, numbers in the padding", [some(4, 3, 7), some(3, 1, 4), some(2, 1, 3)], 8, nan=False
    )
    yield general
    yield Case("the same call again", general.inputs)
    yield _perplexity_case(rng, "two batches, NaN in the padding", [some(5, 3, 6), some(2, 1, 3)], 7)
    yield _perplexity_case(rng, "not contiguous", [some(4, 2, 5), some(3, 1, 2)], 7, layout="strided")
    yield _perplexity_case(rng, "one token in all", [[1]], 3, edge=True)
    yield _perplexity_case(rng, "empty sequences, and a batch of nothing else", [[3, 0], [0, 0]], 4, edge=True)


def _perplexity_model(nats, lengths, sizes):  # type: ignore[no-untyped-def]
    ends = np.cumsum(sizes)[:-1]
    pairs = zip(np.split(nats, ends, axis=1), np.split(lengths, ends), strict=True)
    batches = [(x[: max(L) + 1], L) for x, L in pairs]
    total, count = 0.0, 0
    for x, L in batches:
        mask = np.arange(len(x))[:, None] < L
        total = total + np.where(mask, x, 0).sum()
        count = count + mask.sum()
    mean = total / count
    return mean, np.exp(mean)


def _perplexity_reference(nats: np.ndarray, lengths: np.ndarray, sizes: np.ndarray) -> Arrays:
    mean = float(nats[losses.valid_positions(nats.shape, lengths)].mean())
    return np.asarray(mean), np.asarray(metrics.perplexity(mean))


_SUM, _COUNT, _MEAN = "np.where(mask, x, 0).sum()", "count + mask.sum()", "total / count"
_MASK, _BATCHES = "np.arange(len(x))[:, None] < L", "in batches:"
_TOTAL = "        total = total + np.where(mask, x, 0).sum()\n"
_EACH = "\n    each = [(np.where(np.arange(len(x))[:, None] < L, x, 0).sum(), L.sum()) for x, L in batches]"
PERPLEXITY_OF = Question(
    name="perplexity",
    title="Perplexity",
    arguments=("nats", "lengths"),
    outputs=("nats per token", "perplexity"),
    axes={"nats per token": (), "perplexity": ()},
    reference=_perplexity_reference,
    cases=_perplexity_cases,
    parts=(
        Part("nats per token", 2, ("nats per token",)),
        Part("perplexity", 2, ("perplexity",)),
        Part("one token, empty sequences", 1, ("nats per token", "perplexity"), edge=True),
    ),
    model=_perplexity_model,
    bugs=(
        Bug(
            "mean_of_batch_means",
            {_MEAN: "np.mean([a / n for a, n in each])", "total, count = 0.0, 0": f"total, count = 0.0, 0{_EACH}"},
            "Your loss is the mean of the batches' means, so a token in a small batch counts for more. Add up sums and "
            "counts, and divide once.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_batch_perplexities",
            {
                "np.exp(mean)": "np.mean(np.exp([a / n for a, n in each]))",
                "total, count = 0.0, 0": f"total, count = 0.0, 0{_EACH}",
            },
            "Your perplexity is the mean of the batches' perplexities. exp comes last, and once: of the mean over all "
            "tokens.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_batch_means_and_perplexities",
            {
                _MEAN: "np.mean([a / n for a, n in each])",
                "np.exp(mean)": "np.mean(np.exp([a / n for a, n in each]))",
                "total, count = 0.0, 0": f"total, count = 0.0, 0{_EACH}",
            },
            "Both your numbers are means over the batches, so a token in a small batch counts for more. Add up sums "
            "and counts, divide once, and exp comes last.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_batch_means_where_there_are_tokens",
            {
                _MEAN: "np.mean([a / n for a, n in each if n])",
                "total, count = 0.0, 0": f"total, count = 0.0, 0{_EACH}",
            },
            "Your loss is the mean of the batches' means (you leave out those without a token), so a token in a small "
            "batch counts for more. Add up sums and counts, and divide once: no batch needs leaving out.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_nanmeans",
            {
                _MEAN: "np.mean([np.nanmean(x) for x, _ in batches])",
            },
            "Your loss is the mean of each batch's np.nanmean. Padding may hold any numbers, so only `lengths` says "
            "where it begins; and a token in a small batch counts for more.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_sequence_means_where_there_are_tokens",
            {
                _SUM: "(np.where(mask, x, 0).sum(axis=0) / np.maximum(L, 1)).sum()",
                _COUNT: "count + (L > 0).sum()",
            },
            "Your loss is the mean of the sequences' means: a token in a short sequence counts for more. Every token "
            "counts the same.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_sequence_means",
            {
                _SUM: "(np.where(mask, x, 0).sum(axis=0) / L).sum()",
                _COUNT: "count + len(L)",
            },
            "Your loss is the mean of the sequences' means: a token in a short sequence counts for more. Every token "
            "counts the same.",
            MASKED_LOSS,
        ),
        Bug(
            "mean_of_token_perplexities",
            {
                "total, count = 0.0, 0": "total, count, tokens = 0.0, 0, 0.0",
                _TOTAL: f"{_TOTAL}        tokens = tokens + np.where(mask, np.exp(x), 0).sum()\n",
                "np.exp(mean)": "tokens / count",
            },
            "Your perplexity is the mean of every token's exp(loss). The mean is taken of the losses, and exp of the "
            "mean.",
            MASKED_LOSS,
        ),
        Bug(
            "padding_counted",
            {_COUNT: "count + mask.size"},
            "Your sum skips the padding, and your count does not: divide by how many tokens there are.",
            MASKED_LOSS,
        ),
        Bug(
            "padding_read",
            {_SUM: "x.sum()"},
            "What stands in the padding is in your sum. Where it is NaN, everything is.",
            MASKED_LOSS,
        ),
        Bug(
            "padding_read_and_counted",
            {_SUM: "x.sum()", _COUNT: "count + mask.size"},
            "Your loss is over all positions, padding and all. Only the first `lengths` steps of each sequence count.",
            MASKED_LOSS,
        ),
        Bug(
            "padding_multiplied",
            {_SUM: "(mask * x).sum()"},
            "Your mask multiplies, and 0 · NaN is NaN. Choose, by np.where or x[mask].",
            MASKED_LOSS,
        ),
        Bug(
            "nan_skipped_for_padding",
            {_SUM: "np.nansum(x)", _COUNT: "count + np.isfinite(x).sum()"},
            "You leave out what is NaN. Padding may hold any numbers: only `lengths` says where it begins. (And a real "
            "NaN should be seen, not skipped.)",
            MASKED_LOSS,
        ),
        Bug(
            "nan_skipped_in_the_sum",
            {_SUM: "np.nansum(x)"},
            "Your sum takes the padding too, and only leaves out what is NaN there. Padding may hold any numbers: only "
            "`lengths` says where it begins. (And a real NaN should be seen, not skipped.)",
            MASKED_LOSS,
        ),
        Bug(
            "mask_one_step_too_long_in_the_sum",
            {_MASK: "np.arange(len(x))[:, None] <= L", _COUNT: "count + L.sum()"},
            "One step of padding of each sequence is in your sum, though not in your count. Steps are counted from 0: "
            "those of a sequence of length 3 are 0, 1 and 2.",
            MASKED_LOSS,
        ),
        Bug(
            "mask_one_step_too_long",
            {_MASK: "np.arange(len(x))[:, None] <= L"},
            "One step of padding of each sequence counts with you. Steps are counted from 0: those of a sequence of "
            "length 3 are 0, 1 and 2.",
            MASKED_LOSS,
        ),
        Bug(
            "mask_one_step_too_short",
            {_MASK: "np.arange(len(x))[:, None] < L - 1"},
            "The last token of each sequence is missing.",
            MASKED_LOSS,
        ),
        Bug(
            "loss_negative",
            {_MEAN: "-total / count"},
            "Your loss is negative. The minus of -log p is in the nats already.",
            MASKED_LOSS,
        ),
        Bug(
            "in_bits",
            {_MEAN: "total / count / np.log(2)"},
            "Your loss is in bits, and your perplexity is exp of it. Stay in nats, whose base exp has.",
            MASKED_LOSS,
        ),
        Bug(
            "base_two",
            {"np.exp(mean)": "2**mean"},
            "Your perplexity is 2 to the power of nats. Nats belong to exp; 2 to the power belongs to bits.",
            MASKED_LOSS,
        ),
        Bug(
            "exp_missing",
            {"np.exp(mean)": "mean"},
            "Your perplexity is the loss itself. It is exp of it.",
            MASKED_LOSS,
        ),
        Bug(
            "exp_of_minus",
            {"np.exp(mean)": "np.exp(-mean)"},
            "Your perplexity lies below 1: it is the probability of a typical token. Perplexity is one over that.",
            MASKED_LOSS,
        ),
        Bug(
            "not_divided",
            {_MEAN: "total"},
            "Your loss is the sum. Divide it by the number of tokens.",
            MASKED_LOSS,
        ),
        Bug(
            "divided_by_batches",
            {_MEAN: "total / len(batches)"},
            "Your sum is divided by the number of batches. Divide it by the number of tokens.",
            MASKED_LOSS,
        ),
        Bug(
            "divided_by_sequences",
            {_MEAN: "total / len(lengths)"},
            "Your sum is divided by the number of sequences. Divide it by the number of tokens.",
            MASKED_LOSS,
        ),
        Bug(
            "last_batch_alone",
            {_BATCHES: "in batches[-1:]:"},
            "Only the last batch is in your loss: are sum and count set to zero in the loop?",
            MASKED_LOSS,
        ),
        Bug(
            "first_batch_alone",
            {_BATCHES: "in batches[:1]:"},
            "Only the first batch is in your loss: is your `return` inside the loop?",
            MASKED_LOSS,
        ),
        Bug(
            "last_sum_over_all_tokens",
            {"total = total + np": "total = np"},
            "Your count grows from batch to batch and your sum does not: it is that of the last batch.",
            MASKED_LOSS,
        ),
    ),
    lesson="09_masking.ipynb",
)


# ---- early stopping ------------------------------------------------------------------------------------------------


def _stop_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, script: list[float], patience: int, min_delta: float = 0, lead: int = 0, **how: object) -> Case:
        """A script of losses behind some epochs that all improve; multiples of 1/8, so that ties are exact."""
        front = max(x for x in script if np.isfinite(x)) + (min_delta + 1) * np.arange(lead, 0, -1)
        values = (rng.integers(8, 40) + np.array([*front, *script])) / 8
        return Case(name, (values, np.array(patience), np.array(min_delta / 8)), **how)  # type: ignore[arg-type]

    nan = np.nan
    lead = int(rng.integers(1, 4))
    # a better epoch comes too late; bad epochs, a tie and one that is better than the last one only; a best before
    general = case("a plateau, and a better epoch too late", [9, 12, 11, 8, 10, 9, 8, 9, 2, 1], 4, lead=lead)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("a margin, exactly met and just missed", [20, 16, 13, 13, 10, 8, 7, 6, 9, 9, 9, 1], 3, 4, lead=lead)
    yield case("NaN on the way", [9, 7, nan, 6, 8, nan, 8, 9, 7], 3, lead=lead)
    yield case("never stopped", [9, 8, 9, 6, 7, 8], 3, lead=lead)
    yield case("stopped by the last epoch", [9, 6, 7, 8], 2, edge=True)
    yield case("patience of one", [9, 7, 8, 5, 6], 1, lead=lead, edge=True)
    yield case("NaN from the start", [nan, 9, 8, 9, 9, 9, 5], 3, edge=True)
    yield case("one epoch", [5], 2, edge=True)


def _stop_model(losses, patience, min_delta):  # type: ignore[no-untyped-def]
    best, keep, waited = np.inf, 0, 0
    stop = len(losses) - 1
    for epoch, loss in enumerate(losses):
        if loss < best - min_delta:
            best, keep, waited = loss, epoch, 0
        else:
            waited += 1
        if waited >= patience:
            stop = epoch
            break
    last = stop
    return last, keep


def _stop_reference(losses: np.ndarray, patience: np.ndarray, min_delta: np.ndarray) -> Arrays:
    """The epochs that improve, each by the margin on the one before it; then the first gap that is too long."""
    improving: list[int] = []
    for epoch, loss in enumerate(losses):
        if np.isfinite(loss) and (not improving or losses[improving[-1]] - loss > min_delta):
            improving.append(epoch)
    before = [-1, *improving]
    for mark, after in zip(before, [*improving, len(losses) + int(patience)], strict=True):
        if after - mark > patience:
            stop = min(mark + int(patience), len(losses) - 1)
            return np.array(stop), np.array(max(mark, 0))
    raise AssertionError("the last gap is longer than the patience")


_BETTER, _WAIT = "loss < best - min_delta", "waited >= patience"
EARLY_STOP = Question(
    name="early_stop",
    title="Early stopping",
    arguments=("losses", "patience", "min_delta"),
    outputs=("stop", "keep"),
    axes={"stop": (), "keep": ()},
    reference=_stop_reference,
    cases=_stop_cases,
    parts=(
        Part("stop", 2, ("stop",)),
        Part("keep", 2, ("keep",)),
        Part("patience of one, NaN first, the last epoch, one epoch", 1, ("stop", "keep"), edge=True),
    ),
    model=_stop_model,
    bugs=(
        Bug(
            "one_epoch_too_patient",
            {_WAIT: "waited > patience"},
            "You wait one epoch too long: after `patience` epochs in a row without an improvement it is over, not "
            "after one more.",
            STOP,
        ),
        Bug(
            "one_epoch_too_impatient",
            {_WAIT: "waited >= patience - 1"},
            "You stop one epoch too early: `patience` epochs in a row without an improvement are allowed for.",
            STOP,
        ),
        Bug(
            "tie_is_an_improvement",
            {_BETTER: "loss <= best - min_delta"},
            "An epoch that only equals what is asked counts as an improvement with you. It must be lower, by more than "
            "min_delta.",
            STOP,
        ),
        Bug(
            "last_kept",
            {"return last, keep": "return last, last"},
            "You keep the epoch at which training stopped. By then it has been getting worse for as long as your "
            "patience lasted.",
            STOP,
        ),
        Bug(
            "looks_into_the_future",
            {"return last, keep": "return last, int(np.nanargmin(losses))"},
            "You keep the lowest loss of all that are listed, also of epochs after the stop. Those were never trained.",
            STOP,
        ),
        Bug(
            "lowest_kept_whatever_the_margin",
            {"return last, keep": "return last, int(np.nanargmin(losses[: last + 1]))"},
            "You keep the lowest loss before the stop. Kept is the last epoch that counted as an improvement: one that "
            "was lower by more than min_delta.",
            STOP,
        ),
        Bug(
            "kept_where_the_patience_began",
            {"return last, keep": "return last, max(last - int(patience), 0)"},
            "You keep the epoch `patience` before the last. That is the best one only where training was stopped.",
            STOP,
        ),
        Bug(
            "waiting_never_starts_again",
            {"keep, waited = loss, epoch, 0": "keep = loss, epoch"},
            "You count all epochs without an improvement, ever. After an improvement the count begins again at 0: they "
            "must come in a row.",
            STOP,
        ),
        Bug(
            "compared_with_the_epoch_before",
            {"waited += 1": "waited += 1; best = loss"},
            "You compare with the epoch before, not with the best so far: after a bad epoch a less bad one looks like "
            "an improvement.",
            STOP,
        ),
        Bug(
            "margin_forgotten",
            {_BETTER: "loss < best"},
            "You do not ask for min_delta: every improvement counts with you, however small.",
            STOP,
        ),
        Bug(
            "margin_the_wrong_way",
            {_BETTER: "loss < best + min_delta"},
            "Your min_delta has the wrong sign: an epoch that is a little worse counts as an improvement.",
            STOP,
        ),
        Bug(
            "bar_creeps_down",
            {"waited += 1": "waited, best = waited + 1, np.fmin(best, loss)"},
            "With you a small improvement resets nothing, and yet it lowers the bar for the next. The bar is the loss "
            "of the epoch that is kept.",
            STOP,
        ),
        Bug(
            "nan_is_an_improvement",
            {_BETTER: "not loss >= best - min_delta"},
            "NaN counts as an improvement with you: every comparison with NaN is false, so ask `loss < ...`, and not "
            "for the opposite.",
            STOP,
        ),
        Bug(
            "nan_does_not_count",
            {"waited += 1": "waited += not np.isnan(loss)"},
            "An epoch of NaN does not use up patience with you. It is an epoch without an improvement.",
            STOP,
        ),
        Bug(
            "begins_with_the_first_loss",
            {"np.inf, 0, 0": "losses[0] + min_delta + 1, 0, 0 - np.isnan(losses[0])"},
            "Your best is the first loss, and where that is NaN nothing is ever lower. Begin with infinity.",
            STOP,
        ),
        Bug(
            "first_epoch_uses_up_patience",
            {"np.inf, 0, 0": "losses[0], 0, 0"},
            "Your best is the first loss before the loop begins, so that the first epoch is no improvement on itself "
            "and uses up patience. Begin with infinity.",
            STOP,
        ),
        Bug(
            "begins_below_all_losses",
            {"np.inf, 0, 0": "0.0, 0, 0"},
            "Your best begins at a number that no loss reaches: nothing is ever an improvement. Begin with infinity.",
            STOP,
        ),
        Bug(
            "nan_starts_the_count_again",
            {"waited += 1": "waited = 0 if np.isnan(loss) else waited + 1"},
            "An epoch of NaN sets your count back to 0. It is an epoch without an improvement, and counts as one.",
            STOP,
        ),
        Bug(
            "stopped_one_epoch_later",
            {"stop = epoch\n": "stop = epoch + 1\n"},
            "Where patience runs out, your `stop` is the epoch after. It is the last one that was trained: the one at "
            "which it ran out.",
            STOP,
        ),
        Bug(
            "stopped_one_epoch_earlier",
            {"stop = epoch\n": "stop = epoch - 1\n"},
            "Where patience runs out, your `stop` is the epoch before. The one at which it runs out was trained too.",
            STOP,
        ),
        Bug(
            "never_stopped_is_one_too_far",
            {"stop = len(losses) - 1": "stop = len(losses)"},
            "Where patience never runs out, your `stop` is the number of epochs. It should be the number of the last "
            "one, and epochs are counted from 0.",
            STOP,
        ),
        Bug(
            "kept_before_the_first",
            {"return last, keep": "return last, last - int(patience)"},
            "You keep the epoch `patience` before the last. That is the best one only where training was stopped, and "
            "there may be no such epoch.",
            STOP,
        ),
        Bug(
            "higher_is_better",
            {_BETTER: "loss > (-best if best == np.inf else best) + min_delta"},
            "With you a higher loss is an improvement.",
            STOP,
        ),
        Bug(
            "stop_is_a_number_of_epochs",
            {"last = stop": "last = stop + 1"},
            "Your `stop` says how many epochs were trained. It should be the number of the last one, and epochs are "
            "counted from 0.",
            STOP,
        ),
        Bug(
            "counted_from_one",
            {"return last, keep": "return last + 1, keep + 1"},
            "Your epochs are counted from 1. Here they are counted from 0.",
            STOP,
        ),
        Bug(
            "in_another_order",
            {"return last, keep": "return keep, last"},
            "Your two numbers are right, and come in the wrong order: stop, keep.",
            STOP,
        ),
        Bug(
            "kept_loss_for_its_epoch",
            {"return last, keep": "return last, best"},
            "You hand back the best loss. What is asked for is the number of its epoch.",
            STOP,
        ),
        Bug(
            "never_stops",
            {"            stop = epoch\n            break\n": "            pass\n"},
            "Your `stop` is always the last epoch that is listed.",
            STOP,
        ),
    ),
    lesson=LESSON,
)


# ---- windows of one long text --------------------------------------------------------------------------------------


def _windows_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, L: int, N: int, T: int, **how: object) -> Case:
        return Case(name, (rng.permutation(L) + 5, np.array(N), np.array(T)), **how)  # type: ignore[arg-type]

    general = case("33 elements, 3 rows, windows of 4", 33, 3, 4)  # 10 steps a row, 2 left over
    yield general
    yield Case("the same call again", general.inputs)
    yield case("36 elements, 4 rows, windows of 4", 36, 4, 4, layout="strided")  # 8 steps: all windows are full
    yield case("40 elements, 4 rows, windows of 4", 40, 4, 4)  # 9 steps: a last window of one step
    yield case("one row", 11, 1, 4, edge=True)
    yield case("windows of one step", 9, 2, 1, edge=True)
    yield case("one window that is not full", 9, 2, 7, edge=True)


def _windows_model(stream, N, T):  # type: ignore[no-untyped-def]
    N, T = int(N), int(T)
    R = (len(stream) - 1) // N
    inputs = stream[: N * R].reshape(N, R).T
    targets = stream[1 : N * R + 1].reshape(N, R).T
    cuts = range(0, R, T)
    x = [inputs[c : c + T] for c in cuts]
    y = [targets[c : c + T] for c in cuts]
    return np.array([len(w) for w in x]), np.concatenate(x), np.concatenate(y)


def _windows_reference(stream: np.ndarray, N: np.ndarray, T: np.ndarray) -> Arrays:
    cut = batching.stream_windows(stream, int(N), int(T))
    return np.array([len(w) for w in cut.inputs]), np.concatenate(cut.inputs), np.concatenate(cut.targets)


_ROWS, _ROWS_Y = "stream[: N * R].reshape(N, R).T", "stream[1 : N * R + 1].reshape(N, R).T"
_X, _Y = "[inputs[c : c + T] for c in cuts]", "[targets[c : c + T] for c in cuts]"
WINDOWS_OF = Question(
    name="windows",
    title="Rows and windows",
    arguments=("stream", "N", "T"),
    outputs=("window lengths", "inputs", "targets"),
    axes={"window lengths": ("window",), "inputs": ("step", "row"), "targets": ("step", "row")},
    reference=_windows_reference,
    cases=_windows_cases,
    parts=(
        Part("inputs and windows", 2, ("window lengths", "inputs")),
        Part("targets", 2, ("targets",)),
        Part("one row, windows of one step, one window", 1, ("window lengths", "inputs", "targets"), edge=True),
    ),
    model=_windows_model,
    bugs=(
        Bug(
            "targets_not_shifted",
            {_ROWS_Y: "stream[: N * R].reshape(N, R).T"},
            "Your targets are the inputs: to copy is no prediction. A target is the element after its input.",
            CARRY,
        ),
        Bug(
            "targets_are_what_came_before",
            {_ROWS_Y: "np.roll(stream, 1)[: N * R].reshape(N, R).T"},
            "Your targets are the elements before their inputs. What is predicted comes after.",
            CARRY,
        ),
        Bug(
            "targets_two_ahead",
            {_ROWS_Y: "np.roll(stream, -2)[: N * R].reshape(N, R).T"},
            "Your targets are two elements ahead of their inputs.",
            CARRY,
        ),
        Bug(
            "targets_wrap_round_in_a_row",
            {_ROWS_Y: "np.roll(stream[: N * R].reshape(N, R), -1, axis=1).T"},
            "The last target of every row is the row's own first element (np.roll brings it round). It should be the "
            "element that follows in the text, with which the next row begins.",
            CARRY,
        ),
        Bug(
            "targets_wrap_round_in_a_window",
            {_Y: "[np.roll(w, -1, axis=0) for w in x]"},
            "The last target of every window is the window's own first element. It should be the one that follows: the "
            "first input of the next window.",
            CARRY,
        ),
        Bug(
            "targets_wrap_round_in_the_text",
            {_ROWS_Y: "np.roll(stream[: N * R], -1).reshape(N, R).T"},
            "The very last target is the first element of the text. Shift first, cut off afterwards.",
            CARRY,
        ),
        Bug(
            "targets_of_the_next_row",
            {_ROWS_Y: "np.roll(stream[: N * R].reshape(N, R), -1, axis=0).T"},
            "Your targets are shifted from row to row. Shift along the text: along steps.",
            CARRY,
        ),
        Bug(
            "rows_interleaved",
            {_ROWS: "stream[: N * R].reshape(R, N)", _ROWS_Y: "stream[1 : N * R + 1].reshape(R, N)"},
            "Your rows are dealt out like cards: neighbours in the text stand side by side, so nobody reads two in a "
            "row. Each row is one contiguous piece: reshape to (N, R), then transpose.",
            CARRY,
        ),
        Bug(
            "rows_first",
            {_X: "[inputs[c : c + T].T for c in cuts]", _Y: "[targets[c : c + T].T for c in cuts]"},
            "Your windows have rows on their first axis. Time comes first: (T, N).",
            CARRY,
        ),
        Bug(
            "short_window_dropped",
            {"range(0, R, T)": "range(0, R - T + 1, T)"},
            "The last window is missing where it is not full. It may be shorter; its steps count.",
            CARRY,
        ),
        Bug(
            "row_cut_to_full_windows",
            {"R = (len(stream) - 1) // N": "R = (len(stream) - 1) // N // T * T"},
            "Your rows are cut so that they hold full windows only. Rows are as long as the text allows; the last "
            "window may be shorter.",
            CARRY,
        ),
        Bug(
            "row_without_room_for_its_target",
            {"(len(stream) - 1) // N": "len(stream) // N"},
            "Your rows have L // N steps, and where nothing is left over the last input has no target. L - 1 elements "
            "have one that follows.",
            CARRY,
        ),
        Bug(
            "row_one_step_shorter",
            {"R = (len(stream) - 1) // N": "R = (len(stream) - 1) // N - 1"},
            "Your rows are one step too short. The text has L - 1 inputs that have a target; each row gets as many as "
            "N equal ones can have.",
            CARRY,
        ),
        Bug(
            "last_target_of_each_window_missing",
            {_X: "[inputs[c : c + T][:-1] for c in cuts]", _Y: "[inputs[c : c + T][1:] for c in cuts]"},
            "Your windows are one step short, and the pairs across their borders are missing: the targets were taken "
            "from inside a window. Shift the whole text, then cut.",
            CARRY,
        ),
        Bug(
            "last_target_of_each_row_missing",
            {
                "(len(stream) - 1) // N": "len(stream) // N",
                _ROWS: "stream[: N * R].reshape(N, R).T[:-1]",
                _ROWS_Y: "stream[: N * R].reshape(N, R).T[1:]",
                "range(0, R, T)": "range(0, R - 1, T)",
            },
            "Your targets come from inside their row, so that its last element has none. It has one: the element that "
            "follows in the text. Shift the whole text, then cut.",
            CARRY,
        ),
        Bug(
            "empty_last_window",
            {"range(0, R, T)": "range(0, R + 1, T)"},
            "Where all windows are full, one more follows that is empty. There are as many as hold R steps.",
            CARRY,
        ),
        Bug(
            "windows_one_step_too_long",
            {_X: "[inputs[c : c + T + 1] for c in cuts]", _Y: "[targets[c : c + T + 1] for c in cuts]"},
            "Your windows have T + 1 steps, and the last one of each is read again by the next. [c : c + T] are T.",
            CARRY,
        ),
        Bug(
            "windows_overlap",
            {"range(0, R, T)": "range(0, R, max(T - 1, 1))"},
            "Your windows overlap by a step. A state that is carried would read it twice.",
            CARRY,
        ),
        Bug(
            "windows_leave_a_gap",
            {"range(0, R, T)": "range(0, R, T + 1)"},
            "Between your windows a step is missing.",
            CARRY,
        ),
        Bug(
            "window_at_every_step",
            {"range(0, R, T)": "range(0, R - T + 1)"},
            "You make a window at every step. Windows follow one another: the next begins where one ends.",
            CARRY,
        ),
        Bug(
            "text_starts_late",
            {
                "stream[: N * R].reshape": "stream[len(stream) - 1 - N * R : -1].reshape",
                "stream[1 : N * R + 1]": "stream[len(stream) - N * R :]",
            },
            "What is left over is missing at the beginning of your text. It is left out at the end.",
            CARRY,
        ),
        Bug(
            "rows_and_window_exchanged",
            {"N, T = int(N), int(T)": "T, N = int(N), int(T)"},
            "N and T have changed places: N rows, windows of T steps.",
            CARRY,
        ),
        Bug(
            "inputs_and_targets_exchanged",
            {"np.concatenate(x), np.concatenate(y)": "np.concatenate(y), np.concatenate(x)"},
            "Inputs and targets have changed places.",
            CARRY,
        ),
    ),
    lesson=LESSON,
)


# ---- a state that is carried ---------------------------------------------------------------------------------------


def _network(rng: np.random.Generator, V: int, H: int) -> Arrays:
    """W_ih, W_hh, b, W_out, b_out of a small network over V symbols."""
    return (
        rng.normal(0, 1.0, (H, V)),
        rng.normal(0, 1.2 / np.sqrt(H), (H, H)),
        rng.normal(0, 0.3, H),
        rng.normal(0, 1.5 / np.sqrt(H), (V, H)),
        rng.normal(0, 0.3, V),
    )


def _carry_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, sizes: list[int], starts: list[list[int]], V: int, H: int, **how: object) -> Case:
        begins = np.array(starts, bool)
        ids = rng.integers(0, V, (2, sum(sizes), begins.shape[1]))
        return Case(name, (*ids, np.array(sizes), begins, *_network(rng, V, H)), **how)  # type: ignore[arg-type]

    rows = [[1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]]
    general = case("four windows of three rows", [4, 4, 4, 2], rows, 5, 4)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("one text, no new one", [3, 3, 3], [[1, 1], [0, 0], [0, 0]], 4, 3)
    yield case(
        "as many rows as units, not contiguous",
        [3, 2, 2],
        [[1] * 4, [0, 0, 1, 0], [0, 1, 0, 1]],
        4,
        4,
        layout="strided",
    )
    yield case("one window", [5], [[1, 1]], 3, 4, edge=True)
    yield case("windows of one step, one row", [1, 1, 1, 1], [[1], [0], [1], [0]], 4, 3, edge=True, layout="F")


def _carry_model(inputs, targets, sizes, starts, W_ih, W_hh, b, W_out, b_out):  # type: ignore[no-untyped-def]
    ends = np.cumsum(sizes)
    K, N, H = len(sizes), inputs.shape[1], len(W_hh)
    h = np.zeros((N, H))
    nats = []
    for k in range(K):
        h = np.where(starts[k][:, None], 0, h)
        for s in range(ends[k] - sizes[k], ends[k]):
            h = np.tanh(W_ih.T[inputs[s]] + h @ W_hh.T + b)
            z = h @ W_out.T + b_out
            log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
            nats.append(-log_p[np.arange(N), targets[s]])
        last = h
    return np.stack(nats), last


def _carry_reference(
    inputs: np.ndarray,
    targets: np.ndarray,
    sizes: np.ndarray,
    starts: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b: np.ndarray,
    W_out: np.ndarray,
    b_out: np.ndarray,
) -> Arrays:
    """Each text of each row read whole, from zeros: no windows at all."""
    (R, N), (H, V) = inputs.shape, W_ih.shape
    nats, last = np.zeros((R, N)), np.zeros((N, H))
    begins = np.append(0, np.cumsum(sizes)[:-1])
    for n in range(N):
        marks = [*begins[starts[:, n].astype(bool)], R]
        for begin, end in pairwise(marks):
            x = np.eye(V)[inputs[begin:end, n]][:, None]
            hs, h, _ = rnn.forward(x, np.zeros((1, H)), W_ih, W_hh, b, np.zeros(H))
            log_p = losses.log_softmax(hs[:, 0] @ W_out.T + b_out)
            nats[begin:end, n] = -log_p[np.arange(end - begin), targets[begin:end, n]]
            last[n] = h[0]
    return nats, last


_RESET, _LAST = "np.where(starts[k][:, None], 0, h)", "        last = h\n"
READ_STREAM = Question(
    name="read_stream",
    title="Carry the state",
    arguments=("inputs", "targets", "sizes", "starts", "W_ih", "W_hh", "b", "W_out", "b_out"),
    outputs=("nats", "last state"),
    axes={"nats": ("step", "row"), "last state": ("row", "unit")},
    reference=_carry_reference,
    cases=_carry_cases,
    parts=(
        Part("nats", 2, ("nats",)),
        Part("the last state", 1, ("last state",)),
        Part("one window, windows of one step", 1, ("nats", "last state"), edge=True),
    ),
    model=_carry_model,
    bugs=(
        Bug(
            "state_reset_in_every_window",
            {_RESET: "np.zeros((N, H))"},
            "Every window of yours begins with zeros. Window k + 1 goes on where window k ended: hand the state on.",
            CARRY,
        ),
        Bug(
            "state_never_reset",
            {_RESET: "h"},
            "Where a new text begins, your network still remembers the one before. There, and only there, the state "
            "is zero.",
            CARRY,
        ),
        Bug(
            "all_rows_reset_together",
            {_RESET: "np.where(starts[k].any(), 0, h)"},
            "Where one row begins a new text, your whole batch forgets. `starts[k]` says it row by row.",
            CARRY,
        ),
        Bug(
            "reset_only_where_all_begin",
            {_RESET: "np.where(starts[k].all(), 0, h)"},
            "Your states are reset only where all rows begin a new text together. `starts[k]` says it row by row.",
            CARRY,
        ),
        Bug(
            "reset_where_no_text_begins",
            {_RESET: "np.where(starts[k][:, None], h, 0)"},
            "Your states are reset where no text begins, and kept where one does: np.where(condition, then, else).",
            CARRY,
        ),
        Bug(
            "reset_after_the_window",
            {_RESET: "h", _LAST: "        h = last = np.where(starts[k][:, None], 0, h)\n"},
            "Your reset comes after the window in which the text begins. It comes before: the new text must not read "
            "the old one's state.",
            CARRY,
        ),
        Bug(
            "reset_one_window_early",
            {_RESET: "np.where(starts[min(k + 1, K - 1)][:, None], 0, h)"},
            "Your reset comes one window before the new text begins.",
            CARRY,
        ),
        Bug(
            "first_state_carried",
            {
                _RESET: "np.where(starts[k][:, None], 0, first if k else h)",
                _LAST: "        last = h\n        first = first if k else h\n",
            },
            "All later windows of yours begin with the state after the first. Hand on the newest.",
            CARRY,
        ),
        Bug(
            "state_from_two_windows_ago",
            {
                "    nats = []\n": "    nats, last, older = [], h, h\n",
                _RESET: "np.where(starts[k][:, None], 0, older)",
                _LAST: "        last, older = h, last\n",
            },
            "Your windows begin with the state in which the window before them began. Hand on the one in which it "
            "ended.",
            CARRY,
        ),
        Bug(
            "state_passed_to_the_next_row",
            {_RESET: "np.where(starts[k][:, None], 0, np.roll(h, 1, axis=0))"},
            "Your states move on from row to row. A row goes on in the same row of the next window.",
            CARRY,
        ),
        Bug(
            "one_state_for_all_rows",
            {_RESET: "np.where(starts[k][:, None], 0, h.mean(axis=0))"},
            "All your rows go on with one state, their mean. Each row reads its own text and has its own.",
            CARRY,
        ),
        Bug(
            "last_row_carried_for_all",
            {_RESET: "np.where(starts[k][:, None], 0, h[-1])"},
            "All your rows go on with the last row's state: h[-1] of a state (N, H) is a row, not a step.",
            CARRY,
        ),
        Bug(
            "texts_begin_with_ones",
            {_RESET: "np.where(starts[k][:, None], 1, h)"},
            "Where a text begins your state is 1. It is zero there.",
            CARRY,
        ),
        Bug(
            "first_last_state_returned",
            {_LAST: "        last = last if k else h\n"},
            "What you hand back is the state after the first window. It should be the one after the last.",
            CARRY,
        ),
        Bug(
            "last_state_is_that_before_the_last_window",
            {"        for s in range(": "        last = h\n        for s in range(", _LAST: ""},
            "What you hand back is the state with which the last window began. It should be the one after it.",
            CARRY,
        ),
        Bug(
            "inputs_for_targets",
            {"targets[s]]": "inputs[s]]"},
            "Your losses are those of the inputs. What is to be predicted stands in `targets`.",
            CARRY,
        ),
    ),
    lesson=LESSON,
)


# ---- the whole loop ------------------------------------------------------------------------------------------------


def _train_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(
        name: str, sizes: list[int], N: int, V: int, H: int, epochs: int, warmup: int, until: int, **how: object
    ) -> Case:
        ids = rng.integers(0, [[[V - 1]], [[V]]], (2, sum(sizes), N))  # the last symbol is never read: a gradient of 0
        numbers = epochs, rng.uniform(0.08, 0.12), warmup, 0.2, until
        return Case(name, (*ids, np.array(sizes), *_network(rng, V, H), *map(np.asarray, numbers)), **how)  # type: ignore[arg-type]

    general = case("two epochs of three windows", [2, 1, 1], 3, 5, 4, epochs=2, warmup=2, until=9)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("stopped after two of four epochs", [3, 2, 1], 2, 4, 3, epochs=4, warmup=2, until=2)
    yield case("one window an epoch", [4], 2, 4, 3, epochs=3, warmup=0, until=9, edge=True)
    yield case("one update", [3], 2, 4, 3, epochs=1, warmup=0, until=9, edge=True)
    gentle = case("gradients that need no clipping", [3, 3], 2, 3, 4, epochs=2, warmup=1, until=9, edge=True)
    *arguments, _, until = gentle.inputs
    yield Case(gentle.name, (*arguments, np.array(50.0), until), edge=True)


def _train_model(  # type: ignore[no-untyped-def]
    inputs, targets, sizes, W_ih, W_hh, b, W_out, b_out, epochs, peak, warmup, max_norm, until
):
    weights = {"W_ih": W_ih, "W_hh": W_hh, "b": b, "W_out": W_out, "b_out": b_out}
    ms = {name: np.zeros(weights[name].shape) for name in weights}
    vs = {name: np.zeros(weights[name].shape) for name in weights}
    learning_rate, beta_1, beta_2, eps, floor = 0, 0.9, 0.999, 1e-8, 0
    N, H, V = inputs.shape[1], len(W_hh), len(W_out)
    rest = np.zeros((N, H))
    steps = epochs * len(sizes)
    history, rates, norms, told = [], [], [], []
    k = 0
    spoilt = 0
    for epoch in range(epochs):
        h = rest
        begin = 0
        for size in sizes:
            x, y = inputs[begin : begin + size], targets[begin : begin + size]
            begin += size
            wih, whh, bias, wout, bout = weights.values()
            hs = [h]
            for x_t in x:
                hs.append(np.tanh(wih.T[x_t] + hs[-1] @ whh.T + bias))
            after, before = np.stack(hs[1:]), np.stack(hs[:-1])
            z = after @ wout.T + bout
            p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
            hot = np.eye(V)[y]
            history.append(-(np.log(p) * hot).sum() / y.size)
            dz = (p - hot) / y.size
            da, dh = np.zeros(after.shape), 0
            for s in reversed(range(size)):
                da[s] = (dz[s] @ wout + dh) * (1 - after[s] ** 2)
                dh = da[s] @ whh
            gradients = {
                "W_ih": np.einsum("tnh,tnv->hv", da, np.eye(V)[x]),
                "W_hh": np.einsum("tnh,tnk->hk", da, before),
                "b": da.sum(axis=(0, 1)),
                "W_out": np.einsum("tnv,tnh->vh", dz, after),
                "b_out": dz.sum(axis=(0, 1)),
            }
            h = hs[-1]
            norm = np.sqrt(sum((d**2).sum() for d in gradients.values()))
            scale = min(1, max_norm / norm)
            s = k
            if s < warmup:
                rate = peak * (s + 1) / warmup
            elif s < steps:
                share = (s - warmup) / (steps - warmup)
                rate = floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2
            else:
                rate = floor
            rates.append(rate)
            norms.append(norm)
            t = k + 1
            learning_rate = rate
            for name in weights:
                parameter, g = weights[name], gradients[name] * scale
                m, v = ms[name], vs[name]
                m_new = beta_1 * m + (1 - beta_1) * g
                v_new = beta_2 * v + (1 - beta_2) * g**2
                m_hat = m_new / (1 - beta_1**t)
                v_hat = v_new / (1 - beta_2**t)
                step = m_hat / (np.sqrt(v_hat) + eps)
                theta = parameter - learning_rate * step
                kept_m, kept_v = m_new, v_new
                weights[name] = theta
                ms[name], vs[name] = kept_m, kept_v
            k = k + 1
        told.append(np.concatenate([array.ravel() for array in weights.values()]))
        if epoch + 1 >= until:
            break
    return *weights.values(), np.array(history), np.array(rates), np.array(norms), np.array(told), spoilt


def _train_reference(*arguments: np.ndarray) -> Arrays:
    """The same run by rnnlib's cells, losses and optimisers."""
    inputs, targets, sizes, *given, epochs, peak, warmup, max_norm, until = arguments
    names = ("W_ih", "W_hh", "b", "W_out", "b_out")
    weights = {name: array.copy() for name, array in zip(names, given, strict=True)}
    H, V = weights["W_ih"].shape
    schedule = _factor(int(epochs) * len(sizes), int(warmup))
    adam, log, told, ends = optim.Adam(weights), [], [], np.cumsum(sizes)[:-1]
    for _ in range(min(int(epochs), int(until))):
        h = np.zeros((inputs.shape[1], H))
        for x, y in zip(np.split(inputs, ends), np.split(targets, ends), strict=True):
            W_ih, W_hh, b, W_out, b_out = weights.values()
            hs, h, cache = rnn.forward(np.eye(V)[x], h, W_ih, W_hh, b, np.zeros(H))
            loss, dz = losses.cross_entropy(hs @ W_out.T + b_out, y)
            _, _, *recurrent, _ = rnn.backward(dz @ W_out, np.zeros(h.shape), cache)
            readout = np.einsum("tnv,tnh->vh", dz, hs), dz.sum(axis=(0, 1))
            gradients = dict(zip(names, (*recurrent, *readout), strict=True))
            clipped, norm = optim.clip_by_global_norm(gradients, float(max_norm))
            rate = float(peak) * schedule(adam.steps)
            adam.step(clipped, rate)
            log.append((float(loss), rate, norm))
        told.append(np.concatenate([array.ravel() for array in weights.values()]))
    return *weights.values(), *np.array(log).T, np.stack(told), np.zeros(())


_WEIGHTS = ("W_ih", "W_hh", "b", "W_out", "b_out")
_LOG, _GIVEN = ("losses", "rates", "norms"), "changes made to the weights that came in"
_TOLD = "what after_epoch was called with"
TRAIN = Question(
    name="train",
    title="The whole loop",
    arguments=("inputs", "targets", "sizes", *_WEIGHTS, "epochs", "peak", "warmup", "max_norm", "until"),
    outputs=(*_WEIGHTS, *_LOG, _TOLD, _GIVEN),
    axes={
        "W_ih": ("unit", "symbol"),
        "W_hh": ("unit", "unit before"),
        "b": ("unit",),
        "W_out": ("symbol", "unit"),
        "b_out": ("symbol",),
        **dict.fromkeys(_LOG, ("update",)),
        _TOLD: ("epoch", "entry"),
        _GIVEN: (),
    },
    reference=_train_reference,
    cases=_train_cases,
    parts=(
        Part("the log", 3, _LOG),
        Part("the weights, for after_epoch too", 3, (*_WEIGHTS, _TOLD)),
        Part("what came in stays as it was", 1, (_GIVEN,)),
        Part("one window an epoch, one update, nothing to clip", 1, (*_WEIGHTS, *_LOG, _TOLD, _GIVEN), edge=True),
    ),
    model=_train_model,
    bugs=(*TRAIN_BUGS, *ADAM_BUGS, *SCHEDULE_BUGS),
    lesson=LESSON,
    builds_on=("adam_step", "learning_rate_at"),
)

QUESTIONS = (ADAM_STEP, SCHEDULE, PERPLEXITY_OF, EARLY_STOP, WINDOWS_OF, READ_STREAM, TRAIN)
