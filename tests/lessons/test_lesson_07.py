"""Lesson 07 says these things on screen: its numbers hold, its gradients are true, its explorers draw everywhere."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from rnnlib.cells import lstm
from rnnlib.cells.sigmoid import sigmoid
from rnnlib.data.vocabulary import Characters
from rnnlib.gradcheck import central_difference
from rnnlib.models.tagger import SequenceTagger

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Arrow, Bars, Box, Line
from rnnlib.viz.gated import carousel, gates
from rnnlib.viz.static import png
from tests.lessons import told
from tests.lessons.told import numbers

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "07_lstm.ipynb"
STEPS = carousel.STEPS
TEXT = "ab('c')"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


# ---- the cell that one operates by hand ----------------------------------------------------------------------------


def loss_from(c, t, write, read, keep, guarded):
    """h at the reading, as a function of the cell state after step t."""
    gate, *_ = carousel.operated(write, read, keep, guarded)
    for s in range(t, read):
        c = gate["f"][s] * c + gate["i"][s] * gate["g"][s]
    return gate["o"][read - 1] * np.tanh(c)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("keep", [-2.0, 1.0, 6.0])
@pytest.mark.parametrize(("write", "read"), [(5, 35), (1, 40), (12, 13), (7, 7), (30, 10)])
def test_the_gradient_of_the_hand_operated_cell_is_that_of_what_is_read(write, read, keep, guarded):
    _, c, h, dc = carousel.operated(write, read, keep, guarded)
    assert h[read - 1] == pytest.approx(loss_from(0.0, 0, write, read, keep, guarded), abs=1e-14)
    for t in (1, read // 2, read - 1, read):
        if t >= 1:
            slope = central_difference(
                lambda v, t=t: loss_from(v[0], t, write, read, keep, guarded), np.array([c[t - 1]])
            )
            assert dc[t - 1] == pytest.approx(slope[0], abs=1e-8)
    assert not dc[read:].any()


def test_what_is_kept_and_what_comes_back_is_one_product_of_forget_gates():
    for keep in (0.0, 1.0, 3.0, 6.0):
        gate, c, _, dc = carousel.operated(5, 35, keep, guarded=True)
        product = gate["f"][5:35].prod()
        assert c[34] / c[4] == pytest.approx(product, abs=1e-3)
        assert dc[4] / dc[34] == pytest.approx(product, rel=1e-12)


def test_an_open_input_gate_spoils_the_number_and_not_the_gradient():
    _, kept, _, dc = carousel.operated(5, 35, 6.0, guarded=True)
    _, spoiled, _, dc_open = carousel.operated(5, 35, 6.0, guarded=False)
    assert kept[34] > 0 > spoiled[34]
    assert dc_open[4] / dc_open[34] == pytest.approx(dc[4] / dc[34], rel=1e-12)


def test_what_was_there_before_the_writing_is_thrown_away():
    gate, c, _, _ = carousel.operated(12, 35, 6.0, guarded=False)
    assert abs(c[10]) > 0.3
    assert c[11] == pytest.approx(gate["g"][11], abs=1e-4)


def test_nine_tenths_are_kept_from_the_sum_that_the_lesson_names():
    kept = {a: carousel.operated(5, 35, a, True)[1] for a in (5.5, 6.0)}
    shares = {a: c[34] / c[4] for a, c in kept.items()}
    assert shares[5.5] < 0.9 < shares[6.0]
    assert "nine tenths from 6 on" in cells_of()["operate_read"]


def test_the_hand_operated_cell_draws_over_the_whole_range_of_every_control():
    explorer = carousel.explorer()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        if name == "guarded":
            values = [True, False]
        else:
            values = np.arange(control.minimum, control.maximum + control.step / 2, control.step).tolist()
        for value in values:
            value = value if name == "guarded" else control.read(type(control.value)(value))
            scene = explorer.set(**{**start, name: value})
            assert len(scene.to_wire()[0]["alt"]) > 40
    explorer.set(**start)
    assert explorer.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("write", [1, 5, 20, STEPS])
@pytest.mark.parametrize("read", [1, 20, STEPS])
@pytest.mark.parametrize("keep", [-2.0, 8.0])
@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_of_the_hand_operated_cell_leaves_its_axes(write, read, keep, guarded):
    opened, state, back = carousel.operate(write, read, keep, guarded).panels
    for panel in (opened, state, back):
        low, high = panel.y_limits
        for mark in panel.marks:
            seen = mark.y[np.isfinite(mark.y)]
            assert np.all((seen >= low) & (seen <= high))


def test_the_caption_tells_what_was_kept():
    assert "0.83 was written; 30 steps later c holds 0.77" in carousel.operate(5, 35, 6.0, True).alt
    assert "before anything is written" in carousel.operate(30, 10, 1.0, True).alt


# ---- the diagram ---------------------------------------------------------------------------------------------------


def arrows(scene, color):
    return [mark for mark in scene.panels[0].marks if isinstance(mark, Arrow) and mark.color == color]


def test_every_arrow_of_the_diagram_has_one_that_returns():
    forwards, both = carousel.cell(), carousel.cell(back=True)
    there, home = arrows(both, carousel.FORWARD), arrows(both, carousel.BACK)
    assert len(arrows(forwards, carousel.FORWARD)) == len(there) == len(home) == 15
    assert not arrows(forwards, carousel.BACK)
    (branch,) = (a for a in arrows(forwards, carousel.FORWARD) if a.y > 1.9 and a.to_y < 1.5)  # from c down to tanh
    assert branch.x == branch.to_x
    for one, other in zip(there, home, strict=True):
        way, way_home = (np.array([a.to_x - a.x, a.to_y - a.y]) for a in (one, other))
        np.testing.assert_allclose(way, -way_home, atol=1e-12)


def test_the_diagram_colours_what_is_known_and_nothing_else():
    values = {"c before": -1.0, "f": 0.0, "i": 1.0, "g": 0.5, "o": 0.25, "c": 0.5, "h": 0.1}
    boxes = [mark for mark in carousel.diagram(values).marks if isinstance(mark, Box)]
    assert sorted(box.value for box in boxes if box.value is not None) == sorted(values.values())
    assert {"f 0.00", "cₜ₋₁ −1.00"} <= {box.text for box in boxes}
    bare = [mark for mark in carousel.cell().panels[0].marks if isinstance(mark, Box)]
    assert all(box.value is None for box in bare)


def test_the_plots_draw():
    decay = carousel.decay([0, 1, 3])
    assert "0.0019 with b = 1" in decay.alt
    for line, b in zip(decay.panels[0].marks, (0, 1, 3), strict=True):
        np.testing.assert_allclose(line.y, sigmoid(np.array(float(b))) ** line.x)
    runs = {"b = 0": np.full((2, 30), 0.7), "b = 1": np.linspace(0.7, 0, 60).reshape(2, 30)}
    race = carousel.race(runs, guess=np.log(2))
    assert [mark.label for mark in race.panels[0].marks] == ["a guess", "b = 0", "", "b = 1", ""]
    for scene in (carousel.cell(), carousel.cell(back=True), decay, race):
        assert png(scene)
        assert len(scene.alt) > 40


# ---- gates over a text ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def untrained():
    vocabulary = Characters.build(["abc '\"()\n"])
    return SequenceTagger(
        2, "lstm", vocabulary_size=len(vocabulary), embedding_size=3, hidden_size=4, forget_bias=1, rng=0
    ), vocabulary


def test_what_is_shown_is_what_the_model_does(untrained):
    model, vocabulary = untrained
    read = gates.Read(model, vocabulary, TEXT)
    np.testing.assert_allclose(read.chance, model.probabilities(vocabulary.encode(TEXT)[:, None])[:, 0, 1], atol=1e-12)
    weights = [model.reader.rnn.parameters[name] for name in model.reader.rnn.names(0)]
    x = model.parameters["embedding.weight"][vocabulary.encode(TEXT)][:, None]
    hs, _, c_last, _ = lstm.forward(x, np.zeros((1, 4)), np.zeros((1, 4)), *weights)
    np.testing.assert_allclose(read.seen["h"], hs[:, 0], atol=1e-12)
    np.testing.assert_allclose(read.seen["c"][-1], c_last[0], atol=1e-12)


def test_a_shift_moves_the_forget_gates_sums_and_leaves_the_model_alone(untrained):
    model, vocabulary = untrained
    before = {name: value.copy() for name, value in model.parameters.items()}
    plain, shifted = gates.Read(model, vocabulary, "a"), gates.Read(model, vocabulary, "a", 2.5)
    logit = {id(r): np.log(r.seen["f"][0] / (1 - r.seen["f"][0])) for r in (plain, shifted)}
    np.testing.assert_allclose(logit[id(shifted)] - logit[id(plain)], 2.5, atol=1e-9)
    for name in "igo":
        np.testing.assert_array_equal(shifted.seen[name][0], plain.seen[name][0])
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def test_what_cannot_be_read_is_refused_with_a_reason(untrained):
    model, vocabulary = untrained
    with pytest.raises(ValueError, match="at least one character"):
        gates.Read(model, vocabulary, "")
    other = SequenceTagger(2, "gru", vocabulary_size=len(vocabulary), embedding_size=3, hidden_size=4, rng=0)
    with pytest.raises(TypeError, match="expected an LSTM"):
        gates.Read(other, vocabulary, "a")


@pytest.mark.parametrize("step", [1, 3, 7])
def test_step_by_step_only_what_has_been_read_is_shown(untrained, step):
    read = gates.Read(*untrained, TEXT)
    diagram, opened, state, says = gates.over_text(read, TEXT, 2, step).panels
    for panel in (opened, state):
        for mark in panel.marks:
            if isinstance(mark, Line):
                assert np.isfinite(mark.y).sum() == step
    for panel in (state, says):
        (bars,) = (mark for mark in panel.marks if isinstance(mark, Bars))
        assert np.count_nonzero(bars.y) == step
    boxes = {
        mark.text.split()[0]: mark.value for mark in diagram.marks if isinstance(mark, Box) and mark.value is not None
    }
    assert boxes["cₜ"] == pytest.approx(read.seen["c"][step - 1, 2])
    assert boxes["cₜ₋₁"] == pytest.approx(read.seen["c"][step - 2, 2] if step > 1 else 0.0)
    assert boxes["cₜ"] == pytest.approx(boxes["f"] * boxes["cₜ₋₁"] + boxes["i"] * boxes["g"])
    assert boxes["hₜ"] == pytest.approx(boxes["o"] * np.tanh(boxes["cₜ"]))


def test_the_gates_explorer_draws_over_the_whole_range_of_every_control(untrained):
    explorer = gates.explorer(*untrained, unit=3, text=TEXT)
    for step in range(1, 8):
        assert f"After {TEXT[:step]!r}, unit 3" in explorer.set(step=step).alt
    for unit in range(4):
        assert f"unit {unit}" in explorer.set(unit=unit).alt
    alts = {explorer.set(shift=shift).alt for shift in (-8.0, -0.5, 0.0, 8.0)}
    assert len(alts) == 4
    for text in ("", " ", "ü\n", "x" * gates.LONGEST):
        assert explorer.set(text=text, shift=0.0).to_wire()
    assert explorer.png().startswith(b"\x89PNG")


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_the_three_guesses_are_answered_as_the_prose_has_it(printed):
    lines = printed[0]["question_run"].splitlines()
    assert numbers(lines[0])[1] == pytest.approx(1e-4, rel=0.5)  # "a ten-thousandth"
    assert numbers(lines[1])[1] == pytest.approx(1 / 8, rel=0.05)  # "an eighth"
    assert numbers(lines[2])[-1] == 0.9931
    assert cells_of()["carousel"].splitlines()[2].startswith("A ten-thousandth, an eighth; and 0.9931.")


def test_the_two_numbers_of_each_line_are_the_same(printed):
    for line in printed[0]["operate_answer"].splitlines()[:-1]:
        kept, came_back = numbers(line)[-2:]
        assert kept == pytest.approx(came_back, abs=1.5e-4)
    written, found, dc = numbers(printed[0]["operate_answer"].splitlines()[-1])
    assert written > 0 > found
    assert dc > 0.9


def test_a_cell_can_hold_what_it_does_not_show(printed):
    c, h = printed[0]["hold"].splitlines()
    assert len({part.strip() for part in c[3:].split("->")}) == 1
    before, after = h[3:].split("->")
    assert all(one != other for one, other in zip(numbers(before), numbers(after), strict=True))


def test_the_teacher_knows_where_python_has_strings(printed):
    import ast

    inside = printed[1]["inside_a_string"]
    assert inside('say("it\'s")') == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0]
    for line in ["f('a', \"b'c\")", "x = '' + \"\"", "print('#', 1)"]:
        strings = [n for n in ast.walk(ast.parse(line)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        truth = [0] * len(line)
        for node in strings:
            truth[node.col_offset : node.end_col_offset] = [1] * (node.end_col_offset - node.col_offset)
        assert inside(line) == truth


def test_six_units_find_the_rule_and_one_of_them_is_a_carousel(printed):
    names = printed[1]
    right = ((names["read"].chance > 0.5) == names["truth"]).mean()
    assert right > 0.95 > 1.2 * (1 - names["truth"].mean())
    unit, opening, within = names["unit"], names["opening"], names["within"]
    assert opening.sum() > 20
    f = names["read"].seen["f"][:, unit]
    assert f[opening].mean() < 0.2
    assert f[within].mean() > 0.93
    assert np.abs(names["written"][within, unit]).mean() < 0.25
    assert names["split"] * 3 + 12 < len(names["lines"]) - 40  # no line of the test has been trained on


def test_meddling_with_the_forget_gates_spoils_the_answers_in_the_way_the_lesson_says(printed):
    less, none, more = (numbers(line) for line in printed[0]["surgery"].splitlines())
    assert none[1] > 95
    assert less[2] < 70  # the string is forgotten
    assert max(less[1], more[1]) < none[1] - 10


def test_the_race_ends_as_the_lesson_says(printed):
    zero, one, three = (run[:, -10:].mean(axis=1) for run in printed[1]["race"].values())
    assert zero.min() > 0.6
    assert 0 < (one < 0.3).sum() < 3
    assert three.max() < 0.3


def test_what_is_left_is_as_the_prose_has_it(printed):
    zero, one, *_ = printed[0]["decay"].splitlines()
    assert numbers(zero)[3] == pytest.approx(1e-6, rel=0.1)  # "a millionth"
    assert numbers(one)[3] == pytest.approx(2e-3, rel=0.1)  # "two thousandths"


def test_by_hand_and_the_library_agree(printed):
    texts, _ = printed
    for cell in ("by_hand", "loop_run"):
        mine, theirs = (numbers(line) for line in texts[cell].splitlines())
        assert mine == theirs
    assert texts["verify"].startswith("right")
    assert "update_forward" in texts["source_forward"]
    assert "(4')" in texts["source_backward"]


def test_the_lessons_own_loop_is_the_librarys(printed):
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(7, 2, 3)), [rng.normal(size=s) for s in ((16, 3), (16, 4), 16, 16)]
    h, c = rng.normal(size=(2, 2, 4))
    _, _, _, cache = lstm.forward(x, h, c, *weights)
    caches = []
    for x_t in x:
        h, c, step_cache = lstm.step_forward(x_t, h, c, *weights)
        caches.append(step_cache)
    upstream = rng.normal(size=(7, 2, 4)), *rng.normal(size=(2, 2, 4))
    mine = printed[1]["back_through_time"](*upstream, caches)
    right = lstm.backward(*upstream, cache)
    for ours, theirs in zip(mine, (right.dh0, right.dc0, right.dW_hh), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_far_more_of_the_gradient_comes_back_along_the_carousel_than_through_a_plain_network(printed):
    lag, along, both, factor, left = numbers(printed[0]["roads_run"])
    assert (lag, factor) == (30, 0.8)
    assert along > 100 * left
    assert both == pytest.approx(printed[1]["both"], abs=0.01)
    assert left == pytest.approx(0.8**30, abs=1e-4)


def test_the_gradient_by_both_roads_is_that_of_the_cell_state(printed):
    names = printed[1]
    layer, unit = names["layer"], names["unit"]
    weights = [layer.parameters[name].astype(float) for name in layer.names(0)]

    def c_last(c):
        return lstm.forward(names["x"][1:], names["h1"], c, *weights)[2][0, unit]

    slope = central_difference(c_last, names["c1"])[0, unit]
    assert slope == pytest.approx(names["both"], rel=1e-5)


def test_the_forget_bias_exercise_can_be_solved():
    source = cells_of()["try_bias"]
    answers = {}
    for b in ("1.0", "4.2", "4.3", "4.4"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(source.replace("b = 1.0", f"b = {b}"), {"np": np, "sigmoid": sigmoid})
        answers[b] = "Right" in out.getvalue()
    assert answers == {"1.0": False, "4.2": False, "4.3": True, "4.4": False}


TRIES = {
    "try_step": ("lstm_step", "a_f, a_i, a_g, a_o = np", "a_i, a_f, a_g, a_o = np"),
    "try_back": ("lstm_step_backward", "dh_next * o *", "dc_next + dh_next * o *"),
    "try_time": ("lstm_backward", "        dc = np.zeros_like(dc)", "        dc = dc_before"),
}
MISTAKES = {
    "try_step": "gates_in_the_order_figo",
    "try_back": "arriving_cell_gradient_forgotten",
    "try_time": "cell_gradient_not_carried",
}


def attempt(cell, source):
    sources = cells_of()
    namespace = {"np": np, "lstm": lstm, "sigmoid": sigmoid, "check": check}
    exec(sources.get(f"{cell}_forward", ""), namespace)
    exec(re.sub(r"^check\(", "verdict = check(", source, flags=re.M), namespace)
    return namespace["verdict"]


@pytest.mark.parametrize("cell", TRIES)
def test_every_starting_attempt_is_wrong_in_the_way_the_lesson_means(monkeypatch, cell):
    monkeypatch.setattr(learners, "_seen", {})
    verdict = attempt(cell, cells_of()[cell])
    assert verdict.question == TRIES[cell][0]
    assert verdict.points < verdict.max_points
    assert verdict.diagnosis.bugs == (MISTAKES[cell],)


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
    assert {bug.read for question in questions_of("ps4_lstm").values() for bug in question.bugs} <= headings
