"""What the judge says of answers that no bug explains, and that nothing but right numbers earns a point."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import wire
from autograder.check import check
from autograder.judge import judge, trial
from autograder.question import PUBLIC_SEED
from autograder.questions import find


def step(x, h, W_ih, W_hh, b_ih, b_hh):
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)


def forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    hs, h = [], h0
    for x_t in x:
        h = step(x_t, h, W_ih, W_hh, b_ih, b_hh)
        hs.append(h)
    return np.stack(hs), h


def readout(hs, W, b):
    logits = hs @ W.T + b
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return logits, e / e.sum(axis=-1, keepdims=True)


STEPS = {
    "plain": step,
    "einsum": lambda x, h, A, B, a, b: np.tanh(np.einsum("nd,hd->nh", x, A) + np.einsum("nk,hk->nh", h, B) + a + b),
    "one matrix": lambda x, h, A, B, a, b: np.tanh(np.hstack([x, h]) @ np.hstack([A, B]).T + a + b),
    "by row": lambda x, h, A, B, a, b: [np.tanh(A @ x[n] + B @ h[n] + a + b) for n in range(len(x))],
    "by exponentials": lambda x, h, A, B, a, b: 1 - 2 / (np.exp(2 * (x @ A.T + h @ B.T + a + b)) + 1),
    "float32": lambda *arrays: step(*(array.astype(np.float32) for array in arrays)),
    "Fortran order": lambda *arrays: np.asfortranarray(step(*arrays)),
    "nested lists": lambda *arrays: step(*arrays).tolist(),
    "a read-only view": lambda *arrays: np.broadcast_to(step(*arrays), arrays[1].shape),
    "extra precision": lambda *arrays: step(*(array.astype(np.longdouble) for array in arrays)),
    "a masked array": lambda *arrays: np.ma.masked_array(step(*arrays)),
}
FORWARDS = {
    "plain": forward,
    "a float32 buffer": lambda *a: (forward(*a)[0].astype(np.float32), forward(*a)[1]),
    "a list of states": lambda *a: (list(forward(*a)[0]), forward(*a)[1]),
    "a list of results": lambda *a: list(forward(*a)),
    "last from all": lambda *a: (forward(*a)[0], forward(*a)[0][-1]),
    "inputs first": lambda x, h, A, B, a, b: forward(np.einsum("tnd,hd->tnh", x, A), h, np.eye(len(B)), B, a, b),
    "recursion": lambda x, h, *w: (
        forward(x, h, *w)
        if len(x) == 1
        else (lambda d: (np.concatenate([d[0], forward(x[-1:], d[1], *w)[0]]), forward(x[-1:], d[1], *w)[1]))(
            forward(x[:-1], h, *w)
        )
    ),
    "float32 throughout": lambda *a: forward(*(array.astype(np.float32) for array in a)),
}
READOUTS = {
    "plain": readout,
    "through logarithms": lambda hs, W, b: (
        hs @ W.T + b,
        np.exp(hs @ W.T + b - np.logaddexp.reduce(hs @ W.T + b, axis=-1, keepdims=True)),
    ),
    "float32 throughout": lambda hs, W, b: readout(hs.astype("f4"), W.astype("f4"), b.astype("f4")),
    "tensordot": lambda hs, W, b: readout(np.tensordot(hs, W, (2, 1)), np.eye(len(W)), b),
    "einsum": lambda hs, W, b: readout(np.einsum("tnh,vh->tnv", hs, W) + b, np.eye(len(W)), 0 * b),
}
VARIANTS = [
    pytest.param(name, function, id=f"{name}: {how}")
    for name, variants in (("rnn_step", STEPS), ("rnn_forward", FORWARDS), ("readout", READOUTS))
    for how, function in variants.items()
]


@pytest.mark.parametrize(("name", "function"), VARIANTS)
def test_a_correct_solution_gets_full_marks_however_it_is_written(name, function):
    verdict = check(name, function)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


def test_a_solution_that_changes_its_inputs_loses_nothing():
    def greedy(x, h, W_ih, W_hh, b_ih, b_hh):
        answer = step(x, h, W_ih, W_hh, b_ih, b_hh)
        for array in (x, h, W_ih, W_hh, b_ih, b_hh):
            array[...] = np.nan
        return answer

    assert check("rnn_step", greedy).points == 4


@pytest.mark.parametrize("name", ["rnn_step", "rnn_forward", "readout"])
@pytest.mark.parametrize("value", [0, None, "right", 1.0, np.zeros(3), np.nan, (), [[], []], {}, object(), np.inf])
def test_what_is_not_computed_earns_nothing(name, value):
    assert check(name, lambda *inputs: value).points == 0
    assert check(name, lambda *inputs: (value, value)).points == 0


def test_zeros_of_the_right_shape_earn_nothing():
    assert check("rnn_step", lambda x, h, *w: np.zeros_like(h)).points == 0
    assert check("rnn_forward", lambda x, h, *w: (np.zeros((len(x), *h.shape)), np.zeros_like(h))).points == 0
    assert check("readout", lambda hs, W, b: 2 * [np.zeros((*hs.shape[:2], len(W)))]).points == 0


def test_edge_cases_pay_only_once_the_general_case_is_right():
    def only_small(x, h, *w):
        return step(x, h, *w) if len(x) == 1 or h.shape[1] == 1 else np.zeros_like(h)

    verdict = check("rnn_step", only_small)
    assert verdict.points == 0
    assert "general" in verdict.parts[1].reason


def test_state_kept_between_calls_is_said_so():
    calls = []

    def forgetful(*inputs):
        calls.append(1)
        return step(*inputs) * (1 if len(calls) == 1 else 1.01)

    assert "same call again" in check("rnn_step", forgetful).diagnosis.text


def test_a_wrong_value_is_described_without_showing_the_right_one():
    rng = np.random.default_rng(0)
    verdict = check("rnn_step", lambda *inputs: step(*inputs) + 0.01 * rng.random())
    expected = trial(find("rnn_step"), PUBLIC_SEED).expected
    text = str(verdict) + verdict._repr_html_()
    assert "entries differ" in text
    for outputs in expected:
        for number in outputs[0].ravel():
            assert f"{number:.3f}" not in text


def test_a_shape_error_names_both_shapes_and_the_axes():
    verdict = check("rnn_forward", lambda *inputs: (forward(*inputs)[0][:, 0], forward(*inputs)[1]))
    assert "(6, 5)" in verdict.diagnosis.text
    assert "(step, sequence, unit)" in verdict.diagnosis.text


@pytest.mark.parametrize("dtype", ["f2", "c16"])
def test_a_strange_precision_is_named(dtype):
    assert str(np.dtype(dtype)) in check("rnn_step", lambda *inputs: step(*inputs).astype(dtype)).diagnosis.text


def test_whole_numbers_are_named_where_fractions_were_cut_off():
    assert "int64: fractions are cut off" in check("rnn_step", lambda *i: step(*i).astype(int)).diagnosis.text
    assert "fractions" not in check("parameter_count", lambda *arguments: 7).diagnosis.text  # a count has none


def test_one_output_in_float32_does_not_loosen_the_other():
    """In the edge case the logits are near 800; the probabilities are not judged by that."""

    def nearly(hs, W, b):
        logits, probs = readout(hs, W, b)
        return logits.astype(np.float32), probs + 1e-3

    verdict = check("readout", nearly)
    assert verdict.parts[0].points == 2
    assert verdict.points == 2


def test_two_wrong_shapes_each_get_their_own_hint():
    text = check("rnn_forward", lambda *i: (forward(*i)[0][:1], forward(*i)[1][0])).diagnosis.text
    assert text.index("Compare axis by axis") < text.index("h_last has shape") < text.index("summed away")


def test_an_exception_is_reported_with_its_message():
    def broken(x, *rest):
        return x.no_such_thing

    verdict = check("rnn_step", broken)
    assert "AttributeError" in verdict.diagnosis.text
    assert "no_such_thing" in verdict.diagnosis.text


def test_an_unwritten_function_is_called_unwritten():
    def unwritten(*inputs):
        raise NotImplementedError

    assert "not written yet" in check("rnn_step", unwritten).diagnosis.text


def test_checking_a_result_instead_of_a_function_is_explained():
    with pytest.raises(TypeError, match="without parentheses"):
        check("rnn_step", np.zeros(3))


def test_an_unknown_question_lists_those_there_are():
    with pytest.raises(KeyError, match="rnn_forward"):
        check("rnn_stpe", step)


def test_what_a_function_prints_to_stderr_does_not_fail_the_cell(capsys):
    def noisy(*inputs):
        print("RuntimeWarning: divide by zero", file=sys.stderr)  # where nbgrader sees this, it gives 0
        return step(*inputs)

    assert check("rnn_step", noisy).points == 4
    heard = capsys.readouterr()
    assert heard.err == ""
    assert "divide by zero" in heard.out


def test_text_is_points_and_html_is_escaped():
    verdict = check("rnn_step", lambda *inputs: (_ for _ in ()).throw(ValueError("<script>alert(1)</script>")))
    assert float(repr(verdict)) == 0.0
    assert "<script>" not in verdict._repr_html_()


json_answers = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(["value", "raised", "kind", "type", "line", "message", "items"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(json_answers | st.lists(json_answers, min_size=6, max_size=6))
def test_forged_answers_never_raise_and_never_earn(answers):
    for name in ("rnn_step", "rnn_forward", "readout"):
        assert judge(find(name), answers, PUBLIC_SEED).points == 0


def test_answers_to_another_seed_earn_nothing():
    question = find("rnn_step")
    answers = [{"value": wire.encode(outputs[0])} for outputs in trial(question, 1).expected]
    assert judge(question, answers, 1).points == 4
    assert judge(question, answers, 2).points == 0


def unshifted(axis):
    def softmax(hs, W, b):
        e = np.exp(hs @ W.T + b)
        return hs @ W.T + b, e / e.sum(axis=axis, keepdims=True)

    return softmax


@pytest.mark.parametrize(("axis", "name"), [(0, "softmax_over_time"), (1, "softmax_over_sequences")])
def test_a_softmax_over_the_wrong_axis_is_named_even_without_the_shift(axis, name):
    verdict = check("readout", unshifted(axis))
    assert set(verdict.diagnosis.bugs) == {name, "softmax_not_shifted"}
    assert "First:" in verdict.diagnosis.text


def test_a_forgotten_return_is_named():
    assert "gave nothing back" in check("rnn_step", lambda *i: None).diagnosis.text
    assert "is a `return` missing?" in check("rnn_forward", lambda *i: None).diagnosis.text


def test_a_comma_too_many_is_suspected():
    assert "comma too many" in check("rnn_step", lambda *i: (step(*i),)).diagnosis.text


def test_an_interrupted_check_says_where_it_hung():
    def endless(*inputs):
        raise KeyboardInterrupt

    verdict = check("rnn_step", endless)
    assert "Does its loop end?" in verdict.diagnosis.text
    assert verdict.points == 0
