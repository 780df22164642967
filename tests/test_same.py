"""Tests of reading same.yaml."""

from pathlib import Path

import pytest

from fmnist import same
from fmnist.steps.errors import ContractError
from fmnist.steps.settings import Settings

ROOT = Path(__file__).parents[1]


def test_the_program_file_holds_the_defaults() -> None:
    """The repository's own same.yaml runs the pipeline with the parameters of the mission."""
    assert same.run_parameters(ROOT / "same.yaml") == vars(Settings())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: [", "expected YAML in"),
        ("", "expected a mapping run.parameters in .*, got None"),
        ("run: {parameters: 3}", "expected a mapping run.parameters in .*, got 3"),
        (
            "run: {parameters: {epochs: [1]}}",
            r"expected a number, boolean or string for run.parameters.epochs .* got \[1\]",
        ),
        ("run: !!python/object/apply:os.system ['true']", "expected YAML in"),
    ],
    ids=["no yaml", "empty", "number", "list", "code"],
)
def test_a_bad_program_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A file that does not hold parameters is refused with what was expected."""
    (tmp_path / "same.yaml").write_text(text)
    with pytest.raises(ContractError, match=message):
        same.run_parameters(tmp_path / "same.yaml")


def test_a_missing_program_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is refused, and named."""
    with pytest.raises(ContractError, match="No such file.*missing.yaml"):
        same.run_parameters(tmp_path / "missing.yaml")
