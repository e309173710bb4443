"""The mistakes people make with masks, in the recurrence, on the way back and in the loss: edits of `ps6_masking`.

A wrong mask has one name wherever it is used, so that it is paid for once. Two mistakes that differ only in what they
would do with padding after padding give the same numbers, and stand here as one.
"""

from __future__ import annotations

from autograder.question import Bug

PADDING, RECURRENCE, MULTIPLICATION, LOSS, REVERSAL, BUCKETING = (  # sections of lesson 09
    "Padding",
    "The mask in the recurrence",
    "Why not by multiplication",
    "The mask in the loss",
    "Reversal with lengths",
    "Bucketing",
)

_MASK = "np.arange(T)[:, None] < lengths"


# ---- the mask itself -----------------------------------------------------------------------------------------------

MASK_BUGS = (
    Bug(
        "mask_one_too_long",
        {_MASK: "np.arange(T)[:, None] <= lengths"},
        "Your mask holds one step too many of each sequence: the first step of the padding. Steps are counted from 0, "
        "so one of length 3 has the steps 0, 1 and 2.",
        PADDING,
    ),
    Bug(
        "mask_one_too_short",
        {_MASK: "np.arange(T)[:, None] < lengths - 1"},
        "Your mask leaves out the last step of each sequence. Steps are counted from 0: the last one of length 3 is "
        "step 2.",
        PADDING,
    ),
    Bug(
        "mask_inverted",
        {_MASK: "np.arange(T)[:, None] >= lengths"},
        "Your mask is true on the padding. Here true stands for data. (Some libraries have it the other way round: "
        "always look it up.)",
        PADDING,
    ),
    Bug(
        "mask_of_padding_in_front",
        {_MASK: "np.arange(T)[:, None] >= T - lengths"},
        "Your mask fits sequences that end together, with the padding in front. Here they begin together.",
        PADDING,
    ),
    Bug(
        "mask_of_the_longest_for_all",
        {_MASK: "np.arange(T)[:, None] < np.full_like(lengths, lengths.max())"},
        "Your mask is the same for all sequences, and as long as the longest: for the others it is true on padding.",
        PADDING,
        eases=True,
    ),
    Bug(
        "mask_of_the_shortest_for_all",
        {_MASK: "np.arange(T)[:, None] < np.full_like(lengths, lengths.min())"},
        "All your sequences end with the shortest: the others lose real steps.",
        PADDING,
        eases=True,
    ),
)

MASK_ALONE_BUGS = (
    Bug(
        "mask_transposed",
        {_MASK: "(np.arange(T)[:, None] < lengths).T"},
        "Your mask has sequences on its first axis. Where T = N nothing stops it; elsewhere it does not fit. Time "
        "comes first: (T, N).",
        PADDING,
    ),
    Bug(
        "mask_of_whole_numbers",
        {_MASK: "(np.arange(T)[:, None] < lengths).astype(int)"},
        "Your mask holds 0 and 1, and x[mask] then takes steps number 0 and 1 again and again. To choose by it, a mask "
        "must be of bool: a comparison gives just that.",
        PADDING,
    ),
    Bug(
        "mask_of_the_last_step_alone",
        {_MASK: "np.arange(T)[:, None] == lengths - 1"},
        "Your mask is true at each sequence's last step alone. All steps up to it are data too.",
        PADDING,
    ),
    Bug(
        "mask_as_long_as_the_longest",
        {_MASK: "np.arange(lengths.max())[:, None] < lengths"},
        "Your mask ends with the longest sequence. A batch may have more steps than that: T is handed to you.",
        PADDING,
    ),
)


# ---- forwards ------------------------------------------------------------------------------------------------------

_CLEAN, _HOLD, _SHOW = "np.where(mask[:, :, None], x, 0)", "np.where(m, new, h)", "np.where(m, h, 0)"

