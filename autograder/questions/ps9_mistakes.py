"""What goes wrong with a model of one's own, by what it leaves in the probabilities: each mistake with a name.

A mistake is looked for in the answers alone: something is undone and fits, or they depend on what they should not, or
do not on what they should. The first that shows is named: form comes first, then what is exact, then what is likely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from autograder.questions.ps9_baselines import after_each
from autograder.scored import SAME, Mistake, Seen
from rnnlib.data import brackets

TEXT, NATS, COUNTING = "A text, cut in order", "Nats, bits, perplexity", "The rival that only counts"
TRAINING, TEMPERATURE, SURPRISED = "Training on a stream", "Temperature and top-k", "Where is it surprised?"
CLEAR = 0.3  # nats that undoing a mistake must win, where it is likely and not exact
EXACT = 2e-5  # how far equal answers lie apart in float32
NEAR, APART = 0.8, 0.5  # nats between a good model and what follows the symbol it ends with, or another: 0.6, 1.8
LEANS, ASKEW = 0.008, 0.03  # nats won by one number for each symbol: training leaves 0.002, rarely 0.012; slips more
ENOUGH = 300  # contexts that must have a twin before equal answers say anything


# ---- form ----------------------------------------------------------------------------------------------------------


def _shape(seen: Seen) -> tuple[int, ...]:
    return seen.came.shape


def _sizes(seen: Seen) -> tuple[int, int, int]:
    N, T = seen.drawn.contexts.shape
    return N, T, seen.question.V


def _is_table(seen: Seen) -> bool:
    """Whether it is (N, V), real and finite, and yet no probabilities."""
    N, _, V = _sizes(seen)
    return (
        seen.p is None
        and _shape(seen) == (N, V)
        and seen.came.dtype.kind in "fiub"
        and bool(np.isfinite(seen.came).all())
    )


def _table(seen: Seen) -> np.ndarray:
    return seen.came.astype(np.float64)


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _sums_to(seen: Seen, table: np.ndarray, total: float, axis: int) -> bool:
    return bool(np.abs(table.sum(axis=axis) / total - 1).max() < 1e-2)


def _transposed(seen: Seen) -> bool:
    N, _, V = _sizes(seen)
    return _shape(seen) == (V, N)


def _every_step(seen: Seen) -> bool:
    N, T, V = _sizes(seen)
    return _shape(seen) in ((N, T, V), (T, N, V))


def _time_for_sequences(seen: Seen) -> bool:
    _, T, _ = _sizes(seen)
    return len(_shape(seen)) >= 1 and _shape(seen)[0] == T and not _every_step(seen)


def _axis_left_over(seen: Seen) -> bool:
    N, _, V = _sizes(seen)
    return _shape(seen) != (N, V) and tuple(n for n in _shape(seen) if n != 1) == (N, V)


def _is_column(seen: Seen) -> bool:
    N, _, _ = _sizes(seen)
    return _shape(seen) in ((N,), (N, 1)) and bool(np.isfinite(seen.came).all())


def _symbols(seen: Seen) -> bool:
    return _is_column(seen) and np.array_equal(seen.came, np.round(seen.came.real))


def _one_probability(seen: Seen) -> bool:
    return _is_column(seen) and not _symbols(seen)


def _one_for_all(seen: Seen) -> bool:
    _, _, V = _sizes(seen)
    return _shape(seen) in ((V,), (1, V))


def _other_vocabulary(seen: Seen) -> bool:
    N, _, V = _sizes(seen)
    return (
        len(_shape(seen)) == 2 and _shape(seen)[0] == N and V - 2 <= _shape(seen)[1] <= V + 3 and _shape(seen)[1] != V
    )


def _states(seen: Seen) -> bool:
    N, _, V = _sizes(seen)
    return len(_shape(seen)) == 2 and _shape(seen)[0] == N and _shape(seen)[1] > V + 3


def _not_finite(seen: Seen) -> bool:
    N, _, V = _sizes(seen)
    return _shape(seen) == (N, V) and seen.came.dtype.kind == "f" and not np.isfinite(seen.came).all()


def _hard_choice(seen: Seen) -> bool:
    N, _, V = _sizes(seen)
    return (
        _shape(seen) == (N, V)
        and bool(np.isin(seen.came, (0, 1)).all())
        and bool((np.count_nonzero(seen.came, axis=1) == 1).all())
    )


def _whole(seen: Seen) -> bool:
    return _is_table(seen) and seen.came.dtype.kind in "iub"


def _drowned(seen: Seen) -> bool:
    """Most rows sure of one symbol, which the source holds for no likelier than any: no choice of a model's."""
    N, _, V = _sizes(seen)
    if _shape(seen) != (N, V) or seen.came.dtype.kind != "f" or not _sums_to(seen, seen.came, 1, axis=1):
        return False
    likely = seen.drawn.source[np.arange(N), seen.came.argmax(axis=1)].mean()
    return bool((seen.came.max(axis=1) > 0.999).mean() > 0.5 and likely < 0.15)


