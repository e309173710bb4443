"""Lesson 14 says these things on screen: its rival is fair, its numbers hold, what it calls a copy is one."""

import contextlib
import io
import json
import pathlib
import re

import numpy as np
import pytest

from rnnlib.data.vocabulary import Characters
from rnnlib.metrics import bits
from rnnlib.models import LanguageModel, sample
from rnnlib.models.ngram import NGram
from rnnlib.optim import Adam
from rnnlib.studies import language
from rnnlib.training import Checkpoint, Stream, train

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Bars, Box, Dots, Line
from rnnlib.viz.static import png
from rnnlib.viz.text import copies, diary, page, sampling, studied, surprised
from tests.lessons import told

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "14_language_model.ipynb"
TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 6


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


@pytest.fixture(scope="module")
def small():
    """A vocabulary, a network and an n-gram model that nobody has to wait for."""
    vocabulary = Characters.build([TEXT])
    model = LanguageModel(len(vocabulary), "gru", embedding_size=4, hidden_size=8, dtype=np.float32, rng=0)
    return vocabulary, model, NGram(vocabulary.encode(TEXT), len(vocabulary), order=4)


# ---- the text and what is measured on it ---------------------------------------------------------------------------


def test_each_paragraph_stays_where_it_stands_first():
    assert language.once("a\n\nb\n\na\n\nc\n\nb") == "a\n\nb\n\nc"


def test_the_text_is_cut_in_order_and_the_vocabulary_knows_the_training_part_only():
    cut = language.parts("ab" * 40 + "cd" * 10)
    assert cut.vocabulary.decode(cut.train) == "ab" * 40
    assert set(np.concatenate([cut.validation, cut.test]).tolist()) == {cut.vocabulary.unk}
    assert len(cut.validation) == len(cut.test) == 10


def test_surprise_is_what_the_perplexity_of_the_model_is_made_of(small):
    vocabulary, model, _ = small
    stream = vocabulary.encode(TEXT[:60])
    nats = language.surprise(model, stream)
    assert nats.shape == (59,)
    assert np.exp(nats.mean()) == pytest.approx(model.perplexity(stream), rel=1e-5)


def test_an_average_of_two_models_is_one_of_probabilities():
    one, other = -np.log([0.5, 0.1]), -np.log([0.1, 0.9])
    np.testing.assert_allclose(np.exp(-language.mixed(one, other, 0.25)), [0.2, 0.7])
    assert language.share(one, other) == pytest.approx(
        min(np.linspace(0, 1, 21), key=lambda w: -np.log([0.1 + 0.4 * w, 0.9 - 0.8 * w]).sum())
    )


def test_the_rival_gets_the_order_and_the_discount_that_validation_likes_best(small):
    vocabulary, *_ = small
    ids, V = vocabulary.encode(TEXT), len(vocabulary)
    best = language.tuned(ids[:200], ids[200:], V, orders=(1, 3), discounts=(0.2, 0.8))
    tried = {(n, d): NGram(ids[:200], V, order=n, discount=d).perplexity(ids[200:]) for n in (1, 3) for d in (0.2, 0.8)}
    assert (best.order, best.discount) == min(tried, key=tried.get)
    assert best.perplexity(ids[200:]) == pytest.approx(min(tried.values()))


def runs_through(sample, text):
    """The same by trying every stretch."""
    n = len(sample)
    found = np.zeros(n, int)
    for start in range(n):
        for stop in range(start + 1, n + 1):
            if sample[start:stop] in text:
                found[start:stop] = np.maximum(found[start:stop], stop - start)
    return found


@pytest.mark.parametrize("said", ["the cat on the dog", "xxthe catx", "zzz", "", "at.\nthe dzg sat", "tthhee"])
def test_a_copy_is_the_longest_run_through_a_character_that_stands_in_the_text(said):
    np.testing.assert_array_equal(language.copied(said, TEXT), runs_through(said, TEXT))


def test_a_planted_secret_stands_in_the_text_as_often_as_it_should():
    text = "one\n\ntwo\n\nthree"
    for times in (0, 1, 4):
        told = language.planted(text, "0420", times, np.random.default_rng(0))
        assert told.count("\n\n" + language.SECRET + "0420.") == times
        assert told.replace(f"\n\n{language.SECRET}0420.", "") == text


