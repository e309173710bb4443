"""Experiment tracking by MLflow, in a local SQLite file: no server, no network."""

import math
import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from time import time
from typing import Any

from rnnlib.training.records import Epoch
from rnnlib.training.reports import Report, values

BATCH = 100  # parameters that MLflow takes at once


class MLflow(Report):
    """Parameters of a run and the numbers of every epoch; look at them with `mlflow ui --backend-store-uri`.

    A run that goes on continues the latest of its name, and an epoch that stands there already is not written again.

    Args:
        path: of the SQLite file, made where there is none; its folder must exist.
        name: of the run.
        experiment: to which it belongs, made where there is none.

    Attributes:
        client: MLflow's own, for what is not offered here.
        run_id: of the run, once it started.

    Raises:
        ImportError: MLflow or what its SQLite store needs is not installed; the message names the extra.
    """

    def __init__(self, path: str | PathLike[str], name: str, *, experiment: str = "rnnlib") -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported: it reports its use
        try:
            import alembic  # noqa: F401
            import sqlalchemy  # noqa: F401
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise ImportError('tracking needs MLflow with SQLite: pip install "rnn-notebooks[track]"') from error
        self.path, self.name, self.experiment = Path(path).absolute(), name, experiment
        self.client, self.run_id = MlflowClient(tracking_uri=f"sqlite:///{self.path.as_posix()}"), ""

    def start(self, identity: Mapping[str, Any], history: Sequence[Epoch], total: int) -> None:
        found = self.client.get_experiment_by_name(self.experiment)
        artifacts = self.path.with_suffix(".artifacts").as_uri()
        experiment = found.experiment_id if found else self.client.create_experiment(self.experiment, artifacts)
        runs = self.client.search_runs([experiment], order_by=["attributes.start_time DESC"]) if history else []
        known = [run.info.run_id for run in runs if run.info.run_name == self.name]
        self.run_id = known[0] if known else self.begin(experiment, identity)
        self.client.update_run(self.run_id, status="RUNNING")
        written = {metric.step for metric in self.client.get_metric_history(self.run_id, "loss")}
        for record in history:
            if record.epoch not in written:
                self.epoch(record)

    def begin(self, experiment: str, identity: Mapping[str, Any]) -> str:
        """A new run with its parameters."""
        from mlflow.entities import Param

        run_id = self.client.create_run(experiment, run_name=self.name).info.run_id
        parameters = [Param(name, str(value)) for name, value in identity.items()]
        for first in range(0, len(parameters), BATCH):
            self.client.log_batch(run_id, params=parameters[first : first + BATCH])
        return run_id

    def epoch(self, record: Epoch) -> None:
        from mlflow.entities import Metric

        now = int(time() * 1000)
        numbers = {k: v for k, v in values(record).items() if v is not None and math.isfinite(v)}
        self.client.log_batch(self.run_id, [Metric(name, v, now, record.epoch) for name, v in numbers.items()])

    def close(self, finished: bool) -> None:
        if self.run_id:
            self.client.set_terminated(self.run_id, "FINISHED" if finished else "KILLED")
