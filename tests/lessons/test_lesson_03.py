"""Lesson 03 says these things on screen: its numbers hold, and its explorers draw everywhere in their range."""

import pathlib

import numpy as np
import pytest

from autograder.check import check
from rnnlib import probes
from rnnlib.cells import rnn
from rnnlib.layers import linear_forward

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Arrow, Box, Label
from rnnlib.viz.static import png
from rnnlib.viz.unrolling import recurrence

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "03_rnn_forward.ipynb"


def run(weights, T=60, N=100, seed=0, **options):
    """Random inputs and the states of a network that reads them from a zero state."""
    x = np.random.default_rng(seed).uniform(-1, 1, (T, N, weights[0].shape[1]))
    return x, rnn.forward(x, np.zeros((N, len(weights[1]))), *weights, **options)[0]


@pytest.fixture(scope="module")
def remembered():
    """Recall of the lesson's 40 units, with another input than the lesson's."""
    x, hs = run(recurrence.random_weights(1, 40, 0.9))
    return probes.recall(hs, x, max_lag=25)


# ---- recall ------------------------------------------------------------------------------------------------------


def test_five_steps_are_recalled_ten_roughly_and_twenty_not(remembered):
    assert remembered[5] > 0.9
    assert 0.4 < remembered[10] < 0.8
    assert remembered[20] < 0.1


def test_recall_falls_with_lag(remembered):
    assert np.all(np.diff(remembered) < 0.02)


