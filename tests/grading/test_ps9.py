"""Problem set 9: a model is scored between counting and the source, mistakes have names, and files do no harm."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from autograder import cli, ingest, judge, scored, unpack
from autograder.ask import ask
from autograder.collect import choose
from autograder.course_files import Course
from autograder.naming import HandedIn, Who
from autograder.pipeline import _own_seed
from autograder.question import PUBLIC_SEED
from autograder.questions import find, generous, ps9_baselines
from autograder.questions.ps9_mistakes import MISTAKES
from autograder.run import KernelSandbox, Limits, Sandbox
from rnnlib.data import brackets
from rnnlib.models import LanguageModel
from rnnlib.models.ngram import NGram
from rnnlib.optim import Adam, cosine_decay
from rnnlib.training import Stream, train
from tests.conftest import ROOT

SET, SEED = "ps9_capstone", 11
COURSE = ROOT / "autograder/course"
QUESTION = find("capstone")
V = brackets.V


def softmax(z, axis=1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def verdict_on(predict, seed=SEED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            return judge.judge(QUESTION, ask([predict], judge.trial(QUESTION, seed).encoded()), seed)


def known(contexts, remembered={}):  # noqa: B006  # asked very often about the same ones
    """What the source says: a model as good as can be, and never asked twice."""
    key = contexts.tobytes()
    if key not in remembered:
        remembered[key] = brackets.predictive(contexts)
    return remembered[key].copy()


def model(contexts):
    """A good model that errs a little, the same for the same context, and never says 0."""
    p = known(contexts)
    wobble = np.sin(contexts[:, -5:] @ np.arange(1, 6))[:, None] * np.cos(np.arange(V))
    return 0.99 * softmax(np.log(p + 1e-9) + 0.15 * wobble) + 0.01 / V


def two_seen():
    """What a 3-gram says after each pair of symbols: (V, V, V)."""
    counted = ps9_baselines.counted(3)
    return np.array([[counted.probabilities([a, b]) for b in range(V)] for a in range(V)])


TWO, AFTER = two_seen(), ps9_baselines.after_each()


# ---- right, in several styles --------------------------------------------------------------------------------------


BAYES = '''
class Filter:
    """The exact filter in plain loops; its state starts anew for each context."""

    def __init__(self, rules):
        self.opens, self.closes, self.heights = (rules[name].tolist() for name in ("opens", "closes", "heights"))
        self.first, self.then, self.start = rules["first"], rules["then"].tolist(), rules["start"].tolist()

    def row(self, weights, stack, last):
        total, open_, close = sum(weights), 0.0, 0.0
        for d, w in enumerate(weights):
            d = min(max(d + self.level, 0), 3)
            open_, close = open_ + w / total * self.opens[d], close + w / total * self.closes[d]
        kinds = [close / 4] * 4 if not stack else [close * (k == stack[-1]) for k in range(4)]
        return [open_ / 4] * 4 + kinds + [(1 - open_ - close) * p for p in self.then[last]]

    def __call__(self, context):
        weights, stack, self.level = list(self.heights), [], 0
        for t, s in enumerate(context):
            for d in range(4):
                h = min(max(d + self.level, 0), 3)
                letter = self.start[h][s - 8] if t == 0 and s >= 8 else 1.0
                weights[d] *= self.opens[h] if s < 4 else self.closes[h] if s < 8 else letter * (
                    1 - self.opens[h] - self.closes[h])
            if s < 4:
                stack.append(s)
            elif s < 8 and stack:
                stack.pop()
            self.level += (s < 4) - (4 <= s < 8)
        return self.row(weights, stack, s)


def predict(contexts):
    with np.load("weights.npz") as rules:
        read = Filter(rules)
    return [read(context) for context in contexts.tolist()]
'''


def rules():
    """What that filter needs to know."""
    tables = {"opens": brackets.P_OPEN, "closes": brackets.P_CLOSE, "heights": brackets._heights()}
    return {**tables, "first": np.zeros(1), "then": brackets._next_letters(), "start": brackets._first_letters()}


def packed(**arrays):
    """The bytes of an .npz."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def in_slices(contexts):
    return [row for start in range(0, len(contexts), 500) for row in known(contexts)[start : start + 500]]


