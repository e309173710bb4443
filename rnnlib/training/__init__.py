"""Training: a loop that knows neither the kind of model nor the kind of data, and what stands around it.

    loop          train: epochs, steps, early stopping
    step          the gradient of one step, accumulated over batches; evaluation; what is not finite
    batches       Stream, Sequences, Pairs: the batches of an epoch
    records       the numbers of an epoch
    checkpoint    a run on disk, and its exact continuation
    reports       JSON lines, progress
    tracking      MLflow in a local file

Models, losses and optimisers come from the rooms above; pictures of a run are drawn elsewhere from its records.
"""

from rnnlib.training.batches import Batch, Data, Pairs, Sequences, Stream
from rnnlib.training.checkpoint import Checkpoint
from rnnlib.training.loop import train
from rnnlib.training.records import Epoch
from rnnlib.training.reports import JsonLines, PlainProgress, Report, progress
from rnnlib.training.step import evaluate
from rnnlib.training.tracking import MLflow

__all__ = [
    "Batch",
    "Checkpoint",
    "Data",
    "Epoch",
    "JsonLines",
    "MLflow",
    "Pairs",
    "PlainProgress",
    "Report",
    "Sequences",
    "Stream",
    "evaluate",
    "progress",
    "train",
]
