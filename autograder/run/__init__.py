"""The run step: a notebook's cells and encoded inputs in, outputs and answers out, behind walls.

It imports nothing of the judge, the questions or rnnlib, and knows no score. A run is a function of its input: it
touches no file and no database, so that any process on any machine can do it.
"""

from autograder.run.client import Sandbox, Unsandboxed
from autograder.run.kernel import KernelSandbox
from autograder.run.outcome import CellRun, Limits, Outcome, SandboxUnavailable
from autograder.run.probe import probe

__all__ = ["CellRun", "KernelSandbox", "Limits", "Outcome", "Sandbox", "SandboxUnavailable", "Unsandboxed", "probe"]
