"""Problem set 2: one step back, backpropagation through time, its truncation, and a gradient check (lesson 04)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograder.question import Arrays, Backward, Bug, Case, Part, Question
from rnnlib.cells import rnn
from rnnlib.gradcheck import central_difference

LESSON = "04_bptt.ipynb"
_TWO_PATHS, _STEP, _TIME, _TRUNCATED, _CHECK = (
    "Two paths into every state",
    "One step back",
    "Back through time",
    "Truncated backpropagation",
    "Is my gradient right?",
)
_WEIGHTS = ("W_ih", "W_hh", "b_ih", "b_hh")
_OF_WEIGHTS = {
    "dW_ih": ("unit", "input"),
    "dW_hh": ("unit", "unit before"),
    "db_ih": ("unit",),
    "db_hh": ("unit",),
}


def _parameters(rng: np.random.Generator, D: int, H: int) -> Arrays:
    """W_ih, W_hh, b_ih, b_hh, of a size at which tanh bends and is not saturated."""
    W_ih, W_hh = rng.normal(0, 0.7 / np.sqrt(D), (H, D)), rng.normal(0, 0.9 / np.sqrt(H), (H, H))
    return W_ih, W_hh, *rng.uniform(0.1, 0.4, (2, H)) * rng.choice([-1, 1], (2, H))


# ---- one step back -----------------------------------------------------------------------------------------------


def _step_case(rng: np.random.Generator, name: str, N: int, D: int, H: int, **how: object) -> Case:
    inputs = (rng.normal(size=(N, D)), rng.uniform(-0.9, 0.9, (N, H)), *_parameters(rng, D, H))
    return Case(name, inputs, upstream=(rng.normal(size=(N, H)),), **how)  # type: ignore[arg-type]


def _step_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _step_case(rng, "N=3, D=4, H=5", 3, 4, 5)
    yield general
    yield Case("the same call again", general.inputs, upstream=general.upstream)
    yield _step_case(rng, "all sizes equal", 4, 4, 4)
    yield _step_case(rng, "arrays that are not contiguous", 2, 5, 3, layout="strided")
    yield _step_case(rng, "one sequence", 1, 3, 4, edge=True)
    yield _step_case(rng, "one hidden unit", 3, 2, 1, edge=True, layout="F")


def _step_model(x, h, W_ih, W_hh, b_ih, b_hh, dh_next):  # type: ignore[no-untyped-def]
    a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
    h_next = np.tanh(a)
    da = dh_next * (1 - h_next**2)
    dx = da @ W_ih
    dh = da @ W_hh
    dW_ih = da.T @ x
    dW_hh = da.T @ h
    db_ih = da.sum(axis=0)
    db_hh = da.sum(axis=0) + 0
    return h_next, dx, dh, dW_ih, dW_hh, db_ih, db_hh


def _step_reference(*arguments: np.ndarray) -> Arrays:
    x, h, W_ih, W_hh, b_ih, b_hh, dh_next = arguments
    h_next, cache = rnn.step_forward(x, h, W_ih, W_hh, b_ih, b_hh)
    return h_next, *rnn.step_backward(dh_next, cache)


_FORWARD_BUGS = (
    Bug(
        "recurrent_weights_not_transposed",
        {"h @ W_hh.T": "h @ W_hh"},
        "Already forwards, W_hh is used without a transpose. It is square, so no shape error warns you: its rows are "
        "the units that receive.",
        _TWO_PATHS,
    ),
    Bug(
        "input_bias_forgotten",
        {" + b_ih": ""},
        "Already forwards, b_ih is left out: both biases are added.",
        _TWO_PATHS,
    ),
    Bug(
        "recurrent_bias_forgotten",
        {" + b_hh": ""},
        "Already forwards, b_hh is left out: both biases are added.",
        _TWO_PATHS,
    ),
    Bug(
        "state_ignored",
        {"h @ W_hh.T": "0 * h"},
        "Already forwards, the previous state does not enter: there is nothing for a gradient to flow back through.",
        _TWO_PATHS,
        eases=True,
    ),
    Bug(
        "nonlinearity_forgotten",
        {"np.tanh(a)": "a"},
        "Already forwards, the nonlinearity is missing: the state is the sum itself.",
        _TWO_PATHS,
        eases=True,
    ),
)

_LOCAL_BUGS = (
    Bug(
        "derivative_forgotten",
        {" * (1 - h_next**2)": ""},
        "Your gradients come out when the derivative of tanh is left out: the gradient of the state was used as that "
        "of the sum before the nonlinearity. By what does tanh scale a small change?",
        _STEP,
    ),
    Bug(
        "derivative_of_the_sum",
        {"h_next**2": "a**2"},
        "Your gradients come out with 1 - a², the sum before tanh squared. tanh' is 1 - tanh(a)²: which of the two is "
        "the state?",
        _STEP,
    ),
    Bug(
        "derivative_applied_twice",
        {"(1 - h_next**2)": "(1 - np.tanh(h_next) ** 2)"},
        "Your gradients come out when tanh is applied once more before its derivative is taken. The state has been "
        "through tanh already.",
        _STEP,
    ),
    Bug(
        "derivative_of_the_old_state",
        {"(1 - h_next**2)": "(1 - h**2)"},
        "Your gradients come out with tanh' taken at the state before the step. Which state did this step's tanh give?",
        _STEP,
    ),
    Bug(
        "derivative_without_square",
        {"(1 - h_next**2)": "(1 - h_next)"},
        "Your gradients come out with 1 - h for tanh'. Something is missing on h.",
        _STEP,
    ),
    Bug(
        "sigmoid_derivative",
        {"(1 - h_next**2)": "h_next * (1 - h_next)"},
        "Your gradients come out with h(1 - h), the derivative of the logistic sigmoid. This nonlinearity is tanh.",
        _STEP,
    ),
    Bug(
        "input_gradient_transposed",
        {"da @ W_ih": "da @ W_ih.T"},
        "Where D = H your dx is that of W_ih transposed; elsewhere that cannot even be multiplied. Forwards, x meets "
        "W_ihᵀ: what does the gradient meet on its way back?",
        _STEP,
    ),
    Bug(
        "state_gradient_transposed",
        {"da @ W_hh": "da @ W_hh.T"},
        "Your gradient to the earlier state comes out when W_hh is transposed on the way back as well. Forwards it was "
        "W_hhᵀ; the way back is the transpose of that.",
        _STEP,
    ),
    Bug(
        "state_gradient_through_input_weights",
        {"da @ W_hh": "da @ W_ih", "da @ W_ih": "da @ W_hh"},
        "Where D = H your gradients of x and of the earlier state have changed matrices: which weight did each meet "
        "forwards?",
        _STEP,
    ),
    Bug(
        "weight_gradients_transposed",
        {"da.T @ x": "x.T @ da", "da.T @ h": "h.T @ da"},
        "Your weight gradients are transposed. A gradient has the shape of what it is the gradient of: W_ih is (H, D), "
        "rows are the units that receive.",
        _STEP,
    ),
    Bug(
        "recurrent_weights_meet_the_new_state",
        {"da.T @ h": "da.T @ h_next"},
        "Your dW_hh comes out when the state after the step is used. Forwards, W_hh met the state before it.",
        _STEP,
    ),
    Bug(
        "weights_averaged_over_the_batch",
        {"da.T @ x": "da.T @ x / len(x)", "da.T @ h": "da.T @ h / len(x)"},
        "Your weight gradients are divided by the number of sequences. If a mean is wanted, the loss takes it, and it "
        "is in the gradient that arrives: nothing is left to divide.",
        _STEP,
    ),
    Bug(
        "biases_averaged_over_the_batch",
        {"db_ih = da.sum(axis=0)": "db_ih = da.mean(axis=0)", "db_hh = da.sum(axis=0)": "db_hh = da.mean(axis=0)"},
        "Your bias gradients are means over the sequences. One bias serves all of them, and each adds its share.",
        _STEP,
    ),
    Bug(
        "bias_shared",
        {"da.sum(axis=0) + 0": "0 * da.sum(axis=0)"},
        "Your db_hh is zero. Both biases are added in the same place, so what flows to one flows to the other.",
        _STEP,
    ),
    Bug(
        "bias_split",
        {
            "db_ih = da.sum(axis=0)": "db_ih = da.sum(axis=0) / 2",
            "db_hh = da.sum(axis=0)": "db_hh = da.sum(axis=0) / 2",
        },
        "Your two bias gradients are halves. A sum passes its whole gradient on to each of its terms.",
        _STEP,
    ),
)

_STEP_OUTPUTS = ("dx", "dh", "dW_ih", "dW_hh", "db_ih", "db_hh")
STEP_BACKWARD = Question(
    name="rnn_step_backward",
    title="One step back",
    arguments=("x", "h", *_WEIGHTS),
    outputs=("h_next", *_STEP_OUTPUTS),
    axes={"h_next": ("sequence", "unit"), "dx": ("sequence", "input"), "dh": ("sequence", "unit"), **_OF_WEIGHTS},
    reference=_step_reference,
    cases=_step_cases,
    parts=(
        Part("dx and dh", 2, ("dx", "dh")),
        Part("dW_ih and dW_hh", 2, ("dW_ih", "dW_hh")),
        Part("db_ih and db_hh", 1, ("db_ih", "db_hh")),
        Part("one sequence, one unit", 1, _STEP_OUTPUTS, edge=True),
    ),
    model=_step_model,
    bugs=(*_FORWARD_BUGS, *_LOCAL_BUGS),
    lesson=LESSON,
    backward=Backward("rnn_step", "rnn_step_backward", ("dh_next",), _STEP_OUTPUTS),
)


# ---- back through time -------------------------------------------------------------------------------------------


def _time_case(rng: np.random.Generator, name: str, T: int, N: int, D: int, H: int, **how: object) -> Case:
    inputs = (rng.normal(size=(T, N, D)), rng.uniform(-0.9, 0.9, (N, H)), *_parameters(rng, D, H))
    upstream = (rng.normal(size=(T, N, H)), rng.normal(size=(N, H)))
    return Case(name, inputs, upstream=upstream, **how)  # type: ignore[arg-type]


def _time_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _time_case(rng, "T=5, N=3, D=2, H=4", 5, 3, 2, 4)
    yield general
    yield Case("the same call again", general.inputs, upstream=general.upstream)
    yield _time_case(rng, "all sizes equal", 4, 4, 4, 4)
    yield _time_case(rng, "arrays that are not contiguous", 3, 2, 5, 3, layout="strided")
    yield _time_case(rng, "one step", 1, 2, 3, 4, edge=True)
    yield _time_case(rng, "one sequence", 4, 1, 2, 3, edge=True, layout="F")


def _time_model(x, h0, W_ih, W_hh, b_ih, b_hh, dhs, dh_last):  # type: ignore[no-untyped-def]
    h, hs = h0, []
    for x_t in x:
        h = np.tanh(x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        hs.append(h)
    hs = np.stack(hs)
    dx = np.zeros_like(x)
    dW_ih, dW_hh, db_ih, db_hh = np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(b_ih), np.zeros_like(b_hh)
    dh = dh_last
    for t in reversed(range(len(x))):
        arrived = dhs[t] + dh
        h_before = hs[t - 1] if t > 0 else h0
        da = arrived * (1 - hs[t] ** 2)
        dx[t] = da @ W_ih
        dW_ih += da.T @ x[t]
        dW_hh += da.T @ h_before
        db_ih += da.sum(axis=0)
        db_hh += da.sum(axis=0) + 0
        dh = da @ W_hh
    return hs, hs[-1], dx, dh, dW_ih, dW_hh, db_ih, db_hh


def _time_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dhs, dh_last = arguments
    hs, h_last, cache = rnn.forward(*inputs)
    return hs, h_last, *rnn.backward(dhs, dh_last, cache)


def _in_time(bug: Bug, edits: dict[str, str]) -> Bug:
    """A step's mistake, made in the loop."""
    return Bug(bug.name, edits, bug.says, bug.read, bug.eases)


