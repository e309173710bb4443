"""Problem set 3: right answers get full marks however they are written, no wrong one does, examples are true."""

from __future__ import annotations

import math
import re
import warnings
from functools import reduce
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from autograder import check as learners
from autograder.check import check
from autograder.questions import find, questions_of
from rnnlib import init, optim, probes
from tests.conftest import ROOT
from tests.grading.habits import given_back, in_float32, noisy
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps3_gradients/ps3_gradients.ipynb"
RELEASED = ROOT / "autograder/course/release/ps3_gradients/ps3_gradients.ipynb"


@pytest.fixture(scope="module")
def judged(cells):
    """Check a learner's function by its locked cell."""

    def verdict(question, function):
        said = []
        namespace = {"np": np, "check": lambda *given: said.append(check(*given)), question: function}
        exec(cells[question].source, namespace)
        return said[0]

    return verdict


# ---- how others write it -------------------------------------------------------------------------------------------


def jacobian(h_next, W_hh):
    return (1 - h_next**2)[:, :, None] * W_hh


def jacobian_by_entry(h_next, W_hh):
    (N, H), J = h_next.shape, []
    for n in range(N):
        J.append([[(1 - h_next[n, i] ** 2) * W_hh[i, j] for j in range(H)] for i in range(H)])
    return J


def jacobian_inside_a_copy(h_next, W_hh):
    J = np.repeat(W_hh[np.newaxis], len(h_next), axis=0)
    J *= (1 - h_next * h_next)[..., np.newaxis]
    return J


def jacobian_inside_the_inputs(h_next, W_hh):
    h_next *= -h_next
    h_next += 1
    return [(W_hh.T * slope).T for slope in h_next]


def jacobian_measured(h_next, W_hh):
    a, J = np.arctanh(h_next), []
    for e in np.eye(len(W_hh)):
        J.append((np.tanh(a + 1e-5 * W_hh @ e) - np.tanh(a - 1e-5 * W_hh @ e)) / 2e-5)
    return np.stack(J, axis=2)


JACOBIANS = {
    "broadcasting": jacobian,
    "einsum": lambda h, W: np.einsum("ni,ij->nij", 1 - np.square(h), W),
    "diag by sequence": lambda h, W: np.array([np.diag(1 - row**2) @ W for row in h]),
    "a stack of diagonals": lambda h, W: ((1 - h**2)[:, None, :] * np.eye(h.shape[1])) @ W,
    "cosh": lambda h, W: np.expand_dims(1 / np.cosh(np.arctanh(h)) ** 2, 2) * W,
    "(1 - h)(1 + h)": lambda h, W: W * ((1 - h) * (1 + h)).reshape(*h.shape, 1),
    "entry by entry, lists": jacobian_by_entry,
    "inside a copy": jacobian_inside_a_copy,
    "inside the inputs": jacobian_inside_the_inputs,
    "measured": jacobian_measured,
    "Fortran order": lambda h, W: np.asfortranarray(jacobian(h, W)),
    "a view": lambda h, W: np.swapaxes(W.T * (1 - h**2)[:, None, :], 1, 2),
    "float32": in_float32(jacobian),
    "prints and warnings": noisy(jacobian),
}


def products(J):
    P = [np.tile(np.eye(J.shape[2]), (J.shape[1], 1, 1))]
    for t in range(len(J) - 1, -1, -1):
        P.append(P[-1] @ J[t])
    return np.array(P)


def products_in_place(J):
    T, N, H, _ = J.shape
    P = np.zeros((T + 1, N, H, H))
    P[0] = np.eye(H)
    for k in range(T):
        np.matmul(P[k], J[-1 - k], out=P[k + 1])
    return P


def products_by_sequence(J):
    T, N, H, _ = J.shape
    P = np.empty((T + 1, N, H, H))
    for n in range(N):
        for k in range(T + 1):
            P[k, n] = reduce(np.dot, [J[T - 1 - i, n] for i in range(k)], np.identity(H))
    return P


def products_recursive(J):
    if not len(J):
        return [np.broadcast_to(np.eye(J.shape[2]), J.shape[1:])]
    later = products_recursive(J[1:])  # of the steps after the first: all lags but the longest
    return [*later, later[-1] @ J[0]]


def products_grown_from_the_left(J):
    """All products that end at the present step, the newest factor on the left."""
    P = [np.eye(J.shape[2]) + 0 * J[0]]
    for J_t in J:
        P = [P[0], *(J_t @ one for one in P)]
    return P


