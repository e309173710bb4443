"""Lesson 09 says these things on screen: padding leaks where it says it leaks and nowhere else, what is packed or
bucketed is counted right, speeds come from the clock that is given, and every picture draws."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from rnnlib.cells import rnn
from rnnlib.data.batching import padding_ratio
from rnnlib.recurrent import GRU, LSTM

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.gradcheck import central_difference
from rnnlib.viz import Bars, Box, Heatmap, Label, Line
from rnnlib.viz.lengths import held, invariance, pace, padding
from rnnlib.viz.static import png
from rnnlib.viz.unrolling.recurrence import random_weights
from tests.lessons import told

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "09_masking.ipynb"
FINITE = [fill for fill, value in held.FILLS.items() if np.isfinite(value)]
RIGHT = "where, inputs too"


# ---- the state, held or not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", held.FILLS)
@pytest.mark.parametrize("length", [1, 6, held.STEPS])
def test_the_right_rule_is_the_library_with_lengths(fill, length):
    run = held.unrolled(RIGHT, fill, length)
    weights = random_weights(1, held.UNITS, 0.9, seed=held.SEED, input_scale=0.8)
    x = run.x.reshape(-1, 1, 1)
    hs, _, cache = rnn.forward(x, np.zeros((1, held.UNITS)), *weights, lengths=[length])
    np.testing.assert_allclose(run.hs[:length], hs[:length, 0], atol=1e-14)
    np.testing.assert_array_equal(run.hs[length:], np.broadcast_to(run.hs[length - 1], run.hs[length:].shape))
    rng = np.random.default_rng(1)
    rng.uniform(-1, 1, held.STEPS)
    dh = rng.normal(size=(1, held.UNITS))
    right = rnn.backward(None, dh / np.linalg.norm(dh), cache).dW_hh
    np.testing.assert_allclose(run.added.sum(axis=0), right, atol=1e-14)
    assert not run.added[length:].any()


@pytest.mark.parametrize("rule", held.RULES)
def test_every_rules_way_back_is_the_gradient_of_its_way_forwards(rule):
    rng = np.random.default_rng(0)
    weights = random_weights(2, 3, 0.9, seed=1)
    x, h, m, toward = (
        rng.normal(size=(4, 2)),
        rng.normal(size=(4, 3)),
        np.array([1, 0, 1, 0], bool),
        rng.normal(size=(4, 3)),
    )
    _, cache = held.masked_step(rule, x, h, m, *weights)
    dh, dW_hh = held.masked_step_backward(rule, toward, cache)
    W_ih, W_hh, b_ih, b_hh = weights

    def loss(h, W_hh):
        return (toward * held.masked_step(rule, x, h, m, W_ih, W_hh, b_ih, b_hh)[0]).sum()

    np.testing.assert_allclose(dh, central_difference(lambda v: loss(v, W_hh), h), atol=1e-8)
    np.testing.assert_allclose(dW_hh, central_difference(lambda v: loss(h, v), W_hh), atol=1e-8)


@pytest.mark.parametrize("fill", FINITE)
def test_with_numbers_multiplying_is_as_good_as_choosing(fill):
    many, chosen = held.unrolled("multiply", fill, 6), held.unrolled("where", fill, 6)
    np.testing.assert_array_equal(many.hs, chosen.hs)
    np.testing.assert_array_equal(many.added, chosen.added)


def test_with_nan_a_product_loses_the_state_and_choosing_once_loses_the_gradient():
    assert np.isnan(held.unrolled("multiply", "NaN", 6).hs[6:]).all()
    once = held.unrolled("where", "NaN", 6)
    assert np.isfinite(once.hs).all()
    assert np.isnan(once.added.sum(axis=0)).all()
    twice = held.unrolled(RIGHT, "NaN", 6)
    assert np.isfinite(twice.hs).all()
    assert np.isfinite(twice.added).all()


@pytest.mark.parametrize("fill", FINITE)
def test_without_a_mask_the_state_moves(fill):
    run = held.unrolled("no mask", fill, 6)
    assert np.abs(run.hs[-1] - run.hs[5]).max() > 0.1


def labels(scene, text):
    return sum(isinstance(mark, Label) and mark.text == text for panel in scene.panels for mark in panel.marks)


def test_the_picture_says_nan_where_there_is_one():
    assert labels(held.draw("multiply", "NaN", 6), "NaN") == (held.STEPS - 6) + held.STEPS  # states, gradients
    assert labels(held.draw("where", "NaN", 6), "NaN") == held.STEPS
    assert labels(held.draw(RIGHT, "NaN", 6), "NaN") == 0
    for fill in FINITE:
        for rule in held.RULES:
            assert labels(held.draw(rule, fill, 6), "NaN") == 0


def test_nothing_leaves_its_axes():
    for rule in held.RULES:
        for fill in held.FILLS:
            for length in range(1, held.STEPS + 1):
                _, distance, added = held.draw(rule, fill, length).panels
                assert np.nanmax(distance.marks[1].y) < distance.y_limits[1]
                assert added.marks[1].y.max() < added.y_limits[1]


def test_the_caption_tells_held_from_moved_from_nan():
    assert "held to the last bit. Padding adds 0" in held.draw(RIGHT, "NaN", 6).alt
    assert "held to the last bit. The gradient is NaN" in held.draw("where", "NaN", 6).alt
    assert "The last state is NaN. The gradient is NaN" in held.draw("multiply", "NaN", 6).alt
    assert re.search(r"has moved by 1.* Padding adds 0\.\d", held.draw("no mask", "zeros", 6).alt)
    assert "There is no padding" in held.draw("no mask", "zeros", held.STEPS).alt


def multiplying(x, h, m, W_ih, W_hh, b_ih, b_hh):
    m = m[:, None]
    return m * np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh) + (1 - m) * h


def choosing(x, h, m, W_ih, W_hh, b_ih, b_hh):
    return np.where(m[:, None], np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh), h)


def test_a_learners_own_step_is_drawn_and_judged():
    explorer = held.explorer(choosing)
    assert explorer.values["rule"] == held.YOURS
    assert "held to the last bit" in explorer.set(fill="NaN").alt
    assert "is NaN" in held.explorer(multiplying).set(fill="NaN").alt
    for fill in held.FILLS:
        assert held.verdict(choosing, fill).startswith("Right")
        assert held.verdict(multiplying, fill).startswith("Not yet" if fill == "NaN" else "Right")
    assert "moves in the padding" in held.verdict(lambda x, h, m, *w: rnn.step_forward(x, h, *w)[0], "zeros")
    assert "real steps" in held.verdict(lambda x, h, m, *w: h, "zeros")
    with pytest.raises(ValueError, match=r"shape \(6,\): expected \(1, 6\)"):
        held.verdict(lambda x, h, m, *w: h[0], "zeros")
    with pytest.raises(ValueError, match="rule is 'perhaps'"):
        held.unrolled("perhaps", "zeros", 6)
    with pytest.raises(ValueError, match="your step"):
        held.unrolled(held.YOURS, "zeros", 6)


# ---- grids and batches ---------------------------------------------------------------------------------------------


def test_a_grid_counts_as_the_librarys_padding_ratio():
    lengths = np.array([3, 1, 2])
    shown = padding.grid(lengths, [np.arange(3)], packed=False)
    assert shown.shape == (3, 3)
    assert padding.wasted(shown) == pytest.approx(padding_ratio(lengths))
    assert (shown == padding.DATA).sum(axis=1).tolist() == [3, 1, 2]
    assert padding.wasted(padding.grid(lengths, [np.arange(3)], packed=True)) == 0
    apart = padding.grid(lengths, [np.array([1]), np.array([2, 0])], packed=False, T=5)
    assert (apart != padding.NOTHING).sum(axis=1).tolist() == [1, 3, 3]


@pytest.mark.parametrize("way", padding.WAYS)
@pytest.mark.parametrize("pool", [1, 4])
def test_every_arrangement_holds_every_sequence_once(way, pool):
    plan = padding.arranged(way, padding.unequal(0.7), pool)
    assert sorted(np.concatenate(plan.batches).tolist()) == list(range(padding.SEQUENCES))
    assert plan.packed == (way in ("packed", "both"))


def test_what_is_packed_stands_longest_first():
    lengths = padding.unequal(0.7)
    for batch in padding.arranged("packed", lengths, 4).batches:
        assert (np.diff(lengths[batch]) <= 0).all()


def test_sorting_within_a_batch_saves_nothing_and_bucketing_does():
    lengths = padding.unequal(0.7)

    def waste(way, pool=4):
        plan = padding.arranged(way, lengths, pool)
        return padding.wasted(padding.grid(lengths, plan.batches, packed=plan.packed))

    assert waste("padded") == waste("sorted") > waste("bucketed", 2) > waste("bucketed") > waste("packed") == 0
    assert waste("bucketed", 1) == waste("padded")
    assert waste("both") == 0
    possible = padding.positions_saved(lengths, 4)
    assert possible["padded"] == 1
    assert possible["packed"] == possible["both"] == pytest.approx(1 / (1 - waste("padded")))
    assert possible["bucketed"] == pytest.approx((1 - waste("bucketed")) / (1 - waste("padded")))


def test_spread_makes_lengths_unequal_and_zero_makes_them_equal():
    assert len(set(padding.unequal(0.0))) == 1
    assert np.std(padding.unequal(0.3)) < np.std(padding.unequal(0.9))
    for spread in np.arange(0, 1.05, 0.1):
        assert 1 <= padding.unequal(spread).min() <= padding.unequal(spread).max() <= padding.LONGEST


def test_only_what_is_packed_is_read_with_lengths(monkeypatch):
    seen = []

    class Layer:
        def __init__(self, *_args, **_options): ...

        def forward(self, x, lengths):
            seen.append((x.shape[0], x.shape[1], None if lengths is None else int(np.sum(lengths))))

    monkeypatch.setattr(padding, "RNN", Layer)
    lengths = padding.unequal(0.7)
    for way in padding.TIMED:
        seen.clear()
        padding.reading(padding.arranged(way, lengths, 4), lengths, 16)()
        batches, packed = padding.arranged(way, lengths, 4)
        assert [(T, N) for T, N, _ in seen] == [(lengths[b].max(), len(b)) for b in batches]
        assert [read for *_, read in seen] == [lengths[b].sum() if packed else None for b in batches]


def test_the_explorer_draws_over_the_whole_range_of_every_control(monkeypatch):
    timed = []

    def one_round(contenders, tokens, rounds):
        timed.append(tokens)
        return {name: np.full(rounds, 1.0 + place) for place, name in enumerate(contenders)}

    monkeypatch.setattr(padding, "tokens_per_second", one_round)
    padding.timed_round.cache_clear()
    explorer = padding.explorer()
    assert timed == [padding.unequal(0.7).sum()] * 3
    assert "packed 2.0, bucketed 3.0, both 4.0 times" in explorer.scene.alt
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        options = getattr(control, "options", None)
        values = options or np.arange(control.minimum, control.maximum + control.step / 2, control.step).tolist()
        for value in values:
            scene = explorer.set(**{**start, name: value if options else control.read(type(control.value)(value))})
            assert len(scene.to_wire()[0]["alt"]) > 100
    explorer.set(**start)
    count = len(timed)
    explorer.set(way="packed")
    explorer.set(rounds=2)
    assert len(timed) == count  # a round is timed once
    assert explorer.png().startswith(b"\x89PNG")
    padding.timed_round.cache_clear()


def test_the_other_explorer_draws_over_the_whole_range_of_every_control():
    explorer = held.explorer()
    for rule in held.RULES:
        for fill in held.FILLS:
            for length in range(1, held.STEPS + 1):
                assert explorer.set(rule=rule, fill=fill, length=length).to_wire()
    assert explorer.png().startswith(b"\x89PNG")


def boxes(scene):
    return [mark for mark in scene.panels[0].marks if isinstance(mark, Box)]


def test_the_diagrams_show_what_their_text_says():
    turned = boxes(padding.reversal())
    thirds = ["".join(box.text or "." for box in turned if low <= box.x < low + 3) for low in (0, 5, 10)]
    assert thirds == ["abcd..ef.", "cba..d.fe", "cbad..fe."]
    packed = [box.text for box in boxes(padding.packing()) if box.x >= 10]
    assert packed == list("aedbfc")
    assert (labels(padding.packing(), "step 1: 3"), labels(padding.packing(), "step 3: 1")) == (1, 1)


def test_the_attention_maps_say_how_much_lies_on_padding():
    even = np.full((2, 4), 0.25)
    scene = padding.attended({"no mask": even, "mask": np.array([[0.5, 0.5, 0, 0], even[0]])}, [2, 4])
    assert "no mask: 25 %, mask: 0 %" in scene.alt
    ends = [mark.x[0] for mark in scene.panels[0].marks if isinstance(mark, Line)]
    assert ends == [2.5]


# ---- speeds --------------------------------------------------------------------------------------------------------


class Clock:
    """Moves only when work is done."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_tokens_a_second_are_real_tokens_over_the_time_of_each_taken_in_turn():
    clock, calls = Clock(), []

    def work(name, seconds):
        def run():
            calls.append(name)
            clock.now += seconds * (1 + calls.count(name))

        return run

    speeds = pace.tokens_per_second({"a": work("a", 1.0), "b": work("b", 0.5)}, tokens=120, rounds=3, clock=clock)
    assert "".join(calls) == "ab" + "ababab"  # warmed up, then in turns
    np.testing.assert_allclose(speeds["a"], [120 / 3, 120 / 4, 120 / 5])
    np.testing.assert_allclose(speeds["b"], [240 / 3, 240 / 4, 240 / 5])


