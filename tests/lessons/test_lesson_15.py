"""Lesson 15 says these things on screen: its split is fair, its numbers hold, its weights arrive and its slips cost."""

import contextlib
import io
import itertools
import os
import pathlib
import re
import tempfile

import numpy as np
import pytest

from rnnlib.losses import softmax
from rnnlib.recurrent import GRU, LSTM
from rnnlib.studies import classification as task
from rnnlib.studies import interval

os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # Keras reads and writes its settings there when imported
pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")

from rnnlib.viz import Bars, Box, Dots, Heatmap, Label, Line
from rnnlib.viz.static import png
from rnnlib.viz.text import conventions, few_labels, wordwise
from tests.lessons import told

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras under NumPy 2
LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "15_text_classification.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


@pytest.fixture(scope="module")
def parts():
    return task.split(0)


@pytest.fixture(scope="module")
def small(parts):
    """A start, and some sentences of three parts as ids."""
    start = task.pretrained(parts.texts[:1500])
    chosen = (task.some(parts.train, 15), parts.validation, parts.test[:60])
    return start, *(task.read(start.vocabulary, each) for each in chosen)


# ---- the sentences and the split -----------------------------------------------------------------------------------


def test_only_sentences_of_a_fair_length_are_taken_and_no_program():
    text = "Return the number of open files. Too short. And this one is long enough, too."
    text += "\n\n>>> f() and here are more words"
    assert task.sentences(text) == ["Return the number of open files.", "And this one is long enough, too."]
    assert task.words("It's 3 Files, don't!") == "it's files don't"


def test_docstrings_of_module_class_and_function_are_found():
    source = '"""M."""\nclass C:\n    """C."""\n    def f(self):\n        """F."""\n    async def g(self): pass'
    assert sorted(filter(None, task.docstrings(source))) == ["C.", "F.", "M."]


def test_each_sentence_stands_once_and_no_module_is_half_of_its_area():
    corpus = task.corpus()
    assert len({task.words(each.text) for each in corpus}) == len(corpus)
    for area, (name, modules) in enumerate(task.AREAS.items()):
        own = [each for each in corpus if each.area == area]
        assert {each.module for each in own} <= set(modules.split()), name
        by_module = [sum(each.module == module for each in own) for module in modules.split()]
        assert max(by_module) <= task.AT_MOST
        assert max(by_module) < len(own) / 2


def test_eight_words_in_a_row_are_a_copy_and_seven_are_none():
    text = "a b c d e f g h i"
    assert task.shares_a_run([text, "b c d e f g h i", "x a b c d e f g", ""], [text]).tolist() == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("seed", [0, 3])
def test_no_module_and_no_copied_phrase_stands_on_both_sides(seed):
    parts = task.split(seed)
    tested = {each.module for each in parts.test}
    assert tested.isdisjoint(each.module for each in parts.train + parts.validation)
    own = [task.words(each.text) for each in parts.test]
    assert not task.shares_a_run((task.words(s.text) for s in parts.train + parts.validation), own).any()
    assert not task.shares_a_run(parts.texts, own).any()
    assert set(own).isdisjoint(parts.texts)
    assert {s.area for s in parts.test} == set(range(4))
    assert np.bincount([s.area for s in parts.validation]).tolist() == [task.TUNED] * 4
    assert set(parts.train).isdisjoint(parts.validation)


def test_a_split_by_sentence_has_modules_on_both_sides_and_no_sentence_twice():
    parts = task.split(0, "sentence")
    assert {s.module for s in parts.test} & {s.module for s in parts.train}
    everything = parts.train + parts.validation + parts.test
    assert len(everything) == len(set(everything)) == len(task.corpus())
    assert {task.words(s.text) for s in parts.test}.isdisjoint(task.words(s.text) for s in parts.train)


def test_a_split_follows_from_its_seed(parts):
    task.split.cache_clear()
    assert task.split(0) == parts
    assert task.split(1) != parts


# ---- what is learned without labels, and the rivals ----------------------------------------------------------------


def test_words_that_keep_the_same_company_get_similar_vectors():
    texts = [f"the {pet} sleeps near a warm oven {k}" for pet in ("cat", "dog") for k in "xyz"]
    texts += [f"one {part} turns with every loud engine {k}" for part in ("wheel", "shaft") for k in "xyz"]
    vocabulary, vectors = task.pretrained(tuple(texts))
    assert np.abs(vectors[:2]).max() < 1e-6
    assert vectors[2:].std() == pytest.approx(1)
    unit = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)
    cat, dog, wheel = (unit[vocabulary.encode(word)[0]] for word in ("cat", "dog", "wheel"))
    assert cat @ dog > 0.9
    assert abs(cat @ wheel) < 0.3