def products_by(multiply):
    return lambda J: reduce(lambda P, J_t: [*P, multiply(P[-1], J_t)], J[::-1], [0 * J[0] + np.eye(J.shape[2])])


PRODUCTS = {
    "a list": products,
    "in place": products_in_place,
    "sequence by sequence": products_by_sequence,
    "recursion": products_recursive,
    "grown from the left": products_grown_from_the_left,
    "einsum": products_by(lambda P, J_t: np.einsum("nij,njk->nik", P, J_t)),
    "row times column": products_by(lambda P, J_t: (P[:, :, :, None] * J_t[:, None]).sum(axis=2)),
    "transposed and back": products_by(lambda P, J_t: (J_t.swapaxes(1, 2) @ P.swapaxes(1, 2)).swapaxes(1, 2)),
    "nested lists": given_back(products, np.ndarray.tolist),
    "float32": in_float32(products),
    "prints and warnings": noisy(products),
}


def norms_of_rows(J, dh_last):
    g, norms = dh_last[:, None, :], []
    for t in reversed(range(len(J) + 1)):
        norms.append(np.sqrt((g**2).sum(axis=(1, 2))))
        g = g @ J[t - 1]
    return norms


def norms_of_columns(J, dh_last):
    norms = np.zeros((len(J) + 1, len(dh_last)))
    for n, g in enumerate(dh_last):
        for k in range(len(J) + 1):
            norms[k, n] = math.sqrt(sum(entry**2 for entry in g))
            if k < len(J):
                g = J[-1 - k, n].T.dot(g)
    return norms


def norms_inside(J, dh_last):
    norms = [np.hypot.reduce(dh_last, axis=1)]
    for J_t in J[::-1]:
        dh_last[:] = (J_t * dh_last[:, :, None]).sum(axis=1)
        norms.append(np.hypot.reduce(dh_last, axis=1))
    return norms


def norms_by(multiply):
    """From a learner's products."""
    return lambda J, dh_last: np.linalg.norm(np.einsum("knij,ni->knj", np.array(multiply(J)), dh_last), axis=-1)


NORMS = {
    "rows": norms_of_rows,
    "columns, one by one": norms_of_columns,
    "inside dh_last": norms_inside,
    "from products": norms_by(products),
    "from recursive products": norms_by(products_recursive),
    "nested lists": lambda *given: [row.tolist() for row in norms_of_rows(*given)],
    "float32": in_float32(norms_of_rows),
    "prints and warnings": noisy(norms_of_columns),
}


def rescaled(W, radius):
    rho = max(abs(np.linalg.eigvals(W)))
    return W if rho == 0 else W / rho * radius


def rescaled_in_place(W, radius):
    rho = np.abs(np.linalg.eig(W)[0]).max()
    if rho:
        W *= radius / rho
    return W


def by_growth(W, radius):
    """Gelfand: the norm of a high power, by squaring."""
    P, log_norm, steps = W.copy(), 0.0, 1
    if not P.any():
        return P
    for _ in range(40):
        size = np.linalg.norm(P)
        P, log_norm, steps = (P / size) @ (P / size), 2 * (log_norm + np.log(size)), 2 * steps
    return W * radius / np.exp((log_norm + np.log(np.linalg.norm(P))) / steps)


def by_polynomial(W, radius):
    roots = np.roots(np.poly(W))
    return W * (radius / np.max(np.abs(roots))) if roots.any() else np.zeros(W.shape)


def complex_and_back(W, radius):
    values, vectors = np.linalg.eig(W)
    if not np.any(values):
        return W
    return ((vectors * (values * radius / np.abs(values).max())) @ np.linalg.inv(vectors)).real


RADII = {
    "max of abs": rescaled,
    "in place": rescaled_in_place,
    "a little in the denominator": lambda W, radius: radius * W / (np.abs(np.linalg.eigvals(W)).max() + 1e-9),
    "by growth": by_growth,
    "by the characteristic polynomial": by_polynomial,
    "each eigenvalue by the same factor": complex_and_back,
    "real and imaginary part": lambda W, radius: np.divide(
        W * radius, max(np.hypot(e.real, e.imag) for e in np.linalg.eigvals(W)) or 1
    ),
    "nan to zero": lambda W, radius: np.nan_to_num(W * radius / np.abs(np.linalg.eigvals(W)).max()),
    "the library's": lambda W, radius: W * radius / (probes.spectral_radius(W) or 1),
    "nested lists": given_back(rescaled, np.ndarray.tolist),
    "Fortran order": lambda W, radius: np.asfortranarray(rescaled(W, radius)),
    "float32": in_float32(rescaled),
    "prints and warnings": noisy(rescaled),
}