def test_each_is_judged_by_its_fastest_round_and_shown_with_its_usual_one():
    gains = pace.gains({"a": np.array([1.0, 10.0, 4.0]), "b": np.array([30.0, 5.0, 20.0])})
    assert gains["a"] == (1, 0.4)
    assert gains["b"] == (3, 2)


def test_a_clock_that_did_not_move_is_no_division_by_zero():
    speeds = pace.tokens_per_second({"a": lambda: None}, tokens=5, rounds=2, clock=lambda: 1.0)
    assert np.isfinite(speeds["a"]).all()


@pytest.mark.parametrize(("contenders", "tokens", "rounds"), [({}, 1, 1), ({"a": list}, 0, 1), ({"a": list}, 1, 0)])
def test_nothing_to_time_is_refused(contenders, tokens, rounds):
    with pytest.raises(ValueError, match="at least 1"):
        pace.tokens_per_second(contenders, tokens, rounds)


def test_the_chart_shows_measured_beside_possible():
    measured = {"padded": pace.Gain(1, 1), "packed": pace.Gain(1.5, 1.2)}
    scene = pace.chart(measured, {"padded": 1.0, "packed": 3.0})
    possible, seen = (mark.y.tolist() for mark in scene.panels[0].marks if isinstance(mark, Bars))
    assert (possible, seen) == ([1, 3], [1, 1.5])
    assert [mark.y.tolist() for mark in scene.panels[0].marks if isinstance(mark, Line)] == [[1, 1], [1.2, 1.5]]
    assert "packed 1.5 times (3.0 possible)" in scene.alt
    assert scene.panels[0].y_limits[1] > 3


