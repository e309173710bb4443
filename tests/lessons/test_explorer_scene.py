"""A Scene says what is drawn: it keeps its numbers, picks sensible limits and refuses what cannot be drawn."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

viz = pytest.importorskip("rnnlib.viz", reason="the extra lab is not installed")

STEPS = np.arange(5)


def decode(reference, data):
    """An array of the wire, read as the browser reads it."""
    count = int(np.prod(reference["shape"]))
    assert reference["at"] % 8 == 0
    kind = {"float32": "<f4", "float64": "<f8"}[reference["type"]]
    return np.frombuffer(data, kind, count, reference["at"]).reshape(reference["shape"])


def scene_of(*marks, **panel):
    return viz.Scene([viz.Panel(marks, **panel)], alt="a test")


@given(
    matrix=st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2))
    ),
    y=hnp.arrays(np.float64, st.integers(1, 9)),
)
def test_every_number_survives_the_way_to_the_browser(matrix, y):
    line, heatmap = viz.Line(np.arange(len(y)), y), viz.Heatmap(matrix, limits=(-1, 1))
    spec, data = scene_of(line, heatmap).to_wire()
    sent_line, sent_heatmap = spec["panels"][0]["marks"]
    np.testing.assert_array_equal(decode(sent_line["y"], data), y)
    received = decode(sent_heatmap["matrix"], data)
    np.testing.assert_array_equal(received, matrix)
    assert received.dtype == matrix.dtype


def test_the_spec_is_strict_json_even_when_the_data_have_nan():
    gap = [1.0, np.nan, 2.0, np.inf, 3.0]
    spec, _ = scene_of(viz.Line(STEPS, gap), viz.Heatmap([gap, gap], label="h")).to_wire()
    json.dumps(spec, allow_nan=False)


def test_a_mark_keeps_its_own_copy_that_nobody_can_change():
    y = np.zeros(5)
    line = viz.Line(STEPS, y)
    y[:] = 1
    assert line.y.sum() == 0
    with pytest.raises(ValueError, match="read-only"):
        line.y[0] = 1
    with pytest.raises(AttributeError):
        line.color = "blue"


def limits(panel):
    return panel.axis("x")["limits"], panel.axis("y")["limits"]


def test_limits_hold_all_marks_and_wanted_ones_are_kept():
    marks = [viz.Line(STEPS, STEPS + 1.0), viz.Dots([7], [-3])]
    (x0, x1), (y0, y1) = limits(viz.Panel(marks))
    assert (x0, y0 < -3) == (0, True)
    assert x1 > 7
    assert y1 > 5
    assert limits(viz.Panel(marks, y_limits=(0, None)))[1][0] == 0
    assert limits(viz.Panel(marks, y_limits=(0, 2)))[1] == [0, 2]


def test_bars_stand_on_zero():
    assert limits(viz.Panel([viz.Bars(STEPS, STEPS + 10)]))[1][0] == 0


def test_a_heatmap_fills_its_axes_with_row_zero_on_top():
    assert limits(viz.Panel([viz.Heatmap(np.zeros((3, 5)))])) == ([-0.5, 4.5], [2.5, -0.5])


def test_a_heatmap_over_coordinates_grows_upwards():
    surface = viz.Heatmap(np.zeros((5, 3)), x_range=(0, 1), y_range=(-2, 2))
    assert limits(viz.Panel([surface])) == ([-0.25, 1.25], [-2.5, 2.5])


def test_a_log_axis_ignores_what_it_cannot_show():
    low, high = viz.Panel([viz.Line(STEPS, [0.0, 1e-3, 1e-2, 0.1, 1.0])], y_scale="log").axis("y")["limits"]
    assert 1e-4 < low < 1e-3
    assert 1 < high < 2


@pytest.mark.parametrize(
    "marks", [[viz.Line(STEPS, [0.5] * 5)], [viz.Heatmap(np.zeros((4, 3)))], [viz.Bars([0, 1], [0.5, 2.5])]]
)
def test_an_axis_of_steps_counts_in_whole_numbers(marks):
    assert viz.Panel(marks).axis("x")["whole"]


def test_an_axis_of_fractions_does_not():
    assert not viz.Panel([viz.Line([0.0, 0.5], [0, 1])]).axis("x")["whole"]


def test_marks_without_a_colour_take_the_next_that_is_free():
    panel = viz.Panel([viz.Line(STEPS, STEPS, color="blue"), viz.Line(STEPS, STEPS), viz.Dots(STEPS, STEPS)])
    assert panel.colors() == ["blue", "vermillion", "green"]


@given(
    x=st.floats(-5, 5),
    y=st.floats(-5, 5),
    width=st.floats(0.1, 0.5),
    height=st.floats(0.1, 0.5),
)
def test_an_arrow_between_boxes_touches_the_edge_of_each(x, y, width, height):
    if max(abs(x), abs(y)) < 1:
        x += 3
    start, end = viz.Box(0, 0), viz.Box(x, y, width=width, height=height)
    arrow = viz.Arrow.between(start, end)
    for box, at_x, at_y in ((start, arrow.x, arrow.y), (end, arrow.to_x, arrow.to_y)):
        furthest = max(abs(at_x - box.x) / (box.width / 2), abs(at_y - box.y) / (box.height / 2))
        assert furthest == pytest.approx(1)


@pytest.mark.parametrize(
    ("build", "lesson"),
    [
        (lambda: viz.Line(STEPS, np.zeros((5, 3))), r"y has shape \(5, 3\).*one series"),
        (lambda: viz.Line(STEPS, np.zeros(6)), "'x': 5, 'y': 6.*h_0"),
        (lambda: viz.Heatmap(np.zeros((4, 1, 3))), r"hs\[:, 0\]"),
        (lambda: viz.Heatmap(np.zeros((4, 3)), x_range=(1, 1)), "first and a last"),
        (lambda: viz.Line(STEPS, STEPS, color="red"), "vermillion"),
        (lambda: viz.Box(0, 0, "h", value=float("nan")), "None"),
        (lambda: viz.Label(0, 0, "h", align="centre"), "left, center or right"),
        (lambda: viz.Arrow.between(viz.Box(0, 0, "a"), viz.Box(0, 0, "b")), "same centre"),
        (lambda: viz.Panel([]), "loop that never ran"),
        (lambda: viz.Panel([np.zeros(3)]), "wrap numbers in Line"),
        (lambda: viz.Panel([viz.Line(STEPS, STEPS)], y_scale="log", y_limits=(0, 1)), "log axis cannot reach zero"),
        (lambda: viz.Panel([viz.Line(STEPS, STEPS)], y_scale="ln"), "linear or log"),
        (lambda: viz.Panel([viz.Line(STEPS, STEPS)], x_limits=(3, 1)), "backwards"),
        (lambda: viz.Scene([viz.Panel([viz.Line(STEPS, STEPS)])], alt=" "), "say in a sentence"),
        (lambda: viz.Scene([viz.Line(STEPS, STEPS)], alt="a line"), "list of at least one Panel"),
    ],
)
def test_what_cannot_be_drawn_says_why(build, lesson):
    with pytest.raises(ValueError, match=lesson):
        build()
