"""Lesson 08 says these things on screen: its numbers hold, its gradients are true, its explorers draw everywhere."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from rnnlib.cells import gru, gru_before
from rnnlib.cells.sigmoid import sigmoid
from rnnlib.gradcheck import central_difference
from rnnlib.models.tagger import SequenceTagger
from rnnlib.training import Epoch, Sequences

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Arrow, Dots, Line
from rnnlib.viz.gated import blend, budget, carousel
from rnnlib.viz.static import png
from tests.lessons import told
from tests.lessons.told import numbers

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "08_gru.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


# ---- the unit that one operates by hand ----------------------------------------------------------------------------


def last_from(h, t, run):
    """The last state, as a function of the state after step t: equations (3) and (4) on their own."""
    for s in range(t, blend.STEPS):
        n = np.tanh(run.a_n[s] + run.r[s] * blend.WEIGHT * h)
        h = (1 - run.z[s]) * n + run.z[s] * h
    return h


@pytest.mark.parametrize("r", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("z", [0.0, 0.5, 0.995, 1.0])
def test_the_hand_operated_unit_obeys_its_equations_and_so_does_its_gradient(z, r):
    run = blend.operated(z, r)
    assert run.h[-1] == pytest.approx(last_from(0.0, 0, run), abs=1e-12)
    for t in (1, blend.WRITE - 1, blend.WRITE, 20, blend.STEPS):
        slope = central_difference(lambda v, t=t: last_from(v[0], t, run), np.array([run.h[t - 1]]))
        assert run.dh[t - 1] == pytest.approx(slope[0], abs=1e-8)


def test_the_gates_stand_where_the_hand_puts_them():
    run = blend.operated(0.75, 0.25)
    assert run.z[blend.WRITE - 1] == pytest.approx(0, abs=1e-9)
    others = np.arange(blend.STEPS) != blend.WRITE - 1
    np.testing.assert_allclose(run.z[others], 0.75)
    np.testing.assert_allclose(run.r, 0.25)


def test_with_the_past_shut_out_what_comes_back_is_a_product_of_update_gates():
    for z in (0.5, 0.9, 0.99):
        assert blend.operated(z, 0.0).dh[blend.WRITE - 1] == pytest.approx(z**30, rel=1e-9)


def test_with_z_at_one_both_the_number_and_the_gradient_are_kept_whatever_r_says():
    for r in (0.0, 1.0):
        run = blend.operated(1.0, r)
        assert run.h[-1] == pytest.approx(run.h[blend.WRITE - 1], abs=1e-9)
        assert run.dh[blend.WRITE - 1] == pytest.approx(1, abs=1e-9)


def test_the_new_state_is_drawn_on_the_line_between_candidate_and_old_state():
    for step in (1, blend.WRITE, 20):
        run = blend.operated(0.3, 0.6)
        left, right = blend.operate(0.3, 0.6, step).panels[:2]
        curve = next(m for m in left.marks if isinstance(m, Line))
        n = next(m for m in left.marks if isinstance(m, Dots) and m.label == "n")
        assert np.interp(n.x[0], curve.x, curve.y) == pytest.approx(n.y[0], abs=1e-3)
        line = next(m for m in right.marks if isinstance(m, Line))
        assert (line.y[0], line.y[-1]) == (pytest.approx(run.n[step - 1]), pytest.approx(run.before[step - 1]))
        h = next(m for m in right.marks if isinstance(m, Dots) and m.label == "h")
        assert np.interp(h.x[0], line.x, line.y) == pytest.approx(h.y[0], abs=1e-9)


def test_the_hand_operated_unit_draws_over_the_whole_range_of_every_control():
    explorer = blend.explorer()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        for value in np.linspace(control.minimum, control.maximum, 41).tolist():
            scene = explorer.set(**{**start, name: control.read(type(control.value)(value))})
            assert len(scene.to_wire()[0]["alt"]) > 40
            for panel in scene.panels:
                (low, high), (left, right) = panel.y_limits, panel.x_limits
                for mark in panel.marks:
                    if isinstance(mark, Line | Dots):
                        seen = np.isfinite(mark.y)
                        assert np.all((mark.y[seen] >= low) & (mark.y[seen] <= high)), panel.title
                        assert np.all((mark.x >= left) & (mark.x <= right)), panel.title
    explorer.set(**start)
    assert explorer.png().startswith(b"\x89PNG")


# ---- the diagram and the plots -------------------------------------------------------------------------------------


def arrows(scene, color):
    return [mark for mark in scene.panels[0].marks if isinstance(mark, Arrow) and mark.color == color]


def test_every_arrow_of_the_diagram_has_one_that_returns():
    forwards, both = blend.cell(), blend.cell(back=True)
    there, home = arrows(both, carousel.FORWARD), arrows(both, carousel.BACK)
    assert len(arrows(forwards, carousel.FORWARD)) == len(there) == len(home) == 14
    assert not arrows(forwards, carousel.BACK)
    for one, other in zip(there, home, strict=True):
        way, way_home = (np.array([a.to_x - a.x, a.to_y - a.y]) for a in (one, other))
        np.testing.assert_allclose(way, -way_home, atol=1e-12)
        assert (one.x, one.y) != (other.to_x, other.to_y)  # side by side, not on top of each other


def test_the_plots_draw():
    one, other = np.linspace(0, 1, 9), np.linspace(0, 0.5, 9)
    parting = blend.parting(one, other)
    assert "0.50 at most" in parting.alt
    fitting = blend.fitting({"a": np.geomspace(1, 1e-3, 20), "b": np.full(20, 0.1)})
    assert "a 1.0e-03, b 1.0e-01" in fitting.alt
    for scene in (parting, fitting, blend.cell(), blend.cell(back=True)):
        assert png(scene)
        assert len(scene.alt) > 40


# ---- the race ------------------------------------------------------------------------------------------------------


def tagger(kind, units, seed):
    return SequenceTagger(2, kind.lower(), input_size=1, hidden_size=units, rng=seed)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("limit", [60, 400, 2500])
def test_a_budget_buys_as_many_units_as_fit_and_not_one_more(kind, limit):
    H = budget.units(lambda units: tagger(kind, units, 0), limit)
    blocks = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    sizes = [blocks * k * (1 + k + 2) + 2 * (k + 1) for k in (H, H + 1)]
    assert budget.count(tagger(kind, H, 0)) == sizes[0] <= limit < sizes[1]


def test_a_budget_may_be_spent_to_the_last_parameter():
    for H in (1, 2, 3, 8, 13):
        assert budget.units(lambda units: tagger("GRU", units, 0), budget.count(tagger("GRU", H, 0))) == H


def test_a_budget_too_small_for_one_unit_is_refused_with_a_reason():
    with pytest.raises(ValueError, match="budget is 5 and one unit takes"):
        budget.units(lambda units: tagger("GRU", units, 0), 5)


@pytest.fixture(scope="module")
def small_race():
    x = np.random.default_rng(0).normal(size=(6, 40, 1))
    data = Sequences(x, (x[0, :, 0] > 0).astype(int) * np.ones((6, 1), int), batch_size=10)
    return budget.race(tagger, data, data, 120, epochs=3, seeds=(0, 5))


def test_a_race_gives_every_seed_its_own_row_and_the_same_call_the_same_losses(small_race):
    x = np.random.default_rng(0).normal(size=(6, 40, 1))
    data = Sequences(x, (x[0, :, 0] > 0).astype(int) * np.ones((6, 1), int), batch_size=10)
    again = budget.race(tagger, data, data, 120, epochs=3, seeds=(5,), kinds=["GRU"])["GRU"]
    run = small_race["GRU"]
    np.testing.assert_array_equal(again.losses[0], run.losses[1])
    assert not np.allclose(run.losses[0], run.losses[1])
    np.testing.assert_array_equal(run.updates, [4, 8, 12])
    assert np.all(np.diff(run.seconds, axis=1) > 0)
    np.testing.assert_allclose(budget.milliseconds(run), 1000 * run.seconds[:, -1] / 12)
    assert run.parameters == budget.count(tagger("GRU", run.units, 0)) <= 120


def test_every_run_gets_its_seed_and_what_all_share(monkeypatch, small_race):
    seen = []

    def train(model, data, optimizer, **options):
        seen.append((options["seed"], data, options["validation"], options["clip"], optimizer.learning_rate))
        epoch = small_epoch._replace(seconds=2.0)
        return [epoch, epoch._replace(steps=8)]

    small_epoch = Epoch(1, 4, 0.5, None, 0.6, None, 0.1, 0.2, 0.0, 0.01, 0.0, 10, 1.0, {})
    monkeypatch.setattr(budget, "train", train)
    runs = budget.race(tagger, "data", "validation", 120, epochs=2, seeds=(3, 4), rate=0.05, clip=2.0)
    assert seen == [(seed, "data", "validation", 2.0, 0.05) for seed in (3, 3, 3, 4, 4, 4)]
    np.testing.assert_array_equal(runs["LSTM"].seconds, [[2, 4], [2, 4]])
    np.testing.assert_array_equal(runs["LSTM"].losses, np.full((2, 2), 0.6))
    np.testing.assert_array_equal(runs["LSTM"].norms, np.full((2, 2), 0.1))


def test_the_race_draws_at_every_epoch_and_shows_every_run(small_race):
    explorer = budget.explorer({"one": small_race, "two": small_race}, {"one": 0.7, "two": 0.5})
    for against in ("updates", "seconds"):
        for epoch in (1, 2, 3):
            scene = explorer.set(epoch=epoch, against=against)
            assert f"After {4 * epoch} updates" in scene.alt
            curves = [m for m in scene.panels[0].marks if isinstance(m, Line) and not m.dashed]
            assert len(curves) == 6
            assert {len(m.y) for m in curves} == {epoch}
            assert [m.label for m in curves] == ["RNN", "", "GRU", "", "LSTM", ""]
            for curve, (kind, k) in zip(curves, [(kind, k) for kind in small_race for k in (0, 1)], strict=True):
                run = small_race[kind]
                np.testing.assert_array_equal(curve.y, run.losses[k, :epoch])
                along = run.updates if against == "updates" else run.seconds[k]
                np.testing.assert_array_equal(curve.x, along[:epoch])
            gru_runs = [m for m in scene.panels[1].marks if isinstance(m, Dots)][1]
            np.testing.assert_array_equal(gru_runs.y, small_race["GRU"].losses[:, epoch - 1])
            far = scene.panels[0].x_limits[1]
            assert all(m.x[-1] <= far for m in curves)
    assert explorer.set(name="two").to_wire()
    assert explorer.png().startswith(b"\x89PNG")


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_the_two_conventions_agree_at_the_first_step_and_at_no_other(printed):
    names = printed[1]
    apart = np.abs(names["theirs"] - names["ours"]).max(axis=(1, 2))
    assert apart[0] == 0
    assert apart[1:].min() > 1e-3
    first, second, *_ = printed[0]["question_run"].splitlines()
    theirs, ours = first.split("ours")
    assert theirs.split("theirs")[1].strip() == ours.strip()
    theirs, ours = second.split("ours")
    assert theirs.split("theirs")[1].strip() != ours.strip()


def test_the_other_two_suspects_would_show_at_the_first_step(printed):
    names = printed[1]
    x, h0, weights = names["x"], names["h0"], names["weights"]
    H = h0.shape[1]
    swapped = [np.concatenate([w[H : 2 * H], w[:H], w[2 * H :]]) for w in weights]
    turned = [(w.T * np.repeat([1, -1, 1], H)).T for w in weights]
    for other in (swapped, turned):
        assert np.abs(gru.forward(x[:1], h0, *other)[0] - names["ours"][:1]).max() > 1e-2


def test_a_gru_with_open_reset_and_shut_update_gate_is_a_plain_rnn(printed):
    one, other = printed[0]["corners"].splitlines()
    assert one.split(":")[1].strip() == other.split(":")[1].strip()


def test_by_hand_and_the_library_agree(printed):
    texts, _ = printed
    mine, theirs = (numbers(line) for line in texts["by_hand"].splitlines())
    assert mine == theirs
    assert len(mine) == 5
    assert texts["verify"].startswith("right")
    assert "update_forward" in texts["source_forward"]
    assert "(4')" in texts["source_backward"]


def test_open_update_gates_carry_the_gradient_and_half_open_ones_lose_it(printed):
    shut, opened = (numbers(line) for line in printed[0]["ways"].splitlines())
    assert shut[-1] < 1e-4
    assert opened[-1] > 0.3


def test_the_sign_converter_is_exact(printed):
    sent, repaired = numbers(printed[0]["converter"])
    assert sent > 0.1
    assert repaired < 1e-12


def test_no_converter_helps_and_the_fair_rival_gets_far_below(printed):
    errors = printed[1]["errors"]
    same, other = errors.values()
    assert same[0] == pytest.approx(other[0], rel=0.1)
    assert other[-1] > 8 * same[-1]
    assert other.min() > 0.03


def test_the_argument_of_rows_and_columns_is_the_jacobian_of_the_candidate():
    rng = np.random.default_rng(2)
    H, W = 3, rng.normal(size=(3, 3))
    r = rng.uniform(0.1, 0.9, H)
    h = np.zeros(H)
    after = np.stack([central_difference(lambda v, i=i: (r * (W @ v))[i], h) for i in range(H)])
    before = np.stack([central_difference(lambda v, i=i: (W @ (r * v))[i], h) for i in range(H)])
    np.testing.assert_allclose(after, r[:, None] * W, atol=1e-9)
    np.testing.assert_allclose(before, W * r[None], atol=1e-9)


def test_the_detective_can_be_right_and_starts_wrong(printed):
    assert "not yet" in printed[0]["try_detective"]
    source = cells_of()["try_detective"]
    good = source.replace(
        '    return "after"',
        '    return "after" if np.allclose(gru.forward(x, h0, *weights)[0], hs) else "before"',
    )
    assert good != source
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(good, {"np": np, "gru": gru, "gru_before": gru_before, "rng": np.random.default_rng(0)})
    assert out.getvalue().startswith("40 of 40: Right")


@pytest.mark.parametrize(
    ("matrix", "verdict"),
    [("[[0.5, 1.0], [-1.0, 0.5]]", "not yet"), ("[[0.5, 0], [0, -1.3]]", "Right"), ("[[0, 0], [0, 0]]", "not zero"),
     ("[[0, 1.0], [1.0, 0]]", "not yet")],
)  # fmt: skip
def test_the_forms_agree_for_diagonal_matrices_and_no_others(matrix, verdict):
    source = cells_of()["try_same"].replace("[[0.5, 1.0], [-1.0, 0.5]]", matrix)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, {"np": np, "gru": gru, "gru_before": gru_before, "rng": np.random.default_rng(0)})
    assert verdict in out.getvalue()


def test_the_parameter_exercise_starts_wrong_and_can_be_right(printed):
    lines = printed[0]["try_count"].splitlines()
    assert [line.endswith("Right") for line in lines] == [True, False, False]
    source = cells_of()["try_count"]
    good = source.replace(
        "return K * 3 * H * (D + H + 2)", "return 3 * H * (D + H + 2) + (K - 1) * 3 * H * (2 * H + 2)"
    )
    assert good != source
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(good, {name: printed[1][name] for name in ("layer_size", "GRU")})
    assert out.getvalue().count("Right") == 3


def test_the_race_is_run_at_equal_budgets(printed):
    for name, runs in printed[1]["races"].items():
        limit = int(re.search(r"([\d,]+) parameters", name)[1].replace(",", ""))
        for run in runs.values():
            assert 0.85 * limit < run.parameters <= limit
            assert run.losses.shape[0] == 3


def test_no_cell_wins_every_race_and_they_end_as_the_lesson_says(printed):
    small, large, counting = printed[1]["races"].values()
    rnn, gated, lstm = (run.losses[:, -1] for run in small.values())  # "the LSTM comes last"
    assert np.all(lstm > rnn)
    assert np.all(lstm > gated)
    assert max(rnn.min(), gated.min()) < min(rnn.max(), gated.max())  # "RNN and GRU overlap"
    rnn, gated, lstm = (run.losses[:, -1].mean() for run in large.values())
    assert gated < min(rnn, lstm)  # "the GRU's mean is the lowest"
    rnn, gated, lstm = (run.losses[:, -1] for run in counting.values())
    assert lstm.max() < gated.min() <= gated.max() < rnn.min()  # "LSTM before GRU before RNN, in every run"
    for runs in (small, large, counting):  # "largest in the RNN, smallest in the LSTM"
        norms = [run.norms[:, -1].mean() for run in runs.values()]
        assert norms[0] > norms[1] > norms[2]


def test_the_counting_task_asks_what_the_lesson_says(printed):
    ups, labels = printed[1]["ups_and_downs"](9, 5, seed=0)
    for n in range(5):
        for t in range(9):
            assert labels[t, n] == (ups[: t + 1, n].sum() > (t + 1) / 2)
    assert printed[1]["short"].inputs.shape[0] < printed[1]["long"].inputs.shape[0]


def test_equal_units_are_not_equal_parameters(printed):
    sizes = [numbers(line.replace(",", "")) for line in printed[0]["count"].splitlines()]
    (_, lstm), (_, gru_same), (_, fits), (_, too_large), (_, plain) = sizes
    assert gru_same == 0.75 * lstm
    assert 0.95 * lstm < fits <= lstm < too_large
    assert 0.95 * lstm < plain <= lstm


TRIES = {
    "try_step": ("gru_step", "z * n + (1 - z) * h", "(1 - z) * n + z * h"),
    "try_back": (
        "gru_step_backward",
        "    dq = da\n",
        "    dq = np.concatenate([da_r, da_z, da_n * r], axis=1)\n",
    ),
    "try_time": (
        "gru_backward",
        "        dx, dh, *sums = gru.step_backward(dhs[t] + dh, caches[t])\n",
        "        dx, dh, *parts = gru.step_backward(dhs[t] + dh, caches[t])\n"
        "        sums = [total + part for total, part in zip(sums, parts)]\n",
    ),
}
MISTAKES = {
    "try_step": ("update_gate_inverted",),
    "try_back": ("reset_gate_not_passed",),
    "try_time": ("weights_overwritten", "biases_overwritten"),
}


def attempt(cell, source):
    sources = cells_of()
    namespace = {"np": np, "gru": gru, "sigmoid": sigmoid, "check": check}
    exec(sources.get(f"{cell}_forward", ""), namespace)
    exec(re.sub(r"^check\(", "verdict = check(", source, flags=re.M), namespace)
    return namespace["verdict"]


@pytest.mark.parametrize("cell", TRIES)
def test_every_starting_attempt_is_wrong_in_the_way_the_lesson_means(monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    verdict = attempt(cell, cells_of()[cell])
    assert verdict.question == TRIES[cell][0]
    assert verdict.points < verdict.max_points
    assert verdict.diagnosis.bugs == MISTAKES[cell]


@pytest.mark.parametrize("cell", TRIES)
def test_the_repair_that_the_lesson_hints_at_is_all_it_takes(monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    _, wrong, right = TRIES[cell]
    source = cells_of()[cell]
    assert source.count(wrong) == 1
    verdict = attempt(cell, source.replace(wrong, right))
    assert verdict.points == verdict.max_points, str(verdict)


def test_every_section_that_a_diagnosis_points_to_is_a_heading():
    from autograder.questions import questions_of

    headings = {line[3:] for text in cells_of().values() for line in text.splitlines() if line.startswith("## ")}
    assert {bug.read for question in questions_of("ps5_gru").values() for bug in question.bugs} <= headings
