"""The models: gradients of their own loss, padding that reaches nothing, torch's numbers, and what each offers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.gradcheck import check_gradient
from rnnlib.models import (
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    StepForecaster,
    sample,
)
from rnnlib.models.seq2seq import EncoderDecoder
from rnnlib.optim import SGD
from rnnlib.recurrent import GRU, LSTM, RNN

LAYERS = "rnn", "gru", "lstm"
LENGTHS = np.array([4, 0, 2])
NOISE = {"input_dropout": 0.3, "output_dropout": 0.3}
BOTH = {"bidirectional": True, "num_layers": 2}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def ids(V, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, V, shape)


def step_ids(model, lengths=LENGTHS):
    return model, (ids(4, 4, 3), ids(4, 4, 3, seed=1), lengths)


def language(layer, **options):
    return step_ids(LanguageModel(4, layer, hidden_size=2, rng=0, **options))


def tagger(layer, **options):
    return step_ids(SequenceTagger(4, layer, vocabulary_size=4, hidden_size=2, rng=0, **options))


def tagger_of_numbers(layer, **options):
    model = SequenceTagger(4, layer, input_size=2, hidden_size=2, rng=0, **options)
    return model, (normal(4, 3, 2), ids(4, 4, 3), LENGTHS)


def classifier(layer, **options):
    model = SequenceClassifier(3, layer, vocabulary_size=4, hidden_size=2, rng=0, **options)
    return model, (ids(4, 4, 3), np.array([0, 2, 1]), LENGTHS)


def classifier_of_numbers(layer, **options):
    model = SequenceClassifier(3, layer, input_size=2, hidden_size=2, rng=0, **options)
    return model, (normal(4, 3, 2), np.array([0, 2, 1]), LENGTHS)


def forecaster(layer, **options):
    model = Forecaster(2, layer, horizon=3, hidden_size=2, rng=0, **options)
    return model, (normal(4, 3, 2), normal(3, 3, 2, seed=1), LENGTHS)


def step_forecaster(layer, **options):
    model = StepForecaster(2, layer, hidden_size=2, rng=0, **options)
    return model, (normal(4, 3, 2), normal(4, 3, 2, seed=1), LENGTHS)


def seq2seq(layer, **options):
    model = EncoderDecoder(4, 5, layer, bos=3, eos=2, hidden_size=2, rng=0, **options)
    return model, (ids(4, 4, 3), ids(5, 4, 3, seed=1), LENGTHS, np.array([1, 4, 2]))


CASES = {
    "language": (language, {}),
    "language, tied": (language, {"tie_weights": True, "token_dropout": 0.3, **NOISE}),
    "tagger": (tagger, {"embedding_size": 3, "token_dropout": 0.3, **BOTH, **NOISE}),
    "tagger of numbers": (tagger_of_numbers, {}),
    "classifier": (classifier, {"token_dropout": 0.3, **BOTH, **NOISE}),
    "classifier by the mean": (classifier, {"read": "mean"}),
    "classifier of numbers": (classifier_of_numbers, BOTH),
    "classifier of numbers by the mean": (classifier_of_numbers, {"read": "mean", **BOTH, **NOISE}),
    "forecaster": (forecaster, {**BOTH, **NOISE}),
    "step forecaster": (step_forecaster, {"num_layers": 2, "dropout": 0.3}),
    "seq2seq": (seq2seq, {"attention": None, "num_layers": 2}),
    "seq2seq, dot": (seq2seq, {"attention": "dot", "bidirectional": True, **NOISE, "sampling": 0.5}),
    "seq2seq, additive": (seq2seq, {"attention": "additive", "embedding_size": 3, "sampling": 0.5}),
}
every_layer = pytest.mark.parametrize("layer", LAYERS)
every_model = pytest.mark.parametrize(("make", "options"), CASES.values(), ids=CASES)


def homes(part):
    """Every dictionary in which a model looks up an array."""
    if isinstance(part, dict) and any(isinstance(value, np.ndarray) for value in part.values()):
        yield part
    elif isinstance(part, dict) or type(part).__module__.startswith("rnnlib"):
        for inner in (part if isinstance(part, dict) else vars(part)).values():
            yield from homes(inner)


def with_value(model, name, value, run):
    """What `run` gives while another array stands everywhere in the place of a parameter."""
    kept = model.parameters[name]
    found = [(home, key) for home in homes(model) for key, array in home.items() if array is kept]
    assert found
    for home, key in found:
        home[key] = value
    try:
        return run()
    finally:
        for home, key in found:
            home[key] = kept


def rng():
    return np.random.default_rng(3)


@every_layer
@every_model
def test_the_whole_gradient_agrees_with_the_loss(make, options, layer):
    model, batch = make(layer, **options)
    result = model.loss(*batch, rng=rng())
    assert list(result.gradients) == list(model.parameters) or set(result.gradients) == set(model.parameters)
    for name, value in model.parameters.items():

        def loss(v, name=name):
            return with_value(model, name, v, lambda: model.forward(*batch, rng=rng()).loss)

        report = check_gradient(loss, value, result.gradients[name], tolerance=1e-11)
        assert report.ok, f"{name}: {report}"


@every_layer
@pytest.mark.parametrize("make", [tagger_of_numbers, classifier_of_numbers, forecaster, step_forecaster])
def test_the_gradient_of_the_inputs_agrees_with_the_loss(make, layer):
    model, (x, *rest) = make(layer, **NOISE)
    dinputs = model.loss(x, *rest, rng=rng()).dinputs
    assert check_gradient(lambda v: model.forward(v, *rest, rng=rng()).loss, x, dinputs, tolerance=1e-11).ok


@pytest.mark.parametrize("make", [tagger, classifier, seq2seq])
def test_the_gradient_of_embedded_tokens_adds_up_to_that_of_their_vectors(make):
    model, batch = make("gru", input_dropout=0.3)
    result, expected = model.loss(*batch, rng=rng()), np.zeros((4, 2))
    np.add.at(expected, batch[0], result.dinputs)
    name = next(name for name in model.parameters if name.endswith("embedding.weight"))
    np.testing.assert_allclose(result.gradients[name], expected, rtol=0, atol=1e-15)
    assert expected.any()


def dirty(batch):
    """The batch with junk in its padding: what is no number, or no token."""
    made = list(batch)
    padded = {0: 2, 1: 2} if len(batch) == 3 else {0: 2, 1: 3}
    for place, lengths in padded.items():
        array = batch[place]
        if len(batch) == 4 or (array.ndim > 1 and len(array) == len(batch[0])):
            outside = np.arange(len(array))[:, None] >= batch[lengths]
            made[place] = array.copy()
            made[place][outside] = -1 if array.dtype.kind == "i" else np.nan
    assert not all(np.array_equal(a, b) for a, b in zip(made, batch, strict=True))
    return made


@every_layer
@every_model
def test_what_stands_in_the_padding_changes_no_loss_and_no_gradient(make, options, layer):
    model, batch = make(layer, **options)
    clean, other = model.loss(*batch, rng=rng()), model.loss(*dirty(batch), rng=rng())
    assert other.value == clean.value
    assert other.targets == clean.targets
    assert np.array_equal(other.dinputs, clean.dinputs)
    for name, gradient in clean.gradients.items():
        assert np.array_equal(other.gradients[name], gradient), name


@every_model
def test_more_padding_changes_no_loss_and_no_gradient(make, options):
    model, batch = make("lstm", **{name: value for name, value in options.items() if "dropout" not in name})
    model.sampling = 0.0
    longer = [
        np.concatenate([a, np.zeros((5, *a.shape[1:]), a.dtype)])
        if a.ndim > 1 and (k == 0 or make is not forecaster)
        else a
        for k, a in enumerate(batch)
    ]
    short, long = model.loss(*batch), model.loss(*longer)
    assert abs(short.value - long.value) < 1e-12
    assert short.targets == long.targets
    for name, gradient in short.gradients.items():
        np.testing.assert_allclose(long.gradients[name], gradient, rtol=0, atol=1e-12, err_msg=name)


@every_model
def test_a_batch_is_the_mean_of_its_sequences_each_as_often_as_it_has_targets(make, options):
    model, batch = make("gru", **{name: value for name, value in options.items() if "dropout" not in name})
    whole, total, targets = model.forward(*batch), 0.0, 0
    for n in range(3):
        if batch[-1][n] == 0 and make in (language, tagger, tagger_of_numbers, step_forecaster):
            continue  # no target: no mean
        alone = model.forward(*(a[n : n + 1] if a.ndim == 1 else a[:, n : n + 1] for a in batch))
        total, targets = total + alone.loss * alone.targets, targets + alone.targets
    assert targets == whole.targets
    assert abs(total / targets - whole.loss) < 1e-13


@every_layer
@every_model
def test_float32_stays_float32(make, options, layer):
    model, batch = make(layer, dtype=np.float32, **options)
    batch = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in batch]
    result = model.loss(*batch, rng=rng())
    arrays = [*model.parameters.values(), *result.gradients.values(), result.dinputs]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    assert result.value.dtype == np.float32


@every_model
def test_parameters_are_the_layers_own_arrays(make, options):
    model, batch = make("rnn", **options)
    before = model.loss(*batch)
    SGD(model.parameters, 0.01).step(before.gradients)
    assert model.forward(*batch).loss < before.value


@every_model
def test_evaluation_drops_nothing_and_noise_comes_from_the_generator_alone(make, options):
    model, batch = make("gru", **options)
    still = make("gru", **{name: v for name, v in options.items() if "dropout" not in name and name != "sampling"})[0]
    assert model.forward(*batch).loss == still.forward(*batch).loss
    seeded = [model.forward(*batch, rng=np.random.default_rng(seed)).loss for seed in (1, 1, 2, 3, 4, 5)]
    assert seeded[0] == seeded[1]
    assert (len(set(seeded)) > 1) == any("dropout" in name or name == "sampling" for name in options)


@pytest.mark.parametrize("make", [language, classifier, forecaster, seq2seq])
@pytest.mark.parametrize("rate", ["token_dropout", "input_dropout", "output_dropout", "dropout", "variational_dropout"])
def test_every_dropout_reaches_the_loss(make, rate):
    if make is forecaster and rate == "token_dropout":
        return
    model, batch = make("gru", num_layers=2, **{rate: 0.5})
    assert len({model.forward(*batch, rng=np.random.default_rng(seed)).loss for seed in range(9)}) > 1


@pytest.mark.parametrize("tied", [False, True])
def test_before_training_every_token_is_about_equally_likely(tied):
    model = LanguageModel(50, "lstm", hidden_size=64, tie_weights=tied, rng=0)
    assert 50 < model.perplexity(ids(50, 2000)) < 52


def test_token_dropout_drops_whole_tokens_wherever_they_stand():
    reader = SequenceTagger(2, "gru", vocabulary_size=30, embedding_size=4, hidden_size=2, token_dropout=0.5).reader
    tokens = np.tile(np.arange(30), (2, 1)).T
    x, _ = reader.embed(tokens, None, rng())
    kept = (x != 0).all(axis=2)
    assert np.array_equal(kept, (x != 0).any(axis=2))
    assert np.array_equal(kept[:, 0], kept[:, 1])
    assert 5 < kept[:, 0].sum() < 25
    assert np.array_equal(x[kept], reader.embedding["weight"][tokens[kept]] * 2)


@every_model
def test_a_description_is_plain_and_tells_what_parameters_do_not_say(make, options):
    model, _ = make("rnn", **options)
    described = model.describe()
    assert json.loads(json.dumps(described)) == described
    assert make("rnn", nonlinearity="relu", **options)[0].describe() != described
    after, before = (make("gru", reset=reset)[0].describe() for reset in ("after", "before"))
    assert after != before
    assert classifier("rnn")[0].describe() != classifier("rnn", read="mean")[0].describe()


def test_names_are_dotted_and_torch_like():
    names = ["embedding.weight", *(f"rnn.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))]
    assert list(LanguageModel(4, hidden_size=3).parameters) == [*names, "head.weight", "head.bias"]
    assert list(LanguageModel(4, hidden_size=3, tie_weights=True).parameters) == [*names, "head.bias"]
    assert list(Forecaster(2, hidden_size=3).parameters) == [*names[1:], "head.weight", "head.bias"]
    both = EncoderDecoder(4, 5, hidden_size=3, bos=0, eos=1, attention="dot").parameters
    assert list(both)[:2] == ["encoder.embedding.weight", "encoder.rnn.weight_ih_l0"]
    assert list(both)[-4:] == ["attention.combine.weight", "attention.combine.bias", "head.weight", "head.bias"]


def test_a_layer_comes_by_name_or_built():
    model = LanguageModel(7, GRU(5, 3, 2, dropout=0.1, dtype=np.float32, rng=0), rng=1)
    assert model.parameters["embedding.weight"].shape == (7, 5)
    assert model.parameters["head.weight"].dtype == np.float32
    assert model.reader.rnn.parameters["weight_hh_l1"] is model.parameters["rnn.weight_hh_l1"]
    assert isinstance(SequenceTagger(2, "rnn", input_size=1, hidden_size=3).reader.rnn, RNN)
    assert LanguageModel(7, "gru", hidden_size=3).parameters["embedding.weight"].shape == (7, 3)
    assert StepForecaster(2, LSTM(2, 3)).reader.rnn.input_size == 2


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: LanguageModel(4, "lstm", hidden_size=2, bidirectional=True), "has read the token"),
        (lambda: StepForecaster(2, "lstm", hidden_size=2, bidirectional=True), "has read the step"),
        (lambda: LanguageModel(4, "lstm", hidden_size=2, embedding_size=3, tie_weights=True), "can be one only where"),
        (lambda: SequenceTagger(4, "gru", input_size=2, hidden_size=2, tie_weights=True), "numbers are read"),
        (lambda: LanguageModel(4, "transformer", hidden_size=2), "expected one of rnn, gru, lstm"),
        (lambda: LanguageModel(0, "gru", hidden_size=2), "vocabulary_size is 0"),
        (lambda: SequenceTagger(3, GRU(2, 2), input_size=3), "leave it out"),
        (lambda: SequenceTagger(0, GRU(2, 2)), "0 outputs"),
        (lambda: SequenceTagger(3, "gru", hidden_size=2, input_size=3, vocabulary_size=3), "came together"),
        (lambda: SequenceTagger(3, "gru", hidden_size=2, input_size=3, token_dropout=0.1), "use input_dropout"),
        (lambda: SequenceTagger(3, GRU(2, 2), input_dropout=1.0), "input_dropout is 1.0"),
        (lambda: SequenceTagger(3, GRU(2, 2), output_dropout=-0.1), "output_dropout is -0.1"),
        (lambda: SequenceClassifier(3, GRU(2, 2), read="max"), "expected one of last, mean"),
        (lambda: Forecaster(2, GRU(2, 2), horizon=0), "at least 1"),
        (lambda: EncoderDecoder(4, 4, "gru", hidden_size=2, bos=0, eos=4), "expected ids of the target"),
        (lambda: EncoderDecoder(4, 4, "gru", hidden_size=2, bos=0, eos=1, sampling=1.5), "sampling is 1.5"),
        (lambda: EncoderDecoder(4, 4, "gru", hidden_size=2, bos=0, eos=1, attention="hard"), "'dot', 'additive'"),
        (lambda: EncoderDecoder(4, 4, (GRU(2, 2), LSTM(2, 2)), bos=0, eos=1), "expected the same"),
        (lambda: EncoderDecoder(4, 4, (GRU(2, 2), GRU(2, 3)), bos=0, eos=1), "expected the same"),
        (lambda: EncoderDecoder(4, 4, (GRU(2, 4), GRU(2, 2, bidirectional=True)), bos=0, eos=1), "is bidirectional"),
    ],
)
def test_what_cannot_be_built_says_why(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_options_that_are_missing_or_too_many_are_named():
    with pytest.raises(TypeError, match="hidden_size is missing"):
        LanguageModel(4, "lstm")
    with pytest.raises(TypeError, match="input_size and vocabulary_size are missing"):
        SequenceTagger(4, "lstm", hidden_size=2)
    with pytest.raises(TypeError, match=r"\['hidden_size'\] came with a layer that is already built"):
        LanguageModel(4, GRU(2, 2), hidden_size=3)
    with pytest.raises(TypeError, match="bidirectionnal"):
        SequenceTagger(4, "lstm", hidden_size=2, input_size=1, bidirectionnal=True)


def test_inputs_of_the_wrong_kind_are_named():
    reads_ids, reads_numbers = classifier("gru")[0], classifier_of_numbers("gru")[0]
    with pytest.raises(ValueError, match="expected \\(T, N\\) ids"):
        reads_ids.logits(normal(4, 3, 2))
    with pytest.raises(ValueError, match="expected \\(T, N, D\\) numbers"):
        reads_numbers.logits(ids(4, 4, 3))
    with pytest.raises(ValueError, match="one target, ended by EOS, for each source"):
        seq2seq("gru")[0].forward(ids(4, 4, 3), ids(4, 4, 2))
    with pytest.raises(TypeError, match="whole numbers"):
        reads_ids.logits(normal(4, 3))


@every_layer
def test_windows_with_carried_state_have_the_loss_of_one_long_run(layer):
    for model, (x, y, _) in (language(layer), tagger_of_numbers(layer), step_forecaster(layer)):
        whole = model.forward(x, y)
        first = model.forward(x[:3], y[:3])
        second = model.forward(x[3:], y[3:], state=first.state)
        assert abs((3 * first.loss + second.loss) / 4 - whole.loss) < 1e-14
        (one, state), (other, _) = model.logits(x[:3]), model.logits(x)
        np.testing.assert_allclose(
            np.concatenate([one, model.logits(x[3:], state=state)[0]]), other, rtol=0, atol=1e-14
        )


def test_a_bidirectional_model_does_not_go_on_from_a_window_before():
    model, (x, y, _) = tagger("gru", bidirectional=True)
    with pytest.raises(ValueError, match="from the window after"):
        model.forward(x, y, state=model.forward(x, y).state)


@every_model
def test_answers_on_padding_are_zero(make, options):
    model, batch = make("gru", **options)
    if make is seq2seq:
        logits, weights = model.logits(*batch)
        outside = np.arange(4)[:, None] >= batch[3]
        assert weights is None or not weights[outside].any()
    elif hasattr(model, "probabilities") and make in (tagger, tagger_of_numbers):
        logits = model.probabilities(batch[0], LENGTHS)
        outside = np.arange(4)[:, None] >= LENGTHS
        np.testing.assert_allclose(logits[~outside].sum(axis=-1), 1, rtol=0, atol=1e-15)
        assert not model.predict(batch[0], LENGTHS)[outside].any()
    elif make in (language, step_forecaster):
        logits, outside = model.logits(batch[0], LENGTHS)[0], np.arange(4)[:, None] >= LENGTHS
    else:
        return
    assert not logits[outside].any()
    assert logits[~outside].all()


def torch_s(model, module, prefix):
    """Put a part's parameters into torch's module of the same names; returns it in float64."""
    torch = pytest.importorskip("torch")
    own = {k.removeprefix(prefix): torch.tensor(v) for k, v in model.parameters.items() if k.startswith(prefix)}
    module.double().load_state_dict(own)
    return module


def compare_to_torch(result, loss, modules):
    """Loss and every gradient beside torch's autograd."""
    loss.backward()
    assert abs(result.value - loss.item()) < 1e-12
    compared = set()
    for prefix, module in modules.items():
        for name, parameter in module.named_parameters():
            ours, theirs = result.gradients[prefix + name], parameter.grad.numpy()
            scale = max(1.0, np.abs(theirs).max())
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * scale, err_msg=prefix + name)
            compared.add(prefix + name)
    assert compared == set(result.gradients)


