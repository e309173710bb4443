"""Lesson 10 says these things on screen: its studies ran as told, its numbers hold, its exercises can be right."""

import contextlib
import io
import itertools
import json
import math
import pathlib

import numpy as np
import pytest

from rnnlib.models import LanguageModel
from rnnlib.optim import SGD, cosine_decay, linear_warmup
from rnnlib.studies import training as studies
from rnnlib.training import Stream

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz.static import png
from rnnlib.viz.training import answers, charts, curves, rates, valley
from tests.lessons import told
from tests.lessons.drawn import check_drawn, every

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "10_training.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


# ---- one run -------------------------------------------------------------------------------------------------------


def small(rate=0.1, layer="gru", **options):
    model = LanguageModel(5, layer, hidden_size=4, embedding_size=3, rng=0)
    data = Stream(np.random.default_rng(0).integers(5, size=4 * 6 * 5 + 4), 4, 6)
    return studies.logged(model, data, SGD(model.parameters, rate), epochs=2, **options), model


def test_a_log_has_every_step_and_every_epoch():
    log, _ = small(schedule=linear_warmup(10))
    assert log.losses.shape == log.norms.shape == log.rates.shape == (10,)
    np.testing.assert_allclose(log.rates, 0.1 * np.arange(1, 11) / 10)
    assert [epoch.epoch for epoch in log.history] == [1, 2]
    assert log.history[0].loss == pytest.approx(log.losses[:5].mean())
    assert log.history[1].gradient_norm == pytest.approx(log.norms[5:].mean())
    assert (log.limit, log.batches, log.diverged) == (math.inf, 5, False)


def test_a_run_that_breaks_ends_its_log_before_the_first_number_that_is_not_finite():
    calls = itertools.count()

    def spoil(gradients):
        return {name: g * (np.nan if next(calls) > 40 else 1) for name, g in gradients.items()}

    log, _ = small(spoil=spoil)
    assert log.diverged
    assert 0 < len(log.losses) == len(log.norms) == len(log.rates) < 10
    assert np.isfinite(log.norms).all()


def test_a_run_that_stops_early_has_not_diverged():
    _, log, _ = studies.overfitting(2, 9, patience=1)
    assert not log.diverged
    assert len(log.losses) == len(log.history) * log.batches < 9 * log.batches


def test_norms_are_those_before_clipping():
    free, _ = small()
    held, _ = small(limit=1e-3)
    assert held.norms[0] == free.norms[0] > 1e-3


def test_a_piece_is_three_texts_one_after_the_other():
    learn, validate, test, V = studies.piece(3, 500)
    whole, all_V = studies._documentation()
    assert (len(learn), len(validate), len(test), V) == (500, studies.JUDGED, studies.JUDGED, all_V)
    joined = np.concatenate([learn, validate, test])
    assert joined.tobytes() in whole.tobytes()
    assert not np.array_equal(learn, studies.piece(4, 500)[0])


def test_warm_up_takes_a_tenth_and_both_is_one_after_the_other():
    both, plain = studies.schedule("both", 40), studies.schedule("cosine", 40)
    right = linear_warmup(4, cosine_decay(36))
    assert [both(t) for t in range(40)] == [right(t) for t in range(40)]
    assert plain(0) == 1
    assert plain(39) < 0.01
    assert studies.schedule("constant", 40)(39) == studies.schedule("warm-up", 40)(39) == 1


def test_a_key_comes_back_after_its_question_and_nowhere_else():
    ids, is_answer = studies.keys(50, np.random.default_rng(0))
    at = np.flatnonzero(is_answer)
    assert len(at) == 50
    assert np.all(ids[at - 1] == 3)
    for start, end in zip(np.append(0, at[:-1] + 1), at, strict=True):
        assert ids[start] == ids[end] < 2
        assert studies.BLANKS[0] <= end - start - 2 <= studies.BLANKS[1]
        assert np.all(ids[start + 1 : end - 1] == 2)


