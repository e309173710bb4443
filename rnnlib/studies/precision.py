"""The study of lesson 23: does a network that computes in halves learn as well? With the number formats it is about.

Forward passes are torch's, by `rnnlib.torchref`; what is rounded beside them, and the scale of the loss, is written out
here in NumPy, so that each can be looked at and left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.models import LanguageModel
from rnnlib.optim import Adam, clip_by_global_norm
from rnnlib.studies import training
from rnnlib.studies.study import Measures, Study
from rnnlib.training import Stream, evaluate

# ---- number formats ------------------------------------------------------------------------------------------------


class Format(NamedTuple):
    """A binary floating-point format.

    Attributes:
        digits: binary digits of a number, the leading one among them.
        low: exponent of the smallest number that has all of them.
        high: exponent of the largest.

    Reference:
        IEEE 754-2019, table 3.5 for binary16 and binary32; Kalamkar et al. (2019), A study of BFLOAT16, table 1.
    """

    digits: int
    low: int
    high: int

    @property
    def largest(self) -> float:
        """What lies half a spacing or more above it becomes infinite."""
        return (2 - 2.0 ** (1 - self.digits)) * 2.0**self.high

    @property
    def smallest(self) -> float:
        """The smallest positive number, with a single digit; what is at most half of it becomes zero."""
        return 2.0 ** (self.low + 1 - self.digits)


FORMATS = {"float32": Format(24, -126, 127), "bfloat16": Format(8, -126, 127), "float16": Format(11, -14, 15)}


def rounded(x: ArrayLike, form: Format) -> np.ndarray:
    """Each number as the nearest of a format, a tie to the even one; ±inf beyond its range.

    Args:
        x: any shape; computed in float64, so that no format here loses a digit on the way.
        form: see FORMATS.
    """
    x = np.asarray(x, dtype=np.float64)
    exponent = np.maximum(np.frexp(x)[1] - 1, form.low)
    spacing = np.ldexp(1.0, exponent + 1 - form.digits)
    nearest = np.rint(x / spacing) * spacing
    return np.where(np.abs(nearest) > form.largest, np.copysign(np.inf, x), nearest)


class LossScale:
    """The scale of a loss that follows what overflows: halved by a gradient that is not finite, doubled after a while.

    Args:
        scale: at the start.
        wait: so many steps in a row without an overflow double it.

    Reference:
        Micikevicius et al. (2018), Mixed precision training, section 3.2; `torch.amp.GradScaler` does the same.
    """

    def __init__(self, scale: float = 2.0**16, wait: int = 2000) -> None:
        self.scale, self.wait, self.good = scale, wait, 0

    def take(self, finite: bool) -> bool:
        """Whether a step may be taken whose gradient is finite or not; then the scale for the next."""
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.scale /= 2
        elif self.good == self.wait:
            self.scale, self.good = 2 * self.scale, 0
        return finite


# ---- the study -----------------------------------------------------------------------------------------------------

UNITS, ROWS, WINDOW = 24, 16, 16
SMALL = 4096  # 256 targets a step here: as many times more would be a million


class Arm(NamedTuple):
    """How a run computes.

    Attributes:
        products: the precision of the forward pass as `rnnlib.torchref.training` calls it; None: float32.
        scaled: whether a LossScale multiplies the loss.
        weights: the format in which weights are kept from step to step.
        share: what the loss is multiplied by on its way back, and the gradient divided by: the smaller, the smaller
            are the numbers in between. A mean over n times as many targets has 1/n.
        rate: of Adam.
    """

    products: str | None
    scaled: bool = False
    weights: str = "float32"
    share: float = 1.0
    rate: float = 0.01


ARMS = {
    "float32": Arm(None),
    "bfloat16": Arm("bf16"),
    "bfloat16, weights too": Arm("bf16", weights="bfloat16"),
    "float16": Arm("fp16"),
    "float16, scaled": Arm("fp16", scaled=True),
    f"float16, loss / {SMALL}": Arm("fp16", share=1 / SMALL),
    f"float16, loss / {SMALL}, scaled": Arm("fp16", scaled=True, share=1 / SMALL),
    "small steps": Arm(None, rate=0.001),
    "small steps, bfloat16 weights": Arm("bf16", weights="bfloat16", rate=0.001),
}


def learn(arm: str, seed: int, steps: int) -> Measures:
    """Train a small language model in one of the ARMS and judge it, in float32, by text that comes later.

    Returns:
        test: its loss there, nats for each character; skipped: steps that overflowed; zeros: the share of gradient
        entries that were zero at the last step.

    Raises:
        ImportError: torch is not installed.
        Unsupported: it has no kernel for these numbers here.
    """
    from rnnlib.torchref.models import twin_model
    from rnnlib.torchref.training.precision import Arithmetic

    how, scale = ARMS[arm], LossScale(wait=50)
    ids, _, judge, V = training.piece(seed, ROWS * WINDOW * steps + ROWS)
    model = LanguageModel(V, "gru", hidden_size=UNITS, embedding_size=12, dtype=np.float32, rng=seed)
    module = twin_model(model, form="loop")
    arithmetic = Arithmetic(module, how.products)  # type: ignore[arg-type]
    weights = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}  # the same memory
    optimizer, state, skipped = Adam(weights, how.rate), None, 0
    for batch in Stream(ids, ROWS, WINDOW).epoch(np.random.default_rng(seed)):
        factor = how.share * (scale.scale if how.scaled else 1.0)
        module.zero_grad()
        forward = arithmetic.forward(module, *batch.arguments, state=state)
        (factor * forward.loss).backward()
        state = None if forward.state is None else forward.state.detach()
        gradients = {name: parameter.grad.numpy() / factor for name, parameter in module.named_parameters()}
        finite = all(np.isfinite(gradient).all() for gradient in gradients.values())
        if not (scale.take(finite) if how.scaled else finite):
            skipped += 1
            continue
        optimizer.step(clip_by_global_norm(gradients, 1.0)[0])
        for weight in weights.values():
            weight[...] = rounded(weight, FORMATS[how.weights])
    for name, weight in weights.items():
        model.parameters[name][...] = weight
    zeros = np.concatenate([gradient.ravel() == 0 for gradient in gradients.values()]).mean()
    return {"test": evaluate(model, Stream(judge, 16, 50)), "skipped": skipped, "zeros": float(zeros)}


precision = Study(
    "precision",
    "Does a language model that computes in halves read as well as one in float32?",
    tuple(ARMS),
    lambda arm, seed, full: learn(arm, seed, 150 if full else 12),
    quick=2,
    full=10,
)