def test_a_language_model_with_tied_weights_is_torch_s():
    torch = pytest.importorskip("torch")
    model = LanguageModel(7, "lstm", hidden_size=4, num_layers=2, tie_weights=True, rng=0)
    x, y = ids(7, 6, 3), ids(7, 6, 3, seed=1)
    embedding = torch_s(model, torch.nn.Embedding(7, 4), "embedding.")
    rnn = torch_s(model, torch.nn.LSTM(4, 4, 2), "rnn.")
    bias = torch.tensor(model.parameters["head.bias"], requires_grad=True)
    logits = rnn(embedding(torch.tensor(x)))[0] @ embedding.weight.T + bias
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 7), torch.tensor(y).reshape(-1))
    loss.backward()
    result = model.loss(x, y)
    assert abs(result.value - loss.item()) < 1e-12
    for name, theirs in (("embedding.weight", embedding.weight.grad), ("head.bias", bias.grad)):
        np.testing.assert_allclose(result.gradients[name], theirs.numpy(), rtol=0, atol=1e-12)
    for name, parameter in rnn.named_parameters():
        np.testing.assert_allclose(result.gradients["rnn." + name], parameter.grad.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("read", ["last", "mean"])
def test_a_bidirectional_classifier_of_padded_sequences_is_torch_s(read):
    torch = pytest.importorskip("torch")
    model = SequenceClassifier(
        3, "gru", input_size=2, hidden_size=4, num_layers=2, bidirectional=True, read=read, rng=0
    )
    x, labels, lengths = normal(5, 4, 2), np.array([0, 2, 1, 1]), np.array([5, 1, 3, 2])
    rnn = torch_s(model, torch.nn.GRU(2, 4, 2, bidirectional=True), "rnn.")
    head = torch_s(model, torch.nn.Linear(8, 3), "head.")
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), torch.tensor(lengths), enforce_sorted=False)
    output, h_n = rnn(packed)
    hs = torch.nn.utils.rnn.pad_packed_sequence(output)[0]
    h = torch.cat([h_n[-2], h_n[-1]], 1) if read == "last" else hs.sum(0) / torch.tensor(lengths)[:, None]
    loss = torch.nn.functional.cross_entropy(head(h), torch.tensor(labels))
    compare_to_torch(model.loss(x, labels, lengths), loss, {"rnn.": rnn, "head.": head})


