"""One answer for a whole sequence: classifier and forecaster."""

import torch

from rnnlib.models.classifier import SequenceClassifier
from rnnlib.models.forecaster import Forecaster
from rnnlib.torchref.models.batch import Counts, Values, as_tensor, counted
from rnnlib.torchref.models.losses import cross_entropy, mean_squared_error, wide
from rnnlib.torchref.models.model import TorchForward, TorchModel, refuse_state
from rnnlib.torchref.models.reader import TorchReader
from rnnlib.torchref.models.readout import TorchReadout
from rnnlib.torchref.noise import Rng
from rnnlib.torchref.run import Lengths, State


class TorchWholeModel(TorchModel, TorchReader):
    """What the two share.

    Args:
        model: a classifier or a forecaster.
        form: how the recurrent twin runs.
    """

    pooling = "last"

    def __init__(self, model: SequenceClassifier | Forecaster, form: str) -> None:
        super().__init__(model, model.reader, form)
        self.head = TorchReadout(model.head)

    def answer(self, inputs: Values, lengths: Lengths | None, rng: Rng | None) -> torch.Tensor:
        """The readout of each sequence, (N, outputs)."""
        given = as_tensor(inputs)
        counts = counted(lengths, given.shape)
        hs, state = self.read(given, counts, None, rng)
        pooled = last(state, 2 if self.rnn.bidirectional else 1) if self.pooling == "last" else mean(hs, counts)
        return self.head(pooled, rng)


class TorchSequenceClassifier(TorchWholeModel):
    """`rnnlib.models.SequenceClassifier` in torch."""

    def __init__(self, model: SequenceClassifier, form: str) -> None:
        super().__init__(model, form)
        self.pooling = model.read

    def forward(
        self,
        inputs: Values,
        labels: Values,
        lengths: Lengths | None = None,
        *,
        state: State | None = None,
        rng: Rng | None = None,
    ) -> TorchForward:
        """The mean loss over the sequences; arguments, results and errors as those of `SequenceClassifier.forward`."""
        refuse_state(state)
        logits = self.answer(inputs, lengths, rng)
        return TorchForward(cross_entropy(logits, as_tensor(labels), None), len(logits), None)


class TorchForecaster(TorchWholeModel):
    """`rnnlib.models.Forecaster` in torch."""

    likelihood = False

    def __init__(self, model: Forecaster, form: str) -> None:
        super().__init__(model, form)
        self.horizon, self.output_size = model.horizon, model.output_size

    def forward(
        self,
        inputs: Values,
        targets: Values,
        lengths: Lengths | None = None,
        *,
        state: State | None = None,
        rng: Rng | None = None,
    ) -> TorchForward:
        """The mean squared error of the horizon; arguments, results and errors as those of `Forecaster.forward`."""
        refuse_state(state)
        y = self.answer(inputs, lengths, rng)
        predictions = y.reshape(len(y), self.horizon, self.output_size).swapaxes(0, 1)
        return TorchForward(mean_squared_error(predictions, as_tensor(targets), None), len(y), None)


def last(state: State, directions: int) -> torch.Tensor:
    """h after the last valid step of each direction of the top layer, (N, H * directions)."""
    h = state[0] if isinstance(state, tuple) else state
    return torch.cat(list(h[-directions:]), dim=1)


def mean(hs: torch.Tensor, counts: Counts) -> torch.Tensor:
    """The mean of (T, N, H), zero on padding, over the valid steps of each sequence; zero for one without steps."""
    steps = torch.full((hs.shape[1],), len(hs)) if counts is None else torch.tensor(counts).clamp(min=1)
    # m = (1/length) Σ_t h_t
    return (wide(hs) / steps.to(hs.device)[:, None]).sum(dim=0).to(hs.dtype)
