"""Pages to read: feedback for each student, and a picture of the class. Neither runs anything in a browser.

Only what is recorded enters: the journal, the gradebook, graded notebooks. Nothing here gives or takes a point.
"""

from autograder.report.class_report import write_class_report
from autograder.report.feedback import write_feedback
from autograder.report.marks import marks_of
from autograder.report.records import latest_records

__all__ = ["latest_records", "marks_of", "write_class_report", "write_feedback"]