@pytest.mark.parametrize("attention", [None, "dot", "additive"])
def test_an_encoder_decoder_is_torch_s(attention):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    model = EncoderDecoder(6, 7, "lstm", bos=1, eos=2, hidden_size=4, embedding_size=3, attention=attention, rng=0)
    source, target = ids(6, 5, 3), ids(7, 4, 3, seed=1)
    source_lengths, target_lengths = np.array([5, 2, 3]), np.array([4, 1, 3])
    modules = {
        "encoder.embedding.": nn.Embedding(6, 3),
        "encoder.rnn.": nn.LSTM(3, 4),
        "decoder.embedding.": nn.Embedding(7, 3),
        "decoder.rnn.": nn.LSTM(3, 4),
        "head.": nn.Linear(4, 7),
    }
    if attention is not None:
        modules["attention.combine."] = nn.Linear(8, 4)
    if attention == "additive":
        modules |= {"attention.query.": nn.Linear(4, 4, bias=False), "attention.key.": nn.Linear(4, 4, bias=False)}
        modules["attention.score."] = nn.ParameterDict({"weight": nn.Parameter(torch.zeros(4))})
    for prefix, module in modules.items():
        torch_s(model, module, prefix)
    part = modules.__getitem__
    packed = nn.utils.rnn.pack_padded_sequence(
        part("encoder.embedding.")(torch.tensor(source)), torch.tensor(source_lengths), enforce_sorted=False
    )
    output, state = part("encoder.rnn.")(packed)
    keys = nn.utils.rnn.pad_packed_sequence(output)[0].transpose(0, 1)  # (N, Ts, H)
    inputs = torch.tensor(np.concatenate([np.full((1, 3), 1), target[:-1]]))
    hs = part("decoder.rnn.")(part("decoder.embedding.")(inputs), state)[0].transpose(0, 1)
    if attention == "dot":
        scores = hs @ keys.transpose(1, 2) / 2
    elif attention == "additive":
        projected = part("attention.query.")(hs)[:, :, None] + part("attention.key.")(keys)[:, None]
        scores = torch.tanh(projected) @ part("attention.score.")["weight"]
    if attention is not None:
        outside = torch.tensor(np.arange(5) >= source_lengths[:, None])[:, None]
        weights = scores.masked_fill(outside, -torch.inf).softmax(-1)
        hs = torch.tanh(part("attention.combine.")(torch.cat([hs, weights @ keys], -1)))
    valid = torch.tensor(np.arange(4) < target_lengths[:, None])
    loss = nn.functional.cross_entropy(part("head.")(hs)[valid], torch.tensor(target.T.copy())[valid])
    compare_to_torch(model.loss(source, target, source_lengths, target_lengths), loss, modules)