# ---- padding invariance --------------------------------------------------------------------------------------------

X, OWN = np.random.default_rng(4).normal(size=(9, 4, 3)), np.array([9, 2, 5, 1])


def test_only_the_padding_is_changed():
    for batch in invariance.repadded(X, OWN).values():
        for n, length in enumerate(OWN):
            np.testing.assert_array_equal(batch[:length, n], X[:length, n])
    batches = invariance.repadded(X, OWN)
    assert not batches["zeros"][2:, 1].any()
    assert np.isnan(batches["NaN"][2:, 1]).all()
    assert len(batches[f"{invariance.LONGER} more steps"]) == 9 + invariance.LONGER


@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_what_takes_lengths_does_not_move_and_what_forgets_them_does(layer):
    network = layer(3, 4, bidirectional=True, rng=0)

    def results(x, lengths):
        output, _, cache = network.forward(x, lengths=lengths)
        dx, _, gradients = network.backward(output.copy(), None, cache)
        return {"output": output, "dx": dx, "dW": gradients["weight_hh_l0"]}

    assert {value for found in invariance.moved(results, X, OWN).values() for value in found.values()} == {0.0}
    loose = invariance.moved(lambda x, lengths: results(x, None), X, OWN)
    assert all(value != 0 for found in loose.values() for value in found.values())
    assert np.isnan(loose["NaN"]["dW"])


