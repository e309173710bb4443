"""The mistakes people make in attention, forwards and back, and in what a decoder reads: edits of `ps8_attention`.

The models of both kinds of attention hold the lines of the masked softmax and of its way back, so that a mistake made
there has one name wherever it shows, and is paid for once.
"""

from __future__ import annotations

from autograder.question import Bug

LOOKING, SCORES, MASK, TAKEN_APART = (  # sections of lesson 16
    "Looking back: attention",
    "Two ways to score",
    "Padding is no memory",
    "One step taken apart",
)


# ---- the masked softmax ----------------------------------------------------------------------------------------------

_MASK, _MASKED = "np.arange(T) < lengths[:, None]", "np.where(mask, scores, -np.inf)"
_SOME, _LARGEST = "mask.any(axis=1, keepdims=True)", "largest = masked.max(axis=1, keepdims=True)"
_GUARD = f"largest = np.where({_SOME}, largest, 0)"
_E, _TOTAL = "e = np.exp(masked - largest)", "total = e.sum(axis=1, keepdims=True)"
_WEIGHTS = "weights = e / np.where(total > 0, total, 1)"

SOFTMAX_BUGS = (
    Bug(
        "mask_forgotten",
        {_MASKED: "scores"},
        "Your weights go to the padding too: lengths has no effect.",
        MASK,
        eases=True,
    ),
    Bug(
        "mask_one_too_long",
        {_MASK: "np.arange(T) <= lengths[:, None]"},
        "Your mask holds one step too many of each sequence: the first step of its padding. Steps are counted from 0, "
        "so one of length 3 has the steps 0, 1 and 2.",
        MASK,
    ),
    Bug(
        "mask_one_too_short",
        {_MASK: "np.arange(T) < lengths[:, None] - 1"},
        "Your mask leaves out the last step of each sequence. Steps are counted from 0: the last one of length 3 is "
        "step 2.",
        MASK,
    ),
    Bug(
        "mask_inverted",
        {_MASK: "np.arange(T) >= lengths[:, None]"},
        "Your weights lie on the padding, and the data gets none: the mask is the wrong way round.",
        MASK,
    ),
    Bug(
        "masked_with_zero",
        {_MASKED: "np.where(mask, scores, 0)"},
        "Your padding has a score of 0, and exp(0) is 1: it gets weight like a key that fits neither well nor ill. "
        "What must get no weight needs a score of -inf.",
        MASK,
    ),
    Bug(
        "scores_multiplied_by_the_mask",
        {_MASKED: "scores * mask"},
        "You multiply the scores by the mask. That makes a score of 0 on padding, and exp(0) is 1, not 0; where the "
        "padding is NaN, 0 · NaN stays NaN.",
        MASK,
    ),
    Bug(
        "masked_after_the_softmax",
        {_MASKED: "scores", _WEIGHTS: "weights = np.where(mask, e / total, 0)"},
        "You mask after the softmax: the padding has taken part in the sum, so what is left adds up to less than 1 "
        "(and to NaN where the padding is NaN). Mask the scores, before exp.",
        MASK,
    ),
    Bug(
        "weights_multiplied_by_the_mask",
        {_MASKED: "scores", _WEIGHTS: "weights = e / total * mask"},
        "You multiply the weights by the mask, after the softmax: the padding has taken part in the sum, so what is "
        "left adds up to less than 1, and 0 · NaN stays NaN. Mask the scores, before exp.",
        MASK,
    ),
    Bug(
        "zeros_counted_in_the_sum",
        {_MASKED: "np.where(mask, scores, 0)", _WEIGHTS: "weights = np.where(mask, e / total, 0)"},
        "Your padding gets no weight in the end, but its exp(0) = 1 is in the sum: what is left adds up to less than "
        "1.",
        MASK,
    ),
    Bug(
        "softmax_over_the_batch",
        {
            _LARGEST: "largest = masked.max(axis=0, keepdims=True)",
            _TOTAL: "total = e.sum(axis=0, keepdims=True)",
        },
        "Your weights add up to 1 over the sequences of the batch. They do so over the steps of each sequence.",
        LOOKING,
    ),
    Bug(
        "divided_by_the_sum_over_the_batch",
        {_TOTAL: "total = e.sum(axis=0, keepdims=True)"},
        "You divide by a sum over the sequences of the batch. It runs over the steps of each sequence, as the maximum "
        "does.",
        LOOKING,
    ),
    Bug(
        "divided_by_the_sum_of_everything",
        {_TOTAL: "total = e.sum(keepdims=True)"},
        "You divide by the sum over the whole batch, so that all your weights together add up to 1. Those of each "
        "sequence should: without an axis, sum takes them all.",
        LOOKING,
    ),
    Bug(
        "empty_sequence_raises",
        {_GUARD: f"{_GUARD}\n    min(scores[n, :L].max() for n, L in enumerate(lengths))"},
        "Your weights are right but for sequences of length 0, where you ask for the maximum of no numbers, and that "
        "raises. Nothing can be read there; all weights are 0.",
        MASK,
    ),
    Bug(
        "softmax_over_everything",
        {
            _LARGEST: "largest = masked.max(axis=None, keepdims=True)",
            _TOTAL: "total = e.sum(keepdims=True)",
        },
        "All your weights together add up to 1. Those of each sequence should: without an axis, sum takes them all.",
        LOOKING,
    ),
    Bug(
        "largest_score_not_subtracted",
        {_GUARD: "largest = 0"},
        "Your weights are right until the scores are large: exp(800) is infinity. Subtract each sequence's largest "
        "score first; the weights stay the same.",
        LOOKING,
    ),
    Bug(
        "largest_score_of_the_batch",
        {_LARGEST: "largest = masked.max(axis=None, keepdims=True)"},
        "You subtract the largest score of the whole batch. A sequence whose scores lie far below it then has "
        "exp(-1600) = 0 everywhere, and nothing to divide. Each sequence has a largest score of its own.",
        LOOKING,
    ),
    Bug(
        "empty_sequence_is_nan",
        {_GUARD: "largest = largest + 0"},
        "Your weights are right but for sequences of length 0, which are NaN: -inf - (-inf), and 0 / 0, are no "
        "numbers. Nothing can be read there; all weights are 0.",
        MASK,
    ),
    Bug(
        "empty_sequence_reads_its_padding",
        {"-np.inf": "-1e9", _SOME: "(mask.any(axis=1, keepdims=True) | True)"},
        "Your weights are right but for sequences of length 0: there all scores are the same large negative number, "
        "and the softmax makes all weights equal. Nothing can be read there; all weights are 0.",
        MASK,
    ),
    Bug(
        "masked_with_a_number_too_near",
        {"-np.inf": "-100.0"},
        "Your padding has a score like -100, and real scores can lie below that: then the padding takes all the "
        "weight. Nothing lies below -inf.",
        MASK,
    ),
    Bug(
        "not_divided",
        {_WEIGHTS: "weights = e"},
        "Your weights are the exponentials: the largest is 1. Divided by their sum, all together are 1.",
        LOOKING,
        eases=True,
    ),
    Bug(
        "exponential_forgotten",
        {_E: "e = np.where(mask, scores, 0)", _WEIGHTS: "weights = e / np.where(total != 0, total, 1)"},
        "You divide the scores by their sum, without exp: a negative score gives a negative weight.",
        LOOKING,
        eases=True,
    ),
    Bug(
        "scores_upside_down",
        {_MASKED: "np.where(mask, -scores, -np.inf)"},
        "Your largest weight lies where the score is smallest: there is a minus too many in front of the scores.",
        LOOKING,
    ),
    Bug(
        "all_on_the_largest",
        {_WEIGHTS: "weights = (mask & (masked == largest)).astype(float)"},
        "All your weight lies on the largest score. That is a maximum; a softmax gives every key its share, and only "
        "so can a gradient tell where else to look.",
        LOOKING,
        eases=True,
    ),
    Bug(
        "each_by_itself",
        {_WEIGHTS: "weights = np.where(mask, 1 / (1 + np.exp(-scores)), 0)"},
        "Each of your weights comes out of σ, by itself: they do not add up to 1. In a softmax the keys compete.",
        LOOKING,
        eases=True,
    ),
)

