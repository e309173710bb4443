"""Lesson 10's sick runs as charts: a log with its disease, and the same run with the remedy; and who has what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.studies.training import SYMPTOMS, Log, Seen, Symptom
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Toggle
from rnnlib.viz.scene import Mark

# In which order the patients come, so that their letters say nothing.
ORDER = (5, 2, 8, 0, 9, 3, 7, 1, 6, 4)
PATIENTS: dict[str, Symptom] = {chr(ord("A") + k): SYMPTOMS[row] for k, row in enumerate(ORDER)}
Pair = tuple[Seen, Seen]


def admit(seed: int = 0, names: Sequence[str] = tuple(PATIENTS)) -> dict[str, Pair]:
    """Run some patients, each without and with its remedy, by letter."""
    return {name: (PATIENTS[name].run(seed, False), PATIENTS[name].run(seed, True)) for name in names}


def explorer(runs: Mapping[str, Pair]) -> Explorer:
    """A chart for every patient.

    Args:
        runs: from `admit`.
    """

    def draw(name: str, remedy: bool, told: bool) -> Scene:
        return chart(name, runs[name], remedy, told)

    return Explorer(
        draw,
        Choice("name", "run", tuple(runs), next(iter(runs))),
        Toggle("remedy", "with the remedy", False),
        Toggle("told", "tell me", False),
        title="Which run is ill, and of what?",
        description="Read the log, write down the disease, then ask. Last, switch the remedy on.",
    )


def chart(name: str, runs: Pair, remedy: bool, told: bool) -> Scene:
    """The log of one patient: loss, gradient norm and rate of every step; validation where there is one.

    Args:
        name: letter of PATIENTS.
        runs: without and with the remedy.
        remedy: draw the remedied run, and the sick one dashed behind it.
        told: whether the disease and its remedy stand below.
    """
    row, (ill, cured) = PATIENTS[name], runs
    shown = cured if remedy else ill
    behind = ill if remedy else None
    alt = f"Run {name}{', with the remedy' if remedy else ''}: {_described(shown.log)} {row.outcome.capitalize()} "
    alt += f"{shown.outcome:.3g}" + (f", without the remedy {ill.outcome:.3g}." if remedy else ".")
    if told:
        alt += f" Disease: {row.disease}. Remedy: {row.remedy}."
    return Scene(_panels(name, shown.log, behind.log if behind else None), alt=alt)


def _described(log: Log) -> str:
    first, last = float(log.losses[0]), float(np.median(log.losses[-9:]))
    end = f"Stopped after step {len(log.losses)}, not finite." if log.diverged else ""
    return (
        f"{len(log.losses)} steps, loss {first:.3g} at first and {last:.3g} at last, gradient norm "
        f"{np.median(log.norms):.2g} in the middle and {log.norms.max():.2g} at most. {end}"
    ).strip()


def _panels(name: str, log: Log, behind: Log | None) -> list[Panel]:
    losses: list[Mark] = []
    norms: list[Mark] = []
    steps = np.arange(1, len(log.losses) + 1)
    if behind is not None:
        before = np.arange(1, len(behind.losses) + 1)
        losses.append(Line(before, behind.losses, "without the remedy", "grey", dashed=True))
        norms.append(Line(before, behind.norms, "without the remedy", "grey", dashed=True))
    losses.append(Line(steps, log.losses, "training loss", "purple"))
    if judged := [epoch for epoch in log.history if epoch.validation_loss is not None]:
        at, of = [epoch.steps for epoch in judged], [epoch.validation_loss for epoch in judged]
        losses += [Line(at, of, "validation loss", "orange"), Dots(at, of, color="orange")]
    norms.append(Line(steps, log.norms, "before clipping", "blue"))
    if np.isfinite(log.limit):
        over = np.where(log.norms > log.limit, log.norms, np.nan)
        norms += [
            Dots(steps, over, "clipped", "vermillion", size=4),
            Line([1, steps[-1]], [log.limit, log.limit], "limit", "grey", dashed=True),
        ]
    values = np.concatenate([mark.y for mark in losses if isinstance(mark, Line)])
    wide = bool(np.nanmax(values) > 30 * np.nanmin(values))
    finite = np.concatenate([mark.y for mark in norms if isinstance(mark, Line)])
    low, high = (
        float(10.0 ** turn(np.log10(end))) for turn, end in ((np.floor, finite.min()), (np.ceil, finite.max()))
    )
    of_epoch = f"epochs of {log.batches} steps"
    return [
        Panel(losses, f"Run {name}", x_label=f"step ({of_epoch})", y_label="loss", y_scale="log" if wide else "linear",
              y_limits=(None if wide else 0, None), height=260),
        Panel(norms, x_label=f"step (rate {log.rates[-1]:g})", y_label="gradient norm", y_scale="log",
              y_limits=(low, high), height=230),
    ]  # fmt: skip


def diagnose(guesses: Mapping[str, str]) -> str:
    """What is right about some guesses, by patient, and a hint for each that is not.

    Raises:
        ValueError: there is no such patient, or no such disease.
    """
    diseases = [row.disease for row in SYMPTOMS]
    lines = []
    for name, guess in guesses.items():
        if name not in PATIENTS or guess not in (*diseases, "?"):
            raise ValueError(
                f"{name}: {guess!r}: there are the runs {', '.join(PATIENTS)} and the diseases {', '.join(diseases)}"
            )
        right = PATIENTS[name].disease == guess
        lines.append(f"{name}: right, {guess}" if right else f"{name}: not yet. Look for: {PATIENTS[name].shows}")
    found = sum(PATIENTS[name].disease == guess for name, guess in guesses.items())
    return "\n".join([*lines, f"{found} of {len(guesses)} found."])