_STEP_EDITS: dict[str, dict[str, str]] = {
    "nonlinearity_forgotten": {
        "np.tanh(x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh)": "x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh"
    },
    "derivative_forgotten": {" * (1 - hs[t] ** 2)": ""},
    "derivative_applied_twice": {"(1 - hs[t] ** 2)": "(1 - np.tanh(hs[t]) ** 2)"},
    "derivative_of_the_old_state": {"(1 - hs[t] ** 2)": "(1 - h_before**2)"},
    "derivative_without_square": {"(1 - hs[t] ** 2)": "(1 - hs[t])"},
    "sigmoid_derivative": {"(1 - hs[t] ** 2)": "hs[t] * (1 - hs[t])"},
    "input_gradient_transposed": {"da @ W_ih": "da @ W_ih.T"},
    "state_gradient_transposed": {"da @ W_hh": "da @ W_hh.T"},
    "weight_gradients_transposed": {
        "np.zeros_like(W_ih)": "np.zeros_like(W_ih.T)",
        "da.T @ x[t]": "x[t].T @ da",
        "da.T @ h_before": "h_before.T @ da",
    },
    "recurrent_weights_meet_the_new_state": {"da.T @ h_before": "da.T @ hs[t]"},
    "weights_averaged_over_the_batch": {
        "da.T @ x[t]": "da.T @ x[t] / x.shape[1]",
        "da.T @ h_before": "da.T @ h_before / x.shape[1]",
    },
    "biases_averaged_over_the_batch": {
        "db_ih += da.sum(axis=0)": "db_ih += da.mean(axis=0)",
        "db_hh += da.sum(axis=0)": "db_hh += da.mean(axis=0)",
    },
    "bias_shared": {"da.sum(axis=0) + 0": "0 * da.sum(axis=0)"},
    "bias_split": {
        "db_ih += da.sum(axis=0)": "db_ih += da.sum(axis=0) / 2",
        "db_hh += da.sum(axis=0)": "db_hh += da.sum(axis=0) / 2",
    },
}
_AGAIN = tuple(
    _in_time(bug, _STEP_EDITS.get(bug.name, dict(bug.edits)))
    for bug in (*_FORWARD_BUGS, *_LOCAL_BUGS)
    if bug in _FORWARD_BUGS or bug.name in _STEP_EDITS
)

