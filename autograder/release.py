"""From the source notebook to the handout, by nbgrader's own converter: the same bytes every time."""

from __future__ import annotations

import logging
from pathlib import Path

import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import compute_checksum
from traitlets.config import Config

from autograder.course_files import Course, CourseError
from autograder.record import find_alembic


def release(course: Course, problem_set: str) -> Path:
    """Make the student version of a problem set and enter it into the gradebook.

    Returns:
        The handout's path.

    Raises:
        CourseError: there is no such source, or its points are not those of its questions.
    """
    source = course.root / "source" / problem_set / f"{problem_set}.ipynb"
    if not source.is_file():
        raise CourseError(
            f"There is no source notebook for {problem_set}; expected source/{problem_set}/{source.name}."
        )
    _refuse_to_overwrite_answers(course, problem_set)
    find_alembic()
    config = Config(course.config)
    config.CourseDirectory.assignment_id = problem_set
    config.CourseDirectory.root = str(course.root)
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    converter.log.setLevel(logging.WARNING)
    converter.force = True
    converter.start()
    course.check_points(problem_set)
    return course.released_path(problem_set)


def _refuse_to_overwrite_answers(course: Course, problem_set: str) -> None:
    """A handout in which somebody has worked is their only copy; nbgrader's checksums tell.

    Raises:
        CourseError: a cell of the present handout is not as it was released.
    """
    path = course.released_path(problem_set)
    if not path.is_file():
        return
    for cell in nbformat.read(path, as_version=4).cells:
        checksum = cell.metadata.get("nbgrader", {}).get("checksum")
        if checksum and checksum != compute_checksum(cell):
            raise CourseError(
                f"Somebody has written into {path}: cell {cell.metadata.nbgrader.grade_id} is not as it was released. "
                "Move that file away, then release again."
            )
