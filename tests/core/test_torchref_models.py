"""torchref's models: rnnlib's losses, gradients, masks and loss curves, and parameters that find their way back."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.models import (
    EncoderDecoder,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    StepForecaster,
)
from rnnlib.optim import Adam, clip_by_global_norm
from rnnlib.recurrent import GRU, LSTM, RNN

torch = pytest.importorskip("torch")
torchref = pytest.importorskip("rnnlib.torchref")
models = pytest.importorskip("rnnlib.torchref.models")
twin_model, write_back = models.twin_model, models.write_back

T, N, V, D, H = 6, 4, 7, 3, 5
LIMIT = 0.35  # of a gradient's norm: within reach, and not always reached
SOME = np.array([4, 1, 6, 3])
NONE_IN_ONE = np.array([4, 0, 5, 2])
NOISE = {"input_dropout": 0.3, "output_dropout": 0.3}
BOTH = {"bidirectional": True, "num_layers": 2}
PLAIN = {"dropout": 0.0, "variational_dropout": 0.0, "zoneout": 0.0, "layer_norm": False}  # what fused can do
HELD = {"zoneout": 0.2, "variational_dropout": 0.3}


def made(kind, *arguments, rng, **options):
    return kind(*arguments, hidden_size=H, rng=rng, **options)


def ids(rng, classes, lengths, steps=T, garbage=-9):
    """Tokens, with what is no token on the padding."""
    tokens = rng.integers(0, classes, (steps, N))
    return tokens if lengths is None else np.where(np.arange(steps)[:, None] < lengths, tokens, garbage)


def numbers(rng, lengths, size=D):
    """Numbers, NaN on the padding."""
    x = rng.standard_normal((T, N, size))
    if lengths is not None:
        x[np.arange(T)[:, None] >= lengths] = np.nan
    return x


def language(layer, lengths, rng, **options):
    model = made(LanguageModel, V, layer, rng=rng, **options)
    return model, (ids(rng, V, lengths), ids(rng, V, lengths, garbage=-100), lengths)


def tagger(layer, lengths, rng, **options):
    model = made(SequenceTagger, 3, layer, vocabulary_size=V, rng=rng, **options)
    return model, (ids(rng, V, lengths), ids(rng, 3, lengths), lengths)


def tagger_of_numbers(layer, lengths, rng, **options):
    model = made(SequenceTagger, 3, layer, input_size=D, rng=rng, **options)
    return model, (numbers(rng, lengths), ids(rng, 3, lengths), lengths)


def classifier(layer, lengths, rng, **options):
    model = made(SequenceClassifier, 3, layer, vocabulary_size=V, rng=rng, **options)
    return model, (ids(rng, V, lengths), rng.integers(0, 3, N), lengths)


def classifier_of_numbers(layer, lengths, rng, **options):
    model = made(SequenceClassifier, 3, layer, input_size=D, rng=rng, **options)
    return model, (numbers(rng, lengths), rng.integers(0, 3, N), lengths)


def forecaster(layer, lengths, rng, **options):
    model = made(Forecaster, D, layer, horizon=2, rng=rng, **options)
    return model, (numbers(rng, lengths), rng.standard_normal((2, N, model.output_size)), lengths)


def step_forecaster(layer, lengths, rng, **options):
    model = made(StepForecaster, D, layer, rng=rng, **options)
    return model, (numbers(rng, lengths), numbers(rng, lengths, len(model.head.weights["bias"])), lengths)


def seq2seq(layer, lengths, rng, **options):
    model = made(EncoderDecoder, V, 6, layer, bos=5, eos=4, rng=rng, **options)
    target_lengths = None if lengths is None else np.array([3, 5, 1, 4])
    return model, (ids(rng, V, lengths), ids(rng, 6, target_lengths, 5), lengths, target_lengths)


CASES = {
    "language": (language, {}),
    "language, tied": (language, {"tie_weights": True, "token_dropout": 0.3, **NOISE}),
    "language, every noise": (language, {"num_layers": 2, "token_dropout": 0.2, "layer_norm": True, **HELD, **NOISE}),
    "tagger": (tagger, {"embedding_size": 3, "token_dropout": 0.3, **BOTH, **NOISE}),
    "tagger of numbers": (tagger_of_numbers, {"layer_norm": True, **BOTH}),
    "classifier": (classifier, {"token_dropout": 0.3, "dropout": 0.3, **BOTH, **NOISE}),
    "classifier by the mean": (classifier, {"read": "mean", "output_dropout": 0.5}),
    "classifier of numbers": (classifier_of_numbers, {**BOTH, **HELD}),
    "classifier of numbers by the mean": (classifier_of_numbers, {"read": "mean", **BOTH, **NOISE}),
    "forecaster": (forecaster, {**BOTH, **NOISE}),
    "forecaster of another size": (forecaster, {"output_size": 2}),
    "step forecaster": (step_forecaster, {"num_layers": 2, "dropout": 0.3, **NOISE}),
    "step forecaster of another size": (step_forecaster, {"output_size": 2}),
    "seq2seq": (seq2seq, {"attention": None, "num_layers": 2, "dropout": 0.3, "sampling": 0.4}),
    "seq2seq, dot": (seq2seq, {"attention": "dot", "sampling": 0.5, **BOTH, **NOISE}),
    "seq2seq, additive": (seq2seq, {"embedding_size": 3, "sampling": 1.0, "token_dropout": 0.3}),
    "seq2seq, additive, held": (seq2seq, {"layer_norm": True, **BOTH, **HELD}),
}
every_case = pytest.mark.parametrize("case", CASES)
every_layer = pytest.mark.parametrize("layer", ["rnn", "gru", "lstm"])
SIX = ["language, tied", "tagger", "classifier by the mean", "forecaster", "step forecaster", "seq2seq, dot"]


def problem(case, layer="lstm", lengths=SOME, **changes):
    make, options = CASES[case]
    return make(layer, lengths, np.random.default_rng(1), **options | changes)


def rng(seed=3):
    return np.random.default_rng(seed)


def gradients(module):
    return {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}


def assert_same(model, module, batch, seed):
    """Loss and every gradient of both, with what a Generator drops, and the Generator afterwards."""
    ours, theirs = (None, None) if seed is None else (rng(seed), rng(seed))
    expected, forward = model.loss(*batch, rng=ours), module(*batch, rng=theirs)
    module.zero_grad()
    forward.loss.backward()
    assert forward.loss.item() == pytest.approx(float(expected.value), rel=1e-10, abs=0)
    assert forward.targets == expected.targets
    assert type(forward.targets) is int
    found = gradients(module)
    assert set(found) == set(model.parameters)
    largest = max(np.abs(gradient).max() for gradient in expected.gradients.values())
    for name, gradient in expected.gradients.items():
        bound = 1e-10 * max(np.abs(gradient).max(), 1e-6 * largest)
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=bound, err_msg=name)
    for a, b in zip(tensors(forward.state), tensors(expected.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    assert seed is None or ours.random() == theirs.random(), "the Generator ends elsewhere"


def tensors(state):
    parts = () if state is None else state if isinstance(state, tuple) else (state,)
    return [part.detach().numpy() if isinstance(part, torch.Tensor) else part for part in parts]


@every_layer
@every_case
@pytest.mark.parametrize("seed", [None, 5], ids=["evaluation", "training"])
@pytest.mark.parametrize("lengths", [None, NONE_IN_ONE], ids=["full", "ragged"])
def test_loss_and_gradients_are_rnnlibs(case, layer, seed, lengths):
    model, batch = problem(case, layer, lengths)
    assert_same(model, twin_model(model, form="loop"), batch, seed)


@every_layer
@every_case
@pytest.mark.parametrize("lengths", [None, SOME], ids=["full", "ragged"])
def test_the_fused_form_gives_rnnlibs_numbers_too(case, layer, lengths):
    model, batch = problem(case, layer, lengths, **PLAIN)
    for seed in (None, 5):
        assert_same(model, twin_model(model), batch, seed)


@st.composite
def built_layers(draw):
    """A layer with any options; the reader takes it as it is."""
    kind = draw(st.sampled_from([RNN, GRU, LSTM]))
    options = {"num_layers": draw(st.integers(1, 2)), "bidirectional": draw(st.booleans())}
    if kind is GRU and draw(st.booleans()):
        options["reset"] = "before"
    elif draw(st.booleans()):
        options |= {"layer_norm": draw(st.booleans()), "zoneout": 0.2, "variational_dropout": 0.3}
    if kind is RNN:
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    return kind(D, H, rng=draw(st.integers(0, 99)), **options)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(built_layers(), st.lists(st.integers(0, T), min_size=N, max_size=N), st.sampled_from(["last", "mean"]))
def test_any_built_layer_and_any_lengths_give_rnnlibs_numbers(layer, lengths, read):
    generator = rng(0)
    model = SequenceClassifier(3, layer, read=read, input_size=D, rng=0, **NOISE)
    batch = numbers(generator, lengths), generator.integers(0, 3, N), lengths
    for seed in (None, 5):
        assert_same(model, twin_model(model, form="loop"), batch, seed)


def clip(module, limit):
    """Clipping as in rnnlib: torch's clip_grad_norm_ adds 1e-6 to the norm, which a curve shows in its eighth digit."""
    grads = [parameter.grad for parameter in module.parameters()]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(grad) for grad in grads]))
    if norm > limit:
        for grad in grads:
            grad.mul_(limit / norm)


