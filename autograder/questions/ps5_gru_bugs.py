"""The mistakes people make in one step of a GRU, forwards and back: edits of the models in `ps5_gru`.

Questions about whole sequences make them in the loop. A bank is searched in pairs, so those banks hold what is common.
"""

from __future__ import annotations

from autograder.question import Bug
from autograder.questions.gated import STEP, STEP_BUGS

GATES, RESET, BACK = (  # sections of lesson 08
    "Two gates and one state",
    "Reset before or reset after",
    "One step back",
)

_CANDIDATE, _BLEND = "np.tanh(a_n + r * q_n)", "(1 - z) * n + z * h"
_W_HN, _B_HN = "np.split(W_hh, 3)[2]", "np.split(b_hh, 3)[2]"


# ---- conventions: another GRU than the one asked for -----------------------------------------------------------------


_ORDERS = {
    "zrn": "or r and z do each other's work; it is the order of Keras and ONNX",
    "rnz": "or z and n have changed places",
    "nzr": "or r and n have changed places",
    "nrz": "the candidate first",
    "znr": "z first, r last",
}
_SPLITS = "a_r, a_z, a_n = np.split(a, 3, axis=1)", "q_r, q_z, q_n = np.split(q, 3, axis=1)"
_JOINED = "[da_r, da_z, da_n]", "[da_r, da_z, dq_n]"


def _split(order: str) -> dict[str, str]:
    return {
        text: ", ".join(f"{side}_{gate}" for gate in order) + f" = np.split({side}, 3, axis=1)"
        for side, text in zip("aq", _SPLITS, strict=True)
    }


def _joined(order: str) -> dict[str, str]:
    of_q = {"r": "da_r", "z": "da_z", "n": "dq_n"}
    return {
        _JOINED[0]: "[" + ", ".join(f"da_{gate}" for gate in order) + "]",
        _JOINED[1]: "[" + ", ".join(of_q[gate] for gate in order) + "]",
    }


_BEFORE_BACK = {
    "da_n * q_n": f"da_n @ {_W_HN} * h",
    "da_n * r": "da_n",
    "dq @ W_hh": f"np.hstack([da_r, da_z]) @ W_hh[: -h.shape[1]] + da_n @ {_W_HN} * r",
    "dq.T @ h": "np.concatenate([da_r.T @ h, da_z.T @ h, da_n.T @ (r * h)])",
}
_SHARES_SWAPPED = {"dh_next * (1 - z)": "dh_next * z", "dh_next * z": "dh_next * (1 - z)"}


def convention_bugs(both_ways: bool) -> tuple[Bug, ...]:
    """What another GRU does; `both_ways`: on the way back too, as somebody consistent has it."""
    bugs = [
        (
            "reset_before_the_product",
            {_CANDIDATE: f"np.tanh(a_n + (r * h) @ {_W_HN}.T + {_B_HN})"},
            _BEFORE_BACK,
            "Your reset gate acts on the state before the recurrent product, as in the paper of 2014. Here, as in "
            "PyTorch, it acts after: on what the product and its bias have become.",
            RESET,
        ),
        (
            "recurrent_bias_outside_the_reset",
            {_CANDIDATE: f"np.tanh(a_n + r * (q_n - {_B_HN}) + {_B_HN})"},
            {"da_n * q_n": f"da_n * (q_n - {_B_HN})", "dq.sum(axis=0)": "da.sum(axis=0)"},
            "In your candidate the reset gate does not reach b_hh. All of what comes from the state, its bias "
            "included, is scaled by r.",
            RESET,
        ),
        (
            "update_gate_inverted",
            {_BLEND: "z * n + (1 - z) * h"},
            {**_SHARES_SWAPPED, "(h - n)": "(n - h)"},
            "Your z says how much is new. Half of the papers write it so; here, as in PyTorch, z is the share of the "
            "old state that stays: 1 keeps everything.",
            GATES,
        ),
        *(
            (
                f"gates_in_the_order_{order}",
                _split(order),
                _joined(order),
                f"Your numbers come out when the three blocks of rows are read as {', '.join(order)} ({says}). Here, "
                "as in PyTorch, they stand in the order r, z, n.",
                STEP,
            )
            for order, says in _ORDERS.items()
        ),
        (
            "gates_interleaved",
            {f"np.split({side}, 3, axis=1)": f"({side}[:, k::3] for k in range(3))" for side in "aq"},
            {
                f"np.concatenate({joined}, axis=1)": f"np.stack({joined}, axis=2).reshape(len(x), -1)"
                for joined in _JOINED
            },
            "Your numbers come out when every third row belongs to one gate. Each gate has H rows that stand together: "
            "in what order does your code take them?",
            STEP,
        ),
    ]
    return tuple(
        Bug(name, {**there, **(back if both_ways else {})}, says, read) for name, there, back, says, read in bugs
    )


