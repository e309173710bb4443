"""The mistakes people make in an Adam step, in a schedule and in the loop around them: edits of `ps7_training`.

A wrong step or schedule has one name wherever it is used, so that it is paid for once. What a training run cannot show
(where ε stands, when it is tiny; weight decay, when there is none) stands with the step alone.
"""

from __future__ import annotations

from autograder.question import Bug

ADAM, SCHEDULE, CLIPPING, CARRY, STOP, RECORD = (  # sections of lesson 10
    "SGD, RMSprop and Adam",
    "Warm-up and cosine decay",
    "Clipping",
    "Truncated BPTT with carried state",
    "Early stopping",
    "The loop and its record",
)

_M, _V = "beta_1 * m + (1 - beta_1) * g", "beta_2 * v + (1 - beta_2) * g**2"
_M_HAT, _V_HAT = "m_new / (1 - beta_1**t)", "v_new / (1 - beta_2**t)"
_STEP = "m_hat / (np.sqrt(v_hat) + eps)"
_DECAY = " - learning_rate * weight_decay * parameter"

# ---- one step of Adam ----------------------------------------------------------------------------------------------

ADAM_BUGS = (
    Bug(
        "bias_correction_missing",
        {_M_HAT: "m_new", _V_HAT: "v_new"},
        "Your step comes out with m and v themselves. Both began at zero and are too small at first: divide each by "
        "1 - βᵗ.",
        ADAM,
    ),
    Bug(
        "only_m_corrected",
        {_V_HAT: "v_new"},
        "Your m is corrected for having begun at zero, and your v is not. With β₂ near 1 it is v that needs it most.",
        ADAM,
    ),
    Bug(
        "only_v_corrected",
        {_M_HAT: "m_new"},
        "Your v is corrected for having begun at zero, and your m is not.",
        ADAM,
    ),
    Bug(
        "correction_one_step_behind",
        {_M_HAT: "m_new / (1 - beta_1 ** (t - 1))", _V_HAT: "v_new / (1 - beta_2 ** (t - 1))"},
        "Your bias correction is made as if t were one less, and at the first step it divides by 1 - β⁰ = 0. t counts "
        "from 1: the first step is step 1.",
        ADAM,
    ),
    Bug(
        "correction_one_step_ahead",
        {_M_HAT: "m_new / (1 - beta_1 ** (t + 1))", _V_HAT: "v_new / (1 - beta_2 ** (t + 1))"},
        "Your bias correction is made as if t were one more. t is 1 at the first step already.",
        ADAM,
    ),
    Bug(
        "correction_without_a_power",
        {_M_HAT: "m_new / (1 - beta_1)", _V_HAT: "v_new / (1 - beta_2)"},
        "Your correction divides by 1 - β at every step. That is right at t = 1 only; it must fade as t grows: 1 - βᵗ.",
        ADAM,
    ),
    Bug(
        "correction_multiplies",
        {_M_HAT: "m_new * (1 - beta_1**t)", _V_HAT: "v_new * (1 - beta_2**t)"},
        "Your correction multiplies by 1 - βᵗ. m and v are too small at first: what makes them larger?",
        ADAM,
    ),
    Bug(
        "corrected_moments_kept",
        {"kept_m, kept_v = m_new, v_new": "kept_m, kept_v = m_hat, v_hat"},
        "The m and v that you hand back are the corrected ones. The next step would correct them a second time: keep "
        "those without a hat.",
        ADAM,
    ),
    Bug(
        "moments_exchanged",
        {_STEP: "v_hat / (np.sqrt(m_hat) + eps)"},
        "Your step comes out with v above and the root of m below. m, the mean of gradients, has the direction; v, the "
        "mean of squares, the size.",
        ADAM,
    ),
    Bug(
        "betas_exchanged",
        {
            _M: "beta_2 * m + (1 - beta_2) * g",
            _V: "beta_1 * v + (1 - beta_1) * g**2",
            _M_HAT: "m_new / (1 - beta_2**t)",
            _V_HAT: "v_new / (1 - beta_1**t)",
        },
        "β₁ and β₂ have changed places: β₁ belongs to m, β₂ to v.",
        ADAM,
    ),
    Bug(
        "betas_exchanged_in_the_correction",
        {_M_HAT: "m_new / (1 - beta_2**t)", _V_HAT: "v_new / (1 - beta_1**t)"},
        "Your m and v are right, and in their corrections β₁ and β₂ have changed places.",
        ADAM,
    ),
    Bug(
        "beta_1_for_both",
        {_V: "beta_1 * v + (1 - beta_1) * g**2", _V_HAT: "v_new / (1 - beta_1**t)"},
        "Your v is made with β₁. It forgets by β₂.",
        ADAM,
    ),
    Bug(
        "gradient_taken_whole",
        {_M: "beta_1 * m + g"},
        "Your m adds the whole gradient, as momentum in SGD does. Adam's m is a mean: the new gradient has a share of "
        "1 - β₁.",
        ADAM,
    ),
    Bug(
        "square_taken_whole",
        {_V: "beta_2 * v + g**2"},
        "Your v adds the whole square. It is a mean: the new square has a share of 1 - β₂.",
        ADAM,
    ),
    Bug(
        "shares_exchanged",
        {_M: "(1 - beta_1) * m + beta_1 * g", _V: "(1 - beta_2) * v + beta_2 * g**2"},
        "Old and new have changed places in your means: β is the share of what was, 1 - β that of what is new.",
        ADAM,
    ),
    Bug(
        "square_missing",
        {_V: "beta_2 * v + (1 - beta_2) * np.abs(g)"},
        "Your v is a mean of absolute values. It is a mean of squares, whose root is taken later.",
        ADAM,
    ),
    Bug(
        "square_of_the_mean",
        {_V: "beta_2 * v + (1 - beta_2) * m_new**2"},
        "Your v averages the squares of m. It is the mean of the squares of g: gradients of changing sign cancel in m, "
        "and must not cancel in v.",
        ADAM,
    ),
    Bug(
        "one_square_for_the_whole_array",
        {_V: "beta_2 * v + (1 - beta_2) * np.sum(g**2)"},
        "Your v has the squares of the whole array in every entry. Each entry has a mean of its own: that is how each "
        "gets a step of its own size.",
        ADAM,
    ),
    Bug(
        "root_missing",
        {_STEP: "m_hat / (v_hat + eps)"},
        "Your step divides by v itself. Its root has the unit of a gradient, so that the step has none.",
        ADAM,
    ),
    Bug(
        "v_not_used",
        {_STEP: "m_hat"},
        "Your step is m alone: momentum. The division by the root of v is missing.",
        ADAM,
    ),
    Bug(
        "m_not_used",
        {_STEP: "g / (np.sqrt(v_hat) + eps)"},
        "Your step has the gradient itself above, as RMSprop does. Adam takes the mean of gradients, corrected.",
        ADAM,
    ),
    Bug(
        "old_moments_used",
        {_M_HAT: "m / (1 - beta_1**t)", _V_HAT: "v / (1 - beta_2**t)"},
        "Your step is made of the m and v that came in. Make the new ones first, and step with those.",
        ADAM,
    ),
    Bug(
        "uphill",
        {"parameter - learning_rate * step": "parameter + learning_rate * step"},
        "Your step goes uphill: a loss falls against its gradient.",
        ADAM,
    ),
    Bug(
        "rate_missing",
        {"parameter - learning_rate * step": "parameter - step"},
        "Your step has no learning rate in it.",
        ADAM,
    ),
    Bug(
        "eps_missing",
        {_STEP: "m_hat / np.sqrt(v_hat)"},
        "Your step has no ε: where a gradient was always zero it divides zero by zero.",
        ADAM,
    ),
)