FORWARD_BUGS = (
    Bug(
        "mask_on_the_input_alone",
        {_HOLD: "new", _SHOW: "h"},
        "Your padding becomes zeros, and then the loop reads them like data. A step over zeros is still a step: biases "
        "and W_hh change the state.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "mask_on_the_output_alone",
        {_CLEAN: "x", _HOLD: "new"},
        "Your hs is right, and your h_last has read the padding: behind the zeros that you show, the state runs on.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "state_runs_on_over_zeros",
        {_HOLD: "new"},
        "Your hs is right, and your h_last has run on over padding that you made zero. A step over zeros is still a "
        "step: a sequence that has ended must hold its state.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "last_state_is_zero",
        {_HOLD: "np.where(m, new, 0)"},
        "Your h_last is zero for every sequence that ends before the others. Either its state is set to zero on "
        "padding, where it should be held, or h_last is read from the last step of hs, which is padding.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "last_state_is_the_initial_one",
        {_HOLD: "np.where(m, new, h0)"},
        "Your sequences that end early go back to h0. They should hold the state they had.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "state_multiplied_by_the_mask",
        {_CLEAN: "x", _HOLD: "m * new"},
        "On padding your state is mask · h: zero, where it should be held, and NaN where the padding is NaN, since "
        "0 · NaN is NaN.",
        MULTIPLICATION,
        eases=True,
    ),
    Bug(
        "blended_by_multiplication",
        {_CLEAN: "x", _HOLD: "m * new + (1 - m) * h"},
        "Your states are right while there are numbers in the padding. Once there is NaN in it, they are NaN: "
        "mask · new + (1 - mask) · old still computes 0 · NaN, which is NaN. np.where takes one or the other.",
        MULTIPLICATION,
    ),
    Bug(
        "held_states_shown",
        {_SHOW: "h"},
        "Your hs shows the held state on padding. That is how Keras has it; here, as in PyTorch, hs is zero there, and "
        "only h_last tells what was held.",
        RECURRENCE,
    ),
    Bug(
        "output_multiplied_by_the_mask",
        {_CLEAN: "x", _SHOW: "m * new"},
        "Your hs is NaN on the padding where x is: mask · new computes 0 · NaN, which is NaN. np.where takes one or "
        "the other.",
        MULTIPLICATION,
    ),
    Bug(
        "mask_of_the_step_before",
        {"mask[t]": "mask[t - 1]"},
        "Your step t uses the mask of step t - 1 (and step 0 that of the last step, since -1 counts from the end).",
        RECURRENCE,
    ),
    Bug(
        "mask_of_the_next_step",
        {"mask[t]": "mask[min(t + 1, T - 1)]"},
        "Your step t uses the mask of step t + 1: each sequence stops one step early.",
        RECURRENCE,
    ),
    Bug(
        "initial_state_ignored",
        {"h = h0\n": "h = 0 * h0\n"},
        "Your first step begins with zeros in place of h0.",
        RECURRENCE,
    ),
)

FORWARD_ALONE_BUGS = (
    Bug(
        "mask_forgotten",
        {_CLEAN: "x", _HOLD: "new", _SHOW: "h"},
        "Your loop reads the padding as if it were data: lengths has no effect.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "last_state_one_too_early",
        {"h_last = h\n": "h_last = np.stack([h0, *hs])[lengths - 1, np.arange(len(lengths))]\n"},
        "Your h_last is the state before each sequence's last step. After L steps the last state is that of step "
        "L - 1, counted from 0.",
        RECURRENCE,
    ),
    Bug(
        "last_state_one_too_late",
        {"h_last = h\n": "h_last = np.stack(hs)[lengths, np.arange(len(lengths))]\n"},
        "Your h_last is read from hs one step too late, at step L of a sequence of length L: that is padding, or, for "
        "the longest, beyond the end. Steps are counted from 0.",
        RECURRENCE,
    ),
    Bug(
        "empty_sequence_reads_from_the_end",
        {"h_last = h\n": "h_last = np.stack(hs)[lengths - 1, np.arange(len(lengths))]\n"},
        "Your h_last is right but for sequences of length 0: there lengths - 1 is -1, which counts from the end. "
        "Nothing was read, so h0 is still the state.",
        RECURRENCE,
    ),
    Bug(
        "last_state_of_the_longest",
        {"h_last = h\n": "h_last = np.stack([h0, *hs])[lengths.max()]\n"},
        "Your h_last is read from hs after the longest sequence's last step. For all others that is padding.",
        RECURRENCE,
    ),
    Bug(
        "order_not_restored",
        {
            "return np.stack(hs), h_last": "order = np.argsort(-lengths, kind='stable')\n"
            "    return np.stack(hs)[:, order], h_last[order]"
        },
        "Your states are right and stand in another order: sequences were sorted by length, and not put back.",
        "Packed sequences",
    ),
    Bug(
        "stacked_batch_first",
        {"np.stack(hs), h_last": "np.stack(hs, axis=1), h_last"},
        "Your hs has sequences on its first axis. Time comes first: (T, N, H).",
        RECURRENCE,
    ),
)


