"""Lesson 17: networks against classics on three measured series, and a network on a walk that nobody can forecast.

Every method knows the series up to an origin and says the next HORIZON steps; then the origin moves on by one step.
All are fitted once, on what comes before the first origin, and afterwards only told what has come.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from rnnlib.data.libraries import optional
from rnnlib.data.series import co2, elnino, sunspots
from rnnlib.data.splits import rolling_origin
from rnnlib.data.synthetic import random_walk
from rnnlib.models import Forecaster
from rnnlib.optim import Adam
from rnnlib.studies.study import Measures, Study
from rnnlib.training import Sequences, train

HORIZON = 12  # steps
LEVEL = 0.8  # of what is to come should lie in an interval
UNITS = 16
LEVELS, CHANGES = "levels", "changes"

# ---- the series ------------------------------------------------------------------------------------------------------


class Series(NamedTuple):
    """A series and what is asked of it.

    Attributes:
        unit: of the values.
        step: the time from one value to the next.
        times: (L,), years.
        values: (L,).
        period: steps of a season.
        first: the first origin: how many steps may be learned from.
        window: steps that a network reads.
    """

    unit: str
    step: str
    times: np.ndarray
    values: np.ndarray
    period: int
    first: int
    window: int

    @property
    def cut(self) -> int:
        """Where, in what may be learned from, the validation part begins: its last fifth."""
        return self.first * 4 // 5

    @property
    def origins(self) -> np.ndarray:
        """(n,): how many steps are known at each origin."""
        folds = rolling_origin(len(self.values), first=self.first, horizon=HORIZON, step=1)
        return np.array([fold.test[0] for fold in folds])

    @property
    def scale(self) -> float:
        """The mean error of the seasonal-naive forecast on what may be learned from: the unit of MASE."""
        known = self.values[: self.first]
        return float(np.abs(known[self.period :] - known[: -self.period]).mean())


@functools.cache
def series(name: str) -> Series:
    """A measured series: "sunspots", "CO2" (means of months) or "sea temperature".

    Raises:
        KeyError: there is no such series.
    """
    return {"sunspots": _sunspots, "CO2": _co2, "sea temperature": _sea}[name]()


def _sunspots() -> Series:
    years, numbers = sunspots()
    return Series("sunspot number", "year", years.astype(np.float64), numbers, 11, 229, 33)


def _co2() -> Series:
    weeks, ppmv = co2()
    months, month = np.unique(weeks.astype("datetime64[M]"), return_inverse=True)
    means = np.bincount(month, ppmv) / np.bincount(month)
    return Series("ppmv", "month", _years(months), means, 12, 380, 24)


def _sea() -> Series:
    months, celsius = elnino()
    return Series("°C", "month", _years(months), celsius, 12, 540, 24)


def _years(months: np.ndarray) -> np.ndarray:
    return 1970 + months.astype(np.int64) / 12


def walk(seed: int) -> Series:
    """SYNTHETIC: a walk like a price, another for each seed."""
    values = random_walk(1000, 1, np.random.default_rng(seed))[:, 0]
    return Series("price", "day", np.arange(1000.0), values, 1, 700, 20)


# ---- errors ----------------------------------------------------------------------------------------------------------


def ahead(values: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """What came after each origin, (n, HORIZON)."""
    return values[origins[:, None] + np.arange(HORIZON)]


def errors(of: Series, forecasts: np.ndarray) -> np.ndarray:
    """The mean absolute scaled error at each horizon, (HORIZON,): 1 is seasonal-naive on what could be learned from.

    Args:
        of: the series.
        forecasts: (n, HORIZON), from each of its origins.

    Reference:
        Hyndman and Koehler (2006), Another look at measures of forecast accuracy, section 3.
    """
    # MASE_h = mean_o |y_{o-1+h} - ŷ_{o-1+h}| / mean_t |y_t - y_{t-m}|
    return np.abs(forecasts - ahead(of.values, of.origins)).mean(axis=0) / of.scale


# ---- those that a network must beat ----------------------------------------------------------------------------------


def naive(of: Series) -> np.ndarray:
    """The last value, again and again; (n, HORIZON), as all that follow."""
    return np.repeat(of.values[of.origins - 1][:, None], HORIZON, axis=1)


def seasonal_naive(of: Series) -> np.ndarray:
    """What was one season before; for a longer horizon, that season again."""
    return of.values[of.origins[:, None] - of.period + np.arange(HORIZON) % of.period]


def smoothing(of: Series, *, trend: bool) -> np.ndarray:
    """Exponential smoothing: a level, a season and, with `trend`, a slope that fades, each a weighted mean of the past.

    Reference:
        Hyndman, Koehler, Ord and Snyder (2008), Forecasting with exponential smoothing: ETS(A,N,A) and ETS(A,Ad,A).
    """
    ets = optional("statsmodels.tsa.exponential_smoothing.ets", "exponential smoothing").ETSModel
    kind = {"trend": "add" if trend else None, "damped_trend": trend, "seasonal": "add", "seasonal_periods": of.period}
    fitted = ets(of.values[: of.first], **kind).fit(disp=False)
    states = ets(of.values, **kind).smooth(fitted.params).states  # the state at t knows what came up to t, no more
    fade = dict(zip(fitted.param_names, fitted.params, strict=True)).get("damping_trend", 0.0)
    level, season = states[of.origins - 1, :1], states[:, -1]
    slope = states[of.origins - 1, 1:2] if trend else np.zeros_like(level)
    # ŷ_{t+h} = l_t + (φ + φ² + ... + φ^h) b_t + s_{t+h-m}, at t = o - 1
    faded = np.cumsum(fade ** np.arange(1, HORIZON + 1))
    return level + slope * faded + season[of.origins[:, None] - of.period + np.arange(HORIZON) % of.period]


Order = tuple[int, int, int]


@functools.cache
def arima(name: str, order: Order, seasonal: Order = (0, 0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """ARIMA's forecasts and their standard errors, each (n, HORIZON).

    Args:
        name: of the series.
        order: (p, d, q).
        seasonal: the same with steps of a whole period.

    Reference:
        Box and Jenkins (1970), Time series analysis: forecasting and control.
    """
    of = series(name)
    model = optional("statsmodels.tsa.arima.model", "ARIMA").ARIMA
    season = (*seasonal, of.period if any(seasonal) else 0)
    result = model(of.values[: of.first], order=order, seasonal_order=season).fit()
    said = []
    for origin in of.origins:
        if origin > of.first:
            result = result.extend(of.values[origin - 1 : origin])
        forecast = result.get_forecast(HORIZON)
        said.append((forecast.predicted_mean, forecast.se_mean))
    means, deviations = np.array(said).swapaxes(0, 1)
    return means, deviations


# ---- networks --------------------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """A trained network and how its numbers become those of the series.

    Attributes:
        model: forecasts HORIZON steps at once.
        form: LEVELS: it reads and says values; CHANGES: how far each is from the last value that is known.
        shift, scale: of what it reads and says.
        window: steps that it reads.
    """

    model: Forecaster
    form: str
    shift: float
    scale: float
    window: int

    def forecast(self, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """From each origin, (n, HORIZON)."""
        read, base = windows(values, origins, self.window, self.form, self.shift)
        said = self.model.predict(shaped(read / self.scale))[..., 0].T
        return base + self.scale * said.astype(np.float64)


def windows(
    values: np.ndarray, origins: np.ndarray, window: int, form: str, shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """What is read before each origin, (n, window), measured from a base, and that base, (n, 1)."""
    read = values[origins[:, None] - window + np.arange(window)]
    base = read[:, -1:] if form == CHANGES else np.full((len(origins), 1), shift)
    return read - base, base


def shaped(rows: np.ndarray) -> np.ndarray:
    """(n, T) as a batch (T, n, 1)."""
    return rows.T[:, :, None].astype(np.float32)


def learn(of: Series, layer: str, form: str, seed: int, epochs: int = 60, units: int = UNITS) -> Network:
    """Train on the first four fifths of what may be learned from; the last fifth says when to stop.

    Args:
        of: the series.
        layer: "rnn", "gru" or "lstm".
        form: LEVELS or CHANGES.
        seed: of the first parameters and the order of the data.
        epochs: at most.
        units: of the layer.
    """
    values, shift = of.values, float(of.values[: of.cut].mean())

    def examples(origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read, base = windows(values, origins, of.window, form, shift)
        return read, ahead(values, origins) - base

    read, told = examples(np.arange(of.window, of.cut - HORIZON + 1))
    scale = float(told.std())
    checked = [shaped(each / scale) for each in examples(held_out(of))]
    model = Forecaster(1, layer, horizon=HORIZON, hidden_size=units, dtype=np.float32, rng=seed)
    train(
        model, Sequences(shaped(read / scale), shaped(told / scale), batch_size=32), Adam(model.parameters, 0.01),
        epochs=epochs, clip=1.0, validation=Sequences(*checked, batch_size=512), patience=10, seed=seed,
    )  # fmt: skip
    return Network(model, form, shift, scale, of.window)


def held_out(of: Series) -> np.ndarray:
    """The origins whose whole horizon lies in the validation part."""
    return np.arange(of.cut, of.first - HORIZON + 1)


# ---- intervals -------------------------------------------------------------------------------------------------------


def margins(residuals: np.ndarray, level: float) -> np.ndarray:
    """How far to go to both sides of a forecast at each horizon, (HORIZON,): a quantile of what was off before.

    Args:
        residuals: (n, HORIZON), of forecasts from origins whose truth is known.
        level: the share that is to lie inside, between 0 and 1.

    Returns:
        The ⌈(n + 1) level⌉-th smallest absolute residual; the largest where there is none.

    Reference:
        Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-free predictive inference for regression,
        algorithm 2 (split conformal).
    """
    n = len(residuals)
    rank = min(int(np.ceil((n + 1) * level)), n)
    return np.sort(np.abs(residuals), axis=0)[rank - 1]


def coverage(truth: np.ndarray, forecasts: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """The share of what came that lies inside, at each horizon, (HORIZON,)."""
    return (np.abs(truth - forecasts) <= margin).mean(axis=0)


# ---- the comparison --------------------------------------------------------------------------------------------------

TREND = {"sunspots": False, "CO2": True, "sea temperature": False}
ORDERS: dict[str, tuple[Order, Order]] = {
    "sunspots": ((9, 0, 0), (0, 0, 0)),
    "CO2": ((1, 1, 1), (0, 1, 1)),
    "sea temperature": ((2, 0, 0), (0, 1, 1)),
}
CLASSICS: dict[str, Callable[[str], np.ndarray]] = {
    "naive": lambda name: naive(series(name)),
    "seasonal naive": lambda name: seasonal_naive(series(name)),
    "ETS": functools.cache(lambda name: smoothing(series(name), trend=TREND[name])),
    "ARIMA": lambda name: arima(name, *ORDERS[name])[0],
}
NETWORKS = {"RNN, changes": ("rnn", CHANGES), "GRU, changes": ("gru", CHANGES), "GRU, levels": ("gru", LEVELS)}


def _measured(name: str, arm: str, seed: int, full: bool) -> Measures:
    of = series(name)
    truth = ahead(of.values, of.origins)
    if arm in CLASSICS:
        said = CLASSICS[arm](name)
        measures = _judged(of, said)
        if arm == "ARIMA":
            margin = NormalDist().inv_cdf((1 + LEVEL) / 2) * arima(name, *ORDERS[name])[1]
            measures["covered"] = coverage(truth, said, margin).tolist()
            measures["width"] = (2 * margin.mean(axis=0) / of.scale).tolist()
        return measures
    network = learn(of, *NETWORKS[arm], seed, epochs=60 if full else 15)
    said = network.forecast(of.values, of.origins)
    measures = _judged(of, said)
    for part, origins in {"seen": np.arange(of.window, of.cut - HORIZON + 1), "held": held_out(of)}.items():
        margin = margins(ahead(of.values, origins) - network.forecast(of.values, origins), LEVEL)
        measures[f"covered {part}"] = coverage(truth, said, margin).tolist()
        measures[f"width {part}"] = (2 * margin / of.scale).tolist()
    return measures


def _judged(of: Series, said: np.ndarray) -> dict[str, float | Sequence[float]]:
    found = errors(of, said)
    return {"MASE": float(found.mean()), "errors": found.tolist()}


def _study(name: str) -> Study:
    return Study(
        f"forecasting_{name.split()[0].lower()}",
        f"Who forecasts best, a network or a classic: {name}?",
        (*CLASSICS, *NETWORKS),
        functools.partial(_measured, name),
        quick=2,
        full=10,
    )


of_sunspots, of_co2, of_sea = (_study(name) for name in TREND)
STUDIES = {"sunspots": of_sunspots, "CO2": of_co2, "sea temperature": of_sea}


# ---- a walk ----------------------------------------------------------------------------------------------------------


def looks(truth: np.ndarray, forecasts: np.ndarray) -> float:
    """R²: the share of the variance that a forecast seems to explain; of a walk's levels it says nothing.

    Args:
        truth, forecasts: (n,).
    """
    return float(1 - ((truth - forecasts) ** 2).mean() / truth.var())


def skill(truth: np.ndarray, forecasts: np.ndarray, rival: np.ndarray) -> np.ndarray:
    """How much smaller the mean absolute error is than a rival's: 1 is perfect, 0 no better, below 0 worse.

    Args:
        truth, forecasts, rival: (n, ...), averaged over the first axis.
    """
    return 1 - np.abs(truth - forecasts).mean(axis=0) / np.abs(truth - rival).mean(axis=0)


def _walked(arm: str, seed: int, full: bool) -> Measures:
    of = walk(seed)
    truth, rival = ahead(of.values, of.origins), naive(of)
    said = rival
    if arm != "naive":
        said = learn(of, "gru", arm.split()[-1], seed, 30 if full else 10).forecast(of.values, of.origins)
    gained = skill(truth, said, rival)
    return {"R2": looks(truth[:, 0], said[:, 0]), "skill": float(gained.mean()), "skills": gained.tolist()}


walks = Study(
    "forecasting_walk",
    "What can a network say of a random walk that its last value does not?",
    ("naive", "GRU on levels", "GRU on changes"),
    _walked,
    quick=2,
    full=10,
)
