"""Lesson 05 says these things on screen: its numbers hold, its explorers show true gradients, and draw everywhere."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from autograder.questions import ps3_gradients
from rnnlib import probes
from rnnlib.cells import rnn
from rnnlib.recurrent import GRU, LSTM, RNN

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Band, Box, Dots, Line
from rnnlib.viz.gradients import flow, lag_grid, saturation, spectrum
from rnnlib.viz.static import png
from tests.lessons import told

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "05_vanishing_exploding.ipynb"
EVERY_KIND = pytest.mark.parametrize("kind", [RNN, GRU, LSTM], ids=lambda kind: kind.__name__)
SLOW = "task_run", "task_norms", "adding_show", "adding_after"  # training: run once, by test_every_notebook


# ---- what arrives --------------------------------------------------------------------------------------------------


def by_central_differences(layer, x, lag):
    """‖∂h_T/∂s_{T-lag}‖_F / √H, from the layer's forward pass alone."""
    H, many = layer.hidden_size, isinstance(layer.forward(x[:1, None])[1], tuple)
    state = layer.forward(x[: len(x) - lag, None])[1]
    parts, columns = state if many else (state,), []
    for p in range(len(parts)):
        for j in range(H):
            ends = []
            for sign in (1, -1):
                moved = [part.copy() for part in parts]
                moved[p][0, 0, j] += sign * 1e-5
                after = layer.forward(x[len(x) - lag :, None], tuple(moved) if many else moved[0])[0][-1, 0]
                ends.append(after)
            columns.append((ends[0] - ends[1]) / 2e-5)
    return np.linalg.norm(columns) / np.sqrt(H)


@EVERY_KIND
@pytest.mark.parametrize("lag", [1, 4, 9])
def test_what_arrives_is_what_the_forward_pass_says(kind, lag):
    layer, x = kind(2, 5, rng=0), np.random.default_rng(1).normal(size=(12, 2))
    assert flow.arrives(layer, x)[lag] == pytest.approx(by_central_differences(layer, x, lag), rel=1e-6)


@EVERY_KIND
def test_the_walk_back_and_the_jacobians_agree(kind):
    layer, x = kind(2, 4, rng=0), np.random.default_rng(1).normal(size=(10, 2))
    start = tuple(np.zeros((1, 4)) for _ in layer.state_names)
    through = flow.arrives_through(probes.step_of(layer), x, start if kind is LSTM else start[0])
    np.testing.assert_allclose(flow.arrives(layer, x), through, rtol=1e-6)


def test_what_arrives_is_the_mean_over_random_directions():
    layer, x = RNN(1, 6, rng=0), np.random.default_rng(1).normal(size=(8, 1))
    directions = np.random.default_rng(2).normal(size=(1, 20_000, 6))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    norms = probes.gradient_norms(layer, np.repeat(x[:, None], 20_000, axis=1), directions)
    np.testing.assert_allclose(np.sqrt((norms**2).mean(axis=1)), flow.arrives(layer, x), rtol=0.03)


@pytest.mark.parametrize(("arrived", "reach"), [([1, 0.5, 0.1], 2), ([1, 0.5, 0.001, 0.5], 1), ([1, np.nan], 0)])
def test_reach_is_the_last_lag_before_the_first_that_falls_below(arrived, reach):
    assert flow.reach(np.array(arrived)) == reach


def test_without_inputs_tanh_takes_nothing_and_the_radius_is_all():
    W_hh = flow.cell(RNN, 1.2).parameters["weight_hh_l0"]
    expected = [np.linalg.norm(np.linalg.matrix_power(W_hh, k)) / 4 for k in range(51)]
    np.testing.assert_allclose(flow.arrives(flow.cell(RNN, 1.2), np.zeros((50, 1))), expected, rtol=1e-10)


@EVERY_KIND
@pytest.mark.parametrize("radius", [0.0, 0.9, 1.7])
def test_every_gate_has_the_radius_that_was_asked_for_and_only_the_holding_one_a_bias(kind, radius):
    layer = flow.cell(kind, radius, bias=3.0)
    gates = layer.parameters["weight_hh_l0"].reshape(-1, flow.UNITS, flow.UNITS)
    for W_hh in gates:
        assert probes.spectral_radius(W_hh) == pytest.approx(radius, abs=1e-12)
    assert radius == 0 or len({W_hh.tobytes() for W_hh in gates}) == len(gates)
    if kind is not RNN:
        held = probes.gate_activations(layer, np.zeros((1, 1, 1)))["f" if kind is LSTM else "z"]
        np.testing.assert_allclose(held, 1 / (1 + np.exp(-3)))
    biases = layer.parameters["bias_ih_l0"] + layer.parameters["bias_hh_l0"]
    assert np.count_nonzero(biases) == (0 if kind is RNN else flow.UNITS)


