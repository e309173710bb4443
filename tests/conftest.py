"""What several rooms of the tests share: where things are, and what a machine must have."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
BY_PARAMETER = {"test_bug_banks", "test_every_notebook", "test_course_browser"}  # whose parameters share little
NEEDS = {"browser": "chromium", "sandbox": "bwrap"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep a file's tests on one worker, where they share what they set up.

    (Not by xdist's groups: in version 3.8 they have no effect under pytest 9.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            return file + test[test.find("[") :] if Path(file).stem in BY_PARAMETER else file

    return ByFile(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run and say why; in CI a missing program fails instead."""
    for marker, program in NEEDS.items():
        if item.get_closest_marker(marker) and not shutil.which(program):
            reason = f"needs {program}, which is not installed (.ci/run installs it)"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def sample_class() -> ModuleType:
    """The script that makes the sample class; it is course data, so it is loaded by its path."""
    return load(ROOT / "autograder/course/sample_class.py")


def load(path: Path) -> ModuleType:
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
