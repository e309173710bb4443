"""Lesson 04 says these things on screen: its numbers hold, its explorer shows true gradients, and draws everywhere."""

import json
import pathlib
import re

import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from autograder.questions import ps2_bptt
from rnnlib.cells import rnn
from rnnlib.gradcheck import central_difference

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Arrow, Bars, Box, Dots, Line
from rnnlib.viz.static import png
from rnnlib.viz.unrolling import unrolled
from rnnlib.viz.unrolling.recurrence import random_weights

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "04_bptt.ipynb"
STEPS, UNITS, ALL = unrolled.STEPS, unrolled.UNITS, unrolled.ALL


# ---- the explorer's gradients --------------------------------------------------------------------------------------


def windowed(loss_at, radius, window):
    """The same by the library, window by window: the gradient of the state before each window, and dW_hh."""
    weights = random_weights(1, UNITS, radius, seed=unrolled.SEED, input_scale=0.5)
    x, _, dhs, _ = unrolled.sent_back(loss_at, radius, window)
    upstream = np.zeros((STEPS, 1, UNITS))
    upstream[loss_at - 1, 0] = dhs[loss_at]
    h, before, dW_hh = np.zeros((1, UNITS)), {}, 0
    for start in range(0, STEPS, window):
        part = slice(start, start + window)
        _, h, cache = rnn.forward(x[part, None, None], h, *weights)
        gradients = rnn.backward(upstream[part], None, cache)
        before[start], dW_hh = gradients.dh0[0], dW_hh + gradients.dW_hh
    return before, dW_hh


@pytest.mark.parametrize("loss_at", [1, 5, 8, 12])
@pytest.mark.parametrize("radius", [0.0, 0.9, 1.6])
@pytest.mark.parametrize("window", [1, 4, 5, 12])
def test_the_explorer_shows_what_the_library_computes(loss_at, radius, window):
    _, _, dhs, added = unrolled.sent_back(loss_at, radius, window)
    before, dW_hh = windowed(loss_at, radius, window)
    np.testing.assert_allclose(added.sum(axis=0), dW_hh, atol=1e-14)
    np.testing.assert_allclose(dhs[0], before[0], atol=1e-14)


@pytest.mark.parametrize("step", [0, 3, 7, 12])
def test_the_explorers_gradient_is_that_of_the_loss(step):
    x, hs, dhs, _ = unrolled.sent_back(12, 0.9, STEPS)
    weights = random_weights(1, UNITS, 0.9, seed=unrolled.SEED, input_scale=0.5)

    def loss(h):
        for x_t in x[step:]:
            h, _ = rnn.step_forward(np.full((1, 1), x_t), h, *weights)
        return float((dhs[12] * h).sum())

    np.testing.assert_allclose(dhs[step], central_difference(loss, hs[step : step + 1])[0], atol=1e-8)


def test_what_stands_after_the_loss_or_before_a_cut_gets_nothing():
    _, _, dhs, added = unrolled.sent_back(6, 0.9, STEPS)
    assert not dhs[7:].any()
    assert dhs[:7].all(axis=1).all()
    _, _, dhs, added = unrolled.sent_back(11, 0.9, 4)
    assert np.flatnonzero(dhs.any(axis=1)).tolist() == [9, 10, 11]
    assert np.flatnonzero(added.any(axis=(1, 2))).tolist() == [8, 9, 10]
    _, _, dhs, _ = unrolled.sent_back(9, 0.9, 4)
    assert np.flatnonzero(dhs.any(axis=1)).tolist() == [9]


def test_truncation_changes_no_state():
    whole, cut = unrolled.sent_back(12, 0.9, STEPS), unrolled.sent_back(12, 0.9, 1)
    np.testing.assert_array_equal(whole[1], cut[1])


def test_as_much_arrives_as_starts_between_the_radii_that_the_lesson_names(cells):
    def arrives(radius):
        return np.linalg.norm(unrolled.sent_back(12, radius, STEPS)[2][0])

    low, high = (float(r) for r in re.search(r"between radius (\d\.\d) and (\d\.\d)", cells["explorer_read"]).groups())
    assert arrives(low) < 1 < arrives(high)
    assert arrives(1.0) < 0.5
    assert arrives(0.0) == 0


