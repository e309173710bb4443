"""The mistakes people make in what a decoder reads, while it learns and while it writes: edits of `ps8_attention`."""

from __future__ import annotations

from autograder.question import Bug

SAMPLING, RUNNING_FREE = "Scheduled sampling", "Teacher forcing and running free"  # sections of lesson 16


# ---- scheduled sampling ----------------------------------------------------------------------------------------------

_SAID, _CHOICE = "said = logits.argmax(axis=-1)", "np.where(u < epsilon, truth, own)"
_FIRST = "first = np.full((1, N), bos)"
_TRUTH, _OWN = "truth = np.concatenate([first, targets[:-1]])", "own = np.concatenate([first, said[:-1]])"

_ALL = f"inputs = {_CHOICE}"
_STEP_BY_STEP = "inputs = truth + 0\n    for t in range(1, T):\n        inputs[t] = "

INPUT_BUGS = (
    Bug(
        "truth_is_the_input_before",
        {_ALL: f"{_STEP_BY_STEP}np.where(u[t] < epsilon, inputs[t - 1], own[t])"},
        "Where the truth is due, your step t reads what step t - 1 read. Are your inputs and the targets one array "
        "(inputs = targets is no copy)? Then whatever you write into one stands in the other.",
        SAMPLING,
    ),
    Bug(
        "own_is_the_input_before",
        {_ALL: f"{_STEP_BY_STEP}np.where(u[t] < epsilon, truth[t], inputs[t - 1])"},
        "Where its own prediction is due, your decoder reads what it read at the step before. It reads what it said "
        "there.",
        SAMPLING,
    ),
    Bug(
        "coin_for_the_first_token",
        {_OWN: "own = np.concatenate([said[:1], said[:-1]])"},
        "You throw a coin for the first input too, and sometimes read a prediction there. The first is always BOS.",
        SAMPLING,
    ),
    Bug(
        "probability_reversed",
        {_CHOICE: "np.where(u < epsilon, own, truth)"},
        "Your decoder reads its own prediction where u is below ε. Here ε is the probability of the truth. (rnnlib's "
        "`sampling` is that of the own prediction: always look it up.)",
        SAMPLING,
    ),
    Bug(
        "one_draw_for_all_sequences",
        {_CHOICE: "np.where(u[:, :1] < epsilon, truth, own)"},
        "At each step all your sequences do alike: the first one's draw decides for all. Each token has its own.",
        SAMPLING,
    ),
    Bug(
        "one_draw_for_all_steps",
        {_CHOICE: "np.where(u[:1] < epsilon, truth, own)"},
        "Each of your sequences does alike at all its steps: one draw decides for all. Each token has its own.",
        SAMPLING,
    ),
    Bug(
        "one_draw_for_all_tokens",
        {_CHOICE: "np.where(u[0, 0] < epsilon, truth, own)"},
        "One draw decides for your whole batch. Each token has its own.",
        SAMPLING,
    ),
    Bug(
        "draw_of_the_step_before",
        {_CHOICE: "np.where(np.concatenate([u[:1], u[:-1]]) < epsilon, truth, own)"},
        "What your step t reads is decided by u[t - 1]. It is u[t]: one draw for each token that is read.",
        SAMPLING,
    ),
    Bug(
        "prediction_of_the_same_step",
        {_OWN: "own = np.concatenate([first, said[1:]])"},
        "Your step t reads what the decoder said at step t. It has not said it yet: the prediction of step t - 1 is "
        "there to be read.",
        SAMPLING,
    ),
    Bug(
        "prediction_not_shifted",
        {_OWN: "own = said"},
        "Your predictions are not shifted: step t reads what the decoder says at step t, and even BOS is replaced. "
        "Step t reads what was said at t - 1; the first reads BOS.",
        SAMPLING,
    ),
    Bug(
        "first_token_replaced",
        {_OWN: "own = np.roll(said, 1, axis=0)"},
        "Your first input is sometimes the prediction of the last step (np.roll goes round, and so does an index of "
        "-1). The first is always BOS.",
        SAMPLING,
    ),
    Bug(
        "targets_not_shifted",
        {_TRUTH: "truth = np.concatenate([first, targets[1:]])"},
        "Your step t reads the target of step t: what it is to say. It reads that of step t - 1.",
        SAMPLING,
    ),
    Bug(
        "targets_as_they_are",
        {_TRUTH: "truth = targets"},
        "Your targets are not shifted: step t reads what it is to say, the first instead of BOS. Step t reads the "
        "target of t - 1; the first reads BOS.",
        SAMPLING,
    ),
    Bug(
        "targets_rolled",
        {_TRUTH: "truth = np.roll(targets, 1, axis=0)"},
        "Your first input is sometimes the last target (np.roll goes round). The first is always BOS.",
        SAMPLING,
    ),
    Bug(
        "nothing_shifted",
        {_TRUTH: "truth = targets", _OWN: "own = said"},
        "Nothing is shifted: your step t reads what it is to say. Step t reads what belongs to t - 1; the first reads "
        "BOS.",
        SAMPLING,
    ),
    Bug(
        "begins_with_zero",
        {_FIRST: "first = np.zeros((1, N), int)"},
        "Your first inputs are 0. They are BOS.",
        SAMPLING,
    ),
    Bug(
        "always_the_truth",
        {_CHOICE: "truth + 0 * own"},
        "Your decoder always reads the truth: ε and u have no effect. That is teacher forcing.",
        SAMPLING,
    ),
    Bug(
        "always_its_own",
        {_CHOICE: "own"},
        "Your decoder always reads its own predictions: ε and u have no effect.",
        SAMPLING,
    ),
    Bug(
        "equal_counts_as_below",
        {_CHOICE: "np.where(u <= epsilon, truth, own)"},
        "With ε = 0 your decoder still reads the truth, where u is 0 (which a generator may draw). Below ε is meant: "
        "then 0 is never and 1 always.",
        SAMPLING,
    ),
    Bug(
        "blended",
        {_CHOICE: "epsilon * truth + (1 - epsilon) * own"},
        "You mix the ids, ε of one and 1 - ε of the other. An id is a name, not a quantity: one or the other is read.",
        SAMPLING,
    ),
    Bug(
        "least_likely_token",
        {_SAID: "said = logits.argmin(axis=-1)"},
        "Your own predictions are the least likely tokens (argmin for argmax).",
        SAMPLING,
    ),
    Bug(
        "most_likely_step",
        {_SAID: "said = logits.argmax(axis=0)[:, :1].T.repeat(T, axis=0)[:, :1].repeat(N, axis=1)"},
        "Your argmax runs over the wrong axis. The tokens lie on the last one.",
        SAMPLING,
    ),
    Bug(
        "logit_for_token",
        {_SAID: "said = logits.max(axis=-1)"},
        "Where its own prediction is due, your decoder reads the largest logit. It reads which token has it: argmax.",
        SAMPLING,
    ),
    Bug(
        "truth_read_above_epsilon",
        {_CHOICE: "np.where(u > epsilon, truth, own) * 1"},
        "Your decoder reads the truth where u is above ε: that has the probability 1 - ε.",
        SAMPLING,
    ),
)


