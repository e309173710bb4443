"""Problem set 9: a sequence model of the learner's own, scored on a language whose entropy is known (lesson 14).

Nobody is compared with a reference model. Points lie on a ladder from counting single symbols to the source itself;
each rung is measured, on the contexts of the seed. No n-gram reaches the upper rungs: which bracket closes was said
when it opened, and that was too long ago.
"""

from __future__ import annotations

import numpy as np

from autograder.question import Part
from autograder.questions.ps9_baselines import baselines
from autograder.questions.ps9_mistakes import MISTAKES, where
from autograder.scored import Level, Scored
from rnnlib.data import brackets

LESSON = "14_language_model.ipynb"
DATA_FILES = ("weights.npz",)
# Contexts in a loop, large models; states of every step, which are no answer, shall be named and not cut off.
AT_LEAST = {"cell_seconds": 60, "submission_seconds": 150, "output_bytes": 16 << 20}
N, T = 6_000, 48
_P = ("probabilities",)
_COUNTED, _KNOWN = ("single symbols", "the last symbol alone"), ("the best n-gram", "")


def _draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return brackets.contexts(N, T, rng)


CAPSTONE = Scored(
    name="capstone",
    title="A model of your own",
    V=brackets.V,
    draw_contexts=_draw,
    source=brackets.predictive,
    baselines=baselines,
    levels=(
        Level("half-way to the last symbol alone", 2, _P, between=_COUNTED, share=0.5),
        Level("the last symbol, used", 3, _P, between=_COUNTED, share=0.9),
        Level("beyond every n-gram", 4, _P, between=_KNOWN, share=0.15),
        Level("40 % of the way to the source", 4, _P, between=_KNOWN, share=0.4),
        Level("60 % of the way", 3, _P, between=_KNOWN, share=0.6),
        Level("75 % of the way", 2, _P, between=_KNOWN, share=0.75),
    ),
    steady=Part("the same answer in any company", 2, _P),
    mistakes=MISTAKES,
    where=where,
    lesson=LESSON,
)
QUESTIONS = (CAPSTONE,)
