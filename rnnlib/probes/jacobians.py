"""How a change of one state reaches a later one: Jacobians of a step, their products, and what these do to a gradient.

    ∂s_T/∂s_{T-k} = J_T J_{T-1} ... J_{T-k+1},   J_t = ∂s_t/∂s_{t-1}

s is the whole state: h of an RNN or GRU, h and c side by side of an LSTM. A gradient that starts at step T arrives k
steps earlier as the transpose of this product times itself: it vanishes or explodes as the product does.

Reference:
    Bengio, Simard and Frasconi (1994), Learning long-term dependencies with gradient descent is difficult. Pascanu,
    Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks, section 2.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnlib.recurrent.stack import Stack

Step = Callable[[np.ndarray, Any], Any]
METHODS = "central", "complex"


def spectral_radius(W: np.ndarray) -> float:
    """The largest |eigenvalue| of a square matrix: in the long run, how much one multiplication by it stretches."""
    return float(np.abs(np.linalg.eigvals(W)).max())


def step_of(layer: Stack, layer_index: int = 0) -> Step:
    """One layer of a stack, reading forward, as a step function; `jacobians` may differentiate it by complex step.

    Raises:
        ValueError: there is no such layer, or the stack holds states or normalises inside the cell.
    """
    if not 0 <= layer_index < layer.num_layers:
        raise ValueError(f"layer_index is {layer_index}: expected 0 to K - 1 = {layer.num_layers - 1}")
    if layer.layer_norm or any(layer.zoneout):
        raise ValueError("layer_norm and zoneout act around the cell's own step, which is all that a step function has")
    weights = [layer.parameters[name] for name in layer.names(layer_index * layer.directions)]

    def step(x: np.ndarray, state: Any) -> Any:
        states = state if isinstance(state, tuple) else (state,)
        *after, _ = layer.cell.step_forward(x, *states, *weights, **layer.cell_options())
        return tuple(after) if isinstance(state, tuple) else after[0]

    return step


def jacobians(step: Step, x: np.ndarray, state: Any, *, method: str = "central", size: float = 1e-6) -> np.ndarray:
    """J_t for every step of a batch.

    Args:
        step: (x (N, D), state) -> state; it must treat the N sequences apart from one another.
        x: (T, N, D), float64.
        state: the initial one, (N, H), or a tuple of such, float64.
        method: "central" differences, for any step, right to about nine digits; "complex" step, right to the last, for
            steps made of analytic functions that keep the dtype, such as `step_of` gives.
        size: of the central difference.

    Returns:
        (T, N, S, S): row i, column j is ∂s_t[i]/∂s_{t-1}[j]. S is H, or the states' sizes together.

    Raises:
        TypeError: a complex step came back real: something in it drops the imaginary part.
        ValueError: the method is unknown, x has another shape, or the step changes the shape of its state.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: expected one of {', '.join(METHODS)}")
    if x.ndim != 3:
        raise ValueError(f"x has shape {x.shape}: expected (T, N, D); a single sequence (T, D) becomes x[:, None, :]")
    flat, widths = joined(state), [part.shape[1] for part in parts_of(state)]
    N, S = flat.shape
    J = np.empty((len(x), N, S, S))

    def advance(x_t: np.ndarray, s: np.ndarray) -> np.ndarray:
        after = joined(step(x_t, split(s, widths, state)))
        if after.shape != s.shape:
            raise ValueError(f"the step made a state of shape {after.shape} from {s.shape}: expected the same shape")
        return after

    for t, x_t in enumerate(x):
        for j in range(S):
            e = np.zeros((1, S))
            e[0, j] = 1
            if method == "central":
                # ∂s/∂s_j ≈ (f(s + ε e_j) - f(s - ε e_j)) / 2ε
                J[t, :, :, j] = (advance(x_t, flat + size * e) - advance(x_t, flat - size * e)) / (2 * size)
                continue
            # ∂s/∂s_j = Im f(s + i ε e_j) / ε
            after = advance(x_t, flat + 1e-30j * e)
            if not np.iscomplexobj(after):
                raise TypeError(
                    "the step returned real numbers for a complex state: abs, .real or an assignment into a real array "
                    "drops the imaginary part; use method='central'"
                )
            J[t, :, :, j] = after.imag / 1e-30
        flat = advance(x_t, flat)
    return J