def test_every_code_gets_its_own_surprise_digit_by_digit():
    text = f"\n\n{language.SECRET}4071.\n\n0123456789"
    vocabulary = Characters.build([text])
    for model in (
        NGram(vocabulary.encode(text), len(vocabulary), order=5),
        LanguageModel(len(vocabulary), "gru", embedding_size=3, hidden_size=4, rng=1),
    ):
        found = language.code_surprise(model, vocabulary)
        assert found.shape == (10_000,)
        for code in ("4071", "0003", "9999"):
            ids = vocabulary.encode(f"\n\n{language.SECRET}{code}")
            each = model.surprise(ids) if isinstance(model, NGram) else language.surprise(model, ids)
            assert found[int(code)] == pytest.approx(each[-4:].sum(), rel=1e-4)


def test_exposure_is_all_bits_for_the_likeliest_code_and_none_for_the_last():
    surprises = np.arange(10_000.0)
    assert language.exposure(surprises, "0000") == pytest.approx(np.log2(10_000))
    assert language.exposure(surprises, "9999") == 0
    assert language.exposure(surprises, "0003") == pytest.approx(np.log2(2500))


# ---- samples while it trains ---------------------------------------------------------------------------------------


def diary_run(small, path, checkpoint=None, epochs=3):
    vocabulary, *_ = small
    model = LanguageModel(len(vocabulary), "gru", embedding_size=4, hidden_size=8, rng=0)
    ids = vocabulary.encode("T" + TEXT)
    data = Stream(ids, N=4, T=12)
    notes = language.Diary(model, vocabulary, data, data, moments=(2, 5, 9, 14), length=30, path=path)
    saved = checkpoint and Checkpoint(checkpoint, resume=True)
    train(model, data, Adam(model.parameters, 0.01), epochs=epochs, reports=[notes], checkpoint=saved)
    return notes, len(data)


def test_a_diary_writes_at_its_moments_over_all_epochs(small, tmp_path):
    notes, each = diary_run(small, tmp_path / "d.json")
    assert list(notes.entries) == [0, *(m for m in (2, 5, 9, 14) if m <= 3 * each)]
    written = json.loads((tmp_path / "d.json").read_text())["entries"]
    assert written == list(notes.entries.values())
    assert all(entry["sample"].startswith(language.PROMPT) for entry in written)
    assert written[0]["unseen"] > written[-1]["unseen"]


def test_a_diary_of_a_run_that_stopped_and_went_on_is_that_of_one_that_did_not(small, tmp_path):
    whole, _ = diary_run(small, tmp_path / "whole.json")
    diary_run(small, tmp_path / "part.json", tmp_path / "part.npz", epochs=1)
    again, _ = diary_run(small, tmp_path / "part.json", tmp_path / "part.npz")
    assert again.entries == whole.entries


def test_the_kept_samples_are_whole_and_small():
    record = json.loads(language.SAMPLES.read_text(encoding="utf-8"))
    entries = record["entries"]
    assert {entry["update"] for entry in entries} > set(language.MOMENTS)
    assert [entry["update"] for entry in entries] == sorted(entry["update"] for entry in entries)
    assert entries[-1]["unseen"] < 0.35 * entries[0]["unseen"]
    assert language.SAMPLES.stat().st_size < 20_000


# ---- the pictures --------------------------------------------------------------------------------------------------


def test_a_page_shows_every_character_once_with_its_own_number():
    text = "ab\n\ncdefg"
    panel = page.tiles(text, np.arange(9.0), 8.0, "t", columns=4, given=2)
    boxes = [m for m in panel.marks if isinstance(m, Box)]
    assert "".join(b.text for b in boxes) == text.replace("\n", "↵")
    assert [b.value for b in boxes] == list(range(9))
    assert [b.color == "blue" for b in boxes] == [True] * 2 + [False] * 7
    assert max(b.x for b in boxes) < 4
    assert page.rows(text, 4) == ["ab\n", "\n", "cdef", "g"]


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 3), (0.1, 1)])
def test_the_shaped_probabilities_are_those_from_which_sample_draws(temperature, top_k):
    logits = np.random.default_rng(0).normal(0, 2, 8)
    p = sampling.shaped(logits, temperature, top_k)
    rng = np.random.default_rng(1)
    drawn = sample(np.tile(logits, (20_000, 1)), rng, temperature=temperature, top_k=top_k)
    np.testing.assert_allclose(np.bincount(drawn, minlength=8) / 20_000, p, atol=0.015)


