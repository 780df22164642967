"""Tests of the model of Argo's object, against what was measured on a real Kubeflow Pipelines 2.17."""

import base64
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from support import argo

#: The pipelines that ran there; of the archives that their steps carried, only the length is kept.
MEASURED = json.loads((Path(__file__).parents[1] / "golden" / "measured_on_argo.json").read_text())


def _carried(match: re.Match[str]) -> str:
    """Return as many characters as an archive had, which cannot be compressed any further."""
    length = int(match[1])
    return base64.b64encode(random.Random(length).randbytes(length))[:length].decode()  # noqa: S311 - no secret


@pytest.fixture(scope="module")
def plain() -> Any:
    """Return the plain pipeline that was measured."""
    return json.loads(re.sub(r"(\d+) characters", _carried, json.dumps(MEASURED["plain"])))


def test_the_plain_run_has_the_size_that_was_measured(plain: Any) -> None:
    """Its object had 1,007,272 bytes."""
    assert len(argo.workflow(plain)) == pytest.approx(1_007_272, rel=0.05)


def test_a_study_of_two_seeds_has_the_size_that_was_measured() -> None:
    """Its object had 71 nodes and 510,047 bytes; Argo's gzip makes 40 kB of the nodes."""
    study = MEASURED["study"]
    assert argo.count(study, 2) == pytest.approx(71, rel=0.05)
    assert len(argo.workflow(study, 2)) == pytest.approx(510_047, rel=0.05)
    assert argo.compressed(study, 2) == pytest.approx(40_000, rel=0.05)


def test_a_study_of_60_seeds_has_the_size_that_was_measured() -> None:
    """Its object had 1,457 nodes and, with the nodes compressed, 1,044,674 bytes."""
    study = MEASURED["study"]
    assert argo.count(study, 60) == pytest.approx(1_457, rel=0.05)
    assert argo.packed(study, 60) == pytest.approx(1_044_674, rel=0.05)
