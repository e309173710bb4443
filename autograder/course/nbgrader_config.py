"""The course, as nbgrader sees it. `nbgrader autograde` run in this folder uses our sandbox and our judge too."""

from pathlib import Path

c = get_config()  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.course_id = "rnn-notebooks"
c.CourseDirectory.root = str(Path(__file__).parent)

c.Autograde.sanitize_preprocessors = ["autograder.stock.Rebuild"]
c.Autograde.autograde_preprocessors = [
    "autograder.stock.Judge",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
]
