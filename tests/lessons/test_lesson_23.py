"""Lesson 23 says these things on screen: its formats and rules are exact, its model as told, and it runs anywhere."""

import contextlib
import io
import itertools
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")
pytest.importorskip("torch", reason="the lesson needs rnn-notebooks[torch]")

import torch

from rnnlib.studies import precision
from rnnlib.studies.precision import FORMATS, LossScale, rounded
from rnnlib.viz import Bars, Box, Dots, Line
from rnnlib.viz.gpu import answers, formats, here, knee, loading, scaling, timeline, windows
from rnnlib.viz.static import png
from tests.lessons import told
from tests.lessons.told import numbers

ROOT = pathlib.Path(__file__).parents[2]
LESSON = ROOT / "notebooks" / "23_gpu.ipynb"


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


# ---- number formats ------------------------------------------------------------------------------------------------


def numbers_of_all_sizes():
    rng = np.random.default_rng(0)
    x = np.ldexp(rng.uniform(-1, 1, 40_000), rng.integers(-150, 128, 40_000)).astype(np.float32)
    near_the_ends = [0.0, -0.0, 65504, 65519.99, 65520, -65520, 2**-24, 2**-25, 1.0001 * 2**-25, 3e38, 3.4e38]
    ties = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, 2**-14 + 2**-25]
    return np.concatenate([x, np.array(near_the_ends + ties, np.float32)])


@pytest.mark.parametrize(("name", "dtype"), [("float16", torch.float16), ("bfloat16", torch.bfloat16)])
def test_rounding_is_torchs_for_every_size_of_number(name, dtype):
    x = numbers_of_all_sizes()
    theirs = torch.from_numpy(x).to(dtype).double().numpy()
    np.testing.assert_array_equal(rounded(x, FORMATS[name]), theirs)


def test_rounding_to_float32_is_numpys():
    x = numbers_of_all_sizes().astype(np.float64) * (1 + 1e-9)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(rounded(x, FORMATS["float32"]), x.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "dtype"), [("float32", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)]
)
def test_the_ends_of_the_formats_are_torchs_and_those_of_the_table(name, dtype):
    form, info = FORMATS[name], torch.finfo(dtype)
    assert (form.largest, form.smallest) == (info.max, info.smallest_normal * info.eps)
    row = next(line for line in cells_of()["halves"].splitlines() if line.startswith(f"| {name} "))
    _, exponent, digits, smallest, largest = [cell.strip() for cell in row.strip("|").split("|")][1:]
    assert int(digits) == form.digits - 1
    assert 2 ** (int(exponent) - 1) - 1 == form.high
    assert float(smallest) == pytest.approx(form.smallest, rel=0.03)
    assert float(largest) == pytest.approx(form.largest, rel=0.01)


def test_an_entry_has_the_fate_that_its_size_decides():
    numbers = np.array([1.0, 2.0**-15, 2.0**-24, 2.0**-25, 2.0**-26, 65520.0, -1e9])
    found = formats.fate(numbers, FORMATS["float16"], 1.0)
    names = list(formats.COLORS)
    kinds = ["kept", *["kept with fewer digits"] * 2, *["lost: became zero"] * 2, *["overflowed"] * 2]
    assert [names[k] for k in found.kind] == kinds
    assert found.share("overflowed") == pytest.approx(2 / 7)
    assert formats.fate(numbers, FORMATS["bfloat16"], 1.0).share("kept") == 1
    np.testing.assert_array_equal(formats.fate(numbers, FORMATS["float16"], 4.0).scaled, 4 * numbers)


def gradients():
    rng = np.random.default_rng(1)
    return {"one": rng.normal(size=(30, 20)) * 2.0 ** rng.uniform(-40, -5, (30, 20)), "zeros": np.eye(9)}


