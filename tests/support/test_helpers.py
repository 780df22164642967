"""Each shared check fails on a bad example."""

import pytest
from support import helpers


def test_a_missing_file_is_seen() -> None:
    """Fewer files than expected fail."""
    with pytest.raises(AssertionError, match="expected the files"):
        helpers.assert_same_files(got={}, expected={"a": b""})


def test_a_different_byte_is_seen() -> None:
    """One changed byte fails, and its file is named."""
    with pytest.raises(AssertionError, match=r"got others in \['b'\]"):
        helpers.assert_same_files(got={"a": b"1", "b": b"2"}, expected={"a": b"1", "b": b"3"})


def test_a_failing_program_is_seen() -> None:
    """A program that fails shows its error."""
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        helpers.python("1 / 0")


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", pytest.fail.Exception), ("", pytest.skip.Exception)],
    ids=["in CI", "elsewhere"],
)
def test_what_is_missing_fails_in_ci(ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot be made is skipped with its reason, but fails in CI."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="needs a moon"):
        helpers.missing("a moon")