# ---- pictures ------------------------------------------------------------------------------------------------------


def test_the_explorer_draws_over_the_whole_range_of_every_control():
    explorer = unrolled.explorer()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        for value in np.arange(control.minimum, control.maximum + control.step / 2, control.step).tolist():
            scene = explorer.set(**{**start, name: control.read(type(control.value)(value))})
            assert len(scene.to_wire()[0]["alt"]) > 40
    explorer.set(**start)
    assert explorer.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("loss_at", [1, STEPS])
@pytest.mark.parametrize("radius", [0.0, 2.0])
@pytest.mark.parametrize("window", [1, STEPS])
@pytest.mark.parametrize("moment", [1, STEPS + 1, ALL])
def test_the_explorer_draws_at_the_corners(loss_at, radius, window, moment):
    assert unrolled.back(loss_at, radius, window, moment).to_wire()


def network(*values):
    return unrolled.back(*values).panels[0].marks


def strips(marks):
    """How many of the small boxes are coloured: states, gradients."""
    small = [mark for mark in marks if isinstance(mark, Box) and mark.color == "grey"]
    assert len(small) == 2 * UNITS * (STEPS + 1)
    return [sum(box.value is not None for box in small if (box.y > 0) == upper) for upper in (True, False)]


def test_moment_by_moment_states_fill_in_first_and_then_gradients():
    for moment in range(1, ALL + 1):
        states, gradients = strips(network(12, 0.9, 12, moment))
        assert states == UNITS * (min(moment, STEPS) + 1)
        assert gradients == UNITS * max(moment - STEPS, 0)


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ((12, 0.9, 12, ALL), 12 + 1),
        ((6, 0.9, 12, ALL), 6 + 1),
        ((11, 0.9, 4, ALL), 2 + 1),
        ((9, 0.9, 4, ALL), 0 + 1),
        ((12, 0.0, 12, ALL), 0 + 1),
        ((12, 0.9, 12, STEPS), 0),
        ((12, 0.9, 12, STEPS + 1), 0 + 1),
        ((12, 0.9, 12, STEPS + 3), 2 + 1),
    ],
)
def test_a_red_arrow_stands_wherever_a_gradient_flows_and_nowhere_else(values, count):
    assert sum(isinstance(mark, Arrow) and mark.color == unrolled.BACK for mark in network(*values)) == count


@pytest.mark.parametrize(("window", "cuts"), [(12, []), (6, [6.5]), (5, [5.5, 10.5]), (4, [4.5, 8.5])])
def test_a_dashed_line_stands_wherever_a_window_ends(window, cuts):
    assert [mark.x[0] for mark in network(12, 0.9, window, ALL) if isinstance(mark, Line)] == cuts


def test_the_bars_are_what_each_step_adds():
    (bars,) = [mark for mark in unrolled.back(12, 0.9, 5, ALL).panels[2].marks if isinstance(mark, Bars)]
    np.testing.assert_allclose(bars.y, np.linalg.norm(unrolled.sent_back(12, 0.9, 5)[3], axis=(1, 2)))


def test_nothing_leaves_its_axes():
    for loss_at in range(1, STEPS + 1):
        for radius in np.round(np.arange(0, 2.05, 0.1), 1).tolist():
            _, norms, bars = unrolled.back(loss_at, radius, STEPS, ALL).panels
            assert np.nanmax(norms.marks[1].y) < norms.y_limits[1]
            assert bars.marks[0].y.max() < bars.y_limits[1]


def test_the_caption_says_how_far_it_has_come():
    assert "No gradient has come back yet" in unrolled.back(12, 0.9, 12, 5).alt
    assert "has come to h₀." in unrolled.back(12, 0.9, 12, ALL).alt
    assert "has come to h₉." in unrolled.back(11, 0.9, 4, ALL).alt
    assert "Truncated, dW_hh is off by" in unrolled.back(11, 0.9, 4, ALL).alt
    assert "Truncated" not in unrolled.back(11, 0.9, 12, ALL).alt


