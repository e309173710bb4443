"""In which numbers a network computes: its own, or halves of them in the forward pass with the weights kept whole."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias

import torch

from rnnlib.torchref.run import Unsupported

Precision: TypeAlias = Literal["bf16", "fp16"]
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MISSING = "not implemented for", "primitive"  # how torch and oneDNN say that they have no such kernel


class Arithmetic:
    """The numbers of a forward pass, and what keeps small gradients from vanishing in them.

    Args:
        module: all of it on one device and in one dtype.
        precision: "bf16": matrix products in bfloat16, which has float32's range and 8 bits of its 24; "fp16": in
            float16, which has 11 bits but nothing above 65504 and little below 6e-8, so that the loss is multiplied by
            a scale that follows what overflows; None: everything in the module's own dtype. TF32 is none of these: it
            is a switch of the whole process, `torch.set_float32_matmul_precision("high")`.

    Attributes:
        device, dtype: of the module.
        scaler: of the loss; it does nothing but for fp16.

    Raises:
        ValueError: the module lies on several devices or mixes dtypes, its weights are halves themselves, or the
            precision is unknown or needs float32 weights.

    Reference:
        Micikevicius et al. (2018), Mixed precision training: master weights in float32, and scaling of the loss.
    """

    def __init__(self, module: torch.nn.Module, precision: Precision | None) -> None:
        self.device, self.dtype = place(module)
        if precision not in (None, *HALVES):
            raise ValueError(
                f"precision is {precision!r}: expected None, the module's own numbers, or one of {', '.join(HALVES)}; "
                "for float32 or float64 convert the module with .to(...)"
            )
        if precision and self.dtype != torch.float32:
            raise ValueError(
                f"the module is {self.dtype} and precision is {precision!r}: expected float32 weights, from which the "
                "forward pass makes halves; call module.float() before making the optimiser"
            )
        self.precision = precision
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """Where a forward pass runs."""
        return torch.autocast(self.device.type, HALVES[self.precision]) if self.precision else nullcontext()

    def forward(self, module: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        """What the module says about a batch.

        Raises:
            Unsupported: this device has no kernel for the precision.
        """
        try:
            with self.autocast():
                return module(*arguments, **options)
        except RuntimeError as error:
            if self.precision and any(words in str(error) for words in MISSING):
                raise Unsupported(
                    f"torch has no {self.precision} kernel for a part of the module on {self.device.type}: use another "
                    f'precision, another form of the layer (form="loop"), or a GPU. It says: {error}'
                ) from error
            raise


def place(module: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """The device and the dtype that all parameters share.

    Raises:
        ValueError: there is no parameter, they do not share them, or they are halves.
    """
    parameters = list(module.parameters())
    devices, dtypes = {p.device for p in parameters}, {p.dtype for p in parameters}
    if len(devices) != 1 or len(dtypes) != 1:
        raise ValueError(
            f"the module's parameters lie on {sorted(map(str, devices))} as {sorted(map(str, dtypes))}: expected one "
            "device and one dtype; call module.to(device, dtype) before making the optimiser"
        )
    (device,), (dtype,) = devices, dtypes
    if dtype in HALVES.values():
        raise ValueError(
            f"the module's weights are {dtype}: a small step added to one is rounded away; keep them in float32 and "
            'say precision="bf16" or "fp16"'
        )
    return device, dtype
