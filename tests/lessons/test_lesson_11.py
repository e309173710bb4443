"""Lesson 11 says these things on screen: what masks leave of a state, what was measured, and its exercises judge."""

import contextlib
import io
import itertools
import pathlib

import numpy as np
import pytest

from rnnlib.recurrent import GRU
from rnnlib.studies import Results
from rnnlib.studies import regularisation as studies
from rnnlib.training import evaluate

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Heatmap
from rnnlib.viz.static import png
from rnnlib.viz.training import attempts, decay, masks, normed, regular, strength
from tests.lessons import told
from tests.lessons.drawn import check_drawn, every

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "11_regularisation.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


# ---- dropout that is drawn anew --------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize("kind", [studies.RedrawnGRU, studies.RedrawnRNN])
def test_the_gradients_of_redrawn_dropout_are_those_of_differences(kind, weights_only):
    net = kind(3, 4, 2, recurrent_dropout=0.4, weights_only=weights_only, rng=0)
    rng, lengths = np.random.default_rng(1), np.array([5, 2, 0])
    x, start = rng.normal(size=(5, 3, 3)), rng.normal(size=(2, 3, 4))
    of_output, of_state = rng.normal(size=(5, 3, 4)), rng.normal(size=(2, 3, 4))

    def loss():
        output, state, _ = net.forward(x, start, lengths, rng=np.random.default_rng(7))
        return (output * of_output).sum() + (state * of_state).sum()

    _, _, cache = net.forward(x, start, lengths, rng=np.random.default_rng(7))
    dx, dstart, gradients = net.backward(of_output, of_state, cache)
    arrays = {"x": x, "start": start, **net.parameters}
    for name, found in {"x": dx, "start": dstart, **gradients}.items():
        array = arrays[name]
        for index in [tuple(rng.integers(n) for n in array.shape) for _ in range(6)]:
            value, sides = array[index], []
            for step in (1e-6, -1e-6):
                array[index] = value + step
                sides.append(loss())
            array[index] = value
            assert found[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-7), name


@pytest.mark.parametrize("weights_only", [False, True])
def test_without_dropout_and_in_evaluation_it_is_the_plain_layer(weights_only):
    x, lengths = np.random.default_rng(0).normal(size=(6, 3, 2)), np.array([6, 1, 3])
    plain = GRU(2, 5, 2, rng=3)
    expected = plain.forward(x, None, lengths)
    for p, rng in ((0.0, np.random.default_rng(0)), (0.5, None)):
        net = studies.RedrawnGRU(2, 5, 2, recurrent_dropout=p, weights_only=weights_only, rng=3)
        output, state, _ = net.forward(x, None, lengths, rng=rng)
        np.testing.assert_allclose(output, expected[0], atol=1e-12)
        np.testing.assert_allclose(state, expected[1], atol=1e-12)


def test_what_the_weights_see_differs_at_every_step_and_the_state_goes_on():
    net = studies.RedrawnGRU(1, 30, recurrent_dropout=0.5, weights_only=True, rng=0)
    _, _, cache = net.forward(np.zeros((4, 1, 1)), np.ones((1, 1, 30)), rng=np.random.default_rng(0))
    seen = [step.dropped.kept[0] for step in cache.sweeps[0].steps]
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(seen))
    hidden = [step.cell.hidden_mask[0] for step in cache.sweeps[0].steps]
    np.testing.assert_array_equal(np.array(hidden), 2.0 * np.array(seen))


# ---- the task --------------------------------------------------------------------------------------------------------


def test_the_parts_share_no_utterance_and_are_scaled_by_what_is_learned_from():
    data = studies.parts(3)
    assert [part.inputs.shape[1] for part in data] == [90, 90, 370]
    for part in data[:2]:
        assert np.bincount(part.targets).tolist() == [studies.EACH] * studies.SPEAKERS
    seen = {part.inputs[:7, i].tobytes() for part in data for i in range(part.inputs.shape[1])}
    assert len(seen) == 90 + 90 + 370
    frames = np.concatenate([data.learn.inputs[:n, i] for i, n in enumerate(data.learn.lengths)])
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=1e-5)
    other = studies.parts(4)
    assert not np.array_equal(data.learn.inputs[:7, 0], other.learn.inputs[:7, 0])


