"""Lesson 01 says these things on screen: its numbers hold, and its explorers compute what they show, everywhere."""

import contextlib
import io
import itertools
import pathlib
import re

import numpy as np
import pytest

from rnnlib.gradcheck import central_difference, check_gradient
from rnnlib.losses import binary_cross_entropy

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Arrow, Bars, Box
from rnnlib.viz.basics import chain, decision, neuron, order
from rnnlib.viz.static import png

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "01_neural_networks.ipynb"

# ---- one neuron ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", neuron.ACTIVATIONS)
def test_the_slope_shown_is_that_of_the_activation(name):
    value, slope = neuron.ACTIVATIONS[name]
    a = np.array([-5.0, -1.3, -0.2, 0.4, 2.0, 6.0])  # no kink near
    np.testing.assert_allclose(slope(a), central_difference(lambda v: value(v).sum(), a), atol=1e-8)


def right(w1, w2, b, goal):
    return int((neuron.answers(w1, w2, b) == np.array(neuron.GOALS[goal], bool)).sum())


def test_a_single_neuron_reaches_and_and_or_as_the_lesson_says_but_never_xor():
    assert right(4, 4, -5.5, "AND") == right(4, 4, -1.5, "OR") == 4
    positions = np.arange(-6, 6.5, 0.5)
    assert max(right(*setting, "XOR") for setting in itertools.product(positions[::2], repeat=3)) == 3


def test_the_picture_ticks_what_is_right_and_its_title_counts_it():
    plane = neuron.neuron(4, 4, -1.5, "sigmoid", "XOR", neuron.NAMES[3]).panels[1]
    texts = [mark.text for mark in plane.marks if isinstance(mark, Box)]
    assert texts == ["no ✓", "yes ✓", "yes ✓", "no ✗"]
    assert "3 of 4" in plane.title


def test_the_heatmap_is_the_neuron_the_right_way_up():
    heatmap = neuron.neuron(6, -2, 0.5, "sigmoid", "AND", neuron.NAMES[0]).panels[1].marks[0]
    at = [int(np.abs(neuron.SPAN - value).argmin()) for value in (0.0, 1.0)]  # y grows upwards: row 0 is at the bottom
    sigmoid = neuron.ACTIVATIONS["sigmoid"][0]
    assert heatmap.matrix[at[0], at[1]] == pytest.approx(sigmoid(6 * 1 - 2 * 0 + 0.5), abs=1e-12)
    assert heatmap.matrix[at[1], at[0]] == pytest.approx(sigmoid(6 * 0 - 2 * 1 + 0.5), abs=1e-12)


# ---- the chain -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [(0.5, -0.5, 1.5), (-1.2, 0.3, -2.0), (0.0, 2.0, 0.7)])
def test_the_chains_gradients_are_those_of_its_loss(parameters):
    measured = central_difference(lambda p: chain.values(*p)["L"], np.array(parameters))
    found = chain.gradients(*parameters)
    np.testing.assert_allclose([found[name] for name in "wbv"], measured, atol=1e-8)


def test_moment_by_moment_values_appear_first_and_then_gradients():
    back = [
        sum(
            isinstance(mark, Arrow) and mark.color == chain.BACK
            for mark in chain.graph(0.5, -0.5, 1.5, m).panels[0].marks
        )
        for m in range(1, chain.MOMENTS + 1)
    ]
    assert back == sorted(back)
    assert back[2] == 0
    assert back[-1] == 4
    assert "No gradient" in chain.graph(0.5, -0.5, 1.5, 3).alt


def test_behind_a_saturated_unit_gradients_vanish_and_above_it_they_do_not():
    found = chain.gradients(0.5, 2.0, 1.5)
    assert max(abs(found[name]) for name in ("a", "w", "b", "x")) < 0.1 * abs(found["v"])


# ---- the network that learns ---------------------------------------------------------------------------------------


def test_the_trained_network_went_downhill_by_true_gradients():
    run, rate = decision.trained(3, 0.1, "SGD"), 0.1
    x, y = decision.moons(decision.N, np.random.default_rng(decision.SEED))
    now = [run.W1[0], run.b1[0], run.W2[0], run.b2[0]]
    for i, after in enumerate((run.W1[1], run.b1[1], run.W2[1], run.b2[1])):

        def loss(value, i=i):
            return binary_cross_entropy(decision.logits(x, *now[:i], value, *now[i + 1 :]), y)[0]

        np.testing.assert_allclose((now[i] - after) / rate, central_difference(loss, now[i]), atol=1e-8)
        assert run.training[0] == pytest.approx(loss(now[i]))


def test_the_validation_loss_is_that_of_new_points():
    run, rng = decision.trained(4, 0.1, "Adam"), np.random.default_rng(decision.SEED)
    (x, _), (x_new, y_new) = decision.moons(decision.N, rng), decision.moons(decision.N, rng)
    assert not np.isin(x_new, x).any()
    for step in (0, 70, decision.STEPS):
        z = decision.logits(x_new, run.W1[step], run.b1[step], run.W2[step], run.b2[step])
        assert run.validation[step] == pytest.approx(binary_cross_entropy(z, y_new)[0], rel=1e-9)
        assert run.right[step] == ((z > 0) == y_new).mean()


