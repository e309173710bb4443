"""What the tests of a problem set share; each names its notebook as SOURCE."""

from unittest import mock

import nbformat
import pytest

from autograder import check as learners


@pytest.fixture(autouse=True)
def nothing_seen():
    """Let `check` forget what it was asked before: a learner's functions of one test are not those of the next."""
    with mock.patch.object(learners, "_seen", {}):
        yield


@pytest.fixture(scope="module")
def cells(request):
    """The cells of the set's source by their ids."""
    return {cell.id: cell for cell in nbformat.read(request.module.SOURCE, as_version=4).cells}
