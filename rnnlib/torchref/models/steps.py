"""One answer at every step: language model, tagger and step-by-step forecaster, alike but for their loss."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from rnnlib.models.steps import StepModel
from rnnlib.torchref.models.batch import Values, as_tensor, counted
from rnnlib.torchref.models.losses import cross_entropy, mean_squared_error
from rnnlib.torchref.models.model import TorchForward, TorchModel
from rnnlib.torchref.models.reader import TorchReader
from rnnlib.torchref.models.readout import TorchReadout
from rnnlib.torchref.noise import Rng
from rnnlib.torchref.run import Lengths


class TorchStepModel(TorchModel, TorchReader):
    """`rnnlib.models.steps.StepModel` in torch.

    Args:
        model: a language model, a tagger or a step-by-step forecaster.
        form: how the recurrent twin runs.
    """

    objective: ClassVar[Callable[..., torch.Tensor]] = staticmethod(cross_entropy)

    def __init__(self, model: StepModel, form: str) -> None:
        super().__init__(model, model.reader, form)
        self.head = TorchReadout(model.head, self.embedding.weight if model.head.tied else None)

    def forward(
        self,
        inputs: Values,
        targets: Values,
        lengths: Lengths | None = None,
        *,
        state: Any = None,
        rng: Rng | None = None,
    ) -> TorchForward:
        """The mean loss over the valid steps; arguments, results and errors as those of `StepModel.forward`."""
        given, wanted = as_tensor(inputs), as_tensor(targets)
        counts = counted(lengths, given.shape)
        hs, last = self.read(given, counts, state, rng)
        loss = type(self).objective(self.head(hs, rng), wanted, counts)
        return TorchForward(loss, hs.shape[0] * hs.shape[1] if counts is None else sum(counts), last)


class TorchLanguageModel(TorchStepModel):
    """`rnnlib.models.LanguageModel` in torch."""


class TorchSequenceTagger(TorchStepModel):
    """`rnnlib.models.SequenceTagger` in torch."""


class TorchStepForecaster(TorchStepModel):
    """`rnnlib.models.StepForecaster` in torch."""

    likelihood = False
    objective: ClassVar[Callable[..., torch.Tensor]] = staticmethod(mean_squared_error)