def on_its_inputs(contexts):
    p = known(contexts)
    contexts[:] = 0
    return p


def loudly(contexts):
    print("on its way")
    warnings.warn("something is deprecated", DeprecationWarning, stacklevel=1)
    np.log(np.zeros(2))
    return known(contexts)


RIGHT = {
    "float64": known,
    "float32": lambda c: known(c).astype(np.float32),
    "float16": lambda c: known(c).astype(np.float16),
    "by log-softmax": lambda c: np.exp(np.log(known(c) + 1e-300)),
    "one at a time": lambda c: np.concatenate([known(c)[i : i + 1] for i in range(len(c))]),
    "a list of rows": in_slices,
    "nested lists": lambda c: known(c).tolist(),
    "Fortran order": lambda c: np.asfortranarray(known(c)),
    "in place on its inputs": on_its_inputs,
    "prints and warnings": loudly,
    "big-endian": lambda c: known(c).astype(">f8"),
    "sums rounded in float32": lambda c: known(c).astype(np.float32) * np.float32(1.0001),
    "a model that errs a little": model,
}


@pytest.mark.parametrize("how", RIGHT)
def test_a_good_model_gets_full_marks_however_it_answers(how):
    verdict = verdict_on(RIGHT[how])
    assert verdict.points == QUESTION.points == 20, verdict
    assert "Of the way between" in verdict.diagnosis.text
    assert verdict.diagnosis.bugs == ()


# ---- wrong, by name ------------------------------------------------------------------------------------------------


def dropout(contexts, rng=np.random.default_rng(0)):  # noqa: B008
    return softmax(np.log(model(contexts)) * (rng.random((len(contexts), V)) > 0.3))


def averaged(contexts):
    return ps9_baselines.after_each()[contexts].mean(axis=1)


def last_bracket(contexts):
    """Knows all but one thing: what closes is of the kind that opened last, closed or not."""
    p, K = known(contexts), brackets.KINDS
    for row, context in zip(p, contexts, strict=True):
        opened = context[context < K]
        if len(opened):
            closing = row[K : 2 * K].sum()
            row[K : 2 * K] = 0.05 * closing / K
            row[K + opened[-1]] += 0.95 * closing
    return 0.95 * p + 0.05 / V


def echoed(contexts):
    return 0.9 * np.eye(V)[contexts[:, -1]] + 0.1 * model(contexts)


def alphabetical(p):
    return p[:, [brackets.ALPHABET.index(symbol) for symbol in sorted(brackets.ALPHABET)]]


def guessing(contexts):
    return softmax(0.1 * np.sin(contexts[:, -9:] @ np.arange(1, 10))[:, None] * np.cos(np.arange(V)))


def astray(contexts):
    odd = np.sin(contexts[:, -9:] @ np.arange(1, 10) * 1.7)[:, None]
    return softmax(4 * np.cos(np.arange(V) * 2.3 + 3 * odd))


def backwards(contexts):
    mixed = 0.8 * TWO[contexts[:, 1], contexts[:, 0]] + 0.2 * TWO[contexts[:, 8], contexts[:, 3]]
    return 0.9 * mixed + 0.1 * TWO[contexts[:, 5], contexts[:, 9]]