def by_qr(A, gain):
    wide = A.shape[1] > A.shape[0]
    Q, R = np.linalg.qr(A.T if wide else A)
    Q = Q * np.copysign(1, np.diagonal(R))
    return gain * (Q.T if wide else Q)


def turned(tall):
    """A way for tall matrices, for wide ones too."""
    return lambda A, gain: gain * (tall(A) if A.shape[0] >= A.shape[1] else np.transpose(tall(A.T)))


def gram_schmidt(A):
    columns = []
    for a in A.T:
        for q in columns:
            a = a - (q @ a) * q
        columns.append(a / np.linalg.norm(a))
    return np.stack(columns, axis=1)


def classical_gram_schmidt(A):
    Q = np.zeros_like(A)
    for j in range(A.shape[1]):
        v = A[:, j] - Q[:, :j] @ (Q[:, :j].T @ A[:, j])
        Q[:, j] = v / np.sqrt(np.sum(v**2))
    return Q


def gram_schmidt_in_place(A):
    for j in range(A.shape[1]):
        A[:, j] /= np.linalg.norm(A[:, j])
        A[:, j + 1 :] -= np.outer(A[:, j], A[:, j] @ A[:, j + 1 :])
    return A


def householder(A):
    R, Q = A.copy(), np.eye(len(A))
    for j in range(A.shape[1]):
        v = R[j:, j].copy()
        v[0] -= np.linalg.norm(v)  # to the positive side
        if v.any():
            reflect = np.eye(len(A))
            reflect[j:, j:] -= 2 * np.outer(v, v) / (v @ v)
            R, Q = reflect @ R, Q @ reflect
    return Q[:, : A.shape[1]]


def by_cholesky(A):
    return np.linalg.solve(np.linalg.cholesky(A.T @ A), A.T).T


def signs_from_a(A):
    Q, _ = np.linalg.qr(A, mode="complete")
    Q = Q[:, : A.shape[1]]
    return np.where(np.einsum("ij,ij->j", Q, A) < 0, -Q, Q)


class Handed(np.random.Generator):
    def __init__(self, numbers):
        super().__init__(np.random.PCG64(0))
        self.numbers = numbers

    def standard_normal(self, size):
        assert self.numbers.shape == size
        return self.numbers


def the_librarys(A, gain):
    return init.orthogonal(A.shape, Handed(A if A.shape[0] >= A.shape[1] else A.T), gain=gain)


ORTHOGONALS = {
    "qr, signs mended": by_qr,
    "qr of the transpose, recursion": lambda A, gain: by_qr(A.T, gain).T if len(A) < len(A[0]) else by_qr(A, gain),
    "signs multiplied as a matrix": turned(
        lambda A: np.linalg.qr(A)[0] @ np.diag(np.sign(np.diag(np.linalg.qr(A)[1])))
    ),
    "a complete qr": turned(signs_from_a),
    "Gram and Schmidt": turned(gram_schmidt),
    "Gram and Schmidt, classical": turned(classical_gram_schmidt),
    "Gram and Schmidt, in place": turned(gram_schmidt_in_place),
    "Householder": turned(householder),
    "Cholesky": turned(by_cholesky),
    "A times the inverse of R": turned(lambda A: A @ np.linalg.inv(np.linalg.cholesky(A.T @ A).T)),
    "the library's": the_librarys,
    "nested lists": given_back(by_qr, np.ndarray.tolist),
    "float32": in_float32(by_qr),
    "Gram and Schmidt in float32": in_float32(turned(classical_gram_schmidt)),
    "prints and warnings": noisy(by_qr),
}


def clipped(gradients, max_norm):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * min(1.0, max_norm / norm) if norm else g for g in gradients], norm


def clipped_in_place(gradients, max_norm):
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients))
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return gradients, norm


def clipped_as_torch_does(gradients, max_norm):
    norm = np.linalg.norm([np.linalg.norm(g) for g in gradients])
    return [g * np.minimum(max_norm / (norm + 1e-6), 1.0) for g in gradients], norm


def clipped_as_one_vector(gradients, max_norm):
    flat = np.concatenate([g.ravel() for g in gradients])
    norm = np.linalg.norm(flat)
    flat = flat / max(1.0, norm / max_norm)
    cuts = np.cumsum([g.size for g in gradients])[:-1]
    return tuple(part.reshape(g.shape) for part, g in zip(np.split(flat, cuts), gradients, strict=True)), norm