# ---- back ----------------------------------------------------------------------------------------------------------

_OWN, _NEW, _HELD = "np.where(m, dhs[t], 0)", "np.where(m, arrived, 0)", "np.where(m, 0, arrived)"
_KEPT = "before, new, m = kept[t]\n"

BACKWARD_BUGS = (
    Bug(
        "mask_forgotten",
        {_CLEAN: "x", _HOLD: "new", _SHOW: "h", _OWN: "dhs[t]", _NEW: "arrived", " + held": ""},
        "Forwards and back, your loop takes the padding for data: lengths has no effect.",
        RECURRENCE,
        eases=True,
    ),
    Bug(
        "gradient_of_padding_enters",
        {_OWN: "dhs[t]"},
        "What stands in dhs on padding enters your gradient. hs is zero there whatever happens, so nothing of it may "
        "come back.",
        RECURRENCE,
    ),
    Bug(
        "held_steps_drop_the_gradient",
        {" + held": ""},
        "Your gradient is lost on the padding: dh_last does not reach a sequence that has ended before. Where the "
        "state was held, the gradient goes back unchanged.",
        RECURRENCE,
    ),
    Bug(
        "mask_forgotten_on_the_way_back",
        {_NEW: "arrived", " + held": ""},
        "Forwards your states were held; on the way back the gradient goes through W_hh and tanh at those steps too.",
        RECURRENCE,
    ),
    Bug(
        "held_steps_count_twice",
        {_NEW: "arrived"},
        "On padding your gradient goes back twice, past the step, which is right, and through it, which is not: "
        "weights and dx get a share from steps that were never taken.",
        RECURRENCE,
    ),
    Bug(
        "held_steps_share_in_the_weights",
        {_NEW: "arrived", "da @ W_hh + held": "np.where(m, da @ W_hh, arrived)"},
        "Your gradient goes back right, past the steps that were held; but those steps get a share in weights, biases "
        "or dx all the same. The gradient that enters a step must be zero where the state was held: what comes out "
        "of it is then zero too.",
        RECURRENCE,
    ),
    Bug(
        "everything_passes_by",
        {_HELD: "arrived"},
        "At every step your gradient also goes back past the step, unchanged. Only where the state was held is there "
        "such a path.",
        RECURRENCE,
    ),
    Bug(
        "paths_swapped",
        {_NEW: "np.where(m, 0, arrived)", _HELD: "np.where(m, arrived, 0)"},
        "On the way back your two cases are swapped: data goes past the step, and padding through it.",
        RECURRENCE,
    ),
    Bug(
        "zero_times_nan",
        {_CLEAN: "x"},
        "Where the padding is NaN, your gradients are NaN, and it began in your masked_forward: x went into the step, "
        "and so into the cache, with the NaN of its padding. A zero gradient does not help there: 0 · NaN is NaN. Put "
        "zeros in the padding of x before the step reads it.",
        MULTIPLICATION,
    ),
    Bug(
        "weights_meet_the_padding",
        {"da.T @ clean[t]": "da.T @ x[t]"},
        "Where the padding is NaN, your dW_ih is NaN: da is zero there, x is not, and 0 · NaN is NaN.",
        MULTIPLICATION,
    ),
    Bug(
        "own_output_multiplied_by_the_mask",
        {_OWN: "m * dhs[t]"},
        "Where dhs is NaN on padding, your gradients are NaN: mask · dhs is 0 · NaN, which is NaN.",
        MULTIPLICATION,
    ),
    Bug(
        "back_with_the_mask_of_the_step_before",
        {_KEPT: _KEPT + "        m = mask[max(t - 1, 0)][:, None]\n"},
        "On the way back your step t uses the mask of step t - 1. Use the one that it had forwards.",
        RECURRENCE,
    ),
    Bug(
        "back_with_the_mask_of_the_next_step",
        {_KEPT: _KEPT + "        m = mask[min(t + 1, T - 1)][:, None]\n"},
        "On the way back your step t uses the mask of step t + 1. Use the one that it had forwards.",
        RECURRENCE,
    ),
    Bug(
        "biases_counted_on_padding",
        {"da.sum(axis=0)": "(arrived * (1 - new**2)).sum(axis=0)"},
        "Your bias gradients hold a share from padding: the sum over sequences is taken before the mask.",
        RECURRENCE,
    ),
    Bug(
        "last_state_forgotten",
        {"dh = dh_last": "dh = 0 * dh_last"},
        "The gradient of the last state, dh_last, never enters. The loop back starts with it.",
        RECURRENCE,
    ),
    Bug(
        "own_output_forgotten",
        {_OWN + " + dh": "dh"},
        "What each step's own output contributes, dhs[t], is missing.",
        RECURRENCE,
    ),
    Bug(
        "later_states_forgotten",
        {_OWN + " + dh": _OWN},
        "At each step your gradient comes only from that step's own output: what came back from the steps after it is "
        "dropped, dh_last as well.",
        RECURRENCE,
    ),
    Bug(
        "later_gradient_never_updated",
        {_OWN + " + dh": _OWN + " + dh_last"},
        "At every step dh_last enters: what you compute for the step before is never put in its place.",
        RECURRENCE,
    ),
    Bug(
        "forwards_through_time",
        {"reversed(range(T))": "range(T)", "dxs[::-1]": "dxs"},
        "Your loop runs from the first step to the last. A gradient comes from later steps: they must be done first.",
        RECURRENCE,
    ),
    Bug(
        "inputs_gradient_in_the_order_of_the_walk",
        {"dxs[::-1]": "dxs"},
        "Your dx stands in the order in which you walked: the last step first. Turn it round before you stack it, or "
        "write each step into its place.",
        RECURRENCE,
    ),
    Bug(
        "weights_overwritten",
        {"dW_ih + ": "", "dW_hh + ": ""},
        "Your weight gradients are those of the first step alone: each step overwrites the one before. They add up.",
        RECURRENCE,
    ),
    Bug(
        "biases_overwritten",
        {"db + da": "da"},
        "Your bias gradients are those of the first step alone: each step overwrites the one before. They add up.",
        RECURRENCE,
    ),
    Bug(
        "averaged_over_valid_positions",
        {"dW_ih, dW_hh, db, (db + 0)": "*(d / lengths.sum() for d in (dW_ih, dW_hh, db, db))"},
        "Your parameter gradients are divided by the number of valid positions. The loss has taken its mean before; "
        "on the way back, steps and sequences add up.",
        LOSS,
    ),
    Bug(
        "recurrent_weights_meet_the_new_state",
        {"da.T @ before": "da.T @ np.where(m, new, before)"},
        "Your dW_hh comes out when the state after the step is used. Forwards, W_hh met the state before it.",
        RECURRENCE,
    ),
    Bug(
        "first_step_meets_zeros",
        {"da.T @ before": "da.T @ (before if t > 0 else 0 * before)"},
        "Your dW_hh comes out when zeros stand before the first step. There the state was h0.",
        RECURRENCE,
    ),
    Bug(
        "initial_state_gradient_too_early",
        {"np.stack(dxs[::-1]), dh,": "np.stack(dxs[::-1]), arrived,"},
        "Your dh0 is the gradient of the first state, not of the state before it: one step of the way back is missing.",
        RECURRENCE,
    ),
    Bug(
        "state_and_gradient_zeroed",
        {_HOLD: "np.where(m, new, 0)", " + held": ""},
        "On padding your state is set to zero, and so is its gradient on the way back. A sequence that has ended must "
        "hold its state, and its gradient goes back unchanged.",
        RECURRENCE,
        eases=True,
    ),
)