def test_no_word_keeps_company_across_the_end_of_a_text():
    one, other = ("left centre right",) * 4, ("up middle down",) * 4
    ordered, mixed = (
        task.pretrained(texts) for texts in (one + other, tuple(itertools.chain(*zip(one, other, strict=True))))
    )
    np.testing.assert_allclose(ordered.vectors @ ordered.vectors.T, mixed.vectors @ mixed.vectors.T, atol=1e-4)


def test_the_counter_is_naive_bayes_with_a_smoothing_from_validation(small):
    start, train, validation, test = small
    V = len(start.vocabulary)
    model = task.counting(train, validation, V)
    X = np.array([[float(w in train.ids[: train.lengths[n], n]) for w in range(V)] for n in range(len(train.labels))])
    X[:, :2] = 0
    counts = np.stack([X[train.labels == k].sum(axis=0) for k in range(4)], axis=1)
    found = []
    for alpha in (0.03, 0.1, 0.3, 1.0, 3.0):
        votes = np.log((counts + alpha) / (counts + alpha).sum(axis=0))
        votes[counts.sum(axis=1) == 0] = 0
        found.append((task.score(task.Counting(votes), validation), alpha, votes))
    np.testing.assert_allclose(model.votes, max(found, key=lambda each: each[:2])[2])
    words = set(test.ids[: test.lengths[0], 0].tolist()) - {0, 1}
    expected = sum(model.votes[w] for w in words)
    np.testing.assert_allclose(model.logits(test.ids, test.lengths)[0], expected)


def test_averaging_knows_no_order_and_learns(small):
    start, train, _, test = small
    model = task.averaging(train, start.vectors)
    again = task.shuffled(test, 0)
    np.testing.assert_allclose(model.logits(test.ids, test.lengths), model.logits(again.ids, again.lengths))
    assert task.score(model, train) > 0.8


def test_what_is_frozen_stays_and_the_rest_learns(small):
    start, train, validation, _ = small
    for method in ("frozen", "frozen, then tuned", "tuned at once"):
        model, known = task.learned(method, start, train, validation, seed=0)
        moved = np.abs(model.parameters[task.EMBEDDING] - start.vectors.astype(np.float32)).max()
        assert (moved == 0) == (method == "frozen")
        assert known.all()
        fresh = task.network(len(start.vocabulary), 0)
        assert not np.array_equal(model.parameters["rnn.weight_hh_l0"], fresh.parameters["rnn.weight_hh_l0"])


def test_from_scratch_tells_apart_only_the_words_of_its_labelled_sentences(small):
    start, train, validation, test = small
    _, known = task.learned("from scratch", start, train, validation, seed=0)
    assert set(np.flatnonzero(known)) == set(np.unique(train.ids))
    seen = task.only(known, test)
    assert set(np.unique(seen.ids)) <= set(np.flatnonzero(known)) | {1}
    assert np.array_equal(seen.ids[known[test.ids]], test.ids[known[test.ids]])


def test_shuffling_keeps_the_words_and_the_padding(small):
    *_, test = small
    again = task.shuffled(test, 1)
    assert not np.array_equal(again.ids, test.ids)
    for n, length in enumerate(test.lengths):
        assert sorted(again.ids[:length, n]) == sorted(test.ids[:length, n])
        assert not again.ids[length:, n].any()


def test_the_quick_studies_measure_every_arm():
    for study in (task.labels, task.splits):
        row = study.measure(study.arms[-1], 0, False)
        assert all(np.all((np.asarray(value) >= 0) & (np.asarray(value) <= 1)) for value in row.values())


# ---- conventions ---------------------------------------------------------------------------------------------------

CELLS = {"GRU": GRU(3, 4, rng=0), "LSTM": LSTM(3, 4, rng=1)}