def test_the_histogram_counts_each_entry_once_and_the_text_says_where():
    explorer = formats.explorer(gradients())
    assert explorer.controls["which"].options == ("one", "zeros")
    scene = explorer.set(which="zeros", form="float16", exponent=20)
    assert scene.alt == "Gradients of zeros in float16, loss times 2^20: 100 % overflowed."
    scene = explorer.set(which="one", exponent=10)
    numbers = gradients()["one"].ravel()
    lost = np.mean(np.float16(1024 * numbers) == 0)
    assert f"{100 * lost:.3g} % lost: became zero" in scene.alt
    bars = {mark.label: mark for mark in scene.panels[0].marks if isinstance(mark, Bars)}
    stacked = [bars[name].y for name in formats.COLORS]
    share = np.array([np.sum(stack) for stack in stacked]) / np.sum(stacked[-1])
    kept = np.mean(np.abs(1024 * numbers) >= 2**-14)
    assert share[0] == pytest.approx(kept)
    assert share[2] - share[1] == pytest.approx(lost)


def test_what_is_kept_with_all_digits_is_off_by_at_most_half_a_unit():
    for form in FORMATS:
        found = formats.fate(gradients()["one"].ravel(), FORMATS[form], 2.0**20)
        kept = found.kind == 0
        assert np.abs(found.value[kept] / found.scaled[kept] - 1).max() <= 2.0 ** -FORMATS[form].digits


def test_the_format_explorer_draws_for_every_control():
    explorer = formats.explorer(gradients())
    for which in ("one", "zeros"):
        for form in FORMATS:
            for exponent in (0, 1, 17, 40):
                assert explorer.set(which=which, form=form, exponent=exponent).to_wire()
    assert explorer.png().startswith(b"\x89PNG")


# ---- the scale of the loss -----------------------------------------------------------------------------------------


def test_the_scale_is_that_of_torch_over_a_long_run_of_luck():
    rng = np.random.default_rng(3)
    fine = rng.uniform(size=400) > 0.1
    ours, theirs = LossScale(2.0**10, 4), torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], 1.0)
    for finite in fine:
        theirs.scale(torch.zeros(1))
        assert theirs.get_scale() == ours.scale
        parameter.data.zero_()
        parameter.grad = torch.tensor([1.0, 1.0 if finite else np.inf])
        theirs.step(optimizer)
        theirs.update()
        assert ours.take(bool(finite)) == bool(parameter.detach().any()) == finite


def test_the_picture_of_the_scale_marks_the_steps_left_out():
    scene = scaling.followed([8, 4, 4], [False, True, True], [1e4, 1e4, 1e3], 65504.0)
    edge, scale, taken, skipped = scene.panels[0].marks
    np.testing.assert_allclose(edge.y, [6.5504, 6.5504, 65.504])
    np.testing.assert_array_equal(scale.y, [8, 4, 4])
    assert (list(taken.x), list(skipped.x), list(skipped.y)) == ([2, 3], [1], [8])
    assert "1 steps were left out" in scene.alt


# ---- overhead and work ---------------------------------------------------------------------------------------------


def test_the_flop_of_a_step_are_those_of_its_matrix_products():
    N, D, H = 3, 5, 7
    products = [(N, D, 4 * H), (N, H, 4 * H)]  # forward; backward each twice more
    assert knee.flops(N, D, H) == 3 * sum(2 * a * b * c for a, b, c in products)
    assert knee.flops(N, D, H, gates=3) == pytest.approx(knee.flops(N, D, H) * 3 / 4)


def test_the_fit_finds_the_line_that_made_the_points_and_never_goes_below_zero():
    work = np.array([1e4, 1e5, 1e6, 1e7])
    cost = knee.fit(work, 2e-4 + 3e-11 * work)
    assert cost == pytest.approx((2e-4, 3e-11))
    assert cost.knee == pytest.approx(2e-4 / 3e-11)
    assert float(cost.seconds(cost.knee)) == pytest.approx(2 * cost.overhead)
    falling = knee.fit([1.0, 2.0, 4.0], [3.0, 2.0, 1.0])
    assert falling.per_flop == 0
    assert falling.overhead > 0
    assert falling.knee == np.inf
    steep = knee.fit([1.0, 2.0, 4.0], [1.0, 3.0, 9.0])
    assert steep.overhead == 0
    assert steep.per_flop > 0
    for bad in (([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 1.0])):
        with pytest.raises(ValueError, match="expected two sizes or more"):
            knee.fit(*bad)


