"""Recurrent layers: thin objects that own parameters and send whole sequences through a cell, in depth and direction.

The mathematics stays in `rnnlib.cells`. A layer keeps nothing between calls but its parameters: `forward` returns a
cache, `backward` takes it and returns gradients. Optimisers, losses and data do not come in here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnnlib.cells import rnn

WEIGHTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"  # torch's names for W_ih, W_hh, b_ih, b_hh


class RNNCache(NamedTuple):
    cells: list[rnn.Cache]  # one for each sweep: layer by layer, forward before reverse


class RNN:
    """A stack of simple recurrent layers, each reading forward or in both directions.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: K; layer k + 1 reads what layer k wrote.
        bidirectional: a second set of weights reads from the last valid step to the first; outputs are side by side.
        nonlinearity: "tanh" or "relu".
        dtype: of parameters and data; float64 so that gradient checks mean something, float32 for speed.
        rng: a seed or a Generator for the initial parameters, uniform in ±1/√H as in torch.

    Attributes:
        parameters: by torch's names: weight_ih_l0 (H, D), weight_hh_l0 (H, H), bias_ih_l0 and bias_hh_l0 (H,), the same
            for l1, l2, ... (where inputs are H * directions), and with the suffix _reverse for the second direction.

    Raises:
        TypeError: the dtype is not floating.
        ValueError: a size is below one, or the nonlinearity is unknown.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        nonlinearity: str = "tanh",
        dtype: DTypeLike = np.float64,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                f"input_size, hidden_size and num_layers are {input_size}, {hidden_size} and {num_layers}: "
                "each must be at least 1"
            )
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"dtype is {np.dtype(dtype)}: a layer computes in floating point, np.float64 or np.float32")
        rnn.activation(nonlinearity)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.nonlinearity, self.dtype = bidirectional, nonlinearity, np.dtype(dtype)
        self.directions = 2 if bidirectional else 1
        rng, bound = np.random.default_rng(rng), 1 / np.sqrt(hidden_size)
        self.parameters: dict[str, np.ndarray] = {
            name: rng.uniform(-bound, bound, shape).astype(self.dtype) for name, shape in self.shapes().items()
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, in torch's order."""
        H, shapes = self.hidden_size, dict[str, tuple[int, ...]]()
        for sweep in range(self.num_layers * self.directions):
            D = self.input_size if sweep < self.directions else H * self.directions
            shapes |= zip(self.names(sweep), ((H, D), (H, H), (H,), (H,)), strict=True)
        return shapes

    def names(self, sweep: int) -> list[str]:
        """The names of one sweep's parameters; sweeps are numbered layer by layer, forward before reverse."""
        layer, reverse = divmod(sweep, self.directions)
        return [f"{weight}_l{layer}{'_reverse' if reverse else ''}" for weight in WEIGHTS]

    def forward(
        self, x: np.ndarray, h0: np.ndarray | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray, RNNCache]:
        """Run a batch of sequences through the stack.

        A long sequence can be read in windows: `h_n` of one is `h0` of the next, and the outputs are those of one long
        run. This holds for one direction only. The reverse reader of a bidirectional layer would have to start from
        the window that comes after: give it `h0=None`, or accept that each window is read on its own.

        Args:
            x: (T, N, D); what stands in the padding is never read.
            h0: (K * directions, N, H), layer by layer, forward before reverse; None: zero.
            lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.

        Returns:
            output: (T, N, H * directions), the states of the last layer; zero on padding. Read-only where it is the
                cache's own memory: copy before changing it.
            h_n: (K * directions, N, H), each sweep's state after the last step it read.
            cache: what `backward` needs; change neither x nor a parameter in place before it.

        Raises:
            TypeError: x or h0 has another dtype than the parameters.
            ValueError: a shape or a length is wrong.
        """
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"x has shape {x.shape}: expected (T, N, D) with D = input_size = {self.input_size}")
        h0 = self.states("h0", h0, x.shape[1])
        output, h_n, cells = x, [], []
        for layer in range(self.num_layers):
            read = []
            for reverse in range(self.directions):
                sweep = layer * self.directions + reverse
                W_ih, W_hh, b_ih, b_hh = (self.parameters[name] for name in self.names(sweep))
                hs, h_last, cell = rnn.forward(
                    output,
                    h0[sweep],
                    W_ih,
                    W_hh,
                    b_ih,
                    b_hh,
                    lengths,
                    reverse=bool(reverse),
                    nonlinearity=self.nonlinearity,
                )
                read.append(hs)
                h_n.append(h_last)
                cells.append(cell)
            output = np.concatenate(read, axis=2) if self.bidirectional else read[0]
        return output, np.stack(h_n), RNNCache(cells)

    def backward(
        self, doutput: np.ndarray | None, dh_n: np.ndarray | None, cache: RNNCache
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Send the gradient of a loss back through the stack.

        Args:
            doutput: (T, N, H * directions), the gradient of `output`, never read on padding; None: zero.
            dh_n: (K * directions, N, H), the gradient of `h_n`; None: zero.
            cache: from `forward`; it is not changed.

        Returns:
            dx: (T, N, D), zero on padding.
            dh0: (K * directions, N, H).
            gradients: one for each parameter, under its name. Nothing is stored in the layer.

        Raises:
            TypeError: doutput or dh_n has another dtype than the parameters.
            ValueError: doutput or dh_n has another shape than what `forward` returned.
        """
        T, N, H = cache.cells[0].packing.T, cache.cells[0].packing.N, self.hidden_size
        dh_n = self.states("dh_n", dh_n, N)
        if doutput is None:
            doutput = np.zeros((T, N, H * self.directions), dh_n.dtype)
        if doutput.shape != (T, N, H * self.directions):
            raise ValueError(
                f"doutput has shape {doutput.shape}: expected {(T, N, H * self.directions)}, that of output"
            )
        dh0, gradients = np.empty_like(dh_n), dict[str, np.ndarray]()
        for layer in reversed(range(self.num_layers)):
            written = []
            for reverse in range(self.directions):
                sweep = layer * self.directions + reverse
                dhs = doutput[:, :, reverse * H : (reverse + 1) * H]
                dx, dh0[sweep], *dweights = rnn.backward(dhs, dh_n[sweep], cache.cells[sweep])
                written.append(dx)
                gradients |= zip(self.names(sweep), dweights, strict=True)
            doutput = written[0] + written[1] if self.bidirectional else written[0]
        return doutput, dh0, {name: gradients[name] for name in self.parameters}

    def states(self, name: str, states: np.ndarray | None, N: int) -> np.ndarray:
        """Initial or last states of all sweeps, (K * directions, N, H), zero where there are none.

        Raises:
            ValueError: the shape is another.
        """
        shape = (self.num_layers * self.directions, N, self.hidden_size)
        if states is None:
            return np.zeros(shape, self.dtype)
        if states.shape != shape:
            raise ValueError(
                f"{name} has shape {states.shape}: expected {shape}, (K * directions, N, H), one state for each sweep"
            )
        return states