def test_a_single_bit_is_seen():
    def nearly(x, lengths):
        return {"sum": 1.0 + (len(x) > 9) * np.finfo(float).eps}

    moves = invariance.moved(nearly, X, OWN)
    assert moves["NaN"]["sum"] == 0
    assert moves[f"{invariance.LONGER} more steps"]["sum"] > 0


def test_a_batch_without_padding_is_refused():
    with pytest.raises(ValueError, match="no padding to change"):
        invariance.moved(lambda x, lengths: {"x": x}, X, np.full(4, 9))


def test_the_table_has_a_box_for_every_result_and_says_which_moved():
    scene = invariance.table({"noise": {"loss": 0.0, "dx": 1e-17}, "NaN": {"loss": np.nan, "dx": 0.3}}, "Mine")
    found = {(box.x, box.y): (box.text, box.value) for box in boxes(scene)}
    assert found == {(0, 0): ("0", 0), (1, 0): ("1e-17", 0.25), (0, -1): ("NaN", 0.6), (1, -1): ("3e-01", 0.6)}
    assert scene.alt == "Mine: 2 other paddings, 2 results: 1 of 4 results do not move, the largest move is NaN."
    assert "not a bit moved" in invariance.table({"noise": {"loss": 0.0}}).alt


# ---- the notebook --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed():
    """What each code cell prints, and all names at the end; few sentences are timed, once."""

    def few(source):
        return source.replace("rounds=4", "rounds=1").replace("[:128]", "[:64]")

    return told.run(LESSON, leave_out=("explorer_padding",), change=few)


