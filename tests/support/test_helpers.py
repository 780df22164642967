"""Each shared check fails on a bad example."""

import pytest
from support import helpers


def test_a_failing_program_is_seen() -> None:
    """A program that fails shows its error."""
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        helpers.python("1 / 0")


@pytest.mark.parametrize(
    ("strict", "outcome"),
    [("1", pytest.fail.Exception), ("", pytest.skip.Exception)],
    ids=["strict", "elsewhere"],
)
def test_what_is_missing_fails_a_strict_run(
    strict: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that cannot be made is skipped with its reason, in any CI too, but fails where all must be checked."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("FMNIST_STRICT", strict)
    with pytest.raises(outcome, match="needs a moon"):
        helpers.missing("a moon")
