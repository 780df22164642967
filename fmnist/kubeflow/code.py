"""Code for the steps of any pipeline: an author's own packages and modules, and the parts of fmnist beside them."""

import importlib.util
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fmnist.kubeflow import bundle
from fmnist.steps.checks import check_kind
from fmnist.steps.errors import ContractError
from fmnist.steps.files import read

__all__ = ["FMNIST", "Code"]

#: More bytes are no code for a step: a compiled pipeline holds what one argument of a program may hold.
LARGEST = 16 << 20

#: A file at its path in the package; each part is a name.
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Files of one package or module, which a step carries, or which its image must hold as they are here.

    A step carries each file that a pattern matches, and the ``__init__.py`` of its packages: the same bytes from any
    checkout, whatever their times, modes and order. Compiled files are never matched, and hidden ones only by a pattern
    that begins with a dot. Of fmnist itself a step carries what it imports, directly or through others.

    Attributes
    ----------
    package : str
        Dotted name of a package or a module, which can be imported here.
    patterns : sequence of str
        Which files of its folder, as in ``*.py``, ``**/*.py`` for those of folders too, or ``data/*.csv``.
    packages : sequence of str
        What the files import and fmnist does not pin: requirements of one version, as in ``torch==2.9.0``.

    Raises
    ------
    ContractError
        If one of these is of another kind, such as a module in place of its name.

    Examples
    --------
    >>> sorted(Code("fmnist.steps.errors").files())
    Traceback (most recent call last):
    ...
    fmnist.steps.errors.ContractError: code: expected fmnist as a whole, as in FMNIST, got 'fmnist.steps.errors'.
    """

    package: str
    patterns: Sequence[str] = ("**/*.py",)
    packages: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_kind("code", self.package, str, "the name of a package or module, as in Code('mine')")
        for name, example in (("patterns", "*.py"), ("packages", "torch==2.9.0")):
            given = getattr(self, name)
            # A text is a sequence too, of its letters.
            texts = (given,) if isinstance(given, str) else given
            what, expected = f"code {self.package!r}, {name}", f"a list of texts, as in [{example!r}]"
            check_kind(what, texts, Sequence, expected)
            for one in texts:
                check_kind(what, one, str, expected)
            object.__setattr__(self, name, tuple(texts))

    def files(self) -> dict[str, bytes]:
        """Return the content of each file, by its path from where the package is imported, sorted.

        Raises
        ------
        ContractError
            If the package cannot be imported, a pattern matches no file or one outside of the package, or a file
            cannot be carried.
        """
        if self.package == "fmnist":
            return bundle.source_files(self.patterns)
        paths = self._paths()
        if (size := sum(path.stat().st_size for path in paths.values())) > LARGEST:
            raise self._error(
                f"at most {LARGEST:,} bytes of code and small data",
                f"{size:,} in {len(paths)} files. Match fewer, and let the step fetch its data",
            )
        for name in paths:
            try:
                tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
            except ValueError as error:
                raise self._error(
                    "names in UTF-8 that an archive can hold, of at most 100 bytes", repr(name)
                ) from error
        return {name: self._read(paths[name]) for name in sorted(paths)}

    def digest(self) -> str:
        """Return one SHA-256 for all files: the digest of their ``sha256sum`` list."""
        return bundle.digest_of(self.files())

    def require(self, expected: str) -> None:
        """Make sure that a pipeline was compiled from the files that are here.

        Raises
        ------
        ContractError
            If the files here have another digest.
        """
        bundle.require_digest(self.package, expected, self.digest())

    def has(self, module: str) -> bool:
        """Return whether there is a module of this dotted name in the folder that the package is imported from."""
        path, above = module.replace(".", "/"), self.package.count(".")
        bases = [root.parents[above] for root in self._roots()]
        return any((base / file).is_file() for base in bases for file in (f"{path}.py", f"{path}/__init__.py"))

    def _roots(self) -> list[Path]:
        """Return the folders of the package, of which only a namespace package has several, or the file of a module."""
        expected = "a package or module of your own that can be imported here, from a folder"
        if self.package.partition(".")[0] in {"fmnist", "__main__", *sys.stdlib_module_names}:
            if self.package.startswith("fmnist."):
                raise ContractError(f"code: expected fmnist as a whole, as in FMNIST, got {self.package!r}.")
            raise self._error(expected, "one of Python's own" if self.package != "__main__" else "the program itself")
        try:
            spec = importlib.util.find_spec(self.package)
        except Exception as error:  # importing somebody's parent package may raise anything
            name = self.package.removesuffix(".py")
            advice = f". Name it as an import does, {name!r}" if name != self.package else ""
            raise self._error(expected, f"{type(error).__name__}: {error}{advice}") from error
        # Namespace packages have several, and what a program made while it ran has none.
        found = [one for one in (spec.submodule_search_locations or (spec.origin,)) if one] if spec else []
        roots = [
            Path(one) for one in found if Path(one).is_dir() or (Path(one).suffix == ".py" and Path(one).is_file())
        ]
        if not roots:
            raise self._error(expected, f"{found[0]}" if found else "none. Install it, or compile where it is")
        return roots

    def _paths(self) -> dict[str, Path]:
        """Return where each file is, by its path from where the package is imported."""
        paths: dict[str, Path] = {}
        unused = {pattern: _pattern(pattern, self) for pattern in self.patterns}
        wanted = list(unused.values())
        above = self.package.split(".")
        for root in self._roots():
            prefix = above if root.is_dir() else above[:-1]
            for parts, path in self._matched(root, wanted):
                # As for an import, the first portion of a namespace package has it.
                paths.setdefault("/".join((*prefix, *parts)), path)
                unused = {text: one for text, one in unused.items() if not _matches(parts, one)}
            for folder in {parent.as_posix() for name in paths for parent in Path(name).parents[:-1]}:
                here = os.fsdecode(folder.encode(errors="surrogateescape"))
                if (path := root.parents[len(above) - 1] / here / "__init__.py").is_file():
                    paths.setdefault(f"{folder}/__init__.py", path)
        if unused:
            raise self._error(
                f"a file for each pattern, got none for {', '.join(map(repr, unused))}",
                f"{len(paths)} for the others in {root if root.is_dir() else root.name}",
            )
        return paths

    def _matched(self, root: Path, wanted: list[Parts]) -> Iterator[tuple[Parts, Path]]:
        """Give each file of `root` that a pattern matches."""
        if root.is_file():
            if any(_matches((root.name,), one) for one in wanted):
                yield (root.name,), root
            return
        home = root.resolve()
        folders: list[tuple[Parts, Path]] = [((), root)]
        while folders:
            above, folder = folders.pop()
            for path in sorted(folder.iterdir()):
                # In UTF-8, whatever the locale takes the bytes of a name for.
                parts = (*above, os.fsencode(path.name).decode(errors="surrogateescape"))
                if path.name == "__pycache__" or path.suffix in {".pyc", ".pyo"}:
                    continue
                is_folder = path.is_dir()
                if not any((_reaches if is_folder else _matches)(parts, one) for one in wanted):
                    continue
                # A link to a folder above would never end.
                if path.is_symlink() and not _inside(path, home, is_folder=is_folder):
                    raise self._error("files in the package's folder", f"a link out of it, or in a circle: {path}")
                if is_folder:
                    folders.append((parts, path))
                elif not path.is_file():
                    raise self._error("regular files", str(path))
                else:
                    yield parts, path

    def _read(self, path: Path) -> bytes:
        try:
            content = read(path, LARGEST)
        except OSError as error:
            raise self._error("files that can be read", f"{path}: {error.strerror}") from error
        # Data are carried as they are; of Python's code a checkout decides the ends of lines.
        return content.replace(b"\r\n", b"\n") if path.suffix == ".py" else content

    def _error(self, expected: str, got: str) -> ContractError:
        return ContractError(f"code {self.package!r}: expected {expected}, got {got}.")


