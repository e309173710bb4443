"""Lesson 06 says these things on screen: its numbers hold, its walks follow true gradients, its patients have what is
said of them, and every picture draws."""

import itertools
import math
import pathlib
import re

import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from autograder.questions import ps3_gradients
from rnnlib.cells import rnn
from rnnlib.optim import clip_by_global_norm, clip_by_value, clip_per_tensor_norm, global_norm

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Arrow, Bars, Dots, Heatmap, Label, Line
from rnnlib.viz.gradients import cliff, clipped, normlog
from rnnlib.viz.static import png

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "06_clipping.ipynb"
KINDS = {"by global norm": clip_by_global_norm, "per tensor": clip_per_tensor_norm, "by value": clip_by_value}


# ---- the cliff -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [1, 7, 15])
@pytest.mark.parametrize("w", [0.9, 2.0])
@pytest.mark.parametrize("b", [-0.5, 0.1])
def test_the_cliffs_gradient_is_that_of_the_librarys_network(T, w, b):
    x, h0 = np.zeros((T, 1, 1)), np.full((1, 1), cliff.BEGIN)
    weights = np.ones((1, 1)), np.full((1, 1), w), np.zeros(1), np.full(1, b)
    _, h, cache = rnn.forward(x, h0, *weights)
    gradients = rnn.backward(None, 2 * (h - cliff.TARGET), cache)
    right = (h.item() - cliff.TARGET) ** 2, gradients.dW_hh.item(), gradients.db_hh.item()
    np.testing.assert_allclose(cliff.loss_and_gradient(w, b, T), right, rtol=1e-10)
    assert cliff.loss(w, b, T) == pytest.approx(right[0], rel=1e-12)


def test_the_surface_has_w_in_rows_and_b_in_columns():
    surface = cliff.surface(15)
    assert surface.loss[10, 40] == pytest.approx(cliff.loss(surface.a[10], surface.b[40], 15))
    assert (surface.a[0], surface.a[-1], surface.b[0], surface.b[-1]) == pytest.approx((*cliff.W, *cliff.B))


@pytest.mark.parametrize("T", [3, 10, 20])
def test_the_steepest_place_is_where_it_is_said_to_be(T):
    b, slope = cliff.steepest(T)
    assert abs(cliff.loss_and_gradient(2.0, b, T)[2]) == pytest.approx(slope)
    nearby = b + np.linspace(-5, 5, 2001) / slope
    assert max(abs(cliff.loss_and_gradient(2.0, float(each), T)[2]) for each in nearby) < 1.001 * slope
    coarse = np.linspace(-1, 0.5, 1501)
    assert max(abs(cliff.loss_and_gradient(2.0, float(each), T)[2]) for each in coarse) < 1.001 * slope


def test_the_wall_gets_steeper_with_every_step():
    slopes = [cliff.steepest(T)[1] for T in range(2, 25)]
    assert all(after > 1.2 * before for before, after in itertools.pairwise(slopes))
    lines = [mark for mark in cliff.side(3, 20).panels[0].marks if isinstance(mark, Line)]
    steepest = [np.abs(np.diff(line.y) / np.diff(line.x)).max() for line in lines]
    assert steepest[1] == pytest.approx(cliff.steepest(20)[1], rel=0.05)
    assert steepest[0] == pytest.approx(cliff.steepest(3)[1], rel=0.05)


@pytest.mark.parametrize("kind", cliff.KINDS)
def test_a_walk_takes_one_clipped_step_after_the_other(kind):
    walk = cliff.descend(15, 0.2, 0.5, kind)
    assert (walk.w[0], walk.b[0]) == cliff.START
    for i in (0, 41, 48, 49):
        loss, dw, db = cliff.loss_and_gradient(float(walk.w[i]), float(walk.b[i]), 15)
        g = {"w": np.array([dw]), "b": np.array([db])}
        step, norm = KINDS[kind](g, 0.5)
        assert (walk.loss[i], walk.norm[i]) == pytest.approx((loss, norm))
        moved = walk.w[i + 1] - walk.w[i], walk.b[i + 1] - walk.b[i]
        assert moved == pytest.approx((-0.2 * step["w"].item(), -0.2 * step["b"].item()))