def test_with_radius_zero_only_the_second_way_is_left():
    x = np.random.default_rng(1).normal(size=(50, 1))
    assert not flow.arrives(flow.cell(RNN, 0.0), x)[1:].any()
    # an LSTM's h_T hears h_{T-1} through nothing, and c_{T-1} through f
    arrived = flow.arrives(flow.cell(LSTM, 0.0, bias=2.0), 0 * x)
    assert arrived[11] / arrived[1] == pytest.approx((1 / (1 + np.exp(-2))) ** 10)


# ---- a learner's own step ------------------------------------------------------------------------------------------


def test_a_learners_own_tanh_step_is_the_plain_network():
    def step(x, h, W_ih, W_hh, b_ih, b_hh):
        return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)

    ours = flow.arrives(*flow._plain(1.1, 0.5))
    np.testing.assert_allclose(flow.through(step, 1.1)[0], ours, rtol=1e-5)
    np.testing.assert_allclose(flow.through(rnn.step_forward, 1.1)[0], ours, rtol=1e-5)  # and one with a cache
    lines = [mark for mark in flow.own(step, 1.1, 0.5).panels[0].marks if isinstance(mark, Line)]
    np.testing.assert_allclose(lines[0].y, lines[1].y, rtol=1e-5)


def test_a_step_that_only_keeps_its_state_hears_nothing():
    arrived, heard = flow.through(lambda x, h, *weights: h)
    np.testing.assert_allclose(arrived, 1, rtol=1e-6)
    assert heard == 0


def test_what_a_learners_step_raises_is_raised():
    with pytest.raises(ValueError, match="made a state of shape"):
        flow.own_explorer(lambda x, h, *weights: h[:, :2])


# ---- spectra -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", spectrum.KINDS)
@pytest.mark.parametrize("radius", [0.3, 1.0, 1.6])
def test_every_matrix_has_its_radius(kind, radius):
    # four equal eigenvalues in a chain are found to the fourth root of rounding only
    assert probes.spectral_radius(spectrum.matrix(kind, radius)) == pytest.approx(radius, rel=1e-3)


def test_a_rotation_keeps_every_direction_and_tanh_only_takes():
    sigmas = probes.singular_values(spectrum.products("orthogonal", 1.0, False))
    np.testing.assert_allclose(sigmas, 1, rtol=1e-10)
    with_tanh = probes.singular_values(spectrum.products("orthogonal", 1.0, True))
    assert (with_tanh[:, 0] <= 1 + 1e-12).all()
    assert with_tanh[20].max() < 0.5


def test_the_products_with_tanh_are_those_of_the_cells_own_way_back():
    W_hh = spectrum.matrix("Gaussian", 1.1)
    layer, rng = RNN(1, 16, rng=0), np.random.default_rng(spectrum.SEED)
    for name, value in zip(layer.names(0), (rng.standard_normal((16, 1)), W_hh, 0, 0), strict=True):
        layer.parameters[name][...] = value
    arrived = flow.arrives(layer, 0.5 * rng.standard_normal((spectrum.LAGS, 1)))
    products = spectrum.products("Gaussian", 1.1, True)
    np.testing.assert_allclose(np.sqrt((products**2).sum(axis=(1, 2)) / 16), arrived, rtol=1e-10)


def test_chains_grow_first_and_fade_in_the_end():
    largest = probes.singular_values(spectrum.products("chains", 0.7, False))[:, 0]
    assert largest[10] > 10
    assert largest[40] < 0.05
    assert np.diff(largest[:8]).min() > 0


def test_a_gaussian_product_keeps_its_largest_direction_and_loses_most_others():
    sigmas = probes.singular_values(spectrum.products("Gaussian", 1.0, False))[40]
    assert sigmas[0] > 1
    assert (sigmas > 0.01).sum() <= 5


# ---- saturation ----------------------------------------------------------------------------------------------------


def test_larger_inputs_saturate_and_take_more():
    runs = [saturation.slopes_and_shares(drive, 1.0) for drive in (0.0, 0.5, 2.0, 4.0)]
    shares, slopes, arrived = [r[2] for r in runs], [r[0].mean() for r in runs], [r[1][40] for r in runs]
    assert shares == sorted(shares)
    assert slopes == sorted(slopes, reverse=True)
    assert arrived == sorted(arrived, reverse=True)
    assert arrived[0] == pytest.approx(1)


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_what_the_units_let_through_is_what_one_step_back_takes(radius):
    slopes, arrived, _ = saturation.slopes_and_shares(1.0, radius)
    # ‖diag(slope) W‖ with a rotation W times the radius
    assert arrived[1] == pytest.approx(radius * np.sqrt((slopes[-1] ** 2).mean()))