ADAM_ALONE_BUGS = (
    Bug(
        "correction_times_t",
        {_M_HAT: "m_new / (1 - beta_1 * t)", _V_HAT: "v_new / (1 - beta_2 * t)"},
        "Your correction divides by 1 - β · t, which is below zero soon: no root. It is β to the power of t.",
        ADAM,
    ),
    Bug(
        "beta_1_in_both_corrections",
        {_V_HAT: "v_new / (1 - beta_1**t)"},
        "Your v is right, and its correction is made with β₁. It forgets by β₂, and is corrected by β₂.",
        ADAM,
    ),
    Bug(
        "gradient_for_its_square",
        {_V: "beta_2 * v + (1 - beta_2) * g"},
        "Your v is a mean of gradients, which has a sign. It is a mean of their squares.",
        ADAM,
    ),
    Bug(
        "eps_added_to_the_quotient",
        {_STEP: "m_hat / np.sqrt(v_hat) + eps"},
        "Your ε is added to the quotient. It belongs to what divides: brackets round the root and ε.",
        ADAM,
    ),
    Bug(
        "eps_added_to_the_step",
        {
            "parameter - learning_rate * step": "parameter - (learning_rate * step + eps)",
            _STEP: "m_hat / np.sqrt(v_hat)",
        },
        "Your ε is added to the whole step. It belongs to what divides: brackets round the root and ε.",
        ADAM,
    ),
    Bug(
        "eps_added_to_the_parameter",
        {"parameter - learning_rate * step": "parameter - learning_rate * step + eps", _STEP: "m_hat / np.sqrt(v_hat)"},
        "Your ε is added to the parameter itself. It belongs to what divides: brackets round the root and ε.",
        ADAM,
    ),
    Bug(
        "moments_returned_in_another_order",
        {"kept_m, kept_v = m_new, v_new": "kept_m, kept_v = v_new, m_new"},
        "Your m and v are right, and come back in the wrong order: the parameter, m, v.",
        ADAM,
    ),
    Bug(
        "old_moments_kept",
        {"kept_m, kept_v = m_new, v_new": "kept_m, kept_v = m, v"},
        "Your step is right, and the m and v that you hand back are those that came in: the next step would not know "
        "of this one.",
        ADAM,
    ),
    Bug(
        "eps_inside_the_root",
        {_STEP: "m_hat / np.sqrt(v_hat + eps)"},
        "Your ε stands inside the root. Here it is added after it (libraries differ; at 1e-8, the root makes it 1e-4).",
        ADAM,
    ),
    Bug(
        "eps_added_before_the_correction",
        {_STEP: "m_hat / ((np.sqrt(v_new) + eps) / np.sqrt(1 - beta_2**t))"},
        "Your ε is corrected too: it was added to the root of v, and not to that of v̂.",
        ADAM,
    ),
    Bug(
        "decay_missing",
        {_DECAY: ""},
        "Your step is right where there is no weight decay, and with it nothing decays.",
        ADAM,
    ),
    Bug(
        "decay_in_the_gradient",
        {"g = gradient": "g = gradient + weight_decay * parameter", _DECAY: ""},
        "Your weight decay goes into the gradient, and so through m and v: it is divided by the root of v. Decoupled, "
        "it shrinks the parameter itself and touches neither.",
        ADAM,
    ),
    Bug(
        "decay_divided_like_the_step",
        {_STEP: "(m_hat + weight_decay * parameter) / (np.sqrt(v_hat) + eps)", _DECAY: ""},
        "Your weight decay is divided by the root of v, together with m. Decoupled means that it is not.",
        ADAM,
    ),
    Bug(
        "decay_without_the_rate",
        {_DECAY: " - weight_decay * parameter"},
        "Your weight decay is λ θ. It is part of the step, η λ θ: with a small rate it must be small too.",
        ADAM,
    ),
    Bug(
        "decay_grows",
        {_DECAY: " + learning_rate * weight_decay * parameter"},
        "Your weight decay lets the parameter grow.",
        ADAM,
    ),
    Bug(
        "decay_of_what_is_new",
        {
            "parameter - learning_rate * step": "(parameter - learning_rate * step)",
            _DECAY: " * (1 - learning_rate * weight_decay)",
        },
        "Your weight decay shrinks the parameter after its step, and so the step too. Both start from the parameter "
        "that came in.",
        ADAM,
    ),
    Bug(
        "parameter_changed_in_place",
        {"spoilt_parameter = 0": "spoilt_parameter = 1"},
        "The parameter that you were handed has been changed: -= writes into the caller's array, and somebody may keep "
        "it as the best so far. Make a new one: θ = θ - ...",
        ADAM,
    ),
    Bug(
        "moments_changed_in_place",
        {"spoilt_moments = 0": "spoilt_moments = not np.array_equal([m_new, v_new], [m, v])"},
        "The m and v that you were handed have been changed: *= and += write into the caller's arrays. Make new ones.",
        ADAM,
    ),
    Bug(
        "gradient_changed_in_place",
        {"spoilt_gradient = 0": "spoilt_gradient = weight_decay > 0"},
        "The gradient that you were handed has been changed: += writes into the caller's array, weight decay or not.",
        ADAM,
    ),
)