# ---- forwards ------------------------------------------------------------------------------------------------------


def _sigma(gate: str) -> str:
    return f"1 / (1 + np.exp(-a_{gate} - q_{gate}))"


COMMON_FORWARD_BUGS = (
    Bug("input_bias_forgotten", {" + b_ih": ""}, "b_ih is left out: each product has its bias.", STEP),
    Bug("recurrent_bias_forgotten", {" + b_hh": ""}, "b_hh is left out: each product has its bias.", STEP),
    Bug(
        "state_ignored",
        {"h @ W_hh.T": "0 * h @ W_hh.T"},
        "The state before does not reach the gates and the candidate: they see the input alone.",
        GATES,
        eases=True,
    ),
    Bug(
        "reset_gate_on_the_whole_sum",
        {_CANDIDATE: "np.tanh(r * (a_n + q_n))"},
        "Your reset gate scales the input's part of the candidate too. It decides how much of the past is heard; the "
        "input is always heard in full. So the two sums must be kept apart until then.",
        GATES,
    ),
    Bug(
        "reset_gate_on_the_input",
        {_CANDIDATE: "np.tanh(r * a_n + q_n)"},
        "Your reset gate scales what comes from the input. It decides how much of the past the candidate hears.",
        GATES,
    ),
    Bug(
        "reset_gate_forgotten",
        {_CANDIDATE: "np.tanh(a_n + q_n)"},
        "Your candidate hears all of the past: the reset gate is missing.",
        GATES,
        eases=True,
    ),
    Bug(
        "gates_through_tanh",
        {_sigma(gate): f"np.tanh(a_{gate} + q_{gate})" for gate in "rz"},
        "Both of your gates come out of tanh: they can be negative. A gate is a share, between 0 and 1.",
        GATES,
    ),
    Bug(
        "candidate_through_sigmoid",
        {_CANDIDATE: "1 / (1 + np.exp(-(a_n + r * q_n)))"},
        "Your candidate n comes out of σ, so that it is never negative. n is no gate but what the state may become.",
        GATES,
    ),
    Bug(
        "candidate_not_squashed",
        {_CANDIDATE: "a_n + r * q_n"},
        "Your candidate n is the sum itself: its nonlinearity is missing.",
        GATES,
        eases=True,
    ),
    Bug(
        "old_state_forgotten",
        {_BLEND: "(1 - z) * n"},
        "Your new state has only its new share. What becomes of the old state?",
        GATES,
        eases=True,
    ),
)

# Each makes the gradient easier to find, so that no later question follows it.
EASING_BUGS = (
    Bug(
        "gates_not_squashed",
        {_sigma(gate): f"a_{gate} + q_{gate}" for gate in "rz"},
        "Your gates are the sums themselves. A gate is a share, between 0 and 1.",
        GATES,
        eases=True,
    ),
    Bug(
        "gates_do_not_hear_the_state",
        {_sigma(gate): f"1 / (1 + np.exp(-a_{gate}))" for gate in "rz"},
        "Your gates hear the input alone. What the state says, q, belongs to their sums too.",
        GATES,
        eases=True,
    ),
    Bug(
        "update_gate_forgotten",
        {_BLEND: "n"},
        "Your new state is the candidate: the update gate is missing, and with it the way on which the old state "
        "stays as it is.",
        GATES,
        eases=True,
    ),
    Bug(
        "new_share_in_full",
        {_BLEND: "n + z * h"},
        "Your candidate enters the state in full. The two shares of a blend add up to 1.",
        GATES,
        eases=True,
    ),
    Bug(
        "old_share_in_full",
        {_BLEND: "(1 - z) * n + h"},
        "Your old state stays in full, whatever z says. The two shares of a blend add up to 1.",
        GATES,
        eases=True,
    ),
)