WRONG = {
    "every_step_returned": lambda c: np.repeat(model(c)[:, None], c.shape[1], axis=1),
    "time_for_sequences": lambda c: np.full((c.shape[1], V), 1 / V),
    "transposed": lambda c: model(c).T,
    "axis_left_over": lambda c: model(c)[None],
    "one_answer_for_all": lambda c: model(c)[-1],
    "symbols_in_place_of_probabilities": lambda c: model(c).argmax(axis=1),
    "one_probability_a_context": lambda c: model(c).max(axis=1),
    "another_vocabulary": lambda c: np.column_stack([model(c), np.zeros(len(c))]),
    "states_in_place_of_probabilities": lambda c: np.tile(model(c), 5)[:, :64],
    "not_finite": lambda c: np.exp(800 * model(c)) / np.exp(800 * model(c)).sum(axis=1, keepdims=True) * np.inf,
    "drowned_in_its_state": lambda c: softmax(1e3 * np.sin(c[:, -9:] @ np.arange(1, 10) * 1.7)[:, None] * np.arange(V)),
    "hard_choice": lambda c: np.eye(V)[model(c).argmax(axis=1)],
    "log_probabilities": lambda c: np.log(model(c)),
    "softmax_over_the_batch": lambda c: softmax(np.log(model(c)), axis=0),
    "softmax_over_everything": lambda c: model(c) / model(c).sum(),
    "percent": lambda c: 100 * model(c),
    "whole_numbers": lambda c: model(c).astype(int),
    "rounded": lambda c: model(c).round(2),
    "floor_not_divided_again": lambda c: model(c) + 1e-4,
    "rows_sum_alike": lambda c: 2 * model(c),
    "sigmoid_for_softmax": lambda c: 1 / (1 + np.exp(-np.log(model(c)) - 2)),
    "not_divided_by_the_sum": lambda c: model(c) * (1 + c[:, :1]),
    "tanh_for_softmax": lambda c: np.tanh(np.log(model(c)) + 2),
    "logits": lambda c: np.log(model(c)) + c[:, :1],
    "probability_zero": lambda c: (
        np.where(model(c) < 0.05, 0, model(c)) / np.where(model(c) < 0.05, 0, model(c)).sum(1)[:, None]
    ),
    "rows_in_another_order": lambda c: model(c)[np.lexsort(c.T[::-1])],
    "changes_from_call_to_call": dropout,
    "depends_on_its_company": lambda c: softmax(
        np.log(model(c)) - 0.8 * np.log(model(c)).mean(axis=0) * (len(c) > 1000)
    ),
    "uniform": lambda c: np.full((len(c), V), 1 / V),
    "contexts_ignored": lambda c: np.tile(brackets.stationary() @ brackets.grammar().p, (len(c), 1)),
    "says_the_last_symbol_again": echoed,
    "only_the_first_symbol": lambda c: ps9_baselines.after_each()[c[:, 0]],
    "only_the_last_symbol": lambda c: ps9_baselines.after_each()[c[:, -1]],
    "only_the_last_few_symbols": lambda c: TWO[c[:, -2], c[:, -1]],
    "symbols_in_another_order": lambda c: alphabetical(model(c)),
    "read_backwards": backwards,
    "one_symbol_short": lambda c: 0.99 * known(c[:, :-1]) + 0.01 / V,
    "stops_on_the_way": lambda c: 0.99 * known(c[:, :30]) + 0.01 / V,
    "padding_read": lambda c: 0.95 * ps9_baselines.after_each()[8] + 0.05 * model(c),
    "averaged_over_steps": averaged,
    "softmax_twice": lambda c: softmax(model(c)),
    "not_trained": guessing,
    "too_sure": lambda c: softmax(3 * np.log(model(c))),
    "too_cautious": lambda c: softmax(0.4 * np.log(model(c))),
    "worse_than_a_guess": astray,
    "weights_misread": lambda c: softmax(np.log(model(c)) + 1.5 * np.cos(np.arange(V))),
    "symbols_out_of_proportion": lambda c: softmax(np.log(model(c)) + 0.8 * np.cos(np.arange(V))),
    "no_better_than_one_symbol": lambda c: 0.9 * AFTER[c[:, -1]] + 0.1 * AFTER[c[:, 0]],
    "only_the_last_bracket": last_bracket,
}


def test_every_mistake_is_made_here_once():
    assert list(WRONG) == [mistake.name for mistake in MISTAKES]
    assert len(WRONG) >= 40


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_loses_points_and_hears_its_name(name):
    verdict = verdict_on(WRONG[name])
    assert verdict.diagnosis.bugs == (name,), verdict
    assert verdict.points < QUESTION.points
    mistake = next(mistake for mistake in MISTAKES if mistake.name == name)
    assert mistake.says in verdict.diagnosis.text
    if name in WRONG and list(WRONG).index(name) <= list(WRONG).index("probability_zero"):
        assert verdict.points == 0


