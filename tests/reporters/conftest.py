"""Hand lines to a reporter as a training does."""

import time
from dataclasses import replace

import pytest
from bmtool.artifacts.manifest import RESUME
from bmtool.train.watching.reporting import Feed


@pytest.fixture
def job(make_job, tmp_path):
    job = replace(make_job(), reports=tmp_path / "runs" / "tiny" / "reports" / "pretrain")
    (job.folder / RESUME).mkdir()
    return job


@pytest.fixture
def send(job):
    """`send(reporter, steps)`: a training of these steps; how many of their lines were lost."""

    def send(reporter, steps):
        reporter.check()
        feed = Feed(reporter, job)
        for step in steps:
            feed.put("train", {"step": step, "loss": 1.0 / step})
        feed.close(time.monotonic() + 60)
        return feed.lost

    return send
