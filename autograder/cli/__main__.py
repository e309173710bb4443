"""`python -m autograder.cli`, where the `autograder` command is not on the path."""

import sys

from autograder.cli import main

sys.exit(main())