#: The parts of fmnist that its own steps use.
FMNIST = Code("fmnist", bundle.STEPS)


def _pattern(text: str, code: Code) -> Parts:
    """Return the parts of a pattern; what it means does not follow the release of Python, as pathlib's do."""
    parts = tuple(text.split("/"))
    if not text or {"", ".", ".."} & set(parts):
        raise ContractError(
            f"code {code.package!r}: expected patterns of files in its folder, as in 'data/*.csv', got {text!r}."
        )
    return parts


def _matches(parts: Parts, pattern: Parts) -> bool:
    """Return whether a pattern matches the path of a file."""
    if not pattern or not parts:
        return (not pattern and not parts) or pattern == ("**",)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (not parts[0].startswith(".") and _matches(parts[1:], pattern))
    return _name_matches(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _reaches(parts: Parts, pattern: Parts) -> bool:
    """Return whether a pattern may match a file below the path of a folder."""
    if not parts or not pattern:
        return bool(pattern)
    if pattern[0] == "**":
        return _reaches(parts, pattern[1:]) or (not parts[0].startswith(".") and _reaches(parts[1:], pattern))
    return _name_matches(parts[0], pattern[0]) and _reaches(parts[1:], pattern[1:])


def _name_matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and name.startswith(".") <= pattern.startswith(".")


def _inside(link: Path, home: Path, *, is_folder: bool) -> bool:
    """Return whether a link leads to something in the folder `home` and, if to a folder, to none that it is in."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return target.is_relative_to(home) and not (is_folder and link.parent.resolve().is_relative_to(target))