def numbers(text):
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", text)]


def test_more_than_a_third_of_an_ordinary_batch_is_padding(printed):
    assert int(re.search(r"padding ratio (\d+)%", printed[0]["padding_run"])[1]) > 40
    assert printed[1]["ratios"] == sorted(printed[1]["ratios"], reverse=True)
    assert printed[1]["variety"] == sorted(printed[1]["variety"], reverse=True)
    assert printed[1]["ratios"][3] < 0.6 * printed[1]["ratios"][0]  # "a moderate pool already saves most"


def test_fifty_zeros_wipe_out_a_sentence(printed):
    for line in printed[0]["runs_on"].splitlines():
        left = [float(n) for n in re.findall(r"zeros: (\S+?),?(?:\s|$)", line)]
        assert left[0] < 0.2
        assert left[2] < 1e-8


def test_the_lessons_own_loops_are_the_librarys(printed):
    names, rng = printed[1], np.random.default_rng(8)
    x, lengths, weights = rng.normal(size=(9, 5, 3)), np.array([4, 9, 1, 4, 6]), random_weights(3, 7, 1.2, seed=2)
    hs, right, _ = rnn.forward(x, np.zeros((5, 7)), *weights, lengths=lengths)
    held_states, masked = names["masked_forward"](x, np.zeros((5, 7)), weights, lengths)
    packed, sizes = names["packed_forward"](x, weights, lengths)
    np.testing.assert_allclose(masked, right, atol=1e-14)
    np.testing.assert_allclose(packed, right, atol=1e-14)
    valid = np.arange(9)[:, None] < lengths
    np.testing.assert_allclose(held_states[valid], hs[valid], atol=1e-14)
    assert list(sizes) == [5, 4, 4, 4, 2, 2, 1, 1, 1]
    x[~valid] = np.nan
    np.testing.assert_allclose(names["packed_forward"](x, weights, lengths)[0], right, atol=1e-14)


