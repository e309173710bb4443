"""Problem set 3: Jacobian products, where weights start, and clipping (lessons 05 and 06).

An orthogonal start is random, so many are right: here the random numbers are handed over and a rule fixes the signs,
which leaves one right answer however it is found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograder.question import Arrays, Bug, Case, Part, Question
from rnnlib import init, optim, probes
from rnnlib.cells import rnn

_FLOW, _CLIP = "05_vanishing_exploding.ipynb", "06_clipping.ipynb"
_STEP, _PRODUCT, _LAG, _VALUES, _START = (
    "A factor for every step",
    "A product of Jacobians",
    "The gradient against the lag",
    "Eigenvalues and singular values",
    "Where the weights start",
)
_GLOBAL, _VALUE = "Clip by global norm", "Clip by value, and per tensor"


# ---- the Jacobian of one step ------------------------------------------------------------------------------------


def _jacobian_case(rng: np.random.Generator, name: str, N: int, H: int, **how: object) -> Case:
    W_hh = rng.choice([-1, 1], (H, H)) * rng.uniform(0.3, 1.2, (H, H))
    return Case(name, (rng.choice([-1, 1], (N, H)) * rng.uniform(0.2, 0.9, (N, H)), W_hh), **how)  # type: ignore[arg-type]


def _jacobian_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _jacobian_case(rng, "N=3, H=4", 3, 4)
    yield general
    yield Case("the same call again", general.inputs)
    yield _jacobian_case(rng, "as many sequences as units", 4, 4)
    yield _jacobian_case(rng, "arrays that are not contiguous", 2, 5, layout="strided")
    yield _jacobian_case(rng, "one sequence", 1, 3, edge=True)
    yield _jacobian_case(rng, "one hidden unit", 3, 1, edge=True, layout="F")


def _jacobian_model(h_next, W_hh):  # type: ignore[no-untyped-def]
    slope = 1 - h_next**2
    J = slope[:, :, None] * W_hh
    return (J,)


def _jacobian_reference(h_next: np.ndarray, W_hh: np.ndarray) -> Arrays:
    H = len(W_hh)

    def step(x, h):  # type: ignore[no-untyped-def]
        return rnn.step_forward(x, h, np.eye(H), W_hh, np.zeros(H), np.zeros(H))[0]

    return (probes.jacobians(step, np.arctanh(h_next)[None], np.zeros(h_next.shape), method="complex")[0],)


JACOBIAN = Question(
    name="step_jacobian",
    title="The Jacobian of one step",
    arguments=("h_next", "W_hh"),
    outputs=("J",),
    axes={"J": ("sequence", "unit after", "unit before")},
    reference=_jacobian_reference,
    cases=_jacobian_cases,
    parts=(Part("batches", 3, ("J",)), Part("one sequence, one unit", 1, ("J",), edge=True)),
    model=_jacobian_model,
    bugs=(
        Bug(
            "derivative_forgotten",
            {"slope[:, :, None] * W_hh": "slope[:, :, None] * 0 + W_hh"},
            "Your Jacobian is W_hh itself, whatever the state: the derivative of tanh is missing.",
            _STEP,
        ),
        Bug(
            "slope_of_the_unit_before",
            {"slope[:, :, None]": "slope[:, None, :]"},
            "Your slopes scale the columns of W_hh. Row i belongs to the unit after the step, and it is that unit's "
            "tanh which bends the sum: which axis must slope i lie along?",
            _STEP,
        ),
        Bug(
            "recurrent_weights_transposed",
            {"slope[:, :, None] * W_hh": "slope[:, :, None] * W_hh.T"},
            "Your Jacobian comes out with W_hh transposed. Its rows are the units that receive already: h_next[i] "
            "depends on h[j] through W_hh[i, j].",
            _STEP,
        ),
        Bug(
            "jacobian_transposed",
            {"return (J,)": "return (J.swapaxes(1, 2),)"},
            "Your Jacobian is transposed. Row: the unit after the step. Column: the unit before it.",
            _STEP,
        ),
        Bug(
            "derivative_without_square",
            {"1 - h_next**2": "1 - h_next"},
            "Your Jacobian comes out with 1 - h for tanh'. Something is missing on h.",
            _STEP,
        ),
        Bug(
            "square_around_the_bracket",
            {"1 - h_next**2": "(1 - h_next) ** 2"},
            "Your Jacobian comes out with (1 - h)² for tanh'. The square stands on h alone.",
            _STEP,
        ),
        Bug(
            "derivative_negated",
            {"1 - h_next**2": "h_next**2 - 1"},
            "Your Jacobian comes out with h² - 1: right in size, of the wrong sign. tanh rises everywhere.",
            _STEP,
        ),
        Bug(
            "derivative_sign",
            {"1 - h_next**2": "1 + h_next**2"},
            "Your Jacobian comes out with 1 + h². tanh is steepest at 0, with slope 1, and flatter everywhere else.",
            _STEP,
        ),
        Bug(
            "derivative_applied_twice",
            {"1 - h_next**2": "1 - np.tanh(h_next) ** 2"},
            "Your Jacobian comes out when tanh is applied to the state once more. The state has been through tanh "
            "already.",
            _STEP,
        ),
        Bug(
            "derivative_squared",
            {"1 - h_next**2": "(1 - h_next**2) ** 2"},
            "Your Jacobian holds the slope of tanh twice: one step passes one tanh.",
            _STEP,
        ),
        Bug(
            "sigmoid_derivative",
            {"1 - h_next**2": "h_next * (1 - h_next)"},
            "Your Jacobian comes out with h(1 - h), the derivative of the logistic sigmoid. This nonlinearity is tanh.",
            _STEP,
        ),
        Bug(
            "state_for_slope",
            {"1 - h_next**2": "h_next"},
            "Your rows are scaled by the state itself. What scales a small change is the slope of tanh there.",
            _STEP,
        ),
        Bug(
            "weights_forgotten",
            {"slope[:, :, None] * W_hh": "slope[:, :, None] * np.eye(len(W_hh))"},
            "Your Jacobian is the diagonal of slopes alone. Before its tanh, a state passes through W_hh.",
            _STEP,
        ),
        Bug(
            "diagonal_only",
            {"slope[:, :, None] * W_hh": "slope[:, :, None] * W_hh * np.eye(len(W_hh))"},
            "Your Jacobian is right on its diagonal and zero elsewhere. Each unit hears all the others.",
            _STEP,
        ),
        Bug(
            "summed_over_the_batch",
            {"return (J,)": "return (J.sum(axis=0),)"},
            "Your sequences' Jacobians are added up. Sequences do not touch one another: each has a Jacobian of its "
            "own, and only gradients of shared weights add.",
            _STEP,
        ),
        Bug(
            "averaged_over_the_batch",
            {"slope[:, :, None] * W_hh": "slope.mean(axis=0)[None, :, None] * np.ones_like(slope)[:, :, None] * W_hh"},
            "All your sequences have the same Jacobian, the one of their mean slope. Each sequence is in a state of "
            "its own.",
            _STEP,
        ),
    ),
    lesson=_FLOW,
)


# ---- products over time ------------------------------------------------------------------------------------------


def _jacobians(rng: np.random.Generator, T: int, N: int, H: int) -> np.ndarray:
    """Jacobians whose products neither fade nor grow much within the case."""
    return rng.normal(0, 1.1 / np.sqrt(H), (T, N, H, H)) + 0.3 * np.eye(H)


def _product_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = Case("T=4, N=2, H=3", (_jacobians(rng, 4, 2, 3),))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("all sizes equal", (_jacobians(rng, 3, 3, 3),))
    yield Case("an array that is not contiguous", (_jacobians(rng, 5, 2, 4),), layout="strided")
    yield Case("one step", (_jacobians(rng, 1, 2, 3),), edge=True)
    yield Case("one sequence", (_jacobians(rng, 3, 1, 2),), edge=True, layout="F")


def _product_model(J):  # type: ignore[no-untyped-def]
    T, N, H, _ = J.shape
    P = np.broadcast_to(np.eye(H), (N, H, H))
    products = [P]
    for k in range(1, T + 1):
        factor = J[T - k]
        P = P @ factor
        products.append(P)
    return (np.stack(products),)


_ORDER = Bug(
    "factors_in_the_other_order",
    {"P @ factor": "factor @ P"},
    "Your lags 0 and 1 are right; from lag 2 on your factors stand in the other order. An earlier step acts first, on "
    "the right: J_T J_{T-1}, and matrices do not commute.",
    _PRODUCT,
)
_FROM_THE_START = Bug(
    "from_the_first_step",
    {"J[T - k]": "J[k - 1]"},
    "Your products begin with the first step's Jacobian. Lag k is counted back from the last state: J_T comes first.",
    _PRODUCT,
)
_FORWARDS = Bug(
    "how_far_the_first_state_reaches",
    {"J[T - k]": "J[k - 1]", "P @ factor": "factor @ P"},
    "Your products are ∂h_k/∂h_0: how the first state reaches each later one. Asked is how each earlier one reaches "
    "the last.",
    _PRODUCT,
)
_ONE_TOO_EARLY = Bug(
    "one_step_too_early",
    {"J[T - k]": "J[T - k - 1]"},
    "Your first factor is the Jacobian of the last step but one (and the last factor, J[-1], is that of the end). "
    "J[T - 1] is the last step's.",
    _PRODUCT,
)
_NOT_ACCUMULATED = Bug(
    "never_accumulated",
    {"P @ factor": "factor"},
    "Each of your lags holds one step's Jacobian alone. Lag k passes through k steps: their Jacobians multiply.",
    _PRODUCT,
)
_ENTRY_BY_ENTRY = Bug(
    "entry_by_entry",
    {"P @ factor": "P * factor"},
    "Your products are taken entry by entry, with * where a matrix product is meant: from lag 1 on only the diagonal "
    "is left.",
    _PRODUCT,
)
_ADDED = Bug(
    "added_up",
    {"P @ factor": "P + factor"},
    "Your Jacobians are added. One step after the other is a product: that is the chain rule.",
    _PRODUCT,
)
_TRANSPOSED_FACTORS = Bug(
    "factors_transposed",
    {"P @ factor": "P @ factor.swapaxes(1, 2)"},
    "Each of your factors is transposed, and the order is that of ∂h_T/∂h_{T-k}: either both, for the way back of a "
    "gradient, or neither.",
    _PRODUCT,
)
_LAST_REPEATED = Bug(
    "last_step_repeated",
    {"J[T - k]": "J[-1]"},
    "Your lag k is the k-th power of the last step's Jacobian. Every step has one of its own: its state differs.",
    _PRODUCT,
)
_AVERAGED = Bug(
    "averaged_over_the_batch",
    {"factor = J[T - k]": "factor = J[T - k].mean(axis=0) + np.zeros((N, 1, 1))"},
    "All your sequences have the same products, those of their mean Jacobians. Each sequence goes its own way.",
    _PRODUCT,
)
_MIXED = (
    _ORDER,
    _FROM_THE_START,
    _FORWARDS,
    _ONE_TOO_EARLY,
    _NOT_ACCUMULATED,
    _ENTRY_BY_ENTRY,
    _ADDED,
    _LAST_REPEATED,
    _AVERAGED,
)

PRODUCTS = Question(
    name="jacobian_products",
    title="Products of Jacobians",
    arguments=("J",),
    outputs=("products",),
    axes={"products": ("lag", "sequence", "unit of the last state", "unit of the earlier state")},
    reference=lambda J: (probes.lag_products(J),),
    cases=_product_cases,
    parts=(Part("every lag", 3, ("products",)), Part("one step, one sequence", 1, ("products",), edge=True)),
    model=_product_model,
    bugs=(
        *_MIXED,
        _TRANSPOSED_FACTORS,
        Bug(
            "gradient_form",
            {"np.stack(products)": "np.stack(products).swapaxes(2, 3)"},
            "Your products are transposed: they are what multiplies a gradient on its way back. Asked is "
            "∂h_T/∂h_{T-k}: rows are units of the last state.",
            _PRODUCT,
        ),
        Bug(
            "lag_zero_missing",
            {"np.stack(products)": "np.stack(products[1:])"},
            "Your products begin with lag 1. At lag 0 a state is compared with itself, so there are T + 1 of them.",
            _PRODUCT,
        ),
        Bug(
            "last_lag_missing",
            {"np.stack(products)": "np.stack(products[:-1])"},
            "Your longest lag is missing: T steps have lags 0 to T, so there are T + 1 products.",
            _PRODUCT,
        ),
        Bug(
            "lag_zero_left_zero",
            {"np.stack(products)": "np.stack([0 * products[0], *products[1:]])"},
            "Your lag 0 is zero, and all the others are right. At lag 0 a state is compared with itself: the identity.",
            _PRODUCT,
        ),
        Bug(
            "every_lag_is_the_longest",
            {"np.stack(products)": "np.stack([P] * (T + 1))"},
            "All your lags are the longest one: one array was saved again and again and changed in place.",
            _PRODUCT,
        ),
        Bug(
            "longest_lag_first",
            {"np.stack(products)": "np.stack(products[::-1])"},
            "Your products are right and stand in the order of time. Entry k should be lag k: the identity is first.",
            _PRODUCT,
        ),
        Bug(
            "starts_with_ones",
            {"np.eye(H)": "np.ones((H, H))"},
            "Your products begin with a matrix full of ones. What leaves everything as it is when multiplied is the "
            "identity.",
            _PRODUCT,
        ),
        Bug(
            "starts_with_zeros",
            {"np.eye(H)": "np.zeros((H, H))"},
            "All your products are zero: a product that starts with zeros stays there.",
            _PRODUCT,
        ),
    ),
    lesson=_FLOW,
)


# ---- a gradient on its way back ----------------------------------------------------------------------------------


def _norms_case(rng: np.random.Generator, name: str, T: int, N: int, H: int, **how: object) -> Case:
    return Case(name, (_jacobians(rng, T, N, H), rng.normal(size=(N, H))), **how)  # type: ignore[arg-type]


def _norms_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _norms_case(rng, "T=4, N=2, H=3", 4, 2, 3)
    yield general
    yield Case("the same call again", general.inputs)
    yield _norms_case(rng, "all sizes equal", 3, 3, 3)
    yield _norms_case(rng, "arrays that are not contiguous", 5, 2, 4, layout="strided")
    yield _norms_case(rng, "one step", 1, 2, 3, edge=True)
    yield _norms_case(rng, "one sequence", 3, 1, 2, edge=True, layout="F")


def _norms_model(J, dh_last):  # type: ignore[no-untyped-def]
    T, N, H, _ = J.shape
    P = np.broadcast_to(np.eye(H), (N, H, H))
    gradients = [dh_last]
    for k in range(1, T + 1):
        factor = J[T - k]
        P = P @ factor
        gradients.append(np.einsum("nij,ni->nj", P, dh_last))
    g = np.stack(gradients)
    return (np.sqrt(np.sum(g**2, axis=2)),)


def _lengths_of_columns(over: str) -> dict[str, str]:
    """In place of a gradient, the lengths of the product's columns (`np.sum`) or what they are a unit (`np.mean`)."""
    return {
        "gradients = [dh_last]": f"gradients = [np.sqrt({over}(P**2, axis=1))]",
        'np.einsum("nij,ni->nj", P, dh_last)': f"np.sqrt({over}(P**2, axis=1))",
    }


