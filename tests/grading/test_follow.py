"""Follow-through: a slip is paid for once, and easier work is not paid in its stead."""

import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from autograder.question import Backward, Bug, Case, Part, Question
from autograder.questions import find
from rnnlib.cells import rnn

NAMES = ("x", "h", "W_ih", "W_hh", "b_ih", "b_hh")


def cases(rng):
    for N, D, H, edge in ((3, 4, 5, False), (4, 4, 4, False), (1, 2, 3, True)):
        W_ih, W_hh = rng.normal(0, 0.8 / np.sqrt(D), (H, D)), rng.normal(0, 0.8 / np.sqrt(H), (H, H))
        inputs = (rng.normal(size=(N, D)), rng.uniform(-0.9, 0.9, (N, H)), W_ih, W_hh, *rng.normal(0, 0.4, (2, H)))
        yield Case(f"N={N}", inputs, edge=edge, upstream=(rng.normal(size=(N, H)),))


def reference(*arguments):
    *inputs, dh_next = arguments
    h_next, cache = rnn.step_forward(*inputs)
    return (h_next, *rnn.step_backward(dh_next, cache))


def model(x, h, W_ih, W_hh, b_ih, b_hh, dh_next):
    a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
    h_next = np.tanh(a)
    da = dh_next * (1 - h_next**2)
    return h_next, da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)


PAIR = Question(
    name="step_pair",
    title="A step, both ways",
    arguments=NAMES,
    outputs=("h_next", *(f"d{name}" for name in NAMES)),
    axes={"h_next": ("sequence", "unit"), "dx": ("sequence", "input"), "dh": ("sequence", "unit")}
    | {"dW_ih": ("unit", "input"), "dW_hh": ("unit", "unit before"), "db_ih": ("unit",), "db_hh": ("unit",)},
    reference=reference,
    cases=cases,
    parts=(
        Part("dx, dh", 2, ("dx", "dh")),
        Part("weights", 2, ("dW_ih", "dW_hh")),
        Part("biases", 1, ("db_ih", "db_hh")),
        Part("one sequence", 1, ("dx", "dh", "dW_ih", "dW_hh", "db_ih", "db_hh"), edge=True),
    ),
    model=model,
    bugs=(
        Bug("input_bias_forgotten", {" + b_ih": ""}, "b_ih is left out.", "A"),
        Bug("state_ignored", {"h @ W_hh.T": "0"}, "h does not enter.", "A", eases=True),
        Bug("nonlinearity_forgotten", {"np.tanh(a)": "a"}, "The nonlinearity is missing.", "A"),
        Bug("derivative_forgotten", {" * (1 - h_next**2)": ""}, "tanh' is missing.", "B"),
    ),
    lesson="04_bptt.ipynb",
    backward=Backward("step", "step_backward", ("dh_next",), tuple(f"d{name}" for name in NAMES)),
)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    monkeypatch.setattr(learners, "find", lambda name: PAIR if name == PAIR.name else find(name))
    monkeypatch.setattr(learners, "_seen", {})


def pair(a=lambda x, h, W, U, b, c: x @ W.T + b + h @ U.T + c, f=np.tanh, df=lambda h: 1 - h**2, dtype=np.float64):
    """A learner's pair, of the parts that may be wrong."""

    def step(*inputs):
        x, h, W_ih, W_hh, b_ih, b_hh = (array.astype(dtype) for array in inputs)
        h_next = f(a(x, h, W_ih, W_hh, b_ih, b_hh))
        return h_next, (x, h, W_ih, W_hh, h_next)

    def step_backward(dh_next, cache):
        x, h, W_ih, W_hh, h_next = cache
        da = dh_next * df(h_next)
        return da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)

    return step, step_backward


def points(*functions):
    return {part.name: part.points for part in check("step_pair", *functions).parts}


def test_a_right_pair_gets_full_marks_in_either_precision():
    assert check("step_pair", *pair()).diagnosis is None
    assert check("step_pair", *pair(dtype=np.float32)).diagnosis is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_right_backward_of_a_wrong_forward_is_paid(dtype):
    wrong = pair(a=lambda x, h, W, U, b, c: x @ W.T + h @ U.T + c, dtype=dtype)

    def without_bias(dh_next, cache):
        *gradients, _, db_hh = wrong[1](dh_next, cache)
        return *gradients, 0 * db_hh, db_hh

    verdict = check("step_pair", wrong[0], without_bias)
    assert {part.name: part.points for part in verdict.parts} == {
        "dx, dh": 2,
        "weights": 2,
        "biases": 0,
        "one sequence": 0,
    }
    assert verdict.diagnosis.bugs == ("input_bias_forgotten",)
    assert "right, and paid, dx, dh, dW_ih, dW_hh and db_hh. Not its gradient: db_ih" in verdict.diagnosis.text