def _logarithms(seen: Seen) -> bool:
    return _is_table(seen) and _table(seen).max() <= 1e-6 and _sums_to(seen, np.exp(_table(seen)), 1, axis=1)


def _over_the_batch(seen: Seen) -> bool:
    return _is_table(seen) and _table(seen).min() >= 0 and _sums_to(seen, _table(seen), 1, axis=0)


def _over_everything(seen: Seen) -> bool:
    return _is_table(seen) and _table(seen).min() >= 0 and bool(abs(_table(seen).sum() - 1) < 1e-2)


def _percent(seen: Seen) -> bool:
    return _is_table(seen) and _table(seen).min() >= 0 and _sums_to(seen, _table(seen), 100, axis=1)


def _rounded(seen: Seen) -> bool:
    table = _table(seen) if _is_table(seen) else seen.p
    if table is None or seen.came.dtype.kind != "f" or table.min() < 0:
        return False
    came = seen.came.astype(np.float64)
    off = 5e-4 if seen.came.dtype.itemsize == 2 else 1e-7
    if any(np.allclose(came, np.round(came, d), rtol=0, atol=off) for d in (1, 2, 3)[: 2 if off > 1e-7 else 3]):
        return True
    return _divided_again(came)


def _divided_again(p: np.ndarray) -> bool:
    """Whether rows are whole numbers of hundredths, divided by their sum: some 0, and all multiples of one number."""
    left = (p > 0).all(axis=1)
    if left.mean() > 0.5:
        return False
    for hundredths in range(93, 108):  # V numbers rounded may miss the sum by V / 2 of them
        left |= np.abs(hundredths * p - np.round(hundredths * p)).max(axis=1) < 1e-3
    return bool(left.mean() > 0.99)


def _floor(seen: Seen) -> bool:
    """Sums above 1 by no more than a floor under every number explains."""
    if not _is_table(seen) or not (table := _table(seen)).min() > 0:
        return False
    over = table.sum(axis=1) - 1
    return bool(over.min() > -1e-5 and over.max() < table.shape[1] * table.min() + 1e-5)


def _alike(seen: Seen) -> bool:
    return _is_table(seen) and _table(seen).min() >= 0 and _sums_to(seen, _table(seen), _table(seen)[0].sum(), axis=1)


def _sigmoids(seen: Seen) -> bool:
    if not _is_table(seen) or not (_table(seen).min() > 0 and _table(seen).max() < 1):
        return False
    odds = _table(seen) / (1 - _table(seen))  # exp of what a softmax would have had
    return seen.loss(odds) < seen.loss(_table(seen)) - 0.01


def _undivided(seen: Seen) -> bool:
    return _is_table(seen) and _table(seen).min() >= 0 and seen.loss(_table(seen)) < seen.mean["single symbols"]


def _squashed(seen: Seen) -> bool:
    if not _is_table(seen) or not (table := _table(seen)).min() < 0 or np.abs(table).max() > 1:
        return False
    undone = np.arctanh(np.clip(table, -1 + 1e-9, 1 - 1e-9))
    return seen.loss(_softmax(undone)) < min(seen.loss(_softmax(table)) - 0.05, seen.mean["single symbols"])


def _logits(seen: Seen) -> bool:
    return (
        _is_table(seen) and _table(seen).min() < 0 and seen.loss(_softmax(_table(seen))) < seen.mean["single symbols"]
    )


