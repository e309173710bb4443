"""Lesson 12 says these things on screen: its numbers hold, its explorers draw everywhere, its exercises judge."""

import contextlib
import io
import pathlib

import numpy as np
import pytest

from rnnlib.gradcheck import central_difference
from rnnlib.recurrent import GRU, RNN
from rnnlib.studies import depth
from rnnlib.studies.study import interval

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Bars, Box, Dots, Heatmap, Line
from rnnlib.viz.training import stacked, streaming, two_ways
from tests.lessons import told
from tests.lessons.drawn import every
from tests.lessons.told import numbers

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "12_deep_bidirectional.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


def drawn_everywhere(explorer, **texts):
    """Set every control to every value it has, or to some ten of them; every picture must be sound."""
    for scene in every(explorer, 9, **texts):
        assert len(scene.to_wire()[0]["alt"]) > 40
        assert "nan" not in scene.alt.replace("NaN", "")
    assert explorer.png().startswith(b"\x89PNG")


# ---- the tasks -----------------------------------------------------------------------------------------------------


def test_letters_have_their_word_ends_and_what_follows():
    data = depth.letters(T=12, N=5)
    later = depth.letters(T=12, N=3, skip=2)
    np.testing.assert_array_equal(data.ids[:, 2:], later.ids)
    np.testing.assert_array_equal(data.ids[1:], data.following[:-1])
    np.testing.assert_array_equal(data.ids[0, 1:], data.following[-1, :-1])  # across the cut
    assert depth.encode("A b-c Z1").tolist() == [0, 1, 2, 25]
    with pytest.raises(ValueError, match=r"letters 0 to 12,000,000 are asked for"):
        depth.letters(T=12, N=10**6)


def test_the_ends_of_words_are_those_of_the_documentation(monkeypatch):
    monkeypatch.setattr(depth, "python_documentation", lambda: "To be, or not.\n\nx -> y\n\nTo do (it)!")
    data = depth.letters(T=13, N=1)
    assert "".join(chr(97 + i) for i in data.ids[:, 0]) == "tobeornottodo"
    assert np.flatnonzero(data.ends[:, 0]).tolist() == [1, 3, 5, 8, 10, 12]
    assert data.following[-1, 0] == depth.encode("i")[0]


def test_the_vowel_of_three_vowels_ago_is_found_by_looking_back():
    ids = np.random.default_rng(0).integers(0, 26, (30, 8))
    answers = depth.vowel_ago(ids)
    for n in range(8):
        heard = []
        for t in range(30):
            letter = chr(97 + ids[t, n])
            heard += [letter] if letter in depth.VOWELS else []
            right = depth.VOWELS.index(heard[-4]) if len(heard) > 3 else 5
            assert answers[t, n] == right
    assert depth.vowel_ago(depth.encode("bab")[:, None], back=0)[:, 0].tolist() == [5, 0, 0]


def test_answers_move_and_nothing_comes_in_from_behind():
    few = np.array([[1, 2], [3, 4], [5, 6]])
    assert depth.later(few, 2, 9).tolist() == [[9, 9], [9, 9], [1, 2]]
    np.testing.assert_array_equal(depth.later(few, 0, 9), few)
    for wait in (-1, 3):
        with pytest.raises(ValueError, match=f"wait is {wait}: expected 0 to 2"):
            depth.later(few, wait, 9)


@pytest.mark.parametrize("budget", [800, 3000])
def test_the_widest_network_fits_and_one_unit_more_does_not(budget):
    for layers, both in ((1, False), (3, False), (1, True)):

        def make(width, layers=layers, both=both):
            return depth.reader_of_letters(3, width, 0, num_layers=layers, bidirectional=both)

        width = depth.widest(make, budget)
        assert depth.count(make(width)) <= budget < depth.count(make(width + 1))


# ---- the kept runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", [depth.voices, depth.next_letter, depth.word_ends, depth.vowels])
def test_every_arm_of_a_kept_run_had_the_same_budget_but_the_wide_one(study):
    kept = study.kept()
    for arm in study.arms:
        spent = kept.values(arm, "parameters")
        if arm == depth.WIDE:
            assert (spent > 1.8 * depth.BUDGET).all()
        else:
            assert ((spent > 0.85 * depth.BUDGET) & (spent <= depth.BUDGET)).all()