def test_forgetful_windows_are_those_of_the_stream_and_carry_nothing():
    stream = Stream(np.arange(101) % 7, 4, 5)
    forgetful = studies.Forgetful(stream)
    assert not forgetful.carries_state
    assert len(forgetful) == len(stream)
    pairs = zip(forgetful.epoch(np.random.default_rng(0)), stream.epoch(np.random.default_rng(0)), strict=True)
    assert all(np.array_equal(a.arguments[0], b.arguments[0]) for a, b in pairs)
    assert forgetful.describe()["data"] == "Forgetful"


# ---- what the kept studies say --------------------------------------------------------------------------------------


def helps(difference):
    return difference.high < 0


def shown(difference):
    return not difference.low <= 0 <= difference.high


def test_the_rates_of_the_later_studies_are_those_that_the_search_chose():
    search = studies.rates.kept()
    assert {name: studies.chosen(search, name) for name in studies.RATES} == studies.CHOSEN


def test_the_choice_looks_at_validation_only():
    search = studies.rates.kept()
    rows = {key: {**row, "test": 0.0} for key, row in search.rows.items()}
    assert studies.chosen(studies.Results(rows), "Adam") == studies.CHOSEN["Adam"]


def test_at_their_own_rates_adam_and_sgd_are_not_shown_to_differ_and_rmsprop_is_a_little_better():
    kept = studies.optimizers.kept()
    assert not shown(kept.difference("Adam", "SGD", "test"))
    assert not shown(kept.difference("momentum", "SGD", "test"))
    assert helps(kept.difference("RMSprop", "SGD", "test"))


def test_a_cosine_forgives_a_rate_that_is_too_high_and_warm_up_is_not_shown_to_matter():
    kept = studies.schedules.kept()
    for plan in ("warm-up", "cosine", "both"):
        assert not shown(kept.difference(f"0.03 {plan}", "0.03 constant", "test"))
    assert helps(kept.difference("0.1 cosine", "0.1 constant", "test"))
    assert not shown(kept.difference("0.1 warm-up", "0.1 constant", "test"))
    assert abs(kept.interval("0.1 cosine", "test").mean - kept.interval("0.03 constant", "test").mean) < 0.05
    low = studies.rates.kept().difference("Adam 0.003 cosine", "Adam 0.003 constant", "validation")
    assert low.low > 0


def test_short_windows_read_best_and_gain_most_from_a_carried_state():
    kept = studies.windows.kept()
    assert helps(kept.difference("4 carried", "64 carried", "test"))
    gains = [kept.difference(f"{T} zeros", f"{T} carried", "test") for T in studies.LENGTHS]
    assert [shown(gain) for gain in gains] == [True, True, False, False]
    assert gains[0].mean > gains[1].mean > gains[2].mean


def test_no_seed_learns_what_no_window_spans_and_most_learn_what_one_does():
    kept = studies.recall.kept()
    learned = {T: int((kept.values(str(T), "right") > 0.9).sum()) for T in studies.REACHES}
    assert learned[4] == 0
    assert min(learned[8], learned[16], learned[32]) >= 4
    assert learned[32] < 6  # "not the window that fails the few"


def test_clipping_saves_the_network_that_explodes_and_changes_nothing_in_the_calm_ones():
    kept = studies.clipping.kept()
    for network in studies.RISKS:
        explodes = network == "ReLU, SGD"
        assert (kept.values(f"{network}, clip none", "diverged").mean() > 0.5) == explodes
        for limit in ("1", "0.5"):
            change = kept.difference(f"{network}, clip {limit}", f"{network}, clip none", "test")
            assert helps(change) == explodes == shown(change)
    assert not shown(kept.difference("GRU, Adam, clip 0.05", "GRU, Adam, clip none", "test"))
    assert kept.difference("GRU, SGD, clip 0.05", "GRU, SGD, clip none", "test").low > 0


def test_every_remedy_of_the_table_helps_over_the_seeds():
    kept = studies.symptoms.kept()
    for row in studies.SYMPTOMS:
        assert kept.difference(f"{row.disease}: remedy", f"{row.disease}: ill", "outcome").mean < 0, row.disease


def test_early_stopping_helps():
    assert helps(studies.stopping.kept().difference("early stopping", "to the end", "test"))


# ---- pictures and explorers ------------------------------------------------------------------------------------------