@pytest.mark.parametrize(
    ("name", "slip"),
    [
        ("whole_numbers", lambda c: (100 * model(c)).astype(int)),
        ("rounded", lambda c: model(c).round(2).astype(np.float16)),
        ("rounded", lambda c: model(c).round(2) / model(c).round(2).sum(axis=1, keepdims=True)),
        ("floor_not_divided_again", lambda c: np.maximum(model(c), 0.01)),
        ("floor_not_divided_again", lambda c: model(c).astype(np.float32) + np.float32(1e-4)),
        ("rows_sum_alike", lambda c: 0.9 * model(c)),
        ("not_divided_by_the_sum", lambda c: np.exp(np.log(model(c)) + np.sin(c[:, -1:]))),
        ("hard_choice", lambda c: np.eye(V, dtype=int)[model(c).argmax(axis=1)]),
    ],
)
def test_a_mistake_of_form_in_another_dress_hears_the_same_name(name, slip):
    assert verdict_on(slip).diagnosis.bugs == (name,)


# ---- a trained model, read with a slip -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights():
    """Of a small LSTM and a small GRU, trained for seconds: arrays by name, by cell."""
    trained = {}
    for cell, epochs in (("lstm", 3), ("gru", 2)):
        language = LanguageModel(V, cell, embedding_size=16, hidden_size=32, rng=0, dtype=np.float32)
        data = Stream(ps9_baselines.training_text()[:100_000], N=32, T=48)
        adam = Adam(language.parameters, 0.01)
        train(language, data, adam, epochs=epochs, clip=1.0, schedule=cosine_decay(epochs * len(data), 0.02))
        trained[cell] = language.parameters
    return trained


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm(weights, order="ifgo", gate=sigmoid, out=np.tanh, exchanged=False, biased=True, head_bias=True):
    """A learner's predict for an LSTM, right or with a slip."""
    E, W_ih, W_hh = (weights[name] for name in ("embedding.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0"))
    bias = biased * (weights["rnn.bias_ih_l0"] + weights["rnn.bias_hh_l0"])

    def predict(contexts):
        h = c = np.zeros((len(contexts), W_hh.shape[1]))
        for symbol in contexts.T:
            z = dict(zip(order, np.split(E[symbol] @ W_ih.T + h @ W_hh.T + bias, 4, axis=1), strict=True))
            c = gate(z["f"]) * c + gate(z["i"]) * np.tanh(z["g"])
            h = gate(z["o"]) * out(c)
            h, c = (c, h) if exchanged else (h, c)
        return softmax(h @ weights["head.weight"].T + head_bias * weights["head.bias"])

    return predict


def gru(weights, order="rzn", biased=True, kept="z"):
    """A learner's predict for a GRU, right or with a slip."""
    E, W_ih, W_hh = (weights[name] for name in ("embedding.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0"))
    b_ih, b_hh = (biased * weights[f"rnn.bias_{side}_l0"] for side in ("ih", "hh"))

    def predict(contexts):
        h = np.zeros((len(contexts), W_hh.shape[1]))
        for symbol in contexts.T:
            x = dict(zip(order, np.split(E[symbol] @ W_ih.T + b_ih, 3, axis=1), strict=True))
            s = dict(zip(order, np.split(h @ W_hh.T + b_hh, 3, axis=1), strict=True))
            z, n = sigmoid(x["z"] + s["z"]), np.tanh(x["n"] + sigmoid(x["r"] + s["r"]) * s["n"])
            h = z * h + (1 - z) * n if kept == "z" else (1 - z) * h + z * n
        return softmax(h @ weights["head.weight"].T + weights["head.bias"])

    return predict


