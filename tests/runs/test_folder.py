"""Tests of the folder of a run or a study: the claim on it, its checksums, and a result that is read from files."""

import errno
import os
from collections.abc import Callable, Mapping
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


@pytest.mark.parametrize("within", [False, True], ids=["itself", "from within"])
def test_a_path_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: bool) -> None:
    """Such a path, which kfp could not pass on, is named in letters that every terminal shows; nothing is made."""
    path = tmp_path / os.fsdecode(b"\xff")
    if within:
        path.mkdir()
        monkeypatch.chdir(path)
        path = Path()
    with pytest.raises(ContractError) as refused, claimed(path, "run"):
        pass
    assert str(refused.value) == (
        f"run folder: expected a path in UTF-8, got '{tmp_path}/\\udcff'. Choose another with -o, or set LC_ALL to "
        "C.UTF-8."
    )
    assert list(path.iterdir() if within else tmp_path.iterdir()) == []


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    """It is made, with those above; while a process works in it no other does, and afterwards another may.

    It may be named by a link, as to a larger disk.
    """
    path, link = tmp_path / "a" / "b", tmp_path / "link"
    link.symlink_to(path)
    with claimed(path, "study"):
        for name in (path, link):
            with pytest.raises(ContractError) as refused, claimed(name, "results"):
                pass
            assert str(refused.value) == (
                f"results folder: expected one in which no other process works, got {name}. Wait for it, end it, or "
                "choose another with -o."
            )
    for name in (path, link):
        with claimed(name, "run"):
            assert path.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ContractError) as refused, claimed(tmp_path / "file", "run"):
        pass
    assert str(refused.value) == (
        f"run folder: expected a folder, got a file: {tmp_path / 'file'}. Choose another with -o."
    )


def test_a_disk_without_locks_is_not_one_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of it is told, and not that another process works there."""

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ContractError) as refused, claimed(tmp_path, "run"):
        pass
    assert str(refused.value) == (
        f"run folder: expected a file system with locks, which keep other processes out, got for {tmp_path}: No locks "
        "available. Choose another with -o."
    )


def test_a_disk_that_fails_is_not_one_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the system, with the name of the folder: the same command may do later."""

    def fail(*_: int) -> None:
        raise OSError(errno.EIO, "no luck")

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(OSError, match=f"no luck: '{tmp_path}'"), claimed(tmp_path, "run"):
        pass


def test_a_folder_that_the_system_refuses_is_no_file(tmp_path: Path) -> None:
    """As where a name is too long, or where one may not write: what the system says is told."""
    with pytest.raises(OSError, match="File name too long"):
        folder.made(tmp_path / ("n" * 256), "run")


def test_what_is_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """A file, of any kind, or a link to nothing, also above; the system would say that a file exists, or of neither."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for name, got in (("file", "a file"), ("pipe", "a file"), ("link", "a link that leads nowhere")):
        for path in (tmp_path / name, tmp_path / name / "a" / "b"):
            with pytest.raises(ContractError) as refused:
                folder.made(path, "run")
            assert str(refused.value) == (
                f"run folder: expected a folder, got {got}: {tmp_path / name}. Choose another with -o."
            )
    folder.made(tmp_path / "a" / "b", "run")
    folder.made(tmp_path / "a" / "b", "run")


def test_of_many_other_files_a_few_are_named(tmp_path: Path) -> None:
    """An error is no list of a whole home folder."""
    for number in range(100):
        (tmp_path / f"{number:03}").touch()
    with pytest.raises(ContractError) as refused:
        folder.check_free(tmp_path, "run", {"007"})
    names = ", ".join(f"{number:03}" for number in range(41) if number != 7)
    assert str(refused.value) == (
        f"run folder: expected a new or empty folder, got {tmp_path} with {names},  .... Nothing was changed. Choose "
        "another folder with -o."
    )


def test_a_seed_has_a_file_of_its_own(tmp_path: Path) -> None:
    """It is named after the seed alone."""
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
    (paths["labels"] / "zebra.txt").touch()
    with pytest.raises(ContractError, match=r"^results: expected .* agree with each row of results, got other"):
        folder.read_result(7, paths)


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


def claim(path: Path, what: str) -> None:
    """Claim a folder for a moment."""
    with claimed(path, what):
        pass


@pytest.mark.parametrize("make", [folder.made, claim], ids=["made", "claimed"])
def test_a_working_folder_that_is_gone_is_named(
    make: Callable[[Path, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a job whose checkout was removed: the system tells no more than that there is no such file."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ContractError) as caught:
        make(Path("runs"), "run")
    assert str(caught.value) == (
        "run folder: expected a working folder that is there, got one that was removed. Change to another, or give the "
        "whole path with -o."
    )