def test_one_step_leaves_the_landscape_and_its_clipped_twin_does_not():
    free, kept = cliff.descend(15, 0.2), cliff.descend(15, 0.2, 1.0)
    assert free.norm.argmax() == kept.norm.argmax() == 49
    np.testing.assert_array_equal(free.w[:50], kept.w[:50])
    thrown = math.hypot(free.w[50] - free.w[49], free.b[50] - free.b[49])
    assert thrown > 30
    assert thrown > 10 * (cliff.B[1] - cliff.B[0])
    assert free.norm[-1] == 0
    assert free.loss[-1] > free.loss[0]
    assert (kept.norm > 1).sum() == 1
    assert kept.loss[-1] < 1e-6
    assert free.loss[42] > 2 > 0.1 > free.loss[41]


def test_what_the_lesson_says_to_try_at_the_cliff_happens():
    slow = cliff.descend(15, 0.02)
    assert slow.norm.max() < 0.1
    assert slow.loss[-1] > 0.9 * slow.loss[0]
    assert cliff.descend(15, 0.2, 0.1).loss[-1] > 2
    assert cliff.descend(20, 0.2).loss[-1] < 1e-3
    assert cliff.descend(20, 0.2).norm.max() < 10


def test_arrive_tells_the_valley_from_the_plateau_and_from_outer_space():
    assert "the limit is too high" in cliff.arrive(20, 0.3, 4.0)
    assert cliff.arrive(20, 0.3, 1.0).startswith("Right: loss ")
    assert "high plateau" in cliff.arrive(15, 0.2, 0.1)
    assert "the limit is too high" in cliff.arrive(15, 0.2, 1000.0)
    assert "still under way" in cliff.arrive(15, 0.02, 1.0)


def test_the_cliff_draws_over_the_whole_range_of_every_control():
    explorer = cliff.explorer()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        options = getattr(control, "options", None)
        for value in options or np.arange(control.minimum, control.maximum + control.step / 2, control.step).tolist():
            asked = value if options else control.read(type(control.value)(value))
            assert len(explorer.set(**{**start, name: asked}).to_wire()[0]["alt"]) > 40
    explorer.set(**start)
    assert explorer.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("T", [2, 15, 30])
@pytest.mark.parametrize("rate", [0.02, 0.4])
@pytest.mark.parametrize("limit", [0.1, 5.0])
def test_no_dot_and_no_arrow_of_a_walk_lies_beside_the_map(T, rate, limit):
    for update in (0, 42, cliff.UPDATES):
        marks = cliff.walks(update, limit, "by value", rate, T).panels[0].marks
        for mark in marks:
            if isinstance(mark, Dots):
                assert ((mark.x >= cliff.B[0]) & (mark.x <= cliff.B[1])).all()
                assert ((mark.y >= cliff.W[0]) & (mark.y <= cliff.W[1])).all()
            if isinstance(mark, Arrow):
                assert cliff.B[0] - 1e-9 <= mark.to_x <= cliff.B[1] + 1e-9
                assert cliff.W[0] - 1e-9 <= mark.to_y <= cliff.W[1] + 1e-9


def test_an_arrow_stands_where_a_walk_leaves_the_map_and_not_before():
    def arrows(update):
        return [m for m in cliff.walks(update, 1.0, "by global norm", 0.2, 15).panels[0].marks if isinstance(m, Arrow)]

    assert not arrows(49)
    (left,) = arrows(50)
    free = cliff.descend(15, 0.2)
    assert (left.x, left.y, left.color) == (free.b[49], free.w[49], cliff.FREE)
    assert left.to_x == pytest.approx(cliff.B[1])
    assert (left.to_y - left.y) / (left.to_x - left.x) == pytest.approx(
        (free.w[50] - free.w[49]) / (free.b[50] - free.b[49])
    )


