"""Training torch modules: rnnlib's records to the last digits, half precision, feeding, and runs that go on."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rnnlib import optim, training  # noqa: E402
from rnnlib.models import EncoderDecoder, Forecaster, LanguageModel, SequenceClassifier  # noqa: E402
from rnnlib.optim import cosine_decay, linear_warmup  # noqa: E402
from rnnlib.torchref import Unsupported, twin  # noqa: E402
from rnnlib.torchref.models import twin_model  # noqa: E402
from rnnlib.torchref.training import Checkpoint, evaluate, profile, profiling, train  # noqa: E402
from rnnlib.torchref.training.feeding import Loader, feed  # noqa: E402
from rnnlib.torchref.training.precision import Arithmetic  # noqa: E402
from rnnlib.torchref.training.step import gather  # noqa: E402
from rnnlib.training import Batch, Data, JsonLines, Pairs, Report, Sequences, Stream  # noqa: E402

CYCLE = np.tile(np.arange(5), 30)
CPU = torch.device("cpu")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: pinned memory and side streams are CUDA's")


class Said(NamedTuple):
    loss: torch.Tensor
    targets: int
    state: object


class Speaker(torch.nn.Module):
    """A language model with the weights of rnnlib's."""

    likelihood = True

    def __init__(self, model, dtype=torch.float64, form="loop"):
        super().__init__()
        self.embedding = torch.nn.Embedding(model.reader.vocabulary_size, model.reader.rnn.input_size)
        self.rnn = twin(model.reader.rnn, form)
        self.head = torch.nn.Linear(model.reader.rnn.hidden_size, 5)
        self.to(dtype).load_state_dict({name: torch.tensor(array) for name, array in model.parameters.items()})

    def forward(self, inputs, targets, lengths=None, *, state=None, rng=None):
        if lengths is not None:
            padding = torch.arange(len(inputs))[:, None] >= torch.as_tensor(lengths)
            inputs, targets = inputs.masked_fill(padding, 0), targets.masked_fill(padding, -100)
        hs, state = self.rnn(self.embedding(inputs), state, lengths, rng=rng)
        loss = torch.nn.functional.cross_entropy(self.head(hs).flatten(0, 1), targets.flatten())
        return Said(loss, int((targets != -100).sum()), state)

    def describe(self):
        return {"model": "Speaker", "form": self.rnn.form}


class Small(torch.nn.Module):
    """One weight vector; the loss is what a test says of it."""

    likelihood = False

    def __init__(self, loss, size=3):
        super().__init__()
        self.weight, self.loss = torch.nn.Parameter(torch.linspace(0.5, 1, size)), loss

    def forward(self, *batch, state=None, rng=None):
        return Said(self.loss(self.weight, *batch), 1, None)

    def describe(self):
        return {"model": "Small"}


class Given(Data):
    """Batches as they are given."""

    def __init__(self, *batches):
        self.batches = batches

    def epoch(self, rng):
        return (Batch(arguments, 1, 1) for arguments in self.batches)

    def __len__(self):
        return len(self.batches)


class Interrupt(Report):
    """Stops a run after so many steps, as a user does."""

    def __init__(self, steps):
        self.left = steps

    def step(self, batches, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def language(layer="lstm", **options):
    return LanguageModel(5, layer, rng=0, **{"hidden_size": 6, "num_layers": 2, "dropout": 0.2, **options})


def speaker(dtype=torch.float32, **options):
    return Speaker(language(**options), dtype)


def sequences(N=23, batch_size=4, **options):
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, 9, N)
    inputs = np.where(np.arange(8)[:, None] < lengths, rng.integers(0, 5, (8, N)), -1)
    return Sequences(inputs, inputs * 3 % 5, lengths, batch_size=batch_size, **options)


def loud(weight, *batch):
    """A loss whose gradient, times the first scale of 65536, is more than float16 can hold at its first product."""
    return torch.nn.functional.linear(torch.full((1, 3), 0.25), weight[None]).sum()


def numbers(history):
    """A history without the one number that differs from run to run."""
    return [record._replace(seconds=0.0) for record in history]


def compare(found, expected):
    """Whether two histories are one to 1e-8."""
    for one, other in zip(numbers(found), numbers(expected), strict=True):
        for name, value in other._asdict().items():
            expected_value = value if value is None else pytest.approx(value, rel=1e-8, abs=1e-8)
            assert getattr(one, name) == expected_value, name


