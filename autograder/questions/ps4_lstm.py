"""Problem set 4: an LSTM's step and its loop over time, forwards and back (lesson 07).

The four models are written in the same words, so that a step's mistake is one edit wherever it is made.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograder.model import joined
from autograder.question import Arrays, Backward, Bug, Case, Part, Question, with_upstream
from autograder.questions.gated import BACK_THROUGH_TIME, LOOP_BUGS, OF_WEIGHTS, STEP, SWEEP_BUGS, WEIGHTS
from autograder.questions.ps4_lstm_bugs import (
    CAROUSEL,
    COMMON_BACKWARD_BUGS,
    COMMON_FORWARD_BUGS,
    EASING_BUGS,
    GATES,
    RARER_BACKWARD_BUGS,
    RARER_FORWARD_BUGS,
    order_bugs,
)
from rnnlib.cells import lstm

LESSON = "07_lstm.ipynb"
_STATES = {"h_next": ("sequence", "unit"), "c_next": ("sequence", "unit")}


def _inputs(rng: np.random.Generator, N: int, D: int, H: int, T: int | None = None) -> Arrays:
    """x, h, c, W_ih, W_hh, b_ih, b_hh, of a size at which the gates bend and are not saturated."""
    x = rng.normal(size=(N, D) if T is None else (T, N, D))
    h, c = rng.uniform(-0.9, 0.9, (N, H)), rng.uniform(-1.5, 1.5, (N, H))
    W_ih, W_hh = rng.normal(0, 0.8 / np.sqrt(D), (4 * H, D)), rng.normal(0, 1.2 / np.sqrt(H), (4 * H, H))
    return x, h, c, W_ih, W_hh, *rng.uniform(0.2, 0.6, (2, 4 * H)) * rng.choice([-1, 1], (2, 4 * H))


# ---- one step ------------------------------------------------------------------------------------------------------


def _step_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = Case("N=3, D=4, H=5", _inputs(rng, 3, 4, 5))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("all sizes equal", _inputs(rng, 4, 4, 4))
    yield Case("arrays that are not contiguous", _inputs(rng, 2, 5, 3), layout="strided")
    yield Case("one sequence", _inputs(rng, 1, 3, 4), edge=True)
    yield Case("one hidden unit", _inputs(rng, 3, 2, 1), edge=True, layout="F")


def _step_model(x, h, c, W_ih, W_hh, b_ih, b_hh):  # type: ignore[no-untyped-def]
    a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i = 1 / (1 + np.exp(-a_i))
    f = 1 / (1 + np.exp(-a_f))
    g = np.tanh(a_g)
    o = 1 / (1 + np.exp(-a_o))
    c_next = f * c + i * g
    h_next = o * np.tanh(c_next)
    return h_next, c_next


def _step_reference(*arguments: np.ndarray) -> Arrays:
    h_next, c_next, _ = lstm.step_forward(*arguments)
    return h_next, c_next


ONE_STEP = Question(
    name="lstm_step",
    title="One step of an LSTM",
    arguments=("x", "h", "c", *WEIGHTS),
    outputs=("h_next", "c_next"),
    axes=_STATES,
    reference=_step_reference,
    cases=_step_cases,
    parts=(
        Part("c_next", 2, ("c_next",)),
        Part("h_next", 2, ("h_next",)),
        Part("one sequence, one unit", 1, ("h_next", "c_next"), edge=True),
    ),
    model=_step_model,
    bugs=(
        Bug(
            "states_returned_crosswise",
            {"return h_next, c_next": "return c_next, h_next"},
            "Both of your states are right, and they come back in the other order: h_next first.",
            STEP,
        ),
        *COMMON_FORWARD_BUGS,
        *EASING_BUGS,
        *RARER_FORWARD_BUGS,
        *order_bugs(both_ways=False),
    ),
    lesson=LESSON,
)


# ---- one step back -------------------------------------------------------------------------------------------------


def _step_back_cases(rng: np.random.Generator) -> Iterator[Case]:
    return with_upstream(_step_cases(rng), lambda case: tuple(rng.normal(size=s.shape) for s in case.inputs[1:3]))


def _step_back(dh_next, dc_next, x, h, c, W_ih, W_hh, i, f, g, o, c_next):  # type: ignore[no-untyped-def]
    tanh_c = np.tanh(c_next)
    do = dh_next * tanh_c
    dc_t = dc_next + dh_next * o * (1 - tanh_c**2)
    di = dc_t * g
    df = dc_t * c
    dg = dc_t * i
    dc = dc_t * f
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_g = dg * (1 - g**2)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
    db = da.sum(axis=0)
    dx = da @ W_ih
    dh = da @ W_hh
    dW_ih, dW_hh = da.T @ x, da.T @ h
    return dx, dh, dc, dW_ih, dW_hh, db, (db + 0)


def _step_back_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dh_next, dc_next = arguments
    h_next, c_next, cache = lstm.step_forward(*inputs)
    return h_next, c_next, *lstm.step_backward(dh_next, dc_next, cache)


_STEP_OUTPUTS = ("dx", "dh", "dc", "dW_ih", "dW_hh", "db_ih", "db_hh")
STEP_BACKWARD = Question(
    name="lstm_step_backward",
    title="One step back",
    arguments=("x", "h", "c", *WEIGHTS),
    outputs=("h_next", "c_next", *_STEP_OUTPUTS),
    axes={
        **_STATES,
        "dx": ("sequence", "input"),
        "dh": ("sequence", "unit"),
        "dc": ("sequence", "unit"),
        **OF_WEIGHTS,
    },
    reference=_step_back_reference,
    cases=_step_back_cases,
    parts=(
        Part("dc", 2, ("dc",)),
        Part("dx and dh", 2, ("dx", "dh")),
        Part("dW_ih and dW_hh", 2, ("dW_ih", "dW_hh")),
        Part("db_ih and db_hh", 1, ("db_ih", "db_hh")),
        Part("one sequence, one unit", 1, _STEP_OUTPUTS, edge=True),
    ),
    model=joined(
        (*ONE_STEP.arguments, "dh_next", "dc_next"),
        (_step_model, _step_back),
        ("h_next", "c_next", "dx", "dh", "dc", "dW_ih", "dW_hh", "db", "(db + 0)"),
    ),
    bugs=(*COMMON_FORWARD_BUGS, *order_bugs(both_ways=True), *COMMON_BACKWARD_BUGS, *RARER_BACKWARD_BUGS),
    lesson=LESSON,
    backward=Backward("lstm_step", "lstm_step_backward", ("dh_next", "dc_next"), _STEP_OUTPUTS),
)


# ---- over time -----------------------------------------------------------------------------------------------------


def _time_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = Case("T=4, N=3, D=2, H=5", _inputs(rng, 3, 2, 5, T=4))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("all sizes equal", _inputs(rng, 4, 4, 4, T=4))
    yield Case("arrays that are not contiguous", _inputs(rng, 2, 3, 2, T=3), layout="strided")
    yield Case("one step", _inputs(rng, 2, 3, 4, T=1), edge=True)
    yield Case("one sequence", _inputs(rng, 1, 2, 3, T=4), edge=True, layout="F")


def _time_model(xs, h0, c0, W_ih, W_hh, b_ih, b_hh):  # type: ignore[no-untyped-def]
    h = h0
    c = c0
    hs = []
    for x in xs:
        a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i = 1 / (1 + np.exp(-a_i))
        f = 1 / (1 + np.exp(-a_f))
        g = np.tanh(a_g)
        o = 1 / (1 + np.exp(-a_o))
        c_next = f * c + i * g
        h_next = o * np.tanh(c_next)
        hs.append(h_next)
        h = h_next
        c = c_next
    return np.stack(hs), h_next, c_next


def _time_reference(*arguments: np.ndarray) -> Arrays:
    hs, h_last, c_last, _ = lstm.forward(*arguments)
    return hs, h_last, c_last


_CARRY_BUGS = (
    Bug(
        "initial_state_ignored",
        {"h = h0": "h = 0 * h0"},
        "Your first step begins with zeros in place of h0: perhaps a window came before.",
        STEP,
    ),
    Bug(
        "initial_cell_ignored",
        {"c = c0": "c = 0 * c0"},
        "Your first step begins with zeros in place of c0: perhaps a window came before.",
        STEP,
    ),
    Bug(
        "state_never_updated",
        {"h = h_next": "h = h0"},
        "At every step your gates read h0: the new state is never put in its place.",
        STEP,
        eases=True,
    ),
    Bug(
        "cell_never_updated",
        {"c = c_next": "c = c0"},
        "At every step your cell begins with c0: the new cell state is never put in its place.",
        CAROUSEL,
        eases=True,
    ),
    Bug(
        "cell_not_carried",
        {"c = c_next": "c = 0 * c_next"},
        "After every step your cell state is back at zero. It is what the LSTM remembers with: carry it on like h.",
        CAROUSEL,
        eases=True,
    ),
    Bug(
        "states_carried_crosswise",
        {"h = h_next": "h = c_next", "c = c_next": "c = h_next"},
        "From one step to the next your h and c change places. In which order does your step return them?",
        STEP,
    ),
    Bug(
        "state_carried_in_place_of_cell",
        {"c = c_next": "c = h_next"},
        "What you carry on as the cell state is h: the output gate and tanh come between one step's c and the next's.",
        CAROUSEL,
    ),
)

FORWARD = Question(
    name="lstm_forward",
    title="An LSTM over time",
    arguments=("x", "h0", "c0", *WEIGHTS),
    outputs=("hs", "h_last", "c_last"),
    axes={"hs": ("step", "sequence", "unit"), "h_last": ("sequence", "unit"), "c_last": ("sequence", "unit")},
    reference=_time_reference,
    cases=_time_cases,
    parts=(
        Part("hs", 3, ("hs",)),
        Part("h_last and c_last", 2, ("h_last", "c_last")),
        Part("one step, one sequence", 1, ("hs", "h_last", "c_last"), edge=True),
    ),
    model=_time_model,
    bugs=(
        Bug(
            "cells_saved_for_states",
            {"hs.append(h_next)": "hs.append(c_next)"},
            "Your hs holds the cell states. What an LSTM shows to the outside is h.",
            GATES,
        ),
        Bug(
            "last_states_swapped",
            {"h_next, c_next\n": "c_next, h_next\n"},
            "Your h_last and c_last are right, in each other's place.",
            STEP,
        ),
        Bug(
            "last_states_are_the_first",
            {"h_next, c_next\n": "h0, c0\n"},
            "Your h_last and c_last are h0 and c0: the states before the sequence, not after it.",
            STEP,
        ),
        Bug(
            "last_cell_squashed",
            {"h_next, c_next\n": "h_next, np.tanh(c_next)\n"},
            "Your c_last has been through tanh. The next window needs the cell state as it is.",
            CAROUSEL,
        ),
        *LOOP_BUGS,
        *_CARRY_BUGS,
        *COMMON_FORWARD_BUGS,
        *RARER_FORWARD_BUGS,
        *order_bugs(both_ways=False),
    ),
    lesson=LESSON,
    builds_on=("lstm_step",),
)


# ---- back through time ---------------------------------------------------------------------------------------------


def _time_back_cases(rng: np.random.Generator) -> Iterator[Case]:
    def gradients(case: Case) -> Arrays:
        x, h0, c0, *_ = case.inputs
        return rng.normal(size=(len(x), *h0.shape)), rng.normal(size=h0.shape), rng.normal(size=c0.shape)

    return with_upstream(_time_cases(rng), gradients)


def _time_back_model(xs, h0, c0, W_ih, W_hh, b_ih, b_hh, dhs, dh_last, dc_last):  # type: ignore[no-untyped-def]
    h = h0
    c = c0
    hs, kept = [], []
    for x in xs:
        a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i = 1 / (1 + np.exp(-a_i))
        f = 1 / (1 + np.exp(-a_f))
        g = np.tanh(a_g)
        o = 1 / (1 + np.exp(-a_o))
        c_next = f * c + i * g
        h_next = o * np.tanh(c_next)
        hs.append(h_next)
        kept.append((x, h, c, a_i, a_f, a_g, a_o, i, f, g, o, c_next, h_next))
        h = h_next
        c = c_next
    h_last, c_last = h_next, c_next
    dxs, dW_ih, dW_hh, db_ih, db_hh = [], 0, 0, 0, 0
    dh = dh_last
    dc = dc_last
    for t in reversed(range(len(xs))):
        x, h, c, a_i, a_f, a_g, a_o, i, f, g, o, c_next, h_next = kept[t]
        dh_next = dhs[t] + dh
        dc_next = dc
        tanh_c = np.tanh(c_next)
        do = dh_next * tanh_c
        dc_t = dc_next + dh_next * o * (1 - tanh_c**2)
        di = dc_t * g
        df = dc_t * c
        dg = dc_t * i
        dc = dc_t * f
        da_i = di * i * (1 - i)
        da_f = df * f * (1 - f)
        da_g = dg * (1 - g**2)
        da_o = do * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        db = da.sum(axis=0)
        dx = da @ W_ih
        dh = da @ W_hh
        dxs.append(dx)
        dW_ih, dW_hh = dW_ih + da.T @ x, dW_hh + da.T @ h
        db_ih, db_hh = db_ih + db, db_hh + (db + 0)
    return np.stack(hs), h_last, c_last, np.stack(dxs[::-1]), dh, dc, dW_ih, dW_hh, db_ih, db_hh


def _time_back_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dhs, dh_last, dc_last = arguments
    hs, h_last, c_last, cache = lstm.forward(*inputs)
    return hs, h_last, c_last, *lstm.backward(dhs, dh_last, dc_last, cache)


_TIME_BUGS = (
    Bug(
        "later_states_forgotten",
        {"dhs[t] + dh": "dhs[t]"},
        "At each step your h gets its gradient only from that step's own output. It entered the gates of the next step "
        "too: two paths lead back into it, and they add.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "own_output_flows_into_the_cell_too",
        {"dc_next = dc\n": "dc_next = dc + dhs[t]\n"},
        "dhs[t] enters your cell's gradient directly, beside its way through h. It is the gradient of h alone; to c it "
        "comes through h = o tanh(c).",
        CAROUSEL,
    ),
    Bug(
        "later_state_counted_twice",
        {"dhs[t] + dh": "dhs[t] + dh + dh"},
        "What comes back through the gates of the next step is added twice to your h's gradient: perhaps once in the "
        "loop, and once more in the step.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "cell_gradient_not_carried",
        {"dc_next = dc": "dc_next = dc if t == len(xs) - 1 else 0 * dc"},
        "At every step your cell state's gradient begins from zero: what came back along the cell from the step after "
        "is dropped. That is the path an LSTM was made for.",
        CAROUSEL,
    ),
    Bug(
        "cell_gradient_never_updated",
        {"dc_next = dc": "dc_next = dc_last"},
        "At every step dc_last flows into your cell state: what you compute for the step before is never put in its "
        "place.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "last_cell_forgotten",
        {"dc = dc_last": "dc = 0 * dc_last"},
        "The gradient of the last cell state, dc_last, never enters. The loop back starts with it, not with zero.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "forget_gate_one_step_off",
        {"dc_next = dc": "dc_next = dc * f", "dc = dc_t * f": "dc = dc_t"},
        "Your cell state's gradient meets the forget gate of the neighbouring step. Between c at t - 1 and c at t "
        "stands f at t.",
        CAROUSEL,
    ),
    Bug(
        "first_step_meets_zeros",
        {"da.T @ h": "da.T @ (h if t > 0 else 0 * h)"},
        "Your dW_hh comes out when zeros stand before the first step. There the state was h0.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "first_cell_meets_zeros",
        {"dc_t * c": "dc_t * (c if t > 0 else 0 * c)"},
        "Your forget gate's gradient comes out when a cell state of zeros stands before the first step. There it was "
        "c0.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "first_step_meets_the_last_states",
        {"da.T @ h": "da.T @ (h if t > 0 else h_last)", "dc_t * c": "dc_t * (c if t > 0 else c_last)"},
        "Your gradients come out when the first step meets the last states: at t = 0 an index of t - 1 is that of the "
        "last step. Before the first step there were h0 and c0.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "initial_state_gradient_too_early",
        {"dh, dc, dW": "dh_next, dc, dW"},
        "Your dh0 is the gradient of the first state, not of the state before it: one step of the way back is missing.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "initial_cell_gradient_too_early",
        {"dh, dc, dW": "dh, dc_t, dW"},
        "Your dc0 is the gradient of the first cell state, not of the one before it: one step of the way back is "
        "missing.",
        BACK_THROUGH_TIME,
    ),
)

_TIME_OUTPUTS = ("dx", "dh0", "dc0", "dW_ih", "dW_hh", "db_ih", "db_hh")
BACKWARD = Question(
    name="lstm_backward",
    title="Back through time",
    arguments=("x", "h0", "c0", *WEIGHTS),
    outputs=("hs", "h_last", "c_last", *_TIME_OUTPUTS),
    axes={
        **FORWARD.axes,
        "dx": ("step", "sequence", "input"),
        "dh0": ("sequence", "unit"),
        "dc0": ("sequence", "unit"),
        **OF_WEIGHTS,
    },
    reference=_time_back_reference,
    cases=_time_back_cases,
    parts=(
        Part("dx", 2, ("dx",)),
        Part("dh0 and dc0", 2, ("dh0", "dc0")),
        Part("dW_ih and dW_hh", 3, ("dW_ih", "dW_hh")),
        Part("db_ih and db_hh", 1, ("db_ih", "db_hh")),
        Part("one step, one sequence", 1, _TIME_OUTPUTS, edge=True),
    ),
    model=_time_back_model,
    bugs=(
        *SWEEP_BUGS,
        *_TIME_BUGS,
        *(bug for bug in _CARRY_BUGS if not bug.eases),
        *COMMON_FORWARD_BUGS,
        *order_bugs(both_ways=True),
        *COMMON_BACKWARD_BUGS,
    ),
    lesson=LESSON,
    backward=Backward("lstm_forward", "lstm_backward", ("dhs", "dh_last", "dc_last"), _TIME_OUTPUTS),
    builds_on=("lstm_step", "lstm_step_backward", "lstm_forward"),
)

QUESTIONS = (ONE_STEP, STEP_BACKWARD, FORWARD, BACKWARD)
