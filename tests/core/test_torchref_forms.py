"""The faster forms of the loop: compiled, and recorded as a CUDA graph. Where there is no GPU, what can be held of the
graph is held on the CPU, and the rest skips."""

import shutil
from functools import partial

import numpy as np
import pytest

from rnnlib.recurrent import GRU, LSTM, RNN

torch = pytest.importorskip("torch")
torchref = pytest.importorskip("rnnlib.torchref")

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # raised where torch imports inductor

from rnnlib.torchref import compiling, recording  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs an NVIDIA GPU; none here")
LAYERS = {
    "rnn": RNN(3, 4, 2, bidirectional=True, nonlinearity="relu", rng=0),
    "gru": GRU(3, 4, layer_norm=True, variational_dropout=0.3, rng=0),
    "gru before": GRU(3, 4, 2, reset="before", dropout=0.3, rng=0),
    "lstm": LSTM(3, 4, bidirectional=True, zoneout=(0.2, 0.1), layer_norm=True, rng=0),
}


def run(module, form, lengths, rng, T=19):
    """Outputs, states and all gradients through one form."""
    draws = torch.Generator().manual_seed(0)
    device = module.weight_ih_l0.device
    x = torch.randn(T, 5, 3, dtype=torch.float64, generator=draws).to(device).requires_grad_()
    rows = module.num_layers * (2 if module.bidirectional else 1)
    states = [torch.randn(rows, 5, 4, dtype=torch.float64, generator=draws).to(device).requires_grad_()]
    states += [states[0].detach().clone().requires_grad_()] if isinstance(module, torch.nn.LSTM) else []
    with torch.no_grad():
        start = x.clone()
        if lengths is not None:
            start[torch.arange(T)[:, None] >= torch.tensor(lengths)] = torch.nan
    start = start.requires_grad_()
    output, last = form(module, start, tuple(states) if len(states) == 2 else states[0], lengths, rng=rng)
    last = last if isinstance(last, tuple) else (last,)
    loss = (output**2).sum() + sum((s**3).sum() for s in last)
    gradients = torch.autograd.grad(loss, [start, *states, *module.parameters()])
    return [tensor.detach().cpu() for tensor in (output, *last, *gradients)]


def agree(ours, theirs):
    return all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [None, [19, 3, 0, 8, 17]])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_steps_taken_in_groups_give_the_loop(layer, lengths, training, monkeypatch):
    monkeypatch.setattr(compiling, "compiled_group", lambda backend, kind: compiling.group_of_steps)
    module = torchref.twin(layer)
    for T in (19, 3, 16):
        steps = None if lengths is None else [min(length, T) for length in lengths]
        plain, grouped = (
            run(module, form, steps, np.random.default_rng(0) if training else None, T)
            for form in (torchref.loop, torchref.compiled)
        )
        assert agree(plain, grouped)


@pytest.fixture
def small_groups(monkeypatch):
    """Groups of two steps: compiling takes time in proportion."""
    monkeypatch.setattr(compiling, "UNROLL", 2)
    compiling.compiled_group.cache_clear()
    yield
    compiling.compiled_group.cache_clear()


def test_a_group_can_be_traced_and_differentiated_ahead_of_time(small_groups):
    module, lengths = torchref.twin(RNN(3, 4, layer_norm=True, zoneout=0.2, rng=0)), [9, 3, 0, 8, 7]
    traced = partial(torchref.compiled, backend="aot_eager")
    plain, compiled = (run(module, form, lengths, np.random.default_rng(0), T=9) for form in (torchref.loop, traced))
    assert agree(plain, compiled)


@pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile needs g++ or clang++ on a CPU; none here",
)
def test_machine_code_gives_the_loop_and_one_call_compares_every_way(small_groups):
    layer, x = RNN(3, 4, rng=0), np.random.default_rng(0).standard_normal((9, 2, 3))
    report = torchref.parity(layer, x, ways=["loop", "compiled", "graph", "fused", "packed"])
    assert set(report.differences) >= {"loop", "compiled", "fused", "packed"}
    assert report.worst <= 1e-10, str(report)
    assert "rnnlib: float64 on cpu; torch: float64 on cpu, TF32 off" in str(report)
    if not torch.cuda.is_available():
        assert "no graph: x is on cpu" in str(report)