def copies(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    """Whether two nests of tensors and plain values are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def feeders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("rnnlib-feed")]


@pytest.fixture(autouse=True)
def no_thread_is_left_behind():
    assert not feeders()
    yield
    assert not feeders()


# the sibling of rnnlib.training


@pytest.mark.parametrize(
    ("layer", "make", "of_torch"),
    [
        ("lstm", optim.Adam, torch.optim.Adam),
        ("gru", lambda p, rate: optim.SGD(p, rate, momentum=0.9), lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
    ],
)
@pytest.mark.parametrize("kind", ["stream", "sequences"])
def test_in_float64_the_records_are_those_of_rnnlib(kind, layer, make, of_torch):
    model = language(layer)
    module = Speaker(model)
    data = Stream(CYCLE, 4, 8) if kind == "stream" else sequences(pool=2)
    validation = Stream(CYCLE[:60], 4, 8) if kind == "stream" else sequences(9)
    options = {"validation": validation, "clip": 0.18, "schedule": linear_warmup(4, cosine_decay(20)), "seed": 3}
    options |= {"epochs": 5, "accumulate": 2, "patience": 4}
    expected = training.train(model, data, make(model.parameters, 0.05), **options)
    found = train(module, data, of_torch(module.parameters(), lr=0.05), **options)
    assert 0 < sum(record.clipped for record in expected) < 5
    assert len(found) == 5
    compare(found, expected)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), model.parameters[name], rtol=0, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("kind", [SequenceClassifier, EncoderDecoder, Forecaster])
def test_the_twin_of_a_model_of_every_kind_of_data_trains_as_it_does(kind):
    rng = np.random.default_rng(0)
    lengths, others, x = rng.integers(1, 6, 17), rng.integers(1, 8, 17), rng.standard_normal((6, 17, 2))
    tokens, answers = rng.integers(3, 6, (5, 17)), rng.integers(2, 6, (7, 17))
    if kind is SequenceClassifier:
        model = SequenceClassifier(3, "gru", vocabulary_size=6, hidden_size=4, output_dropout=0.2, rng=0)
        data = Sequences(tokens, tokens[0] % 3, lengths, batch_size=4)
    elif kind is EncoderDecoder:
        model = EncoderDecoder(6, 6, "gru", bos=1, eos=2, hidden_size=4, rng=0)
        data = Pairs(tokens, lengths, answers, others, batch_size=4)
    else:
        model, data = Forecaster(2, "rnn", hidden_size=4, horizon=3, rng=0), Sequences(x, x[:3], batch_size=4)
    module = twin_model(model, form="loop")
    options = {"epochs": 2, "clip": 0.3, "accumulate": 2, "validation": data}
    expected = training.train(model, data, optim.Adam(model.parameters, 0.05), **options)
    found = train(module, data, torch.optim.Adam(module.parameters(), 0.05), **options)
    assert expected[-1].clipped > 0
    compare(found, expected)


def test_a_language_model_learns_a_cycle():
    module = speaker(dropout=0.0)
    history = train(module, Stream(CYCLE, 4, 10), torch.optim.Adam(module.parameters(), 0.03), epochs=15, clip=1.0)
    assert history[0].perplexity > 3
    assert history[-1].perplexity < 1.3
    assert evaluate(module, Stream(CYCLE, 4, 10)) == pytest.approx(history[-1].loss, rel=0.3)


def test_one_seed_gives_one_run_and_another_seed_another():
    runs = []
    for seed, prefetch in ((1, 0), (1, 3), (2, 0)):
        module = speaker()
        optimizer = torch.optim.Adam(module.parameters())
        history = train(module, sequences(), optimizer, epochs=2, seed=seed, prefetch=prefetch)
        runs.append((copies(module), numbers(history)))
    assert same(runs[0], runs[1])
    assert not same(runs[0][0], runs[2][0])


def test_noise_is_drawn_by_numpy_or_on_the_device_and_follows_from_seed_and_step():
    seen = {}

    class Watching(Speaker):
        def forward(self, *batch, state=None, rng=None):
            if rng is not None:
                kinds.append(type(rng))
            return super().forward(*batch, state=state, rng=rng)

    for noise in ("host", "device"):
        for seed in (0, 0, 1):
            kinds, module = [], Watching(language())
            optimizer = torch.optim.SGD(module.parameters(), 0.1)
            train(module, Stream(CYCLE, 4, 8), optimizer, epochs=1, noise=noise, seed=seed)
            assert set(kinds) == {np.random.Generator if noise == "host" else torch.Generator}
            seen.setdefault((noise, seed), []).append(copies(module))
    assert same(*seen["host", 0])
    assert same(*seen["device", 0])
    different = [seen[key][0] for key in seen]
    assert not any(same(one, other) for k, one in enumerate(different) for other in different[:k])


def test_no_gradient_goes_back_into_the_window_before():
    seen = []

    class Watching(Speaker):
        def forward(self, *batch, state=None, rng=None):
            seen.append(state)
            return super().forward(*batch, state=state, rng=rng)

    module = Watching(language())
    train(module, Stream(CYCLE, 3, 10), torch.optim.SGD(module.parameters(), 0.1), epochs=2, accumulate=2)
    assert [state is None for state in seen] == ([True] + [False] * 4) * 2
    assert not any(part.requires_grad for state in seen if state for part in state)


@pytest.mark.parametrize("sizes", [(23,), (1, 22), (4, 4, 4, 4, 4, 3)])
@pytest.mark.parametrize("precision", [None, "fp16"])
def test_accumulated_batches_have_the_gradient_of_one_big_batch(sizes, precision):
    data, gradients, losses = sequences(), [], []
    dtype, tolerance = (torch.float32, 2e-3) if precision else (torch.float64, 1e-12)
    for parts in ((23,), sizes):
        module, batches = speaker(dtype), []
        arithmetic = Arithmetic(module, precision)
        for chosen in np.split(np.arange(23), np.cumsum(parts)[:-1]):
            x, lengths = torch.tensor(data.inputs[:, chosen]), data.lengths[chosen]
            batches.append(Batch((x, x, lengths), 1, 1))
        gathered = gather(module, batches, None, False, None, arithmetic)
        scale = arithmetic.scaler.get_scale()
        gradients.append({name: p.grad / scale for name, p in module.named_parameters()})
        losses.append(float(np.average([float(part) for part in gathered.losses], weights=gathered.targets)))
        assert sum(gathered.targets) == data.lengths.sum()
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=tolerance, atol=tolerance, msg=name)


def test_training_on_accumulated_batches_equals_training_on_big_ones():
    modules, histories = [speaker(torch.float64, dropout=0.0) for _ in range(2)], []
    for module, size, k in zip(modules, (24, 5), (1, 5), strict=True):
        optimizer = torch.optim.SGD(module.parameters(), 0.5)
        histories.append(train(module, sequences(24, size, pool=1), optimizer, epochs=4, clip=0.5, accumulate=k))
    for one, other in zip(*histories, strict=True):
        assert one.steps == other.steps
        assert one.gradient_norm == pytest.approx(other.gradient_norm, abs=1e-12)
        assert one.loss == pytest.approx(other.loss, abs=1e-12)
    for one, other in zip(*(module.parameters() for module in modules), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_what_the_optimiser_does_not_have_stays_frozen_and_out_of_the_norm():
    module = speaker()
    before, own = copies(module), list(module.head.parameters())
    (record,) = train(module, sequences(batch_size=23), torch.optim.SGD(own, 1.0), epochs=1)
    changed = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"head.weight", "head.bias"}
    moved = torch.linalg.vector_norm(torch.cat([(module.state_dict()[n] - before[n]).ravel() for n in changed]))
    assert record.gradient_norm == pytest.approx(float(moved), rel=1e-5)


def test_the_schedule_acts_on_every_group_and_leaves_the_optimiser_as_it_was():
    module = speaker()
    groups = [{"params": module.head.parameters(), "lr": 0.5}, {"params": module.rnn.parameters()}]
    optimizer, seen = torch.optim.SGD(groups, 0.1), []
    optimizer.register_step_pre_hook(lambda *_: seen.append([group["lr"] for group in optimizer.param_groups]))
    (record,) = train(module, sequences(), optimizer, epochs=1, schedule=linear_warmup(10))
    assert seen == [[0.5 * ((t + 1) / 10), 0.1 * ((t + 1) / 10)] for t in range(6)]
    assert record.learning_rate == seen[-1][0]
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]


def test_training_stops_after_patience_and_gives_back_the_best_parameters():
    losses = iter([5, 3, 4, 3, 2, 9, 2, 2.5])

    def scripted(weight, in_training):
        return -weight.sum() if in_training else torch.tensor(next(losses))

    module = Small(scripted)
    before, validation = module.weight.detach().clone(), Given((False,))
    optimizer = torch.optim.SGD(module.parameters(), 1.0)
    history = train(module, Given((True,)), optimizer, epochs=99, validation=validation, patience=3)
    assert [record.validation_loss for record in history] == [5, 3, 4, 3, 2, 9, 2, 2.5]
    assert torch.equal(module.weight, before + 5)


def test_reports_measures_and_before_step_hear_of_a_run(tmp_path):
    module, log, steps = speaker(), JsonLines(tmp_path / "run.jsonl"), []
    optimizer = torch.optim.Adam(module.parameters())
    history = train(
        module, sequences(), optimizer, epochs=2, reports=[log], measure=lambda: {"x": 1}, before_step=steps.append
    )
    assert steps == list(range(12))
    assert [record.measures for record in history] == [{"x": 1.0}] * 2
    assert len(log.path.read_text().splitlines()) == 2


# precision


def trained(precision, **options):
    module = speaker(dropout=0.0)
    optimizer = torch.optim.Adam(module.parameters(), 0.03)
    return train(module, Stream(CYCLE, 4, 10), optimizer, epochs=8, clip=1.0, precision=precision, **options), module


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_to_a_loss_near_that_of_float32(precision):
    (*_, whole), _ = trained(None)
    (first, *_, half), module = trained(precision)
    assert first.loss > 1.2
    assert whole.loss < 0.4
    assert half.loss == pytest.approx(whole.loss, rel=0.1)
    assert half.loss != whole.loss
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert ("loss_scale" in half.measures) == (precision == "fp16")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_forward_pass_is_in_halves_also_in_evaluation(precision):
    seen = []

    def loss(weight):
        product = torch.nn.functional.linear(weight, weight[None])
        seen.append(product.dtype)
        return product.sum() * 1e-3

    module = Small(loss)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    train(module, Given(()), optimizer, epochs=1, validation=Given(()), precision=precision)
    assert seen == [{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]] * 2


def test_a_step_that_overflows_float16_halves_the_scale_and_is_skipped_and_training_goes_on():
    module = Small(loud)
    before, moved = module.weight.detach().clone(), []
    optimizer = torch.optim.Adam(module.parameters(), 0.1)

    class Watch(Report):
        def step(self, batches, loss):
            moved.append(not torch.equal(module.weight, before))

    data = Given(*[()] * 4)
    history = train(module, data, optimizer, epochs=2, clip=1.0, precision="fp16", reports=[Watch()])
    assert moved == [False] + [True] * 7
    assert torch.isfinite(module.weight).all()
    assert optimizer.state[module.weight]["step"] == 7
    assert [record.measures for record in history] == [
        {"skipped_steps": 1.0, "loss_scale": 32768.0},
        {"skipped_steps": 0.0, "loss_scale": 32768.0},
    ]
    assert [record.steps for record in history] == [3, 7]
    assert [record.tokens for record in history] == [4, 4]
    norm = 0.25 * math.sqrt(3)
    assert [record.gradient_norm for record in history] == [pytest.approx(norm, rel=1e-3)] * 2
    assert history[0].gradient_norm_max == pytest.approx(norm, rel=1e-3)


def test_an_epoch_whose_every_step_was_skipped_has_no_norm():
    module = Small(loud)
    (record,) = train(module, Given(()), torch.optim.SGD(module.parameters(), 0.1), epochs=1, precision="fp16")
    assert record.steps == 0
    assert math.isnan(record.gradient_norm)
    assert math.isnan(record.gradient_norm_max)
    assert record.loss == pytest.approx(0.25 * 2.25, rel=1e-3)


def test_float16_clips_the_gradient_after_the_scale_has_been_taken_out():
    module = Small(lambda weight: torch.nn.functional.linear(torch.full((1, 3), 0.25), weight[None]).float().sum() / 8)
    before, norm = module.weight.detach().clone(), 0.25 * math.sqrt(3) / 8
    optimizer = torch.optim.SGD(module.parameters(), 1.0)
    (record,) = train(module, Given(()), optimizer, epochs=1, clip=norm / 2, precision="fp16")
    assert record.gradient_norm == pytest.approx(norm, rel=1e-3)
    assert record.clipped == 1
    moved = torch.linalg.vector_norm(module.weight.detach() - before)
    assert float(moved) == pytest.approx(norm / 2, rel=1e-3)


def test_a_gradient_that_no_scale_can_save_stops_and_names_its_parameter():
    module = Small(lambda weight: (weight - weight).sqrt().sum())
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 31: the norm of the gradient is nan.*'weight'"):
        train(module, Given(*[()] * 40), optimizer, epochs=1, precision="fp16")
    assert torch.isfinite(module.weight).all()


@pytest.mark.parametrize("precision", [None, "bf16", "fp16"])
def test_a_loss_that_is_not_finite_stops_in_every_precision(precision):
    module = Small(lambda weight, factor: weight.sum() * float(factor))
    before = None

    class Watch(Report):
        def step(self, batches, loss):
            nonlocal before
            before = copies(module)

    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    data = Given((0.01,), (0.01,), (math.inf,))
    with pytest.raises(FloatingPointError, match="epoch 1, step 3: the loss is inf") as error:
        train(module, data, optimizer, epochs=1, precision=precision, reports=[Watch()])
    assert "learning rate" in str(error.value)
    assert same(before, copies(module))


def test_in_full_precision_a_gradient_that_is_not_finite_stops_and_only_it_is_named():
    class Two(Small):
        def __init__(self):
            super().__init__(None)
            self.good = torch.nn.Parameter(torch.ones(2))

        def forward(self, *, state=None, rng=None):
            return Said((self.weight - self.weight).sqrt().sum() + self.good.sum(), 1, None)

    module = Two()
    with pytest.raises(FloatingPointError, match="epoch 1, step 1: the norm of the gradient is nan") as error:
        train(module, Given(()), torch.optim.SGD(module.parameters(), 0.1), epochs=1, clip=1.0)
    assert "'weight'" in str(error.value)
    assert "'good'" not in str(error.value)
    assert torch.equal(module.good, torch.ones(2))


def test_a_validation_loss_that_is_not_finite_stops():
    module = Small(lambda weight, factor: weight.sum() * float(factor))
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    with pytest.raises(FloatingPointError, match="epoch 1: the validation loss is nan"):
        train(module, Given((1,)), optimizer, epochs=1, validation=Given((math.nan,)))


def test_a_kernel_that_a_device_lacks_is_said():
    def lacking(weight):
        raise RuntimeError("\"tanh_backward\" not implemented for 'Half'")

    module = Small(lacking)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    with pytest.raises(Unsupported, match="no fp16 kernel for a part of the module on cpu"):
        train(module, Given(()), optimizer, epochs=1, precision="fp16")
    with pytest.raises(RuntimeError, match="not implemented for 'Half'") as error:
        train(module, Given(()), optimizer, epochs=1)
    assert not isinstance(error.value, Unsupported)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("layer", ["rnn", "gru", "lstm"])
def test_the_fused_kernels_of_a_cpu_run_in_halves_or_say_that_they_are_missing(layer, precision):
    module = Speaker(language(layer, dropout=0.0), torch.float32, "fused")
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    try:
        (record,) = train(module, Stream(CYCLE, 4, 10), optimizer, epochs=1, precision=precision)
    except Unsupported as error:
        assert f"no {precision} kernel" in str(error)  # noqa: PT017
    else:
        assert record.loss < 2


# feeding


def counted(n, fail_at=None):
    """Batches that say their number, and a list of those that have been read."""
    read = []

    def batches():
        for k in range(n):
            if k == fail_at:
                raise OSError("the disk is gone")
            read.append(k)
            yield Batch((np.full((2, 3), k), np.full((2, 3), k / 4), np.array([1, 2, 2])), 5, 6)

    return batches(), read


@pytest.mark.parametrize("ahead", [0, 1, 2, 50])
def test_batches_come_in_order_whole_and_converted(ahead):
    batches, _ = counted(20)
    with closing(feed(batches, CPU, torch.float32, ahead)) as fed:
        came = list(fed)
    assert [int(batch.arguments[0][0, 0]) for batch in came] == list(range(20))
    for k, (inputs, targets, lengths) in enumerate(batch.arguments for batch in came):
        assert (inputs.dtype, targets.dtype, inputs.shape) == (torch.int64, torch.float32, (2, 3))
        assert torch.equal(targets, torch.full((2, 3), k / 4))
        assert isinstance(lengths, np.ndarray)
    assert {(batch.tokens, batch.positions) for batch in came} == {(5, 6)}


def test_the_thread_is_ahead_by_as_many_as_it_was_told_and_no_more():
    batches, read = counted(20)
    with closing(feed(batches, CPU, torch.float32, 3)) as fed:
        for k in range(5):
            next(fed)
            end = time.monotonic() + 60
            while len(read) < k + 4 and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(0.01)
            assert len(read) == k + 4
        assert len(feeders()) == 1
    assert not feeders()


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_the_data_raise_comes_out_where_the_batch_would_have(ahead):
    batches, _ = counted(20, fail_at=7)
    came = []
    with closing(feed(batches, CPU, torch.float32, ahead)) as fed, pytest.raises(OSError, match="the disk is gone"):
        came.extend(fed)
    assert len(came) == 7
    assert not feeders()


def test_an_error_in_a_step_or_in_the_data_ends_training_and_its_thread():
    class Failing(Stream):
        def epoch(self, rng):
            yield from list(super().epoch(rng))[:2]
            raise OSError("the disk is gone")

    module = speaker()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    interrupt = Interrupt(99)
    with pytest.raises(OSError, match="the disk is gone"):
        train(module, Failing(CYCLE, 4, 8), optimizer, epochs=1, reports=[interrupt])
    assert interrupt.left == 97
    assert not feeders()
    with pytest.raises(KeyboardInterrupt):
        train(module, Stream(CYCLE, 4, 8), optimizer, epochs=1, reports=[Interrupt(1)])
    assert not feeders()
    data = Stream(CYCLE, 4, 8)
    data.inputs[1][0] = 9  # no such token
    with pytest.raises(IndexError):
        evaluate(module, data)


def test_a_gpu_is_fed_on_a_stream_of_its_own_that_the_computation_waits_for(monkeypatch):
    """The order of the calls, with stand-ins for CUDA's: what only a machine without a GPU can do about it."""
    calls = []

    class Line:
        def record_event(self):
            calls.append("record")
            return "arrival"

        def wait_event(self, event):
            calls.append(f"wait for {event}")

    class On:
        def __init__(self, stream):
            assert stream is side

        def __enter__(self):
            calls.append("on the side")

        def __exit__(self, *_):
            calls.append("back")

    def to(tensor, device, non_blocking):
        assert non_blocking
        calls.append("copy")
        return tensor

    batches, _ = counted(2)
    loader = Loader(batches, CPU, torch.float32)
    loader.stream = side = Line()
    monkeypatch.setattr(torch.cuda, "stream", On)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Line())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: (calls.append("pin"), tensor)[1])
    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: calls.append("hold"))
    batch, event = loader.next()
    assert calls == ["on the side", "pin", "copy", "pin", "copy", "record", "back"]
    calls.clear()
    assert loader.hand_over(batch, event) is batch
    assert calls == ["wait for arrival", "hold", "hold"]