NORMS = Question(
    name="gradient_norms",
    title="A gradient against the lag",
    arguments=("J", "dh_last"),
    outputs=("norms",),
    axes={"norms": ("lag", "sequence")},
    reference=lambda J, dh_last: (probes.step_gradient_norms(J, dh_last),),
    cases=_norms_cases,
    parts=(Part("every lag", 2, ("norms",)), Part("one step, one sequence", 1, ("norms",), edge=True)),
    model=_norms_model,
    bugs=(
        *_MIXED,
        Bug(
            "not_transposed",
            {"P = P @ factor": "P = factor @ P", "nij,ni->nj": "nij,nj->ni"},
            "Your gradient is multiplied by J, not by its transpose: that is how a change travels on, from state to "
            "state. The blame travels the other way.",
            _LAG,
        ),
        Bug(
            "product_not_transposed",
            {"nij,ni->nj": "nij,nj->ni"},
            "Your gradient is multiplied by ∂h_T/∂h_{T-k} itself: dh_last lies on the side of h_T, so its entries "
            "belong to the product's rows.",
            _LAG,
        ),
        Bug(
            "square_root_forgotten",
            {"np.sqrt(np.sum(g**2, axis=2))": "np.sum(g**2, axis=2)"},
            "Your numbers are squares of norms: the root is missing.",
            _LAG,
        ),
        Bug(
            "absolute_values_added",
            {"np.sqrt(np.sum(g**2, axis=2))": "np.sum(np.abs(g), axis=2)"},
            "Your norms are sums of absolute values. Meant is a vector's length: the root of the sum of squares.",
            _LAG,
        ),
        Bug(
            "largest_entry",
            {"np.sqrt(np.sum(g**2, axis=2))": "np.max(np.abs(g), axis=2)"},
            "Your norms are the largest entries. Meant is a vector's length: the root of the sum of squares.",
            _LAG,
        ),
        Bug(
            "mean_of_squares",
            {"np.sum(g**2, axis=2)": "np.mean(g**2, axis=2)"},
            "Your norms are roots of a mean: a mean was taken over the units where a norm adds up.",
            _LAG,
        ),
        Bug(
            "norm_over_the_batch",
            {"np.sqrt(np.sum(g**2, axis=2))": "np.sqrt(np.sum(g**2, axis=(1, 2)))"},
            "You have one norm a lag, over all sequences together. Each sequence has one of its own: (T + 1, N).",
            _LAG,
        ),
        Bug(
            "norm_over_the_sequences",
            {"np.sum(g**2, axis=2)": "np.sum(g**2, axis=1)"},
            "Your norms are taken over the sequences, unit by unit: the axis of the units is the last one.",
            _LAG,
        ),
        Bug(
            "relative_to_the_first",
            {"np.sqrt(np.sum(g**2, axis=2))": "np.sqrt(np.sum(g**2, axis=2) / np.sum(dh_last**2, axis=1))"},
            "Your norms begin with 1: they are divided by that of dh_last. Asked is the norm itself.",
            _LAG,
        ),
        Bug(
            "norms_multiplied",
            {
                'gradients.append(np.einsum("nij,ni->nj", P, dh_last))': "gradients.append("
                "np.sqrt(np.sum(factor**2, axis=(1, 2)))[:, None] * gradients[-1])"
            },
            "Your numbers are products of the Jacobians' norms. That is only an upper bound: a gradient is stretched "
            "in some directions and shrunk in others, so follow the vector itself.",
            _LAG,
        ),
        Bug(
            "lag_zero_missing",
            {"g = np.stack(gradients)": "g = np.stack(gradients[1:])"},
            "Your norms begin with lag 1. At lag 0 stands the norm of dh_last itself: T + 1 numbers for each sequence.",
            _LAG,
        ),
        Bug(
            "last_lag_missing",
            {"g = np.stack(gradients)": "g = np.stack(gradients[:-1])"},
            "Your longest lag is missing: T steps have lags 0 to T, so there are T + 1 norms for each sequence.",
            _LAG,
        ),
        Bug(
            "frobenius_norm_of_the_product",
            _lengths_of_columns("np.sum"),
            "Your numbers are the Frobenius norms of the products, whatever dh_last is. Follow the gradient that is "
            "handed to you: its own length is asked.",
            _LAG,
        ),
        Bug(
            "typical_stretch_of_the_product",
            _lengths_of_columns("np.mean"),
            "Your numbers are the Frobenius norms of the products over the root of H, as lesson 05 draws them: what "
            "becomes of a gradient on average. Follow the one that is handed to you.",
            _LAG,
        ),
        Bug(
            "lag_zero_left_zero",
            {"g = np.stack(gradients)": "g = np.stack([0 * dh_last, *gradients[1:]])"},
            "Your lag 0 is zero, and all the others are right. At lag 0 stands the norm of dh_last itself.",
            _LAG,
        ),
        Bug(
            "last_lag_left_zero",
            {"g = np.stack(gradients)": "g = np.stack([*gradients[:-1], 0 * dh_last])"},
            "Your longest lag is zero, and all the others are right: T steps have lags 0 to T.",
            _LAG,
        ),
        Bug(
            "longest_lag_first",
            {"g = np.stack(gradients)": "g = np.stack(gradients[::-1])"},
            "Your norms are right and stand in the order of time. Entry k should be lag k.",
            _LAG,
        ),
        Bug(
            "sequences_first",
            {"np.sqrt(np.sum(g**2, axis=2))": "np.sqrt(np.sum(g**2, axis=2)).T"},
            "Your norms are right and transposed: lags go down, sequences across.",
            _LAG,
        ),
    ),
    lesson=_FLOW,
    builds_on=("jacobian_products",),
)