def test_a_saturated_network_can_explode():
    _, arrived, share = saturation.slopes_and_shares(0.5, 3.0)
    assert share > 0.5
    assert arrived[40] > 100


# ---- pictures ------------------------------------------------------------------------------------------------------

EXPLORERS = {
    "three cells": flow.explorer,
    "own step": lambda: flow.own_explorer(rnn.step_forward),
    "spectrum": spectrum.explorer,
    "saturation": saturation.explorer,
}


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_draws_over_the_whole_range_of_every_control(name):
    explorer = EXPLORERS[name]()
    start = dict(explorer.values)
    for control in explorer.controls.values():
        if hasattr(control, "minimum"):
            values = np.linspace(control.minimum, control.maximum, 5)
            values = [control.read(type(control.value)(v)) for v in values.tolist()]
        else:
            values = getattr(control, "options", (True, False))
        for value in values:
            scene = explorer.set(**{**start, control.name: value})
            assert len(scene.to_wire()[0]["alt"]) > 40
    for end in ("minimum", "maximum"):
        corner = {n: getattr(c, end) for n, c in explorer.controls.items() if hasattr(c, end)}
        explorer.set(**start | corner)
        assert explorer.png().startswith(b"\x89PNG")


def test_a_line_ends_where_it_leaves_the_axis():
    panel = flow.by_lag({"fades": 10.0 ** -np.arange(12.0)}, least=1e-8).panels[0]
    (line,) = panel.marks
    assert np.flatnonzero(np.isfinite(line.y)).tolist() == list(range(10))  # one beyond, at the edge
    assert np.nanmin(line.y) == panel.y_limits[0]


def test_seeds_are_drawn_as_a_median_in_a_band():
    values = np.array([[1, 0.1], [1, 0.2], [1, 0.9]])
    band, line = flow.by_lag({"three": values}).panels[0].marks
    assert isinstance(band, Band)
    assert (band.low[1], line.y[1], band.high[1]) == (0.1, 0.2, 0.9)


def test_the_grids_say_and_colour_what_they_mean():
    boxes = [m for m in lag_grid.arriving({"a": [1.0, 1e-8, 0.0]}, (1, 2, 3), "").panels[0].marks if isinstance(m, Box)]
    assert [(b.text, b.value) for b in boxes] == [("1.0e+00", 0.0), ("1.0e-08", -1.0), ("0.0e+00", -1.0)]
    scores = {"a": np.array([[1.0, 0.95], [0.25, 0.25], [0.8, 1.0]])}
    boxes = [m for m in lag_grid.learned(scores, (1, 2, 3), "", chance=0.25).panels[0].marks if isinstance(m, Box)]
    assert [b.text for b in boxes] == ["2 of 2", "0 of 2", "1 of 2"]
    assert boxes[1].value == 0 < boxes[0].value
    assert png(lag_grid.learned(scores, (1, 2, 3), "both"))


def test_the_staircase_shows_what_is_on_the_axis():
    line, dots = spectrum.staircases({"a": np.array([1.0, 1e-3, 0.0])}, "").panels[0].marks
    assert isinstance(line, Line)
    assert isinstance(dots, Dots)
    np.testing.assert_array_equal(np.isnan(dots.y), [False, False, True])


# ---- the notebook --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed():
    """What each code cell but those that train prints, and all names at the end."""
    return told.run(LESSON, leave_out=SLOW)


def test_half_a_percent_and_more_than_a_hundredfold(cells, printed):
    assert cells["factor_read"].startswith("Half a percent, and more than a hundredfold. Five percent")
    assert "0.0052" in printed[0]["factor_run"]
    assert "117" in printed[0]["factor_run"]
    assert "0.955 to 1.047" in printed[0]["factor_run"]


def test_the_measured_line_is_nearly_straight_and_about_a_half_a_step(printed):
    median = np.median(printed[1]["norms"], axis=1)
    factors = (median[40] / median[10]) ** (1 / 30), (median[20] / median[5]) ** (1 / 15)
    assert all(0.45 < factor < 0.6 for factor in factors)


def test_the_weights_gradient_is_made_of_the_last_steps(printed):
    whole, last_five, far = (float(n) for n in re.findall(r": ([\d.e+-]+)", printed[0]["log"]))
    assert last_five == pytest.approx(whole, rel=0.02)
    assert 1e-7 < far / whole < 1e-5


