"""SYNTHETIC text in brackets: a language whose grammar is known, so that what can be known about it is known too.

Letters babble by a rule that looks one symbol back; around them brackets of several kinds open, and close in order.
Which kind closes next was said when it opened, any number of symbols ago: counting short runs cannot know it, a memory
of what is still open can. What is hidden is a stack of three brackets at most, so the best prediction after any
context, and the entropy, follow from the rules of probability alone. Nothing is trained here.
"""

from bisect import bisect
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

OPENING, CLOSING, LETTERS = "([{<", ")]}>", "abcdef"
ALPHABET = OPENING + CLOSING + LETTERS
KINDS, V = len(OPENING), len(ALPHABET)
DEPTH = 3  # as many brackets are open at once, at most
P_OPEN = np.array([0.30, 0.16, 0.12, 0.00])  # by how many are open
P_CLOSE = np.array([0.00, 0.22, 0.26, 0.30])
FIRST_LETTER = np.array([0.40, 0.25, 0.15, 0.10, 0.06, 0.04])  # of a word, after a bracket
AHEAD = {1: 0.50, 2: 0.25, 3: 0.15, 5: 0.10}  # of the next one: how far ahead in the alphabet, in a circle


class Contexts(NamedTuple):
    """Attributes: contexts (N, T), ids; targets (N,), the symbol that came after each."""

    contexts: np.ndarray
    targets: np.ndarray


def text(L: int, rng: np.random.Generator) -> np.ndarray:
    """SYNTHETIC: a stretch of L symbols, cut out somewhere: brackets may be open already.

    Returns:
        (L,) ids, places in ALPHABET.

    Raises:
        ValueError: L is below 1.
    """
    if L < 1:
        raise ValueError(f"L is {L}: expected at least 1")
    tables = grammar()
    cumulative, after = tables.p.cumsum(axis=1)[:, :-1].tolist(), tables.after.tolist()
    state = int(rng.choice(len(tables.p), p=stationary()))
    ids = []
    for u in rng.random(L).tolist():
        symbol = bisect(cumulative[state], u)
        ids.append(symbol)
        state = after[state][symbol]
    return np.array(ids)


def contexts(N: int, T: int, rng: np.random.Generator) -> Contexts:
    """SYNTHETIC: N stretches of T symbols, and what came after each; they share no symbol, and come in a random order.

    Raises:
        ValueError: N or T is below 1.
    """
    if N < 1 or T < 1:
        raise ValueError(f"N is {N}, T is {T}: expected at least 1")
    stretches = rng.permutation(text(N * (T + 1), rng).reshape(N, T + 1))
    return Contexts(stretches[:, :-1], stretches[:, -1])


def spelled(ids: ArrayLike) -> str:
    """The text that ids stand for."""
    return "".join(ALPHABET[i] for i in np.asarray(ids).ravel())


def entropy() -> float:
    """Nats per symbol that nobody can know, however far back they have read; its exp is the lowest perplexity.

    Reference:
        Shannon (1948), A mathematical theory of communication, section 7: H = Σ_s π(s) H(p(· | s)).
    """
    p = grammar().p
    return float(-(stationary() * (p * np.log(np.where(p > 0, p, 1))).sum(axis=1)).sum())


def predictive(contexts: ArrayLike) -> np.ndarray:
    """The best prediction after each context: the grammar's exact probability of each symbol, given these symbols.

    All that a stretch leaves open is how many brackets were open before it, and of which kinds. `b` says how likely
    each number is; a kind that was not read is any of them, alike.

    Args:
        contexts: (N, T) ids, all of one length.

    Returns:
        (N, V).

    Raises:
        ValueError: not (N, T), an id outside of the alphabet, or symbols that the grammar never writes.

    Reference:
        Rabiner (1989), A tutorial on hidden Markov models, section III.A: the forward procedure.
    """
    ids = np.asarray(contexts)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() < V):
        raise ValueError(f"contexts have shape {ids.shape}, dtype {ids.dtype}: expected (N, T) ids, 0 to {V - 1}")
    rows, heights = np.arange(len(ids)), np.arange(DEPTH + 1)
    b = np.tile(_heights(), (len(ids), 1))  # b[n, d]: the probability that d brackets were open before
    level = np.zeros(len(ids), int)  # how many more, or fewer, are open now
    kinds = np.full((len(ids), 2 * DEPTH + 1), -1)  # of the bracket opened at each level; -1: before the stretch
    last = np.full(len(ids), -1)
    with np.errstate(invalid="ignore"):
        for symbol in ids.T:
            b = b * _symbol(heights + level[:, None], kinds[rows, level + DEPTH], last)[rows, :, symbol]
            b /= b.sum(axis=1, keepdims=True)
            opens, closes = symbol < KINDS, (symbol >= KINDS) & (symbol < 2 * KINDS)
            kinds[rows[closes], level[closes] + DEPTH] = -1
            level = np.clip(level + opens - closes.astype(int), -DEPTH, DEPTH)
            kinds[rows[opens], level[opens] + DEPTH] = symbol[opens]
            last = symbol
    if np.isnan(b).any():
        raise ValueError(
            f"context {np.argwhere(np.isnan(b))[0, 0]} is not of this language: are brackets out of order?"
        )
    return np.einsum("nd,ndv->nv", b, _symbol(heights + level[:, None], kinds[rows, level + DEPTH], last))


