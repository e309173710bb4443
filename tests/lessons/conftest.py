"""What the tests of a lesson share; each names its notebook as LESSON."""

import pytest

from tests.lessons import told


@pytest.fixture(scope="module")
def cells(request):
    """The sources of the lesson's cells by their ids."""
    return told.cells_of(request.module.LESSON)


@pytest.fixture(scope="module")
def printed(request):
    """What each code cell of the lesson prints, and all names at the end."""
    return told.run(request.module.LESSON)
