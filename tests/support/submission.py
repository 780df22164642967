"""Submitting a small pipeline, and each request of that, for tests of what talks to a cluster."""

from pathlib import Path
from typing import Any

import pytest

from fmnist.cluster.client import ClusterError
from fmnist.cluster.cluster import Cluster
from fmnist.cluster.run import Run
from fmnist.steps.errors import ContractError, FmnistError

#: What an error calls each request of a submission, and the request.
STEPS = {
    "find pipeline": r"GET .*/pipelines$",
    "create pipeline": r"POST .*/pipelines$",
    "find version": r"GET .*/versions$",
    "upload version": r"POST .*/upload_version$",
    "read version": r"GET .*/versions/",
    "find experiment": r"GET .*/experiments$",
    "create experiment": r"POST .*/experiments$",
    "start run": r"POST .*/runs$",
}


def submitted(target: Cluster, compiled: Path, **options: Any) -> Run:
    """Create a pipeline of `compiled`, and start a run."""
    version = target.versions.create(compiled, name="fashion", description="What it does.")
    settings = {"experiment": "first", "run_name": "try", "parameters": {"epochs": 3}} | options
    return target.run(version, **settings)


def failure(target: Cluster, compiled: Path) -> str:
    """Return the error of a submission."""
    __tracebackhide__ = True
    with pytest.raises(ClusterError) as caught:
        submitted(target, compiled, caching=False)
    assert isinstance(caught.value, FmnistError)
    assert not isinstance(caught.value, ContractError)
    assert caught.value.__cause__ is caught.value.__context__ is None
    message = str(caught.value)
    assert "\n" not in message
    return message


def names(items: list[dict[str, Any]]) -> list[str]:
    """Return what the UI shows."""
    return [item["display_name"] for item in items]