# ---- spectral radius ---------------------------------------------------------------------------------------------


def _with_eigenvalues(rng: np.random.Generator, blocks: np.ndarray) -> np.ndarray:
    """A matrix with the eigenvalues of `blocks`, in turned axes, that stretches more than its eigenvalues say."""
    H = len(blocks)
    shear = np.triu(rng.choice([-1, 1], (H, H)) * rng.uniform(0.3, 0.6, (H, H)), 2)
    Q = np.linalg.qr(rng.normal(size=(H, H)))[0]
    return Q @ (blocks + shear) @ Q.T


def _radius_cases(rng: np.random.Generator) -> Iterator[Case]:
    size, angle = rng.uniform(1.1, 1.4), rng.uniform(0.5, 0.7)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    blocks = np.diag([0.0, 0.0, *rng.uniform(0.2, 0.6, 2)])
    blocks[:2, :2] = turn
    general = Case("a pair of complex eigenvalues is the largest", (_with_eigenvalues(rng, blocks), np.array(0.9)))
    yield general
    yield Case("the same call again", general.inputs)
    negative = np.diag([-rng.uniform(1.5, 1.8), rng.uniform(0.8, 1), rng.uniform(0.2, 0.5), -rng.uniform(0.4, 0.6)])
    yield Case("a negative eigenvalue is the largest", (_with_eigenvalues(rng, negative), np.array(1.2)))
    positive = np.diag([rng.uniform(0.5, 0.6), -rng.uniform(0.1, 0.3), rng.uniform(0.2, 0.4)])
    yield Case("a positive one, not contiguous", (_with_eigenvalues(rng, positive), np.array(1.1)), layout="strided")
    ordered = np.diag([rng.uniform(0.3, 0.4), -rng.uniform(1.3, 1.6), rng.uniform(0.1, 0.2), rng.uniform(0.6, 0.8)])
    ordered += np.triu(rng.choice([-1, 1], (4, 4)) * rng.uniform(0.3, 0.6, (4, 4)), 1)  # they come in this order
    yield Case("the largest neither first nor last", (ordered, np.array(0.8)))
    yield Case("one hidden unit", (-rng.uniform(0.4, 0.8, (1, 1)), np.array(1.5)), edge=True)
    yield Case("only zeros", (np.zeros((3, 3)), np.array(0.9)), edge=True)