def test_perplexity_of_a_stream_is_that_of_one_long_run_whatever_the_window():
    model, stream = LanguageModel(5, "lstm", hidden_size=4, num_layers=2, rng=0), ids(5, 40)
    expected = np.exp(model.forward(stream[:-1, None], stream[1:, None]).loss)
    for window in (1, 7, 39, 512):
        assert abs(model.perplexity(stream, window=window) / expected - 1) < 1e-13
    model.reader.embedding["weight"][...] = 0
    model.head.weights["weight"][...] = 0
    model.head.weights["bias"][...] = 0
    assert abs(model.perplexity(stream) - 5) < 1e-12  # a guess among all


def test_samples_follow_the_softmax_at_every_temperature():
    logits = np.array([2.0, 0.0, 1.0, -np.inf])
    for temperature in (0.5, 1.0, 2.0):
        drawn = sample(np.tile(logits, (40_000, 1)), np.random.default_rng(0), temperature=temperature)
        p = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 40_000, p, rtol=0, atol=0.01)
    kept = np.bincount(sample(np.tile(logits, (40_000, 1)), np.random.default_rng(0), top_k=2), minlength=4) / 40_000
    np.testing.assert_allclose(kept, [np.e / (1 + np.e), 0, 1 / (1 + np.e), 0], rtol=0, atol=0.01)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), V=st.integers(1, 9), data=st.data())