@on_gpu
def test_on_a_gpu_batches_arrive_through_pinned_memory_and_training_goes_as_on_a_cpu():
    device = torch.device("cuda")
    batches, _ = counted(200)
    with closing(feed(batches, device, torch.float32, 3)) as fed:
        sums = [float(batch.arguments[0].sum()) for batch in fed]
    assert sums == [6.0 * k for k in range(200)]
    histories = []
    for where in ("cpu", "cuda"):
        module = speaker(torch.float64, dropout=0.0).to(where)
        optimizer = torch.optim.Adam(module.parameters(), 0.03)
        histories.append(train(module, Stream(CYCLE, 4, 10), optimizer, epochs=3, clip=0.5))
    for one, other in zip(*histories, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-8)


# a run on disk


def settings(kind):
    """A fresh run of one kind: all that carries something from step to step."""
    if kind == "stream":
        module = speaker(torch.float64)
        options = {"clip": 0.5, "schedule": linear_warmup(4, cosine_decay(20)), "accumulate": 2, "patience": 1}
        options |= {"validation": Stream(CYCLE[:60], 4, 8), "epochs": 4}
        return module, Stream(CYCLE, 4, 8), torch.optim.Adam(module.parameters(), 0.02), options
    if kind == "fp16":
        module = Small(loud)
        optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
        return module, Given(*[()] * 3), optimizer, {"epochs": 3, "precision": "fp16"}
    module = speaker(layer="gru")
    options = {"validation": sequences(9), "patience": 2, "epochs": 2, "measure": lambda: {"zero": 0}}
    return module, sequences(), torch.optim.AdamW(module.parameters(), 0.05), options