# ---- the loss ------------------------------------------------------------------------------------------------------

_Z, _Y = "z = np.where(mask[:, :, None], logits, 0)", "y = np.where(mask, targets, 0)"
_TERMS, _SLOPES = "np.where(mask, picked, 0)", "np.where(mask[:, :, None], p - onehot, 0)"

LOSS_BUGS = (
    Bug(
        "mask_forgotten",
        {_Z: "z = logits", _Y: "y = targets", _TERMS: "picked", _SLOPES: "(p - onehot)", "mask.sum()": "mask.size"},
        "Every position counts in your loss, padding too: lengths has no effect.",
        LOSS,
    ),
    Bug(
        "averaged_over_all_positions",
        {"mask.sum()": "mask.size"},
        "Padding adds nothing to your loss, and is counted all the same: you divide by T · N. The more padding, the "
        "smaller the loss and the steps you learn with.",
        LOSS,
    ),
    Bug(
        "mean_of_means",
        {
            f"{_TERMS}.sum() / count": f"({_TERMS}.sum(axis=0) / np.maximum(lengths, 1)).mean()",
            f"{_SLOPES} / count": f"{_SLOPES} / (np.maximum(lengths, 1)[:, None] * len(lengths))",
        },
        "Your loss is a mean over sequences of each one's own mean: a step of a short sequence then weighs more than "
        "one of a long one. Here every valid position weighs the same.",
        LOSS,
    ),
    Bug(
        "mean_of_means_of_what_is_not_empty",
        {
            f"{_TERMS}.sum() / count": f"({_TERMS}.sum(axis=0) / np.maximum(lengths, 1)).sum() / (lengths > 0).sum()",
            f"{_SLOPES} / count": f"{_SLOPES} / (np.maximum(lengths, 1)[:, None] * (lengths > 0).sum())",
        },
        "Your loss is a mean over the sequences that are not empty of each one's own mean: a step of a short sequence "
        "then weighs more than one of a long one. Here every valid position weighs the same.",
        LOSS,
    ),
    Bug(
        "averaged_over_sequences",
        {"mask.sum()": "len(lengths)"},
        "You divide by the number of sequences. The mean is over valid positions.",
        LOSS,
    ),
    Bug(
        "averaged_over_steps",
        {"mask.sum()": "T"},
        "You divide by the number of steps. The mean is over valid positions.",
        LOSS,
    ),
    Bug(
        "summed",
        {"mask.sum()": "1"},
        "Your loss is a sum. Here it is the mean over the valid positions.",
        LOSS,
    ),
    Bug(
        "padding_enters_the_loss",
        {_TERMS: "picked"},
        "Your gradient is right. In the loss itself, padding still adds its terms.",
        LOSS,
    ),
    Bug(
        "gradient_on_padding",
        {_SLOPES: "(p - onehot)"},
        "Your loss is right. Its gradient is not zero on padding: what the loss does not see has no gradient.",
        LOSS,
    ),
    Bug(
        "loss_multiplied_by_the_mask",
        {_Z: "z = logits", _TERMS: "(mask * picked)"},
        "Where the logits are NaN on padding, your loss is NaN: mask · loss is 0 · NaN, which is NaN.",
        MULTIPLICATION,
    ),
    Bug(
        "gradient_multiplied_by_the_mask",
        {_Z: "z = logits", _SLOPES: "mask[:, :, None] * (p - onehot)"},
        "Where the logits are NaN on padding, your gradient is NaN: mask · gradient is 0 · NaN, which is NaN.",
        MULTIPLICATION,
    ),
    Bug(
        "both_multiplied_by_the_mask",
        {_Z: "z = logits", _TERMS: "(mask * picked)", _SLOPES: "mask[:, :, None] * (p - onehot)"},
        "Where the logits are NaN on padding, your loss and its gradient are NaN: 0 · NaN is NaN. Choose the valid "
        "positions, or put harmless numbers in place of the others, before you compute with them.",
        MULTIPLICATION,
    ),
    Bug(
        "zero_taken_for_padding",
        {_MASK: "(targets != 0) + 0 * lengths > 0"},
        "Your mask comes from the targets: where the target is 0 it sees padding. 0 is a class like any other here; "
        "only lengths tells what is data.",
        LOSS,
    ),
    Bug(
        "zero_and_less_taken_for_padding",
        {_MASK: "(targets > 0) + 0 * lengths > 0"},
        "Your mask comes from the targets: where the target is 0 or less it sees padding. 0 is a class like any other "
        "here, and on padding a class may stand too; only lengths tells what is data.",
        LOSS,
    ),
    Bug(
        "minus_one_taken_for_padding",
        {_MASK: "(targets >= 0) + 0 * lengths > 0"},
        "Your mask comes from the targets: it takes -1 for padding and all else for data. On padding anything may "
        "stand, a class too; only lengths tells what is data.",
        LOSS,
    ),
    Bug(
        "gradient_not_averaged",
        {"/ count\n    return": "/ 1\n    return"},
        "Your gradient is that of the sum, while your loss is the mean: divide both.",
        LOSS,
    ),
    Bug(
        "loss_not_averaged",
        {".sum() / count\n": ".sum()\n"},
        "Your loss is the sum, while your gradient is that of the mean: divide both.",
        LOSS,
    ),
    Bug(
        "gradient_averaged_over_all_positions",
        {"/ count\n    return": "/ mask.size\n    return"},
        "Your loss is divided by the valid positions, and its gradient by all of them, padding too.",
        LOSS,
    ),
    Bug(
        "sign_lost",
        {"loss = -": "loss = "},
        "Your loss is negative: it is minus the log of a probability.",
        LOSS,
    ),
    Bug(
        "gradient_upside_down",
        {"p - onehot": "onehot - p"},
        "Your gradient has the wrong sign: it must be negative at the target, where a larger logit makes the loss "
        "smaller.",
        LOSS,
    ),
    Bug(
        "target_not_subtracted",
        {"p - onehot": "p"},
        "Your gradient is the probabilities themselves: at each target 1 has to come off.",
        LOSS,
    ),
    Bug(
        "probability_in_place_of_its_log",
        {"-np.where(mask, picked, 0)": "-np.where(mask, np.exp(picked), 0)"},
        "Your loss adds up probabilities. Cross-entropy adds up their logarithms.",
        LOSS,
    ),
    Bug(
        "normalised_over_sequences",
        {"total = np.exp(shifted).sum(axis=-1, keepdims=True)": "total = np.exp(shifted).sum(axis=1, keepdims=True)"},
        "Your probabilities add up to 1 over the sequences of the batch. They do so over the classes, the last axis.",
        LOSS,
    ),
    Bug(
        "largest_logit_not_subtracted",
        {"shifted = z - z.max(axis=-1, keepdims=True)": "shifted = z"},
        "Your loss is right until the logits are large: exp(800) is infinity. Subtract the largest logit of each "
        "position first; the probabilities stay the same.",
        LOSS,
    ),
    Bug(
        "one_largest_logit_for_all",
        {"z.max(axis=-1, keepdims=True)": "z.max()"},
        "Your loss is right until some logits are large: you subtract the largest logit of the whole batch, and where "
        "all logits are far below it every exp is 0, whose logarithm is minus infinity. Each position has a largest "
        "logit of its own.",
        LOSS,
    ),
    Bug(
        "logarithm_of_what_became_zero",
        {
            "np.take_along_axis(shifted - np.log(total), y[:, :, None], axis=-1)": "np.log("
            "np.take_along_axis(np.exp(shifted) / total, y[:, :, None], axis=-1))"
        },
        "Your loss is infinite where a target's logit is far below the largest: its probability is too small for a "
        "float and becomes 0, whose logarithm is minus infinity. Leave the logarithm of the probability as a "
        "difference: its logit minus the logarithm of the sum.",
        LOSS,
    ),
)
