"""The mistakes people make in one step of an LSTM, forwards and back: edits of the models in `ps4_lstm`.

Questions about whole sequences make them in the loop. A bank is searched in pairs, so those banks hold what is common.
"""

from __future__ import annotations

from autograder.question import Bug
from autograder.questions.gated import STEP, STEP_BUGS

GATES, BIAS, CAROUSEL, BACK = (  # sections of lesson 07
    "Three gates and a cell state",
    "Forget bias 1",
    "The constant error carousel",
    "One step back",
)


# ---- forwards ------------------------------------------------------------------------------------------------------


_SIGMA_GATES = ("i", "f", "o")


def _sigma(gate: str) -> str:
    return f"{gate} = 1 / (1 + np.exp(-a_{gate}))"


COMMON_FORWARD_BUGS = (
    Bug("input_bias_forgotten", {" + b_ih": ""}, "b_ih is left out: both biases are added.", STEP),
    Bug("recurrent_bias_forgotten", {" + b_hh": ""}, "b_hh is left out: both biases are added.", STEP),
    Bug(
        "state_ignored",
        {"h @ W_hh.T": "0"},
        "The state before does not reach the gates: they see the input alone.",
        GATES,
        eases=True,
    ),
    Bug(
        "cell_in_place_of_state",
        {"h @ W_hh.T": "c @ W_hh.T"},
        "Your gates read the cell state c where they should read h. c is handed on in private; what the gates see is "
        "what the cell let out.",
        GATES,
    ),
    Bug(
        "gates_through_tanh",
        {_sigma(gate): f"{gate} = np.tanh(a_{gate})" for gate in _SIGMA_GATES},
        "All three of your gates come out of tanh: they can be negative. A gate is a share, between 0 and 1.",
        GATES,
    ),
    Bug(
        "candidate_through_sigmoid",
        {"np.tanh(a_g)": "1 / (1 + np.exp(-a_g))"},
        "Your candidate g comes out of σ, so it could only ever add. g is no gate but what is to be written.",
        GATES,
    ),
    Bug(
        "candidate_not_squashed",
        {"np.tanh(a_g)": "a_g"},
        "Your candidate g is the sum itself: its nonlinearity is missing.",
        GATES,
        eases=True,
    ),
    Bug(
        "old_cell_ignored",
        {"f * c + i * g": "i * g"},
        "Your new cell state holds only what was written in this step. What becomes of the old one?",
        GATES,
        eases=True,
    ),
    Bug(
        "forget_gate_inverted",
        {"f * c + i * g": "(1 - f) * c + i * g"},
        "Your forget gate says how much to forget. In spite of its name it says how much is kept: 1 keeps everything.",
        GATES,
    ),
    Bug(
        "squashed_cell_kept",
        {"f * c + i * g": "np.tanh(f * c + i * g)", "o * np.tanh(c_next)": "o * c_next"},
        "What you keep as the cell state has been through tanh. tanh belongs on the way out; c itself is kept as it "
        "is, and may grow beyond 1.",
        CAROUSEL,
    ),
    Bug(
        "cell_not_squashed",
        {"o * np.tanh(c_next)": "o * c_next"},
        "Your h is the output gate times the cell state as it is. Something stands between them.",
        GATES,
        eases=True,
    ),
    Bug(
        "cell_through_sigmoid",
        {"o * np.tanh(c_next)": "o / (1 + np.exp(-c_next))"},
        "On its way out your cell state goes through σ, and h can no longer be negative.",
        GATES,
    ),
    Bug(
        "output_gate_forgotten",
        {"o * np.tanh(c_next)": "np.tanh(c_next)"},
        "Your h lets all of the cell state out: the output gate is missing.",
        GATES,
        eases=True,
    ),
    Bug(
        "output_of_the_old_cell",
        {"o * np.tanh(c_next)": "o * np.tanh(c)"},
        "Your h is read from the cell state before the step. It is the new one that is let out.",
        GATES,
    ),
)

