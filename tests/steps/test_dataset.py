"""The dataset is the published one, and arrives in the form that the steps rely on."""

import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from unittest.mock import Mock

import numpy as np
import platformdirs
import pytest

import fmnist
from fmnist.steps import dataset, sources
from fmnist.steps.errors import ContractError, DataError

IMAGES, LABELS = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for the real data, shared by the tests of this module."""
    return tmp_path_factory.mktemp("published")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let three training and two test images be the published data; give Debian's folder of them."""
    contents = {
        file.name: (b"header--" * 2)[: 16 if "images" in file.name else 8]
        + bytes(n * (784 if "images" in file.name else 1))
        for file, n in zip(dataset.FILES, (3, 3, 2, 2), strict=True)
    }
    files = [dataset.DataFile(name, len(c), hashlib.sha256(c).hexdigest()) for name, c in contents.items()]
    debian = tmp_path / "debian"
    debian.mkdir()
    for name, content in contents.items():
        (debian / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(dataset, "FILES", tuple(files))
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", debian)
    monkeypatch.setenv("FMNIST_DATA_DIR", str(tmp_path / "data"))
    return debian


@pytest.mark.parametrize(("name", "size"), [("train", 60_000), ("test", 10_000)])
def test_published_data_is_loaded(
    name: Literal["train", "test"], size: int, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each split is the published one: its images, and as many of each class."""
    monkeypatch.setenv("FMNIST_DATA_DIR", str(published))
    split = dataset.load(name)
    assert split.images.shape == (size, 28, 28)
    assert split.labels.shape == (size,)
    assert split.images.dtype == split.labels.dtype == np.uint8
    assert len(split) == size
    assert np.bincount(split.labels).tolist() == [size // 10] * 10
    assert (split.images.min(), split.images.max()) == (0, 255)


def test_first_images_are_what_the_tutorial_shows(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first labels of both splits are those printed in the tutorial."""
    monkeypatch.setenv("FMNIST_DATA_DIR", str(published))
    assert dataset.load("train").labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert dataset.load("test").labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


def test_there_are_as_many_training_images_as_said() -> None:
    """The size of the training images' file is that of its header and `TRAINING_IMAGES` images."""
    assert dataset.FILES[0].size == 16 + dataset.TRAINING_IMAGES * 28 * 28


def test_the_classes_have_the_tutorials_names() -> None:
    """The ten classes are called what the tutorial calls them, in the order of their labels."""
    names = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
    assert tuple(names.split(", ")) == dataset.CLASS_NAMES


@pytest.mark.parametrize(("name", "size"), [("train", 3), ("test", 2)])
def test_only_the_files_of_the_split_are_fetched(
    name: Literal["train", "test"], size: int, small: Path, tmp_path: Path
) -> None:
    """Loading one split does not fetch the other one's files."""
    others = {"train": "t10k", "test": "train"}[name]
    for path in small.glob(f"{others}-*"):
        path.unlink()
    assert len(dataset.load(name, offline=True)) == size
    assert len(list((tmp_path / "data").iterdir())) == 2


@pytest.mark.usefixtures("small")
def test_fetch_gives_the_folder_of_all_files(tmp_path: Path) -> None:
    """Fetching leaves the four files, unpacked, in the folder that it returns."""
    folder = dataset.fetch(offline=True)
    assert folder == tmp_path / "data"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert found == {file.name: file.sha256 for file in dataset.FILES}


def test_cached_data_is_verified_each_time(small: Path, tmp_path: Path) -> None:
    """A cached file that changes between two loads is refused at the second."""
    dataset.load("test", offline=True)
    for path in small.iterdir():
        path.unlink()
    labels = tmp_path / "data" / dataset.FILES[3].name
    labels.write_bytes(labels.read_bytes()[:-1] + b"\1")
    with pytest.raises(DataError, match=f"{labels.name}: expected SHA-256"):
        dataset.load("test", offline=True)


@pytest.mark.usefixtures("small")
def test_loaded_arrays_are_read_only() -> None:
    """No step can change the data under another one's feet."""
    split = dataset.load("train", offline=True)
    with pytest.raises(ValueError, match="read-only"):
        split.images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 1


@pytest.mark.parametrize("name", ["valid", "Train", "test ", "", "t"])
def test_unknown_split_is_refused(name: Any) -> None:
    """A split of another name is refused, never taken for one of the two."""
    with pytest.raises(ContractError, match=f"expected 'train' or 'test', got {name!r}"):
        dataset.load(name)


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        (lambda **options: dataset.load("train", **options), dataset.FILES[:2]),
        (lambda **options: dataset.load("test", **options), dataset.FILES[2:]),
        (dataset.fetch, dataset.FILES),
    ],
    ids=["train", "test", "all"],
)
def test_what_is_asked_for_is_sought(
    asked: Callable[..., Any], files: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the network too, unless told otherwise, and whoever asks is told of a download."""
    monkeypatch.setenv("FMNIST_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sources, "find", find := Mock(side_effect=DataError("enough")))
    for options in ({}, {"offline": True, "on_progress": print}):
        with pytest.raises(DataError, match="enough"):
            asked(**options)
        assert find.call_args.args == (files, tmp_path)
        assert find.call_args.kwargs == {"offline": False, "on_progress": None} | options


@pytest.mark.parametrize("load", [lambda: dataset.load("test", offline=True), lambda: dataset.fetch(offline=True)])
def test_missing_data_is_explained(load: Callable[[], Any], small: Path, tmp_path: Path) -> None:
    """Without the data and offline, the error names both places that were searched."""
    for path in small.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"FMNIST_DATA_DIR") as caught:
        load()
    assert str(tmp_path / "data") in str(caught.value)
    assert str(small) in str(caught.value)


def test_data_folder_is_the_users_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """FMNIST_DATA_DIR names the folder, to the last blank; without it, or empty, it is the user's cache folder."""
    for name in ("/somewhere/else", "from/here", " "):
        monkeypatch.setenv("FMNIST_DATA_DIR", name)
        assert dataset.data_folder() == Path(name)
    monkeypatch.setenv("FMNIST_DATA_DIR", "")
    assert dataset.data_folder() == platformdirs.user_cache_path("fmnist")
    monkeypatch.delenv("FMNIST_DATA_DIR")
    assert dataset.data_folder() == platformdirs.user_cache_path("fmnist")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        pytest.param(IMAGES.astype(np.float32), LABELS, "images: expected uint8 .* got float32", id="dtype of images"),
        pytest.param(IMAGES.reshape(3, 784), LABELS, r"images: .* got uint8 .* \(3, 784\)", id="flat images"),
        pytest.param(IMAGES[:, :27], LABELS, r"images: .* got uint8 .* \(3, 27, 28\)", id="cropped images"),
        pytest.param(IMAGES, LABELS.astype(np.int64), "labels: expected uint8 .* got int64", id="dtype of labels"),
        pytest.param(IMAGES, LABELS[:, None], r"labels: .* \(3,\), got uint8 .* \(3, 1\)", id="labels as a column"),
        pytest.param(IMAGES, LABELS[:2], r"labels: .* \(3,\), got uint8 .* \(2,\)", id="a label too few"),
        pytest.param(IMAGES, LABELS + 8, "labels: expected 0 to 9, got 10", id="unknown class"),
        pytest.param(
            np.zeros((9_000, 28, 28), np.uint8),
            np.eye(1, 9_000, dtype=np.uint8)[0] * 255,
            "labels: expected 0 to 9, got 255",
            id="unknown class of the first",
        ),
        pytest.param(IMAGES[:0], LABELS[:0], "images: expected at least one", id="empty"),
        pytest.param(np.asarray(IMAGES[0, 0, 0]), LABELS, "images: expected at least one", id="a number"),
    ],
)
def test_split_of_another_form_is_refused(images: Any, labels: Any, message: str) -> None:
    """Images and labels that do not keep the contract are refused with what was expected and got."""
    with pytest.raises(ContractError, match=message):
        dataset.Split(images, labels)


