"""Is this gradient right? Two ways to find out from the loss alone, and a report that says where it is wrong.

Both compare a gradient with *its own* loss. A mistake made in both, such as a mask forgotten forward and backward,
leaves them in agreement: only an independent implementation (`rnnlib.torchref`) or a known answer finds that.

Reference:
    Squire and Trapp (1998), Using complex variables to estimate derivatives of real functions, SIAM Review 40(1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Loss = Callable[[np.ndarray], complex | np.number | np.ndarray]


def central_difference(f: Loss, x: np.ndarray, step: float = 6e-6) -> np.ndarray:
    """∂f/∂x_i ≈ (f(x + h e_i) - f(x - h e_i)) / 2h, for every entry.

    Right to about ten digits of the loss at best, since a small h cancels and a large one curves; 6e-6 is near the cube
    root of float64's rounding error. A smaller mistake goes unseen, a kink (ReLU, max) within h of x gives false alarm,
    and a loss with unseeded randomness in it makes noise.

    Args:
        f: takes an array like x, returns one real number; it must not rely on x being changed in place.
        x: float64, any shape; it is not changed.
        step: h, for entries up to 1; larger entries take h |x_i|.

    Returns:
        The gradient, shaped like x.

    Raises:
        TypeError: x is not float64, where a difference means little.
    """
    x = as_float64(x)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        h = step * max(1.0, float(abs(x[index])))
        above, below = x.copy(), x.copy()
        above[index] += h
        below[index] -= h
        gradient[index] = (one_number(f(above)) - one_number(f(below))).real / (above[index] - below[index])
    return gradient


def complex_step(f: Loss, x: np.ndarray, step: float = 1e-30) -> np.ndarray:
    """∂f/∂x_i = Im f(x + i h e_i) / h, for every entry: nothing is subtracted, so it is right to the last digits.

    It holds for losses made of analytic functions. `abs`, `conj`, `.real`, a norm by np.linalg or a comparison of
    magnitudes breaks it, some of them silently; max and ReLU work, since NumPy orders complex numbers by real part.

    Args:
        f: takes a complex array like x, returns one complex number.
        x: float64, any shape; it is not changed.
        step: h, far below rounding error, because there is no difference to cancel.

    Returns:
        The gradient, shaped like x.

    Raises:
        TypeError: x is not float64, or f returned a real number: something inside it dropped the imaginary part.

    Reference:
        Squire and Trapp (1998), equation 2.
    """
    x = as_float64(x)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        shifted = x.astype(np.complex128)
        shifted[index] += 1j * step
        value = f(shifted)
        if not np.iscomplexobj(value):
            raise TypeError(
                "f returned a real number for a complex x: abs, .real, conj, float() or an assignment into a real "
                "array dropped the imaginary part; use central_difference, or keep the dtype of x throughout f"
            )
        gradient[index] = one_number(value).imag / step
    return gradient


@dataclass(frozen=True)
class GradientReport:
    """What a gradient check found; printing it gives the verdict.

    Attributes:
        ok: the largest relative error is within the tolerance.
        error: the largest difference, relative to the largest entry of either gradient; infinite if one is not finite.
        index: the entry where it is.
        given, expected: the two values there.
        verdict: the same in words, with a guess at the cause where the numbers suggest one.
    """

    ok: bool
    error: float
    index: tuple[int, ...]
    given: float
    expected: float
    verdict: str

    def __str__(self) -> str:
        return self.verdict

    def __bool__(self) -> bool:
        return self.ok


def check_gradient(
    f: Loss,
    x: np.ndarray,
    gradient: np.ndarray,
    *,
    method: Callable[[Loss, np.ndarray], np.ndarray] = complex_step,
    tolerance: float = 1e-7,
) -> GradientReport:
    """Compare a gradient with the loss it claims to belong to. A wrong gradient is reported, never raised.

    Args:
        f: the loss as a function of x alone.
        x: float64, any shape.
        gradient: what backward returned for x.
        method: `complex_step` or `central_difference`; each says what it does not catch.
        tolerance: on the largest difference relative to the largest entry. 1e-7 suits both methods.

    Raises:
        TypeError: see the method.
    """
    gradient = np.asarray(gradient)
    if gradient.shape != x.shape:
        text = (
            f"wrong shape: the gradient is {gradient.shape}, x is {x.shape}; a gradient has the shape of its variable"
        )
        return GradientReport(False, np.inf, (), np.nan, np.nan, text)
    expected = method(f, x)
    if not gradient.size:
        return GradientReport(True, 0.0, (), np.nan, np.nan, "right: there is no entry to compare")
    finite = np.isfinite(gradient) & np.isfinite(expected)
    scale = np.abs([gradient, expected]).max(initial=0.0, where=finite)
    difference = np.full(x.shape, np.inf)
    np.divide(np.abs(gradient - expected), scale or 1.0, out=difference, where=finite)
    index = tuple(int(i) for i in np.unravel_index(difference.argmax(), x.shape))
    error, given, wanted = float(difference[index]), float(gradient[index]), float(expected[index])
    ok = error <= tolerance
    text = (
        f"{'right' if ok else 'wrong'}: largest relative error {error:.1e} at {index}: {given:.6g} against {wanted:.6g}"
    )
    return GradientReport(ok, error, index, given, wanted, text if ok else text + guess(gradient, expected))


def guess(gradient: np.ndarray, expected: np.ndarray) -> str:
    """A likely cause of a wrong gradient, read off its relation to the right one; empty where nothing stands out."""
    if not np.isfinite(gradient).all():
        return "; it has entries that are not finite"
    if not gradient.any():
        return "; it is zero everywhere: was it ever filled in?"
    if not expected.any():
        return "; it should be zero everywhere: does the loss depend on this variable?"
    # the least-squares factor g·e / e·e, and whether it explains all entries
    factor = float((gradient * expected).sum() / (expected * expected).sum())
    if np.abs(gradient - factor * expected).max() > 1e-5 * np.abs(gradient).max():
        return ""
    return f"; every entry is {factor:.4g} times too large: a sign, a mean instead of a sum, or a term counted twice?"


def as_float64(x: np.ndarray) -> np.ndarray:
    """x itself, if its digits are enough for a gradient check."""
    if x.dtype != np.float64:
        raise TypeError(f"x has dtype {x.dtype}: a gradient check needs float64; convert with x.astype(np.float64)")
    return x


def one_number(value: complex | np.number | np.ndarray) -> complex:
    """The one number a loss returns.

    Raises:
        ValueError: it returned an array.
    """
    if np.size(value) != 1:
        raise ValueError(f"f returned an array of shape {np.shape(value)}: a loss is one number; sum or average it")
    return complex(np.asarray(value).item())
