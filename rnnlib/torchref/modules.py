"""RNN, GRU and LSTM as torch modules with everything that rnnlib's layers do, and a choice of how they run.

Each is torch's own module with more: the same weights by the same names, so that state dicts, optimisers, `.to(...)`
and cuDNN's flattened weights work as ever; the gains of a layer norm, which torch has not, beside them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from rnnlib import recurrent
from rnnlib.recurrent.stack import Stack
from rnnlib.torchref.compiling import compiled
from rnnlib.torchref.noise import Rng
from rnnlib.torchref.recording import graph
from rnnlib.torchref.run import Lengths, State, fused, kind_of, loop

FORMS: dict[str, Callable[..., tuple[torch.Tensor, State]]] = {
    "loop": loop,
    "compiled": compiled,
    "graph": graph,
    "compiled graph": partial(graph, compile_steps=True),
    "fused": fused,
}
SHARED = "bidirectional", "dropout", "variational_dropout", "zoneout", "layer_norm"


class Twin(torch.nn.RNNBase):
    """What the three share; made by `twin`, or by the arguments of the layer of the same name in `rnnlib.recurrent`.

    Args:
        input_size, hidden_size, num_layers: D, H and K.
        form: "loop", "compiled", "graph", "compiled graph" or "fused"; it can be changed later.
        device, dtype: where the weights live, and in which precision.
        options: of the layer; from the same `rng` it starts from the same weights. `checkpoint` is not known here.

    Raises:
        TypeError, ValueError: as the layer, for a form that does not exist, and for checkpoint=True.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        form: str = "loop",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
        **options: Any,
    ) -> None:
        if options.pop("checkpoint", False):
            raise ValueError(
                "checkpoint=True saves memory in rnnlib's backward pass; a torch module has none of its own"
            )
        layer = getattr(recurrent, type(self).__name__)(input_size, hidden_size, num_layers, **options)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bidirectional=layer.bidirectional,
            dropout=layer.dropout,
            **layer.cell_options(),
        )
        self.variational_dropout, self.zoneout, self.layer_norm = (getattr(layer, name) for name in SHARED[2:])
        self.reset = getattr(layer, "reset", "after")
        self.form = form
        for name, value in layer.parameters.items():
            if name.startswith("norm"):
                self.register_parameter(name, torch.nn.Parameter(torch.empty(value.shape)))
        self.to(device=device, dtype=dtype)
        self.load_state_dict({name: torch.from_numpy(value) for name, value in layer.parameters.items()})

    @property
    def form(self) -> str:
        """How it runs."""
        return self._form

    @form.setter
    def form(self, form: str) -> None:
        if form not in FORMS:
            raise ValueError(f"form is {form!r}: expected one of {', '.join(FORMS)}")
        self._form = form

    def forward(
        self,
        x: torch.Tensor,
        state: State | None = None,
        lengths: Lengths | None = None,
        *,
        rng: Rng | None = None,
    ) -> tuple[torch.Tensor, State]:
        """Run a batch of sequences; arguments, results and errors are those of the form, see `loop` and `fused`."""
        return FORMS[self.form](self, x, state, lengths, rng=rng)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, form={self.form!r}"


class RNN(Twin, torch.nn.RNN):
    """`rnnlib.recurrent.RNN` in torch; see `Twin`."""


class GRU(Twin, torch.nn.GRU):
    """`rnnlib.recurrent.GRU` in torch, with both reset conventions; see `Twin`."""


class LSTM(Twin, torch.nn.LSTM):
    """`rnnlib.recurrent.LSTM` in torch; see `Twin`."""


TWINS: dict[str, type[Twin]] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}


def twin(
    layer: Stack, form: str = "loop", device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Twin:
    """A torch module that does what a layer of rnnlib does, with copies of its weights.

    Whether the layer keeps checkpoints changes no number but, with zoneout, the masks that it draws; it is not carried
    over.

    Args:
        layer: an RNN, GRU or LSTM of `rnnlib.recurrent`.
        form: see `Twin`.
        device: where the module lives.
        dtype: its precision; None: the layer's.

    Raises:
        ValueError: there is no such form.
    """
    module = TWINS[kind_of(layer)](
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        form=form,
        device=device,
        dtype=dtype or torch_dtype(layer.dtype),
        **options_of(layer),
    )
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.parameters.items()})
    return module


def options_of(owner: Any) -> dict[str, Any]:
    """The options that a layer, or a twin, and no plain torch module shares with every other of its kind."""
    options = {name: getattr(owner, name) for name in SHARED if hasattr(owner, name)}
    kind = kind_of(owner)
    if kind != "LSTM" and isinstance(options.get("zoneout"), Sequence):
        (options["zoneout"],) = options["zoneout"]
    if kind == "RNN":
        options["nonlinearity"] = owner.nonlinearity
    if kind == "GRU":
        options["reset"] = getattr(owner, "reset", "after")
    return options


def torch_dtype(dtype: np.dtype) -> torch.dtype:
    """torch's name for a NumPy dtype."""
    return torch.from_numpy(np.empty(0, dtype)).dtype