def test_the_fit_minds_short_steps_as_much_as_long_ones():
    work = np.geomspace(1e3, 1e9, 7)
    noisy = (1e-4 + 1e-10 * work) * (1 + 0.05 * np.array([1, -1, 1, -1, 1, -1, 1]))
    cost = knee.fit(work, noisy)
    assert cost.overhead == pytest.approx(1e-4, rel=0.1)
    assert cost.per_flop == pytest.approx(1e-10, rel=0.1)


COST = knee.Cost(3e-4, 5e-11)
MEASURED = {form: [(knee.flops(N, 16, 16), 1e-4 * N) for N in (1, 4, 16)] for form in ("loop", "fused")}


def test_the_knee_is_drawn_where_arithmetic_takes_as_long_as_overhead():
    cost = knee.Cost(1e-4, 1e-4 / knee.flops(4, 16, 16))
    scene = knee.against_work(MEASURED, {"loop": cost, "fused": COST}, "a test")
    (knee_dot,) = [m for m in scene.panels[0].marks if isinstance(m, Dots) and m.size == 10 and m.color == "ink"]
    assert (knee_dot.x[0], knee_dot.y[0]) == (pytest.approx(cost.knee), pytest.approx(200))
    low, high = scene.panels[0].y_limits
    for mark in scene.panels[0].marks:
        if isinstance(mark, Line):
            assert low <= mark.y.min() <= mark.y.max() <= high
    assert png(scene)


# ---- the model of the timeline -------------------------------------------------------------------------------------


def test_without_running_ahead_each_operation_pays_launch_and_arithmetic():
    run = timeline.run(5, 2.0, 3.0, overlap=False)
    np.testing.assert_array_equal(run.launches, [[5 * k, 5 * k + 2] for k in range(5)])
    np.testing.assert_array_equal(run.kernels, [[5 * k + 2, 5 * k + 5] for k in range(5)])
    assert (run.seconds, run.busy) == (25, 0.6)


@pytest.mark.parametrize(("launch", "kernel", "seconds"), [(2.0, 3.0, 2 + 5 * 3), (3.0, 2.0, 5 * 3 + 2)])
def test_running_ahead_leaves_the_slower_of_the_two(launch, kernel, seconds):
    run = timeline.run(5, launch, kernel, overlap=True)
    assert run.seconds == seconds
    assert np.all(run.kernels[:, 0] >= run.launches[:, 1])  # nothing starts before it is asked for
    assert np.all(run.kernels[1:, 0] >= run.kernels[:-1, 1])  # nor before the one that it needs
    np.testing.assert_array_equal(run.launches[1:, 0], run.launches[:-1, 1])


def test_the_model_gives_back_what_it_was_fitted_to_and_fused_launches_once():
    model, work = timeline.Model(COST, 30), knee.flops(4, 64, 64)
    loop = model.run(20, work, "loop", False, 1.0)
    assert len(loop.kernels) == 600
    assert loop.seconds == pytest.approx(20 * float(COST.seconds(work)))
    fused = model.run(20, work, "fused", False, 1.0)
    assert len(fused.kernels) == 1
    assert fused.seconds == pytest.approx(COST.overhead / 30 + 20 * COST.per_flop * work)
    faster = model.run(20, work, "loop", False, 10.0)
    assert loop.seconds - faster.seconds == pytest.approx(0.9 * 20 * COST.per_flop * work)


def test_the_timeline_draws_for_every_control_and_all_that_it_draws_is_in_sight():
    explorer = timeline.explorer(timeline.Model(COST, 30), MEASURED, "a test")
    start = dict(explorer.values)
    for name, values in {
        "H": timeline.SIZES, "N": timeline.ROWS, "T": (2, 50, 100), "form": ("loop", "fused"),
        "overlap": (False, True), "speed": tuple(timeline.SPEEDS),
    }.items():  # fmt: skip
        for value in values:
            scene = explorer.set(**{**start, name: value})
            assert scene.alt.startswith("Model,")
            lanes, times = scene.panels
            boxes = [m for m in lanes.marks if isinstance(m, Box)]
            assert 2 <= len(boxes) <= 2 * timeline.SHOWN
            assert max(b.x + b.width / 2 for b in boxes) <= lanes.x_limits[1]
            for mark in times.marks:
                if isinstance(mark, Line | Dots):
                    assert np.all((mark.y >= times.y_limits[0]) & (mark.y <= times.y_limits[1])), (name, value)
    assert explorer.png().startswith(b"\x89PNG")