SURELY = {"weights_misread", "worse_than_a_guess", "drowned_in_its_state"}  # the weights come first in what they say
MAYBE = SURELY | {"too_sure", "too_cautious", "symbols_out_of_proportion", "no_better_than_one_symbol"}
SLIPS = {
    "gates i, f, o, g": (lstm, {"order": "ifog"}, SURELY),
    "gates f, i, o, g": (lstm, {"order": "fiog"}, SURELY),
    "gates i, g, f, o": (lstm, {"order": "igfo"}, SURELY),
    "gates o, i, f, g": (lstm, {"order": "oifg"}, SURELY),
    "no sigmoid": (lstm, {"gate": lambda z: z}, SURELY | {"not_finite"}),
    "no tanh of c": (lstm, {"out": lambda c: c}, SURELY),
    "tanh for sigmoid": (lstm, {"gate": np.tanh}, MAYBE),
    "h and c exchanged": (lstm, {"exchanged": True}, MAYBE),
    "no bias": (lstm, {"biased": False}, MAYBE | {""}),  # it hardly matters to this one
    "GRU's gates z, r, n": (gru, {"order": "zrn"}, SURELY),
    "GRU's gates n, r, z": (gru, {"order": "nrz"}, SURELY),
    "GRU's z the other way round": (gru, {"kept": "1 - z"}, SURELY),
    "GRU without bias": (gru, {"biased": False}, MAYBE),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_weights_that_are_misread_are_not_put_down_to_the_training_alone(weights, slip):
    cell, how, names = SLIPS[slip]
    verdict = verdict_on(cell(weights[cell.__name__], **how))
    assert set(verdict.diagnosis.bugs or ("",)) <= names, verdict.diagnosis
    if verdict.diagnosis.bugs != ("not_finite",):
        assert "the cell under “Does predict say what was trained?”" in verdict.diagnosis.text.replace("The", "the")


def test_a_forgotten_bias_of_the_last_layer_is_asked_about(weights):
    read = {**weights["lstm"], "head.bias": 0.8 * np.cos(np.arange(V))}  # as far as a bias gets in a longer training
    read["head.bias"] = weights["lstm"]["head.bias"] - read["head.bias"]
    verdict = verdict_on(lstm(read))
    assert verdict.diagnosis.bugs == ("symbols_out_of_proportion",)
    assert "bias of the last layer left out in predict" in verdict.diagnosis.text


@pytest.mark.parametrize("cell", [lstm, gru])
def test_weights_that_are_read_right_are_not_called_misread(weights, cell):
    verdict = verdict_on(cell(weights[cell.__name__]))
    assert 5 <= verdict.points < 20
    assert verdict.diagnosis.bugs == ()


def test_a_text_learned_by_heart_is_not_called_misread():
    language = LanguageModel(V, "lstm", embedding_size=16, hidden_size=32, rng=0, dtype=np.float32)
    data = Stream(ps9_baselines.training_text()[:8_000], N=32, T=25)
    train(language, data, Adam(language.parameters, 0.02), epochs=60, clip=1.0)
    assert verdict_on(lstm(language.parameters)).diagnosis.bugs == ("too_sure",)


def test_the_cell_that_the_verdicts_name_is_there():
    notebook = (COURSE / "release" / SET / f"{SET}.ipynb").read_text()
    assert "**Does predict say what was trained?**" in notebook


def test_every_diagnosis_points_to_a_section_that_exists():
    lesson = (ROOT / "notebooks" / QUESTION.lesson).read_text()
    for mistake in MISTAKES:
        assert f'"## {mistake.read}' in lesson, mistake.name


def test_what_no_mistake_explains_is_measured_and_not_guessed():
    verdict = verdict_on(lambda c: 0.5 * known(c) + 0.5 * TWO[c[:, -2], c[:, -1]])
    assert 13 <= verdict.points < 20
    assert verdict.diagnosis.bugs == ()
    assert "is which bracket closes" in verdict.diagnosis.text
    assert "where it was opened within four symbols" in verdict.diagnosis.text


# ---- the ladder ----------------------------------------------------------------------------------------------------


def test_the_best_ngram_is_the_best_on_the_validation_text():
    text, valid = ps9_baselines.training_text(), ps9_baselines.validation_text()

    def nats(order, discount):
        return NGram(text, V, order=order, discount=discount).surprise(valid).mean()

    best = nats(ps9_baselines.BEST_ORDER, ps9_baselines.DISCOUNT)
    others = [nats(order, ps9_baselines.DISCOUNT) for order in (3, 5, 6)] + [nats(4, 0.6), nats(4, 0.95)]
    assert best < min(others) + 0.003


def test_an_ngrams_loss_is_that_of_its_probabilities():
    contexts, targets = brackets.contexts(40, 9, np.random.default_rng(0))
    for order in (1, 2, 4):
        counted = ps9_baselines.counted(order)
        expected = [-np.log(counted.probabilities(c)[t]) for c, t in zip(contexts, targets, strict=True)]
        np.testing.assert_allclose(ps9_baselines.surprise(counted, contexts, targets), expected)


@pytest.mark.parametrize("seed", [PUBLIC_SEED, SEED, 2**63])
def test_the_rungs_lie_in_order_between_the_baselines_and_the_source(seed):
    drawn = judge.trial(QUESTION, seed)
    assert len(drawn.targets) >= 5_000
    bars = [drawn.bar(level).mean() for level in QUESTION.levels]
    ladder = [*(nats.mean() for nats in drawn.baselines.values())]
    assert ladder == sorted(ladder, reverse=True)
    assert bars == sorted(bars, reverse=True)
    assert ladder[1] > bars[0] > bars[1] > ladder[2]
    assert ladder[3] > bars[2] + scored.MOST_ROOM  # luck and leniency lift no n-gram there
    assert bars[-1] > drawn.floor.mean() + scored.MOST_ROOM


@pytest.mark.parametrize("seed", [PUBLIC_SEED, SEED])
def test_no_ngram_is_paid_for_a_memory(seed):
    drawn = judge.trial(QUESTION, seed)
    for name, earned in (("single symbols", 0), ("the last symbol alone", 5), ("the best n-gram", 5)):
        nats = drawn.baselines[name]
        paid = 0
        for level in QUESTION.levels:
            over = nats - drawn.bar(level)
            room = 0.0 if seed == PUBLIC_SEED else min(scored.ROOM * over.std() / np.sqrt(len(over)), scored.MOST_ROOM)
            paid += level.points * (over.mean() <= room)
        assert paid == earned, name


def test_what_the_check_pays_the_grader_pays_whatever_the_seed():
    """A model at the very edge of a rung in the check keeps it under other seeds."""

    def mixed(share):
        return lambda c: (1 - share) * known(c) + share * TWO[c[:, -2], c[:, -1]]

    share = max(s for s in np.arange(0.3, 1, 0.02) if verdict_on(mixed(s), PUBLIC_SEED).points >= 16)
    for seed in (SEED, 2, 3):
        assert verdict_on(mixed(share), seed).points >= 16


def test_a_large_variance_buys_no_leniency():
    verdict = verdict_on(lambda c: softmax(3.4 * np.log(model(c))))
    perplexity = float(verdict.diagnosis.text.split()[1])
    drawn = judge.trial(QUESTION, SEED)
    for level, part in zip(QUESTION.levels, verdict.parts, strict=False):
        allowed = drawn.bar(level).mean() + scored.MOST_ROOM + 0.002  # the perplexity is printed with two digits
        assert bool(part.points) <= (np.log(perplexity) <= allowed)


# ---- nothing to be had otherwise -----------------------------------------------------------------------------------


def test_sums_above_one_earn_nothing():
    for factor in (1.01, 1.5, 14):
        assert verdict_on(lambda c, by=factor: known(c) * by).points == 0


def test_what_is_paid_for_steadiness_is_no_gift():
    assert verdict_on(WRONG["uniform"]).points == 0
    unsteady = verdict_on(lambda c: known(c) if len(c) > 1 else np.full((1, V), 1 / V))
    assert unsteady.points == 18
    assert unsteady.diagnosis.bugs == ("depends_on_its_company",)


@pytest.mark.parametrize(
    "answers",
    [
        None,
        [],
        "full marks",
        [{"value": {"kind": "none"}}] * 4,
        [{"value": {"kind": "tuple", "items": []}}] * 4,
        [{"value": {"kind": "other", "type": "array of shape (999999999, 999999999, 9), larger than"}}] * 4,
        [{"value": {"kind": "other", "type": "array of shape (6000, 14), larger than 8 MiB"}}] * 4,
        [{"raised": {"type": 3, "message": None, "line": -1}}] * 4,
        [{"points": 20}] * 4,
        [{"value": {"kind": "array", "dtype": "<c16", "shape": [0], "data": "", "layout": "C"}}] * 4,
    ],
)
def test_a_forged_answer_is_judged_and_earns_nothing(answers):
    verdict = judge.judge(QUESTION, answers, SEED)
    assert verdict.points == 0
    assert verdict.diagnosis.text


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        (FileNotFoundError("No such file: 'weights.npz'"), "beside the notebook"),
        (ValueError("Object arrays cannot be loaded when allow_pickle=False"), "np.savez"),
        (zipfile.BadZipFile("File is not a zip file"), "cut off"),
        (KeyError("W_hh is not a file in the archive"), "files lists those"),
        (NameError("name 'step' is not defined"), "training cell"),
        (ModuleNotFoundError("No module named 'rnnlib'"), "NumPy"),
        (MemoryError("Unable to allocate 1.00 TiB"), "memory"),
    ],
)
def test_what_goes_wrong_with_the_weights_is_told_with_its_usual_cause(raises, says):
    def predict(contexts):
        raise raises

    assert says in verdict_on(predict).diagnosis.text


