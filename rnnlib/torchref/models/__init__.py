"""The models of `rnnlib.models` as torch modules: the same loss from the same parameters, on any device.

Each is a `torch.nn.Module` whose parameters have rnnlib's names. It is called with a batch and gives a `TorchForward`;
autograd does the backward pass, and so nothing here computes a gradient. Predicting, generating and everything else
that is no training is done by the rnnlib model, after `write_back`.

    carry         twin_model and write_back: from rnnlib and back
    model         what training asks of a module
    steps         LanguageModel, SequenceTagger, StepForecaster: an answer at every step
    wholes        SequenceClassifier, Forecaster: one answer for a sequence
    seq2seq       EncoderDecoder
    reader, readout, attending    the parts
    losses, dropping, batch       what they share: masked losses, what is dropped, arguments as tensors
"""

from rnnlib.torchref.models.carry import twin_model, write_back
from rnnlib.torchref.models.model import TorchForward, TorchModel

__all__ = ["TorchForward", "TorchModel", "twin_model", "write_back"]