# Each makes the gradient easier to find, so that no later question follows it.
EASING_BUGS = (
    Bug(
        "gates_not_squashed",
        {_sigma(gate): f"{gate} = a_{gate}" for gate in _SIGMA_GATES},
        "Your gates are the sums themselves. A gate is a share, between 0 and 1.",
        GATES,
        eases=True,
    ),
    Bug(
        "forget_gate_forgotten",
        {"f * c + i * g": "c + i * g"},
        "Your cell keeps all of its old state: the forget gate is missing. (So was it in 1997; it came three years "
        "later.)",
        GATES,
        eases=True,
    ),
    Bug(
        "input_gate_forgotten",
        {"f * c + i * g": "f * c + g"},
        "Your candidate enters the cell in full: the input gate is missing.",
        GATES,
        eases=True,
    ),
    Bug(
        "gates_coupled",
        {"f * c + i * g": "f * c + (1 - f) * g"},
        "Your cell writes just as much as it forgets. That is another cell, with coupled gates (a GRU does so); here "
        "the input gate is one of its own.",
        GATES,
        eases=True,
    ),
)

RARER_FORWARD_BUGS = (
    *STEP_BUGS,
    Bug(
        "sigmoid_sign_lost",
        {f"np.exp(-a_{gate})": f"np.exp(a_{gate})" for gate in _SIGMA_GATES},
        "Your σ falls where it should rise: a gate with a large sum is open. Look at the sign in the exponent.",
        GATES,
    ),
    Bug(
        "forget_bias_added",
        {"np.exp(-a_f)": "np.exp(-a_f - 1)"},
        "Your forget gate comes out when 1 is added to its sum. A forget bias of 1 is a way to begin training, and "
        "stands in b_ih or b_hh then; the step adds nothing of its own.",
        BIAS,
    ),
    Bug(
        "forget_gate_on_the_sum",
        {"f * c + i * g": "f * (c + i * g)"},
        "Your forget gate also scales what is newly written. Look at where the bracket closes.",
        GATES,
    ),
    Bug(
        "old_and_new_multiplied",
        {"f * c + i * g": "f * c * i * g"},
        "Your cell multiplies what it keeps with what it writes. They add: that is the whole point of an LSTM.",
        CAROUSEL,
    ),
    Bug(
        "state_in_place_of_cell",
        {"f * c + i * g": "f * h + i * g"},
        "Your forget gate scales h. What is kept from step to step is the cell state, c.",
        GATES,
    ),
    Bug(
        "cell_squashed_too_early",
        {"f * c + i * g": "np.tanh(f * c + i * g)"},
        "Your cell state has been through tanh before it is kept, and again on its way out. c is kept as it is.",
        CAROUSEL,
    ),
    Bug(
        "output_gate_inside_tanh",
        {"o * np.tanh(c_next)": "np.tanh(o * c_next)"},
        "Your output gate is applied before tanh. It scales what comes out of it.",
        GATES,
    ),
)

_ORDERS = {
    "figo": "or i and f have changed places",
    "ifog": "the order of some courses and papers",
    "iofg": "the order of ONNX",
    "igfo": "the order of TensorFlow's early cells",
    "ofgi": "or i and o have changed places",
}
_SPLIT, _JOINED = "a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)", "[da_i, da_f, da_g, da_o]"


def _joined(order: str) -> str:
    return "[" + ", ".join(f"da_{gate}" for gate in order) + "]"


def order_bugs(both_ways: bool) -> tuple[Bug, ...]:
    """Rows of the weights given to other gates; `both_ways`: on the way back too, as somebody consistent has it."""
    bugs = [
        (
            f"gates_in_the_order_{order}",
            {_SPLIT: ", ".join(f"a_{gate}" for gate in order) + " = np.split(a, 4, axis=1)"},
            {_JOINED: _joined(order)},
            f"Your numbers come out when the four blocks of rows are read as {', '.join(order)} ({says}). Here, as in "
            "PyTorch, they stand in the order i, f, g, o.",
        )
        for order, says in _ORDERS.items()
    ]
    interleaved = (
        "gates_interleaved",
        {"np.split(a, 4, axis=1)": "(a[:, k::4] for k in range(4))"},
        {"np.concatenate(": "np.stack(", "da_o], axis=1)": "da_o], axis=2).reshape(len(x), -1)"},
        "Your numbers come out when every fourth row belongs to one gate. Each gate has H rows that stand together: "
        "in what order does your code take them?",
    )
    return tuple(
        Bug(name, {**there, **(back if both_ways else {})}, says, STEP)
        for name, there, back, says in (*bugs, interleaved)
    )