class Grammar(NamedTuple):
    """The language as a machine: a state is the stack of open brackets and the symbol before, stack · V + symbol.

    Attributes:
        p: (S, V), what comes next.
        after: (S, V), the state that it leads to.
        height: (S,), how many brackets are open.
    """

    p: np.ndarray
    after: np.ndarray
    height: np.ndarray


@cache
def grammar() -> Grammar:
    """All states, reachable or not."""
    stacks: list[tuple[int, ...]] = [()]
    for stack in stacks:
        stacks += [(*stack, kind) for kind in range(KINDS)] if len(stack) < DEPTH else []
    place = {stack: i for i, stack in enumerate(stacks)}
    state_after = np.zeros((len(stacks), V), int)
    for stack, here in place.items():
        state_after[here] = here
        for kind in range(KINDS):
            state_after[here, kind] = place.get((*stack, kind), here)
            state_after[here, KINDS + kind] = place.get(stack[:-1], here)
    height = np.array([len(stack) for stack in stacks]).repeat(V)
    top = np.array([stack[-1] if stack else -1 for stack in stacks]).repeat(V)
    p = _symbol(height[:, None], top, np.tile(np.arange(V), len(stacks)))[:, 0]
    return Grammar(p, (state_after * V + np.arange(V)).repeat(V, axis=0), height)


@cache
def stationary() -> np.ndarray:
    """How often each state of the grammar occurs in the long run: (S,)."""
    p, after, _ = grammar()
    share: np.ndarray = np.zeros(len(p))
    share[2 * KINDS] = 1.0  # no bracket open, after a letter
    for _ in range(2000):
        share = np.bincount(after.ravel(), (share[:, None] * p).ravel(), len(share))
    return share / share.sum()


def _symbol(heights: np.ndarray, top: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Which symbol comes next, for each number of open brackets.

    Args:
        heights: (N, M), how many brackets may be open.
        top: (N,), the kind of the innermost; -1: unknown, any of them.
        last: (N,), the symbol before; -1: unknown.

    Returns:
        (N, M, V).
    """
    within = np.clip(heights, 0, DEPTH)
    opens, closes = P_OPEN[within], P_CLOSE[within]
    kind = np.where(top[:, None] < 0, 1 / KINDS, top[:, None] == np.arange(KINDS))
    letters = _first_letters()[within] if (last < 0).any() else _next_letters()[last][:, None]
    p = np.empty((*within.shape, V))
    p[:, :, :KINDS] = opens[:, :, None] / KINDS
    p[:, :, KINDS : 2 * KINDS] = closes[:, :, None] * kind[:, None]
    p[:, :, 2 * KINDS :] = (1 - opens - closes)[:, :, None] * letters
    return p


@cache
def _next_letters() -> np.ndarray:
    """Which letter comes, if one does, by the symbol before: (V, letters)."""
    table = np.tile(FIRST_LETTER, (V, 1))
    for i in range(len(LETTERS)):
        table[2 * KINDS + i] = 0
        for ahead, p in AHEAD.items():
            table[2 * KINDS + i, (i + ahead) % len(LETTERS)] += p
    return table


@cache
def _first_letters() -> np.ndarray:
    """Which letter comes, if one does, where the symbol before is not known: (heights, letters)."""
    height, share = grammar().height, stationary()
    before = np.array(
        [np.bincount(np.tile(np.arange(V), len(share) // V), share * (height == d), V) for d in range(DEPTH + 1)]
    )
    return before / before.sum(axis=1, keepdims=True) @ _next_letters()


def _heights() -> np.ndarray:
    """How often so many brackets are open: (heights,)."""
    return np.bincount(grammar().height, stationary())