# ---- the probability -------------------------------------------------------------------------------------------------

_LINEAR, _EXPONENTIAL = "linear = np.maximum(floor, start - slope * i)", "exponential = base**i"
_SIGMOID = "sigmoid = k / (k + np.exp(i / k))"

PROBABILITY_BUGS = (
    Bug(
        "all_reversed",
        {
            _LINEAR: f"{_LINEAR.replace('np', '1 - np')}",
            _EXPONENTIAL: "exponential = 1 - base**i",
            _SIGMOID: "sigmoid = 1 - k / (k + np.exp(i / k))",
        },
        "All your curves grow: they are the probability of the own prediction. ε, that of the truth, begins high and "
        "falls.",
        SAMPLING,
    ),
    Bug(
        "linear_grows",
        {_LINEAR: "linear = np.maximum(floor, start + slope * i)"},
        "Your linear curve grows. ε begins high and falls.",
        SAMPLING,
    ),
    Bug(
        "floor_forgotten",
        {_LINEAR: "linear = start - slope * i + 0 * floor"},
        "Your linear curve falls below its floor, and below 0 in the end: no probability.",
        SAMPLING,
    ),
    Bug(
        "floor_is_zero",
        {_LINEAR: "linear = np.maximum(0, start - slope * i) + 0 * floor"},
        "Your linear curve stops at 0. It stops at its floor.",
        SAMPLING,
    ),
    Bug(
        "floor_as_a_ceiling",
        {_LINEAR: "linear = np.minimum(floor, start - slope * i)"},
        "Your linear curve is never above its floor: min where max stands.",
        SAMPLING,
    ),
    Bug(
        "floor_added",
        {_LINEAR: "linear = floor + np.maximum(0, start - slope * i)"},
        "Your linear curve has the floor added. The floor is where it stops.",
        SAMPLING,
    ),
    Bug(
        "begins_at_one",
        {_LINEAR: "linear = np.maximum(floor, 1 - slope * i) + 0 * start"},
        "Your linear curve begins at 1. It begins at start.",
        SAMPLING,
    ),
    Bug(
        "exponent_and_base_swapped",
        {_EXPONENTIAL: "exponential = i**base"},
        "Your exponential is i to the power of base. It is base to the power of i.",
        SAMPLING,
    ),
    Bug(
        "exponential_of_the_base",
        {_EXPONENTIAL: "exponential = np.exp(-base * i)"},
        "Your exponential is exp(-base · i). It is base to the power of i: each update keeps that share.",
        SAMPLING,
    ),
    Bug(
        "exponential_grows",
        {_EXPONENTIAL: "exponential = base ** (-1.0 * i)"},
        "Your exponential grows beyond 1: there is a minus in its exponent.",
        SAMPLING,
    ),
    Bug(
        "multiplied_in_place_of_power",
        {_EXPONENTIAL: "exponential = base * i"},
        "Your exponential is base · i. It is base to the power of i.",
        SAMPLING,
    ),
    Bug(
        "sigmoid_grows",
        {_SIGMOID: "sigmoid = k / (k + np.exp(-i / k))"},
        "Your inverse sigmoid grows: there is a minus in its exponent. It falls because exp(i / k) grows below the "
        "line.",
        SAMPLING,
    ),
    Bug(
        "plain_sigmoid",
        {_SIGMOID: "sigmoid = 1 / (1 + np.exp(i / k))"},
        "Your inverse sigmoid has 1 where k stands, above and below the line: it begins at one half. With k it begins "
        "near 1.",
        SAMPLING,
    ),
    Bug(
        "sigmoid_without_brackets",
        {_SIGMOID: "sigmoid = k / k + np.exp(i / k)"},
        "Your inverse sigmoid is k / k + exp(i / k), which is 1 + exp(i / k): brackets round what stands below.",
        SAMPLING,
    ),
    Bug(
        "sigmoid_without_k_above",
        {_SIGMOID: "sigmoid = 1 / (k + np.exp(i / k))"},
        "Your inverse sigmoid has 1 above the line, where k stands.",
        SAMPLING,
    ),
    Bug(
        "sigmoid_multiplied",
        {_SIGMOID: "sigmoid = k / (k + np.exp(np.minimum(i * k, 700.0)))"},
        "Your inverse sigmoid has exp(i · k), which is over at once. It is exp(i / k).",
        SAMPLING,
    ),
    Bug(
        "sigmoid_not_divided",
        {_SIGMOID: "sigmoid = k / (k + np.exp(np.minimum(i, 700.0)))"},
        "Your inverse sigmoid has exp(i). It is exp(i / k): k says how many updates it takes.",
        SAMPLING,
    ),
    Bug(
        "two_swapped",
        {"return linear, exponential, sigmoid": "return linear, sigmoid, exponential"},
        "Your last two curves have changed places. The order is: linear, exponential, inverse sigmoid.",
        SAMPLING,
    ),
)