def test_noise_changes_numbers_and_leaves_answers_alone():
    clean = studies.parts(0).learn
    for noisy in (studies.Noisy(clean, jitter=0.5), studies.Noisy(clean, frame_dropout=0.4)):
        (a, b), plain = ([next(iter(noisy.epoch(np.random.default_rng(s)))) for s in (0, 0)], clean.epoch)
        np.testing.assert_array_equal(a.arguments[0], b.arguments[0])
        unchanged = next(iter(plain(np.random.default_rng(0))))
        np.testing.assert_array_equal(a.arguments[1], unchanged.arguments[1])
        np.testing.assert_array_equal(a.arguments[2], unchanged.arguments[2])
        difference = a.arguments[0] - unchanged.arguments[0]
        assert a.arguments[0].dtype == np.float32
        if noisy.jitter:
            assert difference.std() == pytest.approx(0.5, rel=0.05)
        else:
            gone = (a.arguments[0] == 0).all(axis=2)
            inside = np.arange(len(gone))[:, None] < a.arguments[2]
            assert gone[inside].mean() == pytest.approx(0.4, abs=0.08)
            np.testing.assert_array_equal(a.arguments[0][~gone], unchanged.arguments[0][~gone])
    assert clean.describe() != noisy.describe()


def test_every_method_changes_what_it_is_named_after():
    plain = studies.model(studies.PLAIN, 0.0, 0)
    for method in (*studies.STRENGTHS, studies.REDRAWN, studies.NORM):
        net = studies.model(method, 0.3, 0)
        told = net.describe()
        changed = {key for key, value in plain.describe().items() if told[key] != value}
        expected = {
            "input dropout": {"input_dropout"},
            "dropout": {"dropout"},
            "recurrent dropout": {"layer"},
            "variational dropout": {"variational_dropout"},
            "zoneout": {"zoneout"},
            studies.REDRAWN: {"layer", "dropout", "input_dropout"},
            studies.NORM: {"layer_norm"},
        }
        assert expected.get(method, set()) <= changed | {"dropout"}, method
        assert bool(changed) == (method in expected), method
        if method != studies.NORM:
            assert all(np.array_equal(plain.parameters[name], net.parameters[name]) for name in plain.parameters)
    rule = studies.optimizer("weight decay", 0.3, plain.parameters)
    assert (type(rule).__name__, rule.weight_decay) == ("AdamW", 0.3)
    rule = studies.optimizer("L2 in Adam", 0.3, plain.parameters)
    assert (type(rule).__name__, rule.weight_decay) == ("Adam", 0.3)
    assert studies.optimizer("jitter", 0.3, plain.parameters).weight_decay == 0


def test_a_run_measures_in_evaluation_and_learns():
    done = studies.run("dropout", 0.4, 0, blocks=2)
    assert done.learned.shape == done.validation.shape == done.test.shape == (2,)
    assert done.learned[1] < done.learned[0] < np.log(9)
    assert evaluate(done.model, studies.parts(0).validation) == done.validation[-1]


def test_a_card_is_shown_once_and_only_at_the_start():
    x, labels = studies.cards(500, np.random.default_rng(0))
    assert x.shape == (1 + studies.WAIT, 500, studies.CARDS)
    np.testing.assert_array_equal(x[0].argmax(axis=1), labels)
    for t in range(1, len(x)):
        assert (x[t].argmax(axis=1) == labels).mean() < 0.35


# ---- what the kept studies say ---------------------------------------------------------------------------------------


def test_the_strengths_are_those_that_the_search_chose_by_validation_alone():
    search = studies.strengths.kept()
    assert {method: studies.chosen(search, method) for method in studies.STRENGTHS} == studies.CHOSEN
    assert all("test" not in row for row in search.rows.values())


def test_early_stopping_keeps_the_run_with_nothing_where_validation_was_lowest():
    kept = studies.regularisers.kept()
    stopped, plain = (kept.values(arm, "learned") for arm in (studies.STOPPED, studies.PLAIN))
    assert (stopped >= plain).all()


def test_early_stopping_looks_at_validation_and_all_others_at_the_end(monkeypatch):
    found = studies.Run(None, np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.5, 2.0]), np.array([4.0, 5.0, 3.5]))
    called = []
    monkeypatch.setattr(studies, "run", lambda *of: called.append(of) or found)
    measure = studies.regularisers.measure
    assert measure(studies.STOPPED, 0, True) == {"test": 5.0, "learned": 2.0, "gap": -0.5}
    assert measure("zoneout", 1, True) == {"test": 3.5, "learned": 1.0, "gap": 1.0}
    measure(studies.REDRAWN, 2, True)
    assert [of[:3] for of in called] == [
        (studies.PLAIN, 0.0, studies.FRESH),
        ("zoneout", studies.CHOSEN["zoneout"], studies.FRESH + 1),
        (studies.REDRAWN, studies.CHOSEN["variational dropout"], studies.FRESH + 2),
    ]