@pytest.mark.parametrize("optimiser", decision.OPTIMISERS)
@pytest.mark.parametrize("rate", decision.RATES)
def test_no_learning_rate_breaks_the_picture(optimiser, rate):
    assert np.isfinite(decision.trained(8, rate, optimiser).validation).all()
    assert decision.learning(decision.STEPS, rate, optimiser, 8).to_wire()


# ---- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "k", "bag", "window"),
    [
        ("dog bites man", "man bites dog", 3, "identical", "they differ"),
        ("dog bites man now ok so", "man bites dog now ok so", 3, "identical", "identical"),
        ("dog bites man", "dog bites cat", 1, "they differ", "they differ"),
        ("", "", 2, "identical", "identical"),
    ],
)
def test_the_explorer_says_what_a_bag_and_a_window_can_tell(one, other, k, bag, window):
    bags, windows = order.seen(one, other, k).panels
    assert bags.title.endswith(bag)
    assert windows.title.endswith(window)
    first, second = (mark.y for mark in bags.marks if isinstance(mark, Bars))
    assert (first == second).all() == (bag == "identical")


@pytest.mark.parametrize("make", [neuron.explorer, chain.explorer, decision.explorer, order.explorer])
def test_every_explorer_draws_at_the_ends_of_every_control(make):
    explorer = make()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        options = getattr(control, "options", None) or (
            (control.minimum, control.maximum) if hasattr(control, "minimum") else ("", "a b c d e f g h")
        )
        pictures = {explorer.set(**{**start, name: option}).to_wire()[0]["alt"] for option in options}
        assert len(pictures) > 1
    explorer.set(**start)
    assert explorer.png().startswith(b"\x89PNG")


def test_the_diagrams_draw():
    for scene in (neuron.analogy(), neuron.curves(), chain.two_losses()):
        assert png(scene)
        assert len(scene.alt) > 40


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_the_numbers_in_the_prose_stand_in_the_cell_above(cells, printed):
    texts, _ = printed
    assert re.search(r"XOR: at best 3 .* 0 of", texts["all_settings"])
    assert 190 < int(re.search(r"(\d+) times", texts["losses_picture"])[1]) < 210
    for number in re.findall(r"0\.\d{3}", cells["decision_read"]):
        assert number in texts["decision_numbers"], number
    for share in ("88 %", "93 %"):
        assert share.replace(" ", "") in texts["decision_numbers"]
    assert "step 109" in texts["decision_numbers"]
    assert re.search(r"in front: 64%", texts["window_run"])
    assert "as trained: 100%" in texts["window_run"]


def test_no_weights_tell_equal_bags_apart_and_training_ends_at_log_2(printed):
    text = printed[0]["bags_run"]
    assert "differ in 0 of 1000" in text
    assert float(re.search(r"loss ([\d.]+)", text)[1]) == pytest.approx(np.log(2), abs=0.005)
    assert text.count("50%") == 2


def test_a_window_is_a_coin_until_it_holds_the_bit(printed):
    windows, accuracies = printed[1]["windows"], printed[1]["accuracies"]
    for lag, shares in zip((2, 6), accuracies.values(), strict=True):
        assert shares[windows <= lag].max() < 0.65
        assert shares[windows > lag].min() > 0.95


def test_the_lessons_gradients_are_right_and_its_states_know_the_order(printed):
    texts, names = printed
    assert texts["network_check"].count(": right") == 4
    assert np.abs(names["read"]("dog bites man") - names["read"]("man bites dog")).max() > 0.1


REPAIRS = {
    "try_slope": ("a * (1 - a)", "sigmoid(a) * (1 - sigmoid(a))"),
    "try_loss": ("y - p\n", "(p - y) / len(y)\n"),
    "try_backward": ("(1 - h**2)", "h * (1 - h)"),
    "try_adam": ("rate * m / (np.sqrt(v) + eps)", "rate * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)"),
}


@pytest.mark.parametrize("cell", REPAIRS)
def test_every_attempt_is_wrong_until_the_repair_that_the_lesson_hints_at(cells, printed, cell):
    wrong, repaired = REPAIRS[cell]
    assert cells[cell].count(wrong) == 1
    names = dict(printed[1])
    for setup in ("network_check",):  # x, y and p of the backpropagation section
        with contextlib.redirect_stdout(io.StringIO()):
            exec(cells[setup], names)
    for source, verdict in ((cells[cell], "wrong"), (cells[cell].replace(wrong, repaired), "right")):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(source + "\n" + cells.get(f"{cell}_check", ""), names)
        assert verdict in out.getvalue()
        assert ("wrong" in out.getvalue()) == (verdict == "wrong")


def test_the_check_names_the_factor_that_the_loss_is_wrong_by(printed):
    assert "-4 times too large" in printed[0]["try_loss"]
    assert check_gradient(lambda z: (z**2).sum(), np.ones(3), 2 * np.ones(3)).ok