# ---- back ----------------------------------------------------------------------------------------------------------


def _slopes(form: str) -> dict[str, str]:
    """The three σ gates' derivatives in another form; {s} stands for the gate, {a} for its sum."""
    return {f"{gate} * (1 - {gate})": form.format(s=gate, a=f"a_{gate}") for gate in _SIGMA_GATES}


COMMON_BACKWARD_BUGS = (
    Bug(
        "arriving_cell_gradient_forgotten",
        {"dc_next + ": ""},
        "What arrives at the new cell state from later, dc_next, never enters. Two paths lead out of c_next, and two "
        "gradients come back into it.",
        BACK,
    ),
    Bug(
        "path_through_the_output_forgotten",
        {"dc_next + dh_next * o * (1 - tanh_c**2)": "dc_next"},
        "Your cell state gets the gradient dc_next alone. It reaches the loss through h_next too: that is missing.",
        BACK,
    ),
    Bug(
        "cell_tanh_derivative_forgotten",
        {" * (1 - tanh_c**2)": ""},
        "Between h_next and c_next your gradient passes tanh without its derivative.",
        BACK,
    ),
    Bug(
        "output_gate_left_out",
        {"dh_next * o": "dh_next"},
        "On its way from h_next to c_next your gradient skips the output gate. Forwards, tanh(c) was multiplied by o.",
        BACK,
    ),
    Bug(
        "gates_from_the_arriving_gradient_alone",
        {"dc_t * g": "dc_next * g", "dc_t * c": "dc_next * c", "dc_t * i": "dc_next * i"},
        "Your i, f and g get their gradients from dc_next. First everything that flows into the cell state adds up; "
        "then the sum goes on to all that made it.",
        BACK,
    ),
    Bug(
        "old_cell_from_the_arriving_gradient_alone",
        {"dc_t * f": "dc_next * f"},
        "Your dc is dc_next times the forget gate. What came into c_next through h_next goes back to the old cell "
        "state as well.",
        BACK,
    ),
    Bug(
        "partners_kept",
        {"dc_t * g": "dc_t * i", "dc_t * i": "dc_t * g"},
        "Your gradients of i and g carry their own values. In a product, each factor's gradient carries the other one.",
        BACK,
    ),
    Bug(
        "forget_gate_meets_the_new_cell",
        {"dc_t * c": "dc_t * c_next"},
        "Your forget gate's gradient has the new cell state in it. Which one did f multiply, forwards?",
        BACK,
    ),
    Bug(
        "forget_gate_not_passed",
        {"dc_t * f": "dc_t"},
        "Your dc passes the forget gate as if it were wide open. Forwards, the old cell state was multiplied by f.",
        CAROUSEL,
    ),
    Bug(
        "gate_derivatives_forgotten",
        _slopes("1"),
        "Your gates' gradients are used as those of the sums before σ: its derivative is missing at all three gates.",
        BACK,
    ),
    Bug(
        "gates_with_tanh_derivative",
        _slopes("(1 - {s}**2)"),
        "Your three gates have 1 - s², the derivative of tanh. They came out of σ.",
        BACK,
    ),
    Bug(
        "gate_derivatives_without_one_minus",
        _slopes("{s}"),
        "Your gates' slope is σ. Half of the derivative of σ is missing.",
        BACK,
    ),
    Bug(
        "candidate_derivative_forgotten",
        {" * (1 - g**2)": ""},
        "At the candidate g the derivative of tanh is missing.",
        BACK,
    ),
    Bug(
        "candidate_with_sigmoid_derivative",
        {"(1 - g**2)": "g * (1 - g)"},
        "Your candidate has g(1 - g), the derivative of σ. It came out of tanh.",
        BACK,
    ),
    *(
        Bug(
            f"gradients_in_the_order_{order}",
            {_JOINED: _joined(order)},
            f"On the way back your four blocks are put together as {', '.join(order)}. They belong to the same rows "
            "as forwards.",
            BACK,
        )
        for order in ("ifog", "figo")
    ),
    Bug(
        "state_and_cell_gradients_swapped",
        {"dc = dc_t * f": "dh = dc_t * f", "dh = da @ W_hh": "dc = da @ W_hh"},
        "Your gradients of h and c have changed places.",
        BACK,
    ),
    Bug(
        "recurrent_weights_meet_the_new_state",
        {"da.T @ h": "da.T @ h_next"},
        "Your dW_hh comes out when the state after the step is used. Forwards, W_hh met the state before it.",
        BACK,
    ),
    Bug(
        "weights_averaged_over_the_batch",
        {"da.T @ x": "da.T @ x / len(x)", "da.T @ h": "da.T @ h / len(x)"},
        "Your weight gradients are divided by the number of sequences. If a mean is wanted, the loss takes it, and it "
        "is in the gradient that arrives: nothing is left to divide.",
        BACK,
    ),
    Bug(
        "biases_averaged_over_the_batch",
        {"da.sum(axis=0)": "da.mean(axis=0)"},
        "Your bias gradients are means over the sequences. One bias serves all of them, and each adds its share.",
        BACK,
    ),
    Bug(
        "bias_shared",
        {"(db + 0)": "0 * db"},
        "Your db_hh is zero. Both biases are added in the same place, so what flows to one flows to the other.",
        BACK,
    ),
    Bug(
        "bias_split",
        {"da.sum(axis=0)": "da.sum(axis=0) / 2"},
        "Your two bias gradients are halves. A sum passes its whole gradient on to each of its terms.",
        BACK,
    ),
)