def clipped_by_entries(gradients, max_norm):
    norm = math.hypot(*(entry for g in gradients for entry in g.flat))
    answer = []
    for g in gradients:
        answer.append(g if norm <= max_norm else (np.divide(g, norm) * max_norm).tolist())
    return [answer, norm]


def clipped_by_the_library(gradients, max_norm):
    named, norm = optim.clip_by_global_norm(dict(enumerate(gradients)), max_norm)
    return named.values(), np.array(norm)


CLIPPED = {
    "plain": clipped,
    "in place": clipped_in_place,
    "as torch does": clipped_as_torch_does,
    "as one vector": clipped_as_one_vector,
    "entry by entry, lists": clipped_by_entries,
    "the library's": clipped_by_the_library,
    "a generator": lambda gradients, c: ((g for g in clipped(gradients, c)[0]), clipped(gradients, c)[1]),
    "divided by the larger": lambda gradients, c: (
        [g * c / max(c, clipped(gradients, c)[1]) for g in gradients],
        clipped(gradients, c)[1],
    ),
    "Fortran order": lambda gradients, c: (
        [np.asfortranarray(g) for g in clipped(gradients, c)[0]],
        clipped(gradients, c)[1],
    ),
    "float32": in_float32(clipped),
    "prints and warnings": noisy(clipped),
}


def cut_in_place(gradients, limit):
    for g in gradients:
        np.clip(g, -limit, limit, out=g)
    return gradients


def cut_by_masks(gradients, limit):
    cut = []
    for g in gradients:
        g = g.copy()
        g[g > limit] = limit
        g[g < -limit] = -limit
        cut.append(g)
    return cut


CUT = {
    "np.clip": lambda gradients, c: [np.clip(g, -c, c) for g in gradients],
    "in place": cut_in_place,
    "masks": cut_by_masks,
    "minimum of maximum": lambda gradients, c: tuple(np.minimum(np.maximum(g, -c), c) for g in gradients),
    "sign and size": lambda gradients, c: [np.sign(g) * np.minimum(np.abs(g), c) for g in gradients],
    "where": lambda gradients, c: [np.where(np.abs(g) > c, np.copysign(c, g), g) for g in gradients],
    "the method": lambda gradients, c: [g.clip(min=-c, max=c) for g in gradients],
    "median of three": lambda gradients, c: [np.median([g, 0 * g - c, 0 * g + c], axis=0) for g in gradients],
    "nested lists": lambda gradients, c: [g.clip(-c, c).tolist() for g in gradients],
    "float32": in_float32(lambda gradients, c: [g.clip(-c, c) for g in gradients]),
    "prints and warnings": noisy(cut_by_masks),
}

ALL = {
    "step_jacobian": JACOBIANS,
    "jacobian_products": PRODUCTS,
    "gradient_norms": NORMS,
    "rescale_radius": RADII,
    "orthogonal": ORTHOGONALS,
    "clip_by_global_norm": CLIPPED,
    "clip_by_value": CUT,
}


@pytest.mark.parametrize(
    ("question", "function"),
    [pytest.param(name, f, id=f"{name}: {how}") for name, ways in ALL.items() for how, f in ways.items()],
)
def test_a_correct_solution_gets_full_marks_however_it_is_written(judged, question, function):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = judged(question, function)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("question", ["rescale_radius", "orthogonal"])
def test_no_draw_of_inputs_is_harder_on_one_way_than_on_another(judged, monkeypatch, question, seed):
    monkeypatch.setattr(learners, "PUBLIC_SEED", seed)
    for how, function in ALL[question].items():
        verdict = judged(question, function)
        assert verdict.points == verdict.max_points, (how, str(verdict))


def test_the_numbers_handed_over_are_straightened_as_the_library_straightens_its_own():
    for case in find("orthogonal").draw(5):
        A, gain = case.inputs
        (W,) = find("orthogonal").reference(A, gain)
        A, W = (A, W) if len(A) >= len(A[0]) else (A.T, W.T)
        R = W.T @ A
        np.testing.assert_allclose(W.T @ W, gain**2 * np.eye(len(R)), atol=1e-12)
        np.testing.assert_allclose(np.tril(R, -1), 0, atol=1e-12)
        assert (np.diag(R) > 0).all()
        np.testing.assert_allclose(gain * by_cholesky(A), W, atol=1e-12)
        assert (np.diag(np.linalg.qr(A)[1]) < 0)[0]  # left as they come, the signs are never right


# ---- what is orthogonal, and still not what was asked --------------------------------------------------------------


def flipped(columns):
    def some_columns_turned(A, gain):
        W = by_qr(A, gain)
        W[:, columns] *= -1
        return W

    return some_columns_turned