# ---- files: graded by the real command -----------------------------------------------------------------------------


def bomb():
    """An .npz of a few kilobytes that declares a terabyte."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 17)}
        )
        archive.writestr("opens.npy", header.getvalue() + bytes(4 << 20))
    return file.getvalue()


# student: what they wrote, what lies beside it, points, what they are told
CLASS = {
    "ada": (BAYES, {"weights.npz": packed(**rules())}, 20, "has gone 100 %"),
    "ben_renamed": (BAYES, {"weights (2).npz": packed(**rules())}, 20, "has gone 100 %"),
    "eve_nothing": (None, {}, 0, "still raises NotImplementedError"),
    "fay_forgot": (BAYES, {}, 0, "There is no weights.npz in the submission; there is only the notebook."),
    "gus_torch": (BAYES, {"model.pt": b"PK"}, 0, "there is model.pt"),
    "hal_two": (BAYES, {"a.npz": b"1", "b.npz": b"2"}, 0, "there is a.npz, b.npz"),
    "ida_large": (BAYES, {"weights.npz": bytes(ingest.MAX_DATA + 1)}, 0, "larger than 8 MiB"),
    "jon_broken": (BAYES, {"weights.npz": packed(**rules())[:-40]}, 0, "was it cut off"),
    "kai_text": (BAYES, {"weights.npz": b"0.1 0.2 0.3"}, 0, "np.savez"),
    "lea_objects": (BAYES, {"weights.npz": packed(**{**rules(), "opens": np.array([{}, []], object)})}, 0, "np.savez"),
    "mo_bomb": (BAYES, {"weights.npz": bomb()}, 0, "MemoryError"),
    "nil_link": (BAYES, {"weights.npz": None}, 0, "is a link, not a file"),
}


def hand_in(course, student, text, files):
    folder = course.root / "submitted" / student / SET
    folder.mkdir(parents=True)
    notebook = json.loads(course.released_path(SET).read_text())
    for cell in notebook["cells"]:
        if cell["id"] == "capstone_solution" and text:
            cell["source"] = text
    (folder / f"{SET}.ipynb").write_text(json.dumps(notebook))
    for name, content in files.items():
        if content is None:
            (folder / name).symlink_to("/etc/passwd")
        else:
            (folder / name).write_bytes(content)


def grade(course, *more):
    path = course.root / "records.json"
    assert cli.main(["grade", SET, "--course", str(course.root), "--json", str(path), *map(str, more)]) == 0
    return {record["student"]: record for record in json.loads(path.read_text())}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = tmp_path_factory.mktemp("course")
    shutil.copy(COURSE / "nbgrader_config.py", root)
    for kind in ("source", "release"):
        shutil.copytree(COURSE / kind / SET, root / kind / SET)
    made = Course.at(root)
    for student, (text, files, _, _) in CLASS.items():
        hand_in(made, student, text, files)
    return made


@pytest.fixture(scope="module")
def records(course):
    return grade(course, "--seed", 7)


@pytest.mark.sandbox
@pytest.mark.parametrize("student", CLASS)
def test_whatever_lies_beside_the_notebook_is_graded_with_a_reason(records, student):
    _, _, points, says = CLASS[student]
    record = records[student]
    assert record["points"] == points, record
    assert says in record["questions"]["capstone"]["message"]
    assert record["ended"] == "finished"
    assert record["sandboxed"]


LOOK = """import os, stat
there = [name for name in os.listdir(".") if not name.startswith(".")]
print(there, [oct(stat.S_IMODE(os.stat(name).st_mode)) for name in there])
try:
    open("weights.npz", "r+b")
