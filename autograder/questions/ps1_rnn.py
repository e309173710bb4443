"""Problem set 1: one step of an RNN, the loop over time, and a readout with softmax (lesson 03)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograder.question import Arrays, Bug, Case, Part, Question
from rnnlib.cells import rnn
from rnnlib.layers import linear_forward
from rnnlib.losses import softmax

LESSON = "03_rnn_forward.ipynb"


def _parameters(rng: np.random.Generator, D: int, H: int) -> Arrays:
    """W_ih, W_hh, b_ih, b_hh: large enough to matter everywhere, small enough that tanh is not saturated."""
    W_ih, W_hh = rng.normal(0, 0.8 / np.sqrt(D), (H, D)), rng.normal(0, 0.8 / np.sqrt(H), (H, H))
    b_ih, b_hh = rng.uniform(0.1, 0.5, (2, H)) * rng.choice([-1, 1], (2, H))
    return W_ih, W_hh, b_ih, b_hh


# ---- one step ----------------------------------------------------------------------------------------------------


def _step_case(rng: np.random.Generator, name: str, N: int, D: int, H: int, **how: object) -> Case:
    x, h = rng.normal(size=(N, D)), rng.uniform(-0.9, 0.9, (N, H))
    return Case(name, (x, h, *_parameters(rng, D, H)), **how)  # type: ignore[arg-type]


def _step_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _step_case(rng, "N=3, D=4, H=5", 3, 4, 5)
    yield general
    yield Case("the same call again", general.inputs)
    yield _step_case(rng, "all sizes equal", 4, 4, 4)
    yield _step_case(rng, "arrays that are not contiguous", 2, 5, 3, layout="strided")
    yield _step_case(rng, "one sequence", 1, 3, 4, edge=True)
    yield _step_case(rng, "one hidden unit", 3, 2, 1, edge=True, layout="F")


def _step_model(x_t, h, W_ih, W_hh, b_ih, b_hh):  # type: ignore[no-untyped-def]
    from_input = x_t @ W_ih.T + b_ih
    from_state = h @ W_hh.T + b_hh
    z = from_input + from_state
    return (np.tanh(z),)


def _step_reference(*inputs: np.ndarray) -> Arrays:
    x, h, W_ih, W_hh, b_ih, b_hh = inputs
    return (rnn.step_forward(x, h, W_ih, W_hh, b_ih, b_hh)[0],)


_RECURRENCE, _UNROLLED = "The recurrence", "The loop and its unrolling"

# The loop's model holds the same lines as the step's, so the same mistakes can be made in it.
_STEP_BUGS = (
    Bug(
        "input_weights_not_transposed",
        {"x_t @ W_ih.T": "x_t @ W_ih"},
        "Where D = H your numbers are those of input weights used without a transpose; elsewhere that cannot even be "
        "multiplied. W_ih has shape (H, D) and x has shape (N, D): which axis of W_ih must the product run over?",
        _RECURRENCE,
    ),
    Bug(
        "recurrent_weights_not_transposed",
        {"h @ W_hh.T": "h @ W_hh"},
        "Your numbers come out when W_hh is used without a transpose. It is square, so no shape error warns you: its "
        "rows are the units that receive, its columns the units that send.",
        _RECURRENCE,
    ),
    Bug(
        "weights_swapped",
        {"x_t @ W_ih.T": "x_t @ W_hh.T", "h @ W_hh.T": "h @ W_ih.T"},
        "Your numbers come out when the two weight matrices have changed places: which one meets the input?",
        _RECURRENCE,
    ),
    Bug(
        "input_bias_forgotten",
        {" + b_ih": ""},
        "Your numbers come out when b_ih is left out. There are two biases, as in torch: both are added.",
        _RECURRENCE,
    ),
    Bug(
        "recurrent_bias_forgotten",
        {" + b_hh": ""},
        "Your numbers come out when b_hh is left out. There are two biases, as in torch: both are added.",
        _RECURRENCE,
    ),
    Bug(
        "same_bias_twice",
        {" + b_hh": " + b_ih"},
        "Your numbers come out when b_ih is added twice and b_hh never. Look at the names in your sum.",
        _RECURRENCE,
    ),
    Bug(
        "state_ignored",
        {"h @ W_hh.T": "0 * h"},
        "Your numbers do not depend on the previous state: this is a feed-forward layer. Where does h enter?",
        _RECURRENCE,
        eases=True,
    ),
    Bug(
        "input_ignored",
        {"x_t @ W_ih.T": "0"},
        "Your numbers do not depend on the input x: the state talks only to itself.",
        _RECURRENCE,
    ),
    Bug(
        "nonlinearity_forgotten",
        {"np.tanh(z)": "z"},
        "Your numbers are the sum before the nonlinearity. What keeps a state between -1 and 1?",
        _RECURRENCE,
    ),
    Bug(
        "sigmoid_for_tanh",
        {"np.tanh(z)": "1 / (1 + np.exp(-z))"},
        "Your numbers come out with a logistic sigmoid. This cell squashes to (-1, 1), not to (0, 1).",
        _RECURRENCE,
    ),
    Bug(
        "relu_for_tanh",
        {"np.tanh(z)": "np.maximum(z, 0)"},
        "Your numbers come out with ReLU. That is an RNN too, but this question asks for the other nonlinearity.",
        _RECURRENCE,
    ),
    Bug(
        "tanh_of_each_term",
        {"np.tanh(z)": "np.tanh(from_input) + np.tanh(from_state)"},
        "Your numbers are a sum of two squashed terms. The nonlinearity acts once, on the whole sum.",
        _RECURRENCE,
    ),
    Bug(
        "tanh_closed_too_early",
        {"np.tanh(z)": "np.tanh(from_input) + from_state"},
        "Only the input's part of your sum is squashed; the state's part is added outside. Where does the bracket of "
        "the nonlinearity close?",
        _RECURRENCE,
    ),
    Bug(
        "old_state_added",
        {"np.tanh(z)": "h + np.tanh(z)"},
        "Your numbers are the old state plus the new one. A plain RNN replaces its state; it does not add to it.",
        _RECURRENCE,
    ),
    Bug(
        "state_subtracted",
        {"from_input + from_state": "from_input - from_state"},
        "Your numbers come out when the state's contribution is subtracted. The two contributions are added.",
        _RECURRENCE,
    ),
    Bug(
        "tanh_twice",
        {"np.tanh(z)": "np.tanh(np.tanh(z))"},
        "Your numbers come out when the nonlinearity is applied twice. It acts once, on the whole sum.",
        _RECURRENCE,
    ),
    Bug(
        "bias_after_tanh",
        {" + b_ih": "", " + b_hh": "", "np.tanh(z)": "np.tanh(z) + b_ih + b_hh"},
        "Your biases are added after the nonlinearity. They belong to the sum that goes into it.",
        _RECURRENCE,
    ),
    Bug(
        "recurrent_weights_ignored",
        {"h @ W_hh.T": "h"},
        "Your previous state is added as it is: no weights act on it. What does W_hh do?",
        _RECURRENCE,
    ),
    Bug(
        "bias_subtracted",
        {" + b_ih": " - b_ih"},
        "Your numbers come out when b_ih is subtracted. Biases are added.",
        _RECURRENCE,
    ),
)

STEP = Question(
    name="rnn_step",
    title="One step",
    arguments=("x", "h", "W_ih", "W_hh", "b_ih", "b_hh"),
    outputs=("h_next",),
    axes={"h_next": ("sequence", "unit")},
    reference=_step_reference,
    cases=_step_cases,
    parts=(Part("h_next", 3, ("h_next",)), Part("one sequence, one unit", 1, ("h_next",), edge=True)),
    model=_step_model,
    bugs=_STEP_BUGS,
    lesson=LESSON,
)


# ---- the loop over time ------------------------------------------------------------------------------------------


def _forward_case(rng: np.random.Generator, name: str, T: int, N: int, D: int, H: int, **how: object) -> Case:
    x, h0 = rng.normal(size=(T, N, D)), rng.uniform(-0.9, 0.9, (N, H))
    return Case(name, (x, h0, *_parameters(rng, D, H)), **how)  # type: ignore[arg-type]


def _forward_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _forward_case(rng, "T=6, N=3, D=4, H=5", 6, 3, 4, 5)
    yield general
    yield Case("the same call again", general.inputs)
    yield _forward_case(rng, "all sizes equal", 4, 4, 4, 4)
    yield _forward_case(rng, "arrays that are not contiguous", 5, 2, 3, 4, layout="strided")
    yield _forward_case(rng, "one step", 1, 3, 4, 2, edge=True)
    yield _forward_case(rng, "one sequence", 5, 1, 2, 3, edge=True, layout="F")


def _forward_model(x, h0, W_ih, W_hh, b_ih, b_hh):  # type: ignore[no-untyped-def]
    h, hs = h0, []
    for t in range(len(x)):
        x_t = x[t]
        from_input = x_t @ W_ih.T + b_ih
        from_state = h @ W_hh.T + b_hh
        z = from_input + from_state
        h = np.tanh(z)
        hs.append(h)
    return np.stack(hs), h


def _forward_reference(*inputs: np.ndarray) -> Arrays:
    return rnn.forward(*inputs)[:2]


FORWARD = Question(
    name="rnn_forward",
    title="The loop over time",
    arguments=("x", "h0", "W_ih", "W_hh", "b_ih", "b_hh"),
    outputs=("hs", "h_last"),
    axes={"hs": ("step", "sequence", "unit"), "h_last": ("sequence", "unit")},
    reference=_forward_reference,
    cases=_forward_cases,
    parts=(
        Part("hs", 5, ("hs",)),
        Part("h_last", 2, ("h_last",)),
        Part("one step, one sequence", 1, ("hs", "h_last"), edge=True),
    ),
    model=_forward_model,
    bugs=(
        Bug(
            "state_never_updated",
            {"h @ W_hh.T": "h0 @ W_hh.T"},
            "Every step of yours starts from h0 again, so the network forgets at once. What must step t + 1 receive?",
            _UNROLLED,
        ),
        Bug(
            "starts_from_zero",
            {"h, hs = h0, []": "h, hs = np.zeros_like(h0), []"},
            "Your first state does not depend on h0. The caller hands over a state: a window may continue another.",
            "State carried across windows",
        ),
        Bug(
            "states_saved_too_early",
            {"h = np.tanh(z)": "hs.append(h)", "hs.append(h)": "h = np.tanh(z)"},
            "Your hs begins with h0 and is one step late everywhere. hs[t] is the state after reading x[t].",
            _UNROLLED,
        ),
        Bug(
            "last_state_is_the_first",
            {"np.stack(hs), h": "np.stack(hs), hs[0]"},
            "Your h_last is the state after the first step. Which state has read the whole sequence?",
            _UNROLLED,
        ),
        Bug(
            "last_state_is_h0",
            {"np.stack(hs), h": "np.stack(hs), h0"},
            "Your h_last is the h0 that came in: the loop's state lives in another variable than you return.",
            _UNROLLED,
        ),
        Bug(
            "outputs_swapped",
            {"np.stack(hs), h": "h, np.stack(hs)"},
            "Your two results have changed places: all states come first, then the last one.",
            _UNROLLED,
        ),
        Bug(
            "initial_state_kept",
            {"h, hs = h0, []": "h, hs = h0, [h0]"},
            "Your hs has one state too many: it begins with h0. hs[t] is the state after reading x[t], so T inputs "
            "give T states.",
            _UNROLLED,
        ),
        Bug(
            "every_state_is_the_last",
            {"np.stack(hs), h": "np.stack([h] * len(hs)), h"},
            "All your steps hold the same numbers, those of the last state: was one array written into again and "
            "again, and saved T times?",
            _UNROLLED,
        ),
        Bug(
            "first_input_at_every_step",
            {"x[t]": "x[0]"},
            "Every step of yours reads x[0]. The weights are shared across time, the inputs are not.",
            _UNROLLED,
        ),
        Bug(
            "reads_backwards",
            {"range(len(x))": "reversed(range(len(x)))"},
            "Your loop runs from the last step to the first. That is the other half of a bidirectional RNN.",
            _UNROLLED,
        ),
        Bug(
            "first_step_left_out",
            {
                "h = np.tanh(z)": "h = np.tanh(z) if t else h0",
                "hs.append(h)": "hs.append(h if t else np.zeros_like(h))",
            },
            "Your first step holds zeros: the loop, or the place you write to, begins at 1 instead of 0.",
            _UNROLLED,
        ),
        Bug(
            "returns_inside_the_loop",
            {"range(len(x))": "range(1)"},
            "You have read the first step only. Is your `return` inside the loop?",
            _UNROLLED,
        ),
        Bug(
            "states_forgotten_at_every_step",
            {"np.stack(hs), h": "np.stack(hs[-1:]), h"},
            "Your hs holds the last step alone: is the list made anew at every step?",
            _UNROLLED,
        ),
        Bug(
            "stops_one_step_early",
            {"range(len(x))": "range(len(x) - 1)"},
            "Your loop leaves out the last step. How many states belong to T inputs?",
            _UNROLLED,
        ),
        Bug(
            "loops_over_sequences",
            {"range(len(x))": "range(x.shape[1])", "x[t]": "x[:, t]"},
            "Your loop runs over axis 1, the sequences of the batch. Arrays here are time-major: (T, N, D).",
            _UNROLLED,
        ),
        Bug(
            "stacked_batch_first",
            {"np.stack(hs), h": "np.stack(hs, axis=1), h"},
            "Your states are right but lie as (N, T, H). Time is the first axis here, going in and coming out.",
            _UNROLLED,
        ),
        *_STEP_BUGS,
    ),
    lesson=LESSON,
    builds_on=("rnn_step",),
)


# ---- readout and softmax -----------------------------------------------------------------------------------------


def _readout_case(rng: np.random.Generator, name: str, T: int, N: int, H: int, V: int, **how: object) -> Case:
    hs, W, b = rng.uniform(-0.9, 0.9, (T, N, H)), rng.normal(size=(V, H)), rng.normal(size=V)
    return Case(name, (hs, W, b), **how)  # type: ignore[arg-type]


def _readout_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _readout_case(rng, "T=4, N=3, H=5, V=6", 4, 3, 5, 6)
    yield general
    yield Case("the same call again", general.inputs)
    yield _readout_case(rng, "all sizes equal", 4, 4, 4, 4)
    yield _readout_case(rng, "arrays that are not contiguous", 3, 2, 4, 5, layout="strided")
    hs, W, b = _readout_case(rng, "", 3, 2, 4, 5).inputs
    offsets = rng.permutation([-800.0, 0.0, 0.0, 0.0, 800.0, 800.0]).reshape(3, 2, 1)
    hs, W = np.concatenate([hs, offsets], axis=2), np.concatenate([W, np.ones((5, 1))], axis=1)
    yield Case("large logits", (hs, W, b), edge=True, condition=10)  # near 800, float32 keeps 4 decimals
    yield _readout_case(rng, "one step of one sequence", 1, 1, 3, 4, edge=True, layout="F")


def _readout_model(hs, W, b):  # type: ignore[no-untyped-def]
    logits = hs @ W.T + b
    largest = logits.max(axis=-1, keepdims=True)
    e = np.exp(logits - largest)
    total = e.sum(axis=-1, keepdims=True)
    probs = e / total
    return logits, probs


def _readout_reference(hs: np.ndarray, W: np.ndarray, b: np.ndarray) -> Arrays:
    logits = linear_forward(hs, W, b)[0]
    return logits, softmax(logits)


_READOUT = "An output at every step"
_STABLE = (
    "Your softmax is right for small logits and breaks for large ones: exp overflows. Softmax does not change when "
    "the same number is subtracted from all logits of one position; which number makes the largest exponent 0?"
)

READOUT = Question(
    name="readout",
    title="Readout and softmax",
    arguments=("hs", "W", "b"),
    outputs=("logits", "probs"),
    axes={"logits": ("step", "sequence", "class"), "probs": ("step", "sequence", "class")},
    reference=_readout_reference,
    cases=_readout_cases,
    parts=(
        Part("logits", 2, ("logits",)),
        Part("probs", 2, ("probs",)),
        Part("large logits, one position", 1, ("logits", "probs"), edge=True),
    ),
    model=_readout_model,
    bugs=(
        Bug(
            "readout_weights_not_transposed",
            {"hs @ W.T": "hs @ W"},
            "Where V = H your logits are those of W used without a transpose; elsewhere that cannot even be "
            "multiplied. W has shape (V, H): its rows are the classes.",
            _READOUT,
        ),
        Bug(
            "readout_bias_forgotten",
            {" + b": ""},
            "Your logits come out when the bias b is left out.",
            _READOUT,
        ),
        Bug(
            "softmax_over_time",
            {"logits.max(axis=-1": "logits.max(axis=0", "e.sum(axis=-1": "e.sum(axis=0"},
            "Your probabilities sum to 1 over the steps. At every step there is one distribution over the classes.",
            _READOUT,
        ),
        Bug(
            "softmax_over_sequences",
            {"logits.max(axis=-1": "logits.max(axis=1", "e.sum(axis=-1": "e.sum(axis=1"},
            "Your probabilities sum to 1 over the sequences of the batch: sequences must never see one another.",
            _READOUT,
        ),
        Bug(
            "softmax_over_everything",
            {"logits.max(axis=-1, keepdims=True)": "logits.max()", "e.sum(axis=-1, keepdims=True)": "e.sum()"},
            "All your probabilities together sum to 1. There is one distribution per step and sequence.",
            _READOUT,
        ),
        Bug(
            "softmax_not_shifted",
            {" - largest": ""},
            _STABLE,
            _READOUT,
        ),
        Bug(
            "softmax_shifted_by_one_maximum",
            {"logits.max(axis=-1, keepdims=True)": "logits.max()"},
            "You shift by the maximum of the whole array: where a position's logits all lie far below it, every exp "
            "is 0 and the result 0/0. Each position needs its own maximum.",
            _READOUT,
        ),
        Bug(
            "softmax_over_positions",
            {"logits.max(axis=-1": "logits.max(axis=(0, 1)", "e.sum(axis=-1": "e.sum(axis=(0, 1)"},
            "For each class, your numbers sum to 1 over all steps and sequences. It is the classes that compete, at "
            "every position by themselves.",
            _READOUT,
        ),
        Bug(
            "exponent_clipped",
            {"logits - largest": "np.clip(logits, -700, 700)"},
            "Your logits are clipped before exp, so nothing overflows, but large logits all become the same number "
            "and lose their differences. What may be changed about logits without changing their softmax?",
            _READOUT,
        ),
        Bug(
            "not_normalised",
            {"e / total": "e"},
            "Your numbers are exponentials that were never divided by their sum.",
            _READOUT,
        ),
        Bug(
            "log_probabilities",
            {"e / total": "logits - largest - np.log(total)"},
            "Your numbers are logarithms of probabilities. They are useful in a loss; here probabilities are asked.",
            _READOUT,
        ),
        Bug(
            "sigmoid_for_softmax",
            {"e / total": "1 / (1 + np.exp(-logits))"},
            "Your numbers come out with a sigmoid on each logit: classes do not compete, and do not sum to 1.",
            _READOUT,
        ),
        Bug(
            "logits_shifted_too",
            {"return logits, probs": "return logits - largest, probs"},
            "Your probabilities are right, but the logits you return have the maximum subtracted already.",
            _READOUT,
        ),
        Bug(
            "outputs_swapped",
            {"return logits, probs": "return probs, logits"},
            "Your two results have changed places: logits come first.",
            _READOUT,
        ),
        Bug(
            "softmax_applied_twice",
            {"e / total": "np.exp(e / total) / np.exp(e / total).sum(axis=-1, keepdims=True)"},
            "Your numbers are the softmax of a softmax: probabilities went through it once more.",
            _READOUT,
        ),
    ),
    lesson=LESSON,
)

QUESTIONS = (STEP, FORWARD, READOUT)