def of_other_numbers(A, gain):
    return by_qr(np.random.default_rng(0).normal(size=A.shape), gain)


OTHER_ORTHOGONALS = {
    "qr as it comes": (turned(lambda A: np.linalg.qr(A)[0]), "signs_left_as_they_come"),
    "U Vᵀ": (
        lambda A, gain: gain * np.linalg.svd(A, full_matrices=False)[0] @ np.linalg.svd(A, full_matrices=False)[2],
        "nearest_orthogonal_matrix",
    ),
    "the identity": (lambda A, gain: gain * np.eye(*A.shape), "random_numbers_unused"),
    "one column turned": (flipped(0), None),
    "the last column turned": (flipped(-1), None),
    "of other numbers": (of_other_numbers, None),
    "columns in another order": (lambda A, gain: by_qr(A, gain)[:, ::-1], None),
    "straightened from the last column": (lambda A, gain: by_qr(A[:, ::-1], gain)[:, ::-1], None),
}


@pytest.mark.parametrize("how", OTHER_ORTHOGONALS)
def test_another_orthogonal_matrix_is_not_paid(judged, how):
    function, bug = OTHER_ORTHOGONALS[how]
    verdict = judged("orthogonal", function)
    assert verdict.points == 0
    if bug:
        assert verdict.diagnosis.bugs == (bug,)


# ---- what comes back in another form -------------------------------------------------------------------------------

FORMS = [
    ("clip_by_global_norm", lambda gradients, c: None, "returned nothing (is a `return` missing?)"),
    ("clip_by_global_norm", lambda gradients, c: clipped(gradients, c)[0], "Return two things: the list of arrays"),
    ("clip_by_global_norm", lambda gradients, c: clipped(gradients, c)[::-1], "list of arrays, then the norm."),
    ("clip_by_global_norm", lambda gradients, c: clipped(gradients, c)[1], "Return two things"),
    ("clip_by_global_norm", lambda gradients, c: (clipped(gradients, c)[0][:2], 1.0), "with 2 arrays; 3 went in"),
    ("clip_by_value", lambda gradients, c: gradients[0].clip(-c, c), "one array"),
    ("clip_by_value", lambda gradients, c: print(gradients), "return"),
    ("rescale_radius", lambda W, radius: W * radius / np.max(np.linalg.eigvals(W)), "complex128"),
    ("jacobian_products", lambda J: products(J)[:, 0], "shape"),
    ("gradient_norms", lambda J, dh_last: None, "gave nothing back"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "function", "says"), FORMS)
def test_another_form_earns_nothing_and_is_named(judged, question, function, says):
    with np.errstate(all="ignore"):
        verdict = judged(question, function)
    assert verdict.points <= verdict.max_points / 3
    assert says in verdict.diagnosis.text


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda W, radius: W * radius / (abs(np.linalg.eigvals(W)[0]) or 1), "first_eigenvalue"),
        (lambda W, radius: W * radius / (abs(np.linalg.eigvals(W)[-1]) or 1), "last_eigenvalue"),
    ],
)
def test_one_eigenvalue_is_not_the_largest_by_its_place(judged, function, name):
    verdict = judged("rescale_radius", function)
    assert verdict.points == 0
    assert verdict.diagnosis.bugs == (name,)


@pytest.mark.parametrize("seed", range(40))
def test_in_every_draw_some_matrix_has_its_largest_eigenvalue_neither_first_nor_last(seed):
    sizes = [np.abs(np.linalg.eigvals(case.inputs[0])) for case in find("rescale_radius").draw(seed) if not case.edge]
    assert any(0 < size.argmax() < len(size) - 1 and size.max() > 1.5 * max(size[0], size[-1]) for size in sizes)


@pytest.mark.parametrize("question", ALL)
def test_zeros_of_the_right_shape_earn_nothing(judged, question):
    def zeros(*given):
        answer = next(iter(ALL[question].values()))(*given)
        if question == "clip_by_global_norm":
            return [0 * g for g in answer[0]], 0.0
        return [0 * g for g in answer] if isinstance(answer, list) else 0 * answer

    assert judged(question, zeros).points == 0


@pytest.mark.parametrize(
    ("question", "function"),
    [
        (
            "clip_by_global_norm",
            lambda gradients, c: ([g / (n := clipped(gradients, c)[1]) * min(n, c) for g in gradients], n),
        ),
        ("rescale_radius", lambda W, radius: W * radius / np.abs(np.linalg.eigvals(W)).max()),
    ],
)
def test_zero_divided_by_zero_is_not_paid(judged, question, function):
    with np.errstate(all="ignore"):
        verdict = judged(question, function)
    assert [part.points > 0 for part in verdict.parts] == [True] * (len(verdict.parts) - 1) + [False]


