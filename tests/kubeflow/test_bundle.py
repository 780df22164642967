"""Tests of the step code that a compiled pipeline carries."""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support import helpers

from fmnist.kubeflow import bundle
from fmnist.steps.errors import ContractError

SOURCE = "x = 1\n__KFP_EMBEDDED_ARCHIVE_B64 = '{}'\n"


def test_the_bundle_is_the_packages_own_step_code() -> None:
    """Every file of `fmnist/steps` and the package's `__init__` are carried unchanged, and nothing else."""
    expected = {
        path.relative_to(bundle.PACKAGE.parent).as_posix(): path.read_bytes()
        for path in [bundle.PACKAGE / "__init__.py", *(bundle.PACKAGE / "steps").rglob("*.py")]
    }
    assert helpers.carried(bundle.embed(SOURCE.format("QUJD"))) == expected
    assert "fmnist/steps/training.py" in expected


def test_the_bundle_does_not_depend_on_folder_time_or_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the code elsewhere, made later, with other modes and compiled files, gives the same bytes."""
    expected = bundle.archive()
    copy = tmp_path / "else where" / "fmnist"
    shutil.copytree(bundle.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "steps" / "__pycache__").mkdir()
    (copy / "steps" / "__pycache__" / "training.cpython-311.pyc").write_bytes(b"compiled")
    for path in copy.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (0, 0))
    monkeypatch.setattr(bundle, "PACKAGE", copy)
    assert bundle.archive() == expected


def test_a_changed_line_changes_bundle_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other code has another digest, by which Kubeflow's step cache misses."""
    archive, digest = bundle.archive(), bundle.digest()
    shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist")
    with (tmp_path / "fmnist" / "steps" / "training.py").open("a") as file:
        file.write("# changed\n")
    monkeypatch.setattr(bundle, "PACKAGE", tmp_path / "fmnist")
    assert bundle.archive() != archive
    assert bundle.digest() != digest


@pytest.mark.parametrize("patterns", [bundle.STEPS, bundle.REPLICATION], ids=["steps", "replication"])
def test_other_code_in_the_image_ends_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: tuple[str, ...]
) -> None:
    """A step that refers to code runs where just that code is, and names both digests where it is not."""
    step, digest = bundle.refer("ran = True", patterns), bundle.digest(patterns)
    namespace: dict[str, Any] = {}
    exec(step, namespace)  # noqa: S102 - as kfp does it
    assert namespace["ran"]
    shutil.copytree(bundle.PACKAGE, tmp_path / "fmnist")
    with (tmp_path / "fmnist" / "steps" / "training.py").open("a") as file:
        file.write("# changed\n")
    monkeypatch.setattr(bundle, "PACKAGE", tmp_path / "fmnist")
    said = f"^image: expected .* {digest}, got {bundle.digest(patterns)}. Build the image from .* is in the image.$"
    with pytest.raises(ContractError, match=said):
        exec(step, {})  # noqa: S102 - as kfp does it


def test_the_digest_can_be_made_with_sha256sum() -> None:
    """The digest is that of what ``sha256sum`` prints for the sources, so that anyone can check it."""
    listed = subprocess.run(
        ["sha256sum", *bundle.source_files()], cwd=bundle.PACKAGE.parent, check=True, capture_output=True
    ).stdout
    assert bundle.digest() == hashlib.sha256(listed).hexdigest()


def test_entries_have_no_owner_and_no_time() -> None:
    """The archive says nothing of who made it, or when: neither in its entries nor in the head of the file."""
    assert bundle.archive()[4:8] == bytes(4)
    with tarfile.open(fileobj=io.BytesIO(bundle.archive())) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in tar} == {(0, 0, "", "", 0, 0o644)}


@pytest.mark.parametrize("source", ["x = 1", SOURCE.format("QUJD") * 2], ids=["none", "two"])
def test_embedding_needs_exactly_one_archive(source: str) -> None:
    """A source in which kfp embedded nothing, or twice, is an error: kfp has changed."""
    with pytest.raises(ContractError, match="^component source: expected one archive embedded by kfp, got [02]"):
        bundle.embed(source)


def test_only_the_archive_is_replaced() -> None:
    """What stands around the archive is kept."""
    embedded = bundle.embed(SOURCE.format("QUJD"))
    assert embedded == SOURCE.format(base64.b64encode(bundle.archive()).decode())