@pytest.mark.parametrize("form", ["loop", "fused"])
@pytest.mark.parametrize("case", SIX)
def test_both_walk_the_same_loss_curve(case, form):
    model, _ = problem(case, "lstm", dropout=0.0)
    module = twin_model(model, form=form)
    batches = [CASES[case][0]("lstm", lengths, rng(k))[1] for k, lengths in enumerate([SOME, None, SOME[::-1].copy()])]
    optimizer, sibling = Adam(model.parameters, 2e-2), torch.optim.Adam(module.parameters(), 2e-2)
    ours, theirs, clipped = [], [], 0
    for step in range(50):
        batch = batches[step % 3]
        result = model.loss(*batch, rng=rng(step))
        found, norm = clip_by_global_norm(result.gradients, LIMIT)
        optimizer.step(found)
        forward = module(*batch, rng=rng(step))
        sibling.zero_grad()
        forward.loss.backward()
        clip(module, LIMIT)
        sibling.step()
        ours.append(float(result.value))
        theirs.append(forward.loss.item())
        clipped += norm > LIMIT
    assert 0 < clipped < 50, "clipping was seen always or never"
    assert sum(ours[-9:]) < sum(ours[:9]), "nothing was learned"
    np.testing.assert_allclose(theirs, ours, rtol=1e-8, atol=0)
    for name, value in module.named_parameters():
        np.testing.assert_allclose(value.detach().numpy(), model.parameters[name], rtol=0, atol=1e-8, err_msg=name)