except (PermissionError, FileNotFoundError) as error:
    print(type(error).__name__)
open("left_behind.npz", "w").write("x")
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", [Sandbox, KernelSandbox])
def test_a_file_reaches_its_own_submission_only_and_read_only(kind):
    with kind() as box:
        outcomes = [box.run([LOOK], {}, files) for files in ({"weights.npz": b"abc"}, {}, {"weights.npz": b"x"})]
    said = [outcome.cells[0].outputs[0]["text"] for outcome in outcomes]
    assert said[0] == said[2] == "['weights.npz'] ['0o444']\nPermissionError\n"
    assert said[1] == "[] []\nFileNotFoundError\n"


@pytest.mark.sandbox
def test_only_what_changed_is_graded_again(records, course):
    def lines():
        return (course.root / "journal" / f"{SET}.jsonl").read_text().count('"key"')

    before = lines()
    grade(course)
    assert lines() == before
    (course.root / "submitted/ada" / SET / "weights.npz").write_bytes(packed(**rules(), more=np.ones(1)))
    assert grade(course)["ada"]["points"] == 20
    assert lines() == before + 1


@pytest.mark.sandbox
def test_stock_nbgrader_autograde_reads_the_weights_too(course, records, tmp_path):
    students = ["ben_renamed", "fay_forgot"]
    for folder in ("source", "release", "private"):
        shutil.copytree(course.root / folder, tmp_path / folder)
    shutil.copy(course.root / "nbgrader_config.py", tmp_path)
    for student in students:
        shutil.copytree(course.root / "submitted" / student, tmp_path / "submitted" / student)
    path = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in (["generate_assignment", SET, "--force"], ["autograde", SET]):
        done = subprocess.run(["nbgrader", *command], cwd=tmp_path, env=path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "gradebook.db") as db:
        rows = db.execute(
            "select s.student_id, g.auto_score from grade g join base_cell b on g.cell_id = b.id"
            " and b.name = 'capstone' join submitted_notebook n on g.notebook_id = n.id"
            " join submitted_assignment s on n.assignment_id = s.id"
        ).fetchall()
    assert dict(rows) == {student: records[student]["points"] for student in students}