def test_the_dots_of_the_timeline_are_the_measurements():
    scene = timeline.scene(
        timeline.Model(COST, 30), MEASURED, "a test", timeline.Setting(64, 4, 20, "loop", False, "as here")
    )
    dots = {m.label: m for m in scene.panels[1].marks if isinstance(m, Dots) and m.label}
    assert set(dots) == {"loop, measured on a test", "fused, measured on a test"}
    for form in MEASURED:
        x, y = np.array(MEASURED[form]).T
        np.testing.assert_allclose(dots[f"{form}, measured on a test"].x, x)
        np.testing.assert_allclose(dots[f"{form}, measured on a test"].y, 1e6 * y)


# ---- loader, windows, note -----------------------------------------------------------------------------------------


def test_the_lanes_show_every_span_on_one_clock():
    log = loading.Log([(5.0, 5.1), (5.1, 5.2)], [(5.1, 5.3), (5.3, 5.4)])
    assert (log.seconds, log.busy) == (pytest.approx(0.4), pytest.approx(0.75))
    scene = loading.lanes({"a": log, "b": loading.Log([(0.0, 0.1)], [(0.1, 0.8)])})
    boxes = scene.panels[0].marks
    assert [(round(b.x - b.width / 2), b.y) for b in boxes] == [(0, 1), (100, 1), (100, 0), (300, 0)]
    assert [panel.x_limits[1] for panel in scene.panels] == pytest.approx([816, 816])
    assert "computing 75 % of the time" in scene.panels[0].title
    assert png(scene)


def test_the_maps_hold_their_numbers_where_they_belong_and_say_what_did_not_fit():
    speeds = np.array([[1e3, 2e3, 3e3], [4e3, 5e4, np.nan]])
    scene = windows.maps(speeds, [[1, 2, 4], [2, 4, np.nan]], (8, 32), (1, 4, 16))
    texts = {(b.x, b.y): b.text for b in scene.panels[0].marks}
    assert texts[0, 1] == "1"
    assert texts[1, 0] == "50"
    assert texts[2, 0] == "did not fit"
    assert list(scene.panels[0].y_names) == ["32", "8"]
    assert "fastest at T = 32, N = 4, 50,000 tokens/s" in scene.alt
    assert png(scene)


def test_the_note_says_where_it_runs_and_claims_nothing_about_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(here, "gpu_name", lambda: "")
    note = here.note(None)
    assert note.startswith("**No GPU here.**")
    assert "none was measured on a GPU" in note
    assert here.cpu_name() in note
    assert not re.search(r"\d+(\.\d+)? times", note)
    monkeypatch.setattr(here, "gpu_name", lambda: "Some GPU")
    assert "There is one, Some GPU, which this build of torch cannot use" in here.note(None)
    assert here.note("Some GPU").startswith("**This runs on Some GPU**")
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor: 0\nmodel name\t: A  Chip @ 2 GHz\n")
    assert here.cpu_name(listing) == "A Chip @ 2 GHz"
    assert here.cpu_name(tmp_path / "none")


def test_what_stands_for_torch_says_how_to_get_it():
    absent = here.Absent(ImportError('pip install "rnn-notebooks[torch]"'))
    assert not absent
    for use in (lambda: absent.nn, lambda: absent(1)):
        with pytest.raises(ImportError, match=r'needs torch: pip install "rnn-notebooks\[torch\]"'):
            use()
    assert "**No torch here:** pip install" in here.note(None, absent)
    assert str(here.Absent(ImportError("No module"))) == 'No module; pip install "rnn-notebooks[torch]"'


WITHOUT = """
import sys, json
sys.modules["torch"] = None
cells = json.load(open(sys.argv[1]))["cells"]
names, said = {}, {}
for cell in cells:
    if cell["cell_type"] == "code" and cell["id"] != "install":
        try:
            exec("".join(cell["source"]), names)
            said[cell["id"]] = "ran"
        except Exception as error:
            said[cell["id"]] = type(error).__name__ + ": " + str(error)
json.dump(said, open(sys.argv[2], "w"))
"""


