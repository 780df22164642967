"""The labels folder: true labels, predicted labels, and the names of the classes.

It is three UTF-8 text files with one value a line, which any pipeline can write: ``true.txt`` and
``predicted.txt`` hold class numbers from 0, ``class_names.txt`` the names in the order of the numbers.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fmnist.steps.characters import INVISIBLE
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError
from fmnist.steps.files import read
from fmnist.steps.messages import excerpt

__all__ = ["Labels"]

TRUE, PREDICTED, CLASS_NAMES = "true.txt", "predicted.txt", "class_names.txt"

#: As many digits as any int64 can have.
_DIGITS = 18

#: The bytes of a file, the classes, and the characters of a name: a matrix of more would take minutes to draw.
_LARGEST, _MOST_CLASSES, _LONGEST_NAME = 2**24, 100, 100

#: A shorter text in which every other character is null may still be a name.
_LEAST = 6


@dataclass(frozen=True)
class Labels:
    """True and predicted labels of n images, in the same order.

    Attributes
    ----------
    true, predicted : int64 ndarray of shape (n,)
        Class numbers, 0 to k - 1.
    class_names : tuple of k str
        Distinct, not empty, each on one line and of at most 100 characters; k is at most 100.

    Raises
    ------
    ContractError
        If the parts do not fit together.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_names(self.class_names)
        for name, labels in (("true", self.true), ("predicted", self.predicted)):
            _check_labels(f"{name} labels", labels, len(self.class_names))
        if len(self.true) != len(self.predicted):
            raise ContractError(
                f"labels: expected as many true as predicted, got {len(self.true)} and {len(self.predicted)}."
            )

    def __repr__(self) -> str:
        return f"<Labels of {len(self.true):,} images and {len(self.class_names)} classes>"

    @classmethod
    def read(cls, folder: str | Path) -> "Labels":
        """Read a labels folder.

        Raises
        ------
        ContractError
            If a file is missing or broken, or the files do not fit together.
        """
        true, predicted = (_numbers(Path(folder, name)) for name in (TRUE, PREDICTED))
        return cls(true, predicted, tuple(_lines(Path(folder, CLASS_NAMES))))

    def files(self) -> Mapping[str, bytes]:
        """Return the content of each file of the labels folder."""
        return {
            TRUE: _text(map(str, self.true.tolist())),
            PREDICTED: _text(map(str, self.predicted.tolist())),
            CLASS_NAMES: _text(self.class_names),
        }


def _text(lines: "map[str] | Sequence[str]") -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(path: Path) -> list[str]:
    try:
        text = read(path, _LARGEST).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise ContractError(f"labels: expected a file {path}, got {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"labels: expected UTF-8 text in {path}, got {error}. Save it as UTF-8.") from error
    if len(text) >= _LEAST and not set(text[::2]) - {"\0"}:
        raise ContractError(f"labels: expected UTF-8 text in {path}, got what looks like UTF-16. Save it as UTF-8.")
    if not text.endswith("\n"):
        raise ContractError(f"labels: expected whole lines in {path}, got an end without a newline: is it truncated?")
    return text.removesuffix("\n").split("\n")


def _numbers(path: Path) -> NDArray[np.int64]:
    lines = _lines(path)
    for number, line in enumerate(lines, 1):
        if not (line.isascii() and line.isdigit() and len(line) <= _DIGITS):
            raise ContractError(
                f"labels: expected a class number in line {number} of {path}, got {excerpt(repr(line), 100)}."
            )
    return np.array(lines, dtype=np.int64)


def _check_labels(what: str, labels: NDArray[np.int64], classes: int) -> None:
    check_kind(what, labels, np.ndarray, "an array")
    if labels.dtype != np.int64 or labels.ndim != 1 or not labels.size:
        raise ContractError(f"{what}: expected int64 of shape (n,), n > 0, got {labels.dtype} of {labels.shape}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise ContractError(
            f"{what}: expected class numbers from 0 to {classes - 1}, got {labels.min()} to {labels.max()}."
        )


def _check_names(names: tuple[str, ...]) -> None:
    check_kind("class names", names, tuple, "a tuple of texts")
    for name in names:
        check_kind("class names", name, str, "texts")
    if len(names) > _MOST_CLASSES:
        raise ContractError(f"class names: expected at most {_MOST_CLASSES}, got {len(names)}. Merge some classes.")
    if broken := [name for name in names if name.encode(errors="ignore").decode() != name]:
        raise ContractError(f"class names: expected texts that UTF-8 can write, got {excerpt(ascii(broken[0]), 300)}.")
    bad = [name for name in names if not name.strip() or "\n" in name or "\r" in name]
    if bad or not names or len({_seen(name) for name in names}) != len(names):
        got = excerpt(ascii(list(names)), 300)
        raise ContractError(
            f"class names: expected distinct names, each one line and not blank, got {got}. Names that look the "
            "same, as é in one character and in two, are not distinct."
        )
    if long := [name for name in names if len(name) > _LONGEST_NAME]:
        got = f"{excerpt(repr(long[0]), 100)} of {len(long[0])}"
        raise ContractError(f"class names: expected at most {_LONGEST_NAME} characters each, got {got}.")


def _seen(name: str) -> str:
    """Return what a reader sees of a name: accents and blanks have several spellings, some characters are invisible."""
    return unicodedata.normalize("NFC", " ".join(INVISIBLE.sub("", name).split()))
