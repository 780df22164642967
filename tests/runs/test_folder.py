"""Tests of the folder of a run or a study: the claim on it, its checksums, and a result that is read from files."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fmnist.runs import folder
from fmnist.runs.folder import claimed
from fmnist.steps.dataset import CLASS_NAMES
from fmnist.steps.errors import ContractError
from fmnist.steps.evaluation import Evaluation
from fmnist.steps.files import Content
from fmnist.steps.labels import Labels


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Such a path, which kfp could not pass on, is named in letters that every terminal shows; nothing is made."""
    path = tmp_path / os.fsdecode(b"\xff")
    with pytest.raises(ContractError) as refused, claimed(path, "run"):
        pass
    assert str(refused.value) == (
        f"run folder: expected a path in UTF-8, got '{tmp_path}/\\udcff'. Choose another with -o, or set LC_ALL to "
        "C.UTF-8."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    """It is made, with those above; while a process works in it no other does, and afterwards another may."""
    path = tmp_path / "a" / "b"
    with claimed(path, "study"):
        with pytest.raises(ContractError) as refused, claimed(path, "results"):
            pass
        assert str(refused.value) == (
            f"results folder: expected one in which no other process works, got {path}. Wait for it, end it, or choose "
            "another with -o."
        )
    with claimed(path, "run"):
        assert path.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ContractError) as refused, claimed(tmp_path / "file", "run"):
        pass
    assert str(refused.value) == (
        f"run folder: expected a folder, got a file: {tmp_path / 'file'}. Choose another with -o."
    )


def test_a_folder_is_signed(tmp_path: Path) -> None:
    """Both lists are those of `sha256sum`, by name: one of what is the same each time, one of all."""
    (tmp_path / "seeds" / "deep").mkdir(parents=True)
    for name, content in (("seeds/5.json", b"five"), ("seeds/deep/6", b"six"), ("b", b"table"), ("a", b"other")):
        (tmp_path / name).write_bytes(content)
    same = folder.checksums(tmp_path, ["b", "seeds/5.json"])
    table, five, six, other = (
        "0d4fc4a78d3706edccafb665a8b2fdd9309e82c78625bb0f2b8e7bb9e1c4d21c",
        "222b0bd51fcef7e65c2e62db2ed65457013bab56be6fafeb19ee11d453153c80",
        "44778d82365e4af681c40d5f0eef5cf6f5899d3f0ac335050a7ed6779cf3f674",
        "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
    )
    assert same == {"b": table, "seeds/5.json": five}
    folder.sign(tmp_path, same, ["a"])
    both = f"{table}  b\n{five}  seeds/5.json\n"
    assert (tmp_path / "SHA256SUMS").read_text() == both
    sums = folder.checksums(tmp_path, ["SHA256SUMS"])["SHA256SUMS"]
    assert (tmp_path / "RECORD.sha256").read_text() == (
        f"{sums}  SHA256SUMS\n{other}  a\n{table}  b\n{five}  seeds/5.json\n"
    )
    (tmp_path / "seeds" / "deep" / "6").rename(tmp_path / "seeds" / "6")
    (tmp_path / "seeds" / "deep").rmdir()
    assert folder.checksums(tmp_path, ["seeds"]) == {"seeds/5.json": five, "seeds/6": six}
    assert folder.seed_path(tmp_path, 5) == tmp_path / "seeds" / "5.json"


@pytest.fixture
def artifacts() -> dict[str, Content]:
    """The artifacts of a run on three images."""
    labels = Labels(np.array([0, 9, 2]), np.array([0, 5, 2]), CLASS_NAMES)
    tested = Evaluation(labels, np.array([1, 0.1, 0.75], np.float32), 0.5)
    return {**tested.artifacts(), "model": b"a network", "history": b'{"loss": [0.5]}'}


def test_a_result_is_read_from_its_files(artifacts: Mapping[str, Content], tmp_path: Path) -> None:
    """Each part of it is what a file says."""
    found = folder.result_of(7, artifacts)
    assert (found.seed, found.accuracy, found.loss, found.history) == (7, 2 / 3, 0.5, {"loss": [0.5]})
    assert found.model == "2f782beca6c497e09ee1b67bd6a1202048f19e97f7e1364a58d415ce7b3ecd9e"
    assert [tuple(mistake) for mistake in found.mistakes] == [(1, 9, 5, 0.1)]
    paths = {name: tmp_path / name for name in artifacts}
    for name, content in artifacts.items():
        if isinstance(content, bytes):
            paths[name].write_bytes(content)
            continue
        paths[name].mkdir()
        for file, text in content.items():
            (paths[name] / file).write_bytes(text)
    assert folder.read_result(7, paths) == found


def results(confidence: str, actual: str = "Bag") -> bytes:
    """Return a table of results of one image."""
    return f"image,prediction,confidence,actual\n0,Bag,{confidence},{actual}\n".encode()


CONFIDENCES = "results: expected confidences from 0.1 to 1, of the most likely class, got others"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"history": b"{"}, "results: expected those of a run, got JSONDecodeError: Expecting property name enclosed"),
        ({"metrics": b"{}"}, "results: expected those of a run, got KeyError: 'loss'"),
        ({"metrics": b"[]"}, "results: expected those of a run, got TypeError: list indices must be integers"),
        ({"results": results("0.5", "Boot")}, "results: expected those of a run, got KeyError: 'Boot'"),
        ({"results": results("x")}, "results: expected those of a run, got ValueError: could not convert string to"),
        ({"results": b""}, "results: expected those of a run, got ValueError: not enough values to unpack"),
        ({"results": b"image,prediction\n0,Bag\n"}, "results: expected those of a run, got KeyError: 'actual'"),
        ({"history": b"[" * 100_000}, "results: expected those of a run, got RecursionError: "),
        ({"results": b"a" * 200_000}, "results: expected those of a run, got Error: field larger than field limit"),
        ({"results": results("0.09998")}, CONFIDENCES),
        ({"results": results("1.00002")}, CONFIDENCES),
        (
            {"results": results("1.00001")},
            "model: expected confidences in (0, 1], got 1 others, the first of them 1.0000",
        ),
        ({"results": results("nan")}, CONFIDENCES),
        ({"results": results("1e999")}, CONFIDENCES),
        ({"results": results("1e300")}, CONFIDENCES),
        (
            {"results": results("0.50")},
            "results: expected results and labels and metrics that agree with each row of results, got others",
        ),
        (
            {"results": results("0.500000001")},
            "results: expected results and labels and metrics that agree with each row of results, got others",
        ),
        ({"labels": {}}, "results: expected labels that agree with each row of results, got others"),
        ({"model": {"b": b"", "a": b""}}, "expected a file, got a folder of ['a', 'b']"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_a_result_that_is_broken_is_refused(
    artifacts: Mapping[str, Content], change: Mapping[str, Content], said: str
) -> None:
    """What is wrong is told, whatever somebody put there."""
    with pytest.raises(ContractError) as refused:
        folder.result_of(7, {**artifacts, **change})
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("confidence", ["0.1", "1.0", "0.099999", "0.09999", "0.99999994"])
def test_a_confidence_may_be_rounded(artifacts: Mapping[str, Content], confidence: str) -> None:
    """A float32 may be a little below a tenth, by a hundred thousandth at most."""
    labels = Labels(np.array([8]), np.array([8]), CLASS_NAMES)
    tested = Evaluation(labels, np.array([confidence], np.float32), 0.5)
    assert folder.result_of(7, {**artifacts, **tested.artifacts()}).accuracy == 1