# ---- warm-up and cosine --------------------------------------------------------------------------------------------

_RISE, _SHARE = "peak * (s + 1) / warmup", "(s - warmup) / (steps - warmup)"
_COSINE = "(1 + np.cos(np.pi * share)) / 2"
_RANGE = "floor + (peak - floor) *"
_AFTER = "else:\n            rate = floor"
_RAISES = "[][0]"  # where a learner's whole numbers are divided by zero, and NumPy's would not raise

SCHEDULE_BUGS = (
    Bug(
        "warmup_starts_at_zero",
        {_RISE: "peak * s / warmup"},
        "Your first rate is 0: a step of length zero, and a batch wasted. Step 0 gets one share of the rise already.",
        SCHEDULE,
    ),
    Bug(
        "warmup_one_share_too_small",
        {_RISE: "peak * (s + 1) / (warmup + 1)"},
        "Your warm-up ends one share below the peak: its last step, number warmup - 1, should have the peak's rate.",
        SCHEDULE,
    ),
    Bug(
        "warmup_one_step_too_long",
        {"s < warmup": f"s <= (warmup or {_RAISES})"},
        "Your warm-up has one step too many, and it overshoots the peak. Steps 0 to warmup - 1 are the warm-up.",
        SCHEDULE,
    ),
    Bug(
        "warmup_missing",
        {_RISE: "peak"},
        "Your rate is at its peak from the first step on. It should rise to it.",
        SCHEDULE,
    ),
    Bug(
        "warmup_cut_to_whole_numbers",
        {_RISE: "peak * ((s + 1) // warmup)"},
        "Your rate is 0 until the warm-up's last step: // cuts fractions off. Divide by /.",
        SCHEDULE,
    ),
    Bug(
        "warmup_without_the_peak",
        {_RISE: "(s + 1) / warmup"},
        "Your warm-up rises to 1. It should rise to the peak.",
        SCHEDULE,
    ),
    Bug(
        "cosine_during_the_warmup",
        {_RISE: f"({_RANGE} (1 + np.cos(np.pi * s / steps)) / 2) * (s + 1) / warmup", _SHARE: "s / steps"},
        "Your cosine falls from step 0 on, and your warm-up multiplies it. First the rise, to the full peak; the fall "
        "begins where it ends.",
        SCHEDULE,
    ),
    Bug(
        "cosine_counted_from_step_zero",
        {_SHARE: "s / steps"},
        "Your cosine is counted from step 0, so that the rate jumps down where the warm-up ends. It starts there, and "
        "has steps - warmup steps.",
        SCHEDULE,
    ),
    Bug(
        "cosine_counted_from_step_zero_and_too_short",
        {_SHARE: "s / (steps - warmup)"},
        "Your cosine has the right length and is counted from step 0: it is over before the training is.",
        SCHEDULE,
    ),
    Bug(
        "cosine_too_long",
        {_SHARE: "(s - warmup) / steps"},
        "Your cosine is as long as the whole training, and begins after the warm-up: the training ends before it has "
        "come down.",
        SCHEDULE,
    ),
    Bug(
        "cosine_one_step_ahead",
        {_SHARE: "(s + 1 - warmup) / (steps - warmup)"},
        "Your cosine is one step ahead: at step warmup the rate is still the peak.",
        SCHEDULE,
    ),
    Bug(
        "cosine_one_step_too_short",
        {_SHARE: f"(s - warmup) / ((steps - 1 - warmup) or {_RAISES})"},
        "Your cosine is down at the last step. Here it is down at step number `steps`, the first that is not taken, so "
        "that the last step still moves.",
        SCHEDULE,
    ),
    Bug(
        "cosine_not_halved",
        {_COSINE: "(1 + np.cos(np.pi * share))"},
        "Your cosine starts at twice the peak: 1 + cos goes from 2 to 0. Where is the half?",
        SCHEDULE,
    ),
    Bug(
        "cosine_becomes_negative",
        {_COSINE: "np.cos(np.pi * share)"},
        "Your factor is the cosine itself, which goes down to -1: with it the rate becomes negative, or falls far "
        "below the floor.",
        SCHEDULE,
    ),
    Bug(
        "cosine_upside_down",
        {_COSINE: "(1 - np.cos(np.pi * share)) / 2"},
        "After the warm-up your rate rises from the floor to the peak: the cosine is upside down.",
        SCHEDULE,
    ),
    Bug(
        "quarter_of_a_turn",
        {_COSINE: "np.cos(np.pi / 2 * share)"},
        "Your rate falls along a quarter of a turn of the cosine, ever steeper. Half a turn is asked for, which ends "
        "as gently as it began.",
        SCHEDULE,
    ),
    Bug(
        "whole_turn",
        {_COSINE: "(1 + np.cos(2 * np.pi * share)) / 2"},
        "Your cosine makes a whole turn: in the end the rate is at the peak again.",
        SCHEDULE,
    ),
    Bug(
        "cosine_in_degrees",
        {_COSINE: "(1 + np.cos(180 * share)) / 2"},
        "Your cosine gets degrees. np.cos takes radians: half a turn is π.",
        SCHEDULE,
    ),
    Bug(
        "straight_line",
        {_COSINE: "(1 - share)"},
        "Your rate falls along a straight line. A cosine is asked for.",
        SCHEDULE,
    ),
)