def test_what_the_lesson_finds_surprising_is_what_was_measured():
    kept = studies.regularisers.kept()
    lower, higher, neither = regular.sorted_out(kept)
    assert lower == ["variational dropout", "L2 in Adam", "layer norm"]
    assert higher == ["dropout"]
    assert {"early stopping", "weight decay", "recurrent dropout"} <= set(neither)
    assert kept.difference("weight decay", "L2 in Adam", "test").low > 0
    gaps = {arm: kept.interval(arm, "gap").mean for arm in kept.arms}
    assert min(gaps, key=lambda arm: gaps[arm]) == "recurrent dropout"


def test_a_memory_that_is_asked_for_breaks_only_where_the_state_itself_is_dropped():
    kept = studies.holding.kept()
    broken = kept.interval("recurrent dropout", "test").mean
    assert kept.difference("recurrent dropout", studies.PLAIN, "test").low > 0
    assert all(kept.interval(arm, "test").mean < broken / 2 for arm in kept.arms if arm != "recurrent dropout")


# ---- pictures and explorers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [masks.explorer, decay.explorer, lambda: strength.explorer(studies.strengths.kept())])
def test_the_explorers_draw_everywhere(make):
    explorer = make()
    pictures = [scene for scene in every(explorer, 9) if check_drawn(scene) is None]
    assert len({scene.alt for scene in pictures}) > 6
    assert explorer.png().startswith(b"\x89PNG")


def test_every_strength_of_every_method_is_drawn():
    search = studies.strengths.kept()
    for method, at in itertools.product(studies.STRENGTHS, range(1, 5)):
        scene = strength.tried(search, method, at)
        check_drawn(scene)
        of = search.values(studies.arm(method, studies.STRENGTHS[method][at - 1]), "validation").mean()
        assert f"validation loss {of:.3f}" in scene.alt


def test_redrawn_units_survive_like_the_powers_and_variational_ones_from_the_first_step_on():
    p = 0.2
    redrawn = masks.traces("RNN", "recurrent dropout", p).states
    alive = (redrawn != 0).mean(axis=(1, 2))
    np.testing.assert_allclose(alive, (1 - p) ** np.arange(len(alive)), atol=0.03)
    held = masks.traces("RNN", "variational dropout", p).states != 0
    assert held[1].mean() == pytest.approx(1 - p, abs=0.03)
    assert (held[1:] == held[1]).all()


def test_gates_do_not_save_a_dropped_state_and_do_save_one_that_only_the_weights_do_not_see():
    rnn, gru = ({m: masks.traces(cell, m, 0.2).kept[10] for m in masks.METHODS} for cell in masks.CELLS)
    assert max(rnn["recurrent dropout"], gru["recurrent dropout"]) < 0.4
    assert gru["nothing"] - gru["variational dropout"] < 0.05 < rnn["nothing"] - rnn["variational dropout"]
    for of in (rnn, gru):
        assert of["zoneout"] >= of["nothing"] - 0.01


def test_the_masks_on_screen_are_those_that_acted():
    for method in ("recurrent dropout", "variational dropout", "zoneout"):
        found = masks.traces("RNN", method, 0.3)
        before, after = found.states[:-1, 0], found.states[1:, 0]
        if method == "zoneout":
            np.testing.assert_array_equal(before == after, found.acts == 0)
        else:
            dead = before != 0
            np.testing.assert_array_equal((after == 0)[dead], (found.acts == 0)[dead])
    (heat,) = [m for m in masks.draw("zoneout", 0.3, "RNN", 5).panels[0].marks if isinstance(m, Heatmap)]
    np.testing.assert_array_equal(heat.matrix == -1, found.acts.T == 0)
    assert masks.traces("RNN", "nothing", 0.3).acts.all()


def test_with_layer_norm_the_scale_of_the_weights_does_not_decide_the_reach():
    plain, normal = (np.array([normed.by_lag(s, on)[20] for s in normed.SCALES]) for on in (False, True))
    assert plain.max() / plain.min() > 1e6
    assert normal.max() / normal.min() < 1.01
    assert normal.max() < 0.1
    scene = normed.reach()
    check_drawn(scene)


def test_l2_within_adam_spares_large_gradients_and_adamw_spares_none():
    first, second = decay.walk("L2 in Adam", 0.01, 0.1)[-1]
    assert first > second + 0.2
    path = decay.walk("AdamW", 0.5, 0.1)
    np.testing.assert_allclose(path[:, 0], path[:, 1], atol=1e-6)
    assert path[-1, 0] == pytest.approx((1 - 0.01 * 0.5) ** decay.STEPS, abs=0.01)
    np.testing.assert_allclose(*decay.walk("L2 in Adam", 0.01, 1.0).T)


def results(**tests):
    rows = {}
    for arm, values in tests.items():
        name = {"plain": studies.PLAIN, "redrawn": studies.REDRAWN}.get(arm, arm.replace("_", " "))
        for seed, value in enumerate(values):
            rows[name, seed] = {"test": value, "learned": value / 2, "gap": 1 - value}
    return Results(rows)


