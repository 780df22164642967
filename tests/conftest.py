"""Fixtures and settings that all tests share."""

import gc
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from support import process, warm

from fmnist.steps import dataset, training
from fmnist.steps.dataset import Split
from fmnist.steps.settings import Settings

pytest_plugins = ["fmnist.testing"]

hypothesis.settings.register_profile("default", deadline=None, max_examples=50)
hypothesis.settings.register_profile("ci", hypothesis.settings.get_profile("default"), derandomize=True)
hypothesis.settings.register_profile("nightly", hypothesis.settings.get_profile("default"), max_examples=2_000)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session", autouse=True)
def plain() -> Iterator[None]:
    """Let programs print as they do for most, whatever this user wants pytest to look like."""
    with process.plain():
        yield


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Fail a test that leaves the process otherwise than it was: what comes after it would depend on it."""
    before = process.state()
    yield
    changed = process.changed(before)
    assert not changed, f"expected a process as before the test, got another value of {', '.join(changed)}"


@pytest.fixture
def abroad() -> Iterator[None]:
    """A time zone in which it is nine hours later."""
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="session")
def training_set() -> Split:
    """The real training set: 60,000 images."""
    return dataset.load("train")


@pytest.fixture(scope="session")
def test_set() -> Split:
    """The real test set: 10,000 images."""
    return dataset.load("test")


@pytest.fixture(scope="session")
def few(training_set: Split) -> Split:
    """The first 1,000 training images: with the default split, 29 full batches, one of 22, and 50 for validation."""
    return Split(training_set.images[:1_000], training_set.labels[:1_000])


@pytest.fixture(scope="session")
def trained(few: Split) -> training.Training:
    """What three epochs on a few images give."""
    return training.train(Settings(epochs=3), few)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The path of a Python that has started TensorFlow already, for steps on kfp's local runner."""
    environment = {**warm.started(), "_KFP_RUNTIME": "true"}
    with warm.python(tmp_path_factory.mktemp("warm"), environment) as program:
        yield program


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, a finished study, and one that was broken off."""
    from support import folders

    root = tmp_path_factory.mktemp("honest")
    folders.write_run(root / "run")
    folders.write_study(root / "study")
    folders.begin_study(root / "begun")
    return root


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a folder of `honest`."""
    return lambda kind: shutil.copytree(honest / kind, tmp_path / kind)


#: Above so many characters a value is no name of a test's case.
LONG = 60

#: The files that take longest, longest first.
LONGEST = (
    "test_run_end_to_end.py",
    "test_study_end_to_end.py",
    "test_examples.py",
    "test_writes.py",
    "test_disturbances.py",
    "test_page_in_a_browser.py",
    "test_page.py",
    "test_study_pipeline.py",
    "test_orders.py",
    "test_training.py",
    "test_pictures.py",
    "test_determinism.py",
)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case by its argument where its value is too long to read, or has the time in it, as an archive has."""
    return f"long {argname}" if isinstance(val, str | bytes) and len(val) > LONG else None


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Name a case as before where a process collects it again: pytest would escape once more what it had escaped."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        if named := mark._param_ids_from:
            object.__setattr__(named, "_param_ids_generated", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that take longest, so that no core idles at the end."""
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.name) in LONGEST else len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Keep the garbage collector from what is imported here: looking through TensorFlow takes it half a second."""
    gc.disable()
    yield
    gc.freeze()
    # In mutmut's folder each call sets a context variable: it would crash Pythons before 3.12 (python/cpython#148891).
    if session.config.rootpath.name != "mutants":
        gc.enable()
