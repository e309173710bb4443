"""What lesson 11 found, as a picture and in words: the gap of one run, and what each regulariser brought."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnlib.studies import Results
from rnnlib.studies.regularisation import CHOSEN, PLAIN, REDRAWN
from rnnlib.viz import Band, Line, Panel, Scene


def gap(epochs: Sequence[int] | np.ndarray, learned: np.ndarray, unseen: np.ndarray) -> Scene:
    """The training and the validation loss of one run, and what lies between.

    Args:
        epochs: (n,).
        learned, unseen: (n,), losses in nats.
    """
    marks = [
        Band(epochs, learned, unseen, "gap", "grey"),
        Line(epochs, unseen, "validation", "vermillion"),
        Line(epochs, learned, "training", "sky"),
    ]
    panel = Panel(marks, "Learned by heart", "epoch", "loss (nats)", y_limits=(0, None), height=270)
    return Scene([panel], f"After {epochs[-1]} epochs the training loss is {learned[-1]:.3f} and the validation loss "
                 f"{unseen[-1]:.3f}; the lowest validation loss was {unseen.min():.3f}.")  # fmt: skip


def holding(results: Results) -> str:
    """How much more loss than with nothing each dropout in the recurrence leaves, in Markdown.

    Args:
        results: of the study `holding`.
    """
    lines = []
    for arm in results.arms:
        if arm != PLAIN:
            mean, low, high = results.difference(arm, PLAIN, "test")
            says = "not shown to matter" if low <= 0 <= high else "shown to cost" if low > 0 else "shown to help"
            lines.append(f"- {arm}: {mean:+.3f} nats ({low:+.3f} to {high:+.3f}): **{says}**")
    return "\n".join(lines)


def table(results: Results) -> str:
    """Every arm with its strength, losses and gap, and how its test loss differs from that of nothing; in Markdown.

    Args:
        results: of the study `regularisers`.
    """
    lines = ["| | strength | training loss | gap | test loss | against nothing, 95 % |", "|---|---|---|---|---|---|"]
    for arm in sorted(results.arms, key=lambda arm: results.interval(arm, "test").mean):
        learned, between, test = (results.interval(arm, of).mean for of in ("learned", "gap", "test"))
        strength = f"{CHOSEN[arm]:g}" if arm in CHOSEN else ""
        line = f"| {arm} | {strength} | {learned:.3f} | {between:.3f} | {test:.3f} | "
        if arm != PLAIN:
            mean, low, high = results.difference(arm, PLAIN, "test")
            line += f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
        lines.append(f"{line} |")
    return "\n".join(lines)


def verdict(results: Results) -> str:
    """Which arms are shown to help, which to harm, and which not shown to matter; and what became of folklore.

    Args:
        results: of the study `regularisers`.
    """
    lower, higher, neither = sorted_out(results)
    variational = results.difference("variational dropout", REDRAWN, "test")
    decay = results.difference("weight decay", "L2 in Adam", "test")
    lines = [
        f"- **Shown to help** (an interval below 0): {_listed(lower)}.",
        f"- **Shown to harm** (above 0): {_listed(higher)}.",
        f"- **Not shown to matter here** (it holds 0): {_listed(neither)}.",
        f"- Variational dropout against the same with masks redrawn at every step: {_said(variational)}.",
        f"- AdamW against L2 in Adam: {_said(decay)}.",
    ]
    return "\n".join(lines)


def sorted_out(results: Results) -> tuple[list[str], list[str], list[str]]:
    """The arms whose test loss is shown to be lower than with nothing, shown to be higher, and neither."""
    lower, higher, neither = list[str](), list[str](), list[str]()
    for arm in results.arms:
        if arm != PLAIN:
            _, low, high = results.difference(arm, PLAIN, "test")
            (lower if high < 0 else higher if low > 0 else neither).append(arm)
    return lower, higher, neither


def _listed(arms: Sequence[str]) -> str:
    return ", ".join(arms) or "none"


def _said(difference: tuple[float, float, float]) -> str:
    mean, low, high = difference
    says = "not shown to differ" if low <= 0 <= high else "shown to be better" if high < 0 else "shown to be worse"
    return f"{mean:+.3f} nats ({low:+.3f} to {high:+.3f}), {says}"