def run(kind, checkpoint, *reports, **changes):
    module, data, optimizer, options = settings(kind)
    history = train(module, data, optimizer, checkpoint=checkpoint, reports=reports, **{**options, **changes})
    return copies(module), optimizer.state_dict(), numbers(history)


@pytest.mark.parametrize("kind", ["stream", "sequences", "fp16"])
@pytest.mark.parametrize("every", [2, None])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_numbers_bit_for_bit(tmp_path, kind, every):
    whole = run(kind, None)
    steps = whole[2][-1].steps + (kind == "fp16")
    assert steps > 8
    for stop in range(1, steps + 1):
        path = tmp_path / f"{stop}.pt"
        with pytest.raises(KeyboardInterrupt):
            run(kind, Checkpoint(path, every=every), Interrupt(stop))
        assert same(run(kind, Checkpoint(path, every=every, resume=True)), whole), stop
        assert list(tmp_path.glob(".*")) == []


KILLED = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from test_torchref_training import Checkpoint, Path, Report, run

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

moment, save = sys.argv[3], torch.save
writes = []

class Slow(Report):
    def step(self, batches, loss):
        time.sleep(0.02 if moment == "any" else 0)

def half(content, file):
    writes.append(save(content, file))
    if len(writes) == 5:
        file.truncate(file.tell() // 2)
        file.flush()
        kill()

if moment == "writing":
    torch.save = half
elif moment == "replacing":
    Path.replace = lambda old, new: (writes.append(os.replace(old, new)) if len(writes) < 4 else kill())
run("stream", Checkpoint(sys.argv[2], every=1), Slow())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process so")
@pytest.mark.parametrize("moment", ["any", "writing", "replacing"])
def test_a_process_killed_at_any_moment_is_continued_by_another(tmp_path, moment):
    path = tmp_path / "run.pt"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(path), moment]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        if moment == "any":
            while not path.exists() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.05)
            process.kill()
        _, said = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, said.decode()
    steps = torch.load(path, weights_only=True)["steps"]
    assert 0 < steps < 12
    assert steps == 3 or moment == "any"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert same(run("stream", Checkpoint(path, resume=True)), run("stream", None))
    finally:
        torch.set_num_threads(threads)


