"""Lesson 13 says these things on screen: its numbers hold, its explorers draw everywhere, its exercises judge."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from rnnlib import metrics
from rnnlib.data.labelled import japanese_vowels
from rnnlib.data.splits import leakage
from rnnlib.gradcheck import central_difference
from rnnlib.losses import cross_entropy, softmax
from rnnlib.models import SequenceClassifier
from rnnlib.studies.evaluation import reading, speaker_reader

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Bars, Box, Dots, Heatmap, Line
from rnnlib.viz.evaluation import attribution, contest, errors, folds, reliability, threshold
from rnnlib.viz.static import png
from tests.lessons import told
from tests.lessons.drawn import every
from tests.lessons.told import numbers

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "13_evaluation.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


def dots(panel):
    return [mark for mark in panel.marks if isinstance(mark, Dots)]


def drawn_everywhere(explorer):
    """Set every control to every value it has, or to some twenty of them; every picture must be sound."""
    for scene in every(explorer, 21):
        assert len(scene.to_wire()[0]["alt"]) > 40
        assert "nan" not in scene.alt
    assert explorer.png().startswith(b"\x89PNG")


# ---- thresholds ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    truths = (np.arange(400) < 100).astype(int)
    return np.clip(rng.normal(0.3 + 0.4 * truths, 0.15), 0, 1), truths


@pytest.mark.parametrize("line", [0.01, 0.4, 0.5, 0.99])
def test_at_the_share_of_the_data_the_picture_counts_what_the_library_counts(scored, line):
    scores, truths = scored
    called = (scores >= line).astype(int)
    (passed, alarms), (missed, found) = metrics.confusion_matrix(called, truths, 2) * threshold.OUT_OF / len(truths)
    assert threshold.counts(scores, truths, line, 0.25) == pytest.approx((found, alarms, missed, passed))
    theirs = metrics.precision_recall_f1(called, truths, 2)
    mine = threshold.scores_of(threshold.counts(scores, truths, line, 0.25))
    assert mine["accuracy"] == pytest.approx(metrics.accuracy(called, truths))
    assert [mine[name] for name in ("precision", "recall", "F1")] == pytest.approx(
        [theirs.precision[1], theirs.recall[1], theirs.f1[1]]
    )


def test_rarer_positives_leave_recall_and_take_precision(scored):
    each = [threshold.scores_of(threshold.counts(*scored, 0.5, share)) for share in (0.5, 0.1, 0.01)]
    assert len({round(scores["recall"], 12) for scores in each}) == 1
    assert each[0]["precision"] > each[1]["precision"] > each[2]["precision"]
    same = threshold.counts(*scored, 0.5, 0.01)
    assert sum(same) == pytest.approx(threshold.OUT_OF)


def test_the_threshold_explorer_draws_everywhere_and_its_dot_lies_on_the_curve(scored):
    explorer = threshold.explorer(*scored)
    drawn_everywhere(explorer)
    scene = explorer.set(threshold=0.41, share=10)
    curve = next(m for m in scene.panels[3].marks if isinstance(m, Line))
    (dot,) = dots(scene.panels[3])
    assert np.hypot(curve.x - dot.x[0], curve.y - dot.y[0]).min() < 1e-9
    boxes = [m for m in scene.panels[1].marks if isinstance(m, Box)]
    assert [box.value > 0 for box in boxes] == [False, True, True, False]  # orange: mistakes
    now = threshold.counts(*scored, 0.41, 0.10)
    shown = {name: int(count) for count, name in (box.text.split("\n") for box in boxes)}
    assert shown == {
        "found": round(now.found),
        "missed": round(now.missed),
        "false alarm": round(now.alarms),
        "passed over": round(now.passed),
    }
    assert len(set(shown.values())) == 4


# ---- calibration ---------------------------------------------------------------------------------------------------


def test_the_reliability_explorer_shows_the_librarys_bins_and_finds_the_temperature():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(3000, 3))
    truths = (softmax(honest).cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1)
    explorer = reliability.explorer(2.5 * honest, truths)
    drawn_everywhere(explorer)
    errors_at = {}
    for tau in (1.0, 2.5):
        scene = explorer.set(temperature=tau)
        found = metrics.calibration(softmax(2.5 * honest / tau), truths)
        seen = found.sizes > 0
        (shown,) = dots(scene.panels[0])
        np.testing.assert_allclose(shown.y, found.accuracy[seen])
        np.testing.assert_allclose(shown.x, found.confidence[seen])
        bars = next(m for m in scene.panels[1].marks if isinstance(m, Bars))
        np.testing.assert_allclose(bars.y, 100 * found.sizes / 3000)
        errors_at[tau] = found.error
        (now,) = dots(scene.panels[2])
        assert now.y[0] == pytest.approx(float(cross_entropy(2.5 * honest / tau, truths)[0]))
        assert f"{found.error:.3f}" in scene.alt
    assert errors_at[2.5] < errors_at[1.0] / 3
    assert float(re.search(r"lowest at (\d\.\d)", scene.alt)[1]) == pytest.approx(2.5, abs=0.2)


# ---- two models ----------------------------------------------------------------------------------------------------


def test_the_bootstrap_of_counts_is_that_of_the_examples():
    rng = np.random.default_rng(0)
    outcomes = rng.choice([1, -1, 0], size=400, p=[0.08, 0.04, 0.88])
    a, b = (outcomes < 0).astype(float), (outcomes > 0).astype(float)
    _, low, high = metrics.bootstrap_difference(lambda i: (b[i].mean(), a[i].mean()), 400, rng, samples=4000)
    counts = np.array([(outcomes == k).sum() for k in (1, -1, 0)])
    drawn = rng.multinomial(400, counts / 400, 4000)
    again = np.quantile((drawn[:, 0] - drawn[:, 1]) / 400, [0.025, 0.975])
    np.testing.assert_allclose([low, high], again, atol=0.003)


def test_an_a_a_test_is_wrong_in_one_case_of_twenty_and_the_interval_holds_the_truth():
    tests = contest.play(1000, 0.0, 0.10, 2000, np.random.default_rng(0))
    assert ((tests.low > 0) | (tests.high < 0)).mean() == pytest.approx(0.05, abs=0.015)
    tests = contest.play(1000, 0.03, 0.10, 2000, np.random.default_rng(0))
    assert ((tests.low <= 0.03) & (tests.high >= 0.03)).mean() == pytest.approx(0.95, abs=0.015)
    assert tests.difference.mean() == pytest.approx(0.03, abs=0.001)


@pytest.mark.parametrize(("examples", "difference"), [(500, 0.02), (2000, 0.02), (2000, 0.01), (1000, 0.04)])
def test_the_formula_says_how_often_a_winner_is_found(examples, difference):
    tests = contest.play(examples, difference, 0.10, 2000, np.random.default_rng(0))
    assert contest.power(np.array([examples]), difference, 0.10)[0] == pytest.approx((tests.low > 0).mean(), abs=0.06)


def test_more_difference_than_disagreement_is_refused_with_a_reason():
    with pytest.raises(ValueError, match=r"difference is 0\.2 and disagree 0\.1"):
        contest.play(100, 0.2, 0.1, 10, np.random.default_rng(0))


def test_the_contest_draws_everywhere_and_colours_each_interval_by_what_it_says():
    drawn_everywhere(contest.explorer())
    scene = contest.at(500, 2.0, 10)
    tests = contest.play(500, 0.02, 0.10, contest.TESTS, np.random.default_rng(0))
    lines = [m for m in scene.panels[0].marks if isinstance(m, Line)][2:]
    assert len(lines) == contest.SHOWN
    for row, line in enumerate(lines):
        assert tuple(line.x) == pytest.approx((100 * tests.low[row], 100 * tests.high[row]))
        says = "blue" if tests.low[row] > 0 else "vermillion" if tests.high[row] < 0 else "grey"
        assert line.color == says
    assert "A/A test" in contest.at(500, 0.0, 10).alt


# ---- what mattered -------------------------------------------------------------------------------------------------


def test_a_map_of_the_truth_hits_always_and_its_opposite_never():
    starts = np.array([0, 7, 18])
    truth = attribution.planted(24, starts)
    assert truth.sum(axis=0).tolist() == [6, 6, 6]
    assert np.flatnonzero(truth[:, 1]).tolist() == list(range(7, 13))
    assert attribution.hits(truth.astype(float), starts) == 1
    assert attribution.hits(-truth.astype(float), starts) == 0
    assert not attribution.planted(24, np.array([-1])).any()


def test_the_saliency_explorer_draws_everywhere_and_paints_the_motif_orange():
    rng = np.random.default_rng(0)
    ids, starts = rng.integers(0, 4, (24, 5)), np.array([0, 4, 18, 9, -1])
    maps = {"one": rng.normal(size=(24, 5)), "two": rng.random((24, 5))}
    explorer = attribution.explorer(ids, starts, maps, rng.random(5))
    drawn_everywhere(explorer)
    scene = explorer.set(n=2, above="two", below="one")
    for panel, name in zip(scene.panels, ("two", "one"), strict=True):
        bars = {m.color: m.y for m in panel.marks if isinstance(m, Bars)}
        np.testing.assert_array_equal(np.flatnonzero(bars["orange"]), np.arange(4, 10))
        np.testing.assert_allclose(bars["orange"] + bars["sky"], maps[name][:, 1])
    assert "no motif" in explorer.set(n=5).alt
    assert len(explorer.set(above="one", below="one").panels) == 1


# ---- where it errs -------------------------------------------------------------------------------------------------


def test_the_confusion_picture_puts_truths_in_rows_from_the_top():
    scene = errors.confusion(np.array([[5, 2, 0], [0, 7, 0], [1, 0, 3]]), "ABC", "Who?")
    panel = scene.panels[0]
    at = {(m.x, m.y): m for m in panel.marks}
    assert [at[0, 2].text, at[1, 2].text, at[2, 2].text] == ["5", "2", ""]
    assert list(panel.y_names) == ["C", "B", "A"]
    assert at[0, 2].value < 0 < at[1, 2].value
    assert "A taken for B, 2 times" in scene.alt
    assert "15 of 18 right" in scene.alt


def test_the_interval_of_a_share_holds_it_in_nineteen_cases_of_twenty():
    rng = np.random.default_rng(0)
    for p in (0.02, 0.3):
        bounds = np.array([errors.share_interval(int(k), 60) for k in rng.binomial(60, p, 2000)])
        assert ((bounds[:, 0] <= p) & (p <= bounds[:, 1])).mean() == pytest.approx(0.95, abs=0.03)
    assert errors.share_interval(0, 60)[0] == pytest.approx(0, abs=1e-12)


def test_the_other_plots_draw():
    profile = errors.by_group({"short": (1, 50), "long": (3, 54)}, "Mistakes", "frames", "mistakes (%)")
    plan = folds.show({"one": [(np.arange(5), np.arange(6, 8))]}, 10)
    (grid,) = [m.matrix for m in plan.panels[0].marks if isinstance(m, Heatmap)]
    assert grid[0].tolist() == [folds.LEARNS] * 5 + [folds.NEITHER] + [folds.TESTED] * 2 + [folds.NEITHER] * 2
    place = attribution.by_place({"a": np.ones((4, 3)), "b": np.eye(4)}, "A map", "times its mean")
    for scene in (profile, plan, place):
        assert png(scene)
        assert len(scene.alt) > 20


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_nine_in_ten_right_is_what_always_no_gets(printed):
    lazy, early, late = ([*numbers(line)] for line in printed[0]["accuracy_run"].splitlines())
    assert lazy[-4:] == [90.0, 0, 200, 0]
    assert early[1] == pytest.approx(90, abs=1.5)  # "right in about 90 %"
    assert early[2] < 60  # of 200 motifs
    assert late[2] > 120


def test_precision_falls_where_motifs_are_rare_and_recall_stays(printed):
    half, tenth, hundredth = (numbers(line) for line in printed[0]["threshold_run"].splitlines())
    assert half[3] == tenth[3] == hundredth[3]
    assert half[2] > tenth[2] > hundredth[2]
    assert hundredth[1] > half[1]  # accuracy rises meanwhile


def test_a_few_kinds_of_mistake_hold_more_than_chance_gives_them(printed):
    names = printed[1]
    assert names["top"] > 1.5 * names["by_chance"]


def test_long_sequences_lose_motifs_and_raise_no_more_alarms(printed):
    names = printed[1]
    assert names["at"][24] > names["at"][48] + 0.1 > names["at"][96] + 0.2
    assert names["alarms"][96] < 0.05
    first, _, last = numbers(printed[0]["by_length_dna"].splitlines()[3].split("third:")[1])
    assert last > first + 30  # "a motif near the end is still found"


def test_the_means_of_perplexity_are_in_the_order_that_the_lesson_says(printed):
    guess, whole, parts, worst = (numbers(line) for line in printed[0]["perplexity_run"].splitlines())
    assert guess == [9.0]
    assert 1 < whole[-1] < parts[-1] < 9
    assert worst[1] > 25


def test_the_network_is_too_sure_and_one_number_mends_it_on_new_data(printed):
    names = printed[1]
    surest = names["before"].confidence[-1], names["before"].accuracy[-1]
    assert surest[0] > surest[1] + 0.015
    assert names["fitted"] > 1.3
    plain, mended, lazy = (numbers(line) for line in printed[0]["calibration_test"].splitlines())
    assert mended[1] < plain[1]
    assert mended[2] < plain[2]
    assert lazy[-1] == 0


def test_the_gradient_of_the_lesson_is_that_of_the_evidence(printed):
    names = printed[1]
    net = SequenceClassifier(2, "gru", vocabulary_size=4, embedding_size=3, hidden_size=5, rng=0)
    ids = np.array([[0], [2], [1], [3]])  # each base once, so that its row of E is its own
    weight = net.parameters["embedding.weight"]
    start = weight.copy()

    def evidence(values):
        weight[...] = values
        logits = net.logits(ids)
        weight[...] = start
        return float(logits[0, 1] - logits[0, 0])

    slope = central_difference(evidence, start)
    np.testing.assert_allclose(names["gradient"](net, ids)[:, 0], slope[ids[:, 0]], atol=1e-8)
    others = np.stack([np.delete(start, i, axis=0).mean(axis=0) for i in ids[:, 0]])
    by_hand = ((start[ids[:, 0]] - others) * slope[ids[:, 0]]).sum(axis=1)
    np.testing.assert_allclose(names["gradient_change"](net, ids)[:, 0], by_hand, atol=1e-8)


def test_occlusion_is_the_mean_fall_over_the_three_other_bases(printed):
    names = printed[1]
    net = SequenceClassifier(2, "gru", vocabulary_size=4, embedding_size=3, hidden_size=5, rng=0)
    ids = np.array([[0, 1], [2, 2], [1, 0]])
    falls = names["occlusion"](net, ids)
    for t in range(3):
        for n in range(2):
            rest = []
            for base in set(range(4)) - {int(ids[t, n])}:
                other = ids.copy()
                other[t, n] = base
                rest.append(names["evidence"](net, other)[n])
            assert falls[t, n] == pytest.approx(names["evidence"](net, ids)[n] - np.mean(rest))


def test_occlusion_finds_the_cause_and_the_gradient_less_of_it(printed):
    shares = [numbers(line)[0] for line in printed[0]["maps_run"].splitlines()]
    assert 25 < shares[0] < shares[1] < shares[2]
    assert shares[2] > 90


def test_the_gradient_of_the_loss_is_one_minus_p_times_that_of_the_evidence(printed):
    for line in printed[0]["saliency_loss"].splitlines():
        p, of_loss, ours = numbers(line)
        assert of_loss == pytest.approx((1 - p) * ours, abs=3e-4)


def test_two_motifs_hide_each_other(printed):
    once, twice, neither = (numbers(line) for line in printed[0]["twice"].splitlines())
    assert once[1] > 5 * twice[1]
    assert twice[0] > neither[0] + 3


def test_the_seed_divides_what_the_data_cannot(printed):
    shares = printed[1]["shares"]
    assert max(shares) - min(shares) > 0.1
    (x, _), names = printed[1]["sensors"](7, 3), printed[1]
    np.testing.assert_array_equal(x[..., 0], x[..., 1])
    assert names["sensors"](7, 3)[1].tolist() == (x[..., 0].sum(axis=0) > 0).astype(int).tolist()


def test_the_gradient_norm_fails_the_check_with_random_weights_and_the_others_are_not_shown_to(printed):
    norm, change, occlusion = printed[0]["sanity"].splitlines()
    assert "shares something" in norm
    assert "not shown" in change
    assert "not shown" in occlusion
    alike, rng = printed[1]["alike"], np.random.default_rng(0)
    a = rng.normal(size=(24, 50))
    assert alike(a, 3 * a + 1) == pytest.approx(1)
    assert alike(a, -a) == pytest.approx(-1)
    assert abs(alike(a, rng.normal(size=(24, 50)))) < 0.1


def test_shuffled_folds_see_the_future_of_a_random_walk_and_rolling_ones_do_not(printed):
    shuffled, forwards = (numbers(line) for line in printed[0]["in_time_plans"].splitlines())
    assert shuffled[2] < 1 < forwards[1]  # the upper end of one, the lower end of the other
    now = np.arange(7, 492)
    spans = np.stack([now - 7, now + 9], axis=1)
    assert leakage(*printed[1]["shuffled"](485)[0], spans=spans).found
    for train, test in printed[1]["forwards"](485):
        assert now[train].max() + 8 < now[test].min()  # every answer was there before the question


def test_pairs_of_one_recipe_are_called_different_far_too_often(printed):
    for line in printed[0]["aa_run"].splitlines():
        called, pairs, *_ = numbers(line)
        assert pairs == 45
        assert called / pairs > 0.1


def test_the_study_and_the_lesson_train_the_same_network(printed):
    _, test = japanese_vowels()
    mine = speaker_reader("last", 3, epochs=2)
    assert reading.arms == ("last", "mean")
    source = cells_of()["speaker"].split("said =")[0].split("listener =")[0].replace("epochs=25", "epochs=2")
    names = dict(printed[1])
    exec(source, names)
    theirs = names["speaker"]("last", seed=3)
    np.testing.assert_array_equal(mine.logits(test.x, test.lengths), theirs.logits(test.x, test.lengths))


def test_what_is_kept_of_a_run_is_its_accuracy():
    record = reading.kept()
    for arm in reading.arms:
        right = record.values(arm, "right")
        assert right.shape == (10, 370)
        np.testing.assert_allclose(right.mean(axis=1), record.values(arm, "accuracy"), atol=1e-6)


def test_a_test_that_is_too_small_overstates_the_winner(printed):
    rows = [numbers(line) for line in printed[0]["enough_run"].splitlines()]
    for _, truth, named, seen in rows:
        if truth and named < 50:
            assert seen > 1.2 * truth
    assert rows[1][2] == pytest.approx(80, abs=4)
    assert rows[1][2] == pytest.approx(rows[3][2], abs=3)  # half the difference, four times as many
    assert rows[4][2] == pytest.approx(5, abs=2)


# ---- the exercises -------------------------------------------------------------------------------------------------

REPAIRS = {
    "try_f1": (
        "return (precision + recall) / 2",
        "return 2 * precision * recall / (precision + recall) if found else 0.0",
    ),
    "try_temperature": (
        "return candidates[int(np.argmax(accuracies))]",
        "return min(candidates, key=lambda tau: cross_entropy(logits / tau, truths)[0])",
    ),
    "try_paired": ("        j = rng.integers(N, size=N)\n", "        j = i\n"),
    "try_enough": ("return 1.96**2 *", "return (1.96 + 0.84) ** 2 *"),
}


@pytest.mark.parametrize("cell", REPAIRS)
def test_every_exercise_starts_wrong_and_its_repair_is_right(printed, cell):
    assert "Not yet" in printed[0][cell]
    wrong, right = REPAIRS[cell]
    source = cells_of()[cell]
    assert source.count(wrong) == 1
    # names that later cells use again
    again = {"logits": printed[1]["sure"].logits(printed[1]["validation"].ids)}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source.replace(wrong, right), printed[1] | again)
    assert "Right." in out.getvalue()
    assert "Not yet" not in out.getvalue()