def test_the_walks_are_those_of_the_rules():
    path = valley.walk("SGD", 0.04, 20, 30)
    t = np.arange(31)
    np.testing.assert_allclose(path[:, 0], valley.START[0] * 0.96**t)
    np.testing.assert_allclose(path[:, 1], valley.START[1] * 0.2**t, atol=1e-12)
    assert np.isnan(valley.walk("SGD", 1.0, 50)[-1]).all()
    assert np.abs(np.diff(valley.walk("Adam", 0.1, 20)[:2], axis=0)) == pytest.approx(0.1, rel=1e-4)


def test_above_two_over_the_steepness_sgd_leaves_the_valley_and_below_it_does_not():
    for steepness in (5, 20, 50):
        inside, outside = (valley.walk("SGD", factor * 2 / steepness, steepness)[:, 1] for factor in (0.98, 1.02))
        assert abs(inside[-1]) < abs(inside[0])
        assert abs(outside[-1]) > abs(outside[0])


def test_the_valley_and_the_search_draw_everywhere():
    for explorer in (valley.explorer(), rates.explorer(studies.rates.kept())):
        pictures = [scene for scene in every(explorer, 25) if check_drawn(scene, gaps=True) is None]
        assert len({scene.alt for scene in pictures}) > 10
        assert explorer.png().startswith(b"\x89PNG")


def test_no_curve_of_the_search_leaves_its_picture():
    search = studies.rates.kept()
    for name, at, plan in itertools.product(studies.RATES, range(1, 6), studies.SCHEDULES):
        check_drawn(rates.beside(search, (name, at, plan), ("SGD", 1, "constant"), True))


def test_two_settings_beside_each_other_are_compared_seed_by_seed():
    search = studies.rates.kept()
    scene = rates.beside(search, ("Adam", 4, "both"), ("SGD", 2, "constant"), False)
    mean, low, high = search.difference("Adam 0.03 both", "SGD 0.3 constant", "validation")
    assert f"{mean:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}" in scene.alt


def test_the_plots_draw():
    _, log, _ = studies.overfitting(1, 3)
    found = {"carried": {4: np.array([1.0, 2.0]), 8: np.array([2.0, 4.0])}}
    scenes = [curves.history(log.history), curves.against_length(found, "loss", chance=0.5), rates.plans()]
    scenes.append(rates.against_rate(studies.rates.kept()))
    for scene in scenes:
        check_drawn(scene, gaps=True)
        assert png(scene)
    assert "carried 1.5 at 4, carried 3 at 8" in scenes[1].alt
    assert scenes[1].panels[0].x_names == ["4", "8"]
    assert "Adam 2.27 at 0.03" in scenes[3].alt


# ---- symptoms --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs():
    return charts.admit()


def test_every_symptom_has_a_patient_and_each_is_drawn_sick_and_remedied(runs):
    assert {row.disease for row in charts.PATIENTS.values()} == {row.disease for row in studies.SYMPTOMS}
    assert len(charts.PATIENTS) == len(studies.SYMPTOMS) == 10
    explorer = charts.explorer(runs)
    for name, remedy, given in itertools.product(charts.PATIENTS, (False, True), (False, True)):
        scene = explorer.set(name=name, remedy=remedy, told=given)
        check_drawn(scene, gaps=True)
        assert (charts.PATIENTS[name].disease in scene.alt) == given
    assert explorer.png().startswith(b"\x89PNG")


def log_of(runs, disease, remedy=False):
    return next(pair[remedy].log for name, pair in runs.items() if charts.PATIENTS[name].disease == disease)


