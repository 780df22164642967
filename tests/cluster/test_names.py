"""Names and descriptions are checked before anything is sent, with the limits of a real server."""

from pathlib import Path
from typing import Any

import pytest
from support.kfp_server import Server
from support.submission import names

from fmnist.cluster.cluster import Cluster, connect
from fmnist.cluster.names import check_texts
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("pipeline", "x" * 128),
        ("pipeline", "ü" * 64),
        ("pipeline", "🚀" * 32),
        ("pipeline", " a\u00a0👩\u200d💻 "),
        ("version", "x" * 127),
        ("experiment", "☃" * 42),
        ("run", "x" * 255),
        ("run", "🚀" * 255),
        ("run_description", ""),
        ("run_description", "two\nlines\tand a tab" + "x" * 200),
        ("experiment_description", "x" * 255),
        ("pipeline_description", "d" * 70_000),
    ],
)
def test_what_a_server_keeps_is_taken(key: str, text: str) -> None:
    """Names of pipelines, versions and experiments are counted in bytes, what else a database keeps in characters."""
    check_texts(**{key: text})


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("pipeline", "x" * 129, "pipeline name: expected at most 128 bytes, got 129"),
        ("pipeline", "ü" * 65, "pipeline name: expected at most 128 bytes, got 130"),
        ("pipeline", "🚀" * 33, "pipeline name: expected at most 128 bytes, got 132"),
        ("pipeline", f" {'x' * 127} ", "pipeline name: expected at most 128 bytes, got 129"),
        ("version", "x" * 128, "version name: expected at most 127 bytes, got 128"),
        ("experiment", "x" * 129, "experiment name: expected at most 128 bytes, got 129"),
        ("run", "x" * 256, "run name: expected at most 255 characters, got 256"),
        ("run", "x" * 1_000_000, "run name: expected at most 255 characters, got 1000000"),
        ("run_description", "x" * 256, "run description: expected at most 255 characters, got 256"),
        ("experiment_description", "x" * 256, "experiment description: expected at most 255 characters, got 256"),
        ("pipeline_description", "x" * 300_001, "pipeline description: expected at most 300000 bytes, got 300001"),
        ("run", "", "run name: expected a name, got an empty one"),
        ("run", " \u00a0\u2003", "run name: expected a name, got an empty one"),
        ("experiment", "\n", "experiment name: expected a name, got an empty one"),
        ("run", "a\nb", "run name: expected one line"),
        (
            "run",
            " a\n",
            "run name: expected one line of characters that can be shown, got a line's end or a control character "
            r"\(' a\\n'\)\.$",
        ),
        ("run", "a\tb", "run name: expected one line"),
        ("run", "a\u2028b", "run name: expected one line"),
        ("pipeline", "a\0b", "pipeline name: expected one line"),
        ("pipeline", "a\x1b[31m", "pipeline name: expected one line"),
        ("run", "a\udcff", "run name: expected text in UTF-8, got other bytes"),
        ("run_description", "a\0b", "run description: expected text, got a NUL character"),
        ("run", None, "run name: expected text, got None"),
        ("run", 3, "run name: expected text, got 3"),
    ],
)
def test_what_no_server_keeps_is_refused(key: str, text: Any, message: str) -> None:
    """The error is one short line that can be shown, with the limit and what was got."""
    with pytest.raises(ContractError, match=f"^{message}") as caught:
        check_texts(**{key: text})
    shown = str(caught.value)
    assert shown.isprintable()
    assert len(shown) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a\u2029b",
            "run name: expected one line of characters that can be shown, got a line's end or a control character "
            "('a\\u2029b').",
        ),
        (256 * "x", f"run name: expected at most 255 characters, got 256 ('{99 * 'x'} ...)."),
        (100 * [1], f"run name: expected text, got [{33 * '1, '} ...."),
    ],
)
def test_a_text_is_shown_with_what_it_lacks(text: Any, message: str) -> None:
    """Its first hundred characters are enough to know it."""
    with pytest.raises(ContractError) as caught:
        check_texts(run=text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options",
    [
        {"run_name": "x" * 300},
        {"run_name": ""},
        {"experiment": "x" * 129},
        {"run_description": "x" * 300},
        {"experiment_description": "x" * 300},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_run_is_checked_before_it_is_sent(
    server: Server, target: Cluster, compiled: Path, options: dict[str, str]
) -> None:
    """A run that the server would start and then forget, or whose experiment it would refuse, is not sent."""
    version = target.versions.create(compiled, name="fashion")
    sent = len(server.requests)
    good: dict[str, Any] = {"experiment": "first", "run_name": "try", "parameters": {}}
    with pytest.raises(ContractError, match="expected "):
        target.run(version, **good | options)
    assert len(server.requests) == sent
    assert server.untraced == []


@pytest.mark.parametrize(
    "options",
    [{"name": "x" * 129}, {"name": "fashion", "version": "x" * 111}, {"name": "fashion", "description": "\0"}],
    ids=lambda options: list(options)[-1],
)
def test_a_pipeline_is_checked_before_it_is_sent(server: Server, compiled: Path, options: dict[str, str]) -> None:
    """A name, a version with its digest, or a description that the server cannot keep is not sent."""
    target = connect(server.url)
    with pytest.raises(ContractError, match="expected "):
        target.versions.create(compiled, **options)
    assert len(server.requests) == 1


def test_a_pipeline_is_checked_before_it_is_looked_for(server: Server, target: Cluster) -> None:
    """No pipeline can be called so."""
    with pytest.raises(ContractError, match="^pipeline name: expected at most "):
        target.versions.latest(129 * "x")
    assert len(server.requests) == 1


def test_the_longest_names_are_kept(server: Server, target: Cluster, compiled: Path) -> None:
    """The server takes what is taken here."""
    version = target.versions.create(compiled, name="ü" * 64, version="v" * 110, description="d" * 20_000)
    target.run(version, experiment="☃" * 42, run_name="r" * 255, parameters={}, run_description="d" * 255)
    assert (names(server.pipelines), names(server.runs)) == (["ü" * 64], ["r" * 255])