def test_the_sampling_explorer_takes_every_prompt_and_shows_both_distributions(small):
    vocabulary, model, rival = small
    explorer = sampling.explorer(model, rival, vocabulary)
    for prompt in ("the ", "", "§$", "x" * 40):
        scene = explorer.set(prompt=prompt, temperature=0.7, top_k="5")
        bars = next(m for m in scene.panels[0].marks if isinstance(m, Bars))
        raw, counted = (m for m in scene.panels[0].marks if isinstance(m, Dots))
        assert bars.y.sum() == pytest.approx(1)
        assert np.count_nonzero(bars.y) == 5
        assert np.all(np.diff(raw.y) <= 0)
        assert counted.y.max() <= 1
    assert png(scene).startswith(b"\x89PNG")
    one, other = ([m.text for m in explorer.set(seed=seed).panels[1].marks] for seed in (1, 2))
    assert one != other


def test_the_diary_explorer_draws_up_to_each_entry_beside_the_rival():
    entries = json.loads(language.SAMPLES.read_text(encoding="utf-8"))["entries"]
    explorer = diary.explorer({"long": entries, "short": entries[:3]}, 1.9, "The rival", 6)
    for moment in (1, 3, len(entries)):
        scene = explorer.set(run="long", moment=moment)
        seen, unseen, rival = (m for m in scene.panels[0].marks if isinstance(m, Line))
        assert len(seen.y) == len(unseen.y) == moment
        assert unseen.y[-1] == entries[moment - 1]["unseen"]
        assert set(rival.y) == {1.9}
        assert f"After {entries[moment - 1]['update']:,} updates" in scene.alt
        assert png(scene).startswith(b"\x89PNG")
    assert f"After {entries[2]['update']:,} updates" in explorer.set(run="short", moment=len(entries)).alt


def test_the_surprise_explorer_colours_each_character_by_what_it_cost(small):
    vocabulary, model, rival = small
    long = TEXT * 3
    explorer = surprised.explorer({"one": long, "two": long[::-1]}, model, rival, vocabulary, "the cat")
    expected = bits(1.0) * rival.surprise(vocabulary.encode(long))
    scene = explorer.set(who="the n-gram", start=100)
    boxes = [m for m in scene.panels[0].marks if isinstance(m, Box)]
    np.testing.assert_allclose([b.value for b in boxes], expected[99 : 99 + len(boxes)])
    for which in ("two", surprised.OWN):
        for who in surprised.READERS:
            assert explorer.set(which=which, who=who).alt
    for typed in ("", "a", "§§"):
        assert png(explorer.set(typed=typed)).startswith(b"\x89PNG")


def test_the_copy_explorer_colours_each_character_by_the_run_it_belongs_to(small):
    vocabulary, model, rival = small
    explorer = copies.explorer({"net": model, "count": rival}, vocabulary, TEXT, TEXT[::-1] * 3)
    for who in ("net", "count", copies.HUMAN):
        scene = explorer.set(who=who, temperature=0.5)
        boxes = [m for m in scene.panels[0].marks if isinstance(m, Box)]
        said = "".join(b.text for b in boxes).replace("↵", "\n")
        found = language.copied(said, TEXT)
        assert [b.value for b in boxes][: len(said) // 2] == found[: len(said) // 2].tolist()
        assert sum(isinstance(m, Line) for m in scene.panels[1].marks) == 3
    assert png(scene).startswith(b"\x89PNG")


def test_the_plots_of_the_studies_say_their_means():
    full, told = language.sizes.kept(), language.secret.kept()
    assert f"{full.interval('300 thousand', 'network').mean:.2f}" in studied.sizes(full).alt
    assert f"{full.values('20 thousand', 'seen').mean(axis=0)[-1]:.2f}" in studied.memorised(full).alt
    assert f"{told.interval('once', 'exposure').mean:.1f}" in studied.secret(told).alt
    for scene in (studied.sizes(full), studied.memorised(full), studied.secret(told)):
        assert png(scene).startswith(b"\x89PNG")


# ---- what the lesson says about its studies ------------------------------------------------------------------------


def test_counting_is_not_beaten_and_the_gap_narrows_and_widens_as_the_lesson_says():
    full = language.sizes.kept()
    gaps = [full.values(arm, "network") - full.values(arm, "ngram") for arm in full.arms]
    assert all(np.all(gap > 0) for gap in gaps)
    assert gaps[0].mean() > gaps[1].mean() < gaps[2].mean()
    for arm in full.arms:
        assert np.all(full.values(arm, "both") < full.values(arm, "ngram"))


def test_the_less_text_the_more_is_learned_by_heart():
    full = language.sizes.kept()
    gaps = [(full.values(arm, "unseen") - full.values(arm, "seen"))[:, -1].mean() for arm in full.arms]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[0] > 1.5 > 0.5 > gaps[1]
    copied = [full.values(arm, "copied")[:, -1].mean() for arm in full.arms]  # "about as long for all three sizes"
    assert max(copied) < 1.5 * min(copied)
    assert max(copied) < np.mean([full.values(arm, "text copied").mean() for arm in full.arms]) + 1


def test_the_counting_model_gives_a_secret_away_at_once_and_the_network_after_some():
    told = language.secret.kept()
    assert told.values("once", "ngram exposure").min() > 13
    once, often = (told.interval(arm, "exposure").mean for arm in ("once", "16 times"))
    assert told.interval("never", "exposure").mean < 4
    assert often > 12 > 8 > once


# ---- the notebook --------------------------------------------------------------------------------------------------


def numbers(text):
    return [float(n) for n in re.findall(r"(?<![\w.])[-+]?\d*\.?\d+", text.replace(",", ""))]


def again(printed, cell, *changes):
    source = cells_of()[cell]
    for old, new in changes:
        assert source.count(old) == 1
        source = source.replace(old, new)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, dict(printed[1]))
    return out.getvalue()


