"""Lesson 17 says these things on screen: its forecasts know only the past, its promises are measured, none is typed."""

import contextlib
import io
import pathlib

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the explorers need rnn-notebooks[lab]")
pytest.importorskip("statsmodels", reason="the series need rnn-notebooks[data]")

from rnnlib.studies import forecasting as study
from rnnlib.studies.study import Results
from rnnlib.viz import Dots, Line
from rnnlib.viz.forecasts import by_horizon, fan, measured, overlay, rolling
from rnnlib.viz.static import png
from tests.lessons import told

LESSON = pathlib.Path(__file__).parents[2] / "notebooks" / "17_forecasting.ipynb"
NAMES = ("sunspots", "CO2", "sea temperature")


def cells_of(kind=None):
    return told.cells_of(LESSON, kind)


def spoiled(of, origin):
    """The same series with nonsense from an origin on."""
    values = of.values.copy()
    values[origin:] = 1e3 * np.random.default_rng(0).normal(size=len(values) - origin)
    return of._replace(values=values)


# ---- the series and the classics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_origin_knows_what_comes_before_it_and_is_asked_for_what_follows(name):
    of = study.series(name)
    assert of.origins[0] == of.first
    assert of.origins[-1] + study.HORIZON == len(of.values) == len(of.times)
    np.testing.assert_array_equal(np.diff(of.origins), 1)
    np.testing.assert_array_equal(study.ahead(of.values, of.origins)[3], of.values[of.first + 3 :][: study.HORIZON])
    assert study.held_out(of)[0] == of.cut
    assert study.held_out(of)[-1] + study.HORIZON == of.first


def test_a_month_of_co2_is_the_mean_of_its_weeks():
    from rnnlib.data.series import co2

    of, (weeks, ppmv) = study.series("CO2"), co2()
    np.testing.assert_allclose(np.diff(of.times), 1 / 12)
    assert of.values[1] == pytest.approx(ppmv[weeks.astype("datetime64[M]") == np.datetime64("1958-04")].mean())


def test_the_naive_forecasts_repeat_a_value_and_a_season():
    of = study.walk(0)._replace(values=np.arange(1000.0), period=5)
    assert study.naive(of)[2].tolist() == [701.0] * study.HORIZON
    assert study.seasonal_naive(of)[2].tolist() == [697.0 + k % 5 for k in range(study.HORIZON)]


def test_an_error_of_one_is_that_of_seasonal_naive_where_it_may_be_learned_from():
    of = study.series("sunspots")
    known = of.values[: of.first]
    assert of.scale == pytest.approx(np.mean([abs(known[t] - known[t - 11]) for t in range(11, of.first)]))
    np.testing.assert_allclose(study.errors(of, study.ahead(of.values, of.origins) + of.scale), 1)
    assert spoiled(of, of.first).scale == of.scale


@pytest.mark.parametrize("name", ["sunspots", "CO2"])
def test_smoothing_says_what_statsmodels_says_from_each_origin(name):
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    of, trend = study.series(name), study.TREND[name]
    kind = {"trend": "add" if trend else None, "damped_trend": trend, "seasonal": "add", "seasonal_periods": of.period}
    fitted = ETSModel(of.values[: of.first], **kind).fit(disp=False)
    mine = study.smoothing(of, trend=trend)
    for k in (0, 29):
        theirs = ETSModel(of.values[: of.origins[k]], **kind).smooth(fitted.params).forecast(study.HORIZON)
        np.testing.assert_allclose(mine[k], theirs, atol=1e-9)


@pytest.fixture(scope="module")
def autoregression():
    return study.arima("sunspots", (2, 0, 0))


def test_arima_says_from_an_origin_what_it_says_when_told_all_up_to_it_at_once(autoregression):
    from statsmodels.tsa.arima.model import ARIMA

    of = study.series("sunspots")
    fitted = ARIMA(of.values[: of.first], order=(2, 0, 0)).fit()
    at_once = fitted.apply(of.values[: of.origins[30]]).get_forecast(study.HORIZON)
    np.testing.assert_allclose(autoregression[0][30], at_once.predicted_mean, rtol=1e-5)
    np.testing.assert_allclose(autoregression[1][30], at_once.se_mean, rtol=1e-4)