def test_the_second_direction_helps_where_the_future_matters_and_harms_where_it_does_not():
    ends, vowels = depth.word_ends.kept(), depth.vowels.kept()
    assert ends.difference("both", "forward", "wrong").high < 0
    assert ends.difference("wait 2", "forward", "wrong").high < 0
    assert ends.difference("both", "wait 2", "wrong").high < 0
    assert vowels.difference("both", "forward", "wrong").low > 0


def test_a_study_judges_answers_at_the_step_at_which_they_are_given(monkeypatch):
    """A network that knows the targets it was trained on makes no mistake, however late it answers."""

    class Knows:
        def __init__(self, classes, wait):
            self.classes, self.wait, self.parameters = classes, wait, {"w": np.zeros(1)}

        def logits(self, ids):
            test = depth.letters(N=depth.TESTED, skip=depth.LEARNED)
            return np.eye(self.classes)[depth.later(test.ends, self.wait, 2)], None

    for arm, wait in (("forward", 0), ("wait 2", 2), ("both", 0)):
        taught = []
        monkeypatch.setattr(depth, "taught", lambda model, data, *_, taught=taught: taught.append(data.targets))
        monkeypatch.setattr(depth, "widest", lambda make: 1)
        monkeypatch.setattr(depth, "reader_of_letters", lambda classes, *_, wait=wait, **__: Knows(classes, wait))
        assert depth.word_ends.measure(arm, 0, False)["wrong"] == 0
        np.testing.assert_array_equal(taught[0], depth.later(depth.letters().ends, wait, 2))


# ---- who reaches whom ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "both", "half", "first", "last"),
    [
        (1, False, "all units", 0, 6),
        (3, False, "all units", 0, 6),
        (1, True, "all units", 0, 11),
        (1, True, "forward half", 0, 6),
        (1, True, "reverse half", 6, 11),
        (2, True, "forward half", 0, 11),
        (3, True, "reverse half", 0, 11),
    ],
)
def test_reach_is_exactly_zero_where_no_path_leads(layers, both, half, first, last):
    seen = stacked.traced(layers, both, half, 6)
    assert np.flatnonzero(seen.reach[6]).tolist() == list(range(first, last + 1))
    assert len(seen.handed) == layers + 1
    np.testing.assert_array_equal(seen.handed[0][:, 0], seen.reach[6])
    assert [part.shape[1] for part in seen.handed] == [1] + [1 + both] * layers


def test_reach_is_the_norm_of_the_numerical_jacobian():
    rng = np.random.default_rng(5)
    layer = GRU(stacked.INPUTS, stacked.UNITS, bidirectional=True, init="xavier", rng=rng)
    x = rng.normal(size=(stacked.STEPS, 1, stacked.INPUTS))
    norms = np.zeros(stacked.STEPS)
    for unit in range(2 * stacked.UNITS):
        slope = central_difference(lambda x, unit=unit: float(layer.forward(x)[0][4, 0, unit]), x)
        norms += (slope[:, 0] ** 2).sum(axis=1)
    for t in (4, 9):  # the map is that of all outputs, whichever is followed
        np.testing.assert_allclose(stacked.traced(1, True, "all units", t).reach[4], np.sqrt(norms), rtol=1e-6)


def test_the_stack_explorer_draws_everywhere_and_paints_what_reaches():
    explorer = stacked.explorer()
    drawn_everywhere(explorer)
    scene = explorer.set(layers=2, reads="in both directions", half="reverse half", t=3)
    boxes = [m for m in scene.panels[0].marks if isinstance(m, Box)]
    assert len(boxes) == 5 * stacked.STEPS  # inputs, and two directions of two layers
    top = [box.value is not None for box in boxes[-stacked.STEPS :]]
    assert np.flatnonzero(top).tolist() == [3]
    (grid,) = [m for m in scene.panels[1].marks if isinstance(m, Heatmap)]
    assert np.isfinite(grid.matrix).all()
    assert "inputs of 12 of 12 steps" in scene.alt
    assert "inputs of 4 of 12 steps, 0 to 3" in explorer.set(reads="forward").alt  # one part only: all units


# ---- padding -------------------------------------------------------------------------------------------------------


def test_by_length_nothing_moves_and_turned_round_blindly_the_end_moves_most():
    for fill in two_ways.FILLS:
        assert not two_ways.read("by length", fill, 9).moved.any()
    moved = two_ways.read("x[::-1]", "zeros", 6).moved
    assert not moved[:, 0].any()
    assert moved[-1, 1] > 5 * moved[0, 1] > 0
    poisoned = two_ways.read("x[::-1]", "NaN", 1)
    assert np.isnan(poisoned.moved[:, 1]).all()
    assert not poisoned.moved[:, 0].any()
    for rule in two_ways.RULES:
        assert not two_ways.read(rule, "ones", 0).moved.any()
    with pytest.raises(ValueError, match="rule is 'by luck'"):
        two_ways.read("by luck", "zeros", 3)