# ---- follow-through ------------------------------------------------------------------------------------------------

SLIPS = {
    "factors_in_the_other_order": lambda J: products_by(lambda P, J_t: J_t @ P)(J),
    "from_the_first_step": lambda J: products(J[::-1]),
    "entry_by_entry": lambda J: products_by(lambda P, J_t: P * J_t)(J),
    "last_step_repeated": lambda J: products(np.repeat(J[-1:], len(J), axis=0)),
}


@pytest.mark.parametrize("name", SLIPS)
def test_norms_of_wrong_products_keep_their_points(judged, name):
    first = judged("jacobian_products", SLIPS[name])
    assert first.points < first.max_points
    assert first.diagnosis.bugs == (name,)
    second = judged("gradient_norms", norms_by(SLIPS[name]))
    assert second.points == second.max_points, str(second)
    assert "Nothing is wrong here but the slip in" in second.diagnosis.text


def test_without_the_earlier_slip_the_same_norms_lose_their_points(judged):
    judged("jacobian_products", products)
    assert judged("gradient_norms", norms_by(SLIPS["factors_in_the_other_order"])).points == 0


# ---- the notebooks -------------------------------------------------------------------------------------------------


def test_the_sources_own_solution_gets_full_marks():
    shown = executed(SOURCE)
    for name, question in questions_of("ps3_gradients").items():
        assert float(shown[name]["text/plain"]) == question.points
    for picture in ("look_at_it", "look_at_clipping"):
        assert "Nothing to draw" not in shown[picture]["text/plain"]


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps3_gradients"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    for picture in ("look_at_it", "look_at_clipping"):
        assert "Nothing to draw yet" in shown[picture]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    asked = {name: question.points for name, question in questions_of("ps3_gradients").items()}
    assert list(graded.items()) == [*asked.items(), ("what_cures_what", 3)]
    assert "**Points** | 30" in cells["title"].source
    assert sum(graded.values()) == 30


def test_the_written_answers_rubric_gives_its_points_and_stays_here(cells):
    rubric = cells["what_cures_what"].source
    assert len(re.findall(r"1 point:", rubric)) == 3
    assert rubric.startswith("### BEGIN MARK SCHEME")
    handout = {cell.id: cell.source for cell in nbformat.read(RELEASED, as_version=4).cells}
    assert handout["what_cures_what"] == "YOUR ANSWER HERE"
    assert "1 point" not in "".join(handout.values())


def test_every_diagnosis_leads_to_a_lesson_that_is_there():
    for question in questions_of("ps3_gradients").values():
        headings = {
            line.removeprefix("## ").strip()
            for cell in nbformat.read(ROOT / "notebooks" / question.lesson, as_version=4).cells
            for line in cell.source.splitlines()
            if cell.cell_type == "markdown" and line.startswith("## ")
        }
        assert {bug.read for bug in question.bugs} <= headings, question.name


# ---- worked examples -----------------------------------------------------------------------------------------------


def rows(text):
    """The numbers of each table row by the row's first entry; "0.64, 0.32 / 1, 1" is one entry of four."""
    found = {}
    for line in text.splitlines():
        if line.startswith("|") and "---" not in line:
            head, *entries = (entry.strip() for entry in line.strip("|").split("|"))
            found[head] = [numbers(entry) for entry in entries if re.fullmatch(r"[−\d., /]+", entry)]
    return found


def numbers(text):
    return [float(entry.replace("−", "-")) for entry in re.findall(r"−?\d+(?:\.\d+)?", text)]


def test_the_worked_jacobian_is_true(cells):
    table, h = rows(cells["q1"].source), np.array([[0.6, -0.8]])
    (J,) = find("step_jacobian").reference(h, np.array([[1, 0.5], [-0.5, 1]]))
    for i in range(2):
        value, slope, row = table[str(i)]
        assert value == [h[0, i]]
        np.testing.assert_allclose([*slope, *row], [1 - h[0, i] ** 2, *J[0, i]])


J_1, J_2 = np.array([[1, 1], [0, 0.5]]), np.array([[0.5, 0], [1, 1]])


def test_the_worked_product_is_true(cells):
    (entries,) = (line for line in cells["q2"].source.splitlines() if line.startswith("| 1, 1 / 0, 0.5 |"))
    said = [np.reshape(numbers(entry), (2, 2)) for entry in entries.strip("|").split("|")]
    P = probes.lag_products(np.stack([J_1, J_2])[:, None])[:, 0]
    np.testing.assert_allclose(said, [J_1, J_2, *P])