# ---- the networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [study.LEVELS, study.CHANGES])
def test_what_comes_later_reaches_neither_training_nor_a_forecast(form):
    of = study.series("sunspots")
    network = study.learn(of, "rnn", form, 0, epochs=2)
    again = study.learn(spoiled(of, of.first), "rnn", form, 0, epochs=2)
    for name, parameter in network.model.parameters.items():
        np.testing.assert_array_equal(parameter, again.model.parameters[name])
    said = network.forecast(of.values, of.origins[:20])
    np.testing.assert_array_equal(network.forecast(spoiled(of, of.origins[19]).values, of.origins[:20]), said)
    assert not np.allclose(network.forecast(spoiled(of, of.origins[19] - 1).values, of.origins[:20])[19], said[19])


def test_what_is_held_out_changes_neither_the_scale_nor_the_windows_that_are_learned():
    of = study.series("sunspots")
    one, other = (study.learn(each, "rnn", study.LEVELS, 0, epochs=1) for each in (of, spoiled(of, of.cut)))
    assert (one.scale, one.shift) == (other.scale, other.shift)
    for name, parameter in one.model.parameters.items():
        np.testing.assert_array_equal(parameter, other.model.parameters[name])


def test_a_network_on_changes_does_not_care_how_high_the_series_stands():
    of = study.series("CO2")
    for form, same in ((study.CHANGES, True), (study.LEVELS, False)):
        network = study.learn(of, "gru", form, 1, epochs=1)
        low, high = (network.forecast(of.values + add, of.origins[:5]) for add in (0, 100))
        assert np.allclose(high - low, 100, atol=1e-3) == same


def test_a_window_ends_at_the_last_known_value_and_changes_are_measured_from_it():
    values = np.arange(30.0) ** 2
    read, base = study.windows(values, np.array([10, 20]), 4, study.CHANGES, 5.0)
    assert base.tolist() == [[81], [361]]
    np.testing.assert_array_equal(read, [values[6:10] - 81, values[16:20] - 361])
    read, base = study.windows(values, np.array([10]), 4, study.LEVELS, 5.0)
    np.testing.assert_array_equal(read + base, [values[6:10]])
    assert base.tolist() == [[5]]


def test_the_lessons_own_training_is_that_of_the_study(printed):
    names = printed[1]
    model, unit = names["trained"](names["sun"], last=False, epochs=2, seed=3)
    network = study.learn(names["sun"], "gru", study.LEVELS, 0, epochs=0)
    assert unit == pytest.approx(network.scale, rel=1e-5)
    read, told = names["examples"](names["co2"], np.array([100, 101]), last=True)
    assert (read.shape, told.shape) == ((24, 2, 1), (12, 2, 1))
    assert read[-1].tolist() == [[0], [0]]
    np.testing.assert_allclose(told[0, 0, 0], np.diff(names["co2"].values)[99], rtol=1e-4)
    assert model.horizon == study.HORIZON


# ---- intervals and skill -------------------------------------------------------------------------------------------


def test_margins_cover_exchangeable_residuals_as_often_as_promised_and_no_more_than_one_rank_above():
    rng = np.random.default_rng(0)
    past, come = (rng.standard_t(3, (4000, 39, 2)) for _ in range(2))
    inside = np.mean(
        [study.coverage(new, 0 * new, study.margins(old, 0.8)) for old, new in zip(past, come, strict=True)]
    )
    assert 0.8 - 0.004 < inside < 0.8 + 1 / 40 + 0.004
    assert study.margins(np.array([[-3.0], [1.0], [2.0], [-4.0]]), 0.8).tolist() == [4.0]
    assert study.margins(np.array([[-3.0], [1.0], [2.0], [-4.0]]), 0.5).tolist() == [3.0]


def test_skill_saves_nothing_for_a_copy_and_all_for_the_truth():
    truth, rival = np.array([3.0, 5.0, 4.0]), np.array([2.0, 3.0, 5.0])
    assert study.skill(truth, rival, rival) == 0
    assert study.skill(truth, truth, rival) == 1
    assert study.skill(truth, 2 * rival - truth, rival) == -1
    assert study.looks(truth, truth) == 1
    assert study.looks(truth, np.full(3, 4.0)) == 0


# ---- the pictures --------------------------------------------------------------------------------------------------


def lines(panel):
    return {mark.label: mark for mark in panel.marks if isinstance(mark, Line)}


