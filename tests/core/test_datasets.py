"""The course's datasets: each says whose it is, each loads without a network, each is what it says it is."""

import subprocess
import sys

import numpy as np
import pytest

from rnnlib.cells.sequences import check_lengths
from rnnlib.data.datasets import available, load
from rnnlib.data.music import REST
from rnnlib.data.splits import leakage
from rnnlib.data.text import CYRILLIC, LOCALES

SYNTHETIC = {
    "adding": {"T": 8, "N": 3},
    "copying": {"lag": 4, "N": 3},
    "parity": {"T": 8, "N": 3},
    "random_walk": {"T": 8, "N": 3},
    "planted_motif": {"T": 8, "N": 30},
}
LIBRARIES = "faker", "music21", "num2words", "pandas", "pywt", "scipy", "sklearn", "statsmodels", "tokenizers"


def test_every_dataset_says_what_it_is_and_whose():
    for name, dataset in available().items():
        assert name == dataset.name == dataset.load.__name__
        assert dataset.description.endswith(".")
        assert "\n" not in dataset.description
        assert dataset.source
        assert dataset.licence
        assert dataset.extra in (None, "data")
        assert "Returns:" in dataset.load.__doc__ or "Raises:" in dataset.load.__doc__


def test_what_was_not_measured_is_called_synthetic():
    made_up = {name for name, dataset in available().items() if dataset.description.startswith("SYNTHETIC: ")}
    assert made_up == {*SYNTHETIC, "dog_bites_man"}
    assert all(available()[name].load.__doc__.startswith("SYNTHETIC: ") for name in made_up)
    assert all("synthetic" in available()[name].load.__module__ for name in made_up)


def test_listing_the_datasets_loads_no_library():
    code = f"import sys, rnnlib.data.datasets as d; d.available(); print([m for m in {LIBRARIES} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no dataset 'shakespeare': expected one of python_documentation, "):
        load("shakespeare")