def _never(seen: Seen) -> bool:
    return seen.p is not None and bool((seen.p[np.arange(len(seen.p)), seen.drawn.targets] <= 0).any())


# ---- what the answers depend on ------------------------------------------------------------------------------------


def _content(shows: Callable[[Seen, np.ndarray], bool]) -> Callable[[Seen], bool]:
    """A mistake that is looked for in sound probabilities."""
    return lambda seen: seen.p is not None and shows(seen, seen.p)


def _two_calls(seen: Seen) -> tuple[np.ndarray, np.ndarray] | None:
    expected = (len(seen.drawn.again), seen.question.V)
    first, second = seen.later[0], seen.later[1]
    if first is None or second is None or first.shape != expected or second.shape != expected:
        return None
    return first.astype(np.float64), second.astype(np.float64)


def _changes(seen: Seen, p: np.ndarray) -> bool:
    calls = _two_calls(seen)
    return calls is not None and not np.abs(calls[0] - calls[1]).max() <= SAME


def _company(seen: Seen, p: np.ndarray) -> bool:
    calls, alone = _two_calls(seen), seen.later[2]
    if calls is None or _changes(seen, p):
        return False
    apart = (
        alone is not None
        and alone.shape == (1, p.shape[1])
        and not np.abs(alone - p[seen.drawn.again[:1]]).max() <= SAME
    )
    return apart or not np.abs(calls[0] - p[seen.drawn.again]).max() <= SAME


def _uniform(seen: Seen, p: np.ndarray) -> bool:
    return bool(np.abs(p - 1 / p.shape[1]).max() < 1e-3)


def _ignored(seen: Seen, p: np.ndarray) -> bool:
    return bool(np.ptp(p, axis=0).max() < EXACT)


def _only(read: np.ndarray, p: np.ndarray) -> bool:
    """Whether answers are equal wherever these symbols (N, k) are."""
    _, group, count = np.unique(read, axis=0, return_inverse=True, return_counts=True)
    group = group.ravel()
    if count[count > 1].sum() < ENOUGH:
        return False
    order = np.argsort(group, kind="stable")
    twins = group[order][1:] == group[order][:-1]
    return bool(np.abs(p[order][1:] - p[order][:-1])[twins].max() < EXACT)


def _only_last(seen: Seen, p: np.ndarray) -> bool:
    return _only(seen.drawn.contexts[:, -1:], p)


def _only_few(seen: Seen, p: np.ndarray) -> bool:
    return any(_only(seen.drawn.contexts[:, -k:], p) for k in (2, 3, 4, 5))


def _only_first(seen: Seen, p: np.ndarray) -> bool:
    return _only(seen.drawn.contexts[:, :1], p)


def _as_after(p: np.ndarray) -> np.ndarray:
    """How far each answer lies from what follows each symbol, in nats: (N, V)."""
    table = after_each()
    return (table * np.log(table)).sum(axis=1) - np.log(np.maximum(p, 1e-12)) @ table.T


def _by_position(seen: Seen, p: np.ndarray) -> np.ndarray:
    """How far the answers lie from what follows the symbol at each position: (T,)."""
    contexts = seen.drawn.contexts
    return np.take_along_axis(_as_after(p), contexts, axis=1).mean(axis=0)


def _ends_at(seen: Seen, p: np.ndarray) -> int | None:
    """The position whose symbol the answers follow, where it clearly is not the last."""
    apart = _by_position(seen, p)
    return int(np.argmin(apart)) if apart.min() < min(NEAR, apart[-1] - APART) else None


def _backwards(seen: Seen, p: np.ndarray) -> bool:
    return _ends_at(seen, p) == 0


def _one_short(seen: Seen, p: np.ndarray) -> bool:
    return _ends_at(seen, p) == seen.drawn.contexts.shape[1] - 2


def _early(seen: Seen, p: np.ndarray) -> bool:
    return _ends_at(seen, p) is not None


def _padding(seen: Seen, p: np.ndarray) -> bool:
    always, next_best = np.sort(_as_after(p).mean(axis=0))[:2]
    return bool(always < min(NEAR, _by_position(seen, p).min() - APART, next_best - 0.2))


