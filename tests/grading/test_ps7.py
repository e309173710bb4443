"""Problem set 7: right answers get full marks however they are written, slips are paid for once, examples are true."""

from __future__ import annotations

import itertools
import re
import warnings
from typing import Any

import numpy as np
import pytest

from autograder.check import check
from autograder.course_files import Course
from autograder.questions import find, questions_of
from rnnlib import optim
from rnnlib.data import batching
from rnnlib.training.loop import stalled
from tests.conftest import ROOT
from tests.grading.habits import given_back, in_float32, noisy, single
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps7_training/ps7_training.ipynb"
RELEASED = ROOT / "autograder/course/release/ps7_training/ps7_training.ipynb"


@pytest.fixture(scope="module")
def given(cells):
    """What a learner is given: the network, clipping, and what the locked cells share."""
    names: dict[str, Any] = {"check": lambda *anything: None, "np": np}
    for cell in ("setup", "given_network", "given_learning"):
        exec(cells[cell].source.replace("from autograder.check import check", ""), names)
    return names


@pytest.fixture(scope="module")
def judged(cells, given):
    """Check a learner's function by a locked cell."""

    def verdict(question, function):
        said: list[Any] = []
        names = {**given, "check": lambda *asked: said.append(check(*asked)), question: function}
        if question == "train":
            exec(cells["read_stream"].source.split("def one_after")[0], names)
        exec(cells[question].source, names)
        return said[0]

    return verdict


def lost(verdict):
    return {part.name for part in verdict.parts if part.points < part.max_points}


# ---- how others write it -------------------------------------------------------------------------------------------