def test_only_the_k_most_likely_tokens_are_ever_drawn(seed, V, data):
    k = data.draw(st.integers(1, V))
    logits = normal(20, V, seed=seed).astype(data.draw(st.sampled_from([np.float32, np.float64])))
    before = logits.copy()
    drawn = sample(logits, np.random.default_rng(seed), top_k=k, temperature=5.0)
    rank = (logits > np.take_along_axis(logits, drawn[:, None], 1)).sum(axis=1)
    assert (rank < k).all()
    assert np.array_equal(logits, before)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"temperature": 0}, "top_k=1 takes the most likely"), ({"top_k": 0}, "from 1 to V = 3"), ({"top_k": 4}, "top_k")],
)
def test_sampling_refuses_what_has_no_meaning(options, words):
    with pytest.raises(ValueError, match=words):
        sample(np.zeros((1, 3)), np.random.default_rng(0), **options)


@every_layer
def test_generation_reads_what_it_drew(layer):
    model = lively(LanguageModel(9, layer, hidden_size=8, rng=0))
    every = []
    for prompt in range(9):
        text = np.array([3, prompt])
        drawn = model.generate(text, 6, np.random.default_rng(0), top_k=1)
        for token in drawn:
            assert token == model.logits(text[:, None])[0][-1, 0].argmax()
            text = np.append(text, token)
        every += drawn.tolist()
    assert len(set(every)) > 3
    coldest = model.generate(text, 6, np.random.default_rng(0), temperature=1e-9)
    assert np.array_equal(coldest, model.generate(text, 6, np.random.default_rng(0), top_k=1))
    same, again, other = (model.generate([3], 30, np.random.default_rng(seed), temperature=9) for seed in (1, 1, 2))
    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)


