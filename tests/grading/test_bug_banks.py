"""The bug banks test the judge: every mistake loses just its points and hears its own name; right answers lose none."""

import itertools
import random
from functools import lru_cache

import numpy as np
import pytest

from autograder import wire
from autograder.judge import TOLERANCE, judge, trial
from autograder.question import PUBLIC_SEED, Question
from autograder.questions import PROBLEM_SETS, questions_of

ASKED = [question for problem_set in PROBLEM_SETS for question in questions_of(problem_set).values()]
QUESTIONS = [question for question in ASKED if isinstance(question, Question)]  # what is scored has tests of its own
LINES, STEP = 3, 1e-5  # through each input, and how far along them: a gradient is right on every line or wrong on all
PAIRS = 150  # of a question's, drawn at random: a large bank has hundreds
SEEDS = (PUBLIC_SEED, 1, 2**63)
EVERY_BUG = [
    pytest.param(question, bug, id=f"{question.name}-{bug.name}") for question in QUESTIONS for bug in question.bugs
]
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)


def verdict_on(question, function, seed=PUBLIC_SEED):
    drawn = trial(question, seed)
    with np.errstate(all="ignore"):
        cases = [answer(question, function, case.inputs, case.upstream) for case in drawn.cases]
        moved = [answer(question, function, i, p.case.upstream, True) for p in drawn.probes for i in p.inputs()]
    return judge(question, cases + moved, seed)


def answer(question, function, inputs, upstream, forward_only=False):
    """What `ask` would collect of a learner whose functions compute what `function`, a model, does."""
    try:
        outputs = function(*inputs, *(upstream or ()))
    except (ValueError, IndexError, NameError) as error:
        return {"raised": {"type": type(error).__name__, "message": str(error), "line": 0, "call": 0}}
    count = len(question.returned[0])
    groups = (outputs[:count], outputs[count:]) if question.backward else (outputs,)
    bare = [group if len(group) > 1 or (question.backward and i == 0) else group[0] for i, group in enumerate(groups)]
    if not question.backward:
        return {"value": wire.encode(bare[0])}
    return {"value": wire.encode(bare[:1] if forward_only else bare)}


@lru_cache(maxsize=1000)
def answers_of(question, bugs, seed):
    """Per case the outputs with these bugs, or None where the case raises."""
    function, answers = question.with_bugs(bugs), []
    for case in question.draw(seed):
        try:
            with np.errstate(all="ignore"):
                answers.append([np.asarray(output) for output in function(*case.arguments)])
        except (ValueError, IndexError, NameError):
            answers.append(None)
    return answers


def distance(a, b):
    """The largest difference of two answers to all cases, relative to the largest entry; inf if they differ in kind."""
    worst = 0.0
    for mine, theirs in zip(a, b, strict=True):
        if mine is None or theirs is None:
            if (mine is None) != (theirs is None):
                return np.inf
            continue
        for x, y in zip(mine, theirs, strict=True):
            if x.shape != y.shape or not np.array_equal(np.isfinite(x), np.isfinite(y)):
                return np.inf
            finite = np.isfinite(x)
            scale = max(1.0, np.max(np.abs(y), initial=0.0, where=finite))
            worst = max(worst, np.max(np.abs(x[finite] - y[finite]), initial=0.0) / scale)
    return worst


