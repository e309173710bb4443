"""What the LSTM's and the GRU's problem sets share: names, and the mistakes that are made alike in both.

Their models call the same things by the same names, so that one edit makes a mistake in each of them. What tells the
cells apart stays with their own sets.
"""

from __future__ import annotations

from autograder.question import Bug

STEP, BACK_THROUGH_TIME = "One step", "Back through time"  # sections of lesson 07, and of lesson 08
WEIGHTS = ("W_ih", "W_hh", "b_ih", "b_hh")
OF_WEIGHTS = {
    "dW_ih": ("gate row", "input"),
    "dW_hh": ("gate row", "unit before"),
    "db_ih": ("gate row",),
    "db_hh": ("gate row",),
}

STEP_BUGS = (
    Bug(
        "input_weights_reshaped",
        {"W_ih.T": "W_ih.reshape(x.shape[1], -1)"},
        "Your numbers come out when W_ih is given its other shape by reshape, which deals the numbers out anew, row by "
        "row. In a transpose each stays with its row and column.",
        STEP,
    ),
    Bug(
        "recurrent_weights_reshaped",
        {"W_hh.T": "W_hh.reshape(h.shape[1], -1)"},
        "Your numbers come out when W_hh is given its other shape by reshape, which deals the numbers out anew, row by "
        "row. In a transpose each stays with its row and column.",
        STEP,
    ),
    Bug("input_bias_twice", {" + b_hh": " + b_ih"}, "b_ih is added twice, and b_hh not at all.", STEP),
)

LOOP_BUGS = (
    Bug(
        "states_saved_too_early",
        {"hs.append(h_next)": "hs.append(h)"},
        "Your hs begins with h0 and ends before the last state: each step's state is saved before the step.",
        STEP,
    ),
    Bug(
        "every_state_is_the_last",
        {"np.stack(hs)": "np.stack([h_next] * len(xs))"},
        "All steps of your hs are the last one: one array was saved again and again and changed in place.",
        STEP,
    ),
    Bug(
        "stacked_batch_first",
        {"np.stack(hs)": "np.stack(hs, axis=1)"},
        "Your hs has sequences on its first axis. Time comes first: (T, N, H).",
        STEP,
    ),
    Bug(
        "loops_over_the_batch",
        {"in xs:": "in xs.swapaxes(0, 1):"},
        "Your loop runs over sequences in place of steps: where T = N nothing stops it. Time comes first.",
        STEP,
    ),
    Bug(
        "reads_backwards",
        {"in xs:": "in xs[::-1]:"},
        "Your loop reads the sequence from its end. Step 0 comes first.",
        STEP,
    ),
    Bug(
        "stops_one_step_early",
        {"in xs:": "in xs[:-1]:"},
        "Your loop leaves out the last step.",
        STEP,
    ),
)

SWEEP_BUGS = (
    Bug(
        "own_output_forgotten",
        {"dhs[t] + dh": "dh"},
        "Your gradient enters at the last step alone; what each step's own output contributes, dhs[t], is missing.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "state_gradient_never_updated",
        {"dhs[t] + dh": "dhs[t] + dh_last"},
        "At every step dh_last flows into your h: what you compute for the step before is never put in its place.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "last_state_forgotten",
        {"dh = dh_last": "dh = 0 * dh_last"},
        "The gradient of the last state, dh_last, never enters. The loop back starts with it, not with zero.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "forwards_through_time",
        {"reversed(range(len(xs)))": "range(len(xs))", "dxs[::-1]": "dxs"},
        "Your loop runs from the first step to the last. A gradient comes from later steps: they must be done before "
        "it can be passed on.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "inputs_gradient_in_the_order_of_the_walk",
        {"dxs[::-1]": "dxs"},
        "Your dx is right and its steps stand in the order in which you walked: from the last to the first.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "weights_overwritten",
        {"dW_ih + ": "", "dW_hh + ": ""},
        "Your weight gradients are those of the first step alone: each step overwrites the one before. The same "
        "weights serve at every step, and every step adds its share.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "biases_overwritten",
        {"db_ih + ": "", "db_hh + ": ""},
        "Your bias gradients are those of the first step alone: each step overwrites the one before.",
        BACK_THROUGH_TIME,
    ),
    Bug(
        "averaged_over_time",
        {"dW_ih, dW_hh, db_ih, db_hh\n": "dW_ih / len(xs), dW_hh / len(xs), db_ih / len(xs), db_hh / len(xs)\n"},
        "Your parameter gradients are divided by the number of steps. The loss is what takes means; gradients of "
        "shared weights add up over time.",
        BACK_THROUGH_TIME,
    ),
)
