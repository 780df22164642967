"""Reading same.yaml, the program file of the SAME project: which pipeline to run, with which parameters."""

from pathlib import Path
from typing import Any

import yaml

from fmnist.steps.errors import ContractError

__all__ = ["FILE_NAME", "run_parameters"]

FILE_NAME = "same.yaml"


def run_parameters(path: str | Path) -> dict[str, Any]:
    """Return ``run.parameters`` of the program file at `path`: numbers, booleans and strings by name.

    Raises
    ------
    ContractError
        If the file cannot be read, is not YAML, or its ``run.parameters`` is not a mapping of such values.
    """
    try:
        program = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContractError(f"program file: expected YAML in {path}, got: {error}") from error
    run = program.get("run") if isinstance(program, dict) else None
    parameters = run.get("parameters") if isinstance(run, dict) else None
    if not isinstance(parameters, dict):
        raise ContractError(f"program file: expected a mapping run.parameters in {path}, got {parameters!r}.")
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise ContractError(
                f"program file: expected a number, boolean or string for run.parameters.{name} in {path}, "
                f"got {value!r}."
            )
    return parameters
