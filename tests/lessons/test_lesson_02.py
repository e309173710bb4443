"""Lesson 02 says these things on screen: its numbers hold, tokens stand where they came from, and leaks are leaks."""

import contextlib
import io
import itertools
import pathlib

import numpy as np
import pytest

from rnnlib.data import splits
from rnnlib.data.batching import series_windows
from rnnlib.data.vocabulary import Words

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")
pytest.importorskip("tokenizers", reason="the lesson needs rnn-notebooks[lab,data]")
pytest.importorskip("statsmodels", reason="the lesson needs rnn-notebooks[lab,data]")

from rnnlib.viz import Box, Dots, Line
from rnnlib.viz.basics import leakage, tokens
from rnnlib.viz.static import png

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "02_sequences.ipynb"
TEXTS = (
    "",
    " ",
    "The tokeniser splits words.",
    "snörkel 🐘 的!",
    "a  b  a",
    "it it, it",
    "don't-stop",
    "x" * 30,
    " “a” — “b”…",
)


# ---- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", tokens.KINDS)
def test_every_token_stands_over_the_characters_it_came_from(kind, text):
    words = tokens.vocabulary(kind, 400 if kind == "subwords" else 0)
    spans = tokens.spans(words, text)
    assert [i for i, _, _ in spans] == words.encode(text).tolist()
    for i, start, stop in spans:
        assert 0 <= start < stop <= len(text)
        if i != words.unk and text.isascii():
            assert words.decode([i]) == text[int(start) : int(stop)]
    for (_, _, stop), (_, start, _) in itertools.pairwise(spans):
        between = text[round(stop) : round(start)]
        assert stop == start or (kind == "words" and between.isspace())


def test_fewer_merges_are_the_first_of_all_merges():
    few, more = tokens.vocabulary("subwords", 200), tokens.vocabulary("subwords", 1000)
    assert more.tokens[: len(few)] == few.tokens
    assert (len(few), len(more)) == (258 + 200, 258 + 1000)
    for i in range(len(few) - 10, len(few)):
        assert few.encode(few.decode([i])).tolist() == [i]  # the last merges are in use, not only in the list
    text = "The statement is executed when the function is called."
    assert len(more.encode(text)) < len(few.encode(text)) < len(tokens.vocabulary("subwords", 0).encode(text))
    assert few.decode(few.encode(text)) == more.decode(more.encode(text)) == text


def boxes(panel):
    return [mark for mark in panel.marks if isinstance(mark, Box)]


def test_unknown_is_dark_and_nothing_else_is():
    upper, batch = tokens.seen("The zyzzyva", "it", 0, "words").panels
    dark = [box.text for box in boxes(upper) if box.value == tokens.UNKNOWN]
    assert dark == ["zyzzyva\n1"]
    row = [box.text.split("\n")[0] for box in boxes(batch)]
    assert row[1::2] == ["UNK", "PAD"]
    assert all(symbol.isdigit() for symbol in row[::2])


def test_boxes_do_not_overlap_also_where_tokens_share_a_character():
    for text in TEXTS[2:]:
        drawn = boxes(tokens.seen(text, "", 0, "words").panels[0])
        for y in {box.y for box in drawn}:
            row = sorted((box for box in drawn if box.y == y), key=lambda box: box.x)
            for left, right in itertools.pairwise(row):
                assert left.x + left.width / 2 <= right.x - right.width / 2 + 1e-9


def test_the_tokens_explorer_draws_over_the_range_of_every_control():
    explorer = tokens.explorer()
    for text in TEXTS:
        for kind in tokens.KINDS:
            assert len(explorer.set(text=text, other=TEXTS[3], kind=kind).alt) > 40
            assert explorer.set(text=text, other="", kind=kind).to_wire()
    for merges in (0, 20, 1000, tokens.MERGES):
        assert f"({merges} merges)" in explorer.set(merges=merges, text="statement").alt
    assert explorer.png().startswith(b"\x89PNG")


# ---- leakage -------------------------------------------------------------------------------------------------------


def test_nearest_is_the_lessons_nearest(printed):
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(50, 6)), rng.normal(size=50), rng.normal(size=(9, 6))
    np.testing.assert_array_equal(leakage.nearest(x, y, new), printed[1]["nearest"](x, y, new))


@pytest.mark.parametrize("resemblance", [0.0, 0.6, 0.95])
def test_the_made_up_series_has_the_resemblance_it_is_said_to_have(resemblance):
    series = np.stack([leakage.made_up(resemblance, seed) for seed in range(200)])
    assert (series**2).mean() == pytest.approx(1, abs=0.1)
    assert (series[:, 1:] * series[:, :-1]).mean() == pytest.approx(resemblance, abs=0.07)


@pytest.mark.parametrize(("resemblance", "ahead"), [(0.0, 3), (0.8, 1), (0.95, 12)])
def test_the_green_line_is_what_the_best_forecast_reaches(resemblance, ahead):
    series = np.stack([leakage.made_up(resemblance, seed) for seed in range(300)])
    reached = [((series[:, ahead:] - w * series[:, :-ahead]) ** 2).mean() for w in np.linspace(-0.5, 1, 61)]
    assert np.sqrt(min(reached)) == pytest.approx(leakage.best_error(resemblance, ahead), abs=0.05)