# What large scores alone show, and what a NaN among the scores shows: nothing, where states are cleaned before.
ONLY_WHERE_LARGE = "largest_score_not_subtracted", "largest_score_of_the_batch", "masked_with_a_number_too_near"
ONLY_WHERE_NAN = "scores_multiplied_by_the_mask", "weights_multiplied_by_the_mask"


def without(bugs: tuple[Bug, ...], *names: str) -> tuple[Bug, ...]:
    """A bank without these bugs."""
    return tuple(bug for bug in bugs if bug.name not in names)


_PADDING_TOO = (
    "Your maximum is taken over the padding too; where that is NaN the maximum is NaN, and with it the row. Take it of "
    "the valid scores alone."
)
SOFTMAX_ALONE_BUGS = (
    Bug(
        "largest_score_of_the_padding_too",
        {
            _LARGEST: "largest = scores.max(axis=1, keepdims=True)",
            _E: "e = np.where(mask, np.exp(scores - largest), 0)",
        },
        _PADDING_TOO,
        MASK,
    ),
    Bug(
        "largest_score_of_the_padding_too_in_whole_rows",
        {_LARGEST: "largest = scores.max(axis=1, keepdims=True)"},
        _PADDING_TOO,
        MASK,
    ),
    Bug(
        "largest_score_of_the_padding_too_and_nothing_for_the_empty",
        {_LARGEST: "largest = scores.max(axis=1, keepdims=True)", _GUARD: "largest = largest + 0"},
        f"{_PADDING_TOO} (And a sequence of length 0 has a row of zeros; yours divides by 0 there.)",
        MASK,
    ),
    Bug(
        "softmax_over_the_batch_where_somebody_is",
        {
            _LARGEST: "largest = masked.max(axis=0, keepdims=True)",
            _GUARD: "largest = np.where(np.isfinite(largest), largest, 0)",
            _TOTAL: "total = e.sum(axis=0, keepdims=True)",
        },
        "Your weights add up to 1 over the sequences of the batch. They do so over the steps of each sequence.",
        LOOKING,
    ),
    Bug(
        "logarithms_returned",
        {_WEIGHTS: "weights = masked - largest - np.log(np.where(total > 0, total, 1))"},
        "What you return are the logarithms of the weights. (A loss wants those; a mean wants the weights.)",
        LOOKING,
    ),
    Bug(
        "transposed",
        {"return (weights,)": "return (weights.T,)"},
        "Your weights have steps on their first axis. Each row is one sequence: (N, T), as the scores came.",
        LOOKING,
    ),
    Bug(
        "mask_of_the_longest_for_all",
        {_MASK: "np.arange(T) < np.full_like(lengths, lengths.max())[:, None]"},
        "Your mask is the same for all sequences, and as long as the longest: the others read padding.",
        MASK,
    ),
    Bug(
        "mask_of_padding_in_front",
        {_MASK: "np.arange(T) >= T - lengths[:, None]"},
        "Your mask fits sequences that end together, with the padding in front. Here they begin together.",
        MASK,
    ),
    Bug(
        "uniform",
        {_E: "e = mask.astype(float)"},
        "All your weights of a sequence are equal: the scores have no effect.",
        LOOKING,
    ),
)


