"""The files of a run on a cluster in a folder here."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import helpers

from fmnist import testing
from fmnist.runs import fetched, recorded
from fmnist.runs.checksums import listing
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256, write

FILES = {"model.keras": b"weights", "labels/true.txt": b"1\n"}


def test_a_folder_has_all_files_and_their_checksums(tmp_path: Path) -> None:
    """The checksums are those that `sha256sum -c` checks, also in an empty folder that is there."""
    (tmp_path / "run").mkdir()
    fetched.keep(FILES, tmp_path / "run")
    assert testing.contents(tmp_path) == {
        "run/model.keras": b"weights",
        "run/labels/true.txt": b"1\n",
        "run/SHA256SUMS": (
            b"4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865  labels/true.txt\n"
            b"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c  model.keras\n"
        ),
    }


def test_the_folders_above_are_made(tmp_path: Path) -> None:
    """A folder may be named below others that are not there yet, or that are."""
    for name in ("one", "other"):
        fetched.keep({"a": b"1"}, tmp_path / "deep" / "er" / name)
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == ["one", "other"]


@pytest.mark.parametrize("kind", ["file", "folder with a file", "link", "dangling link"])
def test_what_is_there_stays(tmp_path: Path, kind: str) -> None:
    """Nothing but a new or an empty folder is written to."""
    folder = tmp_path / "run"
    if kind == "file":
        folder.write_text("mine")
    elif kind == "folder with a file":
        folder.mkdir()
        (folder / "mine").write_text("mine")
    else:
        other = tmp_path / "other"
        if kind == "link":
            other.write_text("mine")
        folder.symlink_to(other)
    before = sorted(tmp_path.rglob("*"))
    for action in (fetched.check_new, lambda path: fetched.keep(FILES, path)):
        with pytest.raises(ContractError) as refused:
            action(folder)
        assert str(refused.value) == (
            f"folder: expected a new or empty one, got {folder}. Nothing was changed. Choose another folder with -o."
        )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["file", "not writable", "relative", "dangling link", "loop"])
def test_a_place_for_no_folder_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Nobody waits an hour for a run whose files then have no place."""
    above = tmp_path / "above"
    if kind == "file":
        above.write_text("mine")
    elif kind == "dangling link":
        above.symlink_to(tmp_path / "none")
    elif kind == "loop":
        above.symlink_to(above)
    else:
        above.mkdir()
        monkeypatch.chdir(above)
        monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (above, os.W_OK | os.X_OK))
    folder = Path("deep", "run") if kind == "relative" else above / "deep" / "run"
    for action in (fetched.check_new, lambda path: fetched.keep(FILES, path)):
        with pytest.raises(ContractError) as refused:
            action(folder)
        assert str(refused.value) == (
            f"folder: expected a place where one can be made, got {folder}, below {above}, where none can. Choose "
            "another folder with -o."
        )
    assert list(tmp_path.rglob("*")) == [above]


@pytest.mark.parametrize("above", [False, True], ids=["itself", "above"])
def test_a_link_is_followed_to_an_empty_folder(tmp_path: Path, above: bool) -> None:
    """The files go to the folder that it leads to, and the link stays."""
    folder = tmp_path / "other" / "run"
    folder.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("other" if above else "other/run")
    given = link / "run" if above else link
    fetched.check_new(given)
    fetched.keep(FILES, given)
    assert sorted(testing.contents(folder)) == ["SHA256SUMS", "labels/true.txt", "model.keras"]
    assert link.is_symlink()
    assert sorted(path.name for path in (*tmp_path.iterdir(), *folder.parent.iterdir())) == ["link", "other", "run"]


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "link"])
@pytest.mark.parametrize("kind", ["mount point", "not writable"])
def test_an_empty_folder_that_cannot_be_replaced_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, linked: bool
) -> None:
    """As a volume in a container is one; a folder within it can be made."""
    folder = tmp_path / "other" / "run"
    folder.mkdir(parents=True)
    if kind == "mount point":
        monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    else:
        monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (folder.parent, os.W_OK | os.X_OK))
    given = tmp_path / "link" if linked else folder
    if linked:
        given.symlink_to(folder)
    for action in (fetched.check_new, lambda path: fetched.keep(FILES, path)):
        with pytest.raises(ContractError) as refused:
            action(given)
        assert str(refused.value) == (
            f"folder: expected one that can be replaced, got {given}: it is a mount point, or {folder.parent} cannot "
            "be written. Choose a folder within it with -o."
        )
    fetched.keep(FILES, given / "first")
    assert [path.name for path in folder.iterdir()] == ["first"]