def _radius_model(W, radius):  # type: ignore[no-untyped-def]
    if not W.any():
        return (W,)
    size = np.max(np.abs(np.linalg.eigvals(W)))
    factor = radius / size
    return (W * factor,)


def _radius_reference(W: np.ndarray, radius: np.ndarray) -> Arrays:
    return (W * (radius / (probes.spectral_radius(W) or 1.0)),)


RADIUS = Question(
    name="rescale_radius",
    title="Rescaling the spectral radius",
    arguments=("W", "radius"),
    outputs=("rescaled",),
    axes={"rescaled": ("unit", "unit before")},
    reference=_radius_reference,
    cases=_radius_cases,
    parts=(Part("matrices", 3, ("rescaled",)), Part("one unit, only zeros", 1, ("rescaled",), edge=True)),
    model=_radius_model,
    bugs=(
        Bug(
            "largest_singular_value",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.linalg.norm(W, 2)"},
            "Your matrix is divided by its largest singular value: how far one multiplication can stretch. The "
            "spectral radius is what many multiplications do: the largest absolute eigenvalue.",
            _VALUES,
        ),
        Bug(
            "frobenius_norm",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.linalg.norm(W)"},
            "Your matrix is divided by the root of the sum of its squares, which is what np.linalg.norm gives where "
            "nothing more is said. The spectral radius is the largest absolute eigenvalue.",
            _VALUES,
        ),
        Bug(
            "largest_real_part",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.max(np.linalg.eigvals(W).real)"},
            "Your spectral radius is the largest real part. Eigenvalues may be negative or complex; what counts is "
            "how far they lie from zero.",
            _VALUES,
        ),
        Bug(
            "first_eigenvalue",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.abs(np.linalg.eigvals(W)[0])"},
            "Your spectral radius is that of the first eigenvalue. They come in no order: look for the largest.",
            _VALUES,
        ),
        Bug(
            "last_eigenvalue",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.abs(np.linalg.eigvals(W)[-1])"},
            "Your spectral radius is that of the last eigenvalue. They come in no order: look for the largest.",
            _VALUES,
        ),
        Bug(
            "imaginary_parts_dropped",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.max(np.abs(np.linalg.eigvals(W).real))"},
            "Your eigenvalues lose their imaginary parts. Of a complex one, how far from zero is what counts.",
            _VALUES,
        ),
        Bug(
            "largest_singular_value_squared",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.linalg.norm(W, 2) ** 2"},
            "Your matrix is divided by the largest eigenvalue of WᵀW. Its root is how far one multiplication can "
            "stretch; the spectral radius is the largest absolute eigenvalue of W itself.",
            _VALUES,
        ),
        Bug(
            "maximum_before_absolute_value",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.abs(np.max(np.linalg.eigvals(W)))"},
            "Your maximum is taken before the absolute value: of complex numbers NumPy takes the one with the largest "
            "real part. First how far from zero, then the farthest.",
            _VALUES,
        ),
        Bug(
            "symmetric_eigenvalues",
            {"np.linalg.eigvals(W)": "np.linalg.eigvalsh(W)"},
            "Your eigenvalues are those of a symmetric matrix: eigvalsh and eigh look at one half of it alone. W_hh is "
            "not symmetric.",
            _VALUES,
        ),
        Bug(
            "smallest_eigenvalue",
            {"np.max(np.abs(": "np.min(np.abs("},
            "Your matrix is divided by its smallest absolute eigenvalue. In the long run the largest one decides.",
            _VALUES,
        ),
        Bug(
            "mean_eigenvalue",
            {"np.max(np.abs(": "np.mean(np.abs("},
            "Your matrix is divided by the mean of its absolute eigenvalues. In the long run the largest one decides.",
            _VALUES,
        ),
        Bug(
            "eigenvalues_added",
            {"np.max(np.abs(": "np.sum(np.abs("},
            "Your matrix is divided by the sum of its absolute eigenvalues: the radius is the largest of them.",
            _VALUES,
        ),
        Bug(
            "largest_entry",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.max(np.abs(W))"},
            "Your matrix is divided by its largest entry. Entries say little about what a matrix does many times over: "
            "its eigenvalues do.",
            _VALUES,
        ),
        Bug(
            "determinant",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.abs(np.linalg.det(W)) ** (1 / len(W))"},
            "Your matrix is divided by a root of its determinant: the geometric mean of the absolute eigenvalues. The "
            "radius is the largest of them.",
            _VALUES,
        ),
        Bug(
            "row_by_row",
            {"np.max(np.abs(np.linalg.eigvals(W)))": "np.linalg.norm(W, axis=1, keepdims=True)"},
            "Your rows are rescaled one by one, each to the same length. One factor for the whole matrix keeps its "
            "directions.",
            _VALUES,
        ),
        Bug(
            "not_divided",
            {"radius / size": "radius * np.ones_like(size)"},
            "Your matrix is multiplied by the radius asked for, and not divided by the one it has.",
            _VALUES,
        ),
        Bug(
            "radius_forgotten",
            {"radius / size": "1 / size"},
            "Your matrix has a spectral radius of 1, whatever is asked for.",
            _VALUES,
        ),
        Bug(
            "factor_upside_down",
            {"radius / size": "size / radius"},
            "Your factor stands upside down: a matrix that should shrink grows.",
            _VALUES,
        ),
        Bug(
            "square_root_of_the_factor",
            {"radius / size": "np.sqrt(radius / size)"},
            "Your factor is the root of the right one. Multiply a matrix by c, and each eigenvalue is multiplied by c.",
            _VALUES,
        ),
        Bug(
            "only_shrinks",
            {"radius / size": "np.minimum(1, radius / size)"},
            "Your matrix shrinks where it should, and stays as it is where it should grow.",
            _VALUES,
        ),
        Bug(
            "every_eigenvalue_moved",
            {
                "return (W * factor,)": "values, vectors = np.linalg.eig(W)\n    "
                "turned = vectors * (radius * values / np.abs(values))\n    "
                "return ((turned @ np.linalg.inv(vectors)).real,)"
            },
            "All your eigenvalues have the same absolute value now. Rescaling is one factor for the matrix: the "
            "others shrink or grow with the largest.",
            _VALUES,
        ),
        Bug(
            "zeros_divided_by_zero",
            {"if not W.any()": "if False"},
            "A matrix of zeros has radius 0, and 0 / 0 is NaN. No factor changes it: give it back as it is.",
            _VALUES,
        ),
    ),
    lesson=_FLOW,
)