@every_case
def test_parameters_have_rnnlibs_names_and_shapes(case):
    model, _ = problem(case)
    named = dict(twin_model(model, form="loop").named_parameters())
    assert {name: tuple(p.shape) for name, p in named.items()} == {
        name: array.shape for name, array in model.parameters.items()
    }
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(named[name].detach().numpy(), array)


def test_parameters_are_copies():
    model, batch = problem("language")
    module = twin_model(model)
    before = module(*batch).loss.item()
    for array in model.parameters.values():
        array += 1
    assert module(*batch).loss.item() == before


@every_case
def test_padding_reaches_neither_loss_nor_gradients(case):
    model, batch = problem(case)
    clean = [np.where(np.isnan(a), 0, a) if a.dtype.kind == "f" else np.maximum(a, 0) for a in batch]
    found = []
    for arguments in (batch, clean):
        module = twin_model(model, form="loop")
        loss = module(*arguments, rng=rng()).loss
        loss.backward()
        found.append({"loss": loss.item(), **gradients(module)})
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name], err_msg=name)


@pytest.mark.parametrize("form", ["loop", "fused"])
@pytest.mark.parametrize("case", ["language", "tagger of numbers", "step forecaster"])
def test_a_window_goes_on_from_the_state_of_the_window_before(case, form):
    one_way = {"bidirectional": False, "layer_norm": False}
    model, batch = problem(case, lengths=None, **one_way)
    module = twin_model(model, form=form)
    first, expected = module(*batch), model.forward(*batch)
    detached = tuple(part.detach() for part in first.state)
    second, known = module(*batch, state=detached), model.forward(*batch, state=expected.state)
    assert second.loss.item() == pytest.approx(float(known.loss), rel=1e-12)
    assert second.loss.item() != first.loss.item()
    assert module(*batch, state=expected.state).loss.item() == second.loss.item(), "arrays are no state"
    assert all(part.requires_grad for part in first.state)


@every_case
def test_arrays_lists_and_tensors_are_the_same_batch(case):
    model, batch = problem(case)
    module = twin_model(model, form="loop")
    lists, there = [a.tolist() for a in batch], [torch.tensor(a) for a in batch]
    small = [a.astype(np.int16) if a.dtype.kind == "i" else a for a in batch]
    assert len({module(*arguments, rng=rng()).loss.item() for arguments in (batch, lists, there, small)}) == 1