# ---- the softmax, back -----------------------------------------------------------------------------------------------

_SUM = "inner = (weights * dweights).sum(axis=1, keepdims=True)"
_SLOPE = "dscores = weights * (dweights - inner)"

SOFTMAX_BACKWARD_BUGS = (
    Bug(
        "sum_term_forgotten",
        {_SLOPE: "dscores = weights * dweights"},
        "Your dscores is w · dw. A larger score also takes weight from all other keys: the sum over them is missing.",
        TAKEN_APART,
    ),
    Bug(
        "diagonal_alone",
        {_SLOPE: "dscores = weights * (1 - weights) * dweights"},
        "Your dscores is w (1 - w) dw: how a score moves its own weight, as with σ. It moves the others' too, each by "
        "-w_j w_k.",
        TAKEN_APART,
    ),
    Bug(
        "summed_over_the_batch",
        {_SUM: "inner = (weights * dweights).sum(axis=0, keepdims=True)"},
        "The sum in your dscores runs over the sequences of the batch. It runs over the steps of each.",
        TAKEN_APART,
    ),
    Bug(
        "summed_over_everything",
        {_SUM: "inner = (weights * dweights).sum(keepdims=True)"},
        "The sum in your dscores runs over the whole batch: sequences would feel each other. It runs over the steps "
        "of each.",
        TAKEN_APART,
    ),
    Bug(
        "mean_for_the_sum",
        {_SUM: "inner = (weights * dweights).mean(axis=1, keepdims=True)"},
        "Your dscores has a mean over steps where a sum stands. (The weights have made a mean of it already.)",
        TAKEN_APART,
    ),
    Bug(
        "sum_without_weights",
        {_SUM: "inner = dweights.sum(axis=1, keepdims=True)"},
        "The sum in your dscores adds up dw alone. Each term has its weight: Σ_j w_j dw_j.",
        TAKEN_APART,
    ),
    Bug(
        "sum_added",
        {_SLOPE: "dscores = weights * (dweights + inner)"},
        "In your dscores the sum is added. A larger score takes from the others: it comes off.",
        TAKEN_APART,
    ),
    Bug(
        "weight_forgotten_in_front",
        {_SLOPE: "dscores = np.where(weights != 0, dweights - inner, 0)"},
        "Your dscores is dw - Σ_j w_j dw_j. The weight in front is missing: a key that got little can change little.",
        TAKEN_APART,
    ),
    Bug(
        "weight_forgotten_in_front_on_padding_too",
        {_SLOPE: "dscores = dweights - inner"},
        "Your dscores is dw - Σ_j w_j dw_j, on padding too. The weight in front is missing: it says how much a key can "
        "change, and that padding cannot.",
        TAKEN_APART,
    ),
    Bug(
        "sum_not_weighted",
        {_SLOPE: "dscores = np.where(weights != 0, weights * dweights - inner, 0)"},
        "Your dscores is w · dw - Σ. The weight in front belongs to both.",
        TAKEN_APART,
    ),
    Bug(
        "gradient_of_the_logarithm",
        {_SLOPE: "dscores = np.where(weights != 0, dweights - weights * dweights.sum(axis=1, keepdims=True), 0)"},
        "Your dscores is that of log softmax: dw - w Σ dw. Here dw is the gradient of the weights themselves.",
        TAKEN_APART,
    ),
    Bug(
        "softmax_skipped",
        {_SLOPE: "dscores = np.where(weights != 0, dweights, 0)"},
        "Your dscores is dw: the softmax has been left out on the way back.",
        TAKEN_APART,
    ),
    Bug(
        "weights_squared",
        {_SLOPE: "dscores = weights**2 * (dweights - inner)"},
        "Your dscores has the weight in front twice.",
        TAKEN_APART,
    ),
    Bug(
        "softmax_backward_upside_down",
        {_SLOPE: "dscores = weights * (inner - dweights)"},
        "Your dscores has the wrong sign.",
        TAKEN_APART,
    ),
)