# ---- greedy decoding -------------------------------------------------------------------------------------------------

_READ, _TOKEN = "table[t, np.arange(N), token]", "token = np.where(running, logits.argmax(axis=-1), 0)"
_COUNT, _RUNNING = "lengths = lengths + running", "running = running & (token != eos)"
_STOP, _RETURN, _START = "if not running.any():", "return np.stack(ids), lengths", "token, running = np.full(N, bos)"

GREEDY_BUGS = (
    Bug(
        "writes_on_after_the_end",
        {_TOKEN: "token = logits.argmax(axis=-1)"},
        "Your sequences write on after their EOS, until the last one has ended. After EOS stands 0.",
        RUNNING_FREE,
    ),
    Bug(
        "end_repeated",
        {_TOKEN: "token = np.where(running, logits.argmax(axis=-1), eos)"},
        "After a sequence's EOS you write EOS again and again. After EOS stands 0.",
        RUNNING_FREE,
    ),
    Bug(
        "beginning_after_the_end",
        {_TOKEN: "token = np.where(running, logits.argmax(axis=-1), bos)"},
        "After a sequence's EOS you write BOS. After EOS stands 0.",
        RUNNING_FREE,
    ),
    Bug(
        "end_not_written",
        {"ids.append(token)": "ids.append(np.where(token == eos, 0, token))"},
        "Your ids have 0 where EOS was said. EOS is written too: without it nobody knows whether a sequence was cut "
        "off.",
        RUNNING_FREE,
    ),
    Bug(
        "end_neither_written_nor_counted",
        {
            _TOKEN: "said = logits.argmax(axis=-1)\n        running = running & (said != eos)\n"
            "        token = np.where(running, said, 0)",
            _RUNNING: "pass",
        },
        "Your ids have 0 where EOS was said, and your lengths leave it out: a sequence counts as ended before its EOS "
        "is written. EOS is written, and counts; what follows is 0.",
        RUNNING_FREE,
    ),
    Bug(
        "last_tokens_not_written",
        {"        ids.append(token)\n": "", "            break\n": "            break\n        ids.append(token)\n"},
        "The step in which the last sequence ends is missing from your ids: write the tokens first, and then stop.",
        RUNNING_FREE,
    ),
    Bug(
        "who_has_ended_is_forgotten",
        {_RUNNING: "running = token != eos"},
        "Your sequences begin to write again after the 0 that follows their EOS: who has ended is asked of the newest "
        "token alone. Once ended, always ended.",
        RUNNING_FREE,
    ),
    Bug(
        "zero_ends_too",
        {_RUNNING: "running = running & (token != eos) & (token != 0)"},
        "Your sequences end with 0 too. 0 is a token like any other, and may be said; only EOS ends.",
        RUNNING_FREE,
    ),
    Bug(
        "ends_only_if_all_end_at_once",
        {_STOP: "if (token == eos).all():"},
        "You stop only if all sequences say EOS in the same step. Stop when every one has said it, each in its own "
        "step.",
        RUNNING_FREE,
    ),
    Bug(
        "end_not_counted",
        {_RETURN: "return np.stack(ids), lengths - (np.stack(ids) == eos).any(axis=0)"},
        "Your lengths leave out EOS. It counts, as in a target.",
        RUNNING_FREE,
    ),
    Bug(
        "beginning_written",
        {_RETURN: "return np.stack([np.full(N, bos), *ids]), lengths"},
        "Your ids begin with BOS. BOS is read, not written.",
        RUNNING_FREE,
    ),
    Bug(
        "beginning_written_and_counted",
        {_RETURN: "return np.stack([np.full(N, bos), *ids]), lengths + 1"},
        "Your ids begin with BOS, and your lengths count it. BOS is read, not written.",
        RUNNING_FREE,
    ),
    Bug(
        "never_ends_early",
        {_STOP: "if False:"},
        "You always write max_steps steps, zeros at the end. Stop when every sequence has its EOS.",
        RUNNING_FREE,
    ),
    Bug(
        "ends_with_the_first",
        {_STOP: "if not running.all():"},
        "You stop when the first sequence has its EOS. The others have more to say.",
        RUNNING_FREE,
    ),
    Bug(
        "ends_one_step_late",
        {_STOP: "if t > 0 and not (np.stack(ids[:-1]) != eos).all(axis=0).any():"},
        "You take one step more after the last sequence has its EOS. Ask before the step whether anybody still runs.",
        RUNNING_FREE,
    ),
    Bug(
        "one_step_too_few",
        {"range(T)": "range(T - 1)"},
        "Where no EOS comes, you stop one step before max_steps.",
        RUNNING_FREE,
    ),
    Bug(
        "one_step_too_many",
        {"range(T)": "range(T + 1)"},
        "Where no EOS comes, you go one step beyond max_steps.",
        RUNNING_FREE,
    ),
    Bug(
        "end_ignored",
        {_RUNNING: "running = running & (token == token)"},
        "Your sequences do not end with EOS: all write max_steps tokens.",
        RUNNING_FREE,
    ),
    Bug(
        "bos_read_at_every_step",
        {_READ: "table[t, np.arange(N), bos]"},
        "Your decoder reads BOS at every step. It reads what it has just written.",
        RUNNING_FREE,
    ),
    Bug(
        "eos_read_first",
        {_START: "token, running = np.full(N, eos)"},
        "Your decoder reads EOS first. It begins with BOS.",
        RUNNING_FREE,
    ),
    Bug(
        "zero_read_first",
        {_START: "token, running = np.zeros(N, int)"},
        "Your decoder reads 0 first. It begins with BOS.",
        RUNNING_FREE,
    ),
    Bug(
        "state_not_carried",
        {_READ: "table[0, np.arange(N), token]"},
        "Every step of yours begins with the first state: the new one, which step returns, is dropped.",
        RUNNING_FREE,
    ),
    Bug(
        "one_token_for_all",
        {_TOKEN: "token = np.where(running, logits.sum(axis=0).argmax() * np.ones(N, int), 0)"},
        "All your sequences say the same: the tokens are chosen from the sum over the batch.",
        RUNNING_FREE,
    ),
    Bug(
        "least_likely_token",
        {_TOKEN: "token = np.where(running, logits.argmin(axis=-1), 0)"},
        "You write the least likely tokens (argmin for argmax).",
        RUNNING_FREE,
    ),
    Bug(
        "one_argmax_for_all",
        {_TOKEN: "token = np.where(running, logits.argmax() % logits.shape[1], 0)"},
        "All your sequences say the same: argmax without an axis looks for the largest logit of the whole batch.",
        RUNNING_FREE,
    ),
    Bug(
        "lengths_of_the_longest",
        {_RETURN: "return np.stack(ids), np.full(N, len(ids))"},
        "Your lengths are all the same, how many steps there were. Each sequence has its own.",
        RUNNING_FREE,
    ),
    Bug(
        "lengths_count_what_is_not_zero",
        {_RETURN: "return np.stack(ids), (np.stack(ids) != 0).sum(axis=0)"},
        "Your lengths count what is not 0. 0 is a token like any other, and may be said.",
        RUNNING_FREE,
    ),
    Bug(
        "stacked_batch_first",
        {_RETURN: "return np.stack(ids, axis=1), lengths"},
        "Your ids have sequences on their first axis. Time comes first: (T, N).",
        RUNNING_FREE,
    ),
)