@pytest.mark.parametrize("ahead", [1, 12, 24])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_explorers_chronological_split_leaks_nothing_and_its_random_one_does(ahead, share):
    spans = series_windows(np.zeros(leakage.STEPS), leakage.WINDOW, horizon=ahead).spans
    parts = leakage.sides(ahead, share, seed=0)
    train, test = parts["chronological"]
    assert not splits.leakage(train, test, spans=spans).found
    assert splits.leakage(np.arange(train[-1] + 2), test, spans=spans).found  # it leaves out no item more than it must
    assert test[-1] == len(spans) - 1
    assert splits.leakage(*parts["random"], spans=spans).found
    np.testing.assert_array_equal(np.sort(np.concatenate(parts["random"])), np.arange(len(spans)))
    assert {len(test) for _, test in parts.values()} == {round(share * len(spans))}


def mean_error(split, resemblance, ahead, share=0.2):
    found = [leakage.judged(resemblance, ahead, share, seed)[split] for seed in range(40)]
    return float(np.mean([np.sqrt(((y - guess) ** 2).mean()) for _, y, guess in found]))


def test_a_random_split_claims_more_than_is_possible_and_an_honest_one_does_not():
    for ahead in (6, 12, 24):
        best = leakage.best_error(0.95, ahead)
        assert mean_error("random", 0.95, ahead) < 0.8 * best
        assert mean_error("chronological", 0.95, ahead) > best


def test_where_neighbours_are_strangers_both_splits_say_the_same_and_neither_beats_the_mean():
    for ahead in (1, 12):
        random, honest = (mean_error(split, 0.0, ahead) for split in ("random", "chronological"))
        assert random == pytest.approx(honest, rel=0.1)
        assert min(random, honest) > 1


def test_looking_further_ahead_costs_the_honest_forecast_and_not_the_leaking_one():
    assert mean_error("chronological", 0.95, 24) > 1.4 * mean_error("chronological", 0.95, 1)
    assert mean_error("random", 0.95, 24) < 1.3 * mean_error("random", 0.95, 1)


def test_a_larger_test_share_takes_some_of_the_neighbours_away_and_not_all():
    small, large = mean_error("random", 0.95, 12, 0.1), mean_error("random", 0.95, 12, 0.5)
    assert small < large < 0.8 * leakage.best_error(0.95, 12)


def test_the_leakage_explorer_draws_over_the_range_of_every_control_and_nothing_leaves_its_axes():
    explorer = leakage.explorer()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        for value in np.linspace(control.minimum, control.maximum, 9).tolist():
            scene = explorer.set(**{**start, name: control.read(value)})
            assert len(scene.to_wire()[0]["alt"]) > 40
            for panel in scene.panels:
                low, high = panel.y_limits
                for mark in panel.marks:
                    if isinstance(mark, Dots | Line):
                        assert low <= np.min(mark.y)
                        assert np.max(mark.y) <= high
    for ahead, share in itertools.product((1, 24), (0.1, 0.5)):
        assert explorer.set(resemblance=0.99, ahead=ahead, share=share).to_wire()
    assert explorer.png().startswith(b"\x89PNG")


def test_the_drawn_forecasts_stand_at_the_steps_that_they_are_for():
    panel = leakage.by_split(0.95, 7, 0.2).panels[1]
    (dots,) = [mark for mark in panel.marks if isinstance(mark, Dots)]
    test, y, _ = leakage.judged(0.95, 7, 0.2, leakage.SHOWN)["chronological"]
    np.testing.assert_array_equal(leakage.made_up(0.95, leakage.SHOWN)[dots.x.astype(int)], y)
    assert dots.x[-1] == leakage.STEPS - 1
    assert len(dots.x) == len(test)


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_every_picture_draws_and_says_what_it_shows(printed):
    names = printed[1]
    for scene in (
        tokens.gallery("abc", np.arange(24.0), np.eye(4), {"home": [0, 3], "pay": [9]}, "ACGT"),
        tokens.trade_off(names["points"]),
        leakage.strips(names["rows"], 24),
        leakage.errors(names["found"], names["usual"], "°C"),
    ):
        assert png(scene)
        assert len(scene.alt) > 40


def test_the_numbers_in_the_prose_stand_in_the_cell_above(cells, printed):
    texts, names = printed
    found, usual = names["found"], names["usual"]
    (rolling,) = (plan for plan in usual if "rolling" in plan)
    assert "from 0.90 to 0.99" in texts["judge"]
    assert "correlations from 0.90 to 0.99" in cells["look_read"]
    assert f"off by {found['10 random splits', 'nearest']:.2f} °C" in cells["look_read"]
    assert f"{found[rolling, 'nearest']:.2f} to {usual[rolling]:.2f} °C" in cells["look_read"]
    assert f"{found[rolling, 'ridge']:.2f} to {usual[rolling]:.2f} °C" in cells["look_read"]
    assert rolling.startswith("11 ")
    assert "eleven rolling origins" in cells["judge_text"]
    assert "climbs to 1.76" in cells["scaling_read"]
    assert "test up to 1.76" in texts["scaling_run"]