def test_the_orders_of_gates_are_those_of_the_converters():
    pytest.importorskip("torch")
    from rnnlib.torchref import keras_layers, onnx_models

    for cell in CELLS:
        assert conventions.GATES["rnnlib, torch"][cell] == keras_layers.TORCH_GATES[cell]
        assert conventions.GATES["Keras 3"][cell] == keras_layers.GATES[cell]
        assert conventions.GATES["ONNX"][cell] == onnx_models.GATES[cell]
        own = conventions.weights(CELLS[cell])
        kernel, recurrent, _ = keras_layers.to_keras_weights(cell, own[:4], one_bias=cell == "LSTM")
        np.testing.assert_array_equal(conventions.written(own.W_ih, "Keras 3", cell), kernel)
        np.testing.assert_array_equal(conventions.written(own.W_hh, "Keras 3", cell), recurrent)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("source", "target"), list(itertools.product(conventions.GATES, repeat=2)))
def test_nothing_forgotten_means_that_everything_arrives(cell, source, target):
    own = conventions.weights(CELLS[cell])
    for before, after in zip(own, conventions.carried(own, source, target, cell, conventions.RIGHT), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(
        conventions.taken(conventions.written(own.W_ih, target, cell), target, cell), own.W_ih
    )


def changed(cell, source, target, slip):
    own = conventions.weights(CELLS[cell])
    x = np.random.default_rng(2).standard_normal((6, 2, 3))
    net = conventions.layer(cell, conventions.carried(own, source, target, cell, slip))
    return np.abs(net.forward(x)[0] - CELLS[cell].forward(x)[0]).max() > 1e-6


def test_each_slip_changes_exactly_the_journeys_that_it_can():
    home, keras, onnx = conventions.GATES
    for cell in CELLS:
        for source, target in itertools.product(conventions.GATES, repeat=2):
            turned = (source == keras) != (target == keras)
            sorted_alike = conventions.GATES[source][cell] == conventions.GATES[target][cell]
            assert changed(cell, source, target, conventions.RESHAPED) == turned
            assert changed(cell, source, target, conventions.UNSORTED) != sorted_alike
            assert changed(cell, source, target, conventions.ONE_BIAS) == (cell == "GRU")
            assert changed(cell, source, target, conventions.BEFORE) == (cell == "GRU")
    assert not changed("LSTM", home, keras, conventions.UNSORTED)
    assert changed("LSTM", home, onnx, conventions.UNSORTED)


def test_a_wrong_matrix_has_the_right_shape():
    own = conventions.weights(CELLS["GRU"])
    for W in (own.W_ih, own.W_hh):
        for target, slip in itertools.product(conventions.GATES, conventions.SLIPS):
            there = conventions.handed_over(W, "rnnlib, torch", target, "GRU", slip)
            assert there.shape == conventions.written(W, target, "GRU").shape


def test_a_block_is_called_what_it_is_unless_one_forgets_to_sort():
    W = np.repeat(np.arange(3.0), 2)[:, None] * np.ones(2)  # r, z and n of a GRU with H = 2
    for target, slip in itertools.product(conventions.GATES, (conventions.RIGHT, conventions.UNSORTED)):
        there = conventions.handed_over(W, "rnnlib, torch", target, "GRU", slip)
        order = there[0, ::2] if target == "Keras 3" else there[::2, 0]
        found = "".join("rzn"[int(k)] for k in order)
        assert found == conventions.blocks("rnnlib, torch", target, "GRU", slip)


def test_biases_may_be_added_up_but_where_the_reset_gate_stands_between_them():
    names = ("RNN", "LSTM", "GRU, reset before", "GRU, reset after")
    assert [conventions.biases_add_up(name) for name in names] == [True, True, True, False]


def test_a_classifier_with_the_same_layer_again_says_the_same(small):
    start, _, _, test = small
    for kind in ("gru", "lstm"):
        model = task.network(len(start.vocabulary), 0, layer=kind)
        again = task.relayed(model, conventions.layer(kind.upper(), conventions.weights(model.reader.rnn)))
        np.testing.assert_array_equal(again.logits(test.ids, test.lengths), model.logits(test.ids, test.lengths))


# ---- the pictures --------------------------------------------------------------------------------------------------


def test_the_parts_of_the_words_add_up_to_what_was_learned_from_all(small):
    start, _, _, test = small
    logits = task.network(len(start.vocabulary), 0).logits
    ids = test.ids[: test.lengths[0], 0]
    p = wordwise.prefixes(logits, ids)
    assert p.shape == (len(ids) + 1, 4)
    np.testing.assert_allclose(p[-1], softmax(logits(ids[:, None]))[0], rtol=1e-5)
    nats = wordwise.parts(logits, ids, wordwise.READING, 2)
    assert nats.sum() == pytest.approx(np.log(p[-1, 2] / p[0, 2]))
    left = wordwise.parts(logits, ids, wordwise.WITHOUT, 2)
    expected = np.log(p[-1, 2] / softmax(logits(np.delete(ids, 1)[:, None]))[0, 2])
    assert left[1] == pytest.approx(expected, rel=1e-3)


def test_the_word_explorer_takes_every_text_and_shows_one_tile_for_each_word(small):
    start, train, validation, _ = small
    counted = task.counting(train, validation, len(start.vocabulary))
    readers = {"net": task.network(len(start.vocabulary), 0).logits, "count": counted.logits}
    explorer = wordwise.explorer(
        {"one": "Open the file and read it."}, readers, lambda text: start.vocabulary.encode(task.words(text)),
        lambda text: task.words(text).split(), task.NAMES,
        np.arange(len(start.vocabulary)) > 40, "Typed by hand.",
    )  # fmt: skip
    for who, how, about in itertools.product(readers, (wordwise.READING, wordwise.WITHOUT), ("its answer", "files")):
        scene = explorer.set(who=who, how=how, about=about, step=3)
        boxes = [m for m in scene.panels[0].marks if isinstance(m, Box)]
        assert len(boxes) == 6
        ids = start.vocabulary.encode("open the file and read it")
        assert all(b.color in ("ink" if w > 40 else "grey", "vermillion") for b, w in zip(boxes, ids, strict=True))
        assert sum(b.value is not None for b in boxes) == (3 if how == wordwise.READING else 6)
        assert sum(isinstance(m, Line) for m in scene.panels[1].marks) == 5
    for typed in ("", "word", "§§ 12", "two words", "many words " * 13):
        assert png(explorer.set(which=wordwise.OWN, typed=typed, how=wordwise.WITHOUT)).startswith(b"\x89PNG")
        assert explorer.set(how=wordwise.READING, step=30).alt


def test_the_journey_explorer_shows_both_matrices_with_their_own_names_for_the_blocks(small):
    start, _, _, test = small
    models = {name.upper(): task.network(len(start.vocabulary), 0, layer=name) for name in ("gru", "lstm")}

    def judge(cell, weights):
        logits = task.relayed(models[cell], conventions.layer(cell, weights)).logits(test.ids, test.lengths)
        return conventions.Verdict(logits, (logits.argmax(axis=1) == test.labels).mean())

    weights = {cell: conventions.weights(each.reader.rnn) for cell, each in models.items()}
    explorer = conventions.explorer(weights, judge, 0.3)
    for cell, target, slip in itertools.product(weights, conventions.GATES, conventions.SLIPS):
        scene = explorer.set(cell=cell, target=target, slip=slip)
        there = scene.panels[1].marks
        assert "".join(m.text for m in there if isinstance(m, Label)) == conventions.GATES[target][cell]
        gates = len(conventions.GATES[target][cell])
        (heat,) = (m for m in there if isinstance(m, Heatmap))
        assert heat.matrix.shape == ((24, 24 * gates) if target == "Keras 3" else (24 * gates, 24))
        (dots,) = (m for m in scene.panels[2].marks if isinstance(m, Dots))
        own = conventions.carried(weights[cell], "rnnlib, torch", target, cell, slip)
        assert np.allclose(dots.y, judge(cell, own).logits.ravel())
        (bars,) = (m for m in scene.panels[3].marks if isinstance(m, Bars))
        assert bars.y[0] == pytest.approx(100 * judge(cell, weights[cell]).accuracy)
    assert png(scene).startswith(b"\x89PNG")


def test_the_plots_of_the_studies_say_their_means():
    kept, held = task.labels.kept(), task.splits.kept()
    for arm in kept.arms:
        said = ", ".join(f"{100 * share:.0f}" for share in kept.values(arm, "accuracy").mean(axis=0))
        assert f"{arm} {said} %" in few_labels.curves(kept).alt
    for arm, (measure, name) in itertools.product(held.arms, few_labels.MEASURES.items()):
        assert f"{name} {arm} {100 * held.interval(arm, measure).mean:.0f} %" in few_labels.held_out(held).alt
    assert png(few_labels.curves(kept)).startswith(b"\x89PNG")
    assert png(few_labels.held_out(held)).startswith(b"\x89PNG")


# ---- what the lesson says about its studies ------------------------------------------------------------------------


def gaps(one, other):
    kept = task.labels.kept()
    return [interval(gap) for gap in (kept.values(one, "accuracy") - kept.values(other, "accuracy")).T]


def test_a_random_split_flatters_everybody_and_names_the_wrong_winner():
    held = task.splits.kept()
    for measure in few_labels.MEASURES:
        assert held.difference("by sentence", "by module", measure).low > 0.08
    ahead = {arm: interval(held.values(arm, "network") - held.values(arm, "counting")) for arm in held.arms}
    assert ahead["by sentence"].high < 0 < ahead["by module"].low


def test_shuffling_the_words_does_next_to_nothing():
    held = task.splits.kept()
    assert abs(interval(held.values("by module", "network") - held.values("by module", "shuffled")).mean) < 0.015


def test_from_scratch_loses_to_counting_and_vectors_learned_beforehand_win():
    assert all(gap.high < 0 for gap in gaps("from scratch", "counting"))
    lead = gaps("frozen", "counting")
    assert all(gap.low > 0 for gap in lead)
    assert lead[2].mean < 0.6 * min(lead[0].mean, lead[1].mean)
    kept = task.labels.kept()
    with_10, with_40 = kept.values("frozen", "accuracy")[:, 0].mean(), kept.values("counting", "accuracy")[:, 1].mean()
    assert abs(with_10 - with_40) < 0.02


def test_the_network_adds_a_few_points_to_its_vectors_and_tuning_nothing_that_was_shown():
    few, *more = gaps("frozen", "averaging")
    assert few.low < 0 < few.high
    assert all(0 < gap.low < gap.mean < 0.05 for gap in more)
    assert all(gap.low < 0 < gap.high for gap in gaps("frozen, then tuned", "frozen"))
    _, forty, many = gaps("frozen, then tuned", "tuned at once")
    assert forty.low > 0 > many.high


# ---- the notebook --------------------------------------------------------------------------------------------------


def run(source, namespace):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(source, "<cell>", "exec"), namespace)
    return out.getvalue()