def test_the_worked_norms_are_true(cells):
    table = rows(cells["q3"].source)
    J, g = np.stack([J_1, J_2])[:, None], np.array([[1.0, 0]])
    norms = probes.step_gradient_norms(J, g)[:, 0]
    P = probes.lag_products(J)[:, 0]
    for k in range(3):
        vector, norm = table[str(k)]
        np.testing.assert_allclose(vector, P[k].T @ g[0])
        np.testing.assert_allclose(norm, [norms[k]], atol=5e-5)


def test_the_worked_radius_is_true(cells):
    text, W = cells["q4"].source, np.array([[0, 2], [-0.5, 0]])
    np.testing.assert_allclose(sorted(np.linalg.eigvals(W), key=np.imag), [-1j, 1j])
    (expected,) = find("rescale_radius").reference(W, np.array(0.9))
    after = text.split("has the rows")[1]
    np.testing.assert_allclose(np.reshape(numbers(after)[:4], (2, 2)), expected)
    np.testing.assert_allclose(np.linalg.norm(W @ [0, 1]), 2)


def test_the_worked_straightening_is_true(cells):
    table, A = rows(cells["q5"].source), np.array([[3.0, 1], [4, 3]])
    W = by_qr(A, 1.0)
    R = W.T @ A
    for j in range(2):
        before, *along, left, length, column = table[str(j)]
        np.testing.assert_allclose(before, A[:, j])
        np.testing.assert_allclose(left, R[j, j] * W[:, j])
        np.testing.assert_allclose(length, [R[j, j]])
        np.testing.assert_allclose(column, W[:, j], atol=1e-12)
        np.testing.assert_allclose(sum(np.array(part) for part in along), A[:, j] - R[j, j] * W[:, j] if j else 0)


def test_the_worked_clipping_is_true(cells):
    table, gradients = rows(cells["q6"].source), [np.array([[3.0, 0]]), np.array([4.0])]
    for limit in (1, 10):
        (norm,), *factor, matrix, bias = table[str(limit)]
        expected, length = clipped_by_the_library(gradients, limit)
        assert norm == length
        assert factor == ([[limit / norm]] if norm > limit else [])
        np.testing.assert_allclose([*matrix, *bias], np.concatenate([g.ravel() for g in expected]))
    alone = [clipped([g], 1)[0][0] for g in gradients]
    np.testing.assert_allclose(np.concatenate([g.ravel() for g in alone]), [1, 0, 1])


# ---- the pictures --------------------------------------------------------------------------------------------------

MINE = {name: next(iter(ways.values())) for name, ways in ALL.items()}


def drawn(cells, *ids, **functions):
    """What explore cells leave behind, with a learner's functions."""
    pytest.importorskip("rnnlib.viz")
    namespace = {"np": np, **MINE, **functions}
    for cell in ("story_picture", *ids):
        exec(cells[cell].source, namespace)
    return SimpleNamespace(**namespace)


def steps_back(cells, **functions):
    return drawn(cells, "fifty_steps", "look_at_it", **functions)


def series(panel):
    return {mark.label: mark.y for mark in panel.marks}


def unwritten(*given):
    raise NotImplementedError


def test_a_copy_of_a_copy_ends_as_one_stroke(cells):
    story = drawn(cells)
    first, last = (story.copied(k).panels[0].marks[1] for k in (0, 40))

    def thinness(line):
        return np.divide(*np.linalg.svd(np.stack([line.x - line.x.mean(), line.y - line.y.mean()]), compute_uv=False))

    assert thinness(first) < 3
    assert thinness(last) > 100
    panel = story.copied(40).panels[0]
    for values, axis in ((last.x, "x"), (last.y, "y")):
        low, high = panel.axis(axis)["limits"]
        assert low < values.min() < values.max() < high


@pytest.mark.parametrize("radius", np.round(np.arange(0.5, 2.01, 0.25), 2))
def test_fifty_steps_are_drawn_at_every_radius(cells, radius):
    scene = steps_back(cells).draw(float(radius))
    assert scene.alt.startswith(f"Spectral radius {radius:g}. Of a gradient")
    for line in series(scene.panels[0]).values():
        assert np.isfinite(line).all()
        assert line[0] == pytest.approx(1)