@pytest.mark.parametrize("images", [np.zeros((3, 5), np.float32), np.zeros((3, 8, 8, 1), np.uint8), IMAGES])
@pytest.mark.parametrize("names", [("cat", "dog", "emu"), tuple("0123456789")], ids=["three", "ten"])
def test_classes_of_ones_own_have_images_of_any_shape(images: Any, names: tuple[str, ...]) -> None:
    """And of either type, however many classes there are."""
    assert len(dataset.Split(images, LABELS, names)) == 3


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((3, 8, 8)),
            "images: expected uint8 or float32 of shape (3, 8, 8), got float64 of shape (3, 8, 8). Convert it, or use "
            "what load() gives.",
        ),
        *(
            (
                np.diag(np.array([0, bad, 1], np.float32)),
                "images: expected finite numbers, got NaN or an infinity. Look at what made them.",
            )
            for bad in (np.nan, np.inf, -np.inf)
        ),
    ],
    ids=["float64", "NaN", "infinite", "minus infinity"],
)
def test_images_of_ones_own_must_be_numbers(images: Any, message: str) -> None:
    """The message says what to do."""
    with pytest.raises(ContractError) as caught:
        dataset.Split(images, LABELS, ("cat", "dog", "emu"))
    assert str(caught.value) == message


def test_labels_of_ones_own_are_of_its_classes() -> None:
    """A number that Fashion-MNIST has is none where there are fewer classes."""
    with pytest.raises(ContractError) as caught:
        dataset.Split(IMAGES, LABELS, ("cat", "dog"))
    assert str(caught.value) == "labels: expected 0 to 1, got 2. Give the number of a class."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"class_names": ["cat", "dog", "emu"]}, "class names: expected a tuple of texts, got a list."),
        ({"class_names": np.array(["cat", "dog", "emu"])}, "class names: expected a tuple of texts, got a ndarray."),
        ({"class_names": None}, "class names: expected a tuple of texts, got None."),
        # What is below a mask would be trained on, and no number there is too high for its maximum.
        (
            {"images": np.ma.masked_equal(IMAGES, 0)},
            "images: expected an array without masked values, got some. Leave those rows out.",
        ),
        (
            {"labels": np.ma.masked_greater(LABELS + np.uint8(1), 2)},
            "labels: expected an array without masked values, got some. Leave those rows out.",
        ),
    ],
)
def test_another_form_of_data_of_ones_own_is_refused(given: Any, said: str) -> None:
    """At once, and not after the training."""
    with pytest.raises(ContractError) as caught:
        dataset.Split(**{"images": IMAGES, "labels": LABELS, "class_names": ("cat", "dog", "emu"), **given})
    assert str(caught.value) == said