def test_a_dataset_without_an_extra_needs_no_library_and_the_others_name_theirs():
    code = f"""
import sys
import numpy as np
sys.modules |= dict.fromkeys({LIBRARIES})
from rnnlib.data.datasets import available, load
for name, dataset in available().items():
    options = {SYNTHETIC}.get(name)
    try:
        load(name, **(options | {{"rng": np.random.default_rng(0)}} if options else {{}}))
        assert dataset.extra is None, name
    except ImportError as error:
        assert dataset.extra == "data", name
        assert 'pip install "rnn-notebooks[data]"' in str(error), error
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_s_documentation_is_a_long_english_text():
    text = load("python_documentation")
    assert len(text) > 300_000
    assert text == load("python_documentation")
    assert text.split().count("the") > 3000


def test_python_s_source_is_the_source_and_runs_nothing():
    code = "import sys; from rnnlib.data.text import python_source as s; s(['turtle']); print('turtle' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
    sources = load("python_source")
    assert len(sources) == 20
    for name, source in sources.items():
        compile(source, name, "exec")
    for wrong in ("no_such_module", "sys", "json.decoder"):
        with pytest.raises(ValueError, match=f"no source of '{wrong}'"):
            load("python_source", modules=[wrong])


def test_surnames_come_once_in_each_language_and_in_latin_letters():
    pytest.importorskip("faker")
    names, written = load("surnames"), load("surnames", romanise=False)
    assert list(names) == list(LOCALES)
    for listed in (*names.values(), *written.values()):
        assert len(listed) > 300
        assert listed == sorted(set(listed))
    for listed in names.values():
        assert not set("".join(listed).lower()) & set(CYRILLIC)
    assert {"Shcherbakov", "Tsvetkova", "Il'in"} <= set(names["ru"])
    assert "Щербаков" in written["ru"]
    assert {language: len(listed) for language, listed in written.items()} == {k: len(v) for k, v in names.items()}
    assert load("surnames", languages=["ru"]) == {"ru": names["ru"]}
    with pytest.raises(ValueError, match=r"\['fr'\] are unknown"):
        load("surnames", languages=["it", "fr"])


def test_numbers_are_spelled():
    pytest.importorskip("num2words")
    pairs = load("number_words", limit=1235)
    assert [digits for digits, _ in pairs] == [str(n) for n in range(1235)]
    assert pairs[0] == ("0", "zero")
    assert pairs[1234] == ("1234", "one thousand, two hundred and thirty-four")
    with pytest.raises(ValueError, match="limit is 0"):
        load("number_words", limit=0)


def test_japanese_vowels_are_the_donors_two_parts():
    train, test = load("japanese_vowels")
    assert (train.x.shape, test.x.shape) == ((26, 270, 12), (29, 370, 12))
    assert np.bincount(train.labels).tolist() == [30] * 9
    assert np.bincount(test.labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    for part in (train, test):
        lengths = check_lengths(part.lengths, *part.x.shape[:2])
        assert (lengths.min(), lengths.max()) == (7, len(part.x))
        padding = np.arange(len(part.x))[:, None] >= lengths
        assert not part.x[padding].any()
        assert part.x[~padding].any(axis=1).all()
        assert part.x.dtype == np.float64
    # the first and last frame of the first utterance in the original, 1.860936 -0.207383 ... 0.261557 and so on
    assert train.lengths[0] == 20
    np.testing.assert_allclose(train.x[0, 0, :3], [1.860936, -0.207383, 0.261557], atol=5.1e-5)
    np.testing.assert_allclose(train.x[19, 0, :3], [1.261441, -0.63835, 0.217443], atol=5.1e-5)


def test_digits_are_read_from_top_to_bottom():
    datasets = pytest.importorskip("sklearn.datasets")
    digits, original = load("digit_rows"), datasets.load_digits()
    assert digits.x.shape == (8, 1797, 8)
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert np.array_equal(digits.x[3, 100] * 16, original.images[100, 3])
    assert np.array_equal(digits.labels, original.target)
    assert digits.lengths.tolist() == [8] * 1797


def test_a_chorale_has_four_voices_on_a_grid():
    pytest.importorskip("music21")
    (chorale,) = load("chorales", pieces=["269"]).values()
    assert chorale.pitches.shape == chorale.struck.shape == (252, 4)
    assert chorale.pitches[[0, 4, 8, 10]].tolist() == [
        [67, 62, 59, 43],
        [67, 62, 59, 55],
        [67, 64, 60, 52],
        [67, 64, 59, 52],
    ]
    assert chorale.struck[[0, 1, 4, 8, 10]].tolist() == [
        [True] * 4,
        [False] * 4,
        [True] * 4,
        [False, True, True, True],
        [False, False, True, False],
    ]
    changes = np.diff(chorale.pitches, axis=0) != 0
    assert chorale.struck[1:][changes & (chorale.pitches[1:] != REST)].all()  # a new pitch is a new note
    quarters = load("chorales", pieces=["269"], steps_per_quarter=1)["269"]
    assert np.array_equal(quarters.pitches, chorale.pitches[::4])


def test_a_tied_note_is_struck_once_and_a_rest_never():
    music21 = pytest.importorskip("music21")
    (chorale,) = load("chorales", pieces=["33.6"]).values()
    assert (chorale.pitches == REST).any()
    assert not chorale.struck[chorale.pitches == REST].any()
    path = music21.corpus.getWork("bach/bwv33.6")
    score = music21.converter.parse(path, forceSource=True, storePickle=False)
    assert any(note.tie for part in score.parts for note in part.flatten().notes)
    for voice, part in enumerate(score.parts):
        onsets = [int(note.offset * 4) for note in part.flatten().stripTies().notes]
        assert np.flatnonzero(chorale.struck[:, voice]).tolist() == onsets


def test_a_chorale_that_cannot_be_had_is_explained():
    pytest.importorskip("music21")
    with pytest.raises(ValueError, match="BWV '9999' is not in music21's corpus"):
        load("chorales", pieces=["9999"])
    with pytest.raises(ValueError, match=r"BWV 8\.6 has 5 parts"):
        load("chorales", pieces=["8.6"])
    with pytest.raises(ValueError, match="steps_per_quarter is 0"):
        load("chorales", steps_per_quarter=0)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_synthetic_task_is_repeatable_by_its_generator(name):
    first, again, other = (load(name, **SYNTHETIC[name], rng=np.random.default_rng(seed)) for seed in (0, 0, 1))
    arrays = [result if isinstance(result, tuple) else (result,) for result in (first, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(arrays[0], arrays[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(arrays[0], arrays[2], strict=True))


@pytest.mark.parametrize("T", [2, 3, 50])
def test_adding_marks_one_number_in_each_half(T):
    x, y = load("adding", T=T, N=4000, rng=np.random.default_rng(0))
    assert x.shape == (T, 4000, 2)
    assert set(np.unique(x[:, :, 1])) <= {0, 1}
    assert (x[: T // 2, :, 1].sum(axis=0) == 1).all()
    assert (x[T // 2 :, :, 1].sum(axis=0) == 1).all()
    np.testing.assert_allclose(y, [sum(v for v, mark in x[:, n] if mark) for n in range(4000)])
    assert ((y - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.15)
    assert (x[:, :, 1].sum(axis=1) > 0).all()  # every place is marked for some


def test_copying_asks_for_what_was_said_after_the_signal():
    task = load("copying", lag=5, N=50, rng=np.random.default_rng(0), symbols=3, length=4)
    assert task.inputs.shape == task.targets.shape == (13, 50)
    assert np.array_equal(task.inputs[:4], task.targets[9:])
    assert set(np.unique(task.inputs[:4])) == {0, 1, 2}
    assert (task.inputs[4:8] == 3).all()
    assert (task.inputs[8] == 4).all()
    assert (task.inputs[9:] == 3).all()
    assert (task.targets[:9] == 3).all()
    assert task.V == 5
    assert task.chance == pytest.approx(4 * np.log(3) / 13)


def test_parity_is_that_of_the_ones_so_far():
    x, odd = load("parity", T=9, N=20, rng=np.random.default_rng(0))
    assert x.shape == (9, 20, 1)
    for n in range(20):
        assert [int(x[: t + 1, n].sum()) % 2 for t in range(9)] == odd[:, n].tolist()


def test_no_bag_of_words_tells_who_bites():
    sentences, labels = load("dog_bites_man")
    assert len(set(sentences)) == len(sentences) == 360
    assert labels[sentences.index("dog bites man")] == 1
    assert labels[sentences.index("man bites dog")] == 0
    bags = {}
    for sentence, label in zip(sentences, labels.tolist(), strict=True):
        bags.setdefault(frozenset(sentence.split()), []).append(label)
    assert all(sorted(found) == [0, 1] for found in bags.values())
    pairs = np.arange(360) // 2
    assert all(len({frozenset(sentences[i].split()) for i in np.flatnonzero(pairs == k)}) == 1 for k in range(180))
    assert leakage([0], [1], entities=pairs).found


def test_a_random_walk_keeps_no_promise():
    prices = load("random_walk", T=200, N=500, rng=np.random.default_rng(0), start=50.0, volatility=0.05)
    assert prices.shape == (200, 500)
    assert (prices[0] == 50).all()
    assert prices.min() > 0
    steps = np.diff(np.log(prices), axis=0)
    assert steps.std() == pytest.approx(0.05, rel=0.01)
    assert abs(np.corrcoef(steps[:-1].ravel(), steps[1:].ravel())[0, 1]) < 0.01
    assert np.expm1(steps).mean() == pytest.approx(0, abs=3 * 0.05 / np.sqrt(steps.size))


def test_a_planted_motif_is_where_it_is_said_to_be():
    exact = load("planted_motif", T=30, N=200, rng=np.random.default_rng(0), share=0.1, fidelity=1.0)
    assert exact.labels.sum() == 20
    assert exact.labels[:20].sum() < 20  # shuffled
    assert set(np.unique(exact.ids)) == {0, 1, 2, 3}
    for n in np.flatnonzero(exact.labels):
        start = exact.starts[n]
        assert "".join("ACGT"[i] for i in exact.ids[start : start + 6, n]) == "TATAAT"
    assert (exact.starts[exact.labels == 0] == -1).all()
    blurred = load("planted_motif", T=6, N=4000, rng=np.random.default_rng(0), share=1.0, fidelity=0.8)
    right = (blurred.ids == np.array(["ACGT".index(base) for base in "TATAAT"])[:, None]).mean()
    assert right == pytest.approx(0.8 + 0.2 / 4, abs=0.01)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("adding", {"T": 1, "N": 1}, "T is 1: expected at least 2"),
        ("copying", {"lag": 0, "N": 1}, "lag is 0"),
        ("parity", {"T": 0, "N": 1}, "T is 0"),
        ("random_walk", {"T": 5, "N": 0}, "N is 0"),
        ("random_walk", {"T": 5, "N": 1, "volatility": 0.0}, "must be above zero"),
        ("planted_motif", {"T": 5, "N": 1}, "T is 5: expected at least 6"),
        ("planted_motif", {"T": 9, "N": 1, "motif": "TATAAU"}, "expected letters of 'ACGT'"),
        ("planted_motif", {"T": 9, "N": 1, "share": 1.5}, "must lie in 0 to 1"),
    ],
)
def test_a_task_that_cannot_be_made_is_explained(name, options, says):
    with pytest.raises(ValueError, match=says):
        load(name, **options, rng=np.random.default_rng(0))
