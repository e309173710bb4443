"""A stack of recurrent layers around any cell: parameters by torch's names, depth, direction, what is dropped, state.

What an RNN, a GRU or an LSTM adds stands in `networks`. How one sweep over time is computed is chosen here: by the
cell's fast form; by the scan where that is asked for something it does not know; in windows under checkpointing.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnnlib import init as initialisers
from rnnlib.cells.sequences import common_dtype
from rnnlib.layers import dropout_backward, dropout_forward
from rnnlib.recurrent import checkpoint as checkpointing
from rnnlib.recurrent import scan

WEIGHTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"  # torch's names for W_ih, W_hh, b_ih, b_hh
GAINS = "norm_ih", "norm_hh"  # of the layer norm of each projection; torch has none
INITS = "uniform", "xavier", "orthogonal", "identity"
MAX_SEED = 2**63 - 1

State = np.ndarray | tuple[np.ndarray, ...]


class StackCache(NamedTuple):
    drops: list[Any]  # for each layer, what was dropped of its inputs; None: nothing
    sweeps: list[Any]  # layer by layer, forward before reverse
    shape: tuple[int, int]  # T, N


class Stack:
    """What RNN, GRU and LSTM share; see `networks` for the arguments.

    Attributes:
        parameters: by torch's names: weight_ih_l0 (G*H, D), weight_hh_l0 (G*H, H), bias_ih_l0 and bias_hh_l0 (G*H,)
            with G gates, the same for l1, l2, ... (where inputs are H * directions), and with the suffix _reverse for
            the second direction; with layer norm also the gains norm_ih_l0 and norm_hh_l0 (G*H,), and so on.
    """

    cell: ModuleType
    state_names: tuple[str, ...] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational_dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        layer_norm: bool = False,
        checkpoint: bool = False,
        init: str = "uniform",
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
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.directions, self.dtype = bidirectional, 2 if bidirectional else 1, np.dtype(dtype)
        self.dropout, self.variational_dropout = dropout, variational_dropout
        self.zoneout = self.rates(zoneout)
        self.layer_norm, self.checkpoint, self.init = layer_norm, checkpoint, init
        self.check_options()
        rng = np.random.default_rng(rng)
        self.parameters = {name: self.initial(name, shape, rng) for name, shape in self.shapes().items()}

    def rates(self, zoneout: float | Sequence[float]) -> tuple[float, ...]:
        """One rate for each state of the cell.

        Raises:
            ValueError: there are more or fewer than the cell has states.
        """
        if np.ndim(zoneout) and np.shape(zoneout) != (len(self.state_names),):
            raise ValueError(
                f"zoneout is {zoneout!r}: expected one probability, or one for each of the states "
                f"{' and '.join(self.state_names)}"
            )
        return tuple(np.broadcast_to(zoneout, len(self.state_names)).tolist())

    def check_options(self) -> None:
        """Say what is out of range or does not go together.

        Raises:
            ValueError: something is.
        """
        rates = {"dropout": self.dropout, "variational_dropout": self.variational_dropout}
        for name, rate in (*rates.items(), *(("zoneout", rate) for rate in self.zoneout)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name} is {rate}: expected a probability from 0 to below 1")
        if self.dropout and self.num_layers == 1:
            raise ValueError(
                "dropout acts between layers, and num_layers=1 leaves no place for it; drop inputs or outputs with "
                "rnnlib.layers.dropout_forward, or the recurrence with variational_dropout or zoneout"
            )
        if self.dropout and self.variational_dropout:
            raise ValueError(
                "dropout and variational_dropout both act on the inputs of the upper layers: choose one of them"
            )
        if self.init not in INITS:
            raise ValueError(f"init is {self.init!r}: expected one of {', '.join(INITS)}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, in torch's order."""
        H, rows, shapes = self.hidden_size, self.cell.GATES * self.hidden_size, dict[str, tuple[int, ...]]()
        for sweep in range(self.num_layers * self.directions):
            D = self.input_size if sweep < self.directions else H * self.directions
            shapes |= zip(self.names(sweep), ((rows, D), (rows, H), *[(rows,)] * 4), strict=False)
        return shapes

    def names(self, sweep: int) -> list[str]:
        """The names of one sweep's parameters; sweeps are numbered layer by layer, forward before reverse."""
        layer, reverse = divmod(sweep, self.directions)
        kinds = WEIGHTS + GAINS if self.layer_norm else WEIGHTS
        return [f"{kind}_l{layer}{'_reverse' if reverse else ''}" for kind in kinds]

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """The value a parameter starts from: gate by gate, so that stacking gates changes no scale."""
        if name.startswith("norm"):
            return np.ones(shape, self.dtype)
        if self.init == "uniform":
            return initialisers.uniform(shape, rng, self.dtype, bound=1 / np.sqrt(self.hidden_size))
        if name.startswith("bias"):
            return np.zeros(shape, self.dtype)
        draw: Callable[..., np.ndarray] = initialisers.xavier_uniform
        if name.startswith("weight_hh") and self.init != "xavier":
            draw = initialisers.orthogonal if self.init == "orthogonal" else initialisers.identity
        gate = (self.hidden_size, shape[1])
        return np.concatenate([draw(gate, rng, self.dtype) for _ in range(self.cell.GATES)])

    def forward(
        self,
        x: np.ndarray,
        state: State | None = None,
        lengths: ArrayLike | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, Any, StackCache]:
        """Run a batch of sequences through the stack.

        A long sequence can be read in windows: the state that comes out of one goes into the next, and the outputs are
        those of one long run. This holds for one direction only. The reverse reader of a bidirectional layer would
        have to start from the window that comes after: give it no state, or accept that each window is read on its own.

        Args:
            x: (T, N, D); what stands in the padding is never read.
            state: the initial state (K * directions, N, H), layer by layer, forward before reverse; for an LSTM the
                pair of h and c; None: zero.
            lengths: (N,) whole numbers from 0 to T; None: every sequence has T steps.
            rng: draws what is dropped or held, in training; None: evaluation, where nothing is.

        Returns:
            output: (T, N, H * directions), the states h of the last layer; zero on padding. Read-only where it is the
                cache's own memory: copy before changing it.
            state: the state of each sweep after the last step it read, in the form of the initial one.
            cache: what `backward` needs; change neither x nor a parameter in place before it.

        Raises:
            TypeError: x or a state has another dtype than the parameters.
            ValueError: a shape or a length is wrong.
        """
        common_dtype({"x": x})
        if not isinstance(rng, np.random.Generator | None):
            raise TypeError(f"rng is {rng!r}: expected a Generator, such as np.random.default_rng(seed), or None")
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"x has shape {x.shape}: expected (T, N, D) with D = input_size = {self.input_size}")
        initial = self.states([f"{name}0" for name in self.state_names], state, x.shape[1])
        seeds = None if rng is None else rng.integers(MAX_SEED, size=(self.num_layers, 1 + 2 * self.directions))
        output, drops, sweeps, last = x, [], [], []
        for layer in range(self.num_layers):
            output, drop = self.drop(layer, output, None if seeds is None else int(seeds[layer, 0]))
            drops.append(drop)
            read = []
            for direction in range(self.directions):
                sweep = layer * self.directions + direction
                own = None if seeds is None else seeds[layer, 1 + 2 * direction : 3 + 2 * direction].tolist()
                hs, *ends, cache = self.sweep(sweep, output, [s[sweep] for s in initial], lengths, own)
                read.append(hs)
                last.append(ends)
                sweeps.append(cache)
            output = np.concatenate(read, axis=2) if self.bidirectional else read[0]
        return (
            output,
            self.joined([np.stack(s) for s in zip(*last, strict=True)]),
            StackCache(drops, sweeps, x.shape[:2]),
        )

    def drop(self, layer: int, x: np.ndarray, seed: int | None) -> tuple[np.ndarray, Any]:
        """What a layer sees of its inputs in training: a new mask each step between layers, or one held for all."""
        rate, held = (
            (self.variational_dropout, (0,)) if self.variational_dropout else (self.dropout if layer else 0, ())
        )
        if seed is None or not rate:
            return x, None
        return dropout_forward(x, rate, np.random.default_rng(seed), held)

    def sweep(
        self, sweep: int, x: np.ndarray, states: list[np.ndarray], lengths: ArrayLike | None, seeds: list[int] | None
    ) -> tuple[Any, ...]:
        """One layer in one direction: hs, the last states, and a cache for `sweep_backward`."""
        weights, reverse = [self.parameters[name] for name in self.names(sweep)], bool(sweep % self.directions)
        mask = None
        if self.variational_dropout and seeds is not None:
            ones = np.ones_like(states[0])
            mask, _ = dropout_forward(ones, self.variational_dropout, np.random.default_rng(seeds[0]))
        zoneout = self.zoneout if any(self.zoneout) else ()
        scanned = self.layer_norm or mask is not None or bool(zoneout)

        def run(x: np.ndarray, states: list[np.ndarray], lengths: ArrayLike | None, window: int = 0) -> tuple[Any, ...]:
            if not scanned:
                return self.cell.forward(x, *states, *weights, lengths, reverse=reverse, **self.cell_options())
            options = {"hidden_mask": mask, "zoneout": zoneout, **self.cell_options()}
            seed = None if seeds is None else [seeds[1], window]
            return scan.forward(self.cell, x, states, weights, lengths, reverse=reverse, seed=seed, **options)

        if self.checkpoint:
            return checkpointing.forward(run, x, states, lengths, reverse=reverse)
        return run(x, states, lengths)

    def cell_options(self) -> dict[str, Any]:
        """What the cell itself is told, beyond weights and data."""
        return {}

    def sweep_backward(self, dhs: np.ndarray, last: Sequence[np.ndarray], cache: Any) -> Sequence[np.ndarray]:
        """The gradients of one sweep: dx, the initial states', the weights'."""
        if isinstance(cache, checkpointing.CheckpointCache):
            return checkpointing.backward(dhs, last, cache, self.sweep_backward)
        if isinstance(cache, scan.ScanCache):
            return scan.backward(dhs, last, cache)
        return self.cell.backward(dhs, *last, cache)

    def backward(
        self, doutput: np.ndarray | None, dstate: State | None, cache: StackCache
    ) -> tuple[np.ndarray, Any, dict[str, np.ndarray]]:
        """Send the gradient of a loss back through the stack.

        Args:
            doutput: (T, N, H * directions), the gradient of `output`, never read on padding; None: zero.
            dstate: the gradient of the last state, in its form; None: zero.
            cache: from `forward`; it is not changed.

        Returns:
            dx: (T, N, D), zero on padding.
            dstate0: the gradient of the initial state, in its form.
            gradients: one for each parameter, under its name. Nothing is stored in the layer.

        Raises:
            TypeError: doutput or dstate has another dtype than the parameters.
            ValueError: doutput or dstate has another shape than what `forward` returned.
        """
        (T, N), H = cache.shape, self.hidden_size
        dlast = self.states([f"d{name}_n" for name in self.state_names], dstate, N)
        if doutput is None:
            doutput = np.zeros((T, N, H * self.directions), dlast[0].dtype)
        if doutput.shape != (T, N, H * self.directions):
            raise ValueError(
                f"doutput has shape {doutput.shape}: expected {(T, N, H * self.directions)}, that of output"
            )
        dfirst, gradients = [np.empty_like(d) for d in dlast], dict[str, np.ndarray]()
        for layer in reversed(range(self.num_layers)):
            written = []
            for direction in range(self.directions):
                sweep = layer * self.directions + direction
                dhs = doutput[:, :, direction * H : (direction + 1) * H]
                dx, *rest = self.sweep_backward(dhs, [d[sweep] for d in dlast], cache.sweeps[sweep])
                for d, value in zip(dfirst, rest, strict=False):
                    d[sweep] = value
                gradients |= zip(self.names(sweep), rest[len(dfirst) :], strict=True)
                written.append(dx)
            doutput = written[0] + written[1] if self.bidirectional else written[0]
            if cache.drops[layer] is not None:
                doutput = dropout_backward(doutput, cache.drops[layer])
        return doutput, self.joined(dfirst), {name: gradients[name] for name in self.parameters}

    def joined(self, states: list[np.ndarray]) -> State:
        """The form a state has outside: an array, or a tuple where the cell has more than one."""
        return states[0] if len(states) == 1 else tuple(states)

    def states(self, names: list[str], state: State | None, N: int) -> list[np.ndarray]:
        """States of all sweeps as a list of (K * directions, N, H), zero where there are none.

        Raises:
            TypeError: the cell has two states, and one array came.
            ValueError: a shape is another.
        """
        shape = (self.num_layers * self.directions, N, self.hidden_size)
        if state is None:
            return [np.zeros(shape, self.dtype) for _ in names]
        states = [state] if isinstance(state, np.ndarray) else list(state)
        if len(states) != len(names):
            raise TypeError(f"the state has {len(states)} arrays: expected {len(names)}, {' and '.join(names)}")
        for name, array in zip(names, states, strict=True):
            if np.shape(array) != shape:
                raise ValueError(
                    f"{name} has shape {np.shape(array)}: expected {shape}, (K * directions, N, H), one state for "
                    "each sweep"
                )
        return states