_FLOOR_BUGS = (
    Bug(
        "without_pi",
        {_COSINE: "(1 + np.cos(share)) / 2"},
        "Your cosine gets q itself. Half a turn is π, so q is multiplied by it.",
        SCHEDULE,
    ),
    Bug(
        "cosine_counted_from_step_zero_and_held",
        {_SHARE: "min(s / (steps - warmup), 1)"},
        "Your cosine has the right length and is counted from step 0: it is over before the training is.",
        SCHEDULE,
    ),
    Bug(
        "warmup_from_zero_to_the_peak",
        {_RISE: f"peak * s / ((warmup - 1) or {_RAISES})"},
        "Your warm-up goes from 0 at its first step to the peak at its last, and a warm-up of one step divides by "
        "zero. Step s gets s + 1 shares of w.",
        SCHEDULE,
    ),
    Bug(
        "warmup_from_the_floor",
        {_RISE: "floor + (peak - floor) * (s + 1) / warmup"},
        "Your warm-up rises from the floor. The floor is where the cosine ends; the rise starts from nothing.",
        SCHEDULE,
    ),
    Bug(
        "floor_forgotten",
        {_RANGE: "peak *"},
        "Your rate falls to 0. It should end at the floor.",
        SCHEDULE,
    ),
    Bug(
        "floor_on_top",
        {_RANGE: "floor + peak *"},
        "Your floor stands on top of the whole curve, so that after the warm-up it starts above the peak. It goes from "
        "peak to floor: a range of peak - floor.",
        SCHEDULE,
    ),
    Bug(
        "floor_taken_off",
        {_RANGE: "(peak - floor) *"},
        "Your curve has the right range and ends at 0: the floor must be added again.",
        SCHEDULE,
    ),
    Bug(
        "floor_cuts_the_curve",
        {f"{_RANGE} {_COSINE}": f"max(floor, peak * {_COSINE})"},
        "Your curve falls towards 0 and is cut off at the floor. It should reach the floor at its end, not before.",
        SCHEDULE,
    ),
    Bug(
        "floor_as_a_share_of_the_peak",
        {_RANGE: "floor * peak + (peak - floor * peak) *"},
        "Your floor is taken as a share of the peak (rnnlib's schedules do so). Here it is a rate.",
        SCHEDULE,
    ),
    Bug(
        "rises_again",
        {"s < steps": "s > -1"},
        "After the last step your rate rises again, since a cosine does. It should stay at the floor.",
        SCHEDULE,
    ),
    Bug(
        "nothing_after_the_end",
        {_AFTER: _AFTER.replace("floor", "0.0")},
        "After the last step your rate is 0. It should stay at the floor.",
        SCHEDULE,
    ),
)


