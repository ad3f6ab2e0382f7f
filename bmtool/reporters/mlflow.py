"""Send numbers to the MLflow server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from bmtool.contracts import Reporter
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.contracts import ReportedRun

_URI = "MLFLOW_TRACKING_URI"


class Mlflow(Reporter):
    """A run of MLflow, in the experiment MLFLOW_EXPERIMENT_NAME or one of the pipeline's name."""

    def check(self) -> None:
        """The package is there, and the environment says where to send to."""
        super().check()
        if not os.environ.get(_URI):
            raise ConfigError(f"report_to: mlflow sends to where {_URI} says, and that isn't set in the environment")

    def open(self, run: ReportedRun) -> Sending:
        """Go on with the run of that handle, or start one."""
        # Otherwise it asks its makers' server, too, wherever the numbers go.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=os.environ[_URI])
        if run.handle:
            client.update_run(run.handle, status="RUNNING")
            return Sending(client, run.handle)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or run.project
        experiment = client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment is not None else client.create_experiment(name)
        return Sending(client, client.create_run(place, run_name=run.name).info.run_id)


class Sending:
    """A run on the server; its handle is the server's id of it."""

    def __init__(self, client: Any, handle: str) -> None:
        """Send through a client of MLflow."""
        self.client, self.handle = client, handle

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Send the numbers of a step in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.handle, [Metric(name, value, now, step) for name, value in values.items()])

    def close(self) -> None:
        """Say that the run is over; one that is interrupted is taken up again."""
        self.client.set_terminated(self.handle)
