"""The training loop: the same numbers from a seed, whole or resumed; accumulation, clipping, stopping, reports."""

import contextlib
import io
import json
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from rnnlib.models import EncoderDecoder, Forward, LanguageModel, Model, SequenceClassifier, StepForecaster
from rnnlib.optim import (
    SGD,
    Adam,
    AdamW,
    clip_by_global_norm,
    clip_by_value,
    cosine_decay,
    global_norm,
    linear_warmup,
)
from rnnlib.training import (
    Batch,
    Checkpoint,
    Data,
    JsonLines,
    Pairs,
    PlainProgress,
    Report,
    Sequences,
    Stream,
    evaluate,
    progress,
    train,
)
from rnnlib.training.batches import cut
from rnnlib.training.step import gather

CYCLE = np.tile(np.arange(5), 30)


def language(layer="lstm", seed=0, **options):
    options = {"hidden_size": 6, "num_layers": 2, "dropout": 0.2, **options}
    return LanguageModel(5, layer, rng=seed, **options)


def sequences(N=23, batch_size=4, **options):
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, 9, N)
    inputs = np.where(np.arange(8)[:, None] < lengths, rng.integers(0, 5, (8, N)), -1)
    return Sequences(inputs, inputs[0] % 3, lengths, batch_size=batch_size, **options)


def classifier(seed=0, **options):
    return SequenceClassifier(3, "gru", vocabulary_size=5, hidden_size=6, output_dropout=0.2, rng=seed, **options)


def numbers(history):
    """A history without the one number that differs from run to run."""
    return [record._replace(seconds=0.0) for record in history]