def _echo(seen: Seen, p: np.ndarray) -> bool:
    return bool(p[np.arange(len(p)), seen.drawn.contexts[:, -1]].mean() > 0.6)


def _averaged(seen: Seen, p: np.ndarray) -> bool:
    mean = after_each()[seen.drawn.contexts].mean(axis=1)
    a, b = (mean - mean.mean(axis=0)).ravel(), (p - p.mean(axis=0)).ravel()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return size > 0 and float(a @ b) / size > 0.4


# ---- what would fit, were it undone --------------------------------------------------------------------------------


def _better(seen: Seen, p: np.ndarray, others: Iterator[np.ndarray]) -> bool:
    fits = min(map(seen.loss, others))
    return fits < min(seen.loss(p) - CLEAR, seen.mean["single symbols"])


def _row_orders(seen: Seen, p: np.ndarray) -> Iterator[np.ndarray]:
    contexts = seen.drawn.contexts
    yield p[::-1]
    yield np.roll(p, 1, axis=0)
    yield np.roll(p, -1, axis=0)
    for order in (np.lexsort(contexts.T[::-1]), np.lexsort(contexts.T), np.argsort(contexts[:, -1], kind="stable")):
        back = np.empty_like(p)
        back[order] = p
        yield back


def _rows_moved(seen: Seen, p: np.ndarray) -> bool:
    return _better(seen, p, _row_orders(seen, p))


def _column_orders(p: np.ndarray) -> Iterator[np.ndarray]:
    yield np.roll(p, 1, axis=1)
    yield np.roll(p, -1, axis=1)
    yield p[:, ::-1]
    alphabetical = sorted(brackets.ALPHABET)
    yield p[:, [alphabetical.index(symbol) for symbol in brackets.ALPHABET]]


def _columns_moved(seen: Seen, p: np.ndarray) -> bool:
    return _better(seen, p, _column_orders(p))


def _twice(seen: Seen, p: np.ndarray) -> bool:
    logs = np.log(np.maximum(p, 1e-12))
    once = logs + (1 - logs.sum(axis=1, keepdims=True)) / p.shape[1]  # softmax(q) = p, and the sum of q is 1
    return bool(once.min() > -1e-4) and seen.loss(np.maximum(once, 1e-12)) < seen.loss(p) - 0.05


@lru_cache(maxsize=1)
def _mended(seen: Seen) -> tuple[float, float, float]:
    """The power that would mend the answers best, the nats that it would win, and those that a bias wins then.

    Training by cross-entropy gives each symbol its share first of all: a bias of the last layer that still wins
    something was not trained so.
    """
    assert seen.p is not None
    logs = np.log(np.maximum(seen.p, 1e-12))
    powers = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)
    losses = [seen.loss(_softmax(power * logs)) for power in powers]
    best = int(np.argmin(losses))
    logits, shares = powers[best] * logs, seen.drawn.source.mean(axis=0)
    for _ in range(30):
        logits = logits + np.log(shares / np.maximum(_softmax(logits).mean(axis=0), 1e-12))
    return powers[best], losses[powers.index(1.0)] - losses[best], losses[best] - seen.loss(_softmax(logits))


def _askew(seen: Seen, p: np.ndarray) -> bool:
    *_, by_bias = _mended(seen)
    return by_bias > ASKEW and seen.loss(p) > seen.mean["the last symbol alone"]


def _leans(seen: Seen, p: np.ndarray) -> bool:
    *_, by_bias = _mended(seen)
    return by_bias > LEANS


def _sharp(seen: Seen, p: np.ndarray) -> bool:
    power, won, by_bias = _mended(seen)
    return power < 1 and won > 0.02 and by_bias <= ASKEW and seen.loss(p) - won < seen.mean["single symbols"]


def _flat(seen: Seen, p: np.ndarray) -> bool:
    power, won, by_bias = _mended(seen)
    return power > 1 and won > 0.02 and by_bias <= ASKEW


def _untrained(seen: Seen, p: np.ndarray) -> bool:
    away = float((p * np.log(p.shape[1] * np.maximum(p, 1e-12))).sum(axis=1).mean())
    return away < 0.05 and seen.loss(p) > seen.mean["single symbols"]