def lag_products(J: np.ndarray) -> np.ndarray:
    """∂s_T/∂s_{T-k} for k = 0, ..., T, (T + 1, N, S, S), from J (T, N, S, S); lag 0 is the identity."""
    T, N, S, _ = J.shape
    products = np.empty((T + 1, N, S, S))
    products[0] = np.eye(S)
    for k in range(1, T + 1):
        # P_k = P_{k-1} J_{T-k+1}
        products[k] = products[k - 1] @ J[T - k]
    return products


def singular_values(matrices: np.ndarray) -> np.ndarray:
    """Of (..., S, S), (..., S), largest first: how much each direction is stretched."""
    return np.linalg.svd(matrices, compute_uv=False)


def growth_rates(J: np.ndarray) -> np.ndarray:
    """How fast each direction grows or shrinks, in nats a step: below 0 it vanishes, above 0 it explodes.

    Args:
        J: (T, N, S, S), from `jacobians`.

    Returns:
        (N, S), largest first: the finite-time Lyapunov exponents.

    Reference:
        Benettin et al. (1980), Lyapunov characteristic exponents: a method for computing all of them. Engelken, Wolf
        and Abbott (2023), Lyapunov spectra of chaotic recurrent neural networks.
    """
    T, N, S, _ = J.shape
    Q, total = np.broadcast_to(np.eye(S), (N, S, S)), np.zeros((N, S))
    for J_t in J:
        # J_t Q = Q' R: what the diagonal of R stretches is counted, and Q' stays orthogonal
        Q, R = np.linalg.qr(J_t @ Q)
        with np.errstate(divide="ignore"):
            total += np.log(np.abs(np.diagonal(R, axis1=1, axis2=2)))
    return -np.sort(-total / T, axis=1)


def step_gradient_norms(J: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """‖∂L/∂s_{T-k}‖ for k = 0, ..., T, when ∂L/∂s_T is given.

    Args:
        J: (T, N, S, S), from `jacobians`.
        upstream: (N, S), ∂L/∂s_T.

    Returns:
        (T + 1, N), by lag.
    """
    g, norms = upstream, [np.linalg.norm(upstream, axis=1)]
    for J_t in J[::-1]:
        # g_{t-1} = J_tᵀ g_t
        g = np.einsum("nij,ni->nj", J_t, g)
        norms.append(np.linalg.norm(g, axis=1))
    return np.array(norms)


def gradient_norms(layer: Stack, x: np.ndarray, upstream: Any, state: Any = None) -> np.ndarray:
    """‖∂L/∂s_{T-k}‖ of a layer's whole state for k = 0, ..., T, by its own backward pass: cheap for any size.

    Args:
        layer: an RNN, GRU or LSTM, one direction, any depth.
        x: (T, N, D).
        upstream: ∂L/∂s_T, in the form of the layer's state: (K, N, H), or the pair of h and c.
        state: the initial one; None: zero.

    Returns:
        (T + 1, N), by lag; over all layers and, for an LSTM, h and c together.

    Raises:
        ValueError: the layer is bidirectional, or a shape is wrong.
    """
    if layer.bidirectional:
        raise ValueError("a bidirectional layer reads both ways in time: probe each direction as a layer of its own")
    caches = []
    for t in range(len(x)):
        _, state, cache = layer.forward(x[t : t + 1], state)
        caches.append(cache)
    norms = [whole_norm(upstream)]
    for cache in reversed(caches):
        _, upstream, _ = layer.backward(None, upstream, cache)
        norms.append(whole_norm(upstream))
    return np.array(norms)


def whole_norm(state: Any) -> np.ndarray:
    """The norm of each sequence's whole state, (N,), from (K, N, H) or a tuple of such."""
    return np.sqrt(sum((part**2).sum(axis=(0, 2)) for part in parts_of(state)))


def parts_of(state: Any) -> tuple[np.ndarray, ...]:
    """The arrays of a state."""
    return state if isinstance(state, tuple) else (state,)


def joined(state: Any) -> np.ndarray:
    """The arrays of a state side by side, (N, S)."""
    return np.concatenate(parts_of(state), axis=1)


def split(s: np.ndarray, widths: list[int], like: Any) -> Any:
    """(N, S) back in the form of the state."""
    parts = tuple(np.split(s, np.cumsum(widths)[:-1], axis=1))
    return parts if isinstance(like, tuple) else parts[0]
