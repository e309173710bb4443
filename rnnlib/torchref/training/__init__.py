"""Training on a device: the sibling of `rnnlib.training` for torch modules, with the same data, words and records.

    loop          train: epochs, steps, early stopping
    step          the gradient of one step, accumulated over batches, clipped, and taken; evaluation
    precision     bfloat16 and float16 beside the module's own numbers, and the scale of float16's loss
    records       the sums of an epoch, with the steps that float16 skipped
    feeding       batches on their way to the device while it still computes
    checkpoint    a run on disk, and its exact continuation
    profiling     tokens per second and memory over truncation length and batch size

Batches, bucketing, reports, records and schedules are those of `rnnlib.training` and `rnnlib.optim`; optimisers are
torch's. What multiplies gradients by hand does not come in here: autograd does the backward pass.
"""

from rnnlib.torchref.training.checkpoint import Checkpoint
from rnnlib.torchref.training.loop import train
from rnnlib.torchref.training.profiling import Profile, profile
from rnnlib.torchref.training.step import evaluate

__all__ = ["Checkpoint", "Profile", "evaluate", "profile", "train"]