def copies(model):
    return {name: parameter.copy() for name, parameter in model.parameters.items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


class Interrupt(Report):
    """Stops a run after so many steps, as a user does."""

    def __init__(self, steps):
        self.left = steps

    def step(self, batches, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


class Scripted(Model):
    """A model whose validation losses are written in advance; training moves its one weight by one each step."""

    likelihood = False

    def __init__(self, losses):
        self.weight, self.losses = np.zeros(1), iter(losses)

    @property
    def parameters(self):
        return {"weight": self.weight}

    def forward(self, training, *, rng=None):
        return Forward(np.float64(0 if training else next(self.losses)), 1, None, None)

    def backward(self, cache):
        return {"weight": -np.ones(1)}, None

    def describe(self):
        return {"model": "scripted"}


class Given(Data):
    """Batches as they are given."""

    def __init__(self, *batches):
        self.batches = batches

    def epoch(self, rng):
        return (Batch(arguments, 1, 1) for arguments in self.batches)

    def __len__(self):
        return len(self.batches)


def scripted(losses, epochs=99, **options):
    model = Scripted(losses)
    optimizer = SGD(model.parameters, 1.0)
    return model, train(model, Given((True,)), optimizer, epochs=epochs, validation=Given((False,)), **options)


# training is what it says


def test_a_language_model_learns_a_cycle_and_says_it():
    model = language(dropout=0.0)
    history = train(model, Stream(CYCLE, 4, 10), Adam(model.parameters, 0.03), epochs=15, clip=1.0)
    assert history[0].perplexity > 3
    assert history[-1].perplexity < 1.3
    assert model.generate([3], 6, np.random.default_rng(0), top_k=1).tolist() == [4, 0, 1, 2, 3, 4]


def test_an_encoder_decoder_learns_with_scheduled_sampling():
    source = np.random.default_rng(0).integers(3, 6, (1, 64))
    target = np.concatenate([source, source, np.full((1, 64), 2)])
    model = EncoderDecoder(6, 6, "gru", bos=1, eos=2, hidden_size=8, rng=0)
    seen = []

    def sampling(t):
        seen.append(t)
        model.sampling = min(0.5, t / 50)

    data = Pairs(source, np.full(64, 1), target, np.full(64, 3), batch_size=16)
    history = train(model, data, Adam(model.parameters, 0.03), epochs=15, clip=1.0, before_step=sampling)
    assert seen == list(range(60))
    assert history[-1].loss < 0.1
    assert np.array_equal(model.generate(source, max_steps=5).ids, target)


def test_the_loop_is_truncated_bptt_with_the_state_carried_over_windows_and_not_over_epochs():
    data, model, by_hand = Stream(CYCLE, 3, 7), language(dropout=0.0), language(dropout=0.0)
    train(model, data, SGD(model.parameters, 0.5), epochs=2)
    optimizer = SGD(by_hand.parameters, 0.5)
    for _ in range(2):
        state = None
        for inputs, targets in zip(data.inputs, data.targets, strict=True):
            result = by_hand.loss(inputs, targets, state=state)
            state = result.state
            optimizer.step(result.gradients)
    assert same(model.parameters, by_hand.parameters)


def test_a_step_clips_and_follows_its_schedule():
    data, model, by_hand = sequences(pool=1), classifier(), classifier()
    schedule, clip = linear_warmup(3, cosine_decay(9)), 0.8
    history = train(model, data, Adam(model.parameters, 0.05), epochs=1, clip=clip, schedule=schedule, seed=6)
    optimizer, norms, total, rates = Adam(by_hand.parameters), [], 0.0, []
    for t, batch in enumerate(data.epoch(np.random.default_rng([6, 0, 0]))):
        result = by_hand.loss(*batch.arguments, rng=np.random.default_rng([6, 1, t]))
        gradients, norm = clip_by_global_norm(result.gradients, clip)
        norms.append(norm)
        rates.append(0.05 * schedule(t))
        optimizer.step(gradients, rates[-1])
        total += result.value * result.targets
    assert same(model.parameters, by_hand.parameters)
    (record,) = history
    assert record.gradient_norm == pytest.approx(np.mean(norms), rel=1e-14)
    assert record.gradient_norm_max == max(norms) > norms[-1]
    assert 0 < record.clipped == np.mean(np.array(norms) > clip) < 1
    assert record.learning_rate == rates[-1]
    assert record.loss == pytest.approx(total / 23, rel=1e-14)
    assert record.perplexity == math.exp(record.loss)
    assert (record.epoch, record.steps) == (1, 6)


def test_clipping_may_be_a_function():
    model = classifier()
    clip = lambda gradients: clip_by_value(gradients, 1e-3)  # noqa: E731
    before = copies(model)
    (record,) = train(model, sequences(), SGD(model.parameters, 1.0), epochs=1, clip=clip)
    assert record.clipped == 1
    moved = max(np.abs(model.parameters[name] - before[name]).max() for name in before)
    assert moved <= 6e-3 * (1 + 1e-12)
    (record,) = train(model, sequences(), SGD(model.parameters, 1.0), epochs=1)
    assert record.clipped == 0
    assert record.gradient_norm > 0


@pytest.mark.parametrize("sizes", [(23,), (1, 22), (4, 4, 4, 4, 4, 3)])
def test_accumulated_batches_have_the_gradient_of_one_big_batch(sizes):
    model, data = LanguageModel(5, "lstm", hidden_size=6, rng=0), sequences()
    big = model.loss(data.inputs, data.inputs, data.lengths)
    edges = np.cumsum((0, *sizes))
    parts = [np.arange(a, b) for a, b in pairwise(edges)]
    batches = []
    for chosen in parts:
        inputs, lengths = cut(data.inputs, data.lengths, chosen)
        batches.append(Batch((inputs, inputs, lengths), 1, 1))
    gathered = gather(model, batches, None, False, None)
    assert gathered.targets == big.targets == data.lengths.sum()
    assert abs(gathered.loss - big.value) < 1e-12
    for name, gradient in big.gradients.items():
        np.testing.assert_allclose(gathered.gradients[name], gradient, rtol=0, atol=1e-12, err_msg=name)


def test_training_on_accumulated_batches_equals_training_on_big_ones():
    models = [classifier(), classifier()]
    for model in models:
        model.head.dropout = 0.0
    histories = [
        train(model, sequences(24, size, pool=1), SGD(model.parameters, 0.5), epochs=4, clip=0.5, accumulate=k)
        for model, size, k in zip(models, (24, 5), (1, 5), strict=True)
    ]
    for name, parameter in models[0].parameters.items():
        np.testing.assert_allclose(models[1].parameters[name], parameter, rtol=0, atol=1e-12, err_msg=name)
    for one, other in zip(*histories, strict=True):
        assert one.steps == other.steps
        assert one.gradient_norm == pytest.approx(other.gradient_norm, abs=1e-12)
        assert one.loss == pytest.approx(other.loss, abs=1e-12)


def test_the_last_step_of_an_epoch_takes_what_is_left():
    model = classifier()
    (record,) = train(model, sequences(), SGD(model.parameters), epochs=1, accumulate=4)  # 6 batches
    assert record.steps == 2
    assert record.tokens == sequences().lengths.sum()


def test_accumulated_windows_carry_their_state():
    data, model = Stream(CYCLE, 3, 7), language(dropout=0.0)
    batches = list(data.epoch(np.random.default_rng(0)))
    gathered, losses, state = gather(model, batches, None, True, None), [], None
    for batch in batches:
        result = model.forward(*batch.arguments, state=state)
        state = result.state
        losses += [result.loss] * result.targets
    assert gathered.loss == pytest.approx(np.mean(losses), rel=1e-14)
    for one, other in zip(gathered.state, state, strict=True):
        assert np.array_equal(one, other)


def test_float32_stays_float32():
    model = classifier(dtype=np.float32)
    train(model, sequences(), Adam(model.parameters), epochs=1, clip=0.1, accumulate=2)
    assert {parameter.dtype for parameter in model.parameters.values()} == {np.dtype(np.float32)}


def test_a_parameter_that_the_optimiser_does_not_have_stays_frozen():
    model = classifier()
    before = copies(model)
    own = {name: array for name, array in model.parameters.items() if not name.startswith("embedding")}
    (record,) = train(model, sequences(), SGD(own, 0.1), epochs=1)
    changed = {name for name in before if not np.array_equal(before[name], model.parameters[name])}
    assert changed == set(own)
    frozen = model.loss(*next(iter(sequences().epoch(np.random.default_rng(0)))).arguments).gradients
    assert global_norm({name: frozen[name] for name in own}) < global_norm(frozen)
    assert record.gradient_norm > 0


# one seed, one run


def test_one_seed_gives_one_run_and_another_seed_another():
    runs = []
    for seed in (1, 1, 2):
        model = classifier()
        history = train(model, sequences(), Adam(model.parameters), epochs=2, seed=seed)
        runs.append((copies(model), numbers(history)))
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not same(runs[0][0], runs[2][0])


def test_every_epoch_and_every_step_draws_anew():
    orders, noises = [], []

    class Listening(Sequences):
        def epoch(self, rng):
            orders.append(rng.bit_generator.state["state"]["state"])
            return super().epoch(rng)

    class Noisy(SequenceClassifier):
        def forward(self, *batch, rng=None):
            if rng is not None:
                noises.append(rng.bit_generator.state["state"]["state"])
            return super().forward(*batch, rng=rng)

    model, plain = Noisy(3, "gru", vocabulary_size=5, hidden_size=6, rng=0), sequences()
    data = Listening(plain.inputs, plain.targets, plain.lengths, batch_size=4)
    train(model, data, SGD(model.parameters), epochs=3)
    assert len(orders) == len(set(orders)) == 3
    assert len(noises) == len(set(noises)) == 18


def settings(kind):
    """A fresh run of one kind: all that carries something from step to step."""
    if kind == "stream":
        model = language()
        data, validation = Stream(CYCLE, 4, 8), Stream(CYCLE[:60], 4, 8)
        options = {"clip": 0.5, "schedule": linear_warmup(4, cosine_decay(20)), "accumulate": 2, "patience": 1}
        return model, data, Adam(model.parameters, 0.02), {"validation": validation, "epochs": 5, **options}
    model = classifier()
    options = {"validation": sequences(9), "patience": 2, "epochs": 3, "measure": lambda: {"zero": 0}}
    return model, sequences(), AdamW(model.parameters, 0.05), options


def run(kind, path, resume, *reports, every=1, **changes):
    model, data, optimizer, options = settings(kind)
    checkpoint = Checkpoint(path, every=every, resume=resume)
    history = train(model, data, optimizer, checkpoint=checkpoint, reports=reports, **{**options, **changes})
    return copies(model), optimizer.state(), numbers(history)


@pytest.mark.parametrize("kind", ["stream", "sequences"])
@pytest.mark.parametrize("every", [2, None])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_numbers_bit_for_bit(tmp_path, kind, every):
    model, data, optimizer, options = settings(kind)
    history = train(model, data, optimizer, **options)
    whole = copies(model), optimizer.state(), numbers(history)
    assert history[-1].steps > 8
    for stop in range(1, history[-1].steps + 1):
        path = tmp_path / f"{stop}.npz"
        with pytest.raises(KeyboardInterrupt):
            run(kind, path, False, Interrupt(stop), every=every)
        parameters, state, again = run(kind, path, True, every=every)
        assert same(parameters, whole[0]), stop
        assert same(state, whole[1]), stop
        assert again == whole[2], stop


def test_a_run_can_be_stopped_again_and_again(tmp_path):
    path = tmp_path / "run.npz"
    whole = run("sequences", tmp_path / "whole.npz", False)
    stopped = None
    for _ in range(20):
        with contextlib.suppress(KeyboardInterrupt):
            stopped = run("sequences", path, True, Interrupt(3), every=2)
    assert stopped, "it never came to its end"
    assert same(stopped[0], whole[0])
    assert stopped[2] == whole[2]


CRASHING = """
import os, sys
import numpy as np
from rnnlib.models import LanguageModel
from rnnlib.optim import Adam
from rnnlib.training import Checkpoint, Report, Stream, train

class Crash(Report):
    def step(self, batches, loss):
        if optimizer.steps == int(sys.argv[2]):
            os._exit(9)

model = LanguageModel(5, "gru", hidden_size=6, num_layers=2, dropout=0.3, rng=0)
optimizer = Adam(model.parameters, 0.02)
checkpoint = Checkpoint(sys.argv[1], every=4, resume=True)
data = Stream(np.tile(np.arange(5), 30), 4, 8)
history = train(model, data, optimizer, epochs=3, checkpoint=checkpoint, reports=[Crash()])
print([record.loss.hex() for record in history], model.parameters["head.bias"].tobytes().hex())
"""


def test_a_process_that_crashed_is_continued_by_another(tmp_path):
    def process(name, crash):
        command = [sys.executable, "-c", CRASHING, str(tmp_path / name), str(crash)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert process("run.npz", 7).returncode == 9
    resumed, whole = process("run.npz", 0), process("whole.npz", 0)
    assert len(whole.stdout) > 100, whole.stderr
    assert resumed.stdout == whole.stdout


def test_a_finished_run_goes_on_to_more_epochs_as_if_it_had_never_ended(tmp_path):
    model, data, optimizer, options = settings("sequences")
    options |= {"patience": None, "epochs": 5}
    whole = numbers(train(model, data, optimizer, **options))
    path = tmp_path / "run.npz"
    run("sequences", path, False, patience=None, epochs=2)
    parameters, _, history = run("sequences", path, True, patience=None, epochs=5)
    assert history == whole
    assert same(parameters, model.parameters)
    again = run("sequences", path, True, patience=None, epochs=5)  # nothing is left to do
    assert same(again[0], parameters)
    assert again[2] == whole


# early stopping


def test_training_stops_after_patience_and_gives_back_the_best_parameters():
    model, history = scripted([5, 3, 4, 3, 2, 9, 2, 2.5], patience=3)
    assert [record.validation_loss for record in history] == [5, 3, 4, 3, 2, 9, 2, 2.5]
    assert model.weight == [5]
    model, history = scripted([1, 2, 3], patience=1)
    assert len(history) == 2
    assert model.weight == [1]


def test_the_best_parameters_come_back_also_where_the_epochs_ran_out():
    model, _ = scripted([5, 3, 4], epochs=3, patience=3)
    assert model.weight == [2]
    model, _ = scripted([5, 3, 4], epochs=3)
    assert model.weight == [3]  # without patience the last ones stay


def test_the_state_of_early_stopping_survives_a_resumption(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.npz", resume=True)
    model, _ = scripted([5, 3, 4], epochs=3, patience=3, checkpoint=checkpoint)
    assert model.weight == [2]
    model, history = scripted([6, 7, 99], epochs=99, patience=3, checkpoint=checkpoint)
    assert len(history) == 5
    assert model.weight == [2]
    model, history = scripted([], epochs=99, patience=3, checkpoint=checkpoint)
    assert len(history) == 5
    model, history = scripted([1], epochs=6, checkpoint=checkpoint)
    assert model.weight == [6]  # it went on from the last parameters, not from the best


def test_validation_neither_drops_nor_learns_nor_depends_on_its_batches():
    model, data = classifier(), sequences()
    expected = model.forward(data.inputs, data.targets, data.lengths).loss
    before = copies(model)
    for size in (1, 4, 23):
        assert evaluate(model, sequences(batch_size=size)) == pytest.approx(expected, rel=1e-13)
    assert same(before, model.parameters)
    stream = language()
    assert evaluate(stream, Stream(CYCLE, 1, 7)) == pytest.approx(math.log(stream.perplexity(CYCLE)), rel=1e-13)
    (record,) = train(model, data, SGD(model.parameters, 1e-30), epochs=1, validation=data)
    assert record.validation_loss == pytest.approx(expected, rel=1e-13)
    assert record.validation_perplexity == math.exp(record.validation_loss)


# checkpoints


def test_a_checkpoint_of_another_run_is_refused_by_name_and_changes_nothing(tmp_path):
    path = tmp_path / "run.npz"
    model = classifier()
    train(model, sequences(), Adam(model.parameters), epochs=1, checkpoint=Checkpoint(path))
    wide = SequenceClassifier(3, "gru", vocabulary_size=6, hidden_size=6, output_dropout=0.2, rng=0)
    relu, tanh = (
        SequenceClassifier(3, "rnn", vocabulary_size=5, hidden_size=6, nonlinearity=how) for how in ("relu", "tanh")
    )
    other = tmp_path / "relu.npz"
    train(relu, sequences(), Adam(relu.parameters), epochs=1, checkpoint=Checkpoint(other))
    plain = classifier(), sequences(), Adam, 0
    refused = [
        (path, wide, *plain[1:], r"embedding.weight is float64 \(5, 6\) there and float64 \(6, 6\) here"),
        (other, tanh, *plain[1:], "nonlinearity is relu there and tanh here"),
        (path, plain[0], sequences(batch_size=5), *plain[2:], "batch_size is 4 there and 5 here"),
        (path, plain[0], sequences(22), *plain[2:], "checksum"),
        (path, *plain[:2], AdamW, 0, "optimizer is Adam there and AdamW here"),
        (path, *plain[:2], lambda p: Adam(p, 0.1), 0, "learning_rate is 0.001 there and 0.1 here"),
        (path, *plain[:3], 5, "seed is 0 there and 5 here"),
    ]
    for file, model, data, make, seed, words in refused:
        before, optimizer = copies(model), make(model.parameters)
        with pytest.raises(ValueError, match=words) as error:
            train(model, data, optimizer, epochs=2, seed=seed, checkpoint=Checkpoint(file, resume=True))
        assert "of another run" in str(error.value)
        assert same(before, model.parameters)
        assert optimizer.steps == 0


def test_a_checkpoint_is_never_overwritten_by_a_new_run(tmp_path):
    path = tmp_path / "run.npz"
    run("sequences", path, False, epochs=1)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="resume=True"):
        run("sequences", path, False, epochs=1)
    assert path.read_bytes() == before


def test_a_checkpoint_is_plain_arrays_and_json(tmp_path):
    path = tmp_path / "run.npz"
    run("stream", path, False, epochs=1)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    plain = json.loads(arrays.pop("json").tobytes())
    assert plain["epoch"] == 1
    assert plain["history"][0]["epoch"] == 1
    assert all(array.dtype.kind in "fi" for array in arrays.values())


@pytest.mark.parametrize("content", ["nothing", "text", "one array", "another npz", "pickle", "a part"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "run.npz"
    if content == "another npz":
        np.savez(path, a=np.zeros(3))
    elif content == "pickle":
        np.savez(path, json=np.array([{"a": 1}], dtype=object))
    elif content == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif content == "a part":
        run("sequences", path, False, epochs=1)
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_bytes(b"" if content == "nothing" else b"this is text")
    with pytest.raises(ValueError, match="holds no checkpoint"):
        run("sequences", path, True)


def test_a_crash_while_writing_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    run("sequences", path, False, epochs=1)
    before, real = path.read_bytes(), np.savez

    def failing(file, **arrays):
        real(file, a=np.zeros(9))
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", failing)
    with pytest.raises(OSError, match="disk full"):
        run("sequences", path, True, epochs=2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoints_refuse_what_has_no_meaning(tmp_path):
    with pytest.raises(ValueError, match=r"an \.npz file"):
        Checkpoint(tmp_path / "run.pt")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        Checkpoint(tmp_path / "nowhere" / "run.npz")
    with pytest.raises(ValueError, match="at least one step"):
        Checkpoint(tmp_path / "run.npz", every=0)


# what is not finite


def test_a_gradient_that_is_not_finite_names_epoch_step_and_parameter_and_takes_no_step():
    model, data = StepForecaster(1, "rnn", hidden_size=3, rng=0), Stream(np.ones((40, 1)), 1, 10)
    train(model, data, SGD(model.parameters), epochs=1)
    data.inputs[2][5] = np.nan
    before = None

    class Watch(Report):
        def step(self, batches, loss):
            nonlocal before
            before = copies(model)

    with pytest.raises(FloatingPointError, match="epoch 1, step 3: the loss is nan") as error:
        train(model, data, SGD(model.parameters), epochs=1, reports=[Watch()])
    assert "'rnn.weight_hh_l0'" in str(error.value)
    assert "learning rate" in str(error.value)
    assert same(before, model.parameters)


def test_a_parameter_that_is_not_finite_is_named():
    model = classifier()
    model.parameters["head.bias"][1] = np.inf
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(FloatingPointError, match=r"not finite: the parameter 'head\.bias' itself"),
    ):
        train(model, sequences(), SGD(model.parameters), epochs=1)


def test_a_loss_may_be_finite_and_its_gradient_not():
    class Broken(Scripted):
        def backward(self, cache):
            return {"weight": np.array([np.inf])}, None

    model = Broken([])
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 1: the norm of the gradient is inf.*'weight'"):
        train(model, Given((True,)), SGD(model.parameters), epochs=1)
    assert model.weight == [0]


def test_a_gradient_may_be_finite_and_its_loss_not():
    class Broken(Scripted):
        def forward(self, training, *, rng=None):
            return Forward(np.float64(math.inf), 1, None, None)

    model = Broken([])
    with pytest.raises(FloatingPointError, match="epoch 1, step 1: the loss is inf"):
        train(model, Given((True,)), SGD(model.parameters), epochs=1)
    assert model.weight == [0]


def test_a_validation_loss_that_is_not_finite_stops_training():
    with pytest.raises(FloatingPointError, match="epoch 2: the validation loss is nan"):
        scripted([1, math.nan, 1])


# what is said


def test_json_lines_are_the_history_also_of_a_resumed_run(tmp_path):
    path, log = tmp_path / "run.npz", JsonLines(tmp_path / "run.jsonl")
    log.path.write_text("an older run\n")
    with pytest.raises(KeyboardInterrupt):
        run("sequences", path, False, log, Interrupt(14), every=5)
    assert len(log.path.read_text().splitlines()) == 2
    _, _, history = run("sequences", path, True, log, every=5)
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line, record in zip(lines, history, strict=True):
        expected = record._asdict()
        assert {**line, "seconds": 0.0} == expected | expected.pop("measures")
        assert line["zero"] == 0


def test_json_knows_no_infinity(tmp_path):
    class Endless(Scripted):
        likelihood = True

        def forward(self, training, *, rng=None):
            return Forward(np.float64(1e4), 1, None, None)

    model, log = Endless([]), JsonLines(tmp_path / "run.jsonl")
    (record,) = train(model, Given((True,)), SGD(model.parameters), epochs=1, reports=[log])
    assert record.perplexity == math.inf
    line = json.loads(log.path.read_text(), parse_constant=pytest.fail)
    assert line["perplexity"] is None
    assert line["loss"] == 1e4


def test_padding_and_tokens_are_those_of_the_batches():
    data, model = sequences(), classifier()
    (record,) = train(model, data, SGD(model.parameters), epochs=1)
    lengths = [batch.arguments[2] for batch in data.epoch(np.random.default_rng([0, 0, 0]))]
    positions = sum(len(own) * own.max() for own in lengths)
    assert record.tokens == data.lengths.sum()
    assert record.padding_ratio == pytest.approx(1 - data.lengths.sum() / positions, rel=1e-14)
    assert record.seconds > 0


def test_plain_progress_is_one_line_for_each_epoch():
    file, model = io.StringIO(), classifier()
    train(
        model,
        sequences(),
        SGD(model.parameters),
        epochs=2,
        reports=[PlainProgress(file)],
        measure=lambda: {"accuracy": 0.5},
    )
    lines = file.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2"]
    assert "accuracy 0.5" in lines[0]
    assert "validation" not in lines[0]


def test_progress_is_tqdm_where_it_is_installed_and_counts_batches(capsys):
    pytest.importorskip("tqdm")
    model = classifier()
    train(model, sequences(), SGD(model.parameters), epochs=2, accumulate=2, reports=[progress()])
    shown = capsys.readouterr().err
    assert shown.count("6/6") >= 2
    assert "epoch 2: loss" in shown


def test_progress_without_tqdm_is_plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert isinstance(progress(), PlainProgress)


def test_importing_models_and_training_loads_no_heavy_library():
    heavy = ("torch", "matplotlib", "tqdm", "mlflow", "pandas", "IPython")
    code = f"import sys, rnnlib.models, rnnlib.training; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_reports_hear_how_a_run_ended():
    ends = []

    class Listener(Report):
        def close(self, finished):
            ends.append(finished)

    train(model := classifier(), sequences(), SGD(model.parameters), epochs=1, reports=[Listener()])
    with pytest.raises(KeyboardInterrupt):
        train(model, sequences(), SGD(model.parameters), epochs=1, reports=[Listener(), Interrupt(2)])
    assert ends == [True, False]


# what cannot be trained


def test_what_came_to_the_door_is_checked():
    model, other = classifier(), classifier()
    data = sequences()
    with pytest.raises(ValueError, match="is not an array of this model"):
        train(model, data, SGD(other.parameters), epochs=1)
    with pytest.raises(ValueError, match="accumulate 0"):
        train(model, data, SGD(model.parameters), epochs=1, accumulate=0)
    with pytest.raises(ValueError, match="without validation data"):
        train(model, data, SGD(model.parameters), epochs=1, patience=1)
    with pytest.raises(ValueError, match="patience is 0"):
        train(model, data, SGD(model.parameters), epochs=1, patience=0, validation=data)
    with pytest.raises(ValueError, match="max_norm is -1"):
        train(model, data, SGD(model.parameters), epochs=1, clip=-1)


# data


def test_every_sequence_comes_once_with_its_own_target_and_no_more_padding_than_needed():
    data = sequences()
    epochs = [list(data.epoch(np.random.default_rng(seed))) for seed in (0, 0, 1)]
    for batches in epochs:
        assert len(batches) == len(data) == 6
        seen = []
        for inputs, targets, lengths in (batch.arguments for batch in batches):
            assert len(inputs) == lengths.max()
            seen += [(column[:L].tolist(), t) for column, t, L in zip(inputs.T, targets, lengths, strict=True)]
        expected = [(data.inputs[:L, n].tolist(), data.targets[n]) for n, L in enumerate(data.lengths)]
        assert sorted(seen) == sorted(expected)
    first = [[batch.arguments[0].tolist() for batch in batches] for batches in epochs]
    assert first[0] == first[1] != first[2]


def test_targets_of_steps_are_cut_with_their_inputs_and_those_of_a_horizon_are_not():
    plain = sequences()
    steps = Sequences(plain.inputs, plain.inputs * 10, plain.lengths, batch_size=4)
    for inputs, targets, _ in (batch.arguments for batch in steps.epoch(np.random.default_rng(0))):
        assert np.array_equal(targets, inputs * 10)
    x = np.random.default_rng(0).standard_normal((4, 6, 1))
    ahead = Sequences(x, np.concatenate([x[:1]] * 7), batch_size=4)
    for inputs, targets in (batch.arguments for batch in ahead.epoch(np.random.default_rng(0))):
        assert targets.shape == (7, inputs.shape[1], 1)
        assert np.array_equal(targets[6], inputs[0])


def test_pairs_keep_both_sides_together():
    rng = np.random.default_rng(0)
    source_lengths, target_lengths = rng.integers(0, 6, 17), rng.integers(1, 8, 17)
    source, target = np.tile(np.arange(17), (5, 1)), np.tile(np.arange(17) + 100, (7, 1))
    data = Pairs(source, source_lengths, target, target_lengths, batch_size=4)
    batches = list(data.epoch(np.random.default_rng(0)))
    assert len(batches) == len(data) == 5
    seen, tokens = [], 0
    for batch in batches:
        inputs, targets, inner, outer = batch.arguments
        assert np.array_equal(inputs[0] + 100, targets[0])
        assert np.array_equal(inner, source_lengths[inputs[0]])
        assert np.array_equal(outer, target_lengths[inputs[0]])
        assert (len(inputs), len(targets)) == (max(1, inner.max()), outer.max())
        assert batch.positions == inputs.size + targets.size
        seen += inputs[0].tolist()
        tokens += batch.tokens
    assert sorted(seen) == list(range(17))
    assert tokens == (source_lengths + target_lengths).sum()


def test_a_batch_of_empty_sources_has_one_step_of_padding():
    data = Pairs(np.full((5, 2), -1), [0, 0], np.full((3, 2), 2), [1, 3], batch_size=1)
    model = EncoderDecoder(4, 4, "gru", bos=1, eos=2, hidden_size=3, rng=0)
    assert [len(batch.arguments[0]) for batch in data.epoch(np.random.default_rng(0))] == [1, 1]
    assert math.isfinite(evaluate(model, data))


def test_a_stream_is_read_in_order():
    data = Stream(CYCLE[:47], 3, 4)
    batches = list(data.epoch(np.random.default_rng(0)))
    assert len(batches) == len(data) == 4
    assert data.remainder == 1
    rows = np.concatenate([batch.arguments[0] for batch in batches])
    assert np.array_equal(rows.T.ravel(), CYCLE[:45])
    assert sum(batch.tokens for batch in batches) == 45


def test_data_that_does_not_fit_is_refused():
    x, y = np.zeros((4, 6), int), np.zeros(5, int)
    with pytest.raises(ValueError, match=r"expected \(6,\) or \(T, 6, ...\)"):
        Sequences(x, y, batch_size=2)
    with pytest.raises(ValueError, match="each step has its target"):
        Sequences(x, x[:3], [4] * 6, batch_size=2)
    with pytest.raises(ValueError, match="batch_size is 0"):
        Sequences(x, x, batch_size=0)
    with pytest.raises(ValueError, match="as many sequences"):
        Pairs(x, [4] * 6, x[:, :5], [4] * 5, batch_size=2)


# MLflow


def test_mlflow_keeps_parameters_and_epochs_in_a_local_file_and_goes_on_with_a_resumed_run(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", exc_type=ImportError)
    pytest.importorskip("alembic")
    from rnnlib.training import MLflow

    monkeypatch.chdir(tmp_path)
    track = MLflow(tmp_path / "runs.db", "one")
    with pytest.raises(KeyboardInterrupt):
        run("sequences", tmp_path / "run.npz", False, track, Interrupt(14), every=5)
    assert track.client.get_run(track.run_id).info.status == "KILLED"
    first = track.run_id
    _, _, history = run("sequences", tmp_path / "run.npz", True, track, every=5)
    assert track.run_id == first
    stored = track.client.get_run(first)
    assert stored.info.status == "FINISHED"
    assert stored.info.artifact_uri.startswith((tmp_path / "runs.artifacts").as_uri())
    assert stored.data.params["hidden_size"] == "6"
    assert stored.data.params["optimizer"] == "AdamW"
    losses = [(m.step, m.value) for m in track.client.get_metric_history(first, "loss")]
    assert losses == [(record.epoch, record.loss) for record in history]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.npz", "runs.db"]
    run("sequences", tmp_path / "two.npz", False, track, epochs=1)
    assert track.run_id != first


def test_tracking_without_mlflow_names_the_extra():
    code = "import sys; sys.modules['mlflow'] = None; from rnnlib.training import MLflow; MLflow('runs.db', 'one')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert 'pip install "rnn-notebooks[track]"' in done.stderr
