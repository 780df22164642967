"""Tests of the lists of checksums in the folder of a run or a study."""

from pathlib import Path

import pytest
from support import folders

from fmnist.runs import checksums
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256


def test_a_folder_is_signed(tmp_path: Path) -> None:
    """Both lists are those of `sha256sum`, by name: one of what is the same each time, one of all."""
    (tmp_path / "seeds" / "deep").mkdir(parents=True)
    for name, content in (
        ("seeds/5.json", b"five"),
        ("seeds/deep/6", b"six"),
        ("b", b"table"),
        ("report.html", b"other"),
        ("log.txt", b""),
    ):
        (tmp_path / name).write_bytes(content)
    same = checksums.digests_of(tmp_path, ["b", "seeds/5.json"])
    table, five, six, other = (
        "0d4fc4a78d3706edccafb665a8b2fdd9309e82c78625bb0f2b8e7bb9e1c4d21c",
        "222b0bd51fcef7e65c2e62db2ed65457013bab56be6fafeb19ee11d453153c80",
        "44778d82365e4af681c40d5f0eef5cf6f5899d3f0ac335050a7ed6779cf3f674",
        "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
    )
    assert same == {"b": table, "seeds/5.json": five}
    checksums.sign(tmp_path, same)
    both = f"{table}  b\n{five}  seeds/5.json\n"
    assert (tmp_path / "SHA256SUMS").read_text() == both
    sums = checksums.digests_of(tmp_path, ["SHA256SUMS"])["SHA256SUMS"]
    assert (tmp_path / "RECORD.sha256").read_text() == (
        f"{sums}  SHA256SUMS\n{table}  b\n{other}  report.html\n{five}  seeds/5.json\n"
    )
    (tmp_path / "seeds" / "deep" / "6").rename(tmp_path / "seeds" / "6")
    (tmp_path / "seeds" / "deep").rmdir()
    assert checksums.digests_of(tmp_path, ["seeds"]) == {"seeds/5.json": five, "seeds/6": six}


def test_a_folder_that_cannot_be_signed_is_not_finished(tmp_path: Path) -> None:
    """By the list of all it is known as finished, so that comes last."""
    (tmp_path / "SHA256SUMS").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        checksums.sign(tmp_path, {"a": "0" * 64})
    assert [path.name for path in tmp_path.iterdir()] == ["SHA256SUMS"]


def test_line_ends_that_git_wrote_are_named() -> None:
    """A folder that was committed on Windows is no forgery: who has it learns what to undo."""
    listed = checksums.listing({"a": "0" * 64, "b": "1" * 64}).replace(b"\n", b"\r\n")
    with pytest.raises(ContractError) as caught:
        checksums.digests_in({"RECORD.sha256": listed})
    assert str(caught.value) == (
        "RECORD.sha256: expected lines of a SHA-256 and a name, each once, by name, got line ends of Windows, as git "
        "writes them with core.autocrlf"
    )


@pytest.mark.parametrize("name", ["\x1b[2J", "\u202egnp.rewop"], ids=ascii)
def test_a_name_that_steers_a_terminal_is_refused(name: str) -> None:
    """Names of files are printed where they are compared."""
    for names in ((name,), ("a", name, "z")):
        listed = checksums.listing(dict.fromkeys(names, "0" * 64))
        with pytest.raises(
            ContractError, match=r"^RECORD.sha256: expected lines of a SHA-256 and a name, each once, b"
        ):
            checksums.digests_in({"RECORD.sha256": listed})


def test_a_list_that_is_no_text_is_refused() -> None:
    """Bytes that UTF-8 does not have end in the same error, and in no traceback."""
    listed = b"0" * 64 + b"  \xff\n"
    with pytest.raises(ContractError, match=r"^RECORD.sha256: expected lines of a SHA-256 and a name, each once, by n"):
        checksums.digests_in({"RECORD.sha256": listed})


def test_a_forger_signs_all_that_is_in_folders(tmp_path: Path) -> None:
    """The forgeries of the tests do so, beside what was signed before; what is gone, and what never is, is not."""
    (tmp_path / "seeds").mkdir()
    for name in ("a", "b", "log.txt", "seeds/5.json", "seeds/6.json"):
        (tmp_path / name).write_text(name)
    checksums.sign(tmp_path, checksums.digests_of(tmp_path, ["a", "b", "seeds/5.json"]))
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("forged")
    folders.sign_again(tmp_path)
    listed = {line[66:]: line[:64] for line in (tmp_path / checksums.CHECKSUMS).read_text().splitlines()}
    assert [*listed] == ["b", "seeds/5.json", "seeds/6.json"]
    assert listed["b"] == sha256(b"forged")
