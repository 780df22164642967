"""Tests of the labels folder."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.steps.errors import ContractError
from fmnist.steps.labels import Labels, _seen

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\ufeff"), min_size=1, max_size=100).filter(str.strip),
    min_size=1,
    max_size=40,
    unique_by=_seen,
)


@st.composite
def any_labels(draw: st.DrawFn) -> Labels:
    """Labels of any classes, with names in any script."""
    names = draw(NAMES, label="class names")
    classes = st.integers(0, len(names) - 1)
    pairs = draw(st.lists(st.tuples(classes, classes), min_size=1, max_size=50), label="true, predicted")
    true, predicted = np.array(pairs, np.int64).T
    return Labels(true, predicted, tuple(names))


def write(folder: Path, labels: Labels) -> None:
    """Write a labels folder."""
    folder.mkdir(exist_ok=True)
    for name, content in labels.files().items():
        (folder / name).write_bytes(content)


@given(labels=any_labels())
def test_labels_are_read_back_unchanged(labels: Labels, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is written is read: labels in order, names in any script."""
    folder = tmp_path_factory.mktemp("labels")
    write(folder, labels)
    read = Labels.read(folder)
    assert np.array_equal(read.true, labels.true)
    assert np.array_equal(read.predicted, labels.predicted)
    assert read.class_names == labels.class_names


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("true.txt", None, r"expected a file .*true\.txt, got No such file"),
        ("predicted.txt", None, r"expected a file .*predicted\.txt, got No such file"),
        ("class_names.txt", None, r"expected a file .*class_names\.txt, got No such file"),
        ("true.txt", b"", r"expected whole lines in .*true\.txt"),
        ("true.txt", b"0\n1", r"expected whole lines in .*is it truncated\?"),
        ("true.txt", b"0\n1\n", "expected as many true as predicted, got 2 and 3"),
        ("predicted.txt", b"0\n1\n", "expected as many true as predicted, got 3 and 2"),
        ("true.txt", b"0\n0\n1\n\n", r"expected a class number in line 4 of .*true\.txt, got ''"),
        ("true.txt", b"0\nnan\n1\n", r"expected a class number in line 2 of .*true\.txt, got 'nan'"),
        ("true.txt", b"0\n-1\n1\n", "expected a class number in line 2 of .* got '-1'"),
        ("true.txt", b"0\n1.0\n1\n", "expected a class number in line 2 of .* got '1.0'"),
        ("true.txt", "0\n٣\n1\n".encode(), "expected a class number in line 2 of "),
        ("true.txt", b"0\n" + b"9" * 18 + b"\n1\n", "expected class numbers from 0 to 1, got 0 to 9{18}"),
        ("true.txt", b"0\n" + b"9" * 19 + b"\n1\n", r"expected a class number in line 2 of .* got '9{19}'"),
        ("predicted.txt", b"0\n1\n2\n", "predicted labels: expected class numbers from 0 to 1, got 0 to 2"),
        ("class_names.txt", b"cat\n", "true labels: expected class numbers from 0 to 0, got 0 to 1"),
        ("class_names.txt", b"cat\ncat\n", "expected distinct names"),
        ("class_names.txt", b"cat\ndog\ncat\n", "expected distinct names"),
        ("class_names.txt", b"cat\n \n", "expected distinct names, each one line and not blank"),
        ("class_names.txt", "cat\ndog\n".encode("utf-16-be"), r"got what looks like UTF-16. Save it as UTF-8"),
        ("class_names.txt", b"\0a\0b\0\n", r"got what looks like UTF-16. Save it as UTF-8"),
        ("class_names.txt", "cat\ndog\n".encode("utf-16"), r"expected UTF-8 text in .*class_names.* Save it as UTF-8"),
        ("class_names.txt", b"\xff\xfe\n", r"expected UTF-8 text in .*class_names\.txt"),
        ("class_names.txt", b"".join(b"%d\n" % i for i in range(101)), "expected at most 100, got 101"),
        ("class_names.txt", b"cat\n" + b"x" * 101 + b"\n", "at most 100 characters each, got 'x{99} ... of 101"),
        # Also where most of them are invisible.
        ("class_names.txt", b"cat\ndog" + "\u200b".encode() * 98 + b"\n", "at most 100 characters each, got .* of 101"),
        ("class_names.txt", b"cat\n" * 100, r"expected distinct names.*got .{300} \.\.\.\. Names that look the same"),
        ("true.txt", b"x" * 10_000 + b"\n", r"expected a class number in line 1 of .*, got 'x{99} \.\.\.\.$"),
        ("true.txt", bytes(2**24 + 1), r"expected a file .*true\.txt, got it is larger than 16777216 bytes"),
    ],
)
def test_a_bad_labels_folder_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """A missing, truncated or wrong file is refused, with its name and what was expected."""
    write(tmp_path, Labels(np.array([0, 1, 1]), np.array([0, 0, 1]), ("cat", "dog")))
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ContractError, match=message):
        Labels.read(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
@pytest.mark.parametrize("name", ["true.txt", "predicted.txt", "class_names.txt"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    """A pipe or a device in the place of a file is not waited for, and not read."""
    write(tmp_path, Labels(np.array([0, 1, 1]), np.array([0, 0, 1]), ("cat", "dog")))
    (tmp_path / name).unlink()
    make(tmp_path / name)
    with pytest.raises(ContractError, match=f"expected a file .*{name}, got it is no regular file"):
        Labels.read(tmp_path)


@pytest.mark.parametrize("name", ["cat\n", "c\rat", " ", ""], ids=repr)
def test_names_that_are_not_one_line_are_refused(name: str) -> None:
    """A name that would not be read back as it was is refused."""
    for names in ((name, "dog"), ("cat", "dog", name)):
        with pytest.raises(ContractError, match="^class names: expected distinct names, each one line and not blank"):
            Labels(np.array([0]), np.array([0]), names)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    """A folder whose name is not in UTF-8 gives such a text, and its class would end in an error of encoding."""
    for names in (("na\udcefve", "dog"), ("cat", "dog", "na\udcefve", "\udcef")):
        with pytest.raises(ContractError) as refused:
            Labels(np.array([0]), np.array([0]), names)
        assert str(refused.value) == "class names: expected texts that UTF-8 can write, got 'na\\udcefve'."


@pytest.mark.parametrize(
    "true",
    [np.array([0.0, 1.0]), np.array([[0], [1]]), np.array([], np.int64)],
    ids=["float", "2-d", "empty"],
)
def test_labels_of_another_kind_are_refused(true: np.ndarray) -> None:
    """Labels that are not a list of whole numbers are refused."""
    with pytest.raises(ContractError, match=r"true labels: expected int64 of shape \(n,\), n > 0"):
        Labels(true, np.array([0, 1]), ("cat", "dog"))


@pytest.mark.parametrize(
    ("true", "names", "message"),
    [
        ([0, 1], ("cat", "dog"), "true labels: expected an array, got a list."),
        (np.array([0, 1]), ["cat", "dog"], "class names: expected a tuple of texts, got a list."),
        (np.array([0, 1]), None, "class names: expected a tuple of texts, got None."),
        (np.array([0, 1]), ("cat", 1, None), "class names: expected texts, got an int."),
    ],
    ids=["labels", "names", "no names", "name"],
)
def test_another_kind_is_named(true: Any, names: Any, message: str) -> None:
    """The error says which part is of which kind, and what was expected."""
    with pytest.raises(ContractError, match=f"^{re.escape(message)}$"):
        Labels(true, np.array([0, 1]), names)


@pytest.mark.parametrize(("lowest", "highest"), [(-1, 1), (0, 2)])
def test_a_number_that_no_class_has_is_refused(lowest: int, highest: int) -> None:
    """Below the first class or above the last one, of the true and of the predicted labels."""
    right, wrong = np.array([0, 1]), np.array([lowest, highest])
    for name, pair in {"true": (wrong, right), "predicted": (right, wrong)}.items():
        with pytest.raises(ContractError) as caught:
            Labels(*pair, ("cat", "dog"))
        expected = f"{name} labels: expected class numbers from 0 to 1, got {lowest} to {highest}."
        assert str(caught.value) == expected


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    """Some editors begin UTF-8 text with a byte-order mark."""
    labels = Labels(np.array([0, 1]), np.array([1, 1]), ("cat", "dog"))
    for name, content in labels.files().items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
    assert Labels.read(tmp_path).files() == labels.files()


@pytest.mark.parametrize(
    "names",
    [
        ("é", "e\u0301"),
        ("é", "e\u200b\u0301"),
        ("cat", "cat "),
        ("cat", "\u3000cat\t"),
        ("a cat", "a\u00a0cat"),
        ("a cat", "a  cat"),
        ("a cat", "a \u200b cat"),
        ("cat", "c\u200bat"),
        ("cat", "\ufeffcat"),
        ("cat", "\u202ecat"),
        *(("cat", f"c{character}at") for character in "\u00ad\u061c\u200c\u200d\u200e\u200f\u2060\u2063\u2066\u2069"),
        *(("cat", f"c{character}at") for character in "\u202a\u202b\u202c\u202d\ufe00\ufe01\ufe0e\ufe0f"),
    ],
    ids=ascii,
)
def test_names_that_look_the_same_are_refused(names: tuple[str, str]) -> None:
    """Two rows of a table that nobody can tell apart are one too many."""
    with pytest.raises(ContractError, match="Names that look the same, as é in one character and in two"):
        Labels(np.array([0, 1]), np.array([0, 1]), names)


@pytest.mark.parametrize("end", ["\r\n", "\r"], ids=repr)
def test_other_ends_of_lines_are_read(tmp_path: Path, end: str) -> None:
    """A folder that Windows' tools wrote, or git's autocrlf changed, is the same labels."""
    labels = Labels(np.array([0, 1]), np.array([1, 1]), ("cat", "dog"))
    for name, content in labels.files().items():
        (tmp_path / name).write_bytes(content.replace(b"\n", end.encode()))
    assert Labels.read(tmp_path).files() == labels.files()


@pytest.mark.parametrize(
    "names",
    [
        *(
            ("é", "e"),
            ("m²", "m2"),
            ("X" * 100, "-ray"),
            ("X-ray", "-ray"),
            ("靴", "包"),
            ("👟", "👜"),
            ("حذاء", "حقيبة"),
        ),
        *(("Bag", "bag"), ("STRASSE", "straße"), ("靴" * 100, "👟" * 100)),
    ],
    ids=ascii,
)
def test_names_in_any_script_are_kept(tmp_path: Path, names: tuple[str, str]) -> None:
    """A name is kept as it was given, also one with accents of their own."""
    labels = Labels(np.array([0, 1]), np.array([1, 1]), names)
    write(tmp_path, labels)
    assert Labels.read(tmp_path).class_names == names