SOFTMAX_BACKWARD_ALONE_BUGS = (
    Bug(
        "weights_minus_gradient",
        {_SLOPE: "dscores = weights - dweights"},
        "Your dscores is w - dw. That looks like the softmax with a cross-entropy; here a gradient comes in, and each "
        "weight multiplies.",
        TAKEN_APART,
    ),
    Bug(
        "zero_times_nan",
        {"dweights = np.where(weights != 0, dweights, 0)": "dweights = dweights + 0"},
        "Where dweights is NaN on padding, your whole row is NaN: the weight is 0 there, and 0 · NaN is NaN. Put 0 in "
        "its place before you compute.",
        MASK,
    ),
    Bug(
        "masked_at_the_end",
        {
            "dweights = np.where(weights != 0, dweights, 0)": "dweights = dweights + 0",
            _SLOPE: "dscores = np.where(weights != 0, weights * (dweights - inner), 0)",
        },
        "You put zeros on the padding at the end; by then its NaN has gone through the sum into the whole row. Put 0 "
        "in its place before you compute.",
        MASK,
    ),
    Bug(
        "transposed",
        {"return (dscores,)": "return (dscores.T,)"},
        "Your dscores has steps on its first axis. A gradient has the shape of what it is the gradient of: (N, T).",
        TAKEN_APART,
    ),
)


# ---- dot products ----------------------------------------------------------------------------------------------------

_SCORES = 'scores = np.einsum("nd,tnd->nt", query, keys) / np.sqrt(D)'
_READ = 'context = np.einsum("nt,tnv->nv", weights, u)'
_K, _U = "k = np.where(held, keys, 0)", "u = np.where(held, values, 0)"

DOT_BUGS = (
    Bug(
        "scale_forgotten",
        {_SCORES: _SCORES.replace(" / np.sqrt(D)", "")},
        "Your scores are not divided by √D. The longer the keys, the larger their products, and the closer the "
        "softmax to a mere maximum.",
        SCORES,
    ),
    Bug(
        "scaled_by_the_size",
        {_SCORES: _SCORES.replace("np.sqrt(D)", "D")},
        "Your scores are divided by D (or by √D twice). It is √D, once: the sum of D products of standard size grows "
        "like √D.",
        SCORES,
    ),
    Bug(
        "scale_multiplied",
        {_SCORES: _SCORES.replace("/ np", "* np")},
        "Your scores are multiplied by √D. They are divided by it.",
        SCORES,
    ),
    Bug(
        "scaled_by_the_steps",
        {_SCORES: _SCORES.replace("D)", "T)")},
        "Your scores are divided by √T, with the number of steps. What makes products large is their number of terms, "
        "D.",
        SCORES,
    ),
    Bug(
        "scaled_by_the_values",
        {_SCORES: _SCORES.replace("D)", "values.shape[2])")},
        "Your scores are divided by the root of the values' size. It is the keys that are multiplied: √D with their D.",
        SCORES,
    ),
    Bug(
        "scaled_by_the_batch",
        {_SCORES: _SCORES.replace("D)", "N)")},
        "Your scores are divided by √N, with the number of sequences. What makes products large is their number of "
        "terms, D.",
        SCORES,
    ),
    Bug(
        "weights_scaled",
        {_SCORES: _SCORES.replace(" / np.sqrt(D)", ""), _WEIGHTS: f"{_WEIGHTS} / np.sqrt(D)"},
        "You divide by √D after the softmax: the weights then add up to less than 1. It is the scores that are "
        "divided.",
        SCORES,
    ),
    Bug(
        "cosine_in_place_of_product",
        {
            _SCORES: 'scores = np.einsum("nd,tnd->nt", query, k) / np.linalg.norm(query, axis=1, keepdims=True)'
            " / np.maximum(np.linalg.norm(keys, axis=2), 1e-12).T"
        },
        "Your scores are cosines: query and keys are divided by their lengths. Here the product is, by √D alone.",
        SCORES,
    ),
    Bug(
        "keys_reshaped",
        {_SCORES: 'scores = np.einsum("nd,ntd->nt", query, keys.reshape(N, T, D)) / np.sqrt(D)'},
        "Your scores come out when the keys go from (T, N, D) to (N, T, D) by reshape, which deals the numbers out "
        "anew and mixes the sequences. Axes are exchanged by swapaxes.",
        SCORES,
    ),
    Bug(
        "values_reshaped",
        {_READ: 'context = np.einsum("nt,ntv->nv", weights, u.reshape(N, T, -1))'},
        "Your context comes out when the values go from (T, N, Dv) to (N, T, Dv) by reshape, which deals the numbers "
        "out anew and mixes the sequences. Axes are exchanged by swapaxes.",
        LOOKING,
    ),
    Bug(
        "keys_read",
        {_READ: _READ.replace("u)", "k)")},
        "Your context is a mean of the keys. Keys say where to look; what is read there are the values.",
        LOOKING,
        eases=True,
    ),
    Bug(
        "values_asked",
        {_SCORES: _SCORES.replace(" keys)", " values)")},
        "Your scores compare the query with the values. Keys say where to look; values are what is read there.",
        LOOKING,
    ),
    Bug(
        "keys_and_values_swapped",
        {_SCORES: _SCORES.replace(" keys)", " values)"), _READ: _READ.replace("u)", "k)")},
        "Keys and values are swapped: the query is compared with keys, and the mean is of values.",
        LOOKING,
    ),
    Bug(
        "context_divided_by_the_length",
        {_READ: f"{_READ} / np.maximum(lengths, 1)[:, None]"},
        "Your context is divided by the length. The weights add up to 1: their sum is a mean already.",
        LOOKING,
    ),
    Bug(
        "context_divided_by_the_steps",
        {_READ: f"{_READ} / T"},
        "Your context is divided by T (np.mean for a sum). The weights add up to 1: their sum is a mean already.",
        LOOKING,
    ),
    Bug(
        "values_meet_nan",
        {_U: "u = values"},
        "Where the values are NaN on padding, your context is NaN: the weight is 0 there, and 0 · NaN is NaN. Put 0 in "
        "the padding before you sum, in all of it (with <= for < its first step stays).",
        MASK,
    ),
)