MADE = results(
    plain=[1.0, 2.0, 3.0], zoneout=[0.5, 1.5, 2.4], jitter=[1.6, 2.5, 3.5], variational_dropout=[1.0, 2.3, 2.6],
    redrawn=[1.2, 2.4, 2.7], weight_decay=[1.0, 2.1, 2.8], **{"L2 in Adam".replace(" ", "_"): [1.0, 2.0, 3.1]},
)  # fmt: skip


def test_the_verdict_follows_the_intervals():
    lower, higher, neither = regular.sorted_out(MADE)
    assert (lower, higher) == (["zoneout"], ["jitter"])
    assert len(neither) == 4
    text = regular.verdict(MADE)
    assert "Shown to help** (an interval below 0): zoneout." in text
    assert "Shown to harm** (above 0): jitter." in text
    rows = regular.table(MADE).splitlines()[2:]
    assert rows[0].startswith("| zoneout | 0.2 | 0.733 |")
    assert len(rows) == 7
    told = regular.holding(MADE)
    assert "jitter: +0.533 nats" in told
    assert told.count("shown to cost") == told.count("shown to help") == 1


def test_the_gap_draws():
    scene = regular.gap([4, 8, 12], np.array([1.0, 0.5, 0.1]), np.array([1.1, 0.8, 0.9]))
    check_drawn(scene)
    assert "lowest validation loss was 0.800" in scene.alt
    assert png(scene)


# ---- exercises -------------------------------------------------------------------------------------------------------


def said(source, **names):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, {"np": np, "attempts": attempts, **names})
    return out.getvalue()


def test_dropout_as_given_has_two_mistakes_and_each_is_named():
    source = cells_of()["try_dropout"]
    assert "multiplied by 0.700" in said(source)
    scaled = source.replace("* (1 - p)", "/ (1 - p)")
    assert "rng may be None" in said(scaled)
    mended = scaled.replace("    kept =", "    if rng is None:\n        return x\n    kept =")
    assert said(mended).startswith("Right")


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (lambda x, p, rng: np.where(rng.random(x.shape) < p, 0, x), "multiplied by 1.000"),
        (lambda x, p, rng: np.where(rng.random(x.shape) > p, 0, x / (1 - p)), "share of 0.7"),
        (lambda x, p, rng: np.multiply(x, 2, out=x), "x itself was changed"),
        (lambda x, p, rng: x[0], "shape"),
        (
            lambda x, p, rng: np.where((rng or np.random.default_rng(0)).random(x.shape) < p, 0, x / (1 - p)),
            "In evaluation",
        ),
    ],
)
def test_each_other_mistake_of_dropout_is_named(attempt, says):
    assert says in attempts.dropout(attempt)


LINE = "        mask = (rng.random(h.shape) >= p) / (1 - p)\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("    mask = (rng.random(h.shape) >= p) / (1 - p)\n", "Right"),
        ("    mask = (rng.random(h.shape) >= p) * 1.0\n", "not scaled"),
        ("    mask = (rng.random(h.shape[1]) >= p) / (1 - p)\n", "all sequences of the batch have the same mask"),
        ("    mask = (rng.random(h.shape) < p) / p\n", "share of 0.6"),
        ("    mask = 1.0\n", "nothing was dropped"),
    ],
)
def test_the_mask_is_judged(line, says):
    source = cells_of()["try_variational"]
    assert "still drawn inside the loop" in said(source)
    assert says in said(source.replace(LINE, "").replace("    hs = []\n", "    hs = []\n" + line))


def test_the_lambda_is_judged():
    from rnnlib.optim import AdamW

    source = cells_of()["try_decay"]
    assert "Not yet" in said(source, AdamW=AdamW)
    assert "Right" in said(source.replace("lam = 1.0", f"lam = {100 * (1 - 0.5 ** (1 / 200))}"), AdamW=AdamW)


def test_gap_and_loss_are_judged():
    source = cells_of()["try_gap"]
    kept = studies.regularisers.kept()
    assert "Not yet" in said(source, kept=kept)
    best = {of: min(kept.arms, key=lambda arm: kept.interval(arm, of).mean) for of in ("gap", "test")}
    right = source.replace('smallest_gap = "nothing"', f'smallest_gap = "{best["gap"]}"')
    assert "The gap is right" in said(right, kept=kept) or best["test"] == "nothing"
    right = right.replace('lowest_test_loss = "nothing"', f'lowest_test_loss = "{best["test"]}"')
    assert said(right, kept=kept).startswith("Right")
    assert "no arm 'x'" in attempts.ends(kept, "x", "nothing")