def numbers(text):
    return [float(n) for n in re.findall(r"(?<![\w.])[-+]?\d*\.?\d+(?:e[-+]\d+)?", text.replace(",", ""))]


def again(printed, cell, *changes):
    source = cells_of()[cell]
    for old, new in changes:
        assert source.count(old) == 1
        source = source.replace(old, new)
    return run(source, dict(printed[1]))


def test_the_riddles_are_not_answered_before_they_are_asked(printed):
    assert printed[0]["question_run"].count("\n") == 8
    answers = printed[0]["question_answer"].splitlines()[0]
    assert [task.NAMES.index(name) for name in re.findall(r"\d (\w+)", answers)] == [
        each.area for each in printed[1]["riddles"]
    ]


def test_most_words_of_the_test_have_no_label_and_the_network_from_scratch_loses(printed):
    known = numbers(printed[0]["scratch_words"].replace("%", " "))[-1]
    assert known < 50
    scratch, counted = (numbers(printed[0][name].split("right")[-2 if name == "teach" else -1].replace("%", " "))[-1]
                        for name in ("teach", "counting_run"))  # fmt: skip
    assert scratch < counted


def test_vectors_stay_while_frozen_and_move_a_little_when_tuned(printed):
    inside, outside, length = numbers(printed[0]["frozen_run"].splitlines()[-1])
    assert outside < inside < 0.1 * length