@every_case
def test_no_number_is_waited_for_on_the_host(case):
    # Tensors on the device "meta" have no values: whoever asks for one gets an error.
    model, batch = problem(case, "gru", NONE_IN_ONE)
    module = twin_model(model, form="loop", device="meta")
    there = [torch.tensor(a, device="meta") for a in batch[:2]]
    forward = module(*there, *batch[2:], rng=rng())
    forward.loss.backward()
    assert forward.loss.shape == ()
    assert forward.loss.device.type == "meta"


@every_case
@pytest.mark.parametrize("form", ["loop", "fused"])
def test_halves_in_the_forward_pass_leave_a_whole_loss(case, form):
    model, batch = problem(case, **({} if form == "loop" else PLAIN))
    module, expected = twin_model(model, form=form, dtype=torch.float32), float(model.forward(*batch).loss)
    assert module(*batch).loss.item() == pytest.approx(expected, rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        loss = module(*batch).loss
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=0.03)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
    assert module.bfloat16()(*batch).loss.dtype == torch.float32


def test_a_loss_in_halves_is_summed_in_float32():
    # 4000 terms of 1: in bfloat16 a sum stands still at 256.
    classes = torch.zeros(4000, dtype=torch.int64)
    logits = torch.zeros(4000, 2, dtype=torch.bfloat16)
    losses = pytest.importorskip("rnnlib.torchref.models.losses")
    assert losses.cross_entropy(logits, classes, None).item() == pytest.approx(np.log(2), rel=1e-6)
    errors = torch.ones(4000, 1, 1, dtype=torch.bfloat16)
    assert losses.mean_squared_error(errors, torch.zeros(4000, 1, 1), None).item() == 1


@every_case
def test_a_torch_generator_draws_the_same_again_and_something_else_afterwards(case):
    model, batch = problem(case)
    module = twin_model(model, form="loop")
    generator = torch.Generator().manual_seed(0)
    one, two = (module(*batch, rng=generator).loss.item() for _ in range(2))
    assert one == module(*batch, rng=torch.Generator().manual_seed(0)).loss.item()
    noisy = {"dropout", "input_dropout", "output_dropout", "token_dropout", "zoneout", "sampling"} & set(CASES[case][1])
    assert (one != two) == bool(noisy)


def test_a_torch_generator_drops_at_the_rates_asked_for():
    dropping = pytest.importorskip("rnnlib.torchref.models.dropping")
    y = dropping.drop(torch.ones(100, 200), 0.25, torch.Generator().manual_seed(0))
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert abs((y == 0).float().mean().item() - 0.25) < 0.01  # 20,000 draws: 3 standard errors are 0.009


@pytest.mark.parametrize("form", ["loop", "fused"])
def test_without_a_generator_nothing_is_dropped_even_in_training_mode(form):
    model, batch = problem("tagger")
    module = twin_model(model, form=form)
    assert module.train()(*batch).loss.item() == module.eval()(*batch).loss.item()


def test_what_rnnlib_computes_in_windows_to_save_memory_a_twin_computes_at_once():
    model, batch = problem("tagger", checkpoint=True)
    assert_same(model, twin_model(model), batch, None)
    assert_same(model, twin_model(model, form="loop"), batch, 5)


def test_between_layers_the_fused_kernel_draws_for_itself_and_everything_else_as_in_rnnlib():
    model, batch = problem("step forecaster")
    module = twin_model(model)
    ours, theirs = rng(), rng()
    model.forward(*batch, rng=ours)
    first = module(*batch, rng=theirs).loss.item()
    assert ours.random() == theirs.random()
    assert first == module(*batch, rng=rng()).loss.item()
    assert first != module(*batch, rng=rng(4)).loss.item()


def test_sampling_can_be_changed_between_steps():
    model, batch = problem("seq2seq", sampling=0.0, dropout=0.0)
    module = twin_model(model)
    taught = module(*batch, rng=rng()).loss.item()
    model.sampling = module.sampling = 1.0
    assert_same(model, module, batch, 5)
    assert module(*batch, rng=rng()).loss.item() != taught
    assert module(*batch).loss.item() == taught


def test_choosing_what_the_decoder_reads_keeps_nothing_for_a_backward_pass():
    model, batch = problem("seq2seq", dropout=0.0)
    module, recorded = twin_model(model), []
    module.decoder.rnn.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    module(*batch, rng=rng())
    assert recorded == [False] * (len(batch[1]) - 1) + [True]