@pytest.mark.parametrize("T", [16, 36, 64])
def test_the_checkpoint_picture_keeps_a_root_and_computes_a_root_again(T):
    everything, _, starts, again, *_ = (m for m in unrolled.checkpoints(T).panels[0].marks if isinstance(m, Dots))
    assert len(everything.x) == T
    assert len(starts.x) ** 2 == T
    assert len(starts.x) == len(again.x) + 1
    assert not set(starts.x) & set(again.x)


def test_the_diagrams_draw():
    for scene in (unrolled.graph(), unrolled.two_paths(), unrolled.checkpoints()):
        assert png(scene)
        assert len(scene.alt) > 40


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_the_numbers_in_the_prose_stand_in_the_cell_above(cells, printed):
    texts, names = printed
    errors, reaches, windows = names["errors"], names["reaches"], list(names["windows"])
    for k in (64, 256):
        at = windows.index(k)
        off = " and ".join(f"{e[at]:.2f}" for e in errors.values())
        assert f"off by {off}, and {reaches['20 steps back'][at]:.0%}".replace("%", " %") in cells["cost_read"]
        assert f"{reaches['20 steps back'][at]:.0%}" in texts["cost"]
    assert reaches["20 steps back"][windows.index(16)] == 0
    assert 50 < int(re.search(r"(\d+) times less", texts["checkpoint_run"])[1]) < 64
    assert cells["checkpoint_read"].startswith("More than fifty times: 64 starts")
    assert "72 for `W_hh` alone" in cells["blind_read"]
    assert 2 * names["W_hh"].size == 72


def test_the_lessons_own_loops_are_the_librarys(printed):
    names, rng = printed[1], np.random.default_rng(3)
    x, h0, weights = rng.normal(size=(7, 3, 2)), rng.normal(size=(3, 5)), random_weights(2, 5, 0.9)
    dhs, dh_last = rng.normal(size=(7, 3, 5)), rng.normal(size=(3, 5))
    hs, _, cache = rnn.forward(x, h0, *weights)
    dh0, dW_ih, dW_hh, db = names["bptt"](dhs, dh_last, x, h0, hs, *weights[:2])
    right = rnn.backward(dhs, dh_last, cache)
    for mine, theirs in ((dh0, right.dh0), (dW_ih, right.dW_ih), (dW_hh, right.dW_hh), (db, right.db_ih)):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)
    whole = rnn.backward(dhs, None, cache).dW_hh
    np.testing.assert_allclose(names["truncated"](x, h0, weights, dhs, 7), whole, atol=1e-12)
    cut = ps2_bptt.TRUNCATED.reference(x, h0, *weights, dhs, np.array(3))[1]
    np.testing.assert_allclose(names["truncated"](x, h0, weights, dhs, 3), cut, atol=1e-12)


def test_what_is_printed_twice_agrees(printed):
    texts, _ = printed
    shares, total, together = (
        [float(n) for n in re.findall(r"[+-][.0-9]+", t)] for t in texts["shared_show"].splitlines()
    )
    assert sum(shares) == pytest.approx(total[0], abs=2.1e-5)
    assert together == total
    assert re.search(r"= ([.0-9]+)", texts["two_paths_run"])[1] in texts["two_paths_run"].splitlines()[1]
    by_hand = re.search(r"h0 = ([.0-9]+)", texts["by_hand"])[1]
    ours, librarys = texts["in_code_run"].splitlines()
    assert ours.split(":")[1].split() == librarys.split(":")[1].split()
    assert f"dW_hh = {by_hand}" in ours


def test_a_share_of_one_less_lag_over_window_sees_its_cause(printed):
    reaches, windows = printed[1]["reaches"], printed[1]["windows"]
    for name, shares in reaches.items():
        np.testing.assert_allclose(shares, np.maximum(1 - int(name.split()[0]) / windows, 0), atol=0.02)


def test_the_gradient_fades_as_the_lesson_says(printed):
    ratios = [float(r) for r in re.findall(r"ago: ([\d.]+)", printed[0]["answer"])]
    assert ratios[0] < 0.1
    assert ratios[1] < 0.01
    assert all(0.75 < float(f) < 0.85 for f in re.findall(r"factor of ([\d.]+)", printed[0]["answer"]))