_LARGEST_OF_ALL = "largest = np.where(mask, scores, 0).max(axis=1, keepdims=True)"
DOT_ALONE_BUGS = (
    Bug(
        "largest_score_of_the_padding_too",
        {_LARGEST: _LARGEST_OF_ALL},
        "Your maximum is taken over the padding too: where a sequence's own scores lie far below 0, the score of the "
        "padding, exp is 0 for all of them. Take it of the valid scores alone.",
        MASK,
    ),
    Bug(
        "largest_score_of_the_padding_too_in_whole_rows",
        {_LARGEST: _LARGEST_OF_ALL, _WEIGHTS: "weights = e / np.where(lengths[:, None] > 0, total, 1)"},
        "Your maximum is taken over the padding too: where a sequence's own scores lie far below 0, the score of the "
        "padding, exp is 0 for all of them, and 0 / 0 is NaN. Take it of the valid scores alone.",
        MASK,
    ),
    Bug(
        "largest_score_of_the_padding_too_and_nothing_for_the_empty",
        {_LARGEST: _LARGEST_OF_ALL, _WEIGHTS: "weights = e / total"},
        "Your maximum is taken over the padding too: where a sequence's own scores lie far below 0, the score of the "
        "padding, exp is 0 for all of them, and 0 / 0 is NaN; as it is for an empty sequence.",
        MASK,
    ),
    Bug(
        "sequences_mixed",
        {_SCORES: _SCORES.replace("nd,tnd", "md,tnd")},
        "Your scores compare every key with the sum of all queries of the batch: two letters for one axis in "
        "einsum, or a product over sequences. Each sequence asks its own keys.",
        SCORES,
    ),
    Bug(
        "scores_returned",
        {"return context, weights": "return context, scores"},
        "What you return as weights are the scores, before the softmax.",
        LOOKING,
    ),
    Bug(
        "weights_transposed",
        {"return context, weights": "return context, weights.T"},
        "Your weights have steps on their first axis. Each row is one sequence: (N, T).",
        LOOKING,
    ),
    Bug(
        "weights_first",
        {"return context, weights": "return weights, context"},
        "You return the weights first. The order is: context, weights, cache.",
        LOOKING,
    ),
    Bug(
        "largest_value_alone",
        {_READ: "context = np.where(mask.any(axis=1)[:, None], u[weights.argmax(axis=1), np.arange(N)], 0)"},
        "Your context is the value with the largest weight, alone. All values enter, each by its weight.",
        LOOKING,
    ),
    Bug(
        "plain_mean_read",
        {_READ: "context = u.sum(axis=0) / np.maximum(lengths, 1)[:, None]"},
        "Your context is the plain mean of the values: the weights have no effect on it.",
        LOOKING,
    ),
)

_DWEIGHTS = 'dweights = np.einsum("nv,tnv->nt", dcontext, u)'
_DVALUES = 'dvalues = np.einsum("nt,nv->tnv", weights, dcontext)'
_UNSCALED = "dproducts = dscores / np.sqrt(D)"
_DQUERY = 'dquery = np.einsum("nt,tnd->nd", dproducts, k)'
_DKEYS = 'dkeys = np.einsum("nt,nd->tnd", dproducts, query)'