def test_the_logs_show_what_the_table_says(runs):
    boom = log_of(runs, "exploding gradient")
    assert boom.diverged
    assert boom.norms.max() > 1e3 * boom.norms.min()
    high, calm = log_of(runs, "rate too high"), log_of(runs, "rate too high", remedy=True)
    assert np.median(high.losses[-10:]) > np.median(calm.losses[-10:]) + 0.3
    limited = log_of(runs, "limit too low")
    assert np.all(limited.norms > limited.limit)
    kept = log_of(runs, "gradients never cleared")
    assert kept.norms[:12].argmax() > 6
    assert kept.losses[-10:].mean() > kept.losses.min() + 0.5
    judged = [epoch.validation_loss for epoch in log_of(runs, "overfitting").history]
    assert judged[-1] > min(judged)
    bad = log_of(runs, "bad batch")
    spikes = np.flatnonzero(bad.norms > 10)
    of_epochs = [set(spikes[spikes // bad.batches == k] % bad.batches) for k in range(3)]
    assert of_epochs[0] == of_epochs[1] == of_epochs[2]
    assert 1 <= len(of_epochs[0]) <= 2
    unscaled = log_of(runs, "inputs not scaled")
    assert unscaled.losses.min() > 1e4
    assert np.all(unscaled.norms > 1)
    swinging = log_of(runs, "data in order").losses.reshape(3, -1)
    assert 8 <= swinging[0].argmax() <= 12  # where the labels change
    assert np.all(swinging[:2].max(axis=1) > 2 * swinging[:2].min(axis=1))


def test_every_remedy_helps_in_the_runs_just_made(runs):
    for name, (ill, cured) in runs.items():
        assert cured.outcome < ill.outcome, charts.PATIENTS[name].disease


# ---- exercises -------------------------------------------------------------------------------------------------------


def printed(source, **names):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, {"np": np, "math": math, "answers": answers, "valley": valley, "charts": charts, **names})
    return out.getvalue()


REPAIRS = {
    "try_schedule": (
        ("return t / rise", "return (t + 1) / rise"),
        ("math.pi * t / steps", "math.pi * (t - rise) / (steps - rise)"),
    ),
    "try_accumulate": (
        ("return sum(gradients)", "return sum(n * g for n, g in zip(targets, gradients)) / sum(targets)"),
    ),
    "try_patience": (("losses[epoch] > losses[epoch - 1]", "losses[epoch] >= min(losses[:epoch])"),),
}


@pytest.mark.parametrize("cell", REPAIRS)
def test_every_exercise_starts_wrong_and_is_right_after_all_of_its_repairs(cell):
    source = cells_of()[cell]
    assert printed(source).startswith("Not yet")
    for k, (wrong, right) in enumerate(REPAIRS[cell], start=1):
        assert source.count(wrong) == 1
        source = source.replace(wrong, right)
        assert printed(source).startswith("Right" if k == len(REPAIRS[cell]) else "Not yet")


def test_wrong_schedules_are_told_apart():
    assert "rate of 0" in answers.schedule(lambda t, rise, steps: t / rise)
    assert "at t = 0" in answers.schedule(lambda t, rise, steps: 1.0)
    late = answers.schedule(lambda t, rise, steps: (t + 1) / rise if t < rise else 0.9)
    assert "from 1 to 0.900" in late
    assert "at t = 9" in answers.schedule(lambda t, rise, steps: min(1.0, (t + 1) / rise))


def test_wrong_accumulations_are_told_apart():
    assert "added up" in answers.accumulation(lambda g, n: sum(g))
    assert "same size" in answers.accumulation(lambda g, n: sum(g) / len(g))
    assert "even three" in answers.accumulation(lambda g, n: g[0])


def test_wrong_patience_is_told_apart():
    def best(losses, wait):
        lowest = 0
        for k, loss in enumerate(losses):
            lowest = k if loss < losses[lowest] else lowest
            if k - lowest == wait:
                return k + 1, lowest + 1
        return len(losses), lowest + 1

    assert answers.patience(best).startswith("Right")
    assert "goes back" in answers.patience(lambda losses, wait: (best(losses, wait)[0], best(losses, wait)[0]))
    assert "since the lowest" in answers.patience(lambda losses, wait: (wait, 1))
    off = answers.patience(lambda losses, wait: best(losses, wait) if len(losses) > 2 else (3, 2))
    assert "run out" in off


def test_the_valley_exercise_starts_wrong_and_both_lines_can_be_right():
    assert printed(cells_of()["try_valley"]).count("Not yet") == 2
    assert valley.nearest("SGD", 0.06, steepness=20).endswith("Right.")
    assert not any(
        valley.nearest("SGD", rate, steepness=60).endswith("Right.") for rate in np.geomspace(1e-3, 1, 200).tolist()
    )
    assert any(
        valley.nearest(kind, rate, steepness=60).endswith("Right.") for kind in ("momentum", "Adam")
        for rate in np.geomspace(1e-3, 1, 20).tolist()
    )  # fmt: skip
    assert "left the valley" in valley.nearest("SGD", 0.3)


def test_the_diagnosis_counts_what_is_right_and_refuses_what_is_no_disease():
    assert printed(cells_of()["try_diagnose"]).count("right") == 1
    assert charts.diagnose({n: row.disease for n, row in charts.PATIENTS.items()}).endswith("10 of 10 found.")
    for wrong in ({"A": "flu"}, {"Z": "?"}):
        with pytest.raises(ValueError, match="there are the runs"):
            charts.diagnose(wrong)


# ---- the notebook --------------------------------------------------------------------------------------------------


CHEAP = (
    "setup", "question_setup", "scale", "seeds_run", "seeds_print", "honest_run", "accumulate", "checkpoint_run",
    "checkpoint_resume", "checkpoint_forget", "jsonl", "mlflow",
)  # fmt: skip


@pytest.fixture(scope="module")
def lesson():
    """What some cells print, and all names at the end."""
    namespace, texts, sources = {"search": studies.rates.kept()}, {}, cells_of("code")
    for name in CHEAP:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(sources[name], f"<{name}>", "exec"), namespace)
        texts[name] = out.getvalue()
    return texts, namespace


def test_rmsprop_and_adam_do_not_notice_the_scale_of_a_gradient(lesson):
    for line in lesson[0]["scale"].splitlines():
        full, small_one = (float(part.split()[-1]) for part in line.split(";"))
        assert (full == small_one) == line.startswith(("RMSprop", "Adam"))


def test_what_a_cheat_promises_does_not_hold_with_other_seeds(lesson):
    assert np.mean(lesson[1]["promised"]) > 5 * np.mean(lesson[1]["held"])


def test_parts_weighed_by_their_targets_make_the_whole_and_plain_means_do_not(lesson):
    whole, parts, n = (lesson[1][name] for name in ("whole", "parts", "n"))
    assert len(set(n)) == 4
    for name, gradient in whole.gradients.items():
        weighed = sum(part.targets * part.gradients[name] for part in parts) / sum(n)
        np.testing.assert_allclose(weighed, gradient, atol=1e-12)
    assert not np.allclose(lesson[1]["plain"], whole.gradients["head.weight"])


def test_a_resumed_run_is_that_which_nobody_interrupted(lesson):
    texts, names = lesson
    np.testing.assert_array_equal(names["straight"], names["resumed"])
    assert texts["checkpoint_resume"].startswith("interrupted; ")
    assert names["interrupted"](False) != names["interrupted"](True)


def test_the_line_of_json_has_what_the_lesson_asks_of_a_record(lesson):
    record = json.loads(lesson[0]["jsonl"])
    assert {"loss", "perplexity", "validation_loss", "gradient_norm", "learning_rate"} <= record.keys()


def test_the_trackers_branch_works_where_mlflow_is_missing(lesson, monkeypatch):
    def missing(*_, **__):
        raise ImportError('tracking needs MLflow with SQLite: pip install "rnn-notebooks[track]"')

    source = cells_of()["mlflow"].replace("TRACK = False", "TRACK = True")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, {**lesson[1], "MLflow": missing})
    assert out.getvalue().startswith("Not installed, and not needed")


def test_every_section_that_a_diagnosis_points_to_is_a_heading():
    from autograder.questions import questions_of

    headings = {line[3:] for text in cells_of().values() for line in text.splitlines() if line.startswith("## ")}
    try:
        bugs = [bug for question in questions_of("ps7_training").values() for bug in question.bugs]
    except KeyError:
        pytest.skip("the set of this lesson is not there yet")
    assert {bug.read for bug in bugs if LESSON.name in str(getattr(bug, "lesson", LESSON.name))} - headings <= {
        "The mask in the loss"
    }
