"""Models across the border: parameters out into a torch module, and back when it has learned."""

from typing import Any

import torch

from rnnlib.models import (
    EncoderDecoder,
    Forecaster,
    LanguageModel,
    Model,
    SequenceClassifier,
    SequenceTagger,
    StepForecaster,
)
from rnnlib.torchref.models.model import TorchModel, is_dtype
from rnnlib.torchref.models.seq2seq import TorchEncoderDecoder
from rnnlib.torchref.models.steps import TorchLanguageModel, TorchSequenceTagger, TorchStepForecaster
from rnnlib.torchref.models.wholes import TorchForecaster, TorchSequenceClassifier
from rnnlib.torchref.modules import Twin
from rnnlib.torchref.run import Unsupported, refuse_what_torch_lacks

TWINS: dict[type[Model], Any] = {
    EncoderDecoder: TorchEncoderDecoder,
    Forecaster: TorchForecaster,
    LanguageModel: TorchLanguageModel,
    SequenceClassifier: TorchSequenceClassifier,
    SequenceTagger: TorchSequenceTagger,
    StepForecaster: TorchStepForecaster,
}


def twin_model(
    model: Model,
    *,
    form: str = "fused",
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> TorchModel:
    """A torch module that computes a model's loss, from copies of its parameters under the same names.

    Given the same NumPy Generator it drops what the model drops, with two exceptions: the fused kernel draws for itself
    what it drops between layers (`dropout` of a layer, seeded from the Generator), and a layer with `checkpoint` and
    `zoneout` holds other entries, at the same rate. Checkpointing itself, which saves memory in rnnlib's backward pass,
    is not carried over. A parameter is frozen as ever in torch: by `requires_grad_(False)`, or by its optimiser.

    Args:
        model: one of the six of `rnnlib.models`.
        form: how the recurrent layers run: "fused", "loop", "compiled", "graph" or "compiled graph"; see
            `rnnlib.torchref`. Fused is torch's own kernel: it knows neither layer norm, variational dropout and zoneout
            nor reset="before", and no sequence of length 0; every other form does.
        device: where the module lives.
        dtype: its precision; None: the model's.

    Raises:
        TypeError: it is another model: one of your own computes what nobody here knows.
        Unsupported: a layer has what the fused form lacks.
        ValueError: there is no such form, or one array stands under two names, as where encoder and decoder were given
            the same layer.
    """
    if type(model) not in TWINS:
        raise TypeError(
            f"the model is a {type(model).__name__}: expected one of {', '.join(kind.__name__ for kind in TWINS)} "
            "itself; a subclass may compute something else, so write its module beside it, on TorchModel"
        )
    check_apart(model)
    module: TorchModel = TWINS[type(model)](model, form)
    if form == "fused":
        for layer in (part for part in module.modules() if isinstance(part, Twin)):
            refuse_fused(layer)
    return module.to(device=device, dtype=dtype)


def check_apart(model: Model) -> None:
    """Whether every parameter has an array of its own.

    Raises:
        ValueError: two share one.
    """
    names: dict[int, str] = {}
    for name, array in model.parameters.items():
        first = names.setdefault(id(array), name)
        if first != name:
            raise ValueError(
                f"parameters {first!r} and {name!r} are the same array, and would become two that learn apart: give "
                "encoder and decoder a layer each"
            )


def refuse_fused(layer: Twin) -> None:
    """Say what a layer has that torch's kernel lacks.

    Raises:
        Unsupported: it has something.
    """
    try:
        refuse_what_torch_lacks(layer)
    except Unsupported as error:
        raise Unsupported(f'form="fused" cannot run this model, form="loop" can: {error}') from error


def write_back(module: TorchModel, model: Model) -> None:
    """Copy a module's parameters into a model, in place and in the model's dtype; where it raises, nothing has changed.

    An optimiser of the model goes on with the new values, and keeps what it remembers.

    Args:
        module: from `twin_model`, of this model or of one built alike.
        model: whose arrays take the values.

    Raises:
        TypeError: the module is no TorchModel.
        ValueError: the two do not belong together: they are different models, or differ in an option or a shape.
    """
    if not isinstance(module, TorchModel):
        raise TypeError(f"the module is a {type(module).__name__}: expected what `twin_model` made")
    ours, theirs = (
        {key: value for key, value in owner.describe().items() if not is_dtype(key)} for owner in (module, model)
    )
    values, arrays = dict(module.named_parameters()), model.parameters
    ours |= {f"parameters.{name}": tuple(value.shape) for name, value in values.items()}
    theirs |= {f"parameters.{name}": array.shape for name, array in arrays.items()}
    for key in [*ours, *theirs]:
        if ours.get(key) != theirs.get(key):
            raise ValueError(
                f"module and model do not belong together: {key} is {ours.get(key)!r} here and {theirs.get(key)!r} "
                "there; write back into the model that was carried over, or into one built with the same arguments"
            )
    for name, value in values.items():
        arrays[name][...] = value.detach().to("cpu", torch.promote_types(value.dtype, torch.float32)).numpy()