def test_the_log_under_the_map_ends_at_the_present_update():
    free, kept = cliff.descend(15, 0.2), cliff.descend(15, 0.2, 1.0)
    _, losses, norms = cliff.walks(52, 1.0, "by global norm", 0.2, 15).panels
    for panel, name in ((losses, "loss"), (norms, "norm")):
        curves = [m for m in panel.marks if isinstance(m, Line) and not m.dashed]
        assert [int(np.isfinite(curve.y).sum()) for curve in curves] == [53, 53]
        for curve, walk in zip(curves, (free, kept), strict=True):
            np.testing.assert_allclose(curve.y[:53], np.clip(getattr(walk, name)[:53], *panel.y_limits))


def test_the_caption_names_the_largest_norm_so_far():
    assert "largest norm 1.6e+02" in cliff.walks(50, 1.0, "by global norm", 0.2, 15).alt
    assert "largest norm 0.21" in cliff.walks(40, 1.0, "by global norm", 0.2, 15).alt


def test_the_map_has_b_across_and_w_upwards():
    panel = cliff.walks(0, 1.0, "by global norm", 0.2, 15).panels[0]
    (shade,) = [m for m in panel.marks if isinstance(m, Heatmap)]
    assert (shade.x_range, shade.y_range) == (cliff.B, cliff.W)
    np.testing.assert_allclose(shade.matrix, np.log10(cliff.surface(15).loss))


# ---- what each kind does to the direction --------------------------------------------------------------------------


def gradients(seed=0):
    rng = np.random.default_rng(seed)
    return {"long": 3 * rng.normal(size=(4, 5)), "short": 0.1 * rng.normal(size=7), "none": np.zeros(2)}


