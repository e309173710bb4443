"""The n-gram model: a distribution after every context, the one of the papers, and the same whoever asks."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.models.ngram import NGram


def by_hand(stream, V, order, d, context):
    """Interpolated Kneser-Ney from dictionaries, run by run; the text begins with boundaries that are never said."""
    text = (V,) * order + tuple(stream)

    def counts(k):
        runs = Counter(text[i : i + k] for i in range(order + 1 - k, len(text) - k + 1) if text[i + k - 1] != V)
        if k < order:
            longer = {text[i : i + k + 1] for i in range(order - k, len(text) - k)}
            runs = Counter(run[1:] for run in longer if run[-1] != V)
        return runs

    context = (V,) * order + tuple(context)
    p = np.full(V, 1 / V)
    for k in range(1, order + 1):
        seen = counts(k)
        before = context[len(context) - (k - 1) :]
        after = np.array([seen[(*before, v)] for v in range(V)])
        if after.sum():
            p = (np.maximum(after - d, 0) + d * (after > 0).sum() * p) / after.sum()
    return p


streams = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@settings(deadline=None, max_examples=80)
@given(streams, st.lists(st.integers(0, 3), max_size=6), st.integers(1, 4), st.floats(0.05, 0.95))
def test_it_is_interpolated_kneser_ney(stream, context, order, d):
    model = NGram(stream, 4, order=order, discount=d)
    np.testing.assert_allclose(model.probabilities(context), by_hand(stream, 4, order, d, context), atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(streams, st.lists(st.integers(0, 4), max_size=8), st.integers(1, 5))
def test_it_gives_a_distribution_after_every_context_seen_or_not(stream, context, order):
    p = NGram(stream, 5, order=order).probabilities(context)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert np.all(p > 0)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_the_surprise_of_a_text_is_what_its_probabilities_say_step_by_step(order):
    rng = np.random.default_rng(0)
    model = NGram(rng.integers(0, 7, 300), 9, order=order, discount=0.4)
    text = rng.integers(0, 9, 25)
    expected = [-np.log(model.probabilities(text[:t])[text[t]]) for t in range(1, 25)]
    np.testing.assert_allclose(model.surprise(text), expected, rtol=1e-12)
    assert model.perplexity(text) == pytest.approx(np.exp(np.mean(expected)))


def test_it_learns_a_rhyme_that_a_shorter_order_cannot():
    text = np.tile([0, 0, 1, 1], 50)  # what follows a 0 hangs on what stood before it
    assert NGram(text, 2, order=3).perplexity(text) < 1.05 < 1.7 < NGram(text, 2, order=2).perplexity(text)


def test_a_token_that_followed_many_is_trusted_more_than_one_that_was_frequent_after_one():
    text = np.array([1, 2] * 20 + [4, 3, 5, 3, 6, 3, 7, 3])  # 2 is frequent, but only ever after 1
    p = NGram(text, 9, order=2).probabilities([8])  # 8 was never seen: the shorter context decides
    assert p[3] > 2 * p[2]


def test_a_text_in_another_language_costs_more_than_one_it_knows():
    rng = np.random.default_rng(1)
    text = rng.choice(6, 2000, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02])
    model = NGram(text[:1500], 6, order=3)
    assert model.perplexity(text[1500:]) < 6 < model.perplexity(5 - text[1500:])


def test_what_it_writes_follows_from_the_generator_and_looks_like_what_it_read():
    text = np.tile([0, 1, 2, 3], 100)
    model = NGram(text, 6, order=4, discount=0.1)
    drawn = model.generate([0, 1], 40, np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, model.generate([0, 1], 40, np.random.default_rng(3)))
    np.testing.assert_array_equal(model.generate([0, 1], 4, np.random.default_rng(0), top_k=1), [2, 3, 0, 1])
    assert np.mean((drawn[1:] - drawn[:-1]) % 4 == 1) > 0.9
    assert model.generate([], 3, np.random.default_rng(0), temperature=0.01).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("stream", "options", "error", "said"),
    [
        ([0, 1], {"order": 0}, ValueError, "order is 0"),
        ([0, 1], {"order": 2, "discount": 1.0}, ValueError, "discount 1.0"),
        ([], {"order": 2}, ValueError, "at least 1"),
        ([0, 9], {"order": 2}, ValueError, "V - 1 = 3"),
        ([0.5, 1.0], {"order": 2}, TypeError, "float64"),
        ([[0, 1]], {"order": 2}, ValueError, r"\(1, 2\)"),
    ],
)
def test_what_it_cannot_count_it_refuses_with_a_reason(stream, options, error, said):
    with pytest.raises(error, match=said):
        NGram(stream, 4, **options)


def test_a_stream_of_one_token_has_nothing_to_be_surprised_at():
    with pytest.raises(ValueError, match="L at least 2"):
        NGram([0, 1, 2], 4, order=2).surprise([1])
