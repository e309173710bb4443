"""The language in brackets: its best prediction and its entropy are exact, and no short window replaces a memory."""

import numpy as np
import pytest

from rnnlib.data import brackets


def forward(ids):
    """The prediction after a stretch by the plain forward procedure, over every state of the grammar."""
    grammar = brackets.grammar()
    b = brackets.stationary()
    for symbol in ids:
        b = np.bincount(grammar.after[:, symbol], b * grammar.p[:, symbol], len(b))
    return b @ grammar.p / b.sum()


@pytest.mark.parametrize("T", [1, 2, 3, 7, 48])
def test_the_prediction_is_that_of_the_forward_procedure(T):
    contexts, _ = brackets.contexts(40, T, np.random.default_rng(T))
    for mine, context in zip(brackets.predictive(contexts), contexts, strict=True):
        np.testing.assert_allclose(mine, forward(context), atol=1e-12)


def test_every_probability_of_the_grammar_is_one_and_leads_on():
    grammar = brackets.grammar()
    np.testing.assert_allclose(grammar.p.sum(axis=1), 1)
    assert grammar.p.min() >= 0
    share = brackets.stationary()
    stepped = np.bincount(grammar.after.ravel(), (share[:, None] * grammar.p).ravel(), len(share))
    np.testing.assert_allclose(stepped, share, atol=1e-12)


def test_brackets_close_in_order_and_three_are_open_at_most():
    stack, deepest, closed = [], 0, 0
    for symbol in brackets.spelled(brackets.text(20_000, np.random.default_rng(3))):
        if symbol in brackets.OPENING:
            stack.append(symbol)
            deepest = max(deepest, len(stack))
        elif symbol in brackets.CLOSING and stack:
            assert brackets.OPENING.index(stack.pop()) == brackets.CLOSING.index(symbol)
            closed += 1
    assert deepest == brackets.DEPTH
    assert closed > 3_000


def test_a_long_text_needs_as_many_nats_as_the_entropy_says():
    tables, ids = brackets.grammar(), brackets.text(200_000, np.random.default_rng(4))
    contexts, targets = brackets.contexts(20_000, 60, np.random.default_rng(5))
    nats = -np.log(brackets.predictive(contexts)[np.arange(len(targets)), targets])
    error = nats.std() / np.sqrt(len(nats))
    assert abs(nats.mean() - brackets.entropy()) < 4 * error + 0.005  # 60 symbols know nearly all that is to be known
    share = np.bincount(ids, minlength=brackets.V) / len(ids)
    np.testing.assert_allclose(share, brackets.stationary() @ tables.p, atol=0.005)


def test_no_short_window_knows_what_closes():
    contexts, targets = brackets.contexts(20_000, 48, np.random.default_rng(6))
    rows, nats = np.arange(len(targets)), []
    for k in (1, 2, 4, 8, 16, 48):
        nats.append(-np.log(brackets.predictive(contexts[:, -k:])[rows, targets]).mean())
    assert np.all(np.diff(nats) < 0)
    assert nats[2] > nats[-1] + 0.15  # four symbols, perfectly used


def test_stretches_are_disjoint_shuffled_and_repeatable():
    first, again = (brackets.contexts(300, 20, np.random.default_rng(8)) for _ in range(2))
    assert np.array_equal(first.contexts, again.contexts)
    assert np.array_equal(first.targets, again.targets)
    whole = brackets.text(300 * 21, np.random.default_rng(8)).reshape(300, 21)
    mine = np.column_stack(first)
    assert sorted(map(tuple, mine)) == sorted(map(tuple, whole))
    assert not np.array_equal(mine, whole)


def test_what_is_no_text_of_the_language_is_refused():
    with pytest.raises(ValueError, match="context 1 is not of this language"):
        brackets.predictive([[0, 8], [0, 5]])  # "(" closed by "]"
    with pytest.raises(ValueError, match=r"expected \(N, T\) ids, 0 to 13"):
        brackets.predictive([[0, 14]])
    with pytest.raises(ValueError, match=r"expected \(N, T\) ids"):
        brackets.predictive([0.0, 1.0])
    with pytest.raises(ValueError, match="at least 1"):
        brackets.text(0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 1"):
        brackets.contexts(0, 4, np.random.default_rng(0))