RARER_BACKWARD_BUGS = (
    Bug(
        "cell_tanh_derivative_of_the_cell",
        {"(1 - tanh_c**2)": "(1 - c_next**2)"},
        "Your derivative of tanh at the cell state is 1 - c². tanh' is 1 - tanh(c)²: what is squared?",
        BACK,
    ),
    Bug(
        "output_gate_meets_the_bare_cell",
        {"dh_next * tanh_c": "dh_next * c_next"},
        "Your output gate's gradient has c_next in it. What did o multiply, forwards?",
        BACK,
    ),
    Bug(
        "gate_derivatives_of_the_sums",
        _slopes("{a} * (1 - {a})"),
        "Your gates' slope is a(1 - a), with the sum before σ. It is the gate itself that stands there.",
        BACK,
    ),
    Bug(
        "candidate_derivative_without_square",
        {"(1 - g**2)": "(1 - g)"},
        "Your candidate has 1 - g for the derivative of tanh. Something is missing on g.",
        BACK,
    ),
    Bug(
        "input_and_state_gradients_swapped",
        {"da @ W_ih": "da @ W_hh", "da @ W_hh": "da @ W_ih"},
        "Where D = H your gradients of x and of h have changed places. Which weights did each meet forwards, and in "
        "which order are they returned?",
        BACK,
    ),
    Bug(
        "weight_gradients_transposed",
        {"da.T @ x": "x.T @ da", "da.T @ h": "h.T @ da"},
        "Your weight gradients are transposed. A gradient has the shape of what it is a gradient of: W_ih is (4H, D).",
        BACK,
    ),
    Bug(
        "recurrent_weights_meet_the_cell",
        {"da.T @ h": "da.T @ c"},
        "Your dW_hh comes out when the cell state is used. Forwards, W_hh met h.",
        BACK,
    ),
    Bug(
        "biases_not_summed",
        {"da.sum(axis=0)": "da"},
        "Your bias gradients have a row for each sequence. One bias serves all of them, and each adds its share.",
        BACK,
    ),
    Bug(
        "bias_doubled",
        {"da.sum(axis=0)": "2 * da.sum(axis=0)"},
        "Your two bias gradients are twice what they should be. There are two biases, and each has its own gradient.",
        BACK,
    ),
    Bug(
        "output_gate_derivative_forgotten",
        {"o * (1 - o)": "1"},
        "At the output gate the derivative of σ is missing.",
        BACK,
    ),
)