def cosine(first, second):
    one, other = (np.concatenate([g.ravel() for g in each.values()]) for each in (first, second))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", clipped.KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_all_kinds_are_compared_at_the_length_that_was_asked_for(seed, kind, share):
    g = gradients(seed)
    short = clipped.shortened(g, kind, share)
    assert global_norm(short.gradients) == pytest.approx(share * global_norm(g), rel=1e-6)
    again, _ = KINDS[kind](g, short.limit)
    for name, array in again.items():
        np.testing.assert_array_equal(short.gradients[name], array)
    assert math.cos(math.radians(short.turned)) == pytest.approx(cosine(g, short.gradients), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_only_the_global_norm_keeps_the_direction_and_nothing_turns_it_by_ninety_degrees(seed):
    turned = {kind: clipped.shortened(gradients(seed), kind, 0.1).turned for kind in clipped.KINDS}
    assert turned["by global norm"] < 1e-5
    assert 1 < turned["per tensor"] < 90
    assert 1 < turned["by value"] < 90


def test_an_angle_is_exact_where_it_is_small_and_where_it_is_right():
    along, across = {"g": np.array([1.0, 0.0])}, {"g": np.array([0.0, 2.0])}
    assert clipped.angle(along, across) == pytest.approx(90)
    assert clipped.angle(along, along) == 0
    assert clipped.angle(along, {"g": np.array([1.0, 1e-9])}) == pytest.approx(math.degrees(1e-9), rel=1e-6)


def test_in_the_plane_nothing_leaves_the_ball_or_the_box():
    for direction in range(0, 91, 5):
        arrows = [m for m in clipped.plane(direction, 3.0, 1.2).panels[0].marks if isinstance(m, Arrow)]
        (norm,) = [m for m in arrows if m.color == clipped.COLORS["by global norm"]]
        (value,) = [m for m in arrows if m.color == clipped.COLORS["by value"]]
        assert math.hypot(norm.to_x, norm.to_y) == pytest.approx(1.2)
        assert max(value.to_x, value.to_y) == pytest.approx(1.2)
        assert math.atan2(norm.to_y, norm.to_x) == pytest.approx(math.radians(direction))


@pytest.mark.parametrize("direction", [0, 45, 90])
def test_by_value_does_not_turn_along_an_axis_or_the_diagonal(direction):
    assert "By value norm" in clipped.plane(direction, 4.0, 1.0).alt
    assert clipped.plane(direction, 4.0, 1.0).alt.count("turned by 0°") == 2
    assert clipped.plane(20, 4.0, 1.0).alt.count("turned by 0°") == 1
    assert clipped.plane(20, 1.0, 1.0).alt.count("turned by 0°") == 2


def test_the_bars_are_what_is_left_of_each_tensor():
    scene = clipped.network(gradients()).set(share=50)
    bars = {m.label: m.y for m in scene.panels[0].marks if isinstance(m, Bars)}
    np.testing.assert_allclose(bars["by global norm"], [50, 50, 0], atol=1e-4)
    assert bars["per tensor"][1] == pytest.approx(100)
    assert bars["per tensor"][0] < 50


def test_the_two_explorers_of_directions_draw_over_their_ranges():
    for explorer in (clipped.explorer(), clipped.network(gradients())):
        start = dict(explorer.values)
        for name, control in explorer.controls.items():
            for value in np.arange(control.minimum, control.maximum + control.step / 2, 3 * control.step).tolist():
                assert explorer.set(**{**start, name: control.read(type(control.value)(value))}).to_wire()
        assert explorer.png().startswith(b"\x89PNG")


# ---- the log -------------------------------------------------------------------------------------------------------


def over(log):
    return np.flatnonzero(log.norms > log.limit)


def test_each_patient_has_what_is_said_of_it():
    logs = {name: normlog.patient(name) for name in normlog.PATIENTS}
    finding = {finding: logs[name] for name, finding in normlog.FINDINGS.items()}
    assert sorted(normlog.FINDINGS.values()) == sorted(normlog.REASONS)

    low = finding["limit too low"]
    assert normlog.share(low) == 1
    assert low.norms.max() < 2
    assert low.chance < np.median(low.losses[-9:]) < low.losses[0]

    bad = finding["bad batch"]
    spikes = np.flatnonzero(bad.norms > 10)
    assert len(spikes) == 3
    assert set(np.diff(spikes)) == {bad.batches} == {30}
    assert np.median(bad.losses) < 0.1 * bad.chance

    exploding = finding["exploding"]
    assert len(exploding.norms) < 20
    assert not np.isfinite(exploding.norms[-1])
    assert np.nanmax(exploding.norms[np.isfinite(exploding.norms)]) > 1e6

    healthy = finding["healthy"]
    assert 0 < normlog.share(healthy) < 0.15
    assert np.median(healthy.losses[-9:]) < 0.9 * healthy.chance

    vanishing = finding["vanishing"]
    assert np.median(vanishing.losses[-30:]) == pytest.approx(vanishing.chance, rel=0.1)
    assert normlog.share(vanishing) < 0.25

    fast = finding["learning rate too high"]
    assert normlog.share(fast) > 0.8
    assert np.median(fast.losses) > 2 * fast.chance
    assert fast.norms.max() > 20 * np.median(fast.norms)
    assert np.isfinite(fast.norms).all()


def test_a_log_holds_what_training_reports():
    log = normlog.patient("D")
    assert len(log.norms) == len(log.losses) == 2 * log.batches
    untouched, V, chance = normlog._text()
    assert log.losses[0] == pytest.approx(math.log(V), rel=0.1)
    assert log.chance == chance < math.log(V)
    assert len(untouched) == log.batches


def test_the_chart_shows_every_step_and_marks_the_clipped_ones():
    for name in normlog.PATIENTS:
        log = normlog.patient(name)
        norms, _ = normlog.chart(name, False).panels
        (curve,) = [m for m in norms.marks if isinstance(m, Line) and not m.dashed]
        np.testing.assert_array_equal(curve.y, np.where(np.isfinite(log.norms), log.norms, np.nan))
        marked = [m for m in norms.marks if isinstance(m, Dots) and m.label == "clipped"]
        if math.isfinite(log.limit):
            assert np.flatnonzero(np.isfinite(marked[0].y)).tolist() == over(log).tolist()
        said_nan = any(isinstance(m, Label) and m.text == "NaN" for m in norms.marks)
        assert said_nan == (not np.isfinite(log.norms[-1]))
        assert png(normlog.chart(name, True))


def test_the_finding_is_told_only_when_asked():
    for name, finding in normlog.FINDINGS.items():
        untold, told = (normlog.chart(name, each).alt for each in (False, True))
        assert "Finding" not in untold
        assert finding not in untold
        assert finding in told
        assert finding not in normlog.HINTS[name]


def test_diagnose_says_what_is_right_and_gives_nothing_away():
    everything = normlog.diagnose(normlog.FINDINGS)
    assert everything.count(": right, ") == 6
    assert everything.endswith("6 of 6 found.")
    nothing = normlog.diagnose(dict.fromkeys(normlog.FINDINGS, "?"))
    assert nothing.endswith("0 of 6 found.")
    assert not any(reason in nothing for reason in normlog.REASONS.values())
    with pytest.raises(ValueError, match="there are the patients A, B, C"):
        normlog.diagnose({"G": "healthy"})
    with pytest.raises(ValueError, match="limit too low"):
        normlog.diagnose({"A": "flu"})


def test_the_explorer_of_patients_draws_them_all():
    explorer = normlog.explorer()
    for name in normlog.PATIENTS:
        for told in (False, True):
            assert explorer.set(name=name, told=told).alt


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_the_run_of_the_beginning_ends_in_nan_and_the_clipped_one_does_not(printed):
    texts, _ = printed
    first, second = (
        re.findall(r"loss +(\S+), gradient norm +(\S+)", texts[cell]) for cell in ("question_loop", "with_clipping")
    )
    assert "nan" in first[-1]
    assert 4 <= len(first) < 12
    assert len(second) == 12
    assert all(math.isfinite(float(loss)) for loss, _ in second)
    assert float(second[-1][0]) < float(second[0][0])
    assert max(float(norm) for _, norm in second) > 10


def test_every_seed_breaks_without_and_learns_with_clipping(printed):
    lines = printed[0]["seeds_run"].splitlines()
    assert len(lines) == 3
    for line in lines:
        assert "without NaN" in line
        assert float(re.search(r"with: loss ([\d.]+)", line)[1]) < printed[1]["chance"]
        assert 3 <= int(re.search(r"(\d+)% of 99", line)[1]) <= 20


def test_the_library_stops_and_names_the_place(printed):
    text = printed[0]["library"]
    assert re.match(r"epoch 1, step \d+: the (loss|norm)", text)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+),", text)]
    assert losses == sorted(losses, reverse=True)
    norms = [float(norm) for norm in re.findall(r"norm (\S+) on average", text)]
    assert norms[0] > 5 * norms[1]  # why the lesson says median


