"""Models: parts put together for a task, each with a loss over a batch and the gradient of that loss.

A model is a thin object. It owns parameters under dotted names, keeps nothing between calls, and says how its parts are
connected; the mathematics stays in `cells`, `layers`, `attention` and `losses`. Optimisers do not come in here.

    language      LanguageModel: the next token, carried state, drawing text
    classifier    SequenceClassifier: one label for a sequence
    tagger        SequenceTagger: one label for a step
    seq2seq       EncoderDecoder: a sequence for a sequence, with attention
    ngram         NGram: the next token by counting, a rival to beat
    forecaster    Forecaster, StepForecaster: numbers to come
    steps         what answers at every step share
    reader, pooling, attending, readout    the parts
    model         what training asks of a model
"""

from rnnlib.models.classifier import SequenceClassifier
from rnnlib.models.forecaster import Forecaster, StepForecaster
from rnnlib.models.language import LanguageModel, sample
from rnnlib.models.model import Forward, Loss, Model
from rnnlib.models.seq2seq import Decoded, EncoderDecoder
from rnnlib.models.tagger import SequenceTagger

__all__ = [
    "Decoded",
    "EncoderDecoder",
    "Forecaster",
    "Forward",
    "LanguageModel",
    "Loss",
    "Model",
    "SequenceClassifier",
    "SequenceTagger",
    "StepForecaster",
    "sample",
]
