"""Every parser of files from others gives a value or the package's own error, whatever bytes it is given."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import helpers

from fmnist.cluster import program_file
from fmnist.cluster.arguments import parse_arguments
from fmnist.steps import files, model, sources
from fmnist.steps.data_file import DataFile
from fmnist.steps.errors import ContractError, DataError, SettingsError
from fmnist.steps.labels import Labels
from fmnist.steps.settings import Settings

#: Five times as many examples at night, which takes about ten minutes of a core.
MANY = hypothesis.settings(
    max_examples=hypothesis.settings().max_examples * (5 if hypothesis.settings().max_examples >= 1_000 else 1),
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)

#: Values that have been somebody's undoing.
NASTY: list[Any] = [
    None, True, -1, 0, 1.5, 10**400, float("nan"), float("inf"), -0.0, "", "x", "\ud800", "\0", [], {}, [[]], {"a": {}},
    2**63, "1e999", "../../etc/passwd", "=1+1",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """Give the path of each value within a JSON document."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw bytes that are like `content`: with a value of its JSON replaced, or cut, repeated or overwritten."""
    kind = draw(st.sampled_from(["bytes", "value", "none"]))
    if kind == "none":
        return draw(st.binary(max_size=200))
    if kind == "value":
        try:
            document = {"": json.loads(content)}
        except ValueError:
            kind = "bytes"
        else:
            way = ["", *draw(st.sampled_from(list(places(document[""]))[:500]))]
            last = way.pop()
            inside: Any = document
            for key in way:
                inside = inside[key]
            inside[last] = draw(st.sampled_from(NASTY))
            return json.dumps(document[""]).encode()
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        part = draw(
            st.sampled_from([b"", content[start:end] * 2, b"\xff", b"\0\0\0\0", b"[" * 5_000, b'"', b"\n", b"9" * 400])
        )
        content = content[:start] + part + content[draw(st.sampled_from([start, min(start + 1, end), end])) :]
    return content


def tried(call: Callable[[], object], *errors: type[Exception]) -> None:
    """Call; an error of these types is as good as a value, if it is short."""
    message = ""
    try:
        call()
    except errors as error:
        message = str(error)
    assert len(message) < 5_000


LABELS = Labels(np.array([0, 1, 2]), np.array([0, 0, 2]), ("cat", "dog", "emu")).files()


@MANY
@given(name=st.sampled_from(sorted(LABELS)), data=st.data())
def test_labels(name: str, data: st.DataObject, tmp_path: Path) -> None:
    """Three text files of labels."""
    for other, content in LABELS.items():
        (tmp_path / other).write_bytes(data.draw(broken(content)) if other == name else content)
    tried(lambda: Labels.read(tmp_path), ContractError)


SAME = (helpers.TESTS.parent / "same.yaml").read_bytes()


@MANY
@given(content=broken(SAME))
@example(content=b"a: " * 20_000)
@example(content=b"[" * 60_000)
@example(content=b"run: {parameters: {epochs: 2026-02-30}}")
@example(content=b"run: {parameters: {epochs: " + b"9" * 400 + b"}}")
@example(content=b"metadata: {name: x, version: " + b"9" * 400 + b"}")
@example(content=b"run: {parameters: {epochs: 0x" + b"9" * 400 + b"}}")
def test_program_files(content: bytes, tmp_path: Path) -> None:
    """A program file, for a cluster and for a run here."""
    (tmp_path / "same.yaml").write_bytes(content)
    tried(lambda: program_file.load(tmp_path / "same.yaml", lambda _: None), ContractError)
    tried(lambda: program_file.run_parameters(tmp_path / "same.yaml"), ContractError)


@MANY
@given(
    values=st.dictionaries(st.sampled_from(["epochs", "seed", "x"]), st.text() | st.sampled_from(["[" * 9_999, *NASTY]))
)
def test_arguments(values: dict[str, Any]) -> None:
    """Parameters of a run here, and those of a compiled pipeline."""
    kinds = {"epochs": "NUMBER_INTEGER", "seed": "STRUCT", "x": "LIST"}
    inputs = {name: {"parameterType": kind, "defaultValue": 1} for name, kind in kinds.items()}
    tried(lambda: parse_arguments({"root": {"inputDefinitions": {"parameters": inputs}}}, values), ContractError)
    tried(lambda: Settings.parse(values), SettingsError)


OPTIMIZER = b'{"class_name": "sgd", "config": {"learning_rate": 0.25, "momentum": 0.5, "nesterov": true}}'


@MANY
@given(content=broken(OPTIMIZER))
@example(content=b'{"class_name": "adam", "config": {"learning_rate": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}")
@example(
    content=b'{"class_name": "adam", "config": {"learning_rate": {"class_name": "Lambda", "module": "keras.layers"}}}'
)
def test_optimizers(content: bytes) -> None:
    """The config of an optimizer."""
    tried(lambda: Settings(content.decode("utf-8", "surrogateescape")), SettingsError)


IMAGES = DataFile("images", 1_000, files.sha256(bytes(1_000)))


@MANY
@given(content=broken(gzip.compress(bytes(1_000), mtime=0)), size=st.integers(1, 100))
def test_compressed_data(content: bytes, size: int) -> None:
    """A compressed file of the dataset, in parts of any size."""
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    tried(lambda: IMAGES.verified(sources._inflate(parts, IMAGES)), DataError)


@pytest.fixture(scope="module")
def network() -> dict[str, bytes]:
    """The members of the tutorial's .keras file."""
    with zipfile.ZipFile(io.BytesIO(model.to_bytes(model.create(0)))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@MANY
@given(name=st.sampled_from(["config.json", "metadata.json", "model.weights.h5", "archive"]), data=st.data())
def test_model_files(name: str, data: st.DataObject, network: dict[str, bytes], tmp_path: Path) -> None:
    """A .keras file: its archive, or one of its members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in network.items():
            archive.writestr(member, data.draw(broken(content)) if member == name else content)
    (tmp_path / "model").write_bytes(data.draw(broken(out.getvalue())) if name == "archive" else out.getvalue())
    tried(lambda: model.read(tmp_path / "model"), ContractError)