def test_a_tied_weight_stays_one_through_copies_conversions_and_state_dicts():
    model, batch = problem("language, tied")
    module = copy.deepcopy(twin_model(model)).float().double()
    assert module.head.weight is module.embedding.weight
    other = twin_model(problem("language, tied", "lstm")[0])
    other.load_state_dict(module.state_dict())
    assert other.head.weight is other.embedding.weight
    assert_same(model, twin_model(model), batch, None)


def test_a_frozen_parameter_gets_no_gradient_and_changes_none_of_the_others():
    model, batch = problem("tagger")
    module = twin_model(model)
    module.embedding.requires_grad_(False)
    module(*batch).loss.backward()
    assert module.embedding.weight.grad is None
    expected = model.loss(*batch).gradients["rnn.weight_ih_l0"]
    np.testing.assert_allclose(module.rnn.weight_ih_l0.grad.numpy(), expected, rtol=0, atol=1e-12)


@every_case
def test_a_twin_says_of_itself_what_its_model_says(case):
    model, _ = problem(case)
    module = twin_model(model, form="loop")
    assert module.describe() == model.describe()
    assert module.likelihood == type(module).likelihood == model.likelihood
    in_halves = module.bfloat16().describe()
    changed = {key for key, value in model.describe().items() if in_halves[key] != value}
    assert changed == {key for key in in_halves if key.endswith("dtype")} != set()
    assert json.loads(json.dumps(in_halves)) == in_halves


@every_case
def test_what_a_twin_learned_is_written_back_in_place(case):
    model, batch = problem(case)
    module, places = twin_model(model, form="loop"), {name: id(array) for name, array in model.parameters.items()}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.9).add_(0.01)
    write_back(module, model)
    assert {name: id(array) for name, array in model.parameters.items()} == places
    assert float(model.forward(*batch).loss) == pytest.approx(module(*batch).loss.item(), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_written_back_takes_the_models_dtype(dtype):
    model = LanguageModel(V, "gru", hidden_size=H, dtype=np.float32, rng=0)
    module = twin_model(model, dtype=dtype)
    with torch.no_grad():
        module.head.bias.fill_(0.1)
    write_back(module, model)
    assert model.parameters["head.bias"].dtype == np.float32
    np.testing.assert_allclose(model.parameters["head.bias"], 0.1, rtol=4e-3 if dtype == torch.bfloat16 else 1e-7)


def tagging(**options):
    return SequenceTagger(3, "rnn", **{"vocabulary_size": V, "hidden_size": H, "rng": 1} | options)


@pytest.mark.parametrize(
    ("other", "culprit"),
    [
        (SequenceClassifier(3, "rnn", vocabulary_size=V, hidden_size=H), "model is 'SequenceTagger'"),
        (tagging(nonlinearity="relu"), "nonlinearity is 'tanh' here and 'relu'"),
        (tagging(hidden_size=H + 1), "input_size is 5 here and 6"),
        (SequenceTagger(4, "rnn", vocabulary_size=V, hidden_size=H), "parameters.head.weight"),
        (tagging(num_layers=2), "num_layers"),
    ],
)
def test_a_module_is_not_written_into_a_model_to_which_it_does_not_belong(other, culprit):
    before = {name: array.copy() for name, array in other.parameters.items()}
    with pytest.raises(ValueError, match=culprit):
        write_back(twin_model(tagging()), other)
    assert all(np.array_equal(array, before[name]) for name, array in other.parameters.items())


def test_another_module_is_not_written_back():
    with pytest.raises(TypeError, match="expected what `twin_model` made"):
        write_back(torch.nn.Linear(2, 2), tagging())


def test_a_model_of_ones_own_is_refused():
    class Mine(LanguageModel):
        pass

    with pytest.raises(TypeError, match="Mine: expected one of EncoderDecoder"):
        twin_model(Mine(V, hidden_size=H))


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"variational_dropout": 0.2}, {"zoneout": 0.2}])
def test_what_the_fused_kernel_lacks_is_said_at_once(options):
    model = EncoderDecoder(V, V, "gru", bos=0, eos=1, hidden_size=H, **options)
    with pytest.raises(torchref.Unsupported, match=f'form="loop" can: the layer has {next(iter(options))}'):
        twin_model(model)
    assert twin_model(model, form="loop").encoder.rnn.form == "loop"


