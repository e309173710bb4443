"""What a model is judged by, held beside scikit-learn where it has the same, and worked by hand where not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib import metrics
from rnnlib.losses import softmax

STEADY = settings(deadline=None, max_examples=60, derandomize=True)
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@STEADY
@given(PAIRS)
def test_accuracy_confusion_precision_recall_and_f1_are_scikit_learn_s(pairs):
    sk = pytest.importorskip("sklearn.metrics")
    said, true = np.array(pairs).T
    assert metrics.accuracy(said, true) == pytest.approx(sk.accuracy_score(true, said))
    labels = list(range(4))
    assert np.array_equal(metrics.confusion_matrix(said, true, 4), sk.confusion_matrix(true, said, labels=labels))
    scores = metrics.precision_recall_f1(said, true, 4)
    theirs = sk.precision_recall_fscore_support(true, said, labels=labels, zero_division=0)
    for own, other in zip(scores[:4], theirs, strict=True):
        np.testing.assert_allclose(own, other)
    macro = sk.precision_recall_fscore_support(true, said, average="macro", zero_division=0)[:3]
    np.testing.assert_allclose(scores.macro, macro)  # over the classes that occur
    micro = sk.precision_recall_fscore_support(true, said, average="micro", zero_division=0)[:3]
    np.testing.assert_allclose(scores.micro, micro)


def test_padding_is_never_counted_and_never_read():
    said, true = np.array([[0, 1], [1, 9], [2, 9]]), np.array([[0, 0], [1, -1], [0, -7]])
    assert metrics.accuracy(said, true, [3, 1]) == 0.5
    assert metrics.confusion_matrix(said, true, 3, [3, 1]).sum() == 4
    logits = np.random.default_rng(0).standard_normal((3, 2, 4))
    logits[1:, 1] = np.nan
    p = softmax(logits)
    assert np.isfinite(metrics.perplexity_of(logits, true, [3, 1]))
    assert np.isfinite(metrics.calibration(p, true, [3, 1]).error)


def test_what_cannot_be_compared_is_explained():
    with pytest.raises(ValueError, match=r"predictions has shape \(2, 3\) and truths \(2,\).*argmax"):
        metrics.accuracy(np.zeros((2, 3)), np.zeros(2, int))
    with pytest.raises(TypeError, match="predictions has dtype float64"):
        metrics.accuracy(np.zeros(2), np.zeros(2, int))
    with pytest.raises(ValueError, match="no position is valid"):
        metrics.accuracy(np.zeros((2, 1), int), np.zeros((2, 1), int), [0])
    with pytest.raises(ValueError, match="truths run from 0 to 5"):
        metrics.confusion_matrix([0, 1], [0, 5], 3)


def test_perplexity_is_the_number_of_fair_choices():
    assert metrics.perplexity(math.log(8)) == pytest.approx(8)
    assert metrics.perplexity(1e6) == math.inf
    assert metrics.perplexity_of(np.zeros((5, 7)), np.arange(5)) == pytest.approx(7)
    assert metrics.bits(math.log(8)) == pytest.approx(3)


class TestCalibration:
    def test_a_model_that_is_right_as_often_as_it_says_has_no_error(self):
        p = np.array([[0.75, 0.25]] * 4)
        found = metrics.calibration(p, [0, 0, 0, 1], bins=4)
        assert found.error == pytest.approx(0)
        assert found.sizes.tolist() == [0, 0, 4, 0]
        assert found.confidence[2] == found.accuracy[2] == 0.75
        assert np.isnan(found.accuracy[0])

    def test_an_overconfident_model_has_the_distance(self):
        p = np.array([[0.95, 0.05]] * 10 + [[0.4, 0.6]] * 10)
        truths = [0] * 5 + [1] * 5 + [1] * 6 + [0] * 4
        # (10/20) |0.95 - 0.5| + (10/20) |0.6 - 0.6|
        assert metrics.calibration(p, truths).error == pytest.approx(0.225)

    def test_logits_are_refused(self):
        with pytest.raises(ValueError, match="softmax"):
            metrics.calibration(np.array([[3.0, -1.0]]), [0])


class TestBleu:
    def test_counts_are_clipped_as_in_papineni_s_example(self):
        candidate = ["the"] * 7
        references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
        # 2 of 7 unigrams count, and the candidate is as long as the closest reference
        assert metrics.bleu([candidate], [references], max_order=1) == pytest.approx(2 / 7)

    def test_four_orders_by_hand(self):
        candidate, reference = ["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "f"]
        # 4/5, 3/4, 2/3, 1/2; lengths equal
        expected = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
        assert metrics.bleu([candidate], [[reference]]) == pytest.approx(expected)

    def test_a_short_text_pays(self):
        candidate, reference = ["a", "b", "c", "d"], ["a", "b", "c", "d", "e", "f", "g", "h"]
        assert metrics.bleu([candidate], [[reference]]) == pytest.approx(math.exp(1 - 8 / 4))

    def test_a_corpus_is_counted_together_not_averaged(self):
        candidates, references = [["a", "b"], ["x", "y"]], [[["a", "b"]], [["x", "z"]]]
        # unigrams 3 of 4, bigrams 1 of 2
        assert metrics.bleu(candidates, references, max_order=2) == pytest.approx((3 / 4 * 1 / 2) ** 0.5)

    def test_smoothing_saves_a_text_without_long_matches(self):
        candidate, reference = ["a", "b", "c", "d"], ["a", "c", "b", "d"]
        assert metrics.bleu([candidate], [[reference]]) == 0
        # 4/4, (0+1)/(3+1), (0+1)/(2+1), (0+1)/(1+1)
        expected = (1 * 1 / 4 * 1 / 3 * 1 / 2) ** 0.25
        assert metrics.bleu([candidate], [[reference]], smooth=True) == pytest.approx(expected)

    def test_the_same_text_has_one_and_none_has_zero(self):
        text = ["to", "be", "or", "not", "to", "be"]
        assert metrics.bleu([text], [[text]]) == pytest.approx(1)
        assert metrics.bleu([[]], [[text]]) == 0
        assert metrics.exact_match([text, [1]], [text, [2]]) == 0.5
        with pytest.raises(ValueError, match="1 candidates and 2 references"):
            metrics.exact_match([text], [text, text])


class TestBootstrap:
    def test_the_interval_is_that_of_the_mean_difference(self):
        rng = np.random.default_rng(0)
        a = rng.normal(0.3, 1, 400)
        b = rng.normal(0, 1, 400)
        found = metrics.bootstrap_difference(lambda i: (a[i].mean(), b[i].mean()), 400, np.random.default_rng(1))
        width = 1.96 * (a - b).std() / 20
        assert found.difference == pytest.approx((a - b).mean())
        assert found.low == pytest.approx(found.difference - width, abs=0.03)
        assert found.high == pytest.approx(found.difference + width, abs=0.03)

    def test_it_is_paired(self):
        rng = np.random.default_rng(0)
        b = rng.normal(0, 100, 50)
        found = metrics.bootstrap_difference(lambda i: ((b[i] + 1).mean(), b[i].mean()), 50, rng)
        assert found.low == pytest.approx(1)
        assert found.high == pytest.approx(1)

    def test_numbers_out_of_range_are_explained(self):
        with pytest.raises(ValueError, match="expected at least 2"):
            metrics.bootstrap_difference(lambda i: (0, 0), 1, np.random.default_rng(0))