def test_the_same_logits_in_three_frameworks_and_back(printed):
    pytest.importorskip("torch")
    cells = ["torch_load"] + (["keras_check"] if printed[1]["KERAS"] else [])
    for cell in cells:
        assert "the same" in printed[0][cell]
        assert "NOT" not in printed[0][cell]
    for cell in ["torch_back", *cells[1:]]:
        off = float(re.search(r"back here: off by ([\d.e+-]+);", printed[0][cell])[1])
        assert off < 1e-5


def test_what_the_slips_cost_is_what_the_lesson_says(printed):
    rows = [line.split(" | ") for line in printed[1]["lines"]] if "right" in printed[1]["lines"][0] else []
    found = {}
    for cell, target, slip in conventions.JOURNEYS:
        judge, own = printed[1]["judge"], printed[1]["weights"][cell]
        home, away = judge(cell, own), judge(cell, conventions.carried(own, "rnnlib, torch", target, cell, slip))
        same = (home.logits.argmax(1) == away.logits.argmax(1)).mean()
        found[cell, target, slip] = np.abs(home.logits - away.logits).max(), same, home.accuracy - away.accuracy
    assert len(rows) == len(found) + 2
    gru = {slip: found["GRU", "Keras 3", slip] for slip in conventions.SLIPS}
    most = printed[1]["most"]
    for cell in ("GRU", "LSTM"):
        home = printed[1]["judge"](cell, printed[1]["weights"][cell]).accuracy
        assert home - found[cell, "Keras 3", conventions.RESHAPED][2] < most + 0.05
    assert 0.3 < gru[conventions.UNSORTED][1] < 0.95
    for slip in (conventions.ONE_BIAS, conventions.BEFORE):
        off, same, lost = gru[slip]
        assert off > 0.05
        assert same > 0.8
        assert abs(lost) < 0.06
    assert found["LSTM", "Keras 3", conventions.UNSORTED][0] == 0
    assert found["LSTM", "Keras 3", conventions.ONE_BIAS][0] < 1e-4
    assert found["LSTM", "ONNX", conventions.UNSORTED][2] > 0.1