def test_a_finished_run_goes_on_to_more_epochs_as_if_it_had_never_ended(tmp_path):
    whole = run("sequences", None, epochs=4, patience=None)
    run("sequences", Checkpoint(tmp_path / "run.pt"), epochs=2, patience=None)
    for _ in range(2):  # the second time nothing is left to do
        resumed = run("sequences", Checkpoint(tmp_path / "run.pt", resume=True), epochs=4, patience=None)
        assert same(resumed, whole)


def test_a_checkpoint_is_tensors_and_plain_values_and_no_larger_than_they_are(tmp_path):
    class Views(Speaker):
        """Its states are parts of something larger, as those of a layer that gives its last output back."""

        def forward(self, *batch, state=None, rng=None):
            said = super().forward(*batch, state=state, rng=rng)
            return said._replace(state=tuple(torch.stack([part] * 9)[0] for part in said.state))

    path, module = tmp_path / "run.pt", Views(language())
    with pytest.raises(KeyboardInterrupt):
        train(
            module,
            Stream(CYCLE, 4, 8),
            torch.optim.Adam(module.parameters()),
            epochs=1,
            checkpoint=Checkpoint(path, every=1),
            reports=[Interrupt(3)],
        )
    kept = torch.load(path, weights_only=True)
    assert (kept["epoch"], kept["batches"], kept["steps"]) == (0, 2, 2)
    for tensor in kept["state"]:
        assert tensor.shape == (2, 4, 6)
        assert tensor.untyped_storage().nbytes() == 2 * 4 * 6 * 8