RARER_FORWARD_BUGS = (
    *STEP_BUGS,
    Bug(
        "sigmoid_sign_lost",
        {_sigma(gate): f"1 / (1 + np.exp(a_{gate} + q_{gate}))" for gate in "rz"},
        "Your σ falls where it should rise. Look at the sign in the exponent.",
        GATES,
    ),
    Bug(
        "exponent_half_negated",
        {_sigma(gate): f"1 / (1 + np.exp(-a_{gate} + q_{gate}))" for gate in "rz"},
        "In your σ's exponent the minus reaches the input's sum and not the state's. Look at the brackets.",
        STEP,
    ),
    Bug(
        "reset_gate_inverted",
        {_CANDIDATE: "np.tanh(a_n + (1 - r) * q_n)"},
        "Your reset gate says how much of the past to drop. In spite of its name it says how much is heard: 1 hears "
        "all.",
        GATES,
    ),
    Bug(
        "update_gate_in_the_candidate",
        {_CANDIDATE: "np.tanh(a_n + z * q_n)"},
        "In your candidate stands z. How much of the past the candidate hears is up to the other gate.",
        GATES,
    ),
    Bug(
        "reset_gate_keeps",
        {_BLEND: "(1 - z) * n + r * h"},
        "Your old state is kept by r. Both shares of the blend are the update gate's.",
        GATES,
    ),
    Bug(
        "both_shares_alike",
        {_BLEND: "z * n + z * h"},
        "Both of your shares are z. The two shares of a blend add up to 1.",
        GATES,
    ),
    Bug(
        "recurrent_bias_outside_the_reset_too",
        {_CANDIDATE: f"np.tanh(a_n + r * q_n + {_B_HN})"},
        "In your candidate b_hh stands twice, once within the reset gate's reach and once outside. Within is enough.",
        RESET,
    ),
    Bug(
        "reset_state_blended",
        {_BLEND: "(1 - z) * n + z * r * h"},
        "The old state that you keep has been through the reset gate. That gate is for the candidate alone.",
        GATES,
    ),
    Bug(
        "reset_gate_twice",
        {_CANDIDATE: f"np.tanh(a_n + r * ((r * h) @ {_W_HN}.T + {_B_HN}))"},
        "Your reset gate acts twice: on the state before the recurrent product and on what comes out of it.",
        RESET,
    ),
    Bug(
        "new_state_squashed",
        {_BLEND: "np.tanh((1 - z) * n + z * h)"},
        "Your new state has been through tanh once more. A blend of two states is a state already; a kept one must "
        "come out as it went in.",
        GATES,
    ),
    Bug(
        "state_not_multiplied_in_the_candidate",
        {_CANDIDATE: "np.tanh(a_n + r * h)"},
        "Into your candidate goes the state itself, unit by unit. Its rows of W_hh and b_hh come first.",
        GATES,
    ),
    Bug(
        "blended_with_the_product",
        {_BLEND: "(1 - z) * n + z * q_n"},
        "What you keep of the past is what W_hh made of it. What stays is the state itself, untouched.",
        GATES,
    ),
)


# ---- back ----------------------------------------------------------------------------------------------------------


def _slopes(form: str, gates: str = "rz") -> dict[str, str]:
    """The σ gates' derivatives in another form; {s} stands for the gate, {a} for its sum."""
    return {f"{gate} * (1 - {gate})": form.format(s=gate, a=f"(a_{gate} + q_{gate})") for gate in gates}