def test_the_lessons_shares_of_the_weights_gradient_add_up_to_the_librarys(printed):
    names = printed[1]
    hs, before, W_hh = names["hs"], names["before"], names["W_hh"]
    x = np.random.default_rng(0).normal(size=(50, 1))
    _, _, cache = names["network"].forward(x[:, None])
    gradients = names["network"].backward(None, names["directions"][:, :1], cache)[2]
    np.testing.assert_allclose(sum(names["parts"]), gradients["weight_hh_l0"], atol=1e-12)
    assert hs.shape == before.shape
    assert W_hh.shape == (40, 40)


def test_the_bound_allows_growth_where_the_gradient_vanishes(printed):
    sigma, radius = (float(n) for n in re.findall(r"(?:value|radius) ([\d.]+)", printed[0]["product_run"]))
    assert 1 < sigma < 1.2
    assert radius < 0.6
    assert printed[1]["by_product"][50] < 1e-10
    assert float(re.search(r"back to (\S+)", printed[0]["product_run"])[1]) < 1e-12


def test_the_spectra_are_as_the_lesson_says(printed):
    gaussian, orthogonal, chains = printed[0]["spectrum_run"].splitlines()
    assert int(re.search(r"(\d+) of 16", gaussian)[1]) < 8
    assert orthogonal.endswith("16 of 16")
    assert orthogonal.count(" 1 (lag") == 3
    assert re.search(r"1[01] \(lag 10\), 0\.01\d \(lag 40\)", chains)


def test_the_factors_of_saturation_are_as_the_lesson_says(printed):
    factors = [float(f) for f in re.findall(r"factor of ([\d.]+)", printed[0]["saturation_run"])]
    assert factors[0] == 1.0
    assert factors[:4] == sorted(factors[:4], reverse=True)
    assert factors[4] > 1.1


def test_pytorchs_radius_is_that_of_the_circular_law_for_any_size(printed):
    radii = [float(r) for r in re.findall(r"PyTorch's ([\d.]+)", printed[0]["start_radius"])]
    np.testing.assert_allclose(radii, 1 / np.sqrt(3), atol=0.06)


def test_the_starts_come_in_the_order_that_the_lesson_reads_off(printed):
    curves, sigmas = printed[1]["curves"], printed[1]["sigmas"]
    ends = {name: np.median(values[:, 50]) for name, values in curves.items()}
    assert max(ends["Gaussian 0.1"], ends["PyTorch"]) < 1e-9
    assert min(ends["Xavier"], ends["orthogonal"], ends["identity, ReLU"]) > 0.1
    assert max(sigmas["Gaussian 0.1"][0], sigmas["PyTorch"][0]) < 1e-3
    assert sigmas["orthogonal"][-1] > 0.1
    assert sigmas["Xavier"][0] > 0.5
    spread = {name: values[:, 50].max() / values[:, 50].min() for name, values in curves.items()}
    assert spread["Xavier"] > 200
    assert spread["orthogonal"] < 5
    assert (sigmas["Xavier"] > 0.1).sum() < 10
    relu = sigmas["identity, ReLU"]
    assert np.all(np.isclose(relu, 0, atol=1e-12) | np.isclose(relu, 1))
    assert 0 < np.isclose(relu, 1).sum() < 32


def test_every_start_is_what_its_name_says(printed):
    started = printed[1]["started"]
    W = {name: started(name, 3).parameters["weight_hh_l0"] for name in printed[1]["names"]}
    assert W["Gaussian 0.1"].std() == pytest.approx(0.1, rel=0.1)
    assert np.abs(W["PyTorch"]).max() <= 1 / np.sqrt(32)
    assert W["Xavier"].var() == pytest.approx(1 / 32, rel=0.1)
    np.testing.assert_allclose(W["orthogonal"] @ W["orthogonal"].T, np.eye(32), atol=1e-12)
    np.testing.assert_array_equal(W["identity, ReLU"], np.eye(32))
    assert started("identity, ReLU", 0).nonlinearity == "relu"


def test_half_open_gates_fade_faster_and_open_ones_hardly_hear_the_radius(printed):
    rows = [
        [float(v) for v in re.findall(r"(?:RNN|GRU|LSTM) ([\d.e+-]+)", line)]
        for line in printed[0]["cells_run"].splitlines()
    ]
    shut, open_, low, high, wide = rows
    assert shut[0] > 10 * max(shut[1:])
    assert min(open_[1:]) > 10 * open_[0]
    assert max(high[1] / low[1], high[2] / low[2]) < 10
    assert high[0] / low[0] > 1e6
    assert min(wide[1:]) > 0.5