def test_the_checkpoint_of_another_run_is_refused_and_nothing_changed(tmp_path):
    path = tmp_path / "run.pt"
    run("sequences", Checkpoint(path), epochs=1)
    module, data, optimizer, options = settings("sequences")
    other = torch.optim.AdamW(module.parameters(), 0.01)
    for changes, words in [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"precision": "bf16"}, "precision is None there and bf16 here"),
        ({"optimizer": other}, r"optimizer\.0\.lr is 0\.05 there and 0\.01 here"),
        ({"data": sequences(22)}, "checksum is"),
        ({"module": speaker(layer="gru", hidden_size=7)}, r"parameters\.embedding\.weight is"),
    ]:
        arguments = {"module": module, "data": data, "optimizer": optimizer, **options, **changes}
        if "module" in changes:
            arguments["optimizer"] = torch.optim.AdamW(arguments["module"].parameters(), 0.05)
        before = copies(arguments["module"])
        with pytest.raises(ValueError, match=words):
            train(**arguments, checkpoint=Checkpoint(path, resume=True))
        assert same(copies(arguments["module"]), before)


@pytest.mark.parametrize("content", ["nothing", "text", "a tensor", "pickle", "npz", "a part"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "run.pt"
    if content == "a tensor":
        torch.save(torch.zeros(3), path)
    elif content == "pickle":
        torch.save({"format": 1, "code": Path}, path)
    elif content == "npz":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(3))
    elif content == "a part":
        run("sequences", Checkpoint(path), epochs=1)
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_bytes(b"" if content == "nothing" else b"this is text")
    with pytest.raises(ValueError, match="holds no checkpoint"):
        run("sequences", Checkpoint(path, resume=True))


def test_a_checkpoint_is_never_overwritten_by_a_new_run_nor_by_half_a_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    run("sequences", Checkpoint(path), epochs=1)
    before, real = path.read_bytes(), torch.save
    with pytest.raises(FileExistsError, match="resume=True"):
        run("sequences", Checkpoint(path), epochs=1)

    def failing(content, file):
        real({"a": 1}, file)
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", failing)
    with pytest.raises(OSError, match="disk full"):
        run("sequences", Checkpoint(path, resume=True), epochs=2)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.pt"]


def test_checkpoints_refuse_what_has_no_meaning(tmp_path):
    with pytest.raises(ValueError, match=r"a \.pt file"):
        Checkpoint(tmp_path / "run.npz")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        Checkpoint(tmp_path / "nowhere" / "run.pt")
    with pytest.raises(ValueError, match="at least one step"):
        Checkpoint(tmp_path / "run.pt", every=0)


# what cannot be trained


def test_what_came_to_the_door_is_checked():
    module, data = speaker(), sequences()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for words, changes in {
        "are not of this module": {"module": speaker()},
        "accumulate 0": {"accumulate": 0},
        "prefetch -1": {"prefetch": -1},
        "without validation data": {"patience": 1},
        "clip is -1": {"clip": -1},
        "precision is 'half'": {"precision": "half"},
        "noise is 'gpu'": {"noise": "gpu"},
        "expected float32 weights": {"module": (wide := speaker(torch.float64)), "precision": "bf16"},
        "is rounded away": {"module": (narrow := speaker(torch.bfloat16))},
        "one device and one dtype": {"module": (mixed := speaker())},
    }.items():
        mixed.head.double()
        own = changes.get("module")
        chosen = torch.optim.SGD(own.parameters(), 0.1) if own in (wide, narrow, mixed) and own else optimizer
        with pytest.raises(ValueError, match=words):
            train(**{"module": module, "data": data, "optimizer": chosen, "epochs": 1, **changes})


# the profile


def test_a_profile_has_a_row_for_each_size_and_takes_turns(monkeypatch):
    turns, took = [], iter([1.0, 2.0, 4.0, 8.0, 9.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 80.0])

    def watch(planned):
        turns.extend(planned)
        return turns

    seen = []

    def measure(self, windows):
        seen.append({batch.arguments[0].shape for batch in windows})
        return next(took), None

    monkeypatch.setattr(profiling.Subject, "measure", measure)
    found = profile(speaker, CYCLE, [3, 10], [2, 4], repeats=3, watch=watch)
    sizes = [(3, 2), (3, 4), (10, 2), (10, 4)]
    assert seen == [{size} for size in sizes] * 3
    assert [size for _, size in turns] == sizes * 3
    assert [(row.T, row.N) for row in found.rows] == sizes
    assert [row.tokens_per_second for row in found.rows] == [6 / 1, 12 / 2, 20 / 4, 40 / 8]


def test_a_profile_trains_and_prints_as_a_table():
    made = []

    def make():
        made.append(speaker())
        return made[-1]

    found = profile(make, CYCLE, [2, 5], [3], steps=2, repeats=1, watch=iter)
    (module,) = made
    assert not same(copies(module), copies(speaker()))
    assert all(row.tokens_per_second > 0 for row in found.rows)
    if not torch.cuda.is_available():
        assert [row.memory for row in found.rows] == [None, None]
    lines = str(found).splitlines()
    assert "torch.float32" in lines[0]
    assert "not measured" in lines[0]
    assert lines[1].split() == ["T", "N", "tokens/s", "peak", "MiB"]
    assert [line.split()[:2] for line in lines[2:]] == [["2", "3"], ["5", "3"]]


def test_a_size_that_does_not_fit_is_said_and_the_others_are_measured():
    class Greedy(Speaker):
        def forward(self, inputs, *others, **options):
            if inputs.numel() > 20:
                raise torch.cuda.OutOfMemoryError("no")
            return super().forward(inputs, *others, **options)

    found = profile(lambda: Greedy(language()), CYCLE, [4, 8], [4], steps=1, repeats=2, watch=iter)
    assert [row.tokens_per_second is None for row in found.rows] == [False, True]
    assert "out of memory" in str(found).splitlines()[-1]


def test_a_profile_refuses_what_cannot_be_measured():
    with pytest.raises(ValueError, match="one window of the largest size needs 401"):
        profile(speaker, CYCLE, [5, 20], [20])
    for changes in ({"truncations": []}, {"truncations": [0]}, {"repeats": 0}):
        with pytest.raises(ValueError, match="at least one size, and each number at least 1"):
            profile(speaker, CYCLE, **{"truncations": [5], "batch_sizes": [2], **changes})


@on_gpu
def test_on_a_gpu_a_profile_knows_the_memory_and_more_steps_need_more():
    found = profile(lambda: speaker().to("cuda"), np.tile(CYCLE, 100), [5, 200], [8], steps=2, repeats=2, watch=iter)
    assert 0 < found.rows[0].memory < found.rows[1].memory