def test_generation_ends_after_the_stop_token():
    model = LanguageModel(4, "gru", hidden_size=3, rng=0)
    drawn = model.generate([0], 200, np.random.default_rng(0), stop=2)
    assert len(drawn) < 200
    assert drawn.tolist().index(2) == len(drawn) - 1
    assert len(model.generate([2], 5, np.random.default_rng(0), top_k=1, stop=9)) == 5  # a prompt may end with it
    with pytest.raises(ValueError, match="T at least 1"):
        model.generate([], 5, np.random.default_rng(0))


def lively(model):
    """The model with weights so large that its answers differ much and none is near a tie."""
    for name, parameter in model.parameters.items():
        parameter *= 0 if "bias" in name else 5
    return model


def decoder(**options):
    return lively(EncoderDecoder(6, 6, "gru", bos=1, eos=2, hidden_size=8, rng=4, **options))


@pytest.mark.parametrize("attention", [None, "dot", "additive"])
def test_greedy_decoding_writes_what_the_model_says_of_its_own_text(attention):
    model, source = decoder(attention=attention), ids(6, 5, 40)
    lengths = np.random.default_rng(0).integers(1, 6, 40)
    model.eos = -1
    model.eos = eos = int(model.generate(source, lengths, max_steps=7).ids[2, 0])  # a token that some write
    written = model.generate(source, lengths, max_steps=7)
    logits, weights = model.logits(source, written.ids, lengths, written.lengths)
    valid = np.arange(len(written.ids))[:, None] < written.lengths
    assert np.array_equal(logits.argmax(axis=-1)[valid], written.ids[valid])
    assert not written.ids[~valid].any()
    assert len(set(written.lengths.tolist())) > 1
    for n, L in enumerate(written.lengths):
        assert eos not in written.ids[: L - 1, n]
        assert written.ids[L - 1, n] == eos or L == 7
    if attention is None:
        assert written.weights is None
        assert weights is None
        return
    np.testing.assert_allclose(written.weights, weights, rtol=0, atol=1e-14)
    np.testing.assert_allclose(written.weights.sum(axis=-1)[valid], 1, rtol=0, atol=1e-14)
    assert not written.weights[~valid].any()
    assert not written.weights[:, np.arange(5) >= lengths[:, None]].any()