def test_a_wrong_forward_that_nobody_knows_is_followed_too_where_it_is_near():
    verdict = check("step_pair", *pair(f=lambda a: np.tanh(0.9 * a), df=lambda h: 0.9 * (1 - h**2)))
    assert verdict.points == 5
    assert verdict.diagnosis.bugs == ()


def test_the_derivative_of_the_right_forward_is_not_that_of_a_wrong_one():
    assert sum(points(*pair(f=lambda a: np.tanh(0.9 * a))).values()) == 0


def test_a_wrong_backward_of_a_right_forward_is_not_paid():
    verdict = check("step_pair", *pair(df=lambda h: 1))
    assert verdict.points == 0
    assert verdict.diagnosis.bugs == ("derivative_forgotten",)


def test_easier_forwards_do_not_pay_their_gradients():
    assert sum(points(*pair(f=lambda a: a, df=lambda h: 1)).values()) == 0
    assert sum(points(*pair(f=lambda a: 0 * a, df=lambda h: 0)).values()) == 0
    assert sum(points(*pair(a=lambda x, h, W, U, b, c: x @ W.T + b + c)).values()) == 0


def test_what_came_instead_of_outputs_and_cache_is_named():
    step, step_backward = pair()
    text = check("step_pair", lambda *i: step(*i)[0], step_backward).diagnosis.text
    assert "Your step returned one ndarray; expected its outputs and, last, a cache" in text
    text = check("step_pair", step, lambda *i: step_backward(*i)[:3]).diagnosis.text
    assert "Your step_backward returned 3 things; expected 6, in this order: dx, dh, dW_ih" in text
    text = check("step_pair", lambda *i: (*step(*i), None, None), step_backward).diagnosis.text
    assert "Your step_backward raised" in text


def test_an_unwritten_backward_is_called_unwritten_by_name():
    def unwritten(*arguments):
        raise NotImplementedError

    assert "Your step_backward is not written yet" in check("step_pair", pair()[0], unwritten).diagnosis.text


def test_one_function_where_two_are_asked_is_explained():
    with pytest.raises(TypeError, match="expected check\\('step_pair', step, step_backward\\)"):
        check("step_pair", pair()[0])


def test_each_backward_gets_a_fresh_cache():
    step, step_backward = pair()

    def consuming(dh_next, cache):
        gradients = step_backward(dh_next, cache)
        for array in cache:
            array[...] = np.nan
        return gradients

    assert check("step_pair", step, consuming).points == 6


def ps1(W_hh):
    """A step that uses W_hh in some form, and the loop that calls it."""

    def step(x, h, W_ih, W, b_ih, b_hh):
        return np.tanh(x @ W_ih.T + b_ih + h @ W_hh(W) + b_hh)

    def forward(x, h, *weights):
        states = []
        for x_t in x:
            h = step(x_t, h, *weights)
            states.append(h)
        return np.stack(states), h

    return step, forward


def test_what_builds_on_a_slip_keeps_its_points():
    step, forward = ps1(lambda W: W)
    assert check("rnn_step", step).points == 0
    verdict = check("rnn_forward", forward)
    assert verdict.points == verdict.max_points
    assert verdict.diagnosis.bugs == ("recurrent_weights_not_transposed",)
    assert "Nothing is wrong here but the slip in" in verdict.diagnosis.text


def test_a_slip_that_only_the_later_function_has_costs_its_points():
    right, _ = ps1(lambda W: W.T)
    _, forward = ps1(lambda W: W)
    assert check("rnn_step", right).points == 4
    assert check("rnn_forward", forward).points == 0


def test_a_slip_that_makes_the_loop_easier_is_not_followed():
    step, forward = ps1(lambda W: 0 * W)
    assert check("rnn_step", step).diagnosis.bugs == ("state_ignored",)
    assert check("rnn_forward", forward).points == 0


def test_two_slips_are_not_followed_where_only_one_was_made_before():
    step, forward = ps1(lambda W: W)
    check("rnn_step", step)
    assert check("rnn_forward", lambda x, *rest: forward(x[::-1], *rest)).points == 0
