"""Studies: a fair order, results that survive a stop, and intervals that mean what they say."""

import json

import numpy as np
import pytest

from rnnlib.studies import Results, Study, interval
from rnnlib.studies.__main__ import main, studies

CALLS = []


def measured(arm, seed, full):
    CALLS.append((arm, seed))
    return {"loss": seed + 10.0 * (arm == "b"), "curve": [seed, seed / 3]}


@pytest.fixture
def study():
    CALLS.clear()
    return Study("of_a_test", "Does b cost more than a?", ("a", "b"), measured, quick=2, full=3)


def test_the_interval_is_students():
    # 1, 2, 3: mean 2, spread 1, and t of two degrees of freedom is 4.303
    mean, low, high = interval([1.0, 2.0, 3.0])
    np.testing.assert_allclose([mean, low, high], [2, 2 - 4.303 / np.sqrt(3), 2 + 4.303 / np.sqrt(3)])


def test_the_interval_holds_the_truth_in_19_of_20_draws():
    rng = np.random.default_rng(0)
    held = [low < 5 < high for _, low, high in (interval(rng.normal(5, 2, 4)) for _ in range(4000))]
    assert abs(np.mean(held) - 0.95) < 0.012


@pytest.mark.parametrize("values", [[1.0], [], [1.0, np.nan], [[1.0, 2.0]]])
def test_no_interval_is_made_up(values):
    with pytest.raises(ValueError, match="at least two finite numbers"):
        interval(values)


def test_arms_take_turns_with_every_seed(study):
    results = study.run(show=False)
    assert CALLS == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert results.arms == ("a", "b")
    np.testing.assert_array_equal(results.values("b", "loss"), [10, 11])
    np.testing.assert_allclose(results.values("a", "curve"), [[0, 0], [1, 1 / 3]])


def test_differences_are_taken_seed_by_seed(study):
    assert study.run(show=False).difference("b", "a", "loss") == (10, 10, 10)


def test_a_run_goes_on_where_it_was_stopped(study, tmp_path):
    path = tmp_path / "kept.json"

    def stops(arm, seed, full):
        if (arm, seed) == ("b", 1):
            raise KeyboardInterrupt
        return measured(arm, seed, full)

    with pytest.raises(KeyboardInterrupt):
        Study(study.name, study.question, study.arms, stops, 2, 3).run(path=path, show=False)
    CALLS.clear()
    results = study.run(path=path, show=False)
    assert CALLS == [("b", 1)]
    np.testing.assert_array_equal(results.values("b", "loss"), [10, 11])
    assert json.loads(path.read_text())["command"] == "python -m rnnlib.studies of_a_test"


def test_quick_results_are_not_taken_for_full_ones(study, tmp_path):
    study.run(path=tmp_path / "kept.json", show=False)
    with pytest.raises(ValueError, match="holds 'of_a_test', quick: expected 'of_a_test', full"):
        study.run(full=True, path=tmp_path / "kept.json", show=False)


def test_what_is_not_finite_is_refused_by_name(study, tmp_path):
    diverged = Study("d", "?", ("a",), lambda arm, seed, full: {"loss": np.inf}, 2, 2)
    with pytest.raises(ValueError, match="loss is not finite"):
        diverged.run(path=tmp_path / "kept.json", show=False)


def test_unknown_arms_and_measures_are_named():
    results = Results({("a", 0): {"loss": 1.0}})
    with pytest.raises(KeyError, match="no arm 'c'; there are 'a'"):
        results.values("c", "loss")
    with pytest.raises(KeyError, match="no measure 'lss'; there are 'loss'"):
        results.values("a", "lss")


def test_a_study_that_was_never_made_says_how(study):
    with pytest.raises(FileNotFoundError, match=r"python -m rnnlib\.studies of_a_test"):
        study.kept()


def test_the_command_lists_every_study_and_knows_no_other(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in studies())
    with pytest.raises(SystemExit):
        main(["no_such_study"])
    assert "no_such_study" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(studies()))
def test_the_kept_results_of_every_study_are_whole(name):
    kept = studies()[name].kept()
    assert kept.arms == studies()[name].arms