def test_what_is_said_of_fifty_steps_is_seen(cells):
    look = steps_back(cells)
    gaussian, orthogonal = look.starts

    def at(radius):
        return [series(panel) for panel in look.draw(radius).panels]

    for radius in (0.5, 0.75, 0.95, 1.0):
        assert all(line[-1] < 0.01 for line in at(radius)[0].values())
    sigmas = at(1.0)[1]
    assert np.isnan(sigmas[gaussian]).sum() > 10  # below anything drawn
    assert [np.sum(sigmas[name] > np.nanmax(sigmas[name]) / 100) for name in (orthogonal, gaussian)] == [27, 1]
    assert 0.5 < at(1.3)[0][orthogonal][-1] < 2
    assert np.nanmax(at(1.3)[1][orthogonal]) / np.nanmin(at(1.3)[1][orthogonal]) > 1e6
    assert at(2.0)[0][orthogonal][-1] > 100


@pytest.mark.parametrize("how", ["inside the inputs", "entry by entry, lists", "measured", "a view"])
def test_fifty_steps_draw_any_right_answer_alike(cells, how):
    mine, theirs = (series(steps_back(cells, **f).draw(1.0).panels[0]) for f in ({}, {"step_jacobian": JACOBIANS[how]}))
    for name, line in mine.items():
        np.testing.assert_allclose(theirs[name], line, rtol=1e-3)


@pytest.mark.parametrize("name", list(ALL)[:5])
@pytest.mark.parametrize("unfinished", [unwritten, lambda *given: None, lambda *given: np.full((3, 3), np.nan)])
def test_fifty_steps_with_something_unfinished_say_what_to_do(cells, name, unfinished):
    scene = steps_back(cells, **{name: unfinished}).draw(1.0)
    assert "Nothing to draw yet" in scene.alt


def descents(cells, **functions):
    return drawn(cells, "walks", "look_at_clipping", **functions)


def test_one_step_throws_the_unclipped_descent_where_no_gradient_is(cells):
    scene = descents(cells).descents(1.0)
    losses, norms = map(series, scene.panels)
    free, long = losses["not clipped"], norms["not clipped"]
    at = int(long.argmax())
    assert long[at] > 100
    assert (long[:at] < 1).all()  # until then nothing is clipped: all three walk together
    assert (long[at + 1 :] <= 1e-4).all()
    assert np.ptp(free[at + 1 :]) < 1e-9
    for name in ("your clip_by_global_norm", "your clip_by_value"):
        np.testing.assert_array_equal(losses[name][: at + 1], free[: at + 1])
        assert losses[name][-1] < free[-1] / 50


def test_too_large_and_too_small_a_limit_are_as_said(cells):
    def last(limit):
        return series(descents(cells).descents(limit).panels[0])["your clip_by_global_norm"][-1]

    assert last(1.0) < 1e-5
    assert last(5.0) > 0.05
    assert last(0.1) > 1
    loss = series(descents(cells).descents(0.1).panels[0])["your clip_by_global_norm"]
    assert np.sum(np.diff(loss[30:] > 1)) > 5  # to and fro over the edge, to the last


def test_at_the_wall_the_global_norm_keeps_the_direction_and_the_value_does_not(cells):
    gradient = []
    walk = descents(cells).walk
    _, norms = walk(lambda g: gradient.append(np.concatenate(g, axis=None)) or g)
    steep = gradient[int(norms.argmax())]
    (by_norm, _), by_value = clipped([steep], 1), steep.clip(-1, 1)
    np.testing.assert_allclose(np.linalg.norm(by_norm[0]) * steep, np.linalg.norm(steep) * by_norm[0])
    assert np.linalg.norm(by_value / np.linalg.norm(by_value) - steep / np.linalg.norm(steep)) > 0.1


@pytest.mark.parametrize("limit", [0.1, 0.7, 1.0, 2.5, 5.0])
@pytest.mark.parametrize("how", ["in place", "as torch does", "entry by entry, lists", "the library's"])
def test_the_descents_draw_any_right_answer(cells, limit, how):
    scene = descents(cells, clip_by_global_norm=CLIPPED[how]).descents(limit)
    assert "Nothing to draw" not in scene.alt
    assert all(np.isfinite(line).all() for panel in scene.panels for line in series(panel).values())


@pytest.mark.parametrize("name", ["clip_by_global_norm", "clip_by_value"])
@pytest.mark.parametrize("unfinished", [unwritten, lambda *given: None, lambda *given: 0.0])
def test_the_descents_with_one_unfinished_draw_the_others(cells, name, unfinished):
    scene = descents(cells, **{name: unfinished}).descents(1.0)
    assert f"Nothing to draw yet of your {name}" in scene.alt
    assert "not clipped" in series(scene.panels[0])
    assert len(scene.panels[0].marks) == 2