@pytest.mark.parametrize("there", [(False, False), (True, False)])
def test_where_a_framework_is_missing_the_cells_say_so(printed, there):
    namespace = dict(printed[1])
    namespace["TORCH"], namespace["KERAS"] = there
    if there[0]:
        pytest.importorskip("torch")
    said = {
        name: run(cells_of()[name], namespace)
        for name in cells_of("code")
        if name.startswith(("torch", "keras", "ros"))
    }
    missing = ["keras_run"] if there[0] else ["torch_run", "torch_load", "torch_back", "keras_run"]
    for name in missing:
        assert "rnn-notebooks[torch,keras]" in said[name]
    assert ("rzn" in namespace["table"].data) or there[0]


def test_the_voting_exercise_starts_wrong_and_can_be_right(printed):
    assert "not yet" in printed[0]["try_votes"]
    assert "Right" in again(printed, "try_votes", ("counts.sum(axis=0))", "(counts + alpha).sum(axis=0))"))
    for wrong in ("+ alpha", "+ 2", "+ 4 * alpha"):
        assert "not yet" in again(printed, "try_votes", ("counts.sum(axis=0))", f"(counts.sum(axis=0) {wrong}))"))


def test_the_quarrel_exercise_starts_wrong_and_can_be_right(printed):
    assert "they agree" in printed[0]["try_fool"]
    names = printed[1]
    two = [logits(names["test"].ids, names["test"].lengths).argmax(axis=1) for logits in names["readers"].values()]
    quarrels = [n for n in np.flatnonzero(two[0] != two[1]) if (names["test"].ids[:, n] > 1).sum() >= 5]
    text = task.words(names["parts"].test[quarrels[0]].text)
    first = 'sentence = "Connect to the server and read the reply."'
    assert "Right" in again(printed, "try_fool", (first, f"sentence = {text!r}"))
    assert "at least five" in again(printed, "try_fool", (first, 'sentence = "Xyzzy plugh"'))
    assert "at least five" in again(printed, "try_fool", (first, 'sentence = ""'))


def test_the_kernel_exercise_starts_wrong_names_each_half_and_can_be_right(printed):
    assert "not yet" in printed[0]["try_kernel"]
    start = "np.concatenate([r, z, n]).reshape(W.shape[1], W.shape[0])"
    assert "Right" in again(printed, "try_kernel", (start, "np.concatenate([z, r, n]).T"))
    assert "turned, not sorted" in again(printed, "try_kernel", (start, "np.concatenate([r, z, n]).T"))
    half = "np.concatenate([z, r, n]).reshape(W.shape[1], W.shape[0])"
    assert "sorted, not turned" in again(printed, "try_kernel", (start, half))
    assert "not yet" in again(printed, "try_kernel", (start, "np.concatenate([z, r, n])"))


def test_the_bias_exercise_starts_wrong_and_can_be_right(printed):
    assert printed[0]["try_bias"].count("not yet") == 3
    good = [(f'"{name}": False', f'"{name}": True') for name in ("RNN", "LSTM", "GRU, reset before")]
    assert again(printed, "try_bias", *good).count("Right") == 4
