"""The loss over a plane through the parameters: cliffs, valleys, and where a step lands.

Reference:
    Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks, section 2.3: the cliff.
    Li et al. (2018), Visualizing the loss landscape of neural nets, section 4: directions scaled row by row.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Point = np.ndarray | Mapping[str, np.ndarray]


class Surface(NamedTuple):
    """Attributes:
    a: (A,), how far along the first direction.
    b: (B,), how far along the second.
    loss: (A, B), at centre + a · first + b · second.
    """

    a: np.ndarray
    b: np.ndarray
    loss: np.ndarray


def loss_surface(
    loss: Callable[[Any], float], centre: Point, first: Any, second: Any, a: ArrayLike, b: ArrayLike
) -> Surface:
    """The loss at every point of a grid.

    Args:
        loss: takes a point of the form of the centre, returns one number; what is not finite stays so.
        centre: an array, or arrays by name; it is not changed.
        first, second: directions, of the form of the centre.
        a, b: (A,) and (B,), how far to go along each.

    Returns:
        Surface.

    Raises:
        ValueError: a direction has other names or shapes than the centre, or a or b is not flat.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}: expected (A,) and (B,), distances along a direction")
    for name, direction in (("first", first), ("second", second)):
        if shapes(direction) != shapes(centre):
            raise ValueError(f"{name} has shapes {shapes(direction)}: expected those of the centre, {shapes(centre)}")
    values = [[float(loss(moved(centre, first, second, i, j))) for j in b] for i in a]
    return Surface(a, b, np.array(values).reshape(len(a), len(b)))


def moved(centre: Point, first: Any, second: Any, a: float, b: float) -> Point:
    """centre + a · first + b · second."""
    if isinstance(centre, Mapping):
        return {name: value + a * first[name] + b * second[name] for name, value in centre.items()}
    return centre + a * first + b * second


def shapes(point: Point) -> dict[str, tuple[int, ...]]:
    """The shape of every array."""
    named = point if isinstance(point, Mapping) else {"array": point}
    return {name: np.shape(value) for name, value in named.items()}


def random_direction(parameters: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A random direction in which each row of a matrix is as long as the parameters' own row; biases stay.

    So a distance of 1 means the same whatever the scale of a layer.

    Reference:
        Li et al. (2018), equation 1.
    """
    direction = {}
    for name, value in parameters.items():
        d = rng.standard_normal(value.shape).astype(value.dtype)
        if value.ndim < 2:
            direction[name] = np.zeros_like(value)
            continue
        lengths = [np.linalg.norm(each.reshape(len(each), -1), axis=1) for each in (value, d)]
        direction[name] = d * (lengths[0] / lengths[1]).reshape(-1, *[1] * (value.ndim - 1)).astype(value.dtype)
    return direction