def test_without_a_compiler_the_compiled_form_says_so(small_groups, monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    module, x = torchref.RNN(2, 3, form="compiled", rng=0), torch.ones(9, 1, 2, dtype=torch.float64)
    with pytest.raises(torchref.Unsupported, match=r"neither g\+\+ nor clang\+\+.*backend='aot_eager'"):
        module(x)
    traced, _ = torchref.compiled(module, x, backend="aot_eager")
    assert torch.equal(traced, torchref.loop(module, x)[0])


def test_fewer_steps_than_are_compiled_together_are_not_called_compiled():
    report = torchref.parity(RNN(2, 3, rng=0), np.ones((7, 1, 2)), ways=["compiled"])
    assert "7 steps are fewer than the 8" in report.absent["compiled"]


def test_a_graph_on_a_cpu_is_refused_and_so_is_autocast():
    module = torchref.RNN(2, 3, form="graph", rng=0)
    with pytest.raises(torchref.Unsupported, match=r"x is on cpu: a CUDA graph records the kernels of an NVIDIA GPU"):
        module(torch.ones(4, 1, 2, dtype=torch.float64))


@pytest.fixture
def pretended(monkeypatch):
    """What `make_graphed_callables` does with memory, without a GPU: inputs are copied to where the recording read
    them, and results and gradients come back in memory that the next run overwrites. Gives the number of recordings."""
    made = []

    def make(function, samples, **_):
        made.append(samples)
        with torch.enable_grad():
            outputs = function(*samples)
        wanted = [sample for sample in samples if sample.requires_grad]
        static, fresh = [output.detach().clone() for output in outputs], {}
        static_gradients = [torch.zeros_like(sample) for sample in wanted]

        class Graphed(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *tensors):
                for sample, tensor in zip(samples, tensors, strict=True):
                    if sample.data_ptr() != tensor.data_ptr():
                        sample.data.copy_(tensor)
                with torch.enable_grad():
                    fresh["outputs"] = function(*samples)
                for memory, output in zip(static, fresh["outputs"], strict=True):
                    memory.copy_(output)
                return tuple(memory.detach() for memory in static)

            @staticmethod
            def backward(ctx, *upstream):
                found = torch.autograd.grad(fresh["outputs"], wanted, upstream, allow_unused=True)
                for memory, gradient in zip(static_gradients, found, strict=True):
                    memory.copy_(gradient)
                ready = iter(static_gradients)
                return tuple(next(ready).detach() if sample.requires_grad else None for sample in samples)

        return Graphed.apply

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", make)
    monkeypatch.setattr(recording, "check_place", lambda x: None)
    return made


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [None, [19, 3, 0, 8, 17]])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_what_a_recording_is_given_and_gives_back_is_the_loops(pretended, layer, lengths, training):
    module = torchref.twin(layer)
    for seed in (0, 1):
        plain, replayed = (
            run(module, form, lengths, np.random.default_rng(seed) if training else None)
            for form in (torchref.loop, torchref.graph)
        )
        assert agree(plain, replayed)
    assert len(pretended) == 1


def test_lengths_and_weights_can_change_between_replays(pretended):
    module = torchref.twin(LAYERS["lstm"])
    for lengths in ([19, 3, 0, 8, 17], [1, 2, 3, 4, 5]):
        assert agree(run(module, torchref.loop, lengths, None), run(module, torchref.graph, lengths, None))
        with torch.no_grad():
            module.weight_hh_l0 += 0.1
    assert len(pretended) == 1


def test_another_shape_and_another_weight_are_recorded_anew(pretended):
    module = torchref.twin(LAYERS["lstm"])
    run(module, torchref.graph, None, None)
    run(module, torchref.graph, None, None, T=3)
    assert len(pretended) == 2
    module.weight_hh_l0 = torch.nn.Parameter(module.weight_hh_l0.detach() + 1)
    assert agree(run(module, torchref.loop, None, None), run(module, torchref.graph, None, None))
    assert len(pretended) == 3


def accumulate(module, x):
    for weight in module.parameters():
        weight.grad = None
    outputs = []
    for part in x:
        output, _ = module(part)
        output.sum().backward()
        outputs.append(output)
    return outputs, [weight.grad for weight in module.parameters()]


def two_batches():
    return [torch.randn(4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in (0, 1)]


@pytest.mark.parametrize("place", ["pretended", pytest.param("cuda", marks=needs_gpu)])
def test_gradients_accumulate_over_replays_and_earlier_outputs_stay(place, request):
    if place == "pretended":
        request.getfixturevalue("pretended")
    device = "cpu" if place == "pretended" else "cuda"
    module, x = torchref.twin(LAYERS["lstm"], device=device), [batch.to(device) for batch in two_batches()]
    expected = accumulate(module, x)
    module.form = "graph"
    found = accumulate(module, x)
    assert all(torch.equal(batch.cpu(), own) for batch, own in zip(x, two_batches(), strict=True))
    assert agree(expected[0], found[0])
    assert agree(expected[1], found[1])


@pytest.mark.parametrize("place", ["pretended", pytest.param("cuda", marks=needs_gpu)])
def test_a_backward_pass_after_a_newer_run_is_refused(place, request):
    if place == "pretended":
        request.getfixturevalue("pretended")
    device = "cpu" if place == "pretended" else "cuda"
    module = torchref.twin(LAYERS["lstm"], "graph", device)
    (first, _), (second, _) = (module(batch.to(device)) for batch in two_batches())
    second.sum().backward()
    with pytest.raises(RuntimeError, match="the graph ran again before this backward pass"):
        first.sum().backward()


@needs_gpu
@pytest.mark.parametrize("form", ["graph", "compiled graph"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [None, [19, 3, 0, 8, 17]])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_graph_gives_the_loop(layer, lengths, training, form):
    module = torchref.twin(layer, device="cuda")
    replay = partial(torchref.graph, compile_steps=form == "compiled graph")
    for seed in (0, 1):
        plain, replayed = (
            run(module, way, lengths, np.random.default_rng(seed) if training else None)
            for way in (torchref.loop, replay)
        )
        assert agree(plain, replayed)


@needs_gpu
def test_autocast_is_refused_by_a_graph():
    module = torchref.RNN(2, 3, form="graph", device="cuda", rng=0)
    with torch.autocast("cuda"), pytest.raises(torchref.Unsupported, match="autocast is on"):
        module(torch.ones(4, 1, 2, dtype=torch.float64, device="cuda"))


@needs_gpu
def test_parity_holds_on_the_gpu():
    report = torchref.parity(
        LSTM(5, 8, 2, bidirectional=True, rng=0), np.random.default_rng(0).standard_normal((20, 4, 5)), device="cuda"
    )
    assert report.worst <= 2e-6, str(report)
    assert max(report.differences["fused"].values()) <= 1e-10, str(report)