DOT_BACKWARD_BUGS = (
    Bug(
        "scale_forgotten_on_the_way_back",
        {_UNSCALED: "dproducts = dscores"},
        "Forwards you divided by √D; on the way back you do not.",
        TAKEN_APART,
    ),
    Bug(
        "scaled_back_twice",
        {_UNSCALED: "dproducts = dscores / D"},
        "On the way back your gradient is divided by D, or by √D twice. Forwards it was √D, once.",
        TAKEN_APART,
    ),
    Bug(
        "scale_multiplied_on_the_way_back",
        {_UNSCALED: "dproducts = dscores * np.sqrt(D)"},
        "On the way back you multiply by √D. What divided forwards divides back too.",
        TAKEN_APART,
    ),
    Bug(
        "scaled_back_by_the_values",
        {_UNSCALED: "dproducts = dscores / np.sqrt(values.shape[2])"},
        "On the way back you divide by the root of the values' size. Forwards it was √D, with the keys' D.",
        TAKEN_APART,
    ),
    Bug(
        "values_gradient_on_padding_too",
        {_DVALUES: "dvalues = np.broadcast_to(dcontext, values.shape)"},
        "Your dvalues is dcontext at every step, on padding too. Each value entered by its weight.",
        TAKEN_APART,
    ),
    Bug(
        "keys_gradient_from_keys",
        {_DKEYS: 'dkeys = np.einsum("nt,tnd->tnd", dproducts, k)'},
        "Your dkeys comes out with the keys themselves. What multiplied a key was the query.",
        TAKEN_APART,
    ),
    Bug(
        "values_gradient_scaled",
        {_DVALUES: f"{_DVALUES} / np.sqrt(D)"},
        "Your dvalues is divided by √D. Only the scores were.",
        TAKEN_APART,
    ),
    Bug(
        "query_scaled_alone",
        {_DKEYS: _DKEYS.replace("dproducts", "dscores")},
        "Your dquery is divided by √D, your dkeys is not: the scale belongs to the product of both.",
        TAKEN_APART,
    ),
    Bug(
        "keys_scaled_alone",
        {_DQUERY: _DQUERY.replace("dproducts", "dscores")},
        "Your dkeys is divided by √D, your dquery is not: the scale belongs to the product of both.",
        TAKEN_APART,
    ),
    Bug(
        "values_gradient_without_weights",
        {_DVALUES: "dvalues = np.where(held, dcontext, 0)"},
        "Your dvalues is dcontext at every step. Each value entered by its weight.",
        TAKEN_APART,
    ),
    Bug(
        "values_gradient_from_scores",
        {_DVALUES: _DVALUES, _UNSCALED: f"{_UNSCALED}\n    dvalues = np.einsum('nt,nv->tnv', dscores, dcontext)"},
        "Your dvalues comes out with dscores where the weights stand. Values entered by their weights.",
        TAKEN_APART,
    ),
    Bug(
        "keys_gradient_from_weights",
        {_DKEYS: _DKEYS.replace("dproducts", "weights")},
        "Your dkeys comes out with the weights where the gradient of the scores stands.",
        TAKEN_APART,
    ),
    Bug(
        "query_gradient_from_weights",
        {_DQUERY: _DQUERY.replace("dproducts", "weights")},
        "Your dquery comes out with the weights where the gradient of the scores stands.",
        TAKEN_APART,
    ),
    Bug(
        "weights_gradient_from_keys",
        {_DWEIGHTS: _DWEIGHTS.replace(" u)", " k)")},
        "Your dweights compares dcontext with the keys. The weights multiplied the values.",
        TAKEN_APART,
    ),
    Bug(
        "query_gradient_averaged",
        {_DQUERY: f"{_DQUERY} / T"},
        "Your dquery is a mean over the steps. Every key met the same query: what comes back adds up.",
        TAKEN_APART,
    ),
    Bug(
        "query_gradient_of_the_last_step",
        {_DQUERY: "dquery = dproducts[:, -1:] * k[-1]"},
        "Your dquery is that of the last step alone: each step overwrites the one before. They add up.",
        TAKEN_APART,
    ),
    Bug(
        "query_gradient_summed_over_the_batch",
        {_DQUERY: f"{_DQUERY}.sum(axis=0, keepdims=True) + 0 * query"},
        "Your dquery is summed over the batch. Each sequence has a query of its own.",
        TAKEN_APART,
    ),
    Bug(
        "keys_and_values_gradients_swapped",
        {"dquery, dkeys, dvalues\n": "dquery, dvalues, dkeys\n"},
        "You return dvalues where dkeys is asked for. The order is: dquery, dkeys, dvalues.",
        TAKEN_APART,
    ),
    Bug(
        "query_meets_nan",
        {_DQUERY: _DQUERY.replace("k)", "keys)")},
        "Where the keys are NaN on padding, your dquery is NaN: the gradient of the score is 0 there, and 0 · NaN is "
        "NaN. Put 0 in the padding of the keys before you keep them.",
        MASK,
    ),
)


# ---- additive attention ----------------------------------------------------------------------------------------------

_ZEE, _ACT = "z = query @ W_query.T + s @ W_key.T", "a = np.tanh(z)"
_ADD_SCORES, _S = "scores = (a @ v).T", "s = np.where(held, states, 0)"
_ADD_READ = 'context = np.einsum("nt,tnd->nd", weights, s)'