def _below_counting(seen: Seen, p: np.ndarray) -> bool:
    return seen.loss(p) > seen.mean["the last symbol alone"]


def _worse(seen: Seen, p: np.ndarray) -> bool:
    return seen.loss(p) > seen.mean["a blind guess"]


# ---- the brackets --------------------------------------------------------------------------------------------------


def _open_ones(context: np.ndarray) -> tuple[list[int], int]:
    """The positions of brackets opened in the stretch and still open; and of the last opened at all, -1: none."""
    stack: list[int] = []
    last = -1
    for i, symbol in enumerate(context.tolist()):
        if symbol < brackets.KINDS:
            stack.append(i)
            last = i
        elif symbol < 2 * brackets.KINDS and stack:
            stack.pop()
    return stack, last


def _kinds_if_closing(p: np.ndarray) -> np.ndarray:
    closing = p[:, brackets.KINDS : 2 * brackets.KINDS]
    return closing / np.maximum(closing.sum(axis=1, keepdims=True), 1e-12)


def _last_bracket(seen: Seen, p: np.ndarray) -> bool:
    shares, kinds = [], _kinds_if_closing(p)
    for n, context in enumerate(seen.drawn.contexts):
        stack, last = _open_ones(context)
        if stack and stack[-1] != last and context[last] != context[stack[-1]]:
            shares.append((kinds[n, context[last]], kinds[n, context[stack[-1]]]))
    wrong, right = np.mean(shares, axis=0)
    return bool(wrong > 0.5 and wrong > 2 * right)


def where(seen: Seen) -> str:
    """In words, where the nats are that the model needs and the source does not; and what it knows of old brackets."""
    assert seen.p is not None
    K, p, q = brackets.KINDS, seen.drawn.source, np.maximum(seen.p, 1e-12)
    groups = slice(0, K), slice(K, 2 * K), slice(2 * K, None)
    P, Q = (np.stack([x[:, g].sum(axis=1) for g in groups], axis=1) for x in (p, q))
    lost = {"whether a bracket opens, one closes or a letter comes": _kl(P, Q)}
    for name, g, k in (("which bracket closes", groups[1], 1), ("which letter comes", groups[2], 2)):
        lost[name] = _kl(p[:, g], q[:, g] * (P[:, k] / Q[:, k])[:, None])
    total = _kl(p, q)
    most = sorted(lost, key=lost.__getitem__, reverse=True)[:2]
    text = " and ".join(f"{100 * lost[name] / total:.0f} % is {name}" for name in most)
    near: list[float] = []
    far: list[float] = []
    kinds = _kinds_if_closing(q)
    for n, context in enumerate(seen.drawn.contexts):
        stack, _ = _open_ones(context)
        if stack:
            (near if len(context) - stack[-1] <= 4 else far).append(kinds[n, context[stack[-1]]])
    return (
        f"Of what the source knows and your model does not, {text}. If one closes, your model gives the right "
        f"kind {100 * np.mean(near):.0f} % where it was opened within four symbols, and {100 * np.mean(far):.0f} % "
        "where earlier. Whether predict says all that was trained, a bias too, the cell under “Does predict say what "
        "was trained?” tells."
    )


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    ratio = np.where(p > 0, p, 1) / np.where(p > 0, q, 1)
    return float((p * np.log(ratio)).sum(axis=1).mean())


# ---- in the order in which they are looked for -----------------------------------------------------------------------