def test_the_padding_explorer_draws_everywhere():
    explorer = two_ways.explorer()
    drawn_everywhere(explorer)
    for fill in ("zeros", "ones"):
        for padding in (1, 4, two_ways.MOST):
            scene = explorer.set(rule="x[::-1]", fill=fill, padding=padding)
            curve = next(m for m in scene.panels[2].marks if isinstance(m, Line) and m.label == "reverse half")
            assert curve.y.max() < two_ways.FAR  # inside the picture
    assert "not numbers at any real step" in explorer.set(fill="NaN").alt
    assert "No state of the sequence has moved" in explorer.set(rule="by length").alt


# ---- streams -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listeners():
    """Untrained: what they say is nonsense, when they say it is not."""
    one = depth.reader_of_letters(3, 6, 1)
    return {
        "forward": streaming.Listener(one),
        "both": streaming.Listener(depth.reader_of_letters(3, 6, 1, bidirectional=True)),
        "late": streaming.Listener(one, wait=2),
    }


def test_what_is_said_after_so_many_letters_is_what_the_network_says_of_them_alone(listeners):
    ids = depth.encode("deepnetworks")
    for listener in listeners.values():
        said = streaming.history(listener, ids)
        for t in range(len(ids)):
            p = listener.model.probabilities(ids[: t + 1, None])[:, 0]
            right = (p[:, 1] / (p[:, 0] + p[:, 1]))[listener.wait :]
            np.testing.assert_allclose(said[t, : len(right)], right, rtol=1e-12)
            assert np.isnan(said[t, max(0, t + 1 - listener.wait) :]).all()
    assert streaming.history(listeners["late"], ids[:0]).shape == (0, 0)


def test_only_the_second_direction_changes_an_old_answer(listeners):
    ids = depth.encode("deepnetworks")
    for name, listener in listeners.items():
        said = streaming.history(listener, ids)
        first, last = (
            said[np.arange(2, 8), np.arange(2, 8) - listener.wait],
            said[-1, 2 - listener.wait : 8 - listener.wait],
        )
        assert np.array_equal(first, last) == (name != "both")


def test_an_answer_is_taken_back_when_it_crosses_one_half():
    gap = np.nan  # columns: always yes, yes and no, yes, always no, none yet
    said = np.full((4, 5), gap)
    said[:, 0], said[1:, 1], said[3, 2], said[2:, 3] = [0.6, 0.7, 0.9, 0.8], [0.4, 0.6, 0.4], 0.9, [0.2, 0.4]
    assert streaming.taken_back(said).tolist() == [False, True, False, False, False]


def test_the_streaming_explorer_draws_everywhere(listeners):
    explorer = streaming.explorer(listeners)
    drawn_everywhere(explorer, text=["", "a", " 12 ", "An Apple, or two", "x" * streaming.LONGEST])
    assert len(streaming.TEXT) <= streaming.LONGEST
    scene = streaming.draw(listeners, "ab cde", 4)
    assert scene.alt.startswith("3 of 5 letters heard.")
    for panel, (name, listener) in zip(scene.panels, listeners.items(), strict=True):
        assert panel.title == name
        assert "".join(panel.x_names) == "abcde"
        said = streaming.history(listener, depth.encode("abc"))
        shown = sum(m.y for m in panel.marks if isinstance(m, Bars))
        np.testing.assert_allclose(shown, np.nan_to_num(said[-1]))
        (dots,) = [m for m in panel.marks if isinstance(m, Dots)]
        answered = 3 - listener.wait
        right = [said[t + listener.wait, t] for t in range(answered)]
        np.testing.assert_allclose(dots.y, right)
        ends = [m.x[0] for m in panel.marks if isinstance(m, Line) and m.dashed]
        assert ends == [1.5, 4.5]


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_a_stack_and_two_directions_by_hand_are_the_librarys(printed):
    for cell in ("stacking_run", "directions_run"):
        for line in printed[0][cell].splitlines():
            assert "0e+00" in line
    assert "weight_ih_l1           (4, 8)" in printed[0]["stacking_shapes"]
    assert "weight_ih_l1_reverse   (4, 8)" in printed[0]["stacking_shapes"]