def test_without_torch_a_cell_runs_or_says_what_is_missing(tmp_path):
    out = tmp_path / "said.json"
    subprocess.run([sys.executable, "-c", WITHOUT, LESSON, out], check=True, capture_output=True, cwd=ROOT)
    said = json.loads(out.read_text())
    for name in ("device", "try_intensity", "try_nearest", "rounded_source", "scale_source", "try_scale", "study_live",
                 "study_kept", "study_read", "try_budget", "checkpoint_table"):  # fmt: skip
        assert said[name] == "ran", (name, said[name])
    assert "needs torch" in said["question_run"]
    for name, text in said.items():
        follows = re.match(r"NameError: name '\w+' is not defined", text)  # what an earlier cell did not make
        assert text == "ran" or follows or ("needs torch" in text and "rnn-notebooks[torch]" in text), (name, text)


# ---- the study -----------------------------------------------------------------------------------------------------


def test_arms_differ_in_what_they_say_they_differ_in():
    few = {arm: precision.learn(arm, 0, 6) for arm in ("float32", f"float16, loss / {precision.SMALL}")}
    assert few["float32"] == precision.learn("float32", 0, 6)
    assert few[f"float16, loss / {precision.SMALL}"]["zeros"] > few["float32"]["zeros"] + 0.1
    assert few["float32"]["skipped"] == 0
    names = {arm: precision.ARMS[arm] for arm in precision.ARMS}
    assert all(how.scaled == ("scaled" in arm) for arm, how in names.items())
    assert all((how.share < 1) == ("loss /" in arm) for arm, how in names.items())
    assert all((how.weights == "bfloat16") == ("weights" in arm) for arm, how in names.items())


def test_weights_in_bfloat16_have_no_more_digits(monkeypatch):
    seen = []
    evaluate = precision.evaluate

    def judged(model, data):
        seen.append({name: value.copy() for name, value in model.parameters.items()})
        return evaluate(model, data)

    monkeypatch.setattr(precision, "evaluate", judged)
    precision.learn("bfloat16, weights too", 0, 3)
    precision.learn("bfloat16", 0, 3)
    narrow, wide = seen
    for value in narrow.values():
        np.testing.assert_array_equal(value, rounded(value, FORMATS["bfloat16"]))
    assert any(not np.array_equal(value, rounded(value, FORMATS["bfloat16"])) for value in wide.values())


def test_an_overflow_is_left_out_and_halves_the_scale(monkeypatch):
    monkeypatch.setattr(precision, "LossScale", lambda wait: LossScale(2.0**40, wait))
    run = precision.learn("float16, scaled", 0, 4)
    assert run["skipped"] == 4
    assert np.isfinite(run["test"])  # a step taken with an infinite gradient leaves NaN


def test_the_kept_study_found_what_the_lesson_says():
    kept = precision.precision.kept()
    lost = f"float16, loss / {precision.SMALL}"
    for arm in ("bfloat16", "float16", "float16, scaled", f"{lost}, scaled"):  # "next to nothing"
        mean, low, high = kept.difference(arm, "float32", "test")
        assert low <= 0 <= high
        assert abs(mean) < 0.01
    little, more = (
        kept.difference(*pair, "test")
        for pair in (("bfloat16, weights too", "float32"), ("small steps, bfloat16 weights", "small steps"))
    )
    assert little.low > 0  # "weights in bfloat16 cost a little, and more where steps are small"
    assert more.mean > little.mean
    assert kept.difference(lost, "float32", "test").low > 0.3
    assert kept.values(lost, "zeros").mean() > 0.6  # "most of the gradient"
    assert "most of the gradient is zero" in cells_of()["study_lesson"]


# ---- the notebook --------------------------------------------------------------------------------------------------


def test_all_ways_agree_and_the_one_that_cannot_run_says_why(printed):
    table = printed[0]["parity_run"]
    rows = [line for line in table.splitlines() if re.match(r"(output|h_n|c_n|d|weight|bias)", line)]
    assert len(rows) == 10
    assert max(max(numbers(row.split(maxsplit=1)[1])) for row in rows) < 1e-12
    if not torch.cuda.is_available():
        assert "no graph: x is on cpu" in table
    single, half = (numbers(line)[-1] for line in printed[0]["parity_halves"].splitlines())
    assert single < 1e-5 < 1e-3 < half < 0.1