SELF_TEST = (
    "The cell under “Does predict say what was trained?” tells most of these apart: a loss on the training text "
    "clearly above the one that training ended with means that predict misreads the weights; as low as that, that "
    "the training is to blame."
)
MISREAD = (
    "gates in another order (i, f, g, o; r, z, n), biases left out or added twice (there are two, and the last "
    "layer's), h and c exchanged, a transpose, tanh where a sigmoid belongs or the other way round, names mixed up"
)
MISTAKES = (
    Mistake(
        "every_step_returned",
        _every_step,
        "Your function returns an answer after every step. What is asked is the one after the last symbol of each"
        " context.",
        TRAINING,
    ),
    Mistake(
        "time_for_sequences",
        _time_for_sequences,
        "Your function returns as many rows as a context has symbols: it took the first axis of `contexts` for "
        "time. Sequences come first here, (N, T); contexts.T is (T, N).",
        TEXT,
    ),
    Mistake(
        "transposed",
        _transposed,
        "Your probabilities lie the other way round: a row for each symbol and a column for each context. Rows "
        "are contexts.",
        NATS,
    ),
    Mistake(
        "axis_left_over",
        _axis_left_over,
        "Your probabilities have an axis of length 1 too many: the one step, or layer, that you kept. Index it, "
        "[0] or [-1].",
        TRAINING,
    ),
    Mistake(
        "one_answer_for_all",
        _one_for_all,
        "Your function returns one row for all contexts. It is called with many at a time, and each has a row of "
        "its own.",
        NATS,
    ),
    Mistake(
        "symbols_in_place_of_probabilities",
        _symbols,
        "Your function returns a symbol for each context, perhaps the likeliest. What is asked is how likely each"
        " of them is.",
        NATS,
    ),
    Mistake(
        "one_probability_a_context",
        _one_probability,
        "Your function returns one number for each context. What is asked is the probability of every symbol: the"
        " targets are not known here, so that their probability alone cannot be given.",
        NATS,
    ),
    Mistake(
        "another_vocabulary",
        _other_vocabulary,
        "Your probabilities are for another number of symbols: one or two too many or too few. Was an id for "
        "padding or for an unknown symbol added, or counted where the largest id was meant (V is one more)?",
        TEXT,
    ),
    Mistake(
        "states_in_place_of_probabilities",
        _states,
        "Your function returns more numbers for each context than there are symbols: the state, perhaps. The last"
        " layer and the softmax are missing.",
        TRAINING,
    ),
    Mistake(
        "not_finite",
        _not_finite,
        "There is nan or infinity in your probabilities. Usual causes: exp of a large logit (subtract each row's "
        "largest first), a gate without its sigmoid or a state without its tanh (it grows from step to step), or "
        "weights that went out of bounds in training and were saved so.",
        NATS,
    ),
    Mistake(
        "drowned_in_its_state",
        _drowned,
        "Your model is wholly sure nearly everywhere, and of symbols that hardly ever come: no training ends so. "
        "The numbers before the softmax are huge, as when a gate lacks its sigmoid, the state its tanh, or the weights "
        f"are not read as they were written: {MISREAD}. {SELF_TEST}",
        TRAINING,
    ),
    Mistake(
        "hard_choice",
        _hard_choice,
        "Your rows hold one 1 and else 0: a choice, not a probability. The first wrong choice makes the "
        "perplexity infinite. Leave the softmax as it is.",
        NATS,
    ),
    Mistake(
        "log_probabilities",
        _logarithms,
        "These are log-probabilities: their exp sums to 1 in every row. Return the probabilities themselves.",
        NATS,
    ),
    Mistake(
        "softmax_over_the_batch",
        _over_the_batch,
        "Your columns sum to 1, your rows do not: the softmax went over the contexts. It goes over the symbols, "
        "axis 1.",
        NATS,
    ),
    Mistake(
        "softmax_over_everything",
        _over_everything,
        "All your numbers together sum to 1: the softmax, or the division by the sum, went over the whole array. "
        "Each row for itself: axis=1, keepdims=True.",
        NATS,
    ),
    Mistake(
        "percent",
        _percent,
        "Your rows sum to 100: these are percentages. Divide by 100.",
        NATS,
    ),
    Mistake(
        "whole_numbers",
        _whole,
        "Your function returns whole numbers: astype(int) and its like cut every probability below 1 to 0. "
        "Probabilities are floats.",
        NATS,
    ),
    Mistake(
        "rounded",
        _rounded,
        "Your probabilities are rounded, to two decimals or so. The small ones become 0, and what has probability 0 "
        "comes sooner or later. Round what is printed, never what is returned.",
        NATS,
    ),
    Mistake(
        "floor_not_divided_again",
        _floor,
        "Your rows were divided by their sum, and then a floor came under them: a small number added to each "
        "probability, or np.maximum or np.clip, and they sum to a little more than 1. Divide once more, after it.",
        NATS,
    ),
    Mistake(
        "rows_sum_alike",
        _alike,
        "Each row has the same sum, which is not 1: the division was made, and something came after it or went into "
        "it. A factor? Several predictions added up and not averaged? A softmax over more symbols than you return?",
        NATS,
    ),
    Mistake(
        "sigmoid_for_softmax",
        _sigmoids,
        "Each of your numbers lies between 0 and 1, and the rows do not sum to 1: a sigmoid for each symbol, "
        "where one softmax for all of them is asked. (Were the last layer's numbers put through a softmax, they "
        "would do better.)",
        NATS,
    ),
    Mistake(
        "not_divided_by_the_sum",
        _undivided,
        "Your numbers are in the right proportion, but the rows do not sum to 1: the division by each row's sum "
        "is missing.",
        NATS,
    ),
    Mistake(
        "tanh_for_softmax",
        _squashed,
        "Your numbers lie between -1 and 1: a tanh for each symbol, where one softmax over all of them is asked. Leave "
        "the tanh out, and take the softmax of what went into it.",
        NATS,
    ),
    Mistake(
        "logits",
        _logits,
        "These are logits: through a softmax they would make good sense. The softmax over each row is missing.",
        NATS,
    ),
    Mistake(
        "probability_zero",
        _never,
        "Your model says of some symbols that they cannot come, probability 0, and one of these came: that makes "
        "the perplexity infinite. A softmax never says 0. Counts without smoothing do, and clipping, and masks of"
        " one's own.",
        COUNTING,
    ),
    Mistake(
        "rows_in_another_order",
        _content(_rows_moved),
        "Your answers fit the contexts in another order: each is right for another row. Were the contexts sorted,"
        " or turned round, and the answers not put back?",
        TEXT,
    ),
    Mistake(
        "changes_from_call_to_call",
        _content(_changes),
        "Asked the very same twice, your function gives different answers. Is dropout still on, is something "
        "drawn at random, or is a state kept from the call before?",
        TRAINING,
    ),
    Mistake(
        "depends_on_its_company",
        _content(_company),
        "The answer to a context depends on which others are asked beside it. Does the state run on from one "
        "context to the next, or does something average, sort or normalise over the batch?",
        TRAINING,
    ),
    Mistake(
        "uniform",
        _content(_uniform),
        "Every symbol has the same probability, whatever came before. Is this the example, or are the weights of "
        "the last layer zero?",
        NATS,
    ),
    Mistake(
        "contexts_ignored",
        _content(_ignored),
        "Your answer is the same for every context: what comes in does not come out. Is the state that you read "
        "out the initial one, or is the input never added to it?",
        COUNTING,
    ),
    Mistake(
        "says_the_last_symbol_again",
        _content(_echo),
        "Your model predicts the symbol that it has just read. Was it trained with its inputs as targets? The "
        "target of a step is the symbol after it.",
        TEXT,
    ),
    Mistake(
        "only_the_first_symbol",
        _content(_only_first),
        "Your answer depends on the first symbol of a context alone. Do you read out the state after the first "
        "step, [0] for [-1], or does the loop end after one round?",
        TRAINING,
    ),
    Mistake(
        "only_the_last_symbol",
        _content(_only_last),
        "Contexts that end with the same symbol get the same answer: your model sees the last symbol and nothing "
        "before. Is the state carried from step to step, or started anew in the loop?",
        COUNTING,
    ),
    Mistake(
        "only_the_last_few_symbols",
        _content(_only_few),
        "Contexts that end with the same few symbols get the same answer: whatever stood before is not seen. That"
        " is an n-gram, or a window; no bracket that opened before it is known.",
        COUNTING,
    ),
    Mistake(
        "symbols_in_another_order",
        _content(_columns_moved),
        "Your answers fit if the symbols are numbered otherwise: by one more or less, backwards, or in the order "
        "of a sorted alphabet. Column v is the symbol brackets.ALPHABET[v].",
        TEXT,
    ),
    Mistake(
        "read_backwards",
        _content(_backwards),
        "Your model answers as if the first symbol of a context were the last: the contexts are read backwards.",
        TEXT,
    ),
    Mistake(
        "one_symbol_short",
        _content(_one_short),
        "Your model answers as if the last symbol were still to come: it predicts that one, not the one after. "
        "Does the loop, or a slice such as [:-1], leave out the last symbol?",
        TEXT,
    ),
    Mistake(
        "stops_on_the_way",
        _content(_early),
        "Your model answers as if a symbol in the middle of the context were the last: what stands behind is not read.",
        TRAINING,
    ),
    Mistake(
        "padding_read",
        _content(_padding),
        "Your model answers as if every context ended with the same symbol. Is something appended to the "
        "contexts, such as padding of 0, which is a symbol here, and read like the rest?",
        TEXT,
    ),
    Mistake(
        "averaged_over_steps",
        _content(_averaged),
        "Your answers follow what is frequent in a context, wherever it stands: as if states or probabilities "
        "were averaged over all steps. What comes next follows from the state after the last one.",
        TRAINING,
    ),
    Mistake(
        "softmax_twice",
        _content(_twice),
        "A softmax was taken twice: of probabilities, which makes them nearly alike. Undone once, your answers do"
        " better.",
        TEMPERATURE,
    ),
    Mistake(
        "not_trained",
        _content(_untrained),
        "Your answers are almost a blind guess, and differ a little from context to context: that is what a model"
        " says before training. Were the weights saved before it, or is a name missing, so that some are still at"
        f" their start? A predict that misreads small weights can look the same. {SELF_TEST}",
        TRAINING,
    ),
    Mistake(
        "too_sure",
        _content(_sharp),
        "Your model is too sure of itself: with its probabilities evened out it would do better. Each symbol gets about"
        " its share, so this is how a text learned by heart looks (compare the losses in training and validation), or "
        f"a temperature below 1. Some misreadings look the same: {MISREAD}. {SELF_TEST}",
        TEMPERATURE,
    ),
    Mistake(
        "too_cautious",
        _content(_flat),
        "Your model is less sure than it could be: with its probabilities sharpened it would do better. Is there "
        "a temperature above 1, a factor before the softmax, or dropout that was not scaled? Was training cut short, "
        f"or are the weights misread, a bias left out perhaps? {SELF_TEST}",
        TEMPERATURE,
    ),
    Mistake(
        "worse_than_a_guess",
        _content(_worse),
        "Your model is sure, and wrong more often than a blind guess. That is rarely training: are the weights read as "
        f"they were written? Usual slips: {MISREAD}. {SELF_TEST}",
        TRAINING,
    ),
    Mistake(
        "weights_misread",
        _content(_askew),
        "On average over all contexts your model gives symbols far more, or less, than their share, and it does worse "
        "than counting. To get the shares right is what training does first: most likely predict reads the weights "
        f"otherwise than they were trained. Usual slips: {MISREAD}. Or were the weights saved before training, or "
        f"after it had gone out of bounds? {SELF_TEST}",
        TRAINING,
    ),
    Mistake(
        "symbols_out_of_proportion",
        _content(_leans),
        "On average over all contexts your model gives some symbols more, or less, than their share: one number for "
        "each symbol, added before the softmax, would do good. Is the bias of the last layer left out in predict, or "
        "another bias, or is one added twice? Or did training end with steps too large, its rate never lowered? Other "
        f"misreadings can look the same: {MISREAD}. {SELF_TEST}",
        TRAINING,
    ),
    Mistake(
        "no_better_than_one_symbol",
        _content(_below_counting),
        "Your model sees more than the last symbol, and does worse than counting with that one alone. Either it is "
        "hardly trained (few steps, little text, a rate too small or too large), or predict misreads the weights: "
        f"{MISREAD}, or c not carried on. {SELF_TEST}",
        TRAINING,
    ),
    Mistake(
        "only_the_last_bracket",
        _content(_last_bracket),
        "Your model remembers the last bracket that opened, also after it was closed: the one around it is "
        "forgotten. What it must hold is a stack. More units or longer training may do, and windows long enough "
        "to see both ends.",
        SURPRISED,
    ),
)
