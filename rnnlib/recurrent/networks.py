"""RNN, GRU and LSTM as layers: each a stack around its own cell, with the options that only it has."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from rnnlib.cells import gru, gru_before, lstm, rnn
from rnnlib.recurrent.stack import Stack


class RNN(Stack):
    """A stack of simple recurrent layers.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: K; layer k + 1 reads what layer k wrote.
        nonlinearity: "tanh" or "relu".
        bidirectional: a second set of weights reads from the last valid step to the first; outputs are side by side.
        dropout: the probability that an entry of what one layer hands to the next is dropped, anew at every step.
        variational_dropout: the same for every layer's inputs and for what the recurrent weights see of the state, with
            one mask for a whole sequence.
        zoneout: the probability that an entry of the state is held for a step.
        layer_norm: normalise both projections inside the cell.
        checkpoint: keep every √T-th state only and compute the rest again in `backward`: less memory, more time.
        init: "uniform" in ±1/√H as in torch; or, with biases of zero and Xavier input weights, the recurrent weights of
            each gate "xavier", "orthogonal" or the "identity".
        dtype: of parameters and data; float64 so that gradient checks mean something, float32 for speed.
        rng: a seed or a Generator for the initial parameters.

    Raises:
        TypeError: the dtype is not floating.
        ValueError: a size, a rate or a name is out of range, or two options do not go together.
    """

    cell = rnn

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, *, nonlinearity: str = "tanh", **options: Any
    ) -> None:
        rnn.activation(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, **options)

    def cell_options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class GRU(Stack):
    """A stack of gated recurrent units; arguments and errors as those of `RNN`, but for the nonlinearity, and

    Args:
        reset: "after" the recurrent product, as in torch and cuDNN, or "before" it, as in the original paper. The
            second knows neither layer norm nor variational dropout nor zoneout.
    """

    cells: ClassVar = {"after": gru, "before": gru_before}

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, *, reset: str = "after", **options: Any
    ) -> None:
        if reset not in self.cells:
            raise ValueError(f"reset is {reset!r}: expected 'after' or 'before'")
        self.reset = reset
        super().__init__(input_size, hidden_size, num_layers, **options)

    @property
    def cell(self) -> ModuleType:  # type: ignore[override]
        return self.cells[self.reset]

    def check_options(self) -> None:
        super().check_options()
        if self.reset == "before" and (self.layer_norm or self.variational_dropout or any(self.zoneout)):
            raise ValueError(
                "reset='before' goes with neither layer_norm nor variational_dropout nor zoneout: they act between "
                "the recurrent product and the gates, where this form has no one place; use reset='after'"
            )


class LSTM(Stack):
    """A stack of long short-term memories; arguments and errors as those of `RNN`, but for the nonlinearity, and

    Args:
        forget_bias: what the forget gate's bias starts from, 1 in common practice (Jozefowicz et al., 2015); None: as
            `init` has it.
        zoneout: one probability, or a pair: of h and of c.

    A state is the pair (h, c) of arrays.
    """

    cell = lstm
    state_names = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        forget_bias: float | None = None,
        zoneout: float | Sequence[float] = 0.0,
        **options: Any,
    ) -> None:
        self.forget_bias = forget_bias
        super().__init__(input_size, hidden_size, num_layers, zoneout=zoneout, **options)

    def initial(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        value = super().initial(name, shape, rng)
        if self.forget_bias is not None and name.startswith("bias"):
            H = self.hidden_size
            value[H : 2 * H] = self.forget_bias if name.startswith("bias_ih") else 0  # gates i, f, g, o
        return value