@pytest.mark.parametrize("radius", [0.0, 0.5, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("H", [4, 16])
def test_recall_summed_over_lags_never_exceeds_the_number_of_units(H, radius):
    x, hs = run(recurrence.random_weights(1, H, radius))
    assert probes.recall(hs, x, max_lag=30).sum() < H


def test_without_recurrence_only_the_present_input_is_recalled():
    x, hs = run(recurrence.random_weights(1, 16, 0.0))
    recall = probes.recall(hs, x, max_lag=10)
    assert recall[0] > 0.99
    assert recall[1:].max() < 0.01


def test_memory_is_longest_near_a_spectral_radius_of_one():
    def capacity(radius):
        return np.mean(
            [probes.recall(*run(recurrence.random_weights(1, 16, radius, s))[::-1], 20).sum() for s in range(8)]
        )

    sums = {radius: capacity(radius) for radius in (0.3, 0.7, 0.95, 1.3, 2.0)}
    assert max(sums, key=sums.get) == 0.95
    assert sums[0.3] < sums[0.7]
    assert sums[2.0] < sums[1.3]


def test_a_delay_line_recalls_as_many_steps_as_it_has_units():
    W_ih, W_hh, none = 0.1 * np.eye(4)[:, :1], np.eye(4, k=-1), np.zeros(4)
    x, hs = run((W_ih, W_hh, none, none))
    recall = probes.recall(hs, x, max_lag=6, precision=1e-4)
    assert recall[:4].min() > 0.99
    assert recall[4:].max() < 0.01
    x, hs = run((W_ih, W_hh.T, none, none))
    assert probes.recall(hs, x, max_lag=6)[1:].max() < 0.01


def test_the_readout_of_the_past_gives_the_inputs_themselves():
    x, hs = run(recurrence.random_weights(1, 40, 0.9))
    W, b = probes.past_readout(hs, x, max_lag=5)
    guesses, _ = linear_forward(hs[30], W, b)
    for lag in range(4):
        np.testing.assert_allclose(guesses[:, lag], x[30 - lag, :, 0], atol=0.2)


@pytest.mark.parametrize(
    ("hs", "x", "max_lag"),
    [((9, 4, 5), (9, 4, 2), 3), ((9, 4, 5), (8, 4, 1), 3), ((9, 4, 5), (9, 4, 1), 9), ((9, 1, 5), (9, 1, 1), 3)],
)
def test_recall_refuses_what_does_not_fit(hs, x, max_lag):
    with pytest.raises(ValueError, match=r"shape|fit|max_lag"):
        probes.recall(np.zeros(hs), np.zeros(x), max_lag)


def test_a_constant_state_recalls_nothing_rather_than_nan():
    x, hs = run(recurrence.random_weights(1, 3, 0.5))
    assert probes.recall(np.zeros_like(hs), x, max_lag=2).tolist() == [0, 0, 0]


# ---- weights and windows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.0, 0.5, 1.7])
def test_random_weights_have_the_spectral_radius_that_was_asked_for(radius):
    _, W_hh, _, _ = recurrence.random_weights(2, 30, radius)
    assert probes.spectral_radius(W_hh) == pytest.approx(radius)


def test_carried_windows_are_one_long_run_and_reset_windows_forget_that_they_were_reset():
    weights = recurrence.random_weights(1, 20, 0.9)
    x, whole = run(weights, T=60, N=3)
    h, carried, reset = np.zeros((3, 20)), [], []
    for start in range(0, 60, 20):
        hs, h, _ = rnn.forward(x[start : start + 20], h, *weights)
        carried.append(hs)
        reset.append(rnn.forward(x[start : start + 20], np.zeros((3, 20)), *weights)[0])
    np.testing.assert_allclose(np.concatenate(carried), whole, atol=1e-14)
    gap = np.abs(np.concatenate(reset) - whole).max(axis=(1, 2))
    assert gap[20] > 10 * gap[39]


# ---- tanh and ReLU -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "calm", "wild"), [("identity", 0.95, 1.1), ("random", 1.2, 1.6)])
def test_relu_takes_off_above_one_for_the_identity_and_later_for_random_weights(kind, calm, wild):
    def growth(radius):
        size = np.sqrt((recurrence.states_under(radius, kind)["relu"] ** 2).mean(axis=1))
        return (size[-1] / size[29]) ** (1 / 30)

    assert growth(calm) < 1.01
    assert growth(wild) > 1.09
    if kind == "identity":
        assert growth(wild) == pytest.approx(wild, abs=0.005)


def test_tanh_saturates_where_relu_explodes():
    shares = [probes.saturation(recurrence.states_under(radius, "random")["tanh"][-20:]) for radius in (1.0, 2.0, 3.0)]
    assert shares == sorted(shares)
    assert shares[0] < 0.02
    assert shares[-1] > 0.4


# ---- pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [recurrence.memory_explorer, recurrence.growth_explorer])
def test_every_explorer_draws_over_the_whole_range_of_every_control(make):
    explorer = make()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        if hasattr(control, "options"):
            values = control.options
        else:
            steps = round((control.maximum - control.minimum) / control.step)
            values = [
                control.read(value) for value in np.linspace(control.minimum, control.maximum, steps + 1).tolist()
            ]
        for value in values:
            scene = explorer.set(**{**start, name: value})
            spec, _ = scene.to_wire()
            assert len(spec["alt"]) > 40
    explorer.set(**start)
    assert explorer.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("radius", [0.0, 2.0])
@pytest.mark.parametrize("t", [1, recurrence.SHOWN, recurrence.STEPS])
def test_the_memory_explorer_draws_at_the_corners(radius, t):
    assert png(recurrence.memory(radius, t))


def test_the_memory_explorer_shows_only_what_was_read():
    scene = recurrence.memory(0.9, 5)
    states, dots = scene.panels[1].marks[0].matrix, scene.panels[3].marks[1]
    assert np.isfinite(states).all(axis=0).sum() == 5
    assert sorted(dots.x) == [1, 2, 3, 4, 5]
    boxes = [mark for mark in scene.panels[0].marks if isinstance(mark, Box)]
    assert len(boxes) == 5 * (recurrence.UNITS + 1) + recurrence.UNITS, "five states and inputs, and h₀"


@pytest.mark.parametrize(("radius", "t", "count"), [(0.0, 20, 0), (0.05, 20, 7), (0.9, 1, 1), (0.9, 6, 6), (0.9, 7, 7)])
def test_every_state_has_an_arrow_from_the_one_before_unless_nothing_flows(radius, t, count):
    marks = recurrence.memory(radius, t).panels[0].marks
    assert sum(isinstance(mark, Arrow) and mark.color == "vermillion" for mark in marks) == count
    assert any(isinstance(mark, Label) and mark.text == "h₀" for mark in marks) == (t < recurrence.SHOWN)


def test_the_largest_sum_stands_where_the_lesson_says(cells):
    sums = {radius: recurrence._network(radius)[3].sum() for radius in (0.85, 0.9, 0.95, 1.0, 1.05)}
    assert f"here at {max(sums, key=sums.get)}" in cells["memory_explorer_read"]


def test_the_unrolled_picture_has_a_box_for_every_state_and_its_value_as_colour():
    W_ih, W_hh, none = np.eye(4)[:, :1], np.eye(4, k=-1), np.zeros(4)
    x = np.zeros((6, 1, 1))
    x[0] = 2.0
    hs = rnn.forward(x, np.zeros((1, 4)), W_ih, W_hh, none, none)[0]
    boxes = {(m.x, -m.y): m.value for m in recurrence.unrolled(x, hs, W_ih, W_hh).panels[0].marks if isinstance(m, Box)}
    for t in range(6):
        for unit in range(4):
            assert boxes[t + 1, unit] == hs[t, 0, unit]


def test_the_diagrams_draw():
    for scene in (recurrence.loop_and_unrolled(), recurrence.patterns()):
        assert png(scene)
        assert len(scene.alt) > 40


def test_expected_symbols_stand_under_the_symbol_just_read():
    probs = np.eye(3)[[1, 2, 0]]
    scene = recurrence.next_symbol("a ba", probs, ["a", " ", "b"])
    heatmap, came = scene.panels[0].marks
    np.testing.assert_array_equal(heatmap.matrix, probs.T)
    assert came.y.tolist() == [1, 2, 0]
    assert scene.panels[0].x_names == ["a", "␣", "b"]


# ---- the notebook ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "question", "mistake"),
    [
        ("try_step", "rnn_step", "state_ignored"),
        ("try_forward", "rnn_forward", "state_never_updated"),
        ("try_readout", "readout", "softmax_over_everything"),
    ],
)
def test_every_starting_attempt_is_wrong_in_the_way_the_lesson_means(cells, cell, question, mistake):
    namespace = {"np": np, "rnn": rnn, "linear_forward": linear_forward, "check": check}
    exec(cells[cell], namespace)
    verdict = check(question, namespace[question])
    assert verdict.points < verdict.max_points
    assert mistake in verdict.diagnosis.bugs


def test_every_section_that_a_diagnosis_points_to_is_a_heading(cells):
    from autograder.questions import ps1_rnn

    headings = {line[3:] for text in cells.values() for line in text.splitlines() if line.startswith("## ")}
    sections = {bug.read for question in ps1_rnn.QUESTIONS for bug in question.bugs}
    assert sections <= headings