def test_the_limits_at_both_ends_are_bad_and_there_is_room_between_them(printed):
    reached, chance = printed[1]["reached"], printed[1]["chance"]
    assert reached[0.01] > chance
    assert math.isnan(reached[1000.0])
    assert max(reached[c] for c in (1.0, 10.0)) < 0.9 * chance
    assert max(reached[c] for c in (1.0, 10.0)) < 1.1 * min(reached[c] for c in (1.0, 10.0))


def test_the_order_of_the_kinds_is_as_the_lesson_says(printed):
    turned = dict(re.findall(r"(\S+ \S+(?: \S+)?) +c = \S+: turned by (\d+)°", printed[0]["network"]))
    assert 0 == int(turned["by global norm"]) < int(turned["per tensor"]) < int(turned["by value"]) < 90


def test_clipping_changes_nothing_about_what_vanishes(printed):
    texts, _ = printed
    rows = re.findall(r"(\d+) steps, limit \S+ +(\d+)% clipped, loss ([\d.]+)", texts["adder"])
    assert len(rows) == 6
    for T, _, loss in rows:
        if T == "4":
            assert float(loss) < 0.145
        else:
            assert float(loss) == pytest.approx(1 / 6, rel=0.05)
    assert float(re.search(r"(\S+) of dW_hh", texts["vanishing"])[1]) < 0.02
    scene = clipped.by_lag(printed[1]["norms"], {"as it is": 1, "clipped to a tenth": 0.1})
    before, after = (mark for mark in scene.panels[0].marks if isinstance(mark, Line))
    np.testing.assert_allclose(before.y, 10 * after.y)