_TIME_OUTPUTS = ("dx", "dh0", "dW_ih", "dW_hh", "db_ih", "db_hh")
BACKWARD = Question(
    name="rnn_backward",
    title="Backpropagation through time",
    arguments=("x", "h0", *_WEIGHTS),
    outputs=("hs", "h_last", *_TIME_OUTPUTS),
    axes={
        "hs": ("step", "sequence", "unit"),
        "h_last": ("sequence", "unit"),
        "dx": ("step", "sequence", "input"),
        "dh0": ("sequence", "unit"),
        **_OF_WEIGHTS,
    },
    reference=_time_reference,
    cases=_time_cases,
    parts=(
        Part("dx", 2, ("dx",)),
        Part("dh0", 2, ("dh0",)),
        Part("dW_ih and dW_hh", 3, ("dW_ih", "dW_hh")),
        Part("db_ih and db_hh", 1, ("db_ih", "db_hh")),
        Part("one step, one sequence", 1, _TIME_OUTPUTS, edge=True),
    ),
    model=_time_model,
    bugs=(
        Bug(
            "later_steps_forgotten",
            {"dhs[t] + dh": "dhs[t]"},
            "At each step your gradient comes only from that step's own output. A state also reaches the loss through "
            "the next state: two paths lead back into it, and they add.",
            _TWO_PATHS,
        ),
        Bug(
            "own_output_forgotten",
            {"dhs[t] + dh": "dh"},
            "Your gradient enters at the last step alone; what each step's own output contributes, dhs[t], is missing.",
            _TWO_PATHS,
        ),
        Bug(
            "later_gradient_never_updated",
            {"        dh = da @ W_hh": "        dh_before = da @ W_hh", "dx, dh, dW_ih": "dx, dh_before, dW_ih"},
            "What you carry from step to step stays dh_last: it is computed anew at every step and never put in the "
            "place of the old one.",
            _TIME,
        ),
        Bug(
            "last_state_forgotten",
            {"dh = dh_last": "dh = 0 * dh_last"},
            "The gradient of the last state, dh_last, never enters. The loop back starts with it, not with zero.",
            _TIME,
        ),
        Bug(
            "carried_past_the_nonlinearity",
            {"dh = da @ W_hh": "dh = arrived @ W_hh"},
            "On its way to the step before, your gradient skips tanh': it goes through W_hh from behind the "
            "nonlinearity instead of from before it.",
            _TIME,
        ),
        Bug(
            "forwards_through_time",
            {"reversed(range(len(x)))": "range(len(x))"},
            "Your loop runs from the first step to the last. A gradient comes from later steps: they must be done "
            "before it can be passed on.",
            _TIME,
        ),
        Bug(
            "weights_overwritten",
            {"dW_ih += ": "dW_ih = ", "dW_hh += ": "dW_hh = "},
            "Your weight gradients are those of the first step alone: each step overwrites the one before. The same "
            "weights serve at every step, and every step adds its share.",
            _TIME,
        ),
        Bug(
            "biases_overwritten",
            {"db_ih += ": "db_ih = ", "db_hh += ": "db_hh = "},
            "Your bias gradients are those of the first step alone: each step overwrites the one before.",
            _TIME,
        ),
        Bug(
            "averaged_over_time",
            {
                "return hs, hs[-1], dx, dh, dW_ih, dW_hh, db_ih, db_hh": "T = len(x)\n    "
                "return hs, hs[-1], dx, dh, dW_ih / T, dW_hh / T, db_ih / T, db_hh / T"
            },
            "Your parameter gradients are divided by the number of steps. The loss is what takes means; gradients of "
            "shared weights add up over time.",
            _TIME,
        ),
        Bug(
            "first_step_meets_zeros",
            {"if t > 0 else h0": "if t > 0 else 0 * h0"},
            "Your dW_hh comes out when zeros stand before the first step. There the state was h0.",
            _TIME,
        ),
        Bug(
            "first_step_meets_the_last_state",
            {"hs[t - 1] if t > 0 else h0": "hs[t - 1]"},
            "Your dW_hh comes out when the first step meets the last state: hs[-1] is what hs[t - 1] means at t = 0. "
            "Before the first step there was h0.",
            _TIME,
        ),
        Bug(
            "initial_state_gradient_too_early",
            {"dx, dh, dW_ih": "dx, arrived, dW_ih"},
            "Your dh0 is the gradient of the first state, not of the state before it: one step of the way back is "
            "missing.",
            _TIME,
        ),
        Bug(
            "states_from_zero",
            {"h, hs = h0, []": "h, hs = 0 * h0, []"},
            "Already forwards, you begin with zeros instead of h0.",
            _TWO_PATHS,
        ),
        *_AGAIN,
    ),
    lesson=LESSON,
    backward=Backward("rnn_forward", "rnn_backward", ("dhs", "dh_last"), _TIME_OUTPUTS),
    builds_on=("rnn_step_backward",),
)