COMMON_BACKWARD_BUGS = (
    Bug(
        "kept_share_forgotten",
        {"through_z + ": ""},
        "Your dh comes through the gates and the candidate alone. Forwards, a share of h went straight into h_next: "
        "that way, on which a gradient needs no weights, is missing.",
        BACK,
    ),
    Bug(
        "weights_path_forgotten",
        {"through_z + dq @ W_hh": "through_z"},
        "Your dh is the kept share alone. h was read by both gates and by the candidate too.",
        BACK,
    ),
    Bug(
        "kept_share_in_full",
        {"dh_next * z": "dh_next"},
        "Straight back to h you send the whole gradient. Forwards, only a share of h stayed.",
        BACK,
    ),
    Bug(
        "new_share_not_passed",
        {"dh_next * (1 - z)": "dh_next"},
        "Your candidate gets the whole gradient. Forwards, only a share of n entered the state.",
        BACK,
    ),
    Bug(
        "shares_swapped_on_the_way_back",
        _SHARES_SWAPPED,
        "On the way back your shares have changed places: n gets what is due to h, and h what is due to n.",
        BACK,
    ),
    Bug(
        "update_gate_sign",
        {"(h - n)": "(n - h)"},
        "Your update gate's gradient has the wrong sign. If z grows a little, what is there more of, and what less?",
        BACK,
    ),
    Bug(
        "update_gate_sees_the_old_state_alone",
        {"(h - n)": "h"},
        "Your update gate's gradient knows h alone. z stands in the blend twice.",
        BACK,
    ),
    Bug(
        "update_gate_sees_the_candidate_alone",
        {"(h - n)": "-n"},
        "Your update gate's gradient knows n alone. z stands in the blend twice.",
        BACK,
    ),
    Bug(
        "update_gate_without_gradient",
        {"dz * z * (1 - z)": "0 * dz"},
        "Nothing flows back through your update gate. It decides the shares, and was itself computed from x and h.",
        BACK,
    ),
    Bug(
        "reset_gate_without_gradient",
        {"dr * r * (1 - r)": "0 * dr"},
        "Nothing flows back through your reset gate. It scales what the candidate hears, and was itself computed from "
        "x and h.",
        BACK,
    ),
    Bug(
        "reset_gate_meets_the_state",
        {"da_n * q_n": "da_n * h"},
        "Your reset gate's gradient has h in it. What did r multiply, forwards?",
        BACK,
    ),
    Bug(
        "reset_gate_meets_the_product_without_its_bias",
        {"da_n * q_n": f"da_n * (q_n - {_B_HN})"},
        "In your reset gate's gradient stands the recurrent product without its bias. r multiplied both.",
        RESET,
    ),
    Bug(
        "reset_gate_factor_forgotten",
        {"da_n * q_n": "da_n"},
        "Your reset gate gets the gradient of the candidate's sum as it is. In a product, each factor's gradient "
        "carries the other factor.",
        BACK,
    ),
    Bug(
        "reset_gate_before_the_candidates_tanh",
        {"da_n * q_n": "dn * q_n"},
        "Your reset gate gets its gradient from n itself. Between the two stands tanh.",
        BACK,
    ),
    Bug(
        "reset_gate_not_passed",
        {"da_n * r": "da_n"},
        "What you send to the candidate's recurrent sum has not passed the reset gate. There the two sums' gradients, "
        "da and dq, differ.",
        BACK,
    ),
    Bug(
        "state_gradient_of_the_inputs_sum",
        {"dq @ W_hh": "da @ W_hh"},
        "Your dh is computed from the gradient of the input's sum. The state went through the other one.",
        BACK,
    ),
    Bug(
        "recurrent_weights_of_the_inputs_sum",
        {"dq.T @ h": "da.T @ h"},
        "Your dW_hh is computed from the gradient of the input's sum. W_hh made the other one.",
        BACK,
    ),
    Bug(
        "one_gradient_for_both_biases",
        {"dq.sum(axis=0)": "da.sum(axis=0)"},
        "Your two bias gradients are alike. In an LSTM they are; here a reset gate stands between one of them and the "
        "candidate.",
        RESET,
    ),
    Bug(
        "reset_gate_on_the_inputs_gradient",
        {"da @ W_ih": "dq @ W_ih", "da.T @ x": "dq.T @ x", "da.sum(axis=0)": "dq.sum(axis=0)"},
        "What you send to the input has passed the reset gate. Forwards, the candidate heard the input in full.",
        BACK,
    ),
    Bug(
        "gradients_of_reset_before",
        _BEFORE_BACK,
        "Your step is PyTorch's and your way back is that of the other GRU, in which the reset gate acts on the state "
        "before the product. Read your own step from its last line upwards.",
        RESET,
    ),
    Bug(
        "candidate_derivative_forgotten",
        {" * (1 - n**2)": ""},
        "At the candidate n the derivative of tanh is missing.",
        BACK,
    ),
    Bug(
        "candidate_with_sigmoid_derivative",
        {"(1 - n**2)": "n * (1 - n)"},
        "Your candidate has n(1 - n), the derivative of σ. It came out of tanh.",
        BACK,
    ),
    Bug(
        "gate_derivatives_forgotten",
        _slopes("1"),
        "Your gates' gradients are used as those of the sums before σ: its derivative is missing at both gates.",
        BACK,
    ),
    Bug(
        "gates_with_tanh_derivative",
        _slopes("(1 - {s}**2)"),
        "Your two gates have 1 - s², the derivative of tanh. They came out of σ.",
        BACK,
    ),
    Bug(
        "gate_derivatives_without_one_minus",
        _slopes("{s}"),
        "Your gates' slope is σ. Half of the derivative of σ is missing.",
        BACK,
    ),
    Bug(
        "gradients_in_the_order_zrn",
        _joined("zrn"),
        "On the way back your blocks are put together as z, r, n. They belong to the same rows as forwards.",
        BACK,
    ),
    Bug(
        "recurrent_weights_meet_the_new_state",
        {"dq.T @ h": "dq.T @ h_next"},
        "Your dW_hh comes out when the state after the step is used. Forwards, W_hh met the state before it.",
        BACK,
    ),
    Bug(
        "weights_averaged_over_the_batch",
        {"da.T @ x": "da.T @ x / len(x)", "dq.T @ h": "dq.T @ h / len(x)"},
        "Your weight gradients are divided by the number of sequences. If a mean is wanted, the loss takes it, and it "
        "is in the gradient that arrives: nothing is left to divide.",
        BACK,
    ),
    Bug(
        "biases_averaged_over_the_batch",
        {"da.sum(axis=0)": "da.mean(axis=0)", "dq.sum(axis=0)": "dq.mean(axis=0)"},
        "Your bias gradients are means over the sequences. One bias serves all of them, and each adds its share.",
        BACK,
    ),
)