def test_the_rolling_explorer_shows_what_was_known_and_adds_up_the_errors():
    of = study.series("CO2")
    said = {"naive": study.naive(of), "seasonal naive": study.seasonal_naive(of)}
    explorer = rolling.explorer(of, said)
    for origin in (1, 40, len(of.origins)):
        left, right = explorer.set(origin=origin, method="naive").panels
        assert lines(left)["known"].y[-1] == of.values[of.first + origin - 2]
        assert lines(left)["what came"].y[1] == of.values[of.first + origin - 1]
        off = np.abs(said["naive"] - study.ahead(of.values, of.origins))[:origin].mean(axis=0) / of.scale
        np.testing.assert_allclose(lines(right)["naive"].y, off)
        assert "seasonal naive" not in lines(right)
    np.testing.assert_allclose(lines(right)["naive"].y, study.errors(of, said["naive"]))
    assert {"naive", "seasonal naive"} <= set(lines(explorer.set(method="all").panels[1]))
    assert explorer.png().startswith(b"\x89PNG")


def test_the_overlay_places_each_forecast_where_its_truth_stands():
    of = study.walk(1)
    said = {"GRU": study.naive(of) + 1, "naive": study.naive(of)}
    explorer = overlay.explorer(of, said)
    for horizon in (1, 12):
        left, right = explorer.set(horizon=horizon, method="naive").panels
        truth, naive = lines(left)["what came"], lines(left)[f"naive, {horizon} ahead"]
        assert truth.x[0] == naive.x[0] == of.first - 1 + horizon
        np.testing.assert_array_equal(truth.y, of.values[of.first - 1 + horizon :][: len(truth.y)])
        np.testing.assert_array_equal(naive.y, of.values[of.first - 1 :][: len(naive.y)])
        assert right.title == "Skill against naive: +0 %"
        (dots,) = [mark for mark in right.marks if isinstance(mark, Dots)]
        assert not dots.y.any()
    assert f"R² = {study.looks(truth.y, naive.y):.2f}" == left.title
    (dots,) = [mark for mark in explorer.set(method="GRU").panels[1].marks if isinstance(mark, Dots)]
    np.testing.assert_allclose(dots.y, 1)
    assert png(overlay.advertised(of, said["GRU"])).startswith(b"\x89PNG")


def test_the_interval_explorer_counts_what_lies_inside():
    of = study.series("sunspots")
    said, rng = study.seasonal_naive(of), np.random.default_rng(0)
    residuals = {"one": rng.normal(size=(60, 12)), "other": 50 * rng.normal(size=(60, 12))}
    explorer = fan.explorer(of, said, residuals)
    for level, source, factor in ((80, "one", 1.0), (95, "other", 0.5), (50, "other", 2.5)):
        left, right = explorer.set(level=level, source=source, factor=factor, origin=3).panels
        margin = factor * study.margins(residuals[source], level / 100)
        inside = [np.mean(np.abs(said[:, h] - of.values[of.origins + h]) <= margin[h]) for h in range(12)]
        np.testing.assert_allclose(lines(right)["inside"].y, 100 * np.array(inside))
        assert lines(right)["promised"].y.tolist() == [level, level]
        (band,) = [mark for mark in left.marks if hasattr(mark, "low")]
        np.testing.assert_allclose(band.high - band.low, 2 * margin)
    assert explorer.png().startswith(b"\x89PNG")


def test_the_horizon_picture_draws_means_with_their_intervals():
    rows = {("GRU, changes", seed): {"errors": [1.0 + seed, 2.0]} for seed in range(2)}
    scene = by_horizon.show(
        {"a": Results(rows)}, [("GRU, changes", "errors", "ARIMA")], y_label="e", times=10, promised=5
    )
    assert lines(scene.panels[0])["ARIMA"].y.tolist() == [15, 20]
    assert lines(scene.panels[0])["promised"].y.tolist() == [5, 5]
    (band,) = [mark for mark in scene.panels[0].marks if hasattr(mark, "low")]
    assert band.high[0] > 15 > band.low[0]
    assert band.high[1] == band.low[1] == 20


def test_the_series_are_drawn_whole_and_cut_at_the_first_origin():
    every = {name: study.series(name) for name in NAMES}
    for panel, of in zip(measured.show(every).panels, every.values(), strict=True):
        known, future = panel.marks
        assert len(known.y) + len(future.y) == len(of.values) + 1
        assert future.x[0] == of.times[of.first]