def test_depth_does_not_see_the_future_and_one_unit_of_two_layers_sees_all(printed):
    assert [numbers(line)[-1] for line in printed[0]["reach_run"].splitlines()] == [0, 0, 0, 100, 100]


def test_the_arms_of_depth_cost_what_the_lesson_says(printed):
    *equal, wide = (numbers(line)[-1] for line in printed[0]["depth_sizes"].splitlines())
    assert max(equal) <= depth.BUDGET
    assert wide > 2 * equal[0]


def test_the_reverse_half_of_the_last_output_knows_one_input(printed):
    first, second = printed[0]["last_run"].splitlines()
    forward, reverse = numbers(first)[-2:]
    assert forward > 0 == reverse
    assert second.endswith("[0]")


def test_padding_changes_the_answer_of_a_tagger_without_lengths(printed):
    rows = [numbers(line) for line in printed[0]["padding_tagger"].splitlines()]
    assert len({aware for *_, aware in rows}) == 1
    assert rows[0][1] == rows[0][2]
    assert max(abs(naive - aware) for _, naive, aware in rows) > 0.1
    both, drift = printed[0]["padding_test"].splitlines()
    assert both.count("0e+00") == 2
    assert numbers(drift)[-1] > 0.01


def test_old_answers_change_in_both_directions_only_and_settle_soon(printed):
    of = printed[1]["not_final"]
    assert not any(of(printed[1]["listeners"]["forward"]).values())
    both = of(printed[1]["listeners"]["in both directions"])
    assert both[0] > 0.08
    assert both[0] > both[1] > both[2] > both[4] > both[6]
    assert both[4] < both[0] / 2  # "most of what the future has to say, it says within a few letters"


def test_a_second_direction_copies_the_answer_and_fails_where_there_is_none(printed):
    (forward, guess), (both, lost) = (numbers(line) for line in printed[0]["cheat_run"].splitlines())
    assert both < forward / 2
    assert lost > guess


def test_the_lesson_trains_as_the_study_does(printed):
    mine, theirs = (depth.reader_of_letters(3, 5, 0) for _ in range(2))
    data, names = depth.letters(N=40), printed[1]
    names["taught"](mine, data.ids, data.ends, epochs=2, seed=3)
    depth.taught(theirs, names["Sequences"](data.ids, data.ends, batch_size=20), 2, 3)
    for name, value in mine.parameters.items():
        np.testing.assert_array_equal(value, theirs.parameters[name])


def test_a_verdict_names_what_the_interval_shows(printed):
    verdict = printed[1]["verdict"]
    assert "**better**" in verdict(interval([-1.0, -1.1, -0.9]), "points")
    assert "**worse**" in verdict(interval([1.0, 1.1, 0.9]), "points")
    assert "**not shown to matter here**" in verdict(interval([-1.0, 1.1, 0.9]), "points")


# ---- the exercises -------------------------------------------------------------------------------------------------

REPAIRS = {
    "try_count": [("size = D if k == 0 else H\n", "size = D if k == 0 else H * directions\n")],
    "try_last": [
        ("forward = output[-1, n, :half]", "forward = output[lengths - 1, n, :half]"),
        ("reverse = output[-1, n, half:]", "reverse = output[0, n, half:]"),
    ],
    "try_ahead": [
        (
            "return not np.array_equal(run(x), run(other))",
            "return not np.array_equal(run(x)[: t + 1], run(other)[: t + 1])",
        )
    ],
    "try_later": [
        (
            "return np.roll(targets, wait, axis=0)",
            "T, N = targets.shape\n    return np.concatenate([np.full((wait, N), nothing), targets[: T - wait]])",
        )
    ],
}


@pytest.mark.parametrize("cell", REPAIRS)
def test_every_exercise_starts_wrong_and_its_repair_is_right(printed, cell):
    assert "Not yet" in printed[0][cell]
    source = cells_of()[cell]
    for wrong, right in REPAIRS[cell]:
        assert source.count(wrong) == 1
        source = source.replace(wrong, right)
    again = {"layer": RNN(3, 4, bidirectional=True, rng=0)}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, printed[1] | again)
    assert "Right." in out.getvalue()
    assert "Not yet" not in out.getvalue()


def test_half_a_repair_of_the_vector_is_half_right(printed):
    wrong, right = REPAIRS["try_last"][0]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(cells_of()["try_last"].replace(wrong, right), printed[1] | {})
    assert out.getvalue().splitlines() == ["forward: Right.", "reverse: Not yet."]