def test_decoding_stops_when_every_sequence_has_its_end():
    model = decoder()
    model.head.weights["bias"][2] = 100
    written = model.generate(ids(6, 5, 3), max_steps=50)
    assert written.ids.tolist() == [[2, 2, 2]]
    assert written.lengths.tolist() == [1, 1, 1]
    model.head.weights["bias"][2] = -100
    assert model.generate(ids(6, 5, 3), max_steps=6).lengths.tolist() == [6, 6, 6]
    with pytest.raises(ValueError, match="max_steps is 0"):
        model.generate(ids(6, 5, 3), max_steps=0)


@every_layer
def test_the_padding_of_a_source_changes_nothing_that_is_written(layer):
    model = EncoderDecoder(6, 6, layer, bos=1, eos=2, hidden_size=8, bidirectional=True, num_layers=2, rng=0)
    source, lengths = ids(6, 5, 3), np.array([5, 2, 3])
    together = model.generate(np.where(np.arange(5)[:, None] < lengths, source, -1), lengths, max_steps=6)
    for n, L in enumerate(lengths):
        alone = model.generate(source[:L, n : n + 1], max_steps=6)
        assert np.array_equal(alone.ids[:, 0], together.ids[: len(alone.ids), n])
        np.testing.assert_allclose(alone.weights[:, 0], together.weights[: len(alone.ids), n, :L], rtol=0, atol=1e-13)