def adam(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    m = beta_1 * m + (1 - beta_1) * gradient
    v = beta_2 * v + (1 - beta_2) * gradient**2
    m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
    return parameter - rate * m_hat / (np.sqrt(v_hat) + eps) - rate * decay * parameter, m, v


def adam_shrinks_first(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    shrunk = parameter * (1 - rate * decay)
    m = m + (1 - beta_1) * (gradient - m)
    v = v + (1 - beta_2) * (gradient * gradient - v)
    scale = np.sqrt(1 - beta_2**t)
    return shrunk - rate / (1 - beta_1**t) * m * scale / (np.sqrt(v) + eps * scale), m, v


def adam_in_place_on_copies(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    parameter, m, v = parameter.copy(), np.array(m), v.copy(order="F")
    m *= beta_1
    m += (1 - beta_1) * gradient
    v *= beta_2
    v += (1 - beta_2) * np.square(gradient)
    parameter *= 1 - rate * decay
    parameter -= rate * (m / (1 - np.power(beta_1, t))) / (np.power(v / (1 - beta_2**t), 0.5) + eps)
    return [parameter, m, v]


def adam_entry_by_entry(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    new = [np.empty(parameter.shape) for _ in range(3)]
    for i in np.ndindex(parameter.shape):
        for out, number in zip(
            new, adam(parameter[i], gradient[i], m[i], v[i], t, rate, beta_1, beta_2, eps, decay), strict=True
        ):
            out[i] = number
    return tuple(new)


def adam_of_the_library(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    weights = {"w": np.array(parameter)}
    adam = optim.AdamW(weights, float(rate), betas=(beta_1, beta_2), eps=eps, weight_decay=decay)
    adam.restore({"steps": t - 1, "learning_rate": rate, "mean.w": m, "mean_square.w": v})
    adam.step({"w": np.array(gradient)})
    return weights["w"], adam.memory["mean"]["w"], adam.memory["mean_square"]["w"]


def rate_at(step, steps, warmup, peak, floor=0.0):
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min((step - warmup) / (steps - warmup), 1)
    return floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2


def rate_of_the_library(step, steps, warmup, peak, floor=0.0):
    fall = optim.cosine_decay(steps - warmup, floor / peak)
    return peak * (optim.linear_warmup(warmup, fall) if warmup else fall)(step)


def rate_looked_up(step, steps, warmup, peak, floor=0.0):
    fall = (peak + floor) / 2 + (peak - floor) / 2 * np.cos(np.linspace(0, np.pi, steps - warmup + 1))
    table = [*(peak * k / warmup for k in range(1, warmup + 1)), *fall]
    return np.float64(table[min(step, steps)])


def rate_squared_cosine(step, steps, warmup, peak, floor=0.0):
    if warmup and step + 1 <= warmup:
        return (step + 1) * (peak / warmup)
    if step >= steps:
        return floor
    return floor + (peak - floor) * np.cos(np.pi / 2 * (step - warmup) / (steps - warmup)) ** 2


def perplexity(nats, lengths):
    total = tokens = 0
    for batch, L in zip(nats, lengths, strict=True):
        valid = np.arange(len(batch))[:, None] < L
        total += batch[valid].sum()
        tokens += valid.sum()
    return total / tokens, np.exp(total / tokens)


def perplexity_weighted(nats, lengths):
    """A mean of means, rightly weighted."""
    pairs = [
        (np.where((np.arange(len(x)) < L[:, None]).T, x, 0).sum(), L.sum()) for x, L in zip(nats, lengths, strict=True)
    ]
    means, counts = zip(*((s / n, n) for s, n in pairs if n), strict=True)
    mean = np.average(means, weights=counts)
    return np.array(mean), np.array(np.exp(mean))


def perplexity_looped(nats, lengths):
    every = [x for batch, L in zip(nats, lengths, strict=True) for n in range(len(L)) for x in batch[: L[n], n]]
    mean = sum(every) / len(every)
    return [mean, 2 ** (mean / np.log(2))]


def perplexity_in_place(nats, lengths):
    for batch, L in zip(nats, lengths, strict=True):
        for n, length in enumerate(L):
            batch[length:, n] = 0
    mean = sum(np.einsum("tn->", batch) for batch in nats) / np.concatenate(lengths).sum()
    return mean, np.prod(np.exp([mean]))


def perplexity_joined(nats, lengths):
    joined = np.concatenate([b[np.arange(len(b))[:, None] < L] for b, L in zip(nats, lengths, strict=True)])
    return joined.mean(), float(np.exp(joined.mean()))


def early_stop(losses, patience, min_delta=0.0):
    best, keep, waited = np.inf, 0, 0
    for epoch, loss in enumerate(losses):
        if loss < best - min_delta:
            best, keep, waited = loss, epoch, 0
        else:
            waited += 1
            if waited >= patience:
                return epoch, keep
    return len(losses) - 1, keep


def early_stop_by_distance(losses, patience, min_delta=0.0):
    """No counter: how long ago the kept epoch was."""
    keep, best, epoch = -1, float("inf"), -1
    while epoch + 1 < len(losses) and epoch - keep < patience:
        epoch += 1
        if best - losses[epoch] > min_delta:
            keep, best = epoch, losses[epoch]
    return [epoch, max(keep, 0)]


def early_stop_by_patience_left(losses, patience, min_delta=0.0):
    left, seen = patience, [(np.inf, 0)]
    for epoch, loss in enumerate(np.where(np.isnan(losses), np.inf, losses).tolist()):
        better = loss + min_delta < seen[-1][0]
        left = patience if better else left - 1
        seen += [(loss, epoch)] * better
        if not left:
            break
    return np.int64(epoch), np.int32(seen[-1][1])


def windows(stream, N, T):
    R = (len(stream) - 1) // N
    inputs, targets = (part.reshape(N, R).T for part in (stream[: N * R], stream[1 : N * R + 1]))
    return [inputs[t : t + T] for t in range(0, R, T)], [targets[t : t + T] for t in range(0, R, T)]


def windows_looped(stream, N, T):
    R = (len(stream) - 1) // N
    rows = [stream[n * R : (n + 1) * R + 1] for n in range(N)]
    inputs, targets = [], []
    for t in range(0, R, T):
        inputs.append([[row[s] for row in rows] for s in range(t, min(t + T, R))])
        targets.append([[row[s + 1] for row in rows] for s in range(t, min(t + T, R))])
    return inputs, targets


def windows_split(stream, N, T):
    R = (len(stream) - 1) // N
    rows = np.stack(np.split(stream[: N * R], N), axis=1)
    after = np.append(rows[1:], stream[R : N * R + 1 : R][None], axis=0)
    return tuple(np.split(part, range(T, R, T)) for part in (rows, after))


def windows_gathered(stream, N, T):
    R = (len(stream) - 1) // N
    where = np.arange(R)[:, None] + R * np.arange(N)
    cuts = [where[t : t + T] for t in range(0, R, T)]
    return [stream[w].astype(float) for w in cuts], [np.asfortranarray(stream[w + 1]) for w in cuts]


ALONE = {
    "adam_step": {
        "plain": adam,
        "shrinks first": adam_shrinks_first,
        "in place on copies": adam_in_place_on_copies,
        "entry by entry": adam_entry_by_entry,
        "the library's": adam_of_the_library,
        "prints and warnings": noisy(adam),
        "float32": in_float32(adam),
        "Fortran order": given_back(adam, np.asfortranarray),
        "nested lists": given_back(adam, np.ndarray.tolist),
    },
    "learning_rate_at": {
        "plain": rate_at,
        "the library's": rate_of_the_library,
        "looked up": rate_looked_up,
        "a squared cosine": rate_squared_cosine,
        "prints and warnings": noisy(rate_at),
        "float32": lambda *asked: np.float32(rate_at(*asked)),
        "an array": lambda *asked: np.array(rate_at(*asked)),
    },
    "perplexity": {
        "plain": perplexity,
        "weighted": perplexity_weighted,
        "looped": perplexity_looped,
        "in place": perplexity_in_place,
        "joined": perplexity_joined,
        "prints and warnings": noisy(perplexity),
        "float32": in_float32(perplexity),
    },
    "early_stop": {
        "plain": early_stop,
        "by distance": early_stop_by_distance,
        "patience left": early_stop_by_patience_left,
        "prints and warnings": noisy(early_stop),
        "floats": lambda *asked: tuple(map(float, early_stop(*asked))),
        "of a list": lambda losses, *asked: early_stop(losses.tolist(), *asked),
    },
    "windows": {
        "plain": windows,
        "looped": windows_looped,
        "split": windows_split,
        "gathered": windows_gathered,
        "the library's": lambda *asked: batching.stream_windows(*asked)[:2],
        "prints and warnings": noisy(windows),
    },
}


@pytest.mark.parametrize(
    ("question", "function"),
    [pytest.param(q, f, id=f"{q}: {how}") for q, ways in ALONE.items() for how, f in ways.items()],
)
def test_a_correct_solution_gets_full_marks_however_it_is_written(judged, question, function):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = judged(question, function)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


def readers(read_window):
    """Ways to write read_stream."""

    def plain(inputs, targets, starts, weights):
        h, nats = np.zeros((starts.shape[1], len(weights["W_hh"]))), []
        for x, y, begins in zip(inputs, targets, starts, strict=True):
            some, h = read_window(x, y, np.where(begins[:, None], 0, h), weights)
            nats.append(some)
        return nats, h

    def in_place(inputs, targets, starts, weights):
        nats, h = [None] * len(inputs), np.full((inputs[0].shape[1], weights["b"].size), 7.0)
        for k in range(len(inputs)):
            h[starts[k]] = 0
            nats[k], h = read_window(inputs[k], targets[k], h, weights)
        return tuple(nats), h

    def multiplied(inputs, targets, starts, weights):
        h, nats = 0 * weights["b"] * np.ones((starts.shape[1], 1)), []
        for k, window in enumerate(zip(inputs, targets, strict=True)):
            nats_k, h = read_window(*window, h * (1 - starts[k].astype(float))[:, None], weights)
            nats += [nats_k.tolist()]
        return nats, h.tolist()

    def row_by_row(inputs, targets, starts, weights):
        K, N = starts.shape
        nats, last = [np.empty(x.shape) for x in inputs], []
        for n in range(N):
            h = np.zeros((1, len(weights["W_hh"])))
            for k in range(K):
                h = np.zeros_like(h) if starts[k, n] else h
                some, h = read_window(inputs[k][:, n : n + 1], targets[k][:, n : n + 1], h, weights)
                nats[k][:, n] = some[:, 0]
            last.append(h[0])
        return nats, last

    def step_by_step(inputs, targets, starts, weights):
        h, nats = np.zeros((starts.shape[1], len(weights["W_hh"]))), []
        for k, window in enumerate(inputs):
            h = np.where(starts[k, :, np.newaxis], 0.0, h)
            nats.append([])
            for t in range(len(window)):
                some, h = read_window(window[t : t + 1], targets[k][t : t + 1], h, weights)
                nats[-1].append(some[0])
        return nats, np.asfortranarray(h)

    return {
        "plain": plain,
        "in place": in_place,
        "multiplied": multiplied,
        "row by row": row_by_row,
        "step by step": step_by_step,
        "prints and warnings": noisy(plain),
    }


READERS = ("plain", "in place", "multiplied", "row by row", "step by step", "prints and warnings")


@pytest.mark.parametrize("how", READERS)
def test_a_state_is_carried_rightly_however_it_is_written(judged, given, how):
    with np.errstate(all="ignore"):
        verdict = judged("read_stream", readers(given["read_window"])[how])
    assert verdict.points == verdict.max_points, str(verdict)


def trainer(given, step=adam, schedule=rate_at, **slips):
    """A way to write train, with its own step and schedule, and with slips by name."""

    def train(weights, inputs, targets, epochs, peak, warmup, max_norm, after_epoch):
        start, weights = weights, weights if "callers_dict" in slips else dict(weights)
        memory = {name: [np.zeros(w.shape), np.zeros(w.shape)] for name, w in weights.items()}
        log, h = [], np.zeros((inputs[0].shape[1], len(weights["W_hh"])))
        for _ in range(epochs):
            h = h if "state_kept" in slips else np.zeros(h.shape)
            for x, y in zip(inputs, targets, strict=True):
                h = np.zeros(h.shape) if "state_reset" in slips else h
                loss, gradients, h = given["learn_window"](x, y, h, weights)
                clipped, norm = given["clip"](gradients, max_norm)
                s = len(log)
                steps = len(inputs) * (1 if "one_epoch" in slips else epochs)
                rate = schedule(s + ("late" in slips), steps, warmup, peak)
                for name, gradient in clipped.items():
                    t = s + ("t_from_zero" not in slips)
                    weights[name], *memory[name] = step(weights[name], gradient, *memory[name], t, rate)
                log.append((loss, rate, norm))
            if after_epoch(start if "first_told" in slips else weights):
                break
        losses, rates, norms = zip(*log, strict=True)
        return weights, losses, rates, norms

    return train


def train_by_the_library(given):
    def train(weights, inputs, targets, epochs, peak, warmup, max_norm, after_epoch):
        weights = {name: array.copy() for name, array in weights.items()}
        adam, log = optim.Adam(weights), np.zeros((3, epochs * len(inputs)))
        schedule = [rate_at(s, epochs * len(inputs), warmup, peak) for s in range(log.shape[1])]
        for _ in range(epochs):
            h = np.zeros((inputs[0].shape[1], len(weights["W_hh"])))
            for k in range(len(inputs)):
                loss, gradients, h = given["learn_window"](inputs[k], targets[k], h, weights)
                clipped, norm = optim.clip_by_global_norm(gradients, max_norm)
                log[:, adam.steps] = loss, schedule[adam.steps], norm
                adam.step(clipped, schedule[adam.steps])
            if after_epoch(weights):
                break
        return weights, *log[:, : adam.steps]

    return train


@pytest.mark.parametrize("how", ["plain", "in place on copies", "the library's", "looked up", "noisy", "float32"])
def test_a_loop_is_right_however_it_is_written(judged, given, how):
    train = {
        "plain": trainer(given),
        "in place on copies": trainer(given, adam_in_place_on_copies),
        "the library's": train_by_the_library(given),
        "looked up": trainer(given, adam_shrinks_first, rate_looked_up),
        "noisy": noisy(trainer(given)),
        "float32": lambda weights, *others: trainer(given)({n: single(w) for n, w in weights.items()}, *others),
    }[how]
    verdict = judged("train", train)
    assert verdict.points == verdict.max_points, str(verdict)


# ---- learners' slips, as they write them ---------------------------------------------------------------------------


def adam_in_place(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    m *= beta_1
    m += (1 - beta_1) * gradient
    v *= beta_2
    v += (1 - beta_2) * gradient**2
    parameter -= rate * (m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + eps) + decay * parameter)
    return parameter, m, v


def adam_uncorrected(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    m, v = beta_1 * m + (1 - beta_1) * gradient, beta_2 * v + (1 - beta_2) * gradient**2
    return parameter - rate * m / (np.sqrt(v) + eps) - rate * decay * parameter, m, v


def adam_with_l2(parameter, gradient, *others):
    return adam(parameter, gradient + others[-1] * parameter, *others[:-1])


def perplexity_of_means(nats, lengths):
    mean = np.mean([perplexity([x], [L])[0] for x, L in zip(nats, lengths, strict=True)])
    return mean, np.exp(mean)


ADAM_PARTS = {part.name for part in find("adam_step").parts}
SLIPS = [
    (
        "adam_step",
        adam_uncorrected,
        ("bias_correction_missing",),
        {"the new parameter", "the first step, a late one, a gradient of zero"},
    ),
    ("adam_step", adam_with_l2, ("decay_in_the_gradient",), ADAM_PARTS - {"what came in stays as it was"}),
    (
        "adam_step",
        adam_in_place,
        ("parameter_changed_in_place", "moments_changed_in_place"),
        {"what came in stays as it was", "the first step, a late one, a gradient of zero"},
    ),
    (
        "learning_rate_at",
        lambda s, *others: rate_at(s, *others) if s >= others[1] else others[2] * s / others[1],
        ("warmup_starts_at_zero",),
        {"warm-up", "no warm-up, one step of it, after the end"},
    ),
    (
        "learning_rate_at",
        lambda s, S, w, peak, floor: rate_at(s, S, w, peak, 0) if s < w else max(rate_at(s, S, w, peak, 0), floor),
        ("floor_cuts_the_curve",),
        {"cosine", "no warm-up, one step of it, after the end"},
    ),
    ("perplexity", perplexity_of_means, ("mean_of_batch_means",), {p.name for p in find("perplexity").parts}),
    (
        "perplexity",
        lambda nats, lengths: (perplexity(nats, lengths)[0], 2 ** perplexity(nats, lengths)[0]),
        ("base_two",),
        {"perplexity", "one token, empty sequences"},
    ),
    (
        "early_stop",
        lambda losses, *others: (early_stop(losses, *others)[0], int(np.nanargmin(losses))),
        ("looks_into_the_future",),
        {"keep", "patience of one, NaN first, the last epoch, one epoch"},
    ),
    (
        "early_stop",
        lambda losses, patience, delta: early_stop(losses, patience + 1, delta),
        ("one_epoch_too_patient",),
        {p.name for p in find("early_stop").parts},
    ),
    (
        "windows",
        lambda x, N, T: (windows(x, N, T)[0], windows(x, N, T)[0]),
        ("targets_not_shifted",),
        {"targets", "one row, windows of one step, one window"},
    ),
    (
        "windows",
        lambda x, N, T: tuple(w[: len(x) // N // T] if (len(x) - 1) // N % T else w for w in windows(x, N, T)),
        ("short_window_dropped",),
        {p.name for p in find("windows").parts},
    ),
]


@pytest.mark.parametrize(("question", "function", "names", "parts"), SLIPS, ids=[slip[2][0] for slip in SLIPS])
def test_a_slip_as_it_is_really_written_hears_its_name_and_loses_just_its_parts(
    judged, question, function, names, parts
):
    with np.errstate(all="ignore"):
        verdict = judged(question, function)
    assert verdict.diagnosis.bugs == names, str(verdict)
    assert lost(verdict) == parts


def test_a_state_that_is_reset_in_every_window_hears_so(judged, given):
    read = readers(given["read_window"])["plain"]
    verdict = judged("read_stream", lambda x, y, starts, w: read(x, y, np.ones_like(starts), w))
    assert verdict.diagnosis.bugs == ("state_reset_in_every_window",)
    verdict = judged("read_stream", lambda x, y, starts, w: read(x, y, np.zeros_like(starts), w))
    assert verdict.diagnosis.bugs == ("state_never_reset",)


@pytest.mark.parametrize(
    ("slip", "name"),
    [
        ("state_reset", "state_reset_in_every_window"),
        ("state_kept", "state_carried_into_the_next_epoch"),
        ("t_from_zero", "correction_one_step_behind"),
        ("late", "schedule_asked_with_the_next_step"),
        ("callers_dict", "parameter_changed_in_place"),
        ("first_told", "after_epoch_sees_the_first_weights"),
        ("one_epoch", "schedule_of_one_epoch"),
    ],
)
def test_a_slip_in_the_loop_hears_its_name(judged, given, slip, name):
    with np.errstate(all="ignore"):
        verdict = judged("train", trainer(given, **{slip: True}))
    assert verdict.diagnosis.bugs == (name,), str(verdict)


def adam_without_eps(parameter, gradient, m, v, t, rate, beta_1=0.9, beta_2=0.999, eps=1e-8, decay=0.0):
    return adam(parameter, gradient, m, v, t, rate, beta_1, beta_2, 0.0, decay)


def adam_that_forgets(parameter, gradient, m, v, *others):
    return adam(parameter, gradient, m, v, *others)[0], m, v


@pytest.mark.parametrize("step", [adam_uncorrected, adam_in_place, adam_without_eps, adam_that_forgets])
def test_a_wrong_step_is_paid_for_once(judged, given, step):
    with np.errstate(all="ignore"):
        assert judged("adam_step", step).points < find("adam_step").points
        verdict = judged("train", trainer(given, step))
    assert verdict.points == verdict.max_points, str(verdict)
    assert "Nothing is wrong here but the slip in" in verdict.diagnosis.text


def test_with_a_right_step_the_same_loop_loses_its_points(judged, given):
    judged("adam_step", adam)
    assert judged("train", trainer(given, adam_uncorrected)).points < find("train").points


def test_too_many_or_too_few_things_are_named_as_such(judged):
    said = str(judged("adam_step", lambda *asked: adam(*asked)[0]))
    assert "returned one ndarray; expected 3, in this order: parameter, m, v" in said
    assert "returned nothing (is a `return` missing?)" in str(judged("windows", lambda *asked: None))
    assert "returned 3 things; expected 2" in str(judged("early_stop", lambda *asked: (1, 2, 3)))
    pairs = str(judged("windows", lambda *asked: list(zip(*windows(*asked), strict=True))))
    assert "a list in which inputs and targets go together" in pairs


def test_who_never_calls_after_epoch_hears_so(judged, given):
    def train(*asked):
        return trainer(given)(*asked[:-1], lambda weights: False)

    assert judged("train", train).diagnosis.bugs == ("after_epoch_never_called",)


def test_a_step_that_is_not_written_is_not_the_loops_fault(judged, given):
    def adam_step(*asked):
        raise NotImplementedError

    verdict = judged("train", trainer(given, adam_step))
    assert "Your function calls adam_step, which is not written yet." in str(verdict)


def softly_wrong_rates(step, steps, warmup, peak, floor=0.0):
    """As the three lines of the formula, with the floor forgotten in the second."""
    return floor if step >= steps else rate_at(step, steps, warmup, peak)


@pytest.mark.parametrize(
    ("question", "function", "name"),
    [
        ("learning_rate_at", softly_wrong_rates, "floor_forgotten"),
        (
            "learning_rate_at",
            lambda s, steps, w, peak, floor: rate_at(s, steps, w, peak),
            "floor_forgotten_also_after_the_end",
        ),
        (
            "learning_rate_at",
            lambda s, steps, w, peak, floor: peak * (s + 1) / w if s <= w else rate_at(s, steps, w, peak, floor),
            "warmup_one_step_too_long",
        ),
        (
            "perplexity",
            lambda nats, lengths: 2 * (sum(map(np.nansum, nats)) / np.concatenate(lengths).sum(),),
            "nan_skipped_in_the_sum",
        ),
        (
            "perplexity",
            lambda nats, lengths: 2 * (sum(x.sum() for x in nats) / sum(x.size for x in nats),),
            "padding_read_and_counted",
        ),
    ],
)
def test_a_slip_is_named_though_zero_divides_or_the_batch_is_cut(judged, question, function, name):
    def asked(*inputs):
        back = function(*inputs)
        return (back[0], np.exp(back[0])) if question == "perplexity" else back

    assert judged(question, asked).diagnosis.bugs == (name,)


@pytest.mark.parametrize("best", [0.0, 1.0, -np.inf])
def test_a_best_that_no_loss_reaches_is_named(judged, best):
    def stops(losses, patience, min_delta):
        return early_stop(np.where(losses < best - min_delta, losses, np.inf), patience, min_delta)

    assert judged("early_stop", stops).diagnosis.bugs == ("begins_below_all_losses",)


def test_with_no_margin_early_stopping_is_that_of_the_library():
    class Record:
        def __init__(self, loss):
            self.validation_loss = loss

    rng = np.random.default_rng(0)
    for patience, _ in itertools.product((1, 2, 3), range(20)):
        losses = rng.integers(0, 6, 9).astype(float)
        stop, keep = (int(n) for n in find("early_stop").reference(losses, np.array(patience), np.array(0.0)))
        history = [Record(loss) for loss in losses]
        first = [n for n in range(1, 10) if stalled(history[:n], patience)]
        assert stop == (first[0] - 1 if first else 8)
        assert keep == int(np.argmin(losses[: stop + 1]))


# ---- the notebooks -------------------------------------------------------------------------------------------------


def test_the_sources_own_solution_gets_full_marks_trains_and_is_drawn():
    shown = executed(SOURCE)
    for name, question in questions_of("ps7_training").items():
        assert float(shown[name]["text/plain"]) == question.points
    assert max(map(float, re.findall(r"[\d.]+e[+-]\d+", shown["whole"]["printed"]))) < 1e-12
    sgd, planned = map(float, re.findall(r"ends at ([\d.]+) nats", shown["story_picture"]["text/plain"]))
    assert planned < sgd - 0.5
    updates, keep, found = re.findall(r"[\d.]+\d|\d+", shown["the_run"]["printed"])
    assert int(updates) == 400
    assert 4 <= int(keep) <= 17  # neither the first epochs nor the last
    assert float(found) < 25
    for picture in ("story_picture", "valley", "the_log", "when_to_stop"):
        assert "image/png" in shown[picture]
    assert shown["writes"]["printed"].startswith("The statement ")


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps7_training"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    assert "Nothing to draw yet" in shown["valley"]["printed"]
    assert "Nothing to read yet" in shown["read_the_windows"]["printed"]
    assert "Nothing to compare yet" in shown["whole"]["printed"]
    assert "Nothing to train yet" in shown["the_run"]["printed"]
    for cell in ("the_log", "when_to_stop"):
        assert "Nothing to train yet" in shown[cell]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    asked = {name: question.points for name, question in questions_of("ps7_training").items()}
    assert list(graded.items()) == [*asked.items(), ("three_logs", 3)]
    said = re.findall(r"\*\*Points\*\* \| (\d+): (.*) \|", cells["title"].source)[0]
    assert int(said[0]) == sum(graded.values())
    assert [int(n) for n in re.findall(r"\d+", said[1])] == list(graded.values())


def test_the_written_answers_rubric_gives_its_points_and_stays_here(cells):
    rubric = cells["three_logs"].source
    assert rubric.startswith("### BEGIN MARK SCHEME")
    assert "1 point a run" in rubric
    assert all(f"Run {run} (" in rubric for run in "ABC")
    handout = {
        cell["id"]: cell["source"] for cell in Course.at(ROOT / "autograder/course").released("ps7_training")["cells"]
    }
    assert handout["three_logs"] == "YOUR ANSWER HERE"


# ---- worked examples -----------------------------------------------------------------------------------------------


def table(text):
    """The table rows of a text, by first entry: the other entries."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return {head.strip(): [entry.strip() for entry in entries] for head, *entries in rows}


def numbers(entries):
    return [float(entry.replace("−", "-")) for entry in entries]


def test_the_worked_steps_are_true(cells):
    theta, m, v = 1.0, 0.0, 0.0
    rows = table(cells["q1"].source)
    for t in (1, 2):
        g, *said = numbers(rows[str(t)])
        if t == 1:
            decayed = adam(theta, g, m, v, t, 0.1, decay=0.5)[0]
        theta, m, v = adam(theta, g, m, v, t, 0.1)
        np.testing.assert_allclose(said, [m, v, m / (1 - 0.9**t), v / (1 - 0.999**t), theta], atol=5.1e-5)
    assert f"would lead to {decayed:.4f}" in cells["q1"].source


def test_the_worked_rates_are_true(cells):
    rows = table(cells["q2"].source)
    rates = [rate_at(s, 7, 3, 1.0, 0.2) for s in range(8)]
    np.testing.assert_allclose(numbers(rows[r"$\eta_s$"]), rates, atol=5.1e-5)


def test_the_worked_perplexity_is_true(cells):
    nan = np.nan
    nats = [np.array([[1, 4], [2, nan], [3, nan]]), np.array([[0.5], [0.5]])]
    lengths = [np.array([3, 1]), np.array([2])]
    mean, right = perplexity(nats, lengths)
    with_means = perplexity_of_means(nats, lengths)[1]
    assert f"{mean:.4f} nats per token, a perplexity of {right:.4f}" in cells["q3"].source
    assert f"it would be {with_means:.4f}" in cells["q3"].source


def test_the_worked_epochs_are_true(cells):
    losses = numbers(table(cells["q4"].source)["loss"])
    stop, keep = early_stop(losses, 2)
    assert f"`stop` is {stop} and `keep` is {keep}" in cells["q4"].source
    stop, keep = early_stop(losses, 2, 0.15)
    assert f"`stop` {stop}, `keep` {keep}" in cells["q4"].source
    counts = [early_stop(losses[: n + 1], 9) for n in range(6)]
    row = table(cells["q4"].source)["in a row without an improvement"]
    assert [int(n) for n in row if n] == [stop - keep for stop, keep in counts]


def test_the_worked_windows_are_true(cells):
    letters = np.array(list("abcdefghijkl"))
    inputs, targets = windows(letters, 2, 3)
    rows = table(cells["q5"].source)
    for k, pair in enumerate(zip(inputs, targets, strict=True)):
        said = ["".join(part[:, n]) for n in range(2) for part in pair]
        assert rows[f"window {k}"] == said


# ---- the learner's pictures ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def room(cells):
    """What the source's cells leave behind: solutions and pictures, without the long run."""
    names: dict[str, Any] = {"__name__": "__main__", "check": lambda *anything: None, "np": np}
    names["display"] = lambda *scenes: None
    left_out = (
        "install",
        "setup",
        "story_picture",
        "read_the_windows",
        "whole",
        "the_run",
        "the_log",
        "when_to_stop",
        "writes",
    )
    exec("from rnnlib import viz", names)
    for cell in cells.values():
        if cell.cell_type == "code" and cell.id not in left_out:
            exec(cell.source, names)
    return names


def marks(scene, panel=0):
    return {mark.label: mark for mark in scene.panels[panel].marks if getattr(mark, "label", "")}


def test_the_walk_is_by_the_learners_own_step_and_rate(room, monkeypatch):
    before = marks(room["go_down"](0.4, 10, 60))["your Adam"]
    monkeypatch.setitem(room, "adam_step", adam_uncorrected)
    after = room["go_down"](0.4, 10, 60)
    assert not np.allclose(before.x, marks(after)["your Adam"].x, equal_nan=True)
    rates = after.panels[1].marks[0].y
    np.testing.assert_allclose(rates, [rate_at(s, 60, 10, 0.4) for s in range(60)])


def test_the_walk_begins_where_it_is_said_and_ends_lower(room):
    walk = marks(room["go_down"](0.4, 10, 60))["your Adam"]
    assert np.hypot(walk.x[-1], walk.y[-1]) < 0.3 * np.hypot(walk.x[0], walk.y[0])


def test_the_stop_that_is_drawn_is_the_learners_own(room, cells, monkeypatch):
    monkeypatch.setitem(room, "validation", [3.0, 2.0, 2.1, 1.9, 2.0, 1.9, 1.7])
    exec(cells["when_to_stop"].source.split("\npatience =")[0], room)
    scene = room["stopping"](2, 0.0)
    drawn = marks(scene)
    assert drawn["stop"].x.tolist() == [5, 5]
    assert drawn["keep"].x.tolist() == [3]
    assert len(drawn["trained"].x) == 6
    assert "epochs spared: 1" in scene.alt
    assert marks(room["stopping"](2, 0.15))["keep"].x.tolist() == [1]