def test_half_of_a_run_has_no_checksums(tmp_path: Path) -> None:
    """So that nothing is compared with it."""
    fetched.keep(FILES, tmp_path / "run", whole=False)
    assert testing.contents(tmp_path / "run") == FILES
    with pytest.raises(ContractError, match="expected the folder of a finished run"):
        fetched.check_compared(tmp_path / "run")


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that is another one of the same disk, as a volume in a container may be."""
    monkeypatch.setenv("PATH", os.defpath)
    volume, folder = tmp_path / "volume", tmp_path / "other" / "run"
    volume.mkdir()
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "--bind", volume, folder], check=False, capture_output=True).returncode:
        helpers.missing("the right to mount (root)")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_folder_that_cannot_take_its_place_is_filled(tmp_path: Path, bound: Path) -> None:
    """Nothing tells before that it cannot be replaced; the checksums come last."""
    assert not bound.is_mount()
    fetched.check_new(bound)
    fetched.keep(FILES, bound)
    names = ["SHA256SUMS", "labels/true.txt", "model.keras"]
    assert sorted(testing.contents(tmp_path / "volume")) == names
    assert [path.name for path in bound.parent.iterdir()] == ["run"]


def test_a_folder_of_an_image_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container one that the image has cannot be replaced: its file system calls that another disk."""
    (folder := tmp_path / "run").mkdir()

    def refused(path: Path, target: Path) -> Path:
        if target == folder:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path))
        return path.rename(target)

    monkeypatch.setattr(Path, "replace", refused)
    fetched.keep(FILES, folder)
    assert sorted(testing.contents(folder)) == ["SHA256SUMS", "labels/true.txt", "model.keras"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_another_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """It is not taken for a folder that cannot be replaced; nothing is moved, and nothing is left."""
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    replace = Path.replace

    def broken(path: Path, target: Path) -> Path:
        if target == folder:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="Input/output error"):
        fetched.keep(FILES, folder)
    assert list(tmp_path.rglob("*")) == [folder] * there