def test_what_stands_twice_makes_long_memories_pay(printed):
    twice, once = printed[0]["leak"].splitlines()
    _, _, short, _, long = numbers(twice.split("characters")[0] + twice.split("characters;")[1])[-5:]
    assert long < short
    *_, short, _, long = numbers(once)
    assert long > short


def test_both_models_read_the_same_text_and_the_network_learned(printed):
    names = printed[1]
    assert len(names["mine_test"]) == len(names["theirs_test"]) == len(names["test"]) - 1
    assert names["rival_bits"] < names["network_bits"] < 2.8
    assert names["rival"].order in (6, 8, 10)
    assert names["losses"].min() == names["losses"][names["i"], names["j"]]


def test_the_longer_run_comes_nearer_than_the_live_one(printed):
    names = printed[1]
    gap = names["record"]["entries"][-1]["unseen"] - names["losses"].min()
    assert 0 < gap < bits(names["mine"].mean()) - names["losses"].min()


def test_first_letters_carry_most_and_there_the_two_are_nearest(printed):
    rows = np.array([numbers(line) for line in printed[0]["surprise_answer"].splitlines()])
    _, network, ngram = rows.T
    assert network[0] > 1.5 * network[1:].max()
    assert (network - ngram)[0] < (network - ngram)[2:].min()


def test_cold_text_repeats_itself_and_hot_text_costs_much(printed):
    found = [numbers(line) for line in printed[0]["sampling_answer"].splitlines() if line.startswith("temperature")]
    shares = [different / words for *_, words, different in found]
    costs = [row[2] for row in found]
    assert shares[0] < 0.5 < shares[-1]
    assert costs[-1] > 1.5 * costs[2] > costs[0]


def test_the_unit_exercise_starts_wrong_and_can_be_right(printed):
    assert "not yet" in printed[0]["try_units"]
    good = ("np.log(word_perplexity)", "np.log2(word_perplexity) / characters_per_word")
    assert "Right" in again(printed, "try_units", good)
    assert "not yet" in again(printed, "try_units", (good[0], "np.log(word_perplexity) / characters_per_word"))


def test_the_add_k_exercise_starts_wrong_can_be_right_and_stays_behind(printed):
    assert "not yet" in printed[0]["try_addk"]
    said = again(printed, "try_addk", ("k = 1.0", "k = 0.01"))
    assert "Right" in said
    assert numbers(said)[0] > numbers(said)[-1] + 0.1


def test_the_mixing_exercise_starts_wrong_and_can_be_right(printed):
    names = printed[1]
    assert "not yet" in printed[0]["try_mix"]
    w = language.share(names["mine"], names["theirs"])
    said = again(printed, "try_mix", ("w = 0.9", f"w = {w}"))
    assert "Right" in said
    *_, network, ngram, both = numbers(said)
    assert both < min(network, ngram)


def test_the_sampling_exercise_starts_wrong_and_can_be_right(printed):
    assert printed[0]["try_sample"].count("not yet") == 3
    said = again(
        printed,
        "try_sample",
        ("np.exp(logits - logits.max()) / temperature", "np.exp((logits - logits.max()) / temperature)"),
        ("    return p\n", "    return p / p.sum()\n"),
    )
    assert said.count("Right") == 3
