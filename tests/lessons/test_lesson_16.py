"""Lesson 16 says these things on screen: its numbers hold, its exercises have answers, its explorers draw."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from rnnlib.studies import seq2seq as task
from rnnlib.studies.study import Results

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")
pytest.importorskip("num2words", reason="the numbers in words need rnn-notebooks[data]")

from rnnlib.viz import Arrow, Band, Bars, Dots, Heatmap, Line
from rnnlib.viz.scene import Box
from rnnlib.viz.static import png
from rnnlib.viz.text import alignment, one_look, shares, slips
from tests.lessons import told

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "16_seq2seq_attention.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


def numbers(text):
    return [float(n) for n in re.findall(r"[-+]?\d+\.?\d*", text)]


def percents(text):
    return [float(n) for n in re.findall(r"([\d.]+)\s?%", text)]


# ---- the task ------------------------------------------------------------------------------------------------------


def test_a_target_is_the_word_backwards_with_its_end():
    words = task.backwards(["abz", "ba"])
    np.testing.assert_array_equal(words.source.T, [[0, 1, 25], [1, 0, 0]])
    np.testing.assert_array_equal(words.target[:, 0], [25, 1, 0, task.EOS])
    np.testing.assert_array_equal(words.target[:3, 1], [0, 1, task.EOS])
    np.testing.assert_array_equal([words.source_lengths, words.target_lengths], [[3, 2], [4, 3]])
    assert task.letters(words.target[:, 0]) == "zba"


@pytest.mark.parametrize("word", ["", "Ab", "a b", "é"])
def test_what_is_no_word_is_refused_by_name(word):
    with pytest.raises(ValueError, match="a word of the letters a to z"):
        task.backwards(["fine", word])


def test_words_have_every_length_and_a_seed_has_its_own():
    words = task.drawn(400, np.random.default_rng(0))
    assert set(words.source_lengths) == set(range(2, 13))
    (one, judged), (other, _) = (task.words_of(seed, 50, full=True) for seed in (0, 1))
    assert not np.array_equal(one.source_lengths, other.source_lengths)
    assert not np.array_equal(one.source[:, :9], judged.source[:, :9])
    assert task.words_of(0, 50, full=False)[0].source.shape[0] == task.QUICK


def test_the_three_models_have_about_as_many_parameters():
    sizes = [sum(p.size for p in task.network(kind, 0).parameters.values()) for kind in task.UNITS]
    assert max(sizes) < 1.03 * min(sizes)


def test_errors_are_counted_as_the_names_say():
    wrong = np.array([[0, 1], [1, 0], [1, 1], [0, 0]], bool)
    valid = np.array([[1, 1], [1, 1], [1, 1], [1, 0]], bool)
    np.testing.assert_array_equal(task.exact(np.array([[0, 1], [0, 0]], bool)), [True, False])
    np.testing.assert_allclose(task.by_step(wrong, valid), [0.5, 0.5, 1, 0])
    assert task.after_first(wrong, valid) == pytest.approx(2 / 4)  # of (2, 0), (3, 0), (1, 1), (2, 1): two
    assert task.after_first(np.zeros((3, 2), bool), np.ones((3, 2), bool)) == 0
    assert task.by_length(np.array([True, False, True]), np.array([2, 2, 5])) == [0.5, 1.0]


class Parrot:
    """A model that says what it is told to, whoever it reads."""

    def __init__(self, said, alone, lengths):
        self.said, self.alone, self.lengths = np.asarray(said), np.asarray(alone), np.asarray(lengths)

    def logits(self, *_):
        return np.eye(28)[self.said], None

    def generate(self, *_, max_steps):
        from rnnlib.models.seq2seq import Decoded

        return Decoded(self.alone[:max_steps], self.lengths, None)


def test_a_word_that_ends_too_early_or_too_late_is_wrong():
    words = task.backwards(["ab", "ab", "ab"])
    said = np.repeat(words.target[:, :1], 3, axis=1)
    alone = np.array([[1, 0, task.EOS], [1, task.EOS, 0], [1, 0, 0]]).T
    forced, free, valid = task.errors(Parrot(said, alone, [3, 2, 3]), words)
    assert not forced.any()
    assert valid.all()
    np.testing.assert_array_equal(task.exact(free), [True, False, False])
    np.testing.assert_array_equal(free[:, 1], [False, True, True])


def test_what_stands_behind_the_end_of_a_written_word_is_not_read():
    words = task.backwards(["aab"])
    alone = np.array([[1, task.EOS, 0, 0]]).T  # padding is 0, as is the letter a
    free = task.errors(Parrot(words.target, alone, [2]), words).free
    np.testing.assert_array_equal(free[:, 0], [False, True, True, True])


def test_practice_on_own_letters_rises_to_what_was_asked(monkeypatch):
    seen = []

    def train(model, data, optimizer, *, before_step, schedule, epochs, **_):
        steps = epochs * len(data)
        for step in (0, steps // 3, 2 * steps // 3, steps - 1):
            before_step(step)
            seen.append((model.sampling, schedule(step)))

    monkeypatch.setattr(task, "train", train)
    task.taught(task.network("additive", 0), task.drawn(96, np.random.default_rng(0)), epochs=10, seed=0, sampling=0.4)
    np.testing.assert_allclose([own for own, _ in seen], [0, 0.2, 0.4, 0.4])
    np.testing.assert_allclose([rate for _, rate in seen], [1, 2 / 3, 1 / 3, 1 / 30])


# ---- the explorers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    model = task.network("additive", 0)
    task.taught(model, task.drawn(300, np.random.default_rng(0), 2, 4), epochs=3, seed=0)
    return model


def reading(word="abca", written="acx"):
    weights = np.random.default_rng(0).dirichlet(np.ones(len(word)), len(written))
    return alignment.Reading(list(word), list(written), weights, list("acba"))


def boxes(panel):
    return [mark for mark in panel.marks if isinstance(mark, Box)]


def test_the_chosen_row_is_the_one_that_lights_up():
    shown = reading()
    for step in (1, 2, 3, 9):
        row = min(step, 3) - 1
        look, whole = alignment.at_step(shown, step).panels
        np.testing.assert_allclose([b.value for b in boxes(look) if b.value is not None], shown.weights[row])
        frame = next(m for m in whole.marks if isinstance(m, Line))
        assert row - 0.5 < frame.y.min() < frame.y.max() < row + 0.5
        np.testing.assert_array_equal(next(m for m in whole.marks if isinstance(m, Heatmap)).matrix, shown.weights)
        assert len([m for m in look.marks if isinstance(m, Arrow)]) == (shown.weights[row] > alignment.LEAST).sum()
        assert (whole.x_names, whole.y_names) == (list("abca"), list("acx"))


def test_a_wrong_letter_is_marked_and_said():
    scene = alignment.at_step(reading(), 3)
    assert [b.color for b in boxes(scene.panels[0]) if b.value is None] == ["ink", "ink", "vermillion"]
    assert "wrong: it should be a c b a" in scene.alt
    assert "right" in alignment.at_step(reading(written="acba"), 1).panels[0].title


def test_the_map_follows_text_step_and_epoch_and_says_what_it_cannot_read():
    def reader(epoch):
        def read(text):
            if not text.isalpha():
                raise ValueError("type letters")
            return alignment.Reading(list(text), ["a"] * (epoch + 1), np.full((epoch + 1, len(text)), 0.5), ["a"])

        return read

    explorer = alignment.explorer([reader(0), reader(1)], "abc", steps=5)
    assert explorer.values == {"text": "abc", "step": 1, "epoch": 1}
    assert len(explorer.set(epoch=0, text="zz", step=5).panels[1].y_names) == 1
    with pytest.raises(ValueError, match="type letters"):
        explorer.set(text="1")
    assert "epoch" not in alignment.explorer([reader(0)], "abc").values
    assert explorer.png().startswith(b"\x89PNG")


def test_the_context_is_a_mean_of_what_is_data():
    for kind in one_look.KINDS:
        for angle in range(0, 360, 45):
            query = 4 * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
            for length in range(1, 7):
                scores, weights, context = one_look.look(query, length, kind)
                assert weights[length:].sum() == 0
                np.testing.assert_allclose(weights.sum(), 1)
                np.testing.assert_allclose(context, weights @ one_look.KEYS)
                e = np.exp(scores[:length] - scores[:length].max())
                np.testing.assert_allclose(weights[:length], e / e.sum())
            np.testing.assert_allclose(one_look.look(query, 1, kind).context, one_look.KEYS[0])
            assert one_look.look(query, 1, kind, masked=False).weights[1:].sum() > 0


def test_a_longer_question_makes_dot_surer_and_additive_at_last_less_sure():
    query = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    largest = {k: [one_look.look(s * query, 4, k).weights.max() for s in (0, 1.5, 3, 6)] for k in one_look.KINDS}
    assert largest["dot"][0] == 0.25
    assert np.all(np.diff(largest["dot"]) > 0)
    assert largest["additive"][-1] < largest["additive"][1]
    assert np.abs(one_look.look(6 * query, 4, "additive").scores).max() <= np.abs(one_look.V).sum()


def test_the_look_draws_over_the_whole_range_of_every_control():
    explorer = one_look.explorer()
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        several = getattr(control, "options", None) or np.linspace(control.minimum, control.maximum, 13).tolist()
        for value in several:
            kept = value if isinstance(value, str) else control.read(type(control.value)(value))
            scene = explorer.set(**{**start, name: kept})
            for panel in scene.panels:
                (left, right), (low, high) = panel.x_limits, panel.y_limits
                for mark in panel.marks:
                    if isinstance(mark, Bars | Dots):
                        assert np.all((mark.y >= low) & (mark.y <= high)), (panel.title, name, value)
                    if isinstance(mark, Dots):
                        assert np.all((mark.x >= left) & (mark.x <= right))
    scene = explorer.set(**start)
    padding = [m for m in scene.panels[0].marks if isinstance(m, Bars) and m.color == "grey"]
    np.testing.assert_array_equal(padding[0].x, [4, 5])
    assert explorer.png().startswith(b"\x89PNG")


def test_without_a_slip_the_free_decoder_is_generate_and_the_forced_one_is_logits(trained):
    pair = task.backwards(["cab"])
    free, forced = (slips.told(trained, "cab", forced=forced) for forced in (False, True))
    done = trained.generate(pair.source, max_steps=4)
    np.testing.assert_array_equal(free.written[: done.lengths[0]], done.ids[: done.lengths[0], 0])
    np.testing.assert_allclose(free.weights[: done.lengths[0]], done.weights[: done.lengths[0], 0])
    logits, _ = trained.logits(pair.source, pair.target)
    np.testing.assert_array_equal(forced.written, logits[:, 0].argmax(axis=-1))
    np.testing.assert_array_equal(forced.read, [task.BOS, *pair.target[:-1, 0]])
    np.testing.assert_array_equal(free.read, [task.BOS, *free.written[:-1]])


def test_a_slip_changes_what_is_read_after_it_and_nothing_before(trained):
    for forced in (False, True):
        calm, slipped = (slips.told(trained, "cabd", slip, 16, forced) for slip in (0, 2))
        np.testing.assert_array_equal(slipped.written[:2], calm.written[:2])
        assert slipped.read[2] == 16
        if forced:
            np.testing.assert_array_equal(np.delete(slipped.read, 2), np.delete(calm.read, 2))


def test_the_slip_is_drawn_where_it_was_put_and_the_wrong_letters_are_shaded(trained):
    scene = slips.at_slip(trained, "cabd", 2, "q")
    given = [b for b in boxes(scene.panels[0]) if b.color == "blue"]
    assert [(b.x, b.text) for b in given] == [(2, "q"), (2, "q")]
    target = task.backwards(["cabd"]).target[:, 0]
    wrong = sum((slips.told(trained, "cabd", 2, 16, forced).written != target).sum() for forced in (True, False))
    assert len([b for b in boxes(scene.panels[0]) if (b.value or 0) > 0]) == wrong
    assert not [b for b in boxes(slips.at_slip(trained, "ab", 9, "q").panels[0]) if b.color == "blue"]
    explorer = slips.explorer(trained, "cab")
    for values in ({"slip": 1}, {"letter": "z"}, {"word": "a"}, {"word": "abcdefghijkl", "slip": 12}):
        assert len(explorer.set(**values).alt) > 40
    with pytest.raises(ValueError, match="a to z"):
        explorer.set(word="A b")
    assert explorer.png().startswith(b"\x89PNG")


def test_curves_have_a_band_only_where_there_are_seeds():
    one = shares.curves([2, 3], {"a": [0.5, 1.0]}, title="t", x_label="x", y_label="y")
    many = shares.curves([2, 3], {"a": [[0.4, 1], [0.6, 1]]}, title="t", x_label="x", y_label="y")
    for scene, bands in ((one, 0), (many, 1)):
        marks = scene.panels[0].marks
        assert len([m for m in marks if isinstance(m, Band)]) == bands
        np.testing.assert_allclose(next(m for m in marks if isinstance(m, Line)).y, [50, 100])
        assert png(scene)


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_without_attention_there_is_a_cliff_and_attention_moves_it(printed):
    names = printed[1]
    assert names["blind_shares"][0] > 0.9
    assert max(names["blind_shares"][8:]) < 0.05
    assert task.exact(task.errors(names["model"], names["theirs"]).free).mean() > 0.8
    assert percents(printed[0]["map_train"])[0] > percents(printed[0]["bottleneck_run"])[0] + 40


def test_the_decoder_reads_one_step_behind_what_it_writes(printed):
    lines = [numbers(line.split("]")[0]) for line in printed[0]["one_pair"].splitlines()]
    assert lines[1] == [task.BOS, *lines[2][:-1]]
    assert lines[2] == [*lines[0][::-1], task.EOS]


def test_the_scores_by_hand_are_the_librarys(printed):
    for line in printed[0]["scores_check"].splitlines():
        mine, theirs = line.split("rnnlib:")
        assert numbers(mine) == numbers(theirs)


def test_without_the_root_a_large_network_looks_at_one_place(printed):
    for plain, scaled in (numbers(line.split(":")[1]) for line in printed[0]["root"].splitlines()):
        assert scaled < 0.4 < plain
    assert plain > 0.9


def test_only_the_mask_before_softmax_sums_to_one(printed):
    assert [numbers(line)[-1] for line in printed[0]["mask_run"].splitlines()] == [0.69, 0.69, 1.0]


def test_the_network_hangs_on_the_letter_and_its_weights_stand_elsewhere(printed):
    head, *rest = printed[0]["causal_run"].splitlines()
    assert percents(head)[0] > 90
    before, on, *after = (numbers(line)[-1] for line in rest)
    assert on < 0.3
    assert sum(after) > on > before


def test_reading_itself_hurts_more_than_reading_the_truth(printed):
    forced, free = (percents(line)[0] for line in printed[0]["slip_answer"].splitlines())
    assert free > 1.5 * forced
    forced, free = (np.array(percents(line)) for line in printed[0]["steps"].splitlines())
    assert np.all(free > 1.5 * forced)


def test_a_wrong_number_in_perfect_english_still_scores(printed):
    lines = [line for line in printed[0]["numbers_run"].splitlines() if "BLEU" in line]
    (blind, lenient), _, (seeing, high) = ((percents(line)[0], numbers(line)[-1]) for line in lines)
    assert blind < 10
    assert lenient > 0.2
    assert seeing > 80
    assert high > 0.9


def test_words_that_say_a_digit_look_at_it(printed):
    seen = printed[1]["read_number"]("7245")
    assert seen.right
    for word, place in (("seven", 0), ("two", 1), ("forty", 2), ("five", 3)):
        assert seen.weights[seen.written.index(word)].argmax() == place
    for text in ("", "12345", "1a", "²"):
        with pytest.raises(ValueError, match="one to four digits"):
            printed[1]["read_number"](text)


def test_verdicts_follow_from_the_interval(printed):
    for low, high, open_ in ((-0.1, 0.1, True), (0.01, 0.1, False), (-0.2, -0.1, False)):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            printed[1]["said"]("x", ((low + high) / 2, low, high))
        assert ("not shown to matter" in out.getvalue()) == open_


def test_the_kept_runs_are_whole_and_additive_attention_matters():
    kept = task.ATTENTION.kept()
    assert isinstance(kept, Results)
    for other in ("no attention", "dot"):
        assert kept.difference("additive", other, "exact").low > 0.2
    practice = task.SAMPLING.kept()
    forced, free = (practice.values("teacher forcing", f"{way} error") for way in ("forced", "free"))
    assert np.all(free > forced)


# ---- the exercises -------------------------------------------------------------------------------------------------

TRIES = {
    "try_scores": (
        "np.tanh(queries @ W_q.T + keys @ W_k.T) @ v",
        "np.tanh((queries @ W_q.T)[:, None] + keys @ W_k.T) @ v",
        "try_scores",
    ),
    "try_look": (
        "    weights = softmax(keys @ query / np.sqrt(len(query))) * mask\n    return weights @ values, weights",
        "    scores = np.where(mask, np.where(mask[:, None], keys, 0) @ query / np.sqrt(len(query)), -np.inf)\n"
        "    weights = softmax(scores)\n    return weights @ np.where(mask[:, None], values, 0), weights",
        "check_look",
    ),
    "try_free": (
        "        written.append(int(logits.argmax()))\n",
        "        token = int(logits.argmax())\n        written.append(token)\n        if token == eos:\n"
        "            break\n",
        "check_free",
    ),
    "try_bleu": (
        "    return sum(run in allowed for run in runs) / len(runs)",
        "    return sum(min(runs.count(run), allowed.count(run)) for run in set(runs)) / len(runs)",
        "try_bleu",
    ),
}


@pytest.mark.parametrize("cell", TRIES)
def test_every_exercise_starts_wrong_and_can_be_right(printed, cell):
    wrong, right, judge = TRIES[cell]
    texts, names, sources = printed[0], dict(printed[1]), cells_of()
    assert re.search("not yet|is not", texts[judge])
    repaired = sources[cell].replace(wrong, right)
    assert repaired != sources[cell]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(repaired, names)
        if judge != cell:
            exec(sources[judge], names)
    assert "Right" in out.getvalue()
    assert not re.search("not yet|is not", out.getvalue())


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("w = np.where(np.arange(len(keys)) < length, softmax(keys @ query / 2), 0); return w @ values, w", "not yet"),
        ("w = softmax(np.where(np.arange(len(keys)) < length, keys @ query, -1e9)); return w @ values, w", "not yet"),
        ("w = softmax(np.where(np.arange(len(keys)) < length, keys @ query / 2, -np.inf)); return w @ values, w",
         "the weights are right, with nan in the padding"),
    ],
)  # fmt: skip
def test_a_look_that_is_wrong_in_another_way_is_told_so(printed, body, verdict):
    names = {**printed[1]}
    exec(f"def look(query, keys, values, length):\n    {body}", names)
    with np.errstate(invalid="ignore"):
        assert verdict in printed[1]["judged"](names["look"])


def test_a_free_run_that_stops_too_late_is_not_right(printed):
    def late(step, state, bos, eos, longest):
        written, token = [], bos
        for _ in range(longest):
            logits, state = step(token, state)
            token = int(logits.argmax())
            written.append(token)
        return written

    assert "not yet" in printed[1]["judged_free"](late)