@each_question
@pytest.mark.parametrize("seed", SEEDS)
def test_the_model_is_the_reference(question, seed):
    for case in question.draw(seed):
        for mine, theirs in zip(question.model(*case.arguments), question.reference(*case.arguments), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@each_question
@pytest.mark.parametrize("seed", SEEDS)
def test_the_model_gets_full_marks(question, seed):
    assert verdict_on(question, question.model, seed).points == question.points


@pytest.mark.parametrize(("question", "bug"), EVERY_BUG)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_bug_loses_just_the_points_of_what_it_breaks_and_hears_its_name(question, bug, seed):
    right, wrong = answers_of(question, (), seed), answers_of(question, (bug,), seed)
    broken = {True: set(), False: set()}  # by edge
    for case, mine, theirs in zip(question.draw(seed), wrong, right, strict=True):
        for i, name in enumerate(question.outputs):
            if mine is None or distance([[mine[i]]], [[theirs[i]]]) > 1e-6:
                broken[case.edge].add(name)
    assert broken[False] | broken[True]
    lost = {
        part.name for part in question.parts if set(part.outputs) & broken[part.edge] or (part.edge and broken[False])
    }
    verdict = verdict_on(question, question.with_bugs([bug]), seed)
    if question.backward and broken[False] & set(question.returned[0]) and None not in wrong and not bug.eases:
        followed = right_for_its_own_forward(question, question.with_bugs([bug]), seed)
        lost -= {part.name for part in question.parts if not part.edge and set(part.outputs) <= followed}
    assert {part.name for part in verdict.parts if part.points < part.max_points} == lost
    assert all(part.points in (0, part.max_points) for part in verdict.parts)
    assert verdict.diagnosis.bugs == (bug.name,)


def right_for_its_own_forward(question, function, seed):
    """Which gradients of a model with a wrong forward are those of that forward, by differences along random lines."""
    right, count, rng = set(question.backward.outputs), len(question.returned[0]), np.random.default_rng(seed)
    for case in (case for case in question.draw(seed) if not case.edge):
        claimed = dict(zip(question.outputs, function(*case.arguments), strict=True))
        for output in question.backward.outputs:
            at = question.arguments.index(output[1:])

            def loss(moved, case=case, at=at):
                inputs = (*case.inputs[:at], moved, *case.inputs[at + 1 :])
                outputs = function(*inputs, *case.upstream)[:count]
                return sum(np.sum(d * o) for d, o in zip(case.upstream or (1.0,), outputs, strict=True))

            real = np.isfinite(case.inputs[at])  # padding may be NaN: to move it is to change nothing
            for _ in range(LINES):
                line = np.where(real, rng.standard_normal(real.shape), 0.0)
                ahead, behind = (loss(case.inputs[at] + step * line) for step in (STEP, -STEP))
                along = np.sum(claimed[output][real] * line[real])
                if not np.isclose(along, (ahead - behind) / (2 * STEP), rtol=1e-5, atol=1e-7):
                    right.discard(output)
    return right


@each_question
@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_bugs_look_alike_and_none_hides_within_the_tolerance(question, seed):
    answers = {"right": answers_of(question, (), seed)}
    answers |= {bug.name: answers_of(question, (bug,), seed) for bug in question.bugs}
    for (a, first), (b, second) in itertools.combinations(answers.items(), 2):
        assert distance(first, second) > 100 * TOLERANCE, (a, b)


@each_question
def test_pairs_of_bugs_are_found_too(question):
    """A pair is named, or where a single bug gives the same numbers, that one."""
    pairs = list(itertools.combinations(question.bugs, 2))
    for pair in random.Random(0).sample(pairs, min(len(pairs), PAIRS)):
        function = question.with_bugs(pair)
        if function is None:
            continue
        found = verdict_on(question, function).diagnosis
        if found is None:  # the two cancel
            assert distance(answers_of(question, pair, PUBLIC_SEED), answers_of(question, (), PUBLIC_SEED)) < 1e-6
        elif found.bugs:
            by_name = {bug.name: bug for bug in question.bugs}
            again = answers_of(question, tuple(by_name[name] for name in found.bugs), PUBLIC_SEED)
            assert distance(answers_of(question, pair, PUBLIC_SEED), again) < 1e-5
        else:
            assert all(answer is None for answer in answers_of(question, pair, PUBLIC_SEED))


@each_question
def test_a_bug_edits_text_that_is_there_once(question):
    for bug in question.bugs:
        question.with_bugs([bug])
    assert len({bug.name for bug in question.bugs}) == len(question.bugs)


@each_question
def test_every_diagnosis_points_to_a_section_that_exists(question, root):
    lesson = (root / "notebooks" / question.lesson).read_text()
    for bug in question.bugs:
        assert f'"## {bug.read}' in lesson, bug.name


@each_question
def test_a_seed_repeats_its_cases_and_another_seed_does_not(question):
    first, again, other = question.draw(5), question.draw(5), question.draw(6)
    assert all(
        np.array_equal(a, b, equal_nan=True)
        for x, y in zip(first, again, strict=True)
        for a, b in zip(x.inputs, y.inputs, strict=True)
    )
    assert not np.array_equal(first[0].inputs[0], other[0].inputs[0])