def test_a_folder_that_is_half_filled_is_emptied(bound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its disk is full, or after Ctrl-C; what somebody else has put there meanwhile stays."""
    move = shutil.move

    def interrupted(path: Path, place: Path) -> None:
        if place.name == "SHA256SUMS":
            assert sorted(path.name for path in bound.iterdir()) == ["labels", "model.keras"]
            (bound / "mine").touch()
            raise KeyboardInterrupt
        move(path, place)

    monkeypatch.setattr(shutil, "move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched.keep(FILES, bound)
    assert [path.name for path in (*bound.iterdir(), *bound.parent.iterdir())] == ["mine", "run"]


def test_a_mount_that_fills_meanwhile_stays(bound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any folder does."""
    monkeypatch.setattr(fetched, "check_new", lambda _: (bound / "model.keras").write_text("mine"))
    with pytest.raises(OSError, match="busy"):
        fetched.keep(FILES, bound)
    assert testing.contents(bound) == {"model.keras": b"mine"}


def test_what_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or Ctrl-C, in the middle of the files leaves no folder."""
    calls = list[Path]()

    def interrupted(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True)
        path.write_bytes(content)

    monkeypatch.setattr(fetched, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched.keep(FILES, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    # Beside it, so that it can take its place at once; hidden, and seen to be no result.
    assert re.fullmatch(r"\.run\.[0-9a-f]{8}\.tmp", calls[0].relative_to(tmp_path).parts[0])


def test_a_folder_that_fills_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who puts a file there while the others are written keeps it."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(fetched, "check_new", lambda _: (folder / "mine").write_text("mine"))
    with pytest.raises(ContractError) as caught:
        fetched.keep(FILES, folder)
    assert str(caught.value) == (
        f"folder: expected {folder} to stay new or empty until the files have come, got another file there. "
        "Nothing was changed. Choose another folder with -o."
    )
    assert testing.contents(tmp_path) == {"run/mine": b"mine"}


def test_the_working_folder_can_be_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path without a name of its own is a folder as well."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    fetched.keep(FILES, Path())
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == ["SHA256SUMS", "labels", "model.keras"]


def test_each_side_may_lack_a_file(tmp_path: Path) -> None:
    """Every file of either side is compared, byte for byte; one that only runs here have is not."""
    fetched.keep({**FILES, "history.json": b"{}", "pipeline.yaml": b"p"}, tmp_path / "run")
    files = {**FILES, "results.csv": b"", "model.keras": b"other"}
    assert fetched.differing(files, tmp_path / "run") == (
        ["history.json", "labels/true.txt", "model.keras", "results.csv"],
        ["history.json", "model.keras", "results.csv"],
    )
    same = {**FILES, "history.json": b"{}"}
    assert fetched.differing(same, tmp_path / "run")[1] == []
    assert fetched.differing({**same, "pipeline.yaml": b"P"}, tmp_path / "run")[1] == ["pipeline.yaml"]
    write(tmp_path / "run" / "labels" / "true.txt", b"2\n")  # as long as what the list has
    assert fetched.differing(same, tmp_path / "run")[1] == ["labels/true.txt"]


def test_a_folder_without_a_run_cannot_be_compared_with(tmp_path: Path) -> None:
    """Who names the wrong folder learns it at once."""
    fetched.keep(FILES, tmp_path / "run")
    fetched.check_compared(tmp_path / "run")
    (tmp_path / "SHA256SUMS").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ContractError) as refused:
            fetched.check_compared(folder)
        assert str(refused.value) == (
            f"--compare: expected the folder of a finished run, with SHA256SUMS, got {folder}. `fmnist run` makes one."
        )


def test_a_list_that_is_no_text_is_compared_too(tmp_path: Path) -> None:
    """What it names cannot be found, so it is another."""
    fetched.keep(FILES, tmp_path / "run")
    with (tmp_path / "run" / "SHA256SUMS").open("ab") as file:
        file.write(b"0" * 64 + b"  \xff\n")
    assert fetched.differing(FILES, tmp_path / "run") == (["labels/true.txt", "model.keras", "\ufffd"], ["\ufffd"])


def test_what_is_too_large_or_no_file_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than 64 MiB of a file are read, and no folder is, whatever somebody put there."""
    assert recorded.LARGEST == 67_108_864
    monkeypatch.setattr(fetched, "LARGEST", 400)
    files = {"folder": b"1", "large": b"2" * 401, "most": b"3" * 400}
    fetched.keep(files, tmp_path / "run")
    (tmp_path / "run" / "folder").unlink()
    (tmp_path / "run" / "folder").mkdir()
    assert fetched.differing(files, tmp_path / "run") == (["folder", "large", "most"], ["folder", "large"])


@pytest.mark.parametrize("forged", ["here", "both", "there", "a digit"])
def test_a_file_that_is_not_the_listed_one_is_another(tmp_path: Path, forged: str) -> None:
    """Two equal files are no result of a run whose list of checksums has another."""
    folder = tmp_path / "run"
    fetched.keep(FILES, folder)
    listed = (folder / "SHA256SUMS").read_bytes()
    files = {**FILES, "SHA256SUMS": listed} if forged != "here" else dict(FILES)
    files["model.keras"] = b"other"
    (folder / "model.keras").write_bytes(b"other")
    if forged == "a digit":
        nearly = sha256(b"other")[:-1]
        write(folder / "SHA256SUMS", re.sub(rb".{64}(?=  model)", f"{nearly}x".encode(), listed))
    if forged == "there":
        (folder / "SHA256SUMS").unlink()
        write(folder / "SHA256SUMS", listing({"model.keras": sha256(b"other")}))
    assert fetched.differing(files, folder) == (["labels/true.txt", "model.keras"], ["model.keras"])


@pytest.mark.parametrize("listed", [b"", b"\n", b"a\n", b"0" * 64 + b"  \n"], ids=ascii)
def test_a_list_of_nothing_is_no_run(tmp_path: Path, listed: bytes) -> None:
    """That 0 of 0 files are equal says nothing."""
    (tmp_path / "SHA256SUMS").write_bytes(listed)
    with pytest.raises(ContractError, match="^--compare: expected the folder of a finished run, with SHA256SUMS, got "):
        fetched.check_compared(tmp_path)


def test_of_a_study_its_own_list_says_what_must_be_equal(tmp_path: Path) -> None:
    """The folder of a study keeps its own list of checksums, and its record of how it went is not compared."""
    listed = b"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945  verdict.json\n"
    study = {"SHA256SUMS": listed, "verdict.json": b"[]", "record.json": b"1"}
    fetched.keep(study, tmp_path / "study")
    assert testing.contents(tmp_path / "study") == study
    assert fetched.differing(study | {"record.json": b"2"}, tmp_path / "study") == (["verdict.json"], [])
