"""What a state still knows of the past: the best linear readout of earlier inputs, and how well it does."""

import numpy as np

from rnnlib.layers import linear_forward


def past_readout(hs: np.ndarray, x: np.ndarray, max_lag: int, precision: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """The best linear readout of the input of 0, 1, ..., max_lag steps ago from the present state alone.

    Args:
        hs: (T, N, H), the state after each step.
        x: (T, N, 1), the inputs.
        max_lag: the longest lag in steps, below T; states with fewer inputs behind them are not fitted.
        precision: the smallest difference between states that may count, as if each were seen with noise of this
            standard deviation. (Without noise, float64 tells apart what no network could use.)

    Returns:
        W: (max_lag + 1, H) and b: (max_lag + 1,) for `linear_forward`: row k gives the input of k steps ago.

    Raises:
        ValueError: the shapes do not fit, or no state has max_lag inputs behind it.
    """
    features, targets = _pairs(hs, x, max_lag)
    mean_h, mean_x = features.mean(axis=0), targets.mean(axis=0)
    centred = features - mean_h
    # W = argmin Σ (x - W h)² + rows · precision² · ‖W‖²: what the noise would add to the squared error
    gram = centred.T @ centred + len(centred) * precision**2 * np.eye(hs.shape[2])
    W = np.linalg.solve(gram, centred.T @ (targets - mean_x)).T
    return W, mean_x - W @ mean_h


def recall(hs: np.ndarray, x: np.ndarray, max_lag: int, precision: float = 0.01) -> np.ndarray:
    """How well the state remembers the input of 0, 1, ..., max_lag steps ago: 1 exactly, 0 not at all.

    A linear readout is fitted on the first half of the sequences; what counts is its squared correlation with the truth
    on the second half. For inputs that are independent of one another the sum over all lags is at most H.

    Args:
        hs, x, max_lag, precision: as for `past_readout`, with at least two sequences.

    Returns:
        (max_lag + 1,), between 0 and 1.

    Raises:
        ValueError: as `past_readout`, or there is only one sequence.

    Reference:
        Jaeger (2001), Short term memory in echo state networks, GMD Report 152.
    """
    if x.ndim != 3 or x.shape[1] < 2:
        raise ValueError(
            f"x has shape {x.shape}: expected (T, N, 1) with N >= 2, to fit on one half and judge on the other"
        )
    half = x.shape[1] // 2
    W, b = past_readout(hs[:, :half], x[:, :half], max_lag, precision)
    features, targets = _pairs(hs[:, half:], x[:, half:], max_lag)
    guesses, _ = linear_forward(features, W, b)
    guesses, targets = guesses - guesses.mean(axis=0), targets - targets.mean(axis=0)
    said, true = (guesses**2).sum(axis=0), (targets**2).sum(axis=0)
    agreement = (guesses * targets).sum(axis=0) ** 2
    says_something = said > np.finfo(said.dtype).eps * true  # a constant is right by no merit
    return np.divide(agreement, said * true, out=np.zeros_like(said), where=says_something)


def _pairs(hs: np.ndarray, x: np.ndarray, max_lag: int) -> tuple[np.ndarray, np.ndarray]:
    """States (rows, H) and, beside each, the inputs of 0 to max_lag steps ago (rows, max_lag + 1)."""
    T = len(x)
    if hs.ndim != 3 or x.shape != (*hs.shape[:2], 1):
        raise ValueError(f"hs {hs.shape} and x {x.shape} do not fit: expected (T, N, H) and (T, N, 1)")
    if not 0 <= max_lag < T:
        raise ValueError(f"max_lag is {max_lag}: expected 0 to T - 1 = {T - 1}")
    ago = [x[max_lag - lag : T - lag, :, 0].reshape(-1) for lag in range(max_lag + 1)]
    return hs[max_lag:].reshape(-1, hs.shape[2]), np.stack(ago, axis=1)
