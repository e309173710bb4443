"""Studies: what a lesson claims about training, tried in every way that is compared, over several seeds.

    study       Study and Results: running, keeping, resuming; a mean with its interval
    results/    the full runs, kept as small JSON files
    one file for each lesson that compares

A lesson runs a study's quick setting live and shows the kept full one beside it. The full one is made, or gone on with,
by `python -m rnnlib.studies NAME`; without a name, that lists what there is. What is drawn of it stands in `viz`.
"""

from rnnlib.studies.study import Interval, Results, Study, interval

__all__ = ["Interval", "Results", "Study", "interval"]
