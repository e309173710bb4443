"""For a stock `nbgrader autograde`: the same ingest, sandbox and judge as nbgrader preprocessors."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool

from autograder import ingest
from autograder.course_files import Course
from autograder.pipeline import Runs, grade_notebook
from autograder.pool import open_sandbox
from autograder.questions import data_files, generous, questions_of
from autograder.run import KernelSandbox, Limits


class Rebuild(NbGraderPreprocessor):
    """Replaces nbgrader's sanitising: the instructor's cells, the learner's text."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Rebuild the notebook from the handout."""
        cells = ingest.parse(json.dumps(nb).encode())
        released = _course(self).released(resources["nbgrader"]["assignment"])
        return nbformat.from_dict(ingest.rebuild(cells, released)), resources


class Judge(NbGraderPreprocessor):
    """Replaces nbgrader's execution: run in the sandbox, judge outside, put the points where nbgrader reads them."""

    fresh_kernel = Bool(False, help="Run each submission in a fresh sandboxed Jupyter kernel, not in a fork.").tag(
        config=True
    )

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Run and judge the notebook."""
        problem_set, course = resources["nbgrader"]["assignment"], _course(self)
        limits = generous(problem_set, Limits())
        sandbox = _kernels(limits) if self.fresh_kernel else open_sandbox(limits)
        notebook = json.loads(json.dumps(nb))
        files, refused = _data(course, resources["nbgrader"], problem_set)
        graded = grade_notebook(
            notebook, questions_of(problem_set), course.seed(problem_set), sandbox, files=files, refused=refused
        )
        return nbformat.from_dict(graded.notebook), resources


@cache
def _kernels(limits: Limits) -> Runs:
    return KernelSandbox(limits)


def _data(course: Course, named: dict[str, str], problem_set: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The data files that lie beside what was handed in, and why those do not that should."""
    wanted = data_files(problem_set)
    if not wanted:
        return {}, {}
    folder = course.root / "submitted" / named["student"] / problem_set
    submission = ingest.read_with_data(folder, course.released_path(problem_set).name, wanted)
    return submission.files, submission.refused


def _course(preprocessor: NbGraderPreprocessor) -> Course:
    return Course.at(preprocessor.config.CourseDirectory.root)