def test_the_error_is_a_v_for_differences_and_flat_for_the_complex_step():
    rng = np.random.default_rng(7)  # another network than the lesson's
    x, h0, toward = rng.normal(size=(8, 3, 2)), rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    W_ih, W_hh, b_ih, b_hh = random_weights(2, 6, radius=0.8, seed=3)
    _, _, cache = rnn.forward(x, h0, W_ih, W_hh, b_ih, b_hh)
    right = rnn.backward(None, toward, cache).dW_hh
    names = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    (source,) = ("".join(cell["source"]) for cell in names if cell["id"] == "v_shape_run")
    namespace = {"np": np}
    exec(source.split("sizes =")[0], namespace)

    from rnnlib.gradcheck import complex_step

    def loss(W):
        h = h0
        for x_t in x:
            h, _ = rnn.step_forward(x_t, h, W_ih, W, b_ih, b_hh)
        return (toward * h).sum()

    def error(method, h):
        return np.abs(method(loss, W_hh, h) - right).max() / np.abs(right).max()

    one, both = (
        [error(method, 10.0**-k) for k in range(1, 13)] for method in (namespace["one_sided"], central_difference)
    )
    assert 7 <= 1 + int(np.argmin(one)) <= 9
    assert 4 <= 1 + int(np.argmin(both)) <= 6
    assert min(both) < 1e-9 < min(one)
    assert one[0] / one[1] == pytest.approx(10, rel=0.5)
    assert both[0] / both[1] == pytest.approx(100, rel=0.5)
    assert max(error(complex_step, 10.0**-k) for k in range(8, 16)) < 1e-14


def test_a_gradient_check_is_content_where_the_check_is_not(printed):
    assert printed[0]["blind_run"].startswith("right")
    names = printed[1]
    verdict = check("rnn_step_backward", names["wrong_step"], names["its_backward"])
    assert verdict.diagnosis.bugs == ("recurrent_weights_not_transposed",)
    assert "right, and paid" in verdict.diagnosis.text


TRIES = [
    ("try_step", "rnn_step_backward", ("rnn_step", "rnn_step_backward"), "derivative_applied_twice"),
    ("try_time", "rnn_backward", ("rnn_forward", "rnn_backward"), "later_steps_forgotten"),
    ("try_numerical", "numerical_gradient", ("numerical_gradient",), "not_restored"),
    ("try_truncated", "truncated_bptt", ("truncated_bptt",), "state_not_carried"),
]
REPAIRS = {
    "try_step": ("np.tanh(h_next) ** 2", "h_next**2"),
    "try_time": ("dhs[t],", "dhs[t] + dh,"),
    "try_numerical": ("gradient[i] =", "x[i] += h\n        gradient[i] ="),
    "try_truncated": ("_, _, cache = rnn.forward(x[window], h0,", "_, h0, cache = rnn.forward(x[window], h0,"),
}


def attempt(cells, cell, question, source):
    namespace = {"np": np, "rnn": rnn, "check": check}
    if cell == "try_time":
        exec(cells["try_time_forward"], namespace)
    exec(re.sub(r"^check\(", "verdict = check(", source, flags=re.M), namespace)
    return namespace["verdict"]


@pytest.mark.parametrize(("cell", "question", "functions", "mistake"), TRIES)
def test_every_starting_attempt_is_wrong_in_the_way_the_lesson_means(
    cells, monkeypatch, cell, question, functions, mistake
):
    monkeypatch.setattr(learners, "_seen", {})
    verdict = attempt(cells, cell, question, cells[cell])
    assert verdict.question == question
    assert verdict.points < verdict.max_points
    assert verdict.diagnosis.bugs == (mistake,)


@pytest.mark.parametrize("cell", REPAIRS)
def test_the_repair_that_the_lesson_hints_at_is_all_it_takes(cells, monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    wrong, right = REPAIRS[cell]
    assert cells[cell].count(wrong) == 1
    verdict = attempt(cells, cell, "", cells[cell].replace(wrong, right))
    assert verdict.points == verdict.max_points, str(verdict)


def test_every_section_that_a_diagnosis_points_to_is_a_heading(cells):
    headings = {line[3:] for text in cells.values() for line in text.splitlines() if line.startswith("## ")}
    assert {bug.read for question in ps2_bptt.QUESTIONS for bug in question.bugs} <= headings