# ---- orthogonal --------------------------------------------------------------------------------------------------


class _Handed(np.random.Generator):
    """A generator whose normal numbers were drawn before, so that rnnlib's initialiser can be the reference."""

    def __init__(self, numbers: np.ndarray) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers = numbers

    def standard_normal(self, size):  # type: ignore[no-untyped-def]
        return self.numbers.reshape(size)


def _full_rank(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Far from singular, so that float32 and any algorithm will do; and of the signs that LAPACK's R has on its
    diagonal some are negative and some are not, so that leaving them as they come is never right."""
    Q, _ = np.linalg.qr(rng.normal(size=(rows, columns)))
    A = Q @ (np.triu(rng.normal(0, 0.4, (columns, columns)), 1) + np.diag(rng.uniform(0.8, 1.6, columns)))
    return A * np.sign(np.diag(np.linalg.qr(A)[1])) * np.resize([-1, 1], columns)


def _orthogonal_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = Case("4 units, gain 1.5", (_full_rank(rng, 4, 4), np.array(1.5)))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("5 outputs, 3 inputs", (_full_rank(rng, 5, 3), np.array(0.7)))
    yield Case("3 units, not contiguous", (_full_rank(rng, 3, 3), np.array(1.0)), layout="strided")
    yield Case("2 outputs, 4 inputs", (_full_rank(rng, 4, 2).T, np.array(1.3)), edge=True)
    yield Case("one row", (_full_rank(rng, 3, 1).T, np.array(2.0)), edge=True, layout="F")


def _orthogonal_model(A, gain):  # type: ignore[no-untyped-def]
    wide = A.shape[0] < A.shape[1]
    tall = A.T if wide else A
    Q, R = np.linalg.qr(tall)
    signs = np.where(np.diag(R) < 0, -1, 1)
    W = Q * signs
    W = W.T if wide else W
    return (gain * W,)


def _orthogonal_reference(A: np.ndarray, gain: np.ndarray) -> Arrays:
    numbers = A.T if A.shape[0] < A.shape[1] else A
    return (init.orthogonal(A.shape, _Handed(numbers), gain=float(gain)),)


ORTHOGONAL = Question(
    name="orthogonal",
    title="An orthogonal start",
    arguments=("A", "gain"),
    outputs=("W",),
    axes={"W": ("output", "input")},
    reference=_orthogonal_reference,
    cases=_orthogonal_cases,
    parts=(Part("square and tall", 3, ("W",)), Part("wide", 1, ("W",), edge=True)),
    model=_orthogonal_model,
    bugs=(
        Bug(
            "signs_left_as_they_come",
            {"W = Q * signs": "W = Q"},
            "Your matrix is orthogonal, with the signs that np.linalg.qr happens to give. The rule asks that R's "
            "diagonal be positive: some columns still point the other way.",
            _START,
        ),
        Bug(
            "signs_reversed",
            {"np.where(np.diag(R) < 0, -1, 1)": "np.where(np.diag(R) < 0, 1, -1)"},
            "Every column of yours points the other way: R's diagonal is negative throughout. It should be positive.",
            _START,
        ),
        Bug(
            "signs_on_rows",
            {"W = Q * signs": "W = Q * signs[:, None]"},
            "Where A is square your signs change rows of Q; where it is tall they do not fit. Each sign belongs to a "
            "column.",
            _START,
        ),
        Bug(
            "nearest_orthogonal_matrix",
            {"W = Q * signs": "U, _, Vt = np.linalg.svd(tall, full_matrices=False)\n    W = U @ Vt"},
            "Your matrix is orthogonal: U Vᵀ of the singular value decomposition, as good a start as the one asked "
            "for. But it does not keep to the rule that fixes the answer here: A = Q R with R upper triangular.",
            _START,
        ),
        Bug(
            "singular_vectors",
            {"W = Q * signs": "W = np.linalg.svd(tall, full_matrices=False)[0]"},
            "Your matrix is orthogonal: the left singular vectors of A. But it does not keep to the rule that fixes "
            "the answer here: A = Q R with R upper triangular.",
            _START,
        ),
        Bug(
            "triangle_returned",
            {"W = Q * signs": "W = R"},
            "Yours is the triangular factor: np.linalg.qr gives Q first, then R.",
            _START,
        ),
        Bug(
            "columns_not_of_unit_length",
            {"W = Q * signs": "W = Q * np.diag(R)"},
            "Your columns are at right angles and not of unit length: each is what is left of A's column, undivided.",
            _START,
        ),
        Bug(
            "projected_on_the_columns_of_A",
            {
                "W = Q * signs": "W = tall.copy()\n    for j in range(W.shape[1]):\n        for k in range(j):\n"
                "            a = tall[:, k] / np.linalg.norm(tall[:, k])\n            W[:, j] -= a * (a @ tall[:, j])\n"
                "    W = W / np.linalg.norm(W, axis=0)"
            },
            "From each of your columns is taken what lies along the columns of A before it. Those overlap; take away "
            "what lies along the straightened ones.",
            _START,
        ),
        Bug(
            "lengths_never_divided",
            {
                "W = Q * signs": "W = tall.copy()\n    for j in range(W.shape[1]):\n        for k in range(j):\n"
                "            W[:, j] -= W[:, k] * (W[:, k] @ tall[:, j])"
            },
            "Your columns are never brought to length 1, so that what is taken away along them is too much or too "
            "little.",
            _START,
        ),
        Bug(
            "every_sign_changed",
            {"W = Q * signs": "W = -Q"},
            "Your matrix is the Q of np.linalg.qr, negated throughout. The rule goes column by column: the sign of "
            "R's diagonal decides.",
            _START,
        ),
        Bug(
            "signs_of_all_of_R",
            {"W = Q * signs": "W = Q @ np.sign(R)"},
            "Your Q is multiplied by the signs of all of R. Each column has one sign: that on R's diagonal.",
            _START,
        ),
        Bug(
            "signs_of_the_first_row_of_Q",
            {"W = Q * signs": "W = Q * np.sign(Q[0])"},
            "Your signs make the first row of Q positive. The rule is about R: its diagonal should be positive.",
            _START,
        ),
        Bug(
            "signs_of_the_diagonal_of_Q",
            {"W = Q * signs": "W = Q * np.sign(np.diag(Q))"},
            "Your signs make the diagonal of Q positive. The rule is about R: its diagonal should be positive.",
            _START,
        ),
        Bug(
            "only_unit_length",
            {"W = Q * signs": "W = tall / np.linalg.norm(tall, axis=0)"},
            "Your columns have unit length and are not at right angles to one another.",
            _START,
        ),
        Bug(
            "only_against_the_column_before",
            {
                "W = Q * signs": "W = tall / np.linalg.norm(tall, axis=0)\n    for j in range(1, W.shape[1]):\n        "
                "w = tall[:, j] - W[:, j - 1] * (W[:, j - 1] @ tall[:, j])\n        W[:, j] = w / np.linalg.norm(w)"
            },
            "Each of your columns is at right angles to the one before, and not to those before that.",
            _START,
        ),
        Bug(
            "only_the_largest_singular_value",
            {"W = Q * signs": "W = tall / np.linalg.norm(tall, 2)"},
            "Your matrix is A, divided by its largest singular value. That one is right now; all the others should be "
            "as large.",
            _START,
        ),
        Bug(
            "scaled_gaussian",
            {"W = Q * signs": "W = tall / np.sqrt(len(tall))"},
            "Your matrix is A, divided by the root of its size: orthogonal on average, in large matrices. Here every "
            "column is to be orthogonal exactly.",
            _START,
        ),
        Bug(
            "random_numbers_unused",
            {"W = Q * signs": "W = np.eye(*tall.shape)"},
            "Your matrix is the identity whatever A is: orthogonal, but not random.",
            _START,
        ),
        Bug(
            "gain_forgotten",
            {"gain * W": "W"},
            "Your matrix is orthogonal with every singular value 1: the gain is missing.",
            _START,
        ),
        Bug(
            "gain_divides",
            {"gain * W": "W / gain"},
            "Your matrix is divided by the gain. Every singular value should become the gain.",
            _START,
        ),
        Bug(
            "gain_squared",
            {"gain * W": "gain**2 * W"},
            "Your gain counts twice: W Wᵀ is gain² · I, W itself is gain times an orthogonal matrix.",
            _START,
        ),
        Bug(
            "wide_not_transposed",
            {"tall = A.T if wide else A": "tall = A", "W = W.T if wide else W": "W = W + 0"},
            "Where A is wide your matrix loses columns: 4 columns of 2 entries each cannot be orthonormal. There the "
            "rows are asked to be.",
            _START,
        ),
        Bug(
            "wide_not_turned_back",
            {"W = W.T if wide else W": "W = W + 0"},
            "Where A is wide your matrix comes back tall. W has the shape of A.",
            _START,
        ),
        Bug(
            "transposed",
            {"gain * W": "gain * W.T"},
            "Your matrix is transposed. Of a square matrix no shape tells: it is the columns of Q that follow the "
            "columns of A.",
            _START,
        ),
    ),
    lesson=_FLOW,
)


# ---- clipping ----------------------------------------------------------------------------------------------------

_NAMES = ("dW_ih", "dW_hh", "db")
_OF_GRADIENTS = {"dW_ih": ("unit", "input"), "dW_hh": ("unit", "unit before"), "db": ("unit",)}


def _gradients(rng: np.random.Generator, D: int, H: int, norms: tuple[float, float, float]) -> Arrays:
    """Gradients of W_ih, W_hh and b, each of its own norm."""
    arrays = [rng.choice([-1, 1], shape) * rng.uniform(0.3, 1, shape) for shape in ((H, D), (H, H), (H,))]
    return tuple(size * array / np.linalg.norm(array) for size, array in zip(norms, arrays, strict=True))


def _norm_cases(rng: np.random.Generator) -> Iterator[Case]:
    spread = rng.uniform(0.9, 1.1)
    general = Case("long gradients", (*_gradients(rng, 3, 4, (3 * spread, 4, 0.8)), np.array(1.5)))
    yield general
    yield Case("the same call again", general.inputs)
    yield Case("short ones", (*_gradients(rng, 2, 3, (1.2, 1.7 * spread, 0.9)), np.array(2.7)))
    yield Case("far below the limit", (*_gradients(rng, 3, 2, (0.8, 1.1 * spread, 0.7)), np.array(4.0)))
    yield Case(
        "each short, together long",
        (*_gradients(rng, 4, 3, (0.8, 0.7 * spread, 0.75)), np.array(0.9)),
        layout="strided",
    )
    yield Case("only zeros", (np.zeros((2, 3)), np.zeros((2, 2)), np.zeros(2), np.array(1.0)), edge=True)
    yield Case("one unit", (*_gradients(rng, 1, 1, (2, 3 * spread, 1)), np.array(0.5)), edge=True, layout="F")


def _norm_model(dW_ih, dW_hh, db, max_norm):  # type: ignore[no-untyped-def]
    gradients = [dW_ih, dW_hh, db]
    squares = [np.sum(g**2) for g in gradients]
    norm = np.sqrt(np.sum(squares))
    factor = max_norm / norm if norm > max_norm else 1.0
    clipped = [g * factor for g in gradients]
    return (*clipped, norm)


def _norm_reference(dW_ih: np.ndarray, dW_hh: np.ndarray, db: np.ndarray, max_norm: np.ndarray) -> Arrays:
    clipped, norm = optim.clip_by_global_norm({"W_ih": dW_ih, "W_hh": dW_hh, "b": db}, float(max_norm))
    return *clipped.values(), np.array(norm)


GLOBAL_NORM = Question(
    name="clip_by_global_norm",
    title="Clipping by global norm",
    arguments=(*_NAMES, "max_norm"),
    outputs=(*_NAMES, "norm"),
    axes={**_OF_GRADIENTS, "norm": ()},
    reference=_norm_reference,
    cases=_norm_cases,
    parts=(
        Part("the norm before clipping", 2, ("norm",)),
        Part("the clipped gradients", 2, _NAMES),
        Part("only zeros, one unit", 1, (*_NAMES, "norm"), edge=True),
    ),
    model=_norm_model,
    bugs=(
        Bug(
            "each_array_alone",
            {
                "g * factor for g in gradients": "g * (max_norm / np.sqrt(s) if np.sqrt(s) > max_norm else 1.0) "
                "for g, s in zip(gradients, squares)"
            },
            "Each of your arrays is clipped by its own norm. That bends the direction of the step, and together they "
            "may still be too long: one norm over all of them, and one factor for all of them.",
            _GLOBAL,
        ),
        Bug(
            "square_root_forgotten",
            {"np.sqrt(np.sum(squares))": "np.sum(squares)"},
            "Your norm is the sum of the squares: the root is missing.",
            _GLOBAL,
        ),
        Bug(
            "norms_added",
            {"np.sqrt(np.sum(squares))": "np.sum(np.sqrt(squares))"},
            "Your norm is the sum of the arrays' norms. Squares add up, lengths do not: one root, at the end.",
            _GLOBAL,
        ),
        Bug(
            "longest_array",
            {"np.sqrt(np.sum(squares))": "np.sqrt(np.max(squares))"},
            "Your norm is that of the longest array alone. All of them together make up one long vector.",
            _GLOBAL,
        ),
        Bug(
            "mean_of_squares",
            {"np.sqrt(np.sum(squares))": "np.sqrt(np.sum(squares) / sum(g.size for g in gradients))"},
            "Your norm is the root of the mean of the squares. A norm adds up: no count divides it.",
            _GLOBAL,
        ),
        Bug(
            "mean_over_the_arrays",
            {"np.sqrt(np.sum(squares))": "np.sqrt(np.mean(squares))"},
            "Your norm divides the sum of squares by the number of arrays. Together they make up one long vector.",
            _GLOBAL,
        ),
        Bug(
            "mean_of_norms",
            {"np.sqrt(np.sum(squares))": "np.mean(np.sqrt(squares))"},
            "Your norm is the mean of the arrays' norms. Add up all squares, and take one root at the end.",
            _GLOBAL,
        ),
        Bug(
            "absolute_values_added",
            {"np.sqrt(np.sum(squares))": "sum(np.sum(np.abs(g)) for g in gradients)"},
            "Your norm is the sum of absolute values. Meant is the length: the root of the sum of squares.",
            _GLOBAL,
        ),
        Bug(
            "largest_entry",
            {"np.sqrt(np.sum(squares))": "max(np.max(np.abs(g)) for g in gradients)"},
            "Your norm is the largest entry. Meant is the length: the root of the sum of squares.",
            _GLOBAL,
        ),
        Bug(
            "spectral_norms",
            {"np.sqrt(np.sum(squares))": "np.sqrt(sum(np.linalg.norm(g, 2) ** 2 for g in gradients))"},
            "Of a matrix your norm takes the largest singular value, as np.linalg.norm(g, 2) does. Here a matrix is "
            "just its entries: all their squares count.",
            _GLOBAL,
        ),
        Bug(
            "norm_without_the_bias",
            {"np.sqrt(np.sum(squares))": "np.sqrt(np.sum(squares[:-1]))"},
            "The last array is missing in your norm. Biases are parameters too.",
            _GLOBAL,
        ),
        Bug(
            "bias_not_clipped",
            {"g * factor for g in gradients": "g * f for g, f in zip(gradients, [factor, factor, 1.0])"},
            "Your last array keeps its length. One factor for all of them, or the direction changes.",
            _GLOBAL,
        ),
        Bug(
            "norm_while_it_grows",
            {
                "g * factor for g in gradients": "g * np.minimum(1, max_norm / np.sqrt(s)) if s > 0 else g "
                "for g, s in zip(gradients, np.cumsum(squares))"
            },
            "Your arrays are clipped while the norm is still being added up: the first knows nothing of the last. "
            "Measure all, then clip all.",
            _GLOBAL,
        ),
        Bug(
            "always_rescaled",
            {"max_norm / norm if norm > max_norm else 1.0": "max_norm / norm"},
            "Your gradients come out at length max_norm always: short ones are made longer, and zeros become NaN. "
            "Clipping only shortens.",
            _GLOBAL,
        ),
        Bug(
            "square_compared",
            {"if norm > max_norm": "if norm**2 > max_norm"},
            "You compare the square of the norm with max_norm: some gradients that are short enough are made longer.",
            _GLOBAL,
        ),
        Bug(
            "compared_with_one",
            {"if norm > max_norm": "if norm > 1"},
            "You compare the norm with 1, whatever max_norm is: some gradients that are short enough are made longer.",
            _GLOBAL,
        ),
        Bug(
            "measured_again_after_every_array",
            {
                "clipped = [g * factor for g in gradients]": "clipped = list(gradients)\n    for i in range(3):\n"
                "        norm = np.sqrt(sum(np.sum(g**2) for g in clipped))\n        "
                "clipped[i] = clipped[i] * (max_norm / norm if norm > max_norm else 1.0)"
            },
            "Your norm is measured again after each array, when those before it are clipped already: each array gets "
            "another factor. Measure once, before anything is changed.",
            _GLOBAL,
        ),
        Bug(
            "first_array_alone",
            {"np.sqrt(np.sum(squares))": "np.sqrt(squares[0])"},
            "Your norm is that of the first array alone. All of them together make up one long vector.",
            _GLOBAL,
        ),
        Bug(
            "last_array_alone",
            {"np.sqrt(np.sum(squares))": "np.sqrt(squares[-1])"},
            "Your norm is that of the last array alone. All of them together make up one long vector.",
            _GLOBAL,
        ),
        Bug(
            "square_returned",
            {"(*clipped, norm)": "(*clipped, norm**2)"},
            "Your gradients are right; what you return beside them is the square of the norm.",
            _GLOBAL,
        ),
        Bug(
            "factor_returned",
            {"(*clipped, norm)": "(*clipped, factor)"},
            "Your gradients are right; what you return beside them is the factor. The log needs the norm.",
            _GLOBAL,
        ),
        Bug(
            "comparison_reversed_for_zeros_too",
            {"if norm > max_norm": "if norm < max_norm"},
            "Your comparison is the wrong way round: short gradients are made longer, zeros become NaN, long ones are "
            "left alone.",
            _GLOBAL,
        ),
        Bug(
            "comparison_reversed",
            {"if norm > max_norm": "if 0 < norm < max_norm"},
            "Your comparison is the wrong way round: short gradients are made longer, long ones are left alone.",
            _GLOBAL,
        ),
        Bug(
            "unit_length",
            {"max_norm / norm": "1 / norm"},
            "Your long gradients come out at length 1, whatever max_norm is.",
            _GLOBAL,
        ),
        Bug(
            "factor_upside_down",
            {"max_norm / norm": "norm / max_norm"},
            "Your factor stands upside down: long gradients become longer still.",
            _GLOBAL,
        ),
        Bug(
            "not_divided_by_the_norm",
            {"max_norm / norm": "max_norm"},
            "Your long gradients are multiplied by max_norm, and not divided by the length they have.",
            _GLOBAL,
        ),
        Bug(
            "factor_squared",
            {"max_norm / norm": "(max_norm / norm) ** 2"},
            "Your factor counts twice: long gradients come out shorter than max_norm.",
            _GLOBAL,
        ),
        Bug(
            "thrown_away",
            {"max_norm / norm": "0.0"},
            "Your long gradients become zero. Their direction is still good: only their length is not.",
            _GLOBAL,
        ),
        Bug(
            "never_clipped",
            {"max_norm / norm": "1.0"},
            "Your norm is right and your gradients come back as they were, however long.",
            _GLOBAL,
        ),
        Bug(
            "clipped_by_value",
            {"g * factor for g in gradients": "np.clip(g, -max_norm, max_norm) for g in gradients"},
            "Your gradients are cut entry by entry at max_norm. That is clipping by value; here all entries shrink by "
            "one factor, and the direction stays.",
            _GLOBAL,
        ),
        Bug(
            "norm_after_clipping",
            {"(*clipped, norm)": "(*clipped, np.minimum(norm, max_norm))"},
            "Your gradients are right; your norm is the one after clipping, which is never above max_norm. The log "
            "needs the one before.",
            _GLOBAL,
        ),
    ),
    lesson=_CLIP,
)


def _value_cases(rng: np.random.Generator) -> Iterator[Case]:
    def drawn(name: str, D: int, H: int, limit: float, **how: object) -> Case:
        shapes = (H, D), (H, H), (H,)
        arrays = [rng.choice([-1, 1], s) * limit * rng.uniform(0.3, 0.9, s) for s in shapes]
        for array in arrays:  # one entry in three lies beyond the limit, on both sides
            far = array.flat[::3]
            array.flat[::3] = limit * rng.uniform(1.3, 3, far.shape) * np.resize([1, -1], far.shape)
        return Case(name, (*arrays, np.array(limit)), **how)  # type: ignore[arg-type]

    general = drawn("D=3, H=4", 3, 4, 0.8)
    yield general
    yield Case("the same call again", general.inputs)
    yield drawn("arrays that are not contiguous", 2, 5, 1.7, layout="strided")
    *short, _ = drawn("", 3, 2, 1.0).inputs
    yield Case("nothing beyond the limit", (*short, np.array(4.0)), edge=True)
    yield Case("only zeros", (np.zeros((2, 3)), np.zeros((2, 2)), np.zeros(2), np.array(1.0)), edge=True)


def _value_model(dW_ih, dW_hh, db, limit):  # type: ignore[no-untyped-def]
    gradients = [dW_ih, dW_hh, db]
    clipped = [np.clip(g, -limit, limit) for g in gradients]
    return tuple(clipped)


def _value_reference(dW_ih: np.ndarray, dW_hh: np.ndarray, db: np.ndarray, limit: np.ndarray) -> Arrays:
    clipped, _ = optim.clip_by_value({"W_ih": dW_ih, "W_hh": dW_hh, "b": db}, float(limit))
    return tuple(clipped.values())


BY_VALUE = Question(
    name="clip_by_value",
    title="Clipping by value",
    arguments=(*_NAMES, "limit"),
    outputs=_NAMES,
    axes=_OF_GRADIENTS,
    reference=_value_reference,
    cases=_value_cases,
    parts=(Part("gradients", 2, _NAMES), Part("nothing to clip", 1, _NAMES, edge=True)),
    model=_value_model,
    bugs=(
        Bug(
            "upper_side_only",
            {"np.clip(g, -limit, limit)": "np.minimum(g, limit)"},
            "Your entries are cut above, and not below: a gradient of -1000 is as bad as one of 1000.",
            _VALUE,
        ),
        Bug(
            "lower_side_only",
            {"np.clip(g, -limit, limit)": "np.maximum(g, -limit)"},
            "Your entries are cut below, and not above.",
            _VALUE,
        ),
        Bug(
            "negatives_to_zero",
            {"np.clip(g, -limit, limit)": "np.clip(g, 0, limit)"},
            "Your negative entries become zero: the lower bound is -limit.",
            _VALUE,
        ),
        Bug(
            "sign_lost",
            {"np.clip(g, -limit, limit)": "np.where(np.abs(g) > limit, limit, g)"},
            "Your entries far below zero come out as +limit: what is cut keeps its sign.",
            _VALUE,
        ),
        Bug(
            "absolute_values",
            {"np.clip(g, -limit, limit)": "np.minimum(np.abs(g), limit)"},
            "Your entries have lost their signs.",
            _VALUE,
        ),
        Bug(
            "set_to_zero",
            {"np.clip(g, -limit, limit)": "np.where(np.abs(g) > limit, 0, g)"},
            "Your entries beyond the limit become zero. They should come to lie on the limit.",
            _VALUE,
        ),
        Bug(
            "all_to_the_limit",
            {"np.clip(g, -limit, limit)": "limit * np.sign(g)"},
            "All your entries lie on the limit. Those within it stay as they are.",
            _VALUE,
        ),
        Bug(
            "bounds_swapped",
            {"np.clip(g, -limit, limit)": "np.clip(g, limit, -limit)"},
            "All your entries are -limit: np.clip takes the lower bound first.",
            _VALUE,
        ),
        Bug(
            "bounds_of_one",
            {"np.clip(g, -limit, limit)": "np.clip(g, -1, 1)"},
            "Your entries are cut at ±1, whatever the limit is.",
            _VALUE,
        ),
        Bug(
            "squashed",
            {"np.clip(g, -limit, limit)": "limit * np.tanh(g / limit)"},
            "Your entries are squashed smoothly. Those within the limit stay exactly as they are.",
            _VALUE,
        ),
        Bug(
            "each_array_scaled_by_its_largest",
            {"np.clip(g, -limit, limit)": "g * min(1.0, limit / max(np.max(np.abs(g)), 1e-300))"},
            "Each of your arrays is scaled until its largest entry fits. By value means entry by entry: the others "
            "stay as they are.",
            _VALUE,
        ),
        Bug(
            "all_scaled_by_the_largest",
            {"np.clip(g, -limit, limit)": "g * min(1.0, limit / max(1e-300, *(np.max(np.abs(a)) for a in gradients)))"},
            "All your arrays are scaled by one factor until the largest entry fits. By value means entry by entry: the "
            "others stay as they are.",
            _VALUE,
        ),
        Bug(
            "each_array_by_its_norm",
            {"np.clip(g, -limit, limit)": "g * min(1.0, limit / max(np.linalg.norm(g), 1e-300))"},
            "Each of your arrays is clipped by its own norm. By value means entry by entry.",
            _VALUE,
        ),
        Bug(
            "by_global_norm",
            {
                "np.clip(g, -limit, limit)": "g * min(1.0, limit / max(1e-300, "
                "np.sqrt(sum(np.sum(a**2) for a in gradients))))"
            },
            "Your gradients are clipped by their global norm: that was the task before. By value means entry by entry.",
            _VALUE,
        ),
        Bug(
            "bias_not_clipped",
            {"return tuple(clipped)": "return *clipped[:2], db"},
            "Your last array is not clipped. Biases are parameters too.",
            _VALUE,
        ),
        Bug(
            "never_clipped",
            {"np.clip(g, -limit, limit)": "g + 0"},
            "Your gradients come back as they were. np.clip, like most of NumPy, returns a new array.",
            _VALUE,
        ),
    ),
    lesson=_CLIP,
)

QUESTIONS = (JACOBIAN, PRODUCTS, NORMS, RADIUS, ORTHOGONAL, GLOBAL_NORM, BY_VALUE)