def test_the_parts_of_the_lags_add_up_to_the_librarys_gradient(printed):
    names = printed[1]
    weights = [names[name] for name in ("W_ih", "W_hh", "b_ih", "b_hh")]
    x, h0 = names["x"], names["h0"]
    _, _, cache = rnn.forward(x, h0, *weights)
    rng = np.random.default_rng(0)
    rng.uniform(-1, 1, (60, 20, 1))
    right = rnn.backward(None, rng.normal(size=(20, 40)) / 20, cache).dW_hh
    np.testing.assert_allclose(sum(names["parts"]), right, atol=1e-12)  # h0 is zero, so the first step adds nothing


def test_an_infinite_gradient_is_turned_into_nan_by_the_naive_rule_and_refused_by_the_library(printed):
    ours, librarys, step = printed[0]["inf_run"].splitlines()
    assert "nan" in ours
    assert "inf" in librarys
    assert "nan" not in librarys
    assert "no step was taken" in step


def test_adam_does_not_notice_a_constant_factor(printed):
    first, second = (line.split("at")[1] for line in printed[0]["adam"].splitlines())
    assert first == second


def test_the_lessons_own_clip_is_the_librarys(printed):
    g = gradients()
    for limit in (0.5, 1000.0):
        mine, norm = printed[1]["clip"](g, limit)
        theirs, right = clip_by_global_norm(g, limit)
        assert norm == pytest.approx(right)
        for name in g:
            np.testing.assert_allclose(mine[name], theirs[name])


def test_what_the_prose_says_of_the_walks_stands_in_the_cell_above(cells, printed):
    assert printed[0]["cliff_numbers"].count("update 49") == 2
    assert "in the end loss 0.09, gradient norm 0\n" in printed[0]["cliff_numbers"]
    assert "Around update 49" in cells["cliff_read"]
    assert "One step in sixty is clipped" in cells["cliff_after"]


TRIES = [
    ("try_global_norm", "clip_by_global_norm", "each_array_alone"),
    ("try_value", "clip_by_value", "upper_side_only"),
]
REPAIRS = {
    "try_global_norm": (
        "short = [g * min(1.0, max_norm / max(n, 1e-300)) for g, n in zip(gradients, norms, strict=True)]",
        "total = np.sqrt(sum(n**2 for n in norms))\n"
        "    short = [g * min(1.0, max_norm / max(total, 1e-300)) for g in gradients]",
    ),
    "try_value": (
        "return np.minimum(dW_ih, limit), np.minimum(dW_hh, limit), np.minimum(db, limit)",
        "return tuple(np.clip(g, -limit, limit) for g in (dW_ih, dW_hh, db))",
    ),
}


def attempt(source):
    namespace = {"np": np, "check": check}
    exec(re.sub(r"^check\(", "verdict = check(", source, flags=re.M), namespace)
    return namespace["verdict"]


@pytest.mark.parametrize(("cell", "question", "mistake"), TRIES)
def test_every_starting_attempt_is_wrong_in_the_way_the_lesson_means(cells, monkeypatch, cell, question, mistake):
    monkeypatch.setattr(learners, "_seen", {})
    verdict = attempt(cells[cell])
    assert verdict.question == question
    assert verdict.points < verdict.max_points
    assert verdict.diagnosis.bugs == (mistake,)


@pytest.mark.parametrize("cell", REPAIRS)
def test_the_repair_that_the_lesson_hints_at_is_all_it_takes(cells, monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    wrong, right = REPAIRS[cell]
    assert cells[cell].count(wrong) == 1
    verdict = attempt(cells[cell].replace(wrong, right))
    assert verdict.points == verdict.max_points, str(verdict)


def test_every_section_that_a_diagnosis_points_to_is_a_heading(cells):
    headings = {line[3:] for text in cells.values() for line in text.splitlines() if line.startswith("## ")}
    pointed = {bug.read for q in ps3_gradients.QUESTIONS if q.lesson == LESSON.name for bug in q.bugs}
    assert pointed
    assert pointed <= headings