def test_more_rows_cost_less_than_in_proportion(printed):
    assert printed[1]["longer"] < 12  # 16 times the work


def test_a_loop_asks_at_every_step_and_a_fused_lstm_only_once(printed):
    asked = printed[1]["asked"]
    assert asked["LSTM", "loop"] == round(asked["LSTM", "loop"])
    assert asked["LSTM", "loop"] > 20
    assert asked["LSTM", "fused"] == 0
    if not torch.cuda.is_available():
        assert asked["GRU", "fused"] > 0.7 * asked["GRU", "loop"]  # "as many operations or nearly so"


def test_counting_counts_products_and_no_views(printed):
    x = torch.randn(6, 5)
    assert printed[1]["count"](lambda: x @ torch.ones(5, 3)) - printed[1]["count"](lambda: torch.ones(5, 3)) == 1
    assert printed[1]["count"](lambda: x.T[1:].reshape(-1, 2, 3).transpose(0, 1).unsqueeze(0)[:, 0]) <= 1


def test_the_formats_say_what_the_lesson_says_of_four_numbers(printed):
    lines = printed[0]["rounded_run"].splitlines()
    assert "float16 inf" in lines[1]
    assert lines[2].endswith("float16 0")
    assert "bfloat16 1, float16 1.00195312" in lines[3]
    assert all(line.endswith("True") for line in lines[4:])


def test_float16_loses_gradients_that_flow_and_a_scale_brings_them_back(printed):
    of = printed[1]["found"]
    logits = np.ravel(of["logits"])
    logits = logits[logits != 0]
    assert formats.fate(logits, FORMATS["float16"], 1.0).share("lost: became zero") > 0.05
    assert formats.fate(logits, FORMATS["float16"], 2.0**24).share("lost: became zero") < 0.01
    assert formats.fate(logits, FORMATS["float16"], 2.0**40).share("overflowed") > 0.01
    assert formats.fate(logits, FORMATS["bfloat16"], 1.0).share("kept") == 1
    assert of["weights"].size > 1000


def test_the_scale_bumps_its_head_and_is_torchs(printed):
    assert printed[0]["scale_real"].strip().endswith("True")
    assert 1 <= printed[1]["taken"].count(False) < 0.3 * len(printed[1]["taken"])


def test_halves_train_to_nearly_the_same_loss(printed):
    losses = [numbers(line.split("loss ")[1])[0] for line in printed[0]["autocast_run"].splitlines() if "loss " in line]
    assert len(losses) >= 2
    assert max(losses) - min(losses) < 0.01


def test_accumulated_parts_are_the_whole_and_the_update_was_no_small_thing(printed):
    after, names = printed[1]["after"], printed[1]
    assert (after[32] - after[8]).abs().max() < 1e-12
    start = names["LanguageModel"](names["V"], "gru", hidden_size=16, embedding_size=8, rng=0)
    start = names["twin_model"](start, device=names["device"])
    before = torch.cat([p.detach().flatten() for p in start.parameters()])
    assert (after[32] - before).abs().max() > 1e-3


def test_what_is_kept_is_in_proportion_to_steps_and_to_rows(printed):
    for line in printed[0]["kept_run"].splitlines():
        ratios = [float(n) for n in re.findall(r"([\d.]+) times", line)]
        assert ratios == pytest.approx([2, 2], abs=0.1)


def test_every_kept_piece_of_memory_is_counted_once_and_weights_are_not(printed):
    module = torch.nn.Linear(4, 4, dtype=torch.float64)
    x = torch.randn(10, 4, dtype=torch.float64, requires_grad=True)  # then its weight is kept, too
    size, _ = printed[1]["kept_for_the_way_back"](module, x)
    assert size == x.nbytes
    twice = torch.nn.Sequential(module, torch.nn.Tanh())
    assert printed[1]["kept_for_the_way_back"](twice, x)[0] == 2 * x.nbytes


def test_what_is_kept_grows_with_the_length_plain_and_with_its_root_checkpointed(printed):
    table = [numbers(line.split(":")[1]) for line in printed[0]["checkpoint_table"].splitlines()]
    for (plain, _, less, *_), (longer, _, more, *_) in itertools.pairwise(table):  # four times as long
        assert longer / plain == pytest.approx(4, abs=0.4)
        assert more / less == pytest.approx(2, abs=0.4)


