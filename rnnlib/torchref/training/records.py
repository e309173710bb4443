"""The sums of an epoch, with the steps that float16 skipped beside those that were taken."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnnlib.training import records
from rnnlib.training.batches import Batch
from rnnlib.training.records import Epoch


@dataclass
class Sums(records.Sums):
    """What has been seen of an epoch so far; a skipped step has a loss and data, and no norm."""

    skipped: int = 0

    def skip(self, batches: Sequence[Batch], loss: float, targets: int, learning_rate: float) -> None:
        """Add a step that was not taken."""
        self.add(batches, loss, targets, 0.0, False, learning_rate)
        self.steps, self.skipped = self.steps - 1, self.skipped + 1

    def epoch(
        self, epoch: int, steps: int, likelihood: bool, validation_loss: float | None, measures: dict[str, float]
    ) -> Epoch:
        """The record of the finished epoch; its norms are NaN where every step was skipped."""
        if self.steps:
            return super().epoch(epoch, steps, likelihood, validation_loss, measures)
        none = replace(self, steps=1, norm=math.nan, norm_max=math.nan)
        return none.epoch(epoch, steps, likelihood, validation_loss, measures)
