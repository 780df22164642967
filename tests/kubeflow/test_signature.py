"""Tests of what a component's function declares."""

from typing import Annotated, Any, Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, InputPath, Metrics, Model, Output, OutputPath

from fmnist.kubeflow.signature import types_of


def every(  # noqa: PLR0913, PLR0917 - each way to declare
    text: str,
    many: list[int],
    noted: Annotated[int, "of somebody else"],
    plain: Dataset,
    model: Input[Model],
    several: Input[list[Dataset]],
    path: InputPath("Dataset"),  # type: ignore[valid-type]
    written: OutputPath(str),  # type: ignore[valid-type]
    metrics: Output[Metrics],
    left: dsl.OutputPath("Artifact"),  # type: ignore[valid-type]
    rest: Optional[Input[Dataset]] = None,  # noqa: UP045 - as in kfp's documentation
    other: Input[Model] | None = None,
    limit: int | None = None,
) -> Artifact:
    """Return something."""


#: The parameters that are given as a path.
PATHS = [("inputs", "path"), ("outputs", "written"), ("outputs", "left")]


def test_each_way_to_declare_is_known() -> None:
    """Parameters are plain values, artifacts are read or written, as themselves or by their path."""
    declared: dict[str, Any] = types_of(every)
    paths = {name: type(declared[what].pop(name)) for what, name in PATHS}
    assert declared == {
        "parameters": {"text": str, "many": list[int], "noted": int, "limit": int | None},
        "inputs": {"plain": Dataset, "model": Model, "several": list[Dataset], "rest": Dataset, "other": Model},
        "outputs": {"metrics": Metrics},
    }
    assert paths == {"path": InputPath, "written": OutputPath, "left": OutputPath}
