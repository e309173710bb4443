"""What is known about an epoch: sums while it runs, one record when it is over."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

from rnnlib.training.batches import Batch


class Epoch(NamedTuple):
    """One epoch of training.

    Attributes:
        epoch: from 1.
        steps: of the optimiser, since training began.
        loss: the mean over the epoch's targets, each by the parameters of its time; in nats where it is a likelihood.
        perplexity: exp(loss); None where the loss is no likelihood.
        validation_loss, validation_perplexity: the same after the epoch on validation data; None without.
        gradient_norm: before clipping, the mean over the steps.
        gradient_norm_max: the largest of them.
        clipped: the share of steps whose gradient was clipped.
        learning_rate: of the last step.
        padding_ratio: the share of positions that held no data.
        tokens: how many steps of data were read.
        seconds: spent on training, without validation; the one number that differs from run to run.
        measures: what `measure` returned after the epoch.
    """

    epoch: int
    steps: int
    loss: float
    perplexity: float | None
    validation_loss: float | None
    validation_perplexity: float | None
    gradient_norm: float
    gradient_norm_max: float
    clipped: float
    learning_rate: float
    padding_ratio: float
    tokens: int
    seconds: float
    measures: dict[str, float]


@dataclass
class Sums:
    """What has been seen of an epoch so far."""

    loss: float = 0.0  # of all targets
    targets: int = 0
    steps: int = 0
    norm: float = 0.0  # of all steps
    norm_max: float = 0.0
    clipped: int = 0
    learning_rate: float = 0.0
    tokens: int = 0
    positions: int = 0
    seconds: float = 0.0
    since: float = field(default_factory=perf_counter)

    def add(
        self, batches: Sequence[Batch], loss: float, targets: int, norm: float, clipped: bool, learning_rate: float
    ) -> None:
        """Add one step of the optimiser, and the time since the last."""
        now = perf_counter()
        self.loss, self.targets, self.steps = self.loss + loss * targets, self.targets + targets, self.steps + 1
        self.tokens += sum(batch.tokens for batch in batches)
        self.positions += sum(batch.positions for batch in batches)
        self.norm, self.norm_max = self.norm + norm, max(self.norm_max, norm)
        self.clipped, self.learning_rate = self.clipped + clipped, learning_rate
        self.seconds, self.since = self.seconds + now - self.since, now

    def epoch(
        self, epoch: int, steps: int, likelihood: bool, validation_loss: float | None, measures: dict[str, float]
    ) -> Epoch:
        """The record of the finished epoch."""
        loss = self.loss / self.targets
        return Epoch(
            epoch,
            steps,
            loss,
            perplexity(loss) if likelihood else None,
            validation_loss,
            perplexity(validation_loss) if likelihood and validation_loss is not None else None,
            self.norm / self.steps,
            self.norm_max,
            self.clipped / self.steps,
            self.learning_rate,
            1 - self.tokens / self.positions,
            self.tokens,
            self.seconds,
            measures,
        )

    def start_clock(self) -> None:
        """Count seconds from now on."""
        self.since = perf_counter()

    def saved(self) -> dict[str, Any]:
        """The sums in plain values, without the clock."""
        return {name: value for name, value in asdict(self).items() if name != "since"}


def perplexity(loss: float) -> float:
    """exp(loss), of a mean of -log p in nats; infinite where it is too large for a float."""
    return math.exp(loss) if loss < 709 else math.inf