def test_the_sizes_are_torchs():
    torch = pytest.importorskip("torch")
    lengths = np.array([12, 3, 7, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.zeros(12, 4, 1), torch.tensor(lengths), enforce_sorted=False)
    assert packed.batch_sizes.tolist() == (np.arange(12)[:, None] < lengths).sum(axis=1).tolist()


def test_counting_pad_looks_better_and_is_worse(printed):
    words_first, pad_first = ([*numbers(line)[-2:]] for line in printed[0]["loss_run"].splitlines())
    assert pad_first[0] < 0.7 * words_first[0]
    assert pad_first[1] > words_first[1]


def test_a_mean_of_means_is_another_number(printed):
    of_means, over_words = numbers(printed[0]["means_run"].splitlines()[0])
    assert abs(of_means - over_words) > 0.005


def test_attention_leaks_without_a_mask_and_shrinks_under_a_late_one(printed):
    no_mask, late, before = (re.findall(r"\[(.*?)\]", line) for line in printed[0]["attention_show"].splitlines())
    assert numbers(no_mask[0]) == [1, 1, 1, 1]
    assert numbers(no_mask[1])[3] > 0.5  # "gives most of its weight to nothing"
    assert numbers(late[0])[3] < 0.5
    assert numbers(late[1]) == numbers(before[1]) == [0, 0, 0, 0]
    assert numbers(before[0]) == [1, 1, 1, 1]
    edge = printed[0]["attention_edge"].splitlines()
    assert ["nan" in line for line in edge] == [True, False, True, False]
    assert numbers(edge[3]) == [0, 0, 0, 0]


def test_the_network_with_everything_does_not_move_and_the_one_without_lengths_does(printed):
    names = printed[1]
    x, own = np.random.default_rng(6).normal(size=(20, 6, 8)), np.array([20, 4, 11, 1, 7, 15])
    moves = invariance.moved(names["results"], x, own)
    loose = invariance.moved(lambda x, lengths: names["results"](x, None), x, own)
    assert {value for padding_, found in moves.items() if "steps" not in padding_ for value in found.values()} == {0.0}
    assert max(moves[f"{invariance.LONGER} more steps"].values()) < 1e-12
    assert all(not value < 1e-6 for found in loose.values() for value in found.values())


def test_padding_gets_no_gradient_and_neighbours_cost_a_digit_at_most(printed):
    data, filling = printed[0]["invariance_gradient"].splitlines()
    assert numbers(data)[0] < 1e-12
    assert numbers(filling) == [0, 0]
    assert max(float(n) for n in re.findall(r"steps: (\S+)", printed[0]["neighbours_run"])) < 1e-13


def test_all_four_ways_read_the_same_words(printed):
    names = printed[1]
    words = sum(int(lengths.sum()) for _, lengths in names["shuffled"])
    assert words == sum(int(lengths.sum()) for _, lengths in names["similar"]) == names["steps"][names["some"]].sum()
    assert names["computed"]["packed"] == names["computed"]["both"] == words
    assert names["computed"]["padded"] >= names["computed"]["bucketed"] > words
    assert [line.split()[0] for line in printed[0]["measure"].splitlines()] == list(names["ways"])


REPAIRS = {
    "try_step": (
        ("m = m[:, None]", "m = m[:, None]\n    x = np.where(m, x, 0)"),
        ("m * h_new + (1 - m) * h", "np.where(m, h_new, h)"),
    ),
    "try_loss": (("np.where(valid, losses, 0.0).mean()", "np.where(valid, losses, 0.0).sum() / lengths.sum()"),),
    "try_reverse": (
        ("return x[::-1]", "t = np.arange(len(x))[:, None]\n    return np.take_along_axis("
         "x, np.where(t < lengths, lengths - 1 - t, t), axis=0)"),
    ),
    "try_sizes": (("len(lengths) - t for", "sum(n > t for n in lengths) for"),),
}  # fmt: skip


def said(source, names):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, {"np": np, "held": held, "sizes": names["sizes"]})
    return out.getvalue()


@pytest.mark.parametrize("cell", REPAIRS)
def test_every_attempt_is_wrong_at_first_and_right_once_repaired(cells, printed, cell):
    source = cells[cell]
    assert "Not yet" in said(source, printed[1])
    for wrong, right in REPAIRS[cell]:
        assert source.count(wrong) == 1
        source = source.replace(wrong, right)
    after = said(source, printed[1])
    assert "Right" in after
    assert "Not yet" not in after


def test_every_picture_of_the_lesson_draws(printed):
    names = printed[1]
    counts = {name: 1.0 for name in names["ways"]}
    for scene in (
        padding.one_batch(names["lengths"]),
        padding.attended(names["maps"], [12, 7, 3, 1]),
        padding.against_pool(["1", "all"], [0.6, 0.1], [9.0, 1.0]),
        pace.chart(names["gains"], counts),
        padding.reversal(),
        padding.packing(),
    ):
        assert png(scene)
        assert len(scene.alt) > 60
    (grid,) = (mark for mark in padding.one_batch(np.array([3, 1])).panels[0].marks if isinstance(mark, Heatmap))
    assert (grid.matrix == padding.WASTE).sum() == 2


def test_every_section_that_a_diagnosis_points_to_is_a_heading(cells):
    ps6 = pytest.importorskip("autograder.questions.ps6_masking")
    headings = {line[3:] for text in cells.values() for line in text.splitlines() if line.startswith("## ")}
    assert {bug.read for question in ps6.QUESTIONS for bug in question.bugs} <= headings