# ---- truncated -----------------------------------------------------------------------------------------------------


def _truncated_case(rng: np.random.Generator, name: str, T: int, N: int, D: int, H: int, k: int, **how: object) -> Case:
    inputs = (rng.normal(size=(T, N, D)), rng.uniform(-0.9, 0.9, (N, H)), *_parameters(rng, D, H))
    return Case(name, (*inputs, rng.normal(size=(T, N, H)), np.array(k)), **how)  # type: ignore[arg-type]


def _truncated_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _truncated_case(rng, "T=6 in windows of 2", 6, 3, 2, 4, 2)
    yield general
    yield Case("the same call again", general.inputs)
    yield _truncated_case(rng, "T=7 in windows of 3, the last shorter", 7, 2, 3, 3, 3)
    yield _truncated_case(rng, "windows of one step", 4, 2, 3, 4, 1, edge=True)
    yield _truncated_case(rng, "one window that holds everything", 4, 2, 3, 4, 9, edge=True, layout="strided")


def _truncated_model(x, h0, W_ih, W_hh, b_ih, b_hh, dhs, k):  # type: ignore[no-untyped-def]
    T, k = len(x), int(k)
    h, hs = h0, []
    for t in range(T):
        h = np.tanh(x[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        hs.append(h)
    dW_ih, dW_hh, db = np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(b_ih)
    for start in range(0, T, k):
        dh = np.zeros_like(h0)
        for t in reversed(range(start, min(start + k, T))):
            h_before = hs[t - 1] if t > 0 else h0
            da = (dhs[t] + dh) * (1 - hs[t] ** 2)
            dW_ih += da.T @ x[t]
            dW_hh += da.T @ h_before
            db += da.sum(axis=0)
            dh = da @ W_hh
    return dW_ih, dW_hh, db


def _truncated_reference(x, h0, W_ih, W_hh, b_ih, b_hh, dhs, k):  # type: ignore[no-untyped-def]
    h, total = h0, [np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(b_ih)]
    for start in range(0, len(x), int(k)):
        window = slice(start, start + int(k))
        _, h, cache = rnn.forward(x[window], h, W_ih, W_hh, b_ih, b_hh)
        gradients = rnn.backward(dhs[window], None, cache)
        for sum_, part in zip(total, (gradients.dW_ih, gradients.dW_hh, gradients.db_ih), strict=True):
            sum_ += part
    return tuple(total)


TRUNCATED = Question(
    name="truncated_bptt",
    title="Truncated BPTT",
    arguments=("x", "h0", *_WEIGHTS, "dhs", "k"),
    outputs=("dW_ih", "dW_hh", "db"),
    axes={"dW_ih": ("unit", "input"), "dW_hh": ("unit", "unit before"), "db": ("unit",)},
    reference=_truncated_reference,
    cases=_truncated_cases,
    parts=(
        Part("weights", 2, ("dW_ih", "dW_hh")),
        Part("biases", 1, ("db",)),
        Part("one step, one window", 1, ("dW_ih", "dW_hh", "db"), edge=True),
    ),
    model=_truncated_model,
    bugs=(
        Bug(
            "recurrent_weights_not_transposed",
            {"h @ W_hh.T": "h @ W_hh", "da.T @ h_before": "h_before.T @ da", "da @ W_hh": "da @ W_hh.T"},
            "Already forwards, W_hh is used without a transpose, and the way back goes with it. It is square, so no "
            "shape error warns you: its rows are the units that receive.",
            _TWO_PATHS,
        ),
        Bug(
            "gradient_crosses_windows",
            {
                "        dh = np.zeros_like(h0)\n": "",
                "    h, hs = h0, []": "    dh = np.zeros_like(h0)\n    h, hs = h0, []",
            },
            "Something of one window's gradient is left when the next begins: at its last step a window starts from "
            "zero.",
            _TRUNCATED,
        ),
        Bug(
            "not_truncated",
            {"range(0, T, k)": "range(0, T, T)", "min(start + k, T)": "T"},
            "Your gradient is that of full BPTT: nothing is cut off at a window's edge.",
            _TRUNCATED,
        ),
        Bug(
            "state_not_carried",
            {
                "hs[t - 1] if t > 0 else h0": "hs[t - 1] if t % k else h0",
                "    for t in range(T):\n": "    for t in range(T):\n        h = h if t % k else h0\n",
            },
            "Each of your windows begins with h0. Truncation cuts the gradient; the state is carried on.",
            _TRUNCATED,
        ),
        Bug(
            "state_reset_to_zero",
            {
                "hs[t - 1] if t > 0 else h0": "hs[t - 1] if t % k else (h0 if t == 0 else 0 * h0)",
                "    for t in range(T):\n": "    for t in range(T):\n        h = h if t % k or t == 0 else 0 * h0\n",
            },
            "Your windows after the first begin with zeros. Truncation cuts the gradient; the state is carried on.",
            _TRUNCATED,
        ),
        Bug(
            "last_window_dropped",
            {"range(0, T, k)": "range(0, T - k + 1, k)"},
            "The last window is missing where it is shorter than the others: its steps count too.",
            _TRUNCATED,
        ),
        Bug(
            "only_the_last_window",
            {"range(0, T, k)": "[(T - 1) // k * k]"},
            "Your gradient is that of the last window alone. The windows' gradients add up.",
            _TRUNCATED,
        ),
        Bug(
            "averaged_over_windows",
            {"return dW_ih, dW_hh, db": "n = -(-T // k)\n    return dW_ih / n, dW_hh / n, db / n"},
            "Your gradients are divided by the number of windows: they add up, as they do over steps.",
            _TRUNCATED,
        ),
        Bug(
            "windows_one_step_too_long",
            {"min(start + k, T)": "min(start + k + 1, T)"},
            "Your windows overlap by one step, which is counted twice.",
            _TRUNCATED,
        ),
        Bug(
            "windows_one_step_too_short",
            {"min(start + k, T)": "min(start + k - 1, T)"},
            "The last step of each window is missing: range stops before its end.",
            _TRUNCATED,
        ),
        Bug(
            "within_the_window_only_own_outputs",
            {"(dhs[t] + dh)": "dhs[t]"},
            "Within a window, too, a state reaches the loss through the next one: that path is missing.",
            _TWO_PATHS,
        ),
        Bug(
            "window_starts_with_zeros",
            {"hs[t - 1] if t > 0 else h0": "hs[t - 1] if t % k else 0 * h0"},
            "Your dW_hh comes out when zeros stand before each window's first step. W_hh met a state there.",
            _TRUNCATED,
        ),
        Bug(
            "derivative_forgotten",
            {" * (1 - hs[t] ** 2)": ""},
            "Your gradients come out when the derivative of tanh is left out.",
            _STEP,
        ),
    ),
    lesson=LESSON,
    builds_on=("rnn_step_backward", "rnn_backward"),
)


# ---- a gradient check ------------------------------------------------------------------------------------------------


def _check_case(rng: np.random.Generator, name: str, *shape: int, **how: object) -> Case:
    x, A = rng.uniform(-1, 1, shape), rng.uniform(1, 2, shape)
    return Case(name, (x, A, np.array(0.05)), **how)  # type: ignore[arg-type]


def _check_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _check_case(rng, "a (3, 4) matrix", 3, 4)
    yield general
    yield Case("the same call again", general.inputs)
    yield _check_case(rng, "a (4, 4) matrix that is not contiguous", 4, 4, layout="strided")
    yield _check_case(rng, "a vector", 5, edge=True)
    yield _check_case(rng, "three axes", 2, 3, 2, edge=True, layout="F")


def _check_model(x, A, h):  # type: ignore[no-untyped-def]
    x = x.copy()

    def f(v):  # type: ignore[no-untyped-def]
        return np.sum(np.sin(A * v)) + np.sum(v) ** 3 / 10

    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        above = f(x)
        x[i] = old - h
        below = f(x)
        x[i] = old
        gradient[i] = (above - below) / (2 * h)
    return (gradient,)


def _check_reference(x: np.ndarray, A: np.ndarray, h: np.ndarray) -> Arrays:
    return (central_difference(lambda v: np.sum(np.sin(A * v)) + np.sum(v) ** 3 / 10, x, step=float(h)),)


CHECK = Question(
    name="numerical_gradient",
    title="A numerical gradient",
    arguments=("x", "A", "h"),
    outputs=("gradient",),
    axes={"gradient": ("row", "column")},
    reference=_check_reference,
    cases=_check_cases,
    parts=(Part("matrices", 3, ("gradient",)), Part("other shapes", 1, ("gradient",), edge=True)),
    model=_check_model,
    bugs=(
        Bug(
            "one_sided",
            {"x[i] = old - h": "x[i] = old", "(2 * h)": "h"},
            "Your numbers are those of one side only, f(x + h) - f(x): its error is of the size of h, that of the two "
            "sided one of h².",
            _CHECK,
        ),
        Bug(
            "one_sided_over_two_h",
            {"x[i] = old - h": "x[i] = old"},
            "Your difference has one side, f(x + h) - f(x), and is divided by the width of two.",
            _CHECK,
        ),
        Bug(
            "divided_by_h",
            {"(2 * h)": "h"},
            "Your gradient is twice too large: how far apart are x + h and x - h?",
            _CHECK,
        ),
        Bug(
            "not_divided",
            {" / (2 * h)": ""},
            "Your numbers are differences of f, not yet slopes: divide by how far apart the two points are.",
            _CHECK,
        ),
        Bug(
            "not_restored",
            {"        x[i] = old\n": ""},
            "Your first entry is right and the later ones are not: an entry that was moved was not put back, so the "
            "next is measured elsewhere.",
            _CHECK,
        ),
        Bug(
            "sides_swapped",
            {"(above - below)": "(below - above)"},
            "Your gradient has the wrong sign: above minus below.",
            _CHECK,
        ),
        Bug(
            "moved_twice_down",
            {"x[i] = old - h": "x[i] = old - 2 * h"},
            "Your lower point lies at x - 2h: was 2h subtracted from x instead of from x + h?",
            _CHECK,
        ),
        Bug(
            "all_entries_moved",
            {"x[i] = old + h": "x += h", "x[i] = old - h": "x -= 2 * h", "        x[i] = old\n": "        x += h\n"},
            "All your entries are the same number: x is moved as a whole. A gradient asks for one entry at a time.",
            _CHECK,
        ),
        Bug(
            "flat",
            {"return (gradient,)": "return (gradient.ravel(),)"},
            "Your numbers are right and lie in one long row. A gradient has the shape of what it is the gradient of.",
            _CHECK,
        ),
    ),
    lesson=LESSON,
)

QUESTIONS = (STEP_BACKWARD, BACKWARD, TRUNCATED, CHECK)