def decoder_s_inputs(model, batch, seed=0):
    """What the decoder reads in training."""
    _, source = model.read(batch[0], None)
    return model.mixed(batch[1], source, np.random.default_rng(seed))


@pytest.mark.parametrize("attention", [None, "dot", "additive"])
def test_sampling_of_one_reads_what_greedy_decoding_writes(attention):
    model, source = decoder(attention=attention, sampling=1.0), ids(6, 5, 8)
    model.head.weights["bias"][2] = -100  # no end
    written = model.generate(source, max_steps=7).ids
    assert np.array_equal(decoder_s_inputs(model, (source, ids(6, 7, 8))), model.shifted(written))
    assert len(np.unique(written)) > 2


def test_each_decoding_step_draws_for_itself_whether_it_reads_its_own_prediction():
    model, target = decoder(sampling=0.3), ids(5, 60, 80)
    model.head.weights["bias"][5] = 100  # it always predicts 5, which is in no target
    inputs = decoder_s_inputs(model, (ids(6, 4, 80), target))
    own = inputs == 5
    assert np.array_equal(inputs[~own], model.shifted(target)[~own])
    assert not own[0].any()
    assert abs(own[1:].mean() - 0.3) < 0.02
    assert own.any(axis=1).sum() == 59  # not whole steps
    assert own.any(axis=0).all()  # nor whole sequences
    assert own[1:].mean(axis=0).max() < 0.7
    assert own.mean(axis=1).max() < 0.6


def test_scheduled_sampling_is_only_for_training_and_may_change_between_steps():
    model, batch = decoder(sampling=1.0), (ids(6, 4, 3), ids(6, 5, 3, seed=1))
    assert model.forward(*batch).loss == decoder().forward(*batch).loss
    assert model.forward(*batch, rng=rng()).loss != decoder().forward(*batch, rng=rng()).loss
    model.sampling = 0.0
    assert model.forward(*batch, rng=rng()).loss == decoder().forward(*batch, rng=rng()).loss


def test_a_forecaster_gives_all_steps_of_its_horizon_at_once():
    model = Forecaster(2, "gru", horizon=3, output_size=1, hidden_size=4, rng=0)
    x = normal(6, 5, 2)
    assert model.predict(x).shape == (3, 5, 1)
    head, h = model.head.weights, model.reader.forward(x, None)[0][-1]
    np.testing.assert_allclose(model.predict(x)[:, :, 0], (h @ head["weight"].T + head["bias"]).T, rtol=0, atol=1e-15)
    assert model.forward(x, np.zeros((3, 5, 1))).loss == pytest.approx((model.predict(x) ** 2).mean(), rel=1e-13)


def test_a_step_forecaster_goes_on_from_its_own_forecasts():
    model, history = StepForecaster(2, "lstm", hidden_size=4, rng=0), normal(6, 3, 2)
    made, read = model.forecast(history, 4), history
    for step in made:
        expected = model.logits(read)[0][-1]
        np.testing.assert_allclose(step, expected, rtol=0, atol=1e-14)
        read = np.concatenate([read, expected[None]])
    with pytest.raises(ValueError, match="only where they are equal"):
        StepForecaster(2, "lstm", output_size=1, hidden_size=4).forecast(history, 2)


def test_only_a_mean_of_log_probabilities_is_a_likelihood():
    likelihoods = {make: make("rnn")[0].likelihood for make, _ in CASES.values()}
    assert [make for make, likelihood in likelihoods.items() if not likelihood] == [forecaster, step_forecaster]
