"""How open the gates of a GRU or an LSTM are while it reads, and what is saturated: too flat to pass a gradient on."""

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import valid_positions
from rnnlib.recurrent.stack import Stack, State


def saturation(hs: np.ndarray, threshold: float = 0.9) -> float:
    """The share of tanh states, of any shape, that lie beyond ±threshold, where the curve is nearly flat."""
    return float((np.abs(hs) > threshold).mean())


def gate_saturation(gate: np.ndarray, low: float = 0.1, high: float = 0.9) -> tuple[float, float]:
    """The shares of a σ gate's values, of any shape, that are nearly shut, below low, and nearly open, above high."""
    return float((gate < low).mean()), float((gate > high).mean())


def gate_activations(
    layer: Stack, x: np.ndarray, state: State | None = None, lengths: ArrayLike | None = None, *, layer_index: int = 0
) -> dict[str, np.ndarray]:
    """What the gates of one layer were at every step, computed by the cell's own step.

    Args:
        layer: a GRU or an LSTM, one direction, without layer norm and zoneout; in evaluation.
        x: (T, N, D).
        state: the initial one; None: zero.
        lengths: (N,); None: every sequence has T steps.
        layer_index: which layer of the stack.

    Returns:
        by name, (T, N, H) each, zero on padding: "i", "f", "g", "o", "c" and "h" of an LSTM; "r", "z", "n" and "h" of a
        GRU.

    Raises:
        ValueError: the layer has no gates, reads in two directions, or does what its step alone does not; or a shape is
            wrong.
    """
    if layer.cell.GATES == 1:
        raise ValueError("an RNN has no gates: its states are the output of `forward`")
    if layer.bidirectional or layer.layer_norm or any(layer.zoneout):
        raise ValueError(
            "bidirectional, layer_norm and zoneout are not known here: look at a plain layer in one direction"
        )
    if not 0 <= layer_index < layer.num_layers:
        raise ValueError(f"layer_index is {layer_index}: expected 0 to K - 1 = {layer.num_layers - 1}")
    T, N = x.shape[:2]
    valid = valid_positions((T, N), lengths)
    inputs = np.where(valid[:, :, None], x, 0)
    first = layer.states([f"{name}0" for name in layer.state_names], state, N)
    for k in range(layer_index + 1):
        weights, now = [layer.parameters[name] for name in layer.names(k)], [s[k] for s in first]
        seen: dict[str, list[np.ndarray]] = {}
        for t in range(T):
            *after, cache = layer.cell.step_forward(inputs[t], *now, *weights)
            held = valid[t][:, None]
            now = [np.where(held, new, old) for new, old in zip(after, now, strict=True)]
            gates = getattr(cache, "update", cache)._asdict()
            values = {name: gates[name] for name in ("i", "f", "g", "o", "r", "z", "n") if name in gates}
            values |= dict(zip(("h", "c"), after, strict=False))
            for name, value in values.items():
                seen.setdefault(name, []).append(np.where(held, value, 0))
        activations = {name: np.stack(steps) for name, steps in seen.items()}
        inputs = activations["h"]
    return activations
