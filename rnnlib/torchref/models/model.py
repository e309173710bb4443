"""What training asks of a torch model; the sibling of `rnnlib.models.model`."""

from typing import Any, ClassVar, NamedTuple

import torch

from rnnlib.models.model import Model
from rnnlib.torchref.run import State


class TorchForward(NamedTuple):
    """What a model says about one batch.

    Attributes:
        loss: the mean over so many targets, without axes, at least float32; gradients flow back from it.
        targets: how many hold data; what a mean over several batches is weighed by.
        state: of the recurrent layer after the batch, not detached, for a model that can go on from it; otherwise None.
    """

    loss: torch.Tensor
    targets: int
    state: State | None


class TorchModel(torch.nn.Module):
    """A model of rnnlib as a torch module; made by `twin_model`.

    Its `forward` takes what the rnnlib model's takes: arrays, lists, or tensors on its device. Lengths are needed on
    the host, and best stay there. A class or an id out of range raises ValueError while it is on the host; on a GPU,
    where looking at it would stop the queue, it is for torch's kernels to refuse.

    Args:
        model: whose twin it is.
        reads: reader and form, for a subclass that is its own `TorchReader`.

    Attributes:
        likelihood: whether the loss is a mean of -log p, so that exp(loss) is a perplexity.
    """

    likelihood: ClassVar[bool] = True

    def __init__(self, model: Model, *reads: Any) -> None:
        super().__init__(*reads)
        self.about = model.describe()

    def describe(self) -> dict[str, Any]:
        """What the rnnlib model's `describe` says, with the module's own dtype."""
        dtype = str(next(self.parameters()).dtype).removeprefix("torch.")
        return {key: dtype if is_dtype(key) else value for key, value in self.about.items()}


def is_dtype(key: str) -> bool:
    """Whether a part's precision stands under a key of `describe`."""
    return key.rpartition(".")[2] == "dtype"


def refuse_state(state: State | None) -> None:
    """For a model that reads each sequence as a whole.

    Raises:
        ValueError: a state was given.
    """
    if state is not None:
        raise ValueError(
            "a state came to a model that reads whole sequences and cannot go on from the window before: leave it out, "
            "and cut the data into sequences"
        )