def test_the_profile_measured_every_size(printed):
    speeds = printed[1]["speeds"]
    assert speeds.shape == printed[1]["mebibytes"].shape == (3, 4)
    assert np.isfinite(speeds).all()


def test_nothing_is_loaded_twice_and_nothing_is_left_out(printed):
    for log in printed[1]["logs"].values():
        assert len(log.steps) == 15
        assert len(log.loads) == 15
        assert all(stop >= start for start, stop in (*log.loads, *log.steps))


# ---- the exercises -------------------------------------------------------------------------------------------------

INTENSITY = "    flops = N * H * G * H\n    numbers = H * G * H\n    return flops / numbers"
NEAREST = "    return (bits & np.uint32(0xFFFF0000)).view(np.float32)"
BUDGET = "    most = limit / (T * bytes_of_a_token)\n    return most, rows / most"
REPAIRS = {
    "try_intensity": (
        INTENSITY,
        "    flops = 2 * N * H * G * H\n    return flops / (4 * (N * H + H * G * H + N * G * H))",
    ),
    "try_nearest": (
        NEAREST,
        "    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))\n" + NEAREST,
    ),
    "try_scale": ("return scale / 2, good", "return scale / 2, 0"),
    "try_budget": (
        BUDGET,
        "    most = int(limit // (T * bytes_of_a_token))\n    return min(most, rows), -(-rows // most)",
    ),
}


def outcome(source):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, {"np": np, "answers": answers})
    return out.getvalue()


@pytest.mark.parametrize("cell", REPAIRS)
def test_every_exercise_starts_wrong_and_its_repair_is_right(cell):
    wrong, right = REPAIRS[cell]
    source = cells_of()[cell]
    assert source.count(wrong) == 1
    assert outcome(source).startswith("Not yet")
    assert outcome(source.replace(wrong, right)).startswith("Right")


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda N, H, G: 2 * N * H * G * H / (N * H + H * G * H + N * G * H), "4 bytes"),
        (lambda N, H, G: N * H * G * H / 4 / (N * H + H * G * H + N * G * H), "two flop"),
        (lambda N, H, G: 2 * N * H * G * H / (4 * H * G * H), "h is read"),
        (lambda N, H, G: 7.0, "this says 7"),
    ],
)
def test_each_wrong_intensity_has_its_hint(attempt, hint):
    assert hint in answers.intensity(attempt)


def cut(x):
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def half_up(x):
    return ((x.view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32)


def in_place(x):
    x.view(np.uint32)[...] += np.uint32(0x7FFF)
    return cut(x)


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [(cut, "the nearest bfloat16 is"), (half_up, "right but for ties"), (in_place, "Work on a copy"),
     (lambda x: x[:2], "gives the shape")],
)  # fmt: skip
def test_each_wrong_rounding_has_its_hint(attempt, hint):
    assert hint in answers.nearest(attempt)


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda s, g, ok, w: (2 * s, 0) if g + 1 == w and ok else (s / (1 if ok else 2), g + ok), "no longer count"),
        (lambda s, g, ok, w: (s / 2, 0) if not ok else (2 * s, g + 1) if g + 1 >= w else (s, g + 1), "begins anew"),
        (lambda s, g, ok, w: (s, 0) if not ok else (2 * s, 0) if g + 1 == w else (s, g + 1), "halves the scale"),
    ],
)
def test_each_wrong_rule_has_its_hint(attempt, hint):
    assert hint in answers.loss_scale(attempt)


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda rows, T, b, limit: (rows, 1), "rows take"),
        (lambda rows, T, b, limit: (1, rows), "parts work"),
        (lambda rows, T, b, limit: (min(rows, int(limit // (T * b))), rows // int(limit // (T * b))), "rows out"),
        (lambda rows, T, b, limit: (int(limit // (T * b)), -(-rows // int(limit // (T * b)))), "than there are"),
        (lambda rows, T, b, limit: (2.5, 3), "no whole numbers"),
    ],
)
def test_each_wrong_plan_has_its_hint(attempt, hint):
    assert hint in answers.budget(attempt)