def test_collecting_takes_the_newest_weights_and_nothing_else(tmp_path):
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr(f"work/{SET}.ipynb", "{}")
        archive.writestr("work/weights.npz", "in the zip")
        archive.writestr("work/secrets.txt", "no")

    def files(**content):
        made = [unpack.File(name.replace("__", "."), lambda raw=raw: raw) for name, raw in content.items()]
        return [HandedIn(Who("ada"), file, file.name) for file in made]

    wanted = ("weights.npz",)
    plain = choose(files(**{f"{SET}__ipynb": b"{}", "weights__npz": b"w", "other__txt": b"o"}), SET, wanted)
    assert (plain.notebook, plain.data, plain.others) == (b"{}", {"weights.npz": b"w"}, ("other.txt",))
    packed_up = choose(files(all__zip=inside.getvalue()), SET, wanted)
    assert packed_up.data == {"weights.npz": b"in the zip"}
    assert packed_up.others == ("all.zip: work/secrets.txt",)
    beside = choose(files(**{f"{SET}__ipynb": b"{}", "weights (1)__npz": b"w"}), SET, wanted)
    assert beside.data == {"weights.npz": b"w"}
    assert choose(files(**{f"{SET}__ipynb": b"{}", "weights__npz": b"w"}), SET).data == {}


def test_other_weights_draw_other_contexts():
    assert _own_seed(1, [], {"weights.npz": b"a"}) != _own_seed(1, [], {"weights.npz": b"b"}) != _own_seed(1, [], {})


def test_the_set_may_take_longer_than_others():
    assert generous(SET, Limits()).cell_seconds == 60
    assert generous(SET, Limits(cell_seconds=500)).cell_seconds == 500
    assert generous("ps1_rnn", Limits()) == Limits()


def test_names_of_mistakes_are_distinct():
    assert max(Counter(mistake.name for mistake in MISTAKES).values()) == 1
