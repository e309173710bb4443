"""Problem set 5: a GRU's step and its loop over time, forwards and back, and what a cell costs in numbers (lesson 08).

The four models of the cell are written in the same words, so that a step's mistake is one edit wherever it is made.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograder.model import joined
from autograder.question import Arrays, Backward, Bug, Case, Part, Question, with_upstream
from autograder.questions.gated import BACK_THROUGH_TIME, LOOP_BUGS, OF_WEIGHTS, STEP, SWEEP_BUGS, WEIGHTS
from autograder.questions.ps5_gru_bugs import (
    COMMON_BACKWARD_BUGS,
    COMMON_FORWARD_BUGS,
    EASING_BUGS,
    RARER_BACKWARD_BUGS,
    RARER_FORWARD_BUGS,
    convention_bugs,
)
from rnnlib.cells import gru
from rnnlib.recurrent import GRU, LSTM, RNN

LESSON = "08_gru.ipynb"
_BUDGET = "Counting parameters"


def _inputs(rng: np.random.Generator, N: int, D: int, H: int, T: int | None = None) -> Arrays:
    """x, h, W_ih, W_hh, b_ih, b_hh, of a size at which the gates bend and are not saturated."""
    x = rng.normal(size=(N, D) if T is None else (T, N, D))
    h = rng.uniform(0.2, 0.9, (N, H)) * rng.choice([-1, 1], (N, H))
    W_ih, W_hh = rng.normal(0, 0.8 / np.sqrt(D), (3 * H, D)), rng.normal(0, 1.2 / np.sqrt(H), (3 * H, H))
    return x, h, W_ih, W_hh, *rng.uniform(0.2, 0.6, (2, 3 * H)) * rng.choice([-1, 1], (2, 3 * H))


# ---- one step ------------------------------------------------------------------------------------------------------


def _step_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = Case("N=3, D=4, H=5", _inputs(rng, 3, 4, 5))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("all sizes equal", _inputs(rng, 4, 4, 4))
    yield Case("arrays that are not contiguous", _inputs(rng, 2, 5, 3), layout="strided")
    yield Case("one sequence", _inputs(rng, 1, 3, 4), edge=True)
    yield Case("one hidden unit", _inputs(rng, 3, 2, 1), edge=True, layout="F")


def _step_model(x, h, W_ih, W_hh, b_ih, b_hh):  # type: ignore[no-untyped-def]
    a = x @ W_ih.T + b_ih
    q = h @ W_hh.T + b_hh
    a_r, a_z, a_n = np.split(a, 3, axis=1)
    q_r, q_z, q_n = np.split(q, 3, axis=1)
    r = 1 / (1 + np.exp(-a_r - q_r))
    z = 1 / (1 + np.exp(-a_z - q_z))
    n = np.tanh(a_n + r * q_n)
    h_next = (1 - z) * n + z * h
    return (h_next,)


ONE_STEP = Question(
    name="gru_step",
    title="One step of a GRU",
    arguments=("x", "h", *WEIGHTS),
    outputs=("h_next",),
    axes={"h_next": ("sequence", "unit")},
    reference=lambda *arguments: gru.step_forward(*arguments)[:1],
    cases=_step_cases,
    parts=(Part("h_next", 3, ("h_next",)), Part("one sequence, one unit", 1, ("h_next",), edge=True)),
    model=_step_model,
    bugs=(*convention_bugs(both_ways=False), *COMMON_FORWARD_BUGS, *EASING_BUGS, *RARER_FORWARD_BUGS),
    lesson=LESSON,
)


# ---- one step back -------------------------------------------------------------------------------------------------


def _step_back_cases(rng: np.random.Generator) -> Iterator[Case]:
    return with_upstream(_step_cases(rng), lambda case: (rng.normal(size=case.inputs[1].shape),))


def _step_back(dh_next, x, h, W_ih, W_hh, r, z, n, q_n):  # type: ignore[no-untyped-def]
    dn = dh_next * (1 - z)
    dz = dh_next * (h - n)
    through_z = dh_next * z
    da_n = dn * (1 - n**2)
    dq_n = da_n * r
    dr = da_n * q_n
    da_r = dr * r * (1 - r)
    da_z = dz * z * (1 - z)
    da = np.concatenate([da_r, da_z, da_n], axis=1)
    dq = np.concatenate([da_r, da_z, dq_n], axis=1)
    dx = da @ W_ih
    dh = through_z + dq @ W_hh
    dW_ih, dW_hh = da.T @ x, dq.T @ h
    return dx, dh, dW_ih, dW_hh, da.sum(axis=0), dq.sum(axis=0)


def _step_back_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dh_next = arguments
    h_next, cache = gru.step_forward(*inputs)
    return h_next, *gru.step_backward(dh_next, cache)


_STEP_OUTPUTS = ("dx", "dh", "dW_ih", "dW_hh", "db_ih", "db_hh")
STEP_BACKWARD = Question(
    name="gru_step_backward",
    title="One step back",
    arguments=("x", "h", *WEIGHTS),
    outputs=("h_next", *_STEP_OUTPUTS),
    axes={**ONE_STEP.axes, "dx": ("sequence", "input"), "dh": ("sequence", "unit"), **OF_WEIGHTS},
    reference=_step_back_reference,
    cases=_step_back_cases,
    parts=(
        Part("dx", 1, ("dx",)),
        Part("dh", 2, ("dh",)),
        Part("dW_ih and db_ih", 2, ("dW_ih", "db_ih")),
        Part("dW_hh and db_hh", 2, ("dW_hh", "db_hh")),
        Part("one sequence, one unit", 1, _STEP_OUTPUTS, edge=True),
    ),
    model=joined(
        (*ONE_STEP.arguments, "dh_next"),
        (_step_model, _step_back),
        ("h_next", "dx", "dh", "dW_ih", "dW_hh", "da.sum(axis=0)", "dq.sum(axis=0)"),
    ),
    bugs=(*convention_bugs(both_ways=True), *COMMON_FORWARD_BUGS, *COMMON_BACKWARD_BUGS, *RARER_BACKWARD_BUGS),
    lesson=LESSON,
    backward=Backward("gru_step", "gru_step_backward", ("dh_next",), _STEP_OUTPUTS),
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


def _time_model(xs, h0, W_ih, W_hh, b_ih, b_hh):  # type: ignore[no-untyped-def]
    h = h0
    hs = []
    for x in xs:
        a = x @ W_ih.T + b_ih
        q = h @ W_hh.T + b_hh
        a_r, a_z, a_n = np.split(a, 3, axis=1)
        q_r, q_z, q_n = np.split(q, 3, axis=1)
        r = 1 / (1 + np.exp(-a_r - q_r))
        z = 1 / (1 + np.exp(-a_z - q_z))
        n = np.tanh(a_n + r * q_n)
        h_next = (1 - z) * n + z * h
        hs.append(h_next)
        h = h_next
    return np.stack(hs), h_next


_CARRY_BUGS = (
    Bug(
        "initial_state_ignored",
        {"h = h0": "h = 0 * h0"},
        "Your first step begins with zeros in place of h0: perhaps a window came before.",
        STEP,
    ),
    Bug(
        "state_never_updated",
        {"h = h_next\n": "h = h0\n"},
        "At every step h0 goes in: the new state is never put in its place.",
        STEP,
        eases=True,
    ),
    Bug(
        "candidate_carried",
        {"h = h_next\n": "h = n\n"},
        "What you carry into the next step is the candidate. What is carried is the blend.",
        STEP,
    ),
)

FORWARD = Question(
    name="gru_forward",
    title="A GRU over time",
    arguments=("x", "h0", *WEIGHTS),
    outputs=("hs", "h_last"),
    axes={"hs": ("step", "sequence", "unit"), "h_last": ("sequence", "unit")},
    reference=lambda *arguments: gru.forward(*arguments)[:2],
    cases=_time_cases,
    parts=(
        Part("hs", 3, ("hs",)),
        Part("h_last", 1, ("h_last",)),
        Part("one step, one sequence", 1, ("hs", "h_last"), edge=True),
    ),
    model=_time_model,
    bugs=(
        Bug(
            "candidates_saved_for_states",
            {"hs.append(h_next)": "hs.append(n)"},
            "Your hs holds the candidates. What a GRU shows to the outside is the blend, h.",
            STEP,
        ),
        Bug(
            "initial_state_in_front",
            {"np.stack(hs), h_next": "np.stack([h0, *hs]), h_next"},
            "Your hs has h0 in front, T + 1 states in all. It holds the state after each step: T of them.",
            STEP,
        ),
        Bug(
            "states_in_reverse",
            {"np.stack(hs), h_next": "np.stack(hs[::-1]), h_next"},
            "Your hs is right and stands in reverse: the last step comes first.",
            STEP,
        ),
        Bug(
            "last_state_is_the_first",
            {"np.stack(hs), h_next": "np.stack(hs), hs[0]"},
            "Your h_last is the state after the first step. After the last one, please.",
            STEP,
        ),
        Bug(
            "last_state_is_the_initial_one",
            {"np.stack(hs), h_next": "np.stack(hs), h0"},
            "Your h_last is h0: the state before the sequence, not after it.",
            STEP,
        ),
        *LOOP_BUGS,
        *_CARRY_BUGS,
        *convention_bugs(both_ways=False),
        *COMMON_FORWARD_BUGS,
        *RARER_FORWARD_BUGS,
    ),
    lesson=LESSON,
    builds_on=("gru_step",),
)


# ---- back through time ---------------------------------------------------------------------------------------------


def _time_back_cases(rng: np.random.Generator) -> Iterator[Case]:
    def gradients(case: Case) -> Arrays:
        x, h0, *_ = case.inputs
        return rng.normal(size=(len(x), *h0.shape)), rng.normal(size=h0.shape)

    return with_upstream(_time_cases(rng), gradients)


def _time_back_model(xs, h0, W_ih, W_hh, b_ih, b_hh, dhs, dh_last):  # type: ignore[no-untyped-def]
    h = h0
    hs, kept = [], []
    for x in xs:
        a = x @ W_ih.T + b_ih
        q = h @ W_hh.T + b_hh
        a_r, a_z, a_n = np.split(a, 3, axis=1)
        q_r, q_z, q_n = np.split(q, 3, axis=1)
        r = 1 / (1 + np.exp(-a_r - q_r))
        z = 1 / (1 + np.exp(-a_z - q_z))
        n = np.tanh(a_n + r * q_n)
        h_next = (1 - z) * n + z * h
        hs.append(h_next)
        kept.append((x, h, a_r, a_z, a_n, q_r, q_z, q_n, r, z, n, h_next))
        h = h_next
    h_last = h_next
    dxs, dW_ih, dW_hh, db_ih, db_hh = [], 0, 0, 0, 0
    dh = dh_last
    for t in reversed(range(len(xs))):
        x, h, a_r, a_z, a_n, q_r, q_z, q_n, r, z, n, h_next = kept[t]
        dh_next = dhs[t] + dh
        dn = dh_next * (1 - z)
        dz = dh_next * (h - n)
        through_z = dh_next * z
        da_n = dn * (1 - n**2)
        dq_n = da_n * r
        dr = da_n * q_n
        da_r = dr * r * (1 - r)
        da_z = dz * z * (1 - z)
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        dq = np.concatenate([da_r, da_z, dq_n], axis=1)
        dx = da @ W_ih
        dh = through_z + dq @ W_hh
        dxs.append(dx)
        dW_ih, dW_hh = dW_ih + da.T @ x, dW_hh + dq.T @ h
        db_ih, db_hh = db_ih + da.sum(axis=0), db_hh + dq.sum(axis=0)
    return np.stack(hs), h_last, np.stack(dxs[::-1]), dh, dW_ih, dW_hh, db_ih, db_hh


def _time_back_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dhs, dh_last = arguments
    hs, h_last, cache = gru.forward(*inputs)
    return hs, h_last, *gru.backward(dhs, dh_last, cache)


_TIME_BUGS = (
    Bug(
        "later_states_forgotten",
        {"dhs[t] + dh": "dhs[t]"},
        "At each step your h gets its gradient only from that step's own output. It entered the next step too: two "
        "paths lead back into it, and they add.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "kept_share_of_the_next_step_alone",
        {"through_z = dh_next * z": "through_z = dh * z"},
        "What goes straight back through z lacks the step's own output, dhs[t]. First both gradients add up; then the "
        "sum goes back on every way.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "first_step_meets_zeros",
        {"dq.T @ h": "dq.T @ (h if t > 0 else 0 * h)", "(h - n)": "((h if t > 0 else 0 * h) - n)"},
        "Your gradients come out when zeros stand before the first step. There the state was h0.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "first_step_meets_the_last_state",
        {"dq.T @ h": "dq.T @ (h if t > 0 else h_last)", "(h - n)": "((h if t > 0 else h_last) - n)"},
        "Your gradients come out when the first step meets the last state: at t = 0 an index of t - 1 is that of the "
        "last step. Before the first step there was h0.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "initial_state_gradient_too_early",
        {"dh, dW_ih": "dh_next, dW_ih"},
        "Your dh0 is the gradient of the first state, not of the state before it: one step of the way back is missing.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "one_cache_for_every_step",
        {"kept[t]": "kept[-1]"},
        "At every step back you use what the last step kept. Each step has its own.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "outputs_gradients_in_reverse",
        {"dhs[t] + dh": "dhs[len(xs) - 1 - t] + dh"},
        "Your loop walks back over the steps and forwards over dhs: each step gets another step's gradient.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "last_states_gradient_at_every_step",
        {"dh = dh_last": "dh = 0 * dh_last", "dhs[t] + dh": "dhs[t] + dh + dh_last"},
        "dh_last enters at every step. It reaches the last state alone; from there it travels on by itself.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "weights_of_the_last_step_alone",
        {
            share: f"{share} * (t == len(xs) - 1)"
            for share in ("da.T @ x", "dq.T @ h", "da.sum(axis=0)", "dq.sum(axis=0)")
        },
        "Your gradients of weights and biases are those of the last step alone. The same weights serve at every step, "
        "and every step adds its share.",
        BACK_THROUGH_TIME,
    ),
)

_TIME_OUTPUTS = ("dx", "dh0", "dW_ih", "dW_hh", "db_ih", "db_hh")
BACKWARD = Question(
    name="gru_backward",
    title="Back through time",
    arguments=("x", "h0", *WEIGHTS),
    outputs=("hs", "h_last", *_TIME_OUTPUTS),
    axes={**FORWARD.axes, "dx": ("step", "sequence", "input"), "dh0": ("sequence", "unit"), **OF_WEIGHTS},
    reference=_time_back_reference,
    cases=_time_back_cases,
    parts=(
        Part("dx", 2, ("dx",)),
        Part("dh0", 2, ("dh0",)),
        Part("dW_ih and dW_hh", 2, ("dW_ih", "dW_hh")),
        Part("db_ih and db_hh", 1, ("db_ih", "db_hh")),
        Part("one step, one sequence", 1, _TIME_OUTPUTS, edge=True),
    ),
    model=_time_back_model,
    bugs=(
        *SWEEP_BUGS,
        *_TIME_BUGS,
        *(bug for bug in _CARRY_BUGS if not bug.eases),
        *convention_bugs(both_ways=True),
        *COMMON_FORWARD_BUGS,
        *COMMON_BACKWARD_BUGS,
    ),
    lesson=LESSON,
    backward=Backward("gru_forward", "gru_backward", ("dhs", "dh_last"), _TIME_OUTPUTS),
    builds_on=("gru_step", "gru_step_backward", "gru_forward"),
)


# ---- how many numbers ----------------------------------------------------------------------------------------------


_CELLS = (RNN, GRU, LSTM)


def _counted(name: str, *sizes: int, edge: bool = False) -> Case:
    return Case(name, tuple(map(np.array, sizes)), edge=edge)


def _count_cases(rng: np.random.Generator) -> Iterator[Case]:
    """D, H, the cell, layers, directions and biases; D and H so small that one number too many is seen."""
    sizes = [(int(rng.integers(9, 30)), int(rng.integers(5, 9))) for _ in range(9)]
    yield _counted("a GRU", *sizes[0], 1, 1, 1, 2)
    yield _counted("an LSTM", *sizes[1], 2, 1, 1, 2)
    yield _counted("an RNN", *sizes[2], 0, 1, 1, 2)
    yield _counted("a GRU with one bias", *sizes[3], 1, 1, 1, 1)
    yield _counted("an LSTM without biases", *sizes[4], 2, 1, 1, 0)
    yield _counted("a GRU of two layers", *sizes[5], 1, 2, 1, 2, edge=True)
    yield _counted("an RNN of two directions", *sizes[6], 0, 1, 2, 2, edge=True)
    yield _counted("an LSTM of two layers and two directions", *sizes[7], 2, 2, 2, 1, edge=True)
    yield _counted("a GRU of three layers and two directions", *sizes[8], 1, 3, 2, 2, edge=True)


def _count_model(D, H, cell, layers, directions, biases):  # type: ignore[no-untyped-def]
    D, H, layers, directions, biases = map(int, (D, H, layers, directions, biases))
    gates = (1, 3, 4)[int(cell)]
    rows = gates * H
    width = D
    total = 0
    for _ in range(layers):
        sweep = rows * width + rows * H + biases * rows
        total += directions * sweep
        width = directions * H
    return (np.array(total),)


def _count_reference(*numbers: np.ndarray) -> Arrays:
    D, H, cell, layers, directions, biases = map(int, numbers)
    layer = _CELLS[cell](D, H, layers, bidirectional=directions == 2)
    sizes = {name: array.size for name, array in layer.parameters.items()}
    weights = sum(size for name, size in sizes.items() if name.startswith("weight"))
    one_bias = sum(size for name, size in sizes.items() if name.startswith("bias_ih"))
    return (np.array(weights + biases * one_bias),)


COUNTS = Question(
    name="parameter_count",
    title="How many numbers?",
    arguments=("D", "H", "cell", "layers", "directions", "biases"),
    outputs=("count",),
    axes={"count": ()},
    reference=_count_reference,
    cases=_count_cases,
    parts=(
        Part("one layer, one direction", 2, ("count",)),
        Part("more layers, two directions", 2, ("count",), edge=True),
    ),
    model=_count_model,
    bugs=(
        Bug(
            "gru_counted_as_lstm",
            {"(1, 3, 4)": "(1, 4, 4)"},
            "Your GRU has four blocks of rows, as an LSTM has. Count what stands in task 1: r, z and n.",
            _BUDGET,
        ),
        Bug(
            "lstm_counted_as_gru",
            {"(1, 3, 4)": "(1, 3, 3)"},
            "Your LSTM has three blocks of rows, as a GRU has. Count what stands in problem set 4: i, f, g and o.",
            _BUDGET,
        ),
        Bug(
            "candidates_forgotten",
            {"(1, 3, 4)": "(1, 2, 3)"},
            "Your GRU has two blocks of rows and your LSTM three: those are the gates. The candidate has weights of "
            "its own too.",
            _BUDGET,
        ),
        Bug(
            "gates_forgotten",
            {"(1, 3, 4)": "(1, 1, 1)"},
            "All of your cells cost the same, as much as a plain RNN. Each gate has a block of rows of its own.",
            _BUDGET,
        ),
        Bug(
            "gates_in_the_input_weights_alone",
            {"rows * H": "H * H"},
            "Your W_hh has H rows, whatever the cell. Each gate reads the state with weights of its own.",
            _BUDGET,
        ),
        Bug(
            "gates_in_the_recurrent_weights_alone",
            {"rows * width": "H * width"},
            "Your W_ih has H rows, whatever the cell. Each gate reads the input with weights of its own.",
            _BUDGET,
        ),
        Bug(
            "recurrent_weights_forgotten",
            {"rows * width + rows * H": "rows * width"},
            "Your count lacks W_hh, what the state before is multiplied by.",
            _BUDGET,
        ),
        Bug(
            "input_weights_forgotten",
            {"rows * width + rows * H": "rows * H"},
            "Your count lacks W_ih, what the input is multiplied by.",
            _BUDGET,
        ),
        Bug(
            "recurrent_weights_like_the_inputs",
            {"rows * width + rows * H": "2 * rows * width"},
            "Your W_hh is as wide as W_ih. It is multiplied by the state.",
            _BUDGET,
        ),
        Bug(
            "input_and_hidden_sizes_swapped",
            {"D, H, layers, directions, biases = ": "H, D, layers, directions, biases = "},
            "Your count comes out when D and H change places. How many rows has W_ih, and how many columns?",
            _BUDGET,
        ),
        Bug(
            "biases_forgotten",
            {"biases * rows": "0 * rows"},
            "Your count has no biases, however many are asked for.",
            _BUDGET,
        ),
        Bug(
            "always_one_bias",
            {"biases * rows": "rows"},
            "Your count has one bias vector, however many are asked for. PyTorch has two, b_ih and b_hh.",
            _BUDGET,
        ),
        Bug(
            "always_two_biases",
            {"biases * rows": "2 * rows"},
            "Your count has two bias vectors, however many are asked for. There are cells with one, and with none.",
            _BUDGET,
        ),
        Bug(
            "one_bias_at_most",
            {"biases * rows": "min(biases, 1) * rows"},
            "Of two bias vectors your count has one. In training one would do, but both are there and both are stored.",
            _BUDGET,
        ),
        Bug(
            "bias_shared_by_the_gates",
            {"biases * rows": "biases * H"},
            "Your bias vectors have H entries. Each block of rows has its own.",
            _BUDGET,
        ),
        Bug(
            "bias_of_one_number_a_gate",
            {"biases * rows": "biases * gates"},
            "Your bias vectors have one entry for each gate. Each unit's gate has its own.",
            _BUDGET,
        ),
        Bug(
            "initial_state_counted",
            {"biases * rows": "biases * rows + H"},
            "Your count is H too large in each layer and direction: perhaps the initial state? That is no parameter.",
            _BUDGET,
        ),
        Bug(
            "layers_ignored",
            {"range(layers)": "range(1)"},
            "Your count is that of one layer, however many are asked for.",
            _BUDGET,
        ),
        Bug(
            "one_layer_too_many",
            {"range(layers)": "range(1, layers + 2)"},
            "Your count has one layer too many.",
            _BUDGET,
        ),
        Bug(
            "every_layer_reads_the_input",
            {"width = directions * H": "width = D"},
            "All your layers are of one size. Only the first one reads x; the next reads what the first one wrote.",
            _BUDGET,
        ),
        Bug(
            "every_layer_reads_states",
            {"width = D\n": "width = H\n"},
            "Your first layer is as wide as the others. It reads x.",
            _BUDGET,
        ),
        Bug(
            "directions_ignored",
            {"directions * sweep": "sweep", "width = directions * H": "width = H"},
            "Your count is that of one direction, however many are asked for. Each has weights of its own.",
            _BUDGET,
        ),
        Bug(
            "directions_share_their_weights",
            {"directions * sweep": "sweep"},
            "Your two directions share their weights. Each has its own.",
            _BUDGET,
        ),
        Bug(
            "second_layer_reads_one_direction",
            {"width = directions * H": "width = H"},
            "From the second layer on your count is too small: it reads both directions of the one below, side by "
            "side.",
            _BUDGET,
        ),
        Bug(
            "further_layers_always_read_two_directions",
            {"width = directions * H": "width = 2 * H"},
            "From the second layer on yours reads 2H numbers, whatever the directions. One direction writes H.",
            _BUDGET,
        ),
        Bug(
            "biases_once_a_layer",
            {" + biases * rows": "", "directions * sweep": "directions * sweep + biases * rows"},
            "Your two directions share their biases. Each has its own.",
            _BUDGET,
        ),
        Bug(
            "second_direction_in_the_first_layer_alone",
            {
                "for _ in range(layers)": "for layer in range(layers)",
                "+= directions *": "+= (1 if layer else directions) *",
            },
            "Only your first layer has a second direction. Every layer has one.",
            _BUDGET,
        ),
        Bug(
            "directions_read_each_other",
            {"rows * H": "rows * directions * H"},
            "Your W_hh reads the states of both directions. Each direction knows its own past alone: one of them comes "
            "from the other end.",
            _BUDGET,
        ),
        Bug(
            "directions_squared",
            {"directions * sweep": "directions**2 * sweep"},
            "Your two directions cost four times as much in every layer.",
            _BUDGET,
        ),
    ),
    lesson=LESSON,
)

QUESTIONS = (ONE_STEP, STEP_BACKWARD, FORWARD, BACKWARD, COUNTS)