ADDITIVE_BUGS = (
    Bug(
        "tanh_forgotten",
        {_ACT: "a = z"},
        "Your scores have no tanh. Then the query adds the same number to every key's score, and the softmax does not "
        "see it.",
        SCORES,
        eases=True,
    ),
    Bug(
        "sigmoid_for_tanh",
        {_ACT: "a = 1 / (1 + np.exp(-z))"},
        "Your scores go through σ where tanh is asked for.",
        SCORES,
    ),
    Bug(
        "tanh_of_the_score",
        {_ACT: "a = z", _ADD_SCORES: "scores = np.tanh(a @ v).T"},
        "Your tanh comes after v. It comes before: v weighs what tanh has bent.",
        SCORES,
        eases=True,
    ),
    Bug(
        "query_forgotten",
        {_ZEE: "z = s @ W_key.T"},
        "The query has no effect on your weights: every query would look at the same place. Either it is left out, or "
        "tanh is taken of query and key each by itself: then the query's part is the same for all keys, and the "
        "softmax does not see it. tanh is of the sum.",
        SCORES,
        eases=True,
    ),
    Bug(
        "multiplied_in_place_of_added",
        {_ZEE: "z = (query @ W_query.T) * (s @ W_key.T)"},
        "You multiply the two projections. This attention is called additive because they are added.",
        SCORES,
    ),
    Bug(
        "v_forgotten",
        {_ADD_SCORES: "scores = a.sum(axis=-1).T"},
        "Your scores add up the A numbers as they are. Each has its weight in v.",
        SCORES,
        eases=True,
    ),
    Bug(
        "scaled_like_dot_products",
        {_ADD_SCORES: "scores = (a @ v).T / np.sqrt(D)"},
        "Your scores are divided by √D. That belongs to dot products; here v has learned its size.",
        SCORES,
    ),
    Bug(
        "scaled_by_the_hidden_size",
        {_ADD_SCORES: "scores = (a @ v).T / np.sqrt(len(v))"},
        "Your scores are divided by √A. That belongs to dot products; here v has learned its size.",
        SCORES,
    ),
    Bug(
        "query_weights_not_transposed",
        {_ZEE: "z = query @ W_query + s @ W_key.T"},
        "W_query is not transposed: where it is square nothing stops it.",
        SCORES,
    ),
    Bug(
        "key_weights_not_transposed",
        {_ZEE: "z = query @ W_query.T + s @ W_key"},
        "W_key is not transposed: where it is square nothing stops it.",
        SCORES,
    ),
    Bug(
        "query_weights_reshaped",
        {_ZEE: "z = query @ W_query.reshape(query.shape[1], -1) + s @ W_key.T"},
        "Your numbers come out when W_query is given its other shape by reshape, which deals the numbers out anew.",
        SCORES,
    ),
    Bug(
        "key_weights_reshaped",
        {_ZEE: "z = query @ W_query.T + s @ W_key.reshape(D, -1)"},
        "Your numbers come out when W_key is given its other shape by reshape, which deals the numbers out anew.",
        SCORES,
    ),
    Bug(
        "context_divided_by_the_length",
        {_ADD_READ: f"{_ADD_READ} / np.maximum(lengths, 1)[:, None]"},
        "Your context is divided by the length. The weights add up to 1: their sum is a mean already.",
        LOOKING,
    ),
    Bug(
        "projections_read",
        {_ADD_READ: _ADD_READ.replace("s)", "s @ W_key.T)")},
        "Your context is a mean of W_key h. The projection is for the comparison; what is read are the states.",
        SCORES,
        eases=True,
    ),
    Bug(
        "states_meet_nan",
        {_S: "s = states"},
        "Where the states are NaN on padding, your context is NaN: the weight is 0 there, and 0 · NaN is NaN. Put 0 in "
        "the padding before you begin.",
        MASK,
    ),
)

ADDITIVE_ALONE_BUGS = (
    *without(
        DOT_ALONE_BUGS,
        "largest_value_alone",
        "plain_mean_read",
        "largest_score_of_the_padding_too",
        "largest_score_of_the_padding_too_in_whole_rows",
        "largest_score_of_the_padding_too_and_nothing_for_the_empty",
        "sequences_mixed",
    ),
    Bug(
        "plain_mean_read",
        {_ADD_READ: "context = s.sum(axis=0) / np.maximum(lengths, 1)[:, None]"},
        "Your context is the plain mean of the states: the weights have no effect on it.",
        LOOKING,
    ),
)

_DV, _DA = 'dv = np.einsum("nt,tna->a", dscores, a)', "da = dscores.T[:, :, None] * v"
_DZ, _DP = "dz = da * (1 - a**2)", "dp = dz.sum(axis=0)"
_DQ, _DW_QUERY = "dquery = dp @ W_query", "dW_query = dp.T @ query"
_AS_KEYS, _AS_VALUES = "as_keys = dz @ W_key", 'as_values = np.einsum("nt,nd->tnd", weights, dcontext)'
_DSTATES, _DW_KEY = "dstates = as_keys + as_values", 'dW_key = np.einsum("tna,tnd->ad", dz, s)'