def test_so_little_arrives_40_steps_earlier_in_the_untrained_networks(printed):
    shares = printed[1]["shares"]
    at_40 = {name: values[-1] for name, values in shares.items()}
    assert 1e-9 < at_40["RNN"] < 1e-8 < at_40["LSTM"] < 1e-7
    assert at_40["GRU"] < 1e-7
    assert min(at_40["IRNN"], at_40["LSTM, forget bias 3"]) > 0.05
    assert at_40["RNN, orthogonal"] > 1e-4


@pytest.mark.parametrize(("name", "lag", "learns"), [("RNN, orthogonal", 20, True), ("LSTM", 20, False)])
def test_what_does_not_arrive_is_not_learned(printed, name, lag, learns):
    score = printed[1]["learn_letters"](printed[1]["makers"][name], lag, 0)
    assert score > 0.9 if learns else score < 0.4


def test_the_irnn_explodes_where_the_orthogonal_network_does_not(cells, printed):
    names = dict(printed[1])
    exec(cells["task_norms"].split("\n\nfor name")[0], names)
    largest = {name: names["largest_norm"](names["makers"][name], 40, 0) for name in ("IRNN", "RNN, orthogonal")}
    assert largest["IRNN"] > 200
    assert largest["RNN, orthogonal"] < 22


def test_a_gru_learns_to_add_and_its_gates_open_while_the_orthogonal_network_does_not_learn(printed):
    names = printed[1]
    score, trained = names["learn_adding"](names["makers"]["GRU"], 10, 0)
    assert score > 0.9
    x = names["adding"](10, 1, np.random.default_rng(9)).x[:, 0]
    assert flow.arrives(trained, x)[9] > 10 * flow.arrives(names["makers"]["GRU"](2, 0), x)[9]
    assert names["learn_adding"](names["makers"]["RNN, orthogonal"], 10, 0)[0] < 0.9


def test_the_letter_lies_exactly_the_lag_before_the_answer(printed):
    x, y = printed[1]["letters"](7, 50, np.random.default_rng(0))
    assert x.shape == (8, 50, 6)
    np.testing.assert_array_equal(x[0].argmax(axis=1), y)
    assert (x[1:7, :, 4] == 1).all()
    assert (x[7, :, 5] == 1).all()


@pytest.mark.parametrize(("alpha", "verdict"), [(1.0, "Not yet."), (0.1, "Right."), (0.0, "Not yet.")])
def test_a_leaky_cell_is_one_right_answer_and_a_cell_that_only_keeps_is_none(cells, alpha, verdict):
    source = cells["own_step"].replace("return new", f"return (1 - {alpha}) * h + {alpha} * new")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source.replace("flow.own_explorer(own_step)", ""), {"np": np, "flow": flow})
    assert out.getvalue().startswith(verdict)


TRIES = {
    "try_jacobian": ("step_jacobian", "slope_of_the_unit_before", "slope[:, None, :]", "slope[:, :, None]"),
    "try_products": (
        "jacobian_products",
        "factors_in_the_other_order",
        "J[T - k] @ products[-1]",
        "products[-1] @ J[T - k]",
    ),
    "try_radius": (
        "rescale_radius",
        "largest_singular_value",
        "np.linalg.norm(W, 2)",
        "np.abs(np.linalg.eigvals(W)).max()",
    ),
}


def attempt(source):
    namespace = {"np": np, "check": check}
    exec(re.sub(r"^check\(", "verdict = check(", source, flags=re.M), namespace)
    return namespace["verdict"]


@pytest.mark.parametrize("cell", TRIES)
def test_every_starting_attempt_is_wrong_in_the_way_the_lesson_means(cells, monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    question, mistake, *_ = TRIES[cell]
    verdict = attempt(cells[cell])
    assert verdict.question == question
    assert verdict.points < verdict.max_points
    assert verdict.diagnosis.bugs == (mistake,)


@pytest.mark.parametrize("cell", TRIES)
def test_the_repair_that_the_lesson_hints_at_is_all_it_takes(cells, monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    _, _, wrong, right = TRIES[cell]
    assert cells[cell].count(wrong) == 1
    verdict = attempt(cells[cell].replace(wrong, right))
    assert verdict.points == verdict.max_points, str(verdict)


def test_every_section_of_this_lesson_that_a_diagnosis_points_to_is_a_heading(cells):
    headings = {line[3:] for text in cells.values() for line in text.splitlines() if line.startswith("## ")}
    ours = [question for question in ps3_gradients.QUESTIONS if question.lesson == LESSON.name]
    assert ours
    assert {bug.read for question in ours for bug in question.bugs} <= headings
