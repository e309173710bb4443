"""Where training starts: initial values for one array, from its shape and a Generator.

A matrix has torch's layout, one row for each output and one column for each input. Which array of a layer gets which
initialiser is the layer's decision and does not come in here.
"""

import math

import numpy as np
from numpy.typing import DTypeLike

Shape = tuple[int, ...]


def uniform(shape: Shape, rng: np.random.Generator, dtype: DTypeLike = np.float64, *, bound: float) -> np.ndarray:
    """Uniform in ±bound; torch's recurrent layers start with a bound of 1/√H.

    Args:
        shape: any.
        rng: where the randomness comes from.
        dtype: floating.
        bound: 0 or more.

    Returns:
        An array of that shape and dtype.

    Raises:
        TypeError: rng is no Generator, or the dtype is not floating.
        ValueError: the bound is negative or not finite.
    """
    check(rng, dtype, bound=bound)
    # W ~ U(-bound, bound)
    return rng.uniform(-bound, bound, shape).astype(dtype)


def gaussian(shape: Shape, rng: np.random.Generator, dtype: DTypeLike = np.float64, *, std: float) -> np.ndarray:
    """Normal with mean 0 and standard deviation std; arguments and errors as in `uniform`."""
    check(rng, dtype, std=std)
    # W ~ N(0, std²)
    return (std * rng.standard_normal(shape)).astype(dtype)


def xavier_uniform(
    shape: Shape, rng: np.random.Generator, dtype: DTypeLike = np.float64, *, gain: float = 1.0
) -> np.ndarray:
    """Uniform, so wide that neither the signal forward nor the gradient back grows or shrinks on average.

    Args:
        shape: (outputs, inputs) of one matrix; stacked gates are initialised one by one.
        rng: where the randomness comes from.
        dtype: floating.
        gain: for the nonlinearity that follows, such as 5/3 for tanh or √2 for ReLU in torch's table.

    Returns:
        An array of that shape and dtype.

    Raises:
        TypeError: rng is no Generator, or the dtype is not floating.
        ValueError: the shape is not that of a matrix, or the gain is negative or not finite.

    Reference:
        Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16.
    """
    outputs, inputs = matrix(shape)
    check(rng, dtype, gain=gain)
    # W ~ U(-b, b), b = gain √(6 / (inputs + outputs))
    return uniform(shape, rng, dtype, bound=gain * math.sqrt(6 / (inputs + outputs)))


def xavier_normal(
    shape: Shape, rng: np.random.Generator, dtype: DTypeLike = np.float64, *, gain: float = 1.0
) -> np.ndarray:
    """Normal, with the variance of `xavier_uniform`; arguments and errors as there.

    Reference:
        Glorot and Bengio (2010), equation 12.
    """
    outputs, inputs = matrix(shape)
    check(rng, dtype, gain=gain)
    # W ~ N(0, s²), s = gain √(2 / (inputs + outputs))
    return gaussian(shape, rng, dtype, std=gain * math.sqrt(2 / (inputs + outputs)))


def orthogonal(
    shape: Shape, rng: np.random.Generator, dtype: DTypeLike = np.float64, *, gain: float = 1.0
) -> np.ndarray:
    """A random rotation, perhaps with a reflection, every one as likely as any other: all singular values are gain.

    Args:
        shape: (outputs, inputs); a wide matrix gets orthonormal rows, a tall one orthonormal columns.
        rng: where the randomness comes from.
        dtype: floating.
        gain: what every singular value becomes.

    Returns:
        An array of that shape and dtype.

    Raises:
        TypeError: rng is no Generator, or the dtype is not floating.
        ValueError: the shape is not that of a matrix, or the gain is negative or not finite.

    Reference:
        Saxe, McClelland and Ganguli (2014), Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks. Mezzadri (2007), How to generate random matrices from the classical compact groups: the signs.
    """
    outputs, inputs = matrix(shape)
    check(rng, dtype, gain=gain)
    # A = Q R with a_ij ~ N(0, 1), A tall; LAPACK's R has any signs on its diagonal, and only R_jj > 0 makes Q uniform
    Q, R = np.linalg.qr(rng.standard_normal((max(outputs, inputs), min(outputs, inputs))))
    # W = gain Q sign(diag R)
    W = gain * np.where(np.diag(R) < 0, -Q, Q)
    return np.ascontiguousarray(W if outputs >= inputs else W.T, dtype)


def identity(
    shape: Shape, rng: np.random.Generator | None = None, dtype: DTypeLike = np.float64, *, scale: float = 1.0
) -> np.ndarray:
    """scale · I, so that at first a ReLU network only copies its state and adds its input (the IRNN).

    Args:
        shape: (H, H).
        rng: not used; it stands here because every initialiser has it.
        dtype: floating.
        scale: 1 keeps the state, less forgets it.

    Returns:
        An array of that shape and dtype.

    Raises:
        TypeError: the dtype is not floating.
        ValueError: the shape is not square, or the scale is not finite.

    Reference:
        Le, Jaitly and Hinton (2015), A simple way to initialize recurrent networks of rectified linear units.
    """
    outputs, inputs = matrix(shape)
    if outputs != inputs:
        raise ValueError(
            f"shape is {shape}: only a square matrix, (H, H) from state to state, can be the identity; "
            "W_ih takes another initialiser, and stacked gates are initialised one by one"
        )
    check_dtype(dtype)
    if not math.isfinite(scale):
        raise ValueError(f"scale is {scale}: expected a finite number")
    # W = scale I
    return (scale * np.eye(outputs)).astype(dtype)


def matrix(shape: Shape) -> tuple[int, int]:
    """The numbers of outputs and inputs of a matrix.

    Raises:
        ValueError: the shape is not that of a matrix.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(
            f"shape is {shape}: expected (outputs, inputs), each at least 1; a bias has no inputs to count: "
            "set it to zero or use `uniform`"
        )
    return shape[0], shape[1]


def check(rng: np.random.Generator, dtype: DTypeLike, **sizes: float) -> None:
    """Look at what came to an initialiser's door.

    Raises:
        TypeError: rng is no Generator, or the dtype is not floating.
        ValueError: a size is negative or not finite.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng is {rng!r}: expected a Generator; make one with np.random.default_rng(seed) and hand the same one to "
            "every initialiser, or equal shapes get equal values"
        )
    check_dtype(dtype)
    for name, size in sizes.items():
        if not 0 <= size < math.inf:
            raise ValueError(f"{name} is {size}: expected a finite number, 0 or more")


def check_dtype(dtype: DTypeLike) -> None:
    """Whether parameters can have this dtype.

    Raises:
        TypeError: the dtype is not floating.
    """
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dtype is {np.dtype(dtype)}: expected np.float64 or np.float32; small values would round to 0")