ADDITIVE_BACKWARD_BUGS = (
    Bug(
        "states_as_values_alone",
        {_DSTATES: "dstates = as_values"},
        "Your dstates holds what the states did as values. They were the keys too: two paths lead back, and add up.",
        TAKEN_APART,
    ),
    Bug(
        "states_as_keys_alone",
        {_DSTATES: "dstates = as_keys"},
        "Your dstates holds what the states did as keys. They were the values too: two paths lead back, and add up.",
        TAKEN_APART,
    ),
    Bug(
        "values_gradient_without_weights",
        {_AS_VALUES: "as_values = np.where(held, dcontext, 0)"},
        "In your dstates dcontext enters at every step alike. Each state was read by its weight.",
        TAKEN_APART,
    ),
    Bug(
        "values_gradient_on_padding_too",
        {_AS_VALUES: "as_values = np.broadcast_to(dcontext, states.shape)"},
        "In your dstates dcontext enters at every step alike, on padding too. Each state was read by its weight.",
        TAKEN_APART,
    ),
    Bug(
        "query_weights_gradient_transposed",
        {_DW_QUERY: "dW_query = query.T @ dp"},
        "Your dW_query is transposed: where W_query is square nothing stops it. A gradient has the shape of its "
        "weight, (A, H).",
        SCORES,
    ),
    Bug(
        "tanh_slope_forgotten",
        {_DZ: "dz = da"},
        "Your gradient goes back past tanh: its slope, 1 - tanh², is missing.",
        SCORES,
    ),
    Bug(
        "slope_of_the_sum",
        {_DZ: "dz = da * (1 - z**2)"},
        "Your slope of tanh is 1 - z², with what went in. It is 1 - tanh(z)², with what came out.",
        SCORES,
    ),
    Bug(
        "tanh_of_tanh",
        {_DZ: "dz = da * (1 - np.tanh(a) ** 2)"},
        "In your slope of tanh stands tanh(tanh(z)): what you kept is tanh(z) already.",
        SCORES,
    ),
    Bug(
        "slope_of_the_sigmoid",
        {_DZ: "dz = da * a * (1 - a)"},
        "Your slope is a (1 - a), that of σ. Of tanh it is 1 - a².",
        SCORES,
    ),
    Bug(
        "slope_not_squared",
        {_DZ: "dz = da * (1 - a)"},
        "Your slope of tanh is 1 - a; the square is missing.",
        SCORES,
    ),
    Bug(
        "v_forgotten_on_the_way_back",
        {_DA: "da = dscores.T[:, :, None] + 0 * v"},
        "On the way back your gradient does not go through v: each of the A numbers entered the score by its weight.",
        SCORES,
    ),
    Bug(
        "v_averaged_over_the_batch",
        {_DV: f"{_DV} / N"},
        "Your dv is a mean over the sequences. The same v served all of them: what comes back adds up.",
        SCORES,
    ),
    Bug(
        "v_averaged_over_steps",
        {_DV: f"{_DV} / T"},
        "Your dv is a mean over the steps. The same v served all of them: what comes back adds up.",
        SCORES,
    ),
    Bug(
        "v_of_the_last_step",
        {_DV: "dv = dscores[:, -1] @ a[-1]"},
        "Your dv is that of the last step alone: each step overwrites the one before. They add up.",
        SCORES,
    ),
    Bug(
        "v_of_one_sequence",
        {_DV: "dv = dscores[0] @ a[:, 0]"},
        "Your dv is that of the first sequence alone. It adds up over steps and sequences.",
        SCORES,
    ),
    Bug(
        "v_summed_over_steps_alone",
        {_DV: 'dv = np.einsum("nt,tna->na", dscores, a)'},
        "Your dv is summed over steps alone, and has a row for each sequence. v has none: sum over them too.",
        SCORES,
    ),
    Bug(
        "v_meets_the_sum",
        {_DV: _DV.replace(" a)", " z)")},
        "Your dv comes out with the sum before tanh. v multiplied what came out of it.",
        SCORES,
    ),
    Bug(
        "v_from_weights",
        {_DV: _DV.replace("dscores", "weights")},
        "Your dv comes out with the weights where the gradient of the scores stands.",
        SCORES,
    ),
    Bug(
        "query_gradient_of_the_last_step",
        {_DP: "dp = dz[-1]"},
        "Your dquery and dW_query come from the last step alone. The same query met every state: sum over the steps.",
        TAKEN_APART,
    ),
    Bug(
        "query_gradient_averaged",
        {_DP: "dp = dz.mean(axis=0)"},
        "Your dquery and dW_query come from a mean over the steps. The same query met every state: sum over the steps.",
        TAKEN_APART,
    ),
    Bug(
        "weights_averaged_over_the_batch",
        {_DW_QUERY: f"{_DW_QUERY} / N", _DW_KEY: f"{_DW_KEY} / N", _DV: f"{_DV} / N "},
        "Your parameter gradients are divided by N. The loss has taken its mean before; on the way back everything "
        "adds up.",
        TAKEN_APART,
    ),
    Bug(
        "key_weights_averaged_over_steps",
        {_DW_KEY: f"{_DW_KEY} / T"},
        "Your dW_key is a mean over the steps. The same W_key served all of them: what comes back adds up.",
        SCORES,
    ),
    Bug(
        "key_weights_of_the_last_step",
        {_DW_KEY: "dW_key = dz[-1].T @ s[-1]"},
        "Your dW_key is that of the last step alone: each step overwrites the one before. They add up.",
        SCORES,
    ),
    Bug(
        "tanh_meets_nan",
        {_ZEE: "z = query @ W_query.T + states @ W_key.T"},
        "Where the states are NaN on padding, all your gradients are NaN: forwards the mask hides them, but the tanh "
        "that you kept is NaN there, and 0 · NaN is NaN. Clean the states before anything is made of them.",
        MASK,
    ),
    Bug(
        "key_weights_meet_nan",
        {_DW_KEY: _DW_KEY.replace("s)", "states)")},
        "Where the states are NaN on padding, your dW_key is NaN: dz is 0 there, and 0 · NaN is NaN.",
        MASK,
    ),
    Bug(
        "weights_gradients_transposed",
        {_DW_QUERY: "dW_query = query.T @ dp", _DW_KEY: 'dW_key = np.einsum("tna,tnd->da", dz, s)'},
        "Your weight gradients are transposed: where the weights are square nothing stops it. A gradient has the shape "
        "of its weight, (A, ...).",
        SCORES,
    ),
    Bug(
        "weights_not_transposed_back",
        {_DQ: "dquery = dp @ W_query.T", _AS_KEYS: "as_keys = dz @ W_key.T"},
        "On the way back you multiply by the transposed weights, as forwards: where they are square nothing stops it.",
        SCORES,
    ),
    Bug(
        "weights_gradients_swapped",
        {"dW_query, dW_key, dv\n": "dW_key, dW_query, dv\n"},
        "You return dW_key where dW_query is asked for. The order is: dquery, dstates, dW_query, dW_key, dv.",
        TAKEN_APART,
    ),
)