def test_images_of_ones_own_may_be_the_greatest_numbers() -> None:
    """Each is finite, though a float32 could not hold their sum."""
    images = np.full((3, 3), np.finfo(np.float32).max)
    assert np.array_equal(dataset.Split(images, LABELS, ("cat", "dog", "emu")).images, images)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected 2 bytes, got 0"),
        (b"a", "expected 2 bytes, got 1"),
        (b"abc", "expected 2 bytes, got more"),
        (b"a" * 1_000, "expected 2 bytes, got more"),
        (
            b"ba",
            "expected SHA-256 fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603, "
            "got 970f519c2cadbcefb1e81694f904bc6229dd2a8300e98c6d0d4fc4bfca584140",
        ),
    ],
)
def test_another_content_is_refused(content: bytes, message: str) -> None:
    """By its size, as far as it was read, and by its digest."""
    file = dataset.DataFile("name", 2, hashlib.sha256(b"ab").hexdigest())
    assert file.verified(b"ab") == b"ab"
    with pytest.raises(DataError) as caught:
        file.verified(content)
    assert str(caught.value) == message


def test_import_is_cheap() -> None:
    """Importing the dataset imports neither what downloads it nor TensorFlow."""
    heavy = {"keras", "platformdirs", "requests", "rich", "tensorflow", "urllib3"}
    script = f"import sys, fmnist.steps.dataset; print(sorted({heavy} & sys.modules.keys()))"
    python = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(fmnist.__file__).parents[1])},
        check=True,
        capture_output=True,
        text=True,
    )
    assert python.stdout == "[]\n"


def test_the_home_folder_is_known_by_its_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves a quoted ``~`` as it is; it is the home folder all the same."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("FMNIST_DATA_DIR", "~/data")
    assert dataset.data_folder() == Path("/home/someone/data")


def test_without_a_home_the_folder_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home folder, as in some containers, is told what to set."""
    monkeypatch.delenv("FMNIST_DATA_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", Mock(side_effect=KeyError("uid not found")))
    with pytest.raises(DataError, match="^data folder: expected a home folder, got none. Set FMNIST_DATA_DIR"):
        dataset.data_folder()
    monkeypatch.setenv("FMNIST_DATA_DIR", "~/data")
    with pytest.raises(DataError, match="^data folder: expected a home folder, as in '~/data', got none. Set FMNIST_"):
        dataset.data_folder()