# ---- the notebook --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed():
    """What each code cell prints, and all names at the end."""
    return told.run(LESSON, display=print)


TRIES = {
    "try_scale": ("values[m:] - values[:-m]", "values[m:first] - values[: first - m]"),
    "try_drift": (
        "gain = 0.0",
        "season = values[origin - 2 * m : origin]; gain = season[m:].mean() - season[:m].mean()",
    ),
    "try_skill": (
        "1 - ((truth - forecast) ** 2).mean() / truth.var()",
        "1 - np.abs(truth - forecast).mean() / np.abs(truth - last).mean()",
    ),
    "try_many": ("n = 10", "n = 19"),
}
STILL_WRONG = {
    "try_scale": ("values[m:] - values[:-m]", "values[m : first + 1] - values[: first + 1 - m]"),
    "try_drift": ("gain = 0.0", "gain = values[-1] - values[-1 - m]"),
    "try_skill": ("1 - ((truth - forecast) ** 2).mean() / truth.var()", "0.0"),
    "try_many": ("n = 10", "n = 20"),
}


def said_after(printed, cell, change):
    wrong, right = change
    source = cells_of()[cell]
    assert source.count(wrong) == 1
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source.replace(wrong, right), dict(printed[1]))
    return out.getvalue()


@pytest.mark.parametrize("cell", TRIES)
def test_every_exercise_starts_wrong_takes_a_right_answer_and_no_other(printed, cell):
    assert "Not yet" in printed[0][cell]
    assert "Right" in said_after(printed, cell, TRIES[cell])
    assert "Not yet" in said_after(printed, cell, STILL_WRONG[cell])


def test_the_advertised_network_looks_brilliant_and_saves_nothing(printed):
    names = printed[1]
    truth = study.ahead(names["price"].values, names["price"].origins)
    assert study.looks(truth[:, 0], names["spoken"]["GRU"][:, 0]) > 0.95
    assert abs(study.skill(truth, names["spoken"]["GRU"], names["spoken"]["naive"])[0]) < 0.05


def test_on_levels_a_network_stays_below_what_it_has_not_seen(printed):
    names = printed[1]
    levels, changes = names["ends"].values()
    of = names["co2"]
    assert levels.max() < of.values[of.first :].max() - 5 < changes.max()
    assert study.errors(of, levels).mean() > 5 * study.errors(of, changes).mean()


def test_no_network_beats_arima_on_sunspots_or_co2_and_on_co2_all_that_read_changes_beat_ets(printed):
    for name in ("sunspots", "CO2"):
        kept = printed[1]["kept"][name]
        assert all(kept.difference(arm, "ARIMA", "MASE").low > 0 for arm in study.NETWORKS)
    assert all(kept.difference(arm, "ETS", "MASE").high < 0 for arm in ("RNN, changes", "GRU, changes"))


def test_the_verdicts_say_what_the_intervals_say(printed):
    names = printed[1]
    assert "**loses to ARIMA**" in names["verdict"]("CO2", "ARIMA")
    assert "**beats ETS**" in names["verdict"]("CO2", "ETS")
    assert "**beats seasonal naive**" in names["verdict"]("sunspots", "seasonal naive")


def test_on_a_walk_no_form_is_shown_to_gain_anything():
    kept = study.walks.kept()
    assert kept.interval("GRU on changes", "skill").low < 0.005
    assert kept.interval("GRU on changes", "R2").mean == pytest.approx(kept.interval("naive", "R2").mean, abs=0.01)
    assert kept.interval("GRU on levels", "skill").high < 0
    assert not kept.values("naive", "skills").any()


def test_seen_residuals_cover_less_than_promised_everywhere_and_sunspots_break_the_held_out_ones_too(printed):
    for name, results in printed[1]["kept"].items():
        assert results.values("GRU, changes", "covered seen").mean() < 0.78, name
    sun = printed[1]["kept"]["sunspots"]
    assert sun.values("GRU, changes", "covered held").mean() < sun.values("GRU, changes", "covered seen").mean()


def test_the_held_out_suns_were_quiet_and_a_later_one_is_the_strongest_on_record(printed):
    of = printed[1]["sun"]
    quiet, later = of.values[of.cut : of.first], of.values[of.first :]
    assert (of.times[of.cut], of.times[of.first - 1]) == (1883, 1928)
    assert quiet.max() < np.sort(later)[-20]
    assert of.times[of.values.argmax()] == 1957
