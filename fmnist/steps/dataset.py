"""The dataset: Fashion-MNIST as Zalando Research published it, verified at each read."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fmnist.steps import sources
from fmnist.steps.checks import check_kind
from fmnist.steps.data_file import DataFile
from fmnist.steps.errors import ContractError, DataError
from fmnist.steps.sources import Progress

__all__ = [
    "CLASS_NAMES",
    "FILES",
    "TRAINING_IMAGES",
    "DataFile",
    "Progress",
    "Split",
    "data_folder",
    "fetch",
    "load",
]

#: The TensorFlow tutorial's names of the ten classes, in the order of their labels.
CLASS_NAMES: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

#: The files: training images, training labels, test images, test labels.
FILES: tuple[DataFile, ...] = (
    DataFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    DataFile(
        "train-labels-idx1-ubyte",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    DataFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    DataFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)

TRAINING_IMAGES = 60_000

# The headers of the IDX format: a magic number and each axis' length, four bytes each.
_IMAGES_HEADER, _LABELS_HEADER = 16, 8


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels, n of each, in the same order.

    Attributes
    ----------
    images : uint8 ndarray of shape (n, 28, 28)
        Grey values from 0, the background, to 255; n is 1 or more. With classes of one's own also float32, and of any
        shape (n, ...).
    labels : uint8 ndarray of shape (n,)
        Class numbers, 0 to k - 1.
    class_names : tuple of k str
        The names of the classes, in the order of their numbers; by default Fashion-MNIST's.

    Raises
    ------
    ContractError
        If the arrays are of another form, or hold another class.
    """

    images: NDArray[Any]
    labels: NDArray[np.uint8]
    class_names: tuple[str, ...] = CLASS_NAMES

    def __post_init__(self) -> None:
        for name in ("images", "labels"):
            check_kind(name, array := getattr(self, name), np.ndarray, "an array, as load() returns it")
            if np.ma.is_masked(array):
                raise ContractError(f"{name}: expected an array without masked values, got some. Leave those rows out.")
        check_kind("class names", self.class_names, tuple, "a tuple of texts")
        n = len(self.images) if self.images.ndim else 0
        if n == 0:
            raise ContractError("images: expected at least one, got none. Give a split that holds images.")
        own = self.class_names != CLASS_NAMES
        kinds = (np.uint8, np.float32) if own else (np.uint8,)
        _check_form("images", self.images, kinds, (n, *self.images.shape[1:]) if own else (n, 28, 28))
        _check_form("labels", self.labels, (np.uint8,), (n,))
        if not np.isfinite(self.images.sum(dtype=np.float64)):
            raise ContractError("images: expected finite numbers, got NaN or an infinity. Look at what made them.")
        if (highest := self.labels.max()) >= len(self.class_names):
            raise ContractError(
                f"labels: expected 0 to {len(self.class_names) - 1}, got {highest}. Give the number of a class."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<Split of {len(self):,} images>"


def _check_form(name: str, array: NDArray[Any], kinds: tuple[type, ...], shape: tuple[int, ...]) -> None:
    if array.dtype not in kinds or array.shape != shape:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ContractError(
            f"{name}: expected {expected} of shape {shape}, got {array.dtype} of shape {array.shape}. "
            "Convert it, or use what load() gives."
        )


def data_folder() -> Path:
    """Return the folder for the data: what FMNIST_DATA_DIR names or, without it, the user's cache folder.

    Raises
    ------
    DataError
        If the user has no home folder, and FMNIST_DATA_DIR names none.
    """
    import platformdirs

    given = os.environ.get("FMNIST_DATA_DIR")
    try:
        return Path(given or platformdirs.user_cache_path("fmnist")).expanduser()
    except RuntimeError as error:
        of = f", as in {given!r}" if given else ""
        raise DataError(
            f"data folder: expected a home folder{of}, got none. Set FMNIST_DATA_DIR to a folder."
        ) from error


def load(name: Literal["train", "test"], *, offline: bool = False, on_progress: Progress | None = None) -> Split:
    """Return the training or the test set; fetch the files that `data_folder()` lacks.

    Parameters
    ----------
    name : {"train", "test"}
        60,000 or 10,000 images.
    offline : bool
        Whether to stay away from the network.
    on_progress : callable
        Called as a `Progress` during downloads.

    Returns
    -------
    Split
        With read-only arrays.

    Raises
    ------
    ContractError
        If there is no split of that name.
    DataError
        If no source has the published data, or `data_folder()` cannot be written.
    """
    check_kind("split", name, str, "'train' or 'test'")
    if name not in ("train", "test"):
        raise ContractError(f"split: expected 'train' or 'test', got {name!r}. Ask for one of the two.")
    files = FILES[:2] if name == "train" else FILES[2:]
    found = sources.find(files, data_folder(), offline=offline, on_progress=on_progress)
    images, labels = (np.frombuffer(found[file.name], np.uint8) for file in files)
    return Split(images[_IMAGES_HEADER:].reshape(-1, 28, 28), labels[_LABELS_HEADER:])


def fetch(*, offline: bool = False, on_progress: Progress | None = None) -> Path:
    """Put all four files into `data_folder()`, decompressed and verified, and return it.

    Parameters and errors are those of `load`.
    """
    sources.find(FILES, folder := data_folder(), offline=offline, on_progress=on_progress)
    return folder