def test_forms_reach_the_recurrent_layers():
    model, batch = problem("seq2seq, dot")
    with pytest.raises(torchref.Unsupported, match="CUDA graph"):
        twin_model(model, form="graph")(*batch)
    with pytest.raises(ValueError, match="form is 'quick': expected one of loop"):
        twin_model(model, form="quick")
    with pytest.raises(torchref.Unsupported, match="a length is 0"):
        twin_model(model)(batch[0], batch[1], NONE_IN_ONE, batch[3])


def test_one_layer_in_two_places_is_refused():
    layer = GRU(H, H, rng=0)
    with pytest.raises(ValueError, match=r"'encoder.rnn.weight_ih_l0' and 'decoder.rnn.weight_ih_l0' are the same"):
        twin_model(EncoderDecoder(V, V, (layer, layer), bos=0, eos=1))


def changed(batch, place, value):
    return (*batch[:place], value, *batch[place + 1 :])


WRONG = {
    "ids that are numbers": ("language", 0, np.zeros((T, N)), "ids has dtype"),
    "ids of three axes": ("language", 0, np.zeros((T, N, 1), int), "inputs has shape"),
    "ids of one axis": ("language", 0, np.zeros(N, int), "inputs has shape"),
    "an id outside of the vocabulary": ("language", 0, np.full((T, N), V), "ids run from"),
    "a negative id": ("language", 0, np.full((T, N), -1), "ids run from"),
    "no step": ("language", 0, np.zeros((0, N), int), "at least one step"),
    "targets that are numbers": ("language", 1, np.zeros((T, N)), "targets has dtype"),
    "targets of another shape": ("language", 1, np.zeros((T - 1, N), int), "targets has shape"),
    "a target that is no class": ("tagger of numbers", 1, np.full((T, N), 3), "targets run from"),
    "a target that torch would leave out": ("language", 1, np.full((T, N), -100), "targets run from"),
    "a length beyond the batch": ("language", 2, np.full(N, T + 1), "lengths run from"),
    "lengths that are no whole numbers": ("language", 2, np.ones(N), "lengths has dtype"),
    "nothing valid": ("language", 2, np.zeros(N, int), "no position is valid"),
    "no number valid": ("step forecaster", 2, np.zeros(N, int), "no position is valid"),
    "numbers that are whole": ("step forecaster", 0, np.zeros((T, N, D), int), "expected floating"),
    "numbers of two axes": ("step forecaster", 0, np.zeros((T, N)), "inputs has shape"),
    "numbers of another size": ("step forecaster", 0, np.zeros((T, N, D + 1)), "x has shape"),
    "a forecast of another size": ("forecaster", 1, np.zeros((2, N, 1)), "targets has shape"),
    "labels of another shape": ("classifier", 1, np.zeros((N, 1), int), "targets has shape"),
    "a target of other sequences": ("seq2seq", 1, np.zeros((3, N + 1), int), "target has shape"),
    "a target without a batch": ("seq2seq", 1, np.zeros(N, int), "target has shape"),
}


@pytest.mark.parametrize(("case", "place", "value", "words"), WRONG.values(), ids=WRONG)
def test_what_rnnlib_refuses_the_twin_refuses_in_the_same_words(case, place, value, words):
    lengths = SOME if place == 2 else None
    model, batch = problem(case, "lstm", lengths)
    for owner in (model, twin_model(model, form="loop")):
        with pytest.raises((TypeError, ValueError), match=words) as caught:
            owner.forward(*changed(batch, place, value))
        assert type(caught.value) in (TypeError, ValueError)
        if owner is model:
            kind = caught.type
    assert caught.type is kind


def test_a_state_is_refused_where_nothing_can_go_on_from_it():
    state = np.zeros((1, N, H)), np.zeros((1, N, H))
    for case in ("classifier by the mean", "forecaster of another size", "seq2seq"):
        model, batch = problem(case)
        with pytest.raises(ValueError, match="reads whole sequences"):
            twin_model(model)(*batch, state=state)
    model, batch = problem("tagger")
    with pytest.raises(ValueError, match="a bidirectional layer cannot go on"):
        twin_model(model)(*batch, state=state)


@every_case
def test_a_seed_is_no_generator(case):
    model, batch = problem(case)
    with pytest.raises(TypeError, match="a seed would drop the same entries"):
        twin_model(model, form="loop")(*batch, rng=0)