RARER_BACKWARD_BUGS = (
    Bug(
        "reset_gate_meets_itself",
        {"da_n * q_n": "dq_n * q_n"},
        "Your reset gate's gradient has r in it: it was taken from what had already passed r. Both come from the same "
        "place, the candidate's sum.",
        BACK,
    ),
    Bug(
        "product_factors_kept",
        {"da_n * q_n": "da_n * r", "da_n * r": "da_n * q_n"},
        "Your gradients of r and of the recurrent sum carry their own values. In a product, each factor's gradient "
        "carries the other one.",
        BACK,
    ),
    Bug(
        "update_gate_meets_the_new_state",
        {"(h - n)": "(h_next - n)"},
        "In your update gate's gradient stands the state after the step. Which one did z multiply, forwards?",
        BACK,
    ),
    Bug(
        "candidate_derivative_without_square",
        {"(1 - n**2)": "(1 - n)"},
        "Your candidate has 1 - n for the derivative of tanh. Something is missing on n.",
        BACK,
    ),
    Bug(
        "candidate_derivative_of_the_sum",
        {"(1 - n**2)": "(1 - (a_n + r * q_n) ** 2)"},
        "Your derivative of tanh has the sum before it squared. It is n itself that stands there.",
        BACK,
    ),
    Bug(
        "gate_derivatives_of_the_sums",
        _slopes("{a} * (1 - {a})"),
        "Your gates' slope is s(1 - s), with the sum before σ. It is the gate itself that stands there.",
        BACK,
    ),
    Bug(
        "reset_gate_derivative_forgotten",
        _slopes("1", "r"),
        "At the reset gate the derivative of σ is missing.",
        BACK,
    ),
    Bug(
        "update_gate_derivative_forgotten",
        _slopes("1", "z"),
        "At the update gate the derivative of σ is missing.",
        BACK,
    ),
    Bug(
        "reset_gate_derivative_without_one_minus",
        _slopes("{s}", "r"),
        "At the reset gate your slope is r. Half of the derivative of σ is missing.",
        BACK,
    ),
    Bug(
        "update_gate_derivative_without_one_minus",
        _slopes("{s}", "z"),
        "At the update gate your slope is z. Half of the derivative of σ is missing.",
        BACK,
    ),
    Bug(
        "reset_gate_with_tanh_derivative",
        _slopes("(1 - {s}**2)", "r"),
        "Your reset gate has 1 - r², the derivative of tanh. It came out of σ.",
        BACK,
    ),
    Bug(
        "update_gate_with_tanh_derivative",
        _slopes("(1 - {s}**2)", "z"),
        "Your update gate has 1 - z², the derivative of tanh. It came out of σ.",
        BACK,
    ),
    Bug(
        "candidate_gets_the_old_share",
        {"dh_next * (1 - z)": "dh_next * z"},
        "Your candidate gets the share of the gradient that is due to h. Which share of n entered the state?",
        BACK,
    ),
    Bug(
        "old_state_gets_the_new_share",
        {"dh_next * z": "dh_next * (1 - z)"},
        "Straight back to h you send the share that is due to n. Which share of h stayed?",
        BACK,
    ),
    Bug(
        "state_gradient_added_again",
        {"through_z + ": "dh_next + through_z + "},
        "Your dh has dh_next added once more. Straight back goes only the share of h that stayed.",
        BACK,
    ),
    Bug(
        "update_gate_shares_added",
        {"(h - n)": "(h + n)"},
        "Your update gate's gradient has h + n in it. If z grows a little, what is there more of, and what less?",
        BACK,
    ),
    Bug(
        "reset_gate_passed_inverted",
        {"da_n * r": "da_n * (1 - r)"},
        "What you send to the candidate's recurrent sum is scaled by 1 - r. Forwards, that sum was scaled by r.",
        BACK,
    ),
    Bug(
        "reset_gate_meets_the_candidate",
        {"da_n * q_n": "da_n * n"},
        "Your reset gate's gradient has n in it. What did r multiply, forwards?",
        BACK,
    ),
    Bug(
        "inputs_gradient_of_the_states_sum",
        {"da @ W_ih": "dq @ W_ih"},
        "Your dx is computed from the gradient of the state's sum. The input went through the other one.",
        BACK,
    ),
    Bug(
        "input_weights_of_the_states_sum",
        {"da.T @ x": "dq.T @ x"},
        "Your dW_ih is computed from the gradient of the state's sum. W_ih made the other one.",
        BACK,
    ),
    Bug(
        "input_bias_of_the_states_sum",
        {"da.sum(axis=0)": "dq.sum(axis=0)"},
        "Your two bias gradients are alike, and both are that of the state's sum. b_ih stands in the input's.",
        RESET,
    ),
    Bug(
        "bias_gradients_swapped",
        {"da.sum(axis=0)": "dq.sum(axis=0)", "dq.sum(axis=0)": "da.sum(axis=0)"},
        "Your two bias gradients have changed places. Which sum does each bias stand in?",
        BACK,
    ),
    Bug(
        "recurrent_weights_meet_the_reset_state",
        {"dq.T @ h": "dq.T @ (r * h)"},
        "Your dW_hh comes out when h has been through the reset gate. Forwards, W_hh met h itself.",
        RESET,
    ),
    Bug(
        "input_and_state_gradients_swapped",
        {"dx = da @ W_ih": "dh = da @ W_ih", "dh = through_z + dq @ W_hh": "dx = through_z + dq @ W_hh"},
        "Where D = H your gradients of x and of h have changed places. Which weights did each meet forwards?",
        BACK,
    ),
    Bug(
        "weight_gradients_transposed",
        {"da.T @ x": "x.T @ da", "dq.T @ h": "h.T @ dq"},
        "Your weight gradients are transposed. A gradient has the shape of what it is a gradient of: W_ih is (3H, D).",
        BACK,
    ),
    Bug(
        "biases_not_summed",
        {"da.sum(axis=0)": "da", "dq.sum(axis=0)": "dq"},
        "Your bias gradients have a row for each sequence. One bias serves all of them, and each adds its share.",
        BACK,
    ),
    Bug(
        "recurrent_bias_without_gradient",
        {"dq.sum(axis=0)": "0 * dq.sum(axis=0)"},
        "Your db_hh is zero. b_hh is added forwards, so something flows back to it.",
        BACK,
    ),
    Bug(
        "gradients_in_the_order_nzr",
        _joined("nzr"),
        "On the way back your blocks are put together as n, z, r. They belong to the same rows as forwards.",
        BACK,
    ),
)