def test_the_random_split_picks_the_model_that_the_honest_one_rejects(printed):
    found, usual = printed[1]["found"], printed[1]["usual"]
    (rolling,) = (plan for plan in usual if "rolling" in plan)
    assert found["10 random splits", "nearest"] < 0.5 * found["10 random splits", "ridge"]
    assert found[rolling, "ridge"] < usual[rolling] < found[rolling, "nearest"]
    assert usual["last fifth"] < min(found["last fifth", model] for model in ("nearest", "ridge"))


def test_what_is_usual_is_known_from_training_only(printed, monkeypatch):
    names = printed[1]
    train, test = names["one_period"]
    before = names["examples"](train)[0][train]
    later = names["celsius"].copy()
    later[names["spans"][test].min() :] += 100
    monkeypatch.setitem(names, "celsius", later)
    np.testing.assert_array_equal(names["examples"](train)[0][train], before)


def test_no_month_stands_on_both_sides_of_the_honest_splits(printed):
    names = printed[1]
    for train, test in (names["one_period"], *names["origins"]):
        assert not splits.leakage(train, test, spans=names["spans"]).found
        assert names["spans"][train].max() <= names["spans"][test].min()
    assert splits.leakage(*names["at_random"](3), spans=names["spans"]).found


def test_a_coin_for_each_man_is_read_off_his_voice_by_a_random_split_only(printed):
    rights = {name: np.mean(values) for name, values in printed[1]["rights"].items()}
    assert rights["random"] > 0.95
    assert 0.35 < rights["by speaker"] < 0.65


def test_words_run_out_and_characters_hardly_do(printed):
    names = printed[1]
    unknown = [(v.encode(names["test_text"]) == v.unk).mean() for v in (names["words"], names["characters"])]
    assert 0.01 < unknown[0] < 0.1
    assert unknown[1] < 0.001


def test_subwords_lie_between_words_and_characters(printed):
    points = printed[1]["points"]
    sizes, rates = points["subwords"]
    assert sizes[-1] < points["words"][0][0]
    assert points["words"][1][0] < rates[-1] < 1.3 * points["words"][1][0]
    assert (np.diff(rates) < 0).all()
    assert (np.diff(rates) / np.diff(np.log(sizes)))[0] < (np.diff(rates) / np.diff(np.log(sizes)))[-1]


def test_merging_joins_the_most_frequent_pair_and_loses_no_letter(printed):
    names = printed[1]
    assert "".join(names["pieces"]) == "low low low lower lower newest newest newest newest widest widest"
    with contextlib.redirect_stdout(io.StringIO()):
        assert names["merge"](list("abcabab")) == ["ab", "c", "ab", "ab"]
        assert names["merge"](list("aaaa")) == ["aa", "aa"]
    assert "st |" in printed[0]["merge_run"].splitlines()[-1]  # the prose says that one crossed a space


def test_between_too_small_and_too_large_lies_a_wide_valley(printed):
    names = printed[1]
    apart, flat = (dict(zip(names["stds"], names[name], strict=True)) for name in ("apart", "flat"))
    assert apart[0.001] < 0.001
    assert flat[30] > 0.8
    assert apart[1] > 0.3
    assert flat[1] < 0.05


def test_words_that_keep_the_same_company_are_near(printed):
    near = {line.split()[0]: line.split()[1:] for line in printed[0]["vectors_run"].splitlines()}
    assert "tuple" in near["list"]
    assert {"finally", "except", "else"} & set(near["try"])


ATTEMPTS = {
    "try_encode": ("ids.get(word, 0)", "ids.get(word, 1)"),
    "try_gradient": ("dE[ids] += dx", "np.add.at(dE, ids, dx)"),
    "try_scale": (
        "shift, scale = series.mean(), series.std()\n    cut = int(share * len(series))",
        "cut = int(share * len(series))\n    shift, scale = series[:cut].mean(), series[:cut].std()",
    ),
    "try_split": ("np.arange(len(spans)))", "np.arange(len(spans)), gap=47)"),
}


@pytest.mark.parametrize("cell", ATTEMPTS)
def test_every_attempt_starts_wrong_and_the_repair_is_all_it_takes(cells, printed, cell):
    wrong, right = ATTEMPTS[cell]
    assert "Not yet" in printed[0][cell]
    assert cells[cell].count(wrong) == 1
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(cells[cell].replace(wrong, right), dict(printed[1]))
    assert "Right." in out.getvalue()
    assert "Not yet" not in out.getvalue()


def test_a_gap_one_shorter_or_no_training_data_is_not_right(cells, printed):
    wrong, _ = ATTEMPTS["try_split"]
    for gap in (46, 100):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(cells["try_split"].replace(wrong, f"{wrong[:-1]}, gap={gap})"), dict(printed[1]))
        assert "Not yet" in out.getvalue()


def test_the_lessons_words_are_the_librarys(printed):
    assert isinstance(printed[1]["words"], Words)
    assert printed[1]["words"].tokens[:2] == ("<pad>", "<unk>")