def _also_after_the_end(bug: Bug) -> Bug:
    """The same mistake by somebody whose cosine goes on after the last step, with its share held at 1."""
    rate, share = f"{_RANGE} {_COSINE}", _SHARE
    for text, instead in bug.edits.items():
        rate, share = rate.replace(text, instead), share.replace(text, instead)
    after = f"else:\n            share = min({share}, 1)\n            rate = {rate}"
    return Bug(f"{bug.name}_also_after_the_end", {**bug.edits, _AFTER: after}, bug.says, bug.read)


_SHOW_AFTER_THE_END = (
    "cosine_too_long",
    "cosine_becomes_negative",
    "cosine_upside_down",
    "whole_turn",
    "cosine_in_degrees",
    "without_pi",
    "floor_forgotten",
    "floor_taken_off",
    "floor_as_a_share_of_the_peak",
)
SCHEDULE_ALONE_BUGS = (
    *_FLOOR_BUGS,
    *(_also_after_the_end(bug) for bug in (*SCHEDULE_BUGS, *_FLOOR_BUGS) if bug.name in _SHOW_AFTER_THE_END),
)

# ---- the loop around them ------------------------------------------------------------------------------------------

TRAIN_BUGS = (
    Bug(
        "after_epoch_sees_the_first_weights",
        {"in weights.values()])": "in (W_ih, W_hh, b, W_out, b_out)])"},
        "Your `after_epoch` is called with the weights that you were given. It is to see the newest: on them it "
        "decides, and those it puts aside.",
        STOP,
    ),
    Bug(
        "after_epoch_never_called",
        {"told.append(": "str(", "epoch + 1 >= until": "False"},
        "You never call `after_epoch`. After each epoch it is asked whether to stop.",
        STOP,
    ),
    Bug(
        "state_reset_in_every_window",
        {"h = hs[-1]": "h = rest"},
        "Every window of yours begins with a state of zeros. Within an epoch, window k + 1 goes on where window k "
        "ended: pass on the state that came back.",
        CARRY,
    ),
    Bug(
        "state_carried_into_the_next_epoch",
        {"rest = np.zeros((N, H))": "rest = h = np.zeros((N, H))", "h = rest": "h = h"},
        "Your second epoch begins with the state in which the first one ended. It begins to read at the start of the "
        "text again: zeros.",
        CARRY,
    ),
    Bug(
        "step_number_starts_again_in_every_epoch",
        {"t = k + 1": "t = k % len(sizes) + 1"},
        "Adam's t begins anew in every epoch, and m and v do not: they would be corrected for a start that is long "
        "past. Count updates, from the first to the last.",
        ADAM,
    ),
    Bug(
        "step_number_is_the_epoch",
        {"t = k + 1": "t = epoch + 1"},
        "Adam's t is the number of the epoch. It counts updates: every call of adam_step for one parameter is one.",
        ADAM,
    ),
    Bug(
        "schedule_starts_again_in_every_epoch",
        {"s = k": "s = k % len(sizes)"},
        "Your schedule begins anew in every epoch. It runs once, over all updates of the training.",
        SCHEDULE,
    ),
    Bug(
        "schedule_of_one_epoch",
        {"steps = epochs * len(sizes)": "steps = len(sizes)"},
        "Your schedule is over after one epoch: `steps` is how many updates the whole training has, epochs times "
        "windows.",
        SCHEDULE,
    ),
    Bug(
        "schedule_counts_epochs",
        {"s = k": "s = epoch"},
        "Your rate is the same for a whole epoch: the schedule is asked with the epoch's number. It counts updates.",
        SCHEDULE,
    ),
    Bug(
        "schedule_asked_with_the_next_step",
        {"s = k": "s = k + 1"},
        "Your schedule is asked with 1 at the first update. It counts from 0 (and Adam's t from 1).",
        SCHEDULE,
    ),
    Bug(
        "old_moments_kept",
        {"m, v = ms[name], vs[name]": "m, v = 0 * ms[name], 0 * vs[name]"},
        "Adam begins every update with m = v = 0: what it handed back must be kept for the next.",
        ADAM,
    ),
    Bug(
        "moments_forgotten_in_every_epoch",
        {"h = rest": "h, ms, vs = rest, dict.fromkeys(ms, 0), dict.fromkeys(vs, 0)"},
        "Adam's m and v begin anew in every epoch. They are made once, before the first.",
        ADAM,
    ),
    Bug(
        "clipping_forgotten",
        {"scale = min(1, max_norm / norm)": "scale = 1"},
        "Your gradients go into Adam as they came. Clip them first.",
        CLIPPING,
    ),
    Bug(
        "norm_after_clipping",
        {"norms.append(norm)": "norms.append(norm * scale)"},
        "Your norms are those after clipping, so none is above max_norm, and the log would hide what it is for. Keep "
        "the norm that `clip` hands back.",
        CLIPPING,
    ),
    Bug(
        "weights_never_replaced",
        {"weights[name] = theta": "weights[name] = weights[name]"},
        "Your weights are in the end what they were at the start: put what adam_step hands back in their place.",
        RECORD,
    ),
    Bug(
        "first_weights_returned",
        {"return *weights.values(),": "return W_ih, W_hh, b, W_out, b_out,"},
        "Your log is right, and the weights that you hand back are those that you were given.",
        RECORD,
    ),
    Bug(
        "parameter_changed_in_place",
        {"spoilt = 0": "spoilt = 1"},
        "The weights that you were handed have been changed: weights[name] = ... writes into the caller's dict. Begin "
        "with a dict of your own, dict(weights). (And if adam_step writes into arrays, mend it there.)",
        RECORD,
    ),
    Bug(
        "log_in_another_order",
        {"np.array(rates), np.array(norms)": "np.array(norms), np.array(rates)"},
        "Your rates and norms come back in the wrong order: the weights, losses, rates, norms.",
        RECORD,
    ),
    Bug(
        "never_stops",
        {"epoch + 1 >= until": "False"},
        "Your training goes on when `after_epoch` says True. That is how early stopping stops it.",
        STOP,
    ),
    Bug(
        "stops_after_the_first_epoch",
        {"epoch + 1 >= until": "True"},
        "Your training ends after its first epoch whatever `after_epoch` says. Only True stops it.",
        STOP,
    ),
)
