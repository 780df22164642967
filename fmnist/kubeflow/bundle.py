"""The step code of a compiled pipeline: an archive that it carries, or a digest of the code that its image must hold.

kfp can embed a folder, but its archive holds times, owners and compiled files, so that every compilation differs
and Kubeflow's step cache never hits. Here archive and digest are made of the package's sources alone.
"""

import ast
import base64
import functools
import gzip
import inspect
import io
import json
import re
import tarfile
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256

__all__ = [
    "ARCHIVE",
    "REPLICATION",
    "STEPS",
    "archive",
    "compact",
    "digest",
    "digest_of",
    "embed",
    "imported_by",
    "imports",
    "read",
    "refer",
    "require",
    "require_digest",
    "source_files",
]

PACKAGE = Path(__file__).parents[1]

#: The data files of the rooms of the package, as patterns.
_DATA = ("replication/*.json", "report/templates/*.j2")

#: The source files that a step of the pipeline needs, and those that a step which judges results needs, as patterns.
STEPS = ("__init__.py", "steps/**/*.py")
REPLICATION = (
    *STEPS,
    "kubeflow/__init__.py",
    "kubeflow/bundle.py",
    "kubeflow/environment.py",
    "kubeflow/processes.py",
    "replication/*.py",
    "report/**/*.py",
    "runs/__init__.py",
    "runs/checked.py",
    "runs/checksums.py",
    "runs/findings.py",
    "runs/folder.py",
    "runs/provenance.py",
    "runs/recorded.py",
    "runs/schemas.py",
    "runs/shard_folder.py",
    "runs/shards.py",
    "runs/study.py",
    "runs/study_folder.py",
    "runs/workers.py",
    *_DATA,
)

#: The digests of all code, which a step carries with its part of it.
_DIGESTS = "kubeflow/digests.json"

#: The archive that kfp embeds in the source of a component.
ARCHIVE = re.compile(r"(?<=^__KFP_EMBEDDED_ARCHIVE_B64 = ')[A-Za-z0-9+/=]*(?=')", re.MULTILINE)


def source_files(patterns: Sequence[str] = STEPS) -> dict[str, bytes]:
    """Return the content of each source file of the package that matches a pattern, by its path, sorted.

    Raises
    ------
    ContractError
        If there is none for a pattern.
    """
    matched = {pattern: set(PACKAGE.glob(pattern)) for pattern in patterns}
    if unused := [pattern for pattern, found in matched.items() if not found]:
        raise ContractError(f"code 'fmnist': expected a file for each pattern, got none for {', '.join(unused)}.")
    paths = set[Path]().union(*matched.values())
    return {path.relative_to(PACKAGE.parent).as_posix(): read(path) for path in sorted(paths)}


def read(path: Path) -> bytes:
    """Return the content of a source file as it was committed, also in a checkout that has Windows' ends of lines."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def imported_by(function: Callable[..., Any], others: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Return the content of each source file that a component's `function` needs, by its path, sorted.

    The step carries the code of `others` too, which may need more.

    That is each module that it imports, directly or through others, and the data files of their rooms. A step carries
    no more. The package's own `__init__` would import all steps: it is empty here. A step that asks for the `digest` of
    the code, of which it has only a part, gets the one of now.
    """
    found = {"fmnist/__init__.py": b""}
    own = [textwrap.dedent(inspect.getsource(function)).encode(), *others]
    sources = list(own)
    while sources:
        for name in (one for one in imports(sources.pop()) if one.startswith("fmnist.")):
            module = PACKAGE.parent / name.replace(".", "/")
            for file in (module.with_suffix(".py"), module / "__init__.py", module.parent / "__init__.py"):
                key = file.relative_to(PACKAGE.parent).as_posix()
                if file.is_file() and key not in found:
                    found[key] = read(file)
                    sources.append(found[key])
    # Its import is no statement in `training`: only what gives `train` something to `create` needs it.
    if "fmnist/steps/training.py" in found and any(b"create" in source for source in own):
        found["fmnist/steps/own_network.py"] = read(PACKAGE / "steps" / "own_network.py")
    rooms = {Path(name).parts[1] for name in found}
    found |= {name: content for name, content in source_files(_DATA).items() if Path(name).parts[1] in rooms}
    if "fmnist/kubeflow/bundle.py" in found:
        digests = {" ".join(patterns): digest(patterns) for patterns in (STEPS, REPLICATION)}
        found[f"fmnist/{_DIGESTS}"] = json.dumps(digests).encode()
    return dict(sorted(found.items()))


@functools.cache
def imports(source: str | bytes) -> frozenset[str]:
    r"""Return the dotted name of each module that `source` imports, and of each name that it imports from a module.

    Examples
    --------
    >>> sorted(imports("import json\nfrom fmnist.steps import files"))
    ['fmnist.steps', 'fmnist.steps.files', 'json']
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


@functools.cache
def compact(source: bytes) -> bytes:
    r"""Return Python code without what only its readers need, each statement on its line, which errors name.

    That is docstrings, comments, `__all__`, and the types of parameters and of what a function returns.

    Examples
    --------
    >>> compact(b"__all__ = ['f']\ndef f(x: int) -> int:\n    'Say it.'\n    return x  # or not\n")
    b'\ndef f(x):\n    ""\n    return x\n'
    """
    lines = source.splitlines(keepends=True)
    comments = [one for one in tokenize.tokenize(io.BytesIO(source).readline) if one.type == tokenize.COMMENT]
    for comment in comments:
        number, column = comment.start
        lines[number - 1] = lines[number - 1].decode()[:column].rstrip().encode() + b"\n"
    nodes = list(ast.walk(ast.parse(source)))
    # From the last of a line to its first: places count from the line's begin.
    for line, begin, end in sorted(filter(None, map(_type, nodes)), reverse=True):
        lines[line] = lines[line][:begin].rstrip(b" ->") + lines[line][end:]
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            text = node.body[0]
            first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
            lines[first] = lines[first][: text.col_offset] + b'""' + lines[last][text.end_col_offset :]
            lines[first + 1 : last + 1] = [b"\n"] * (last - first)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [b"\n"] * (end - node.lineno + 1)
    return b"".join(lines)


def _type(node: ast.AST) -> tuple[int, int, int] | None:
    """Return line, begin and end of the type of a parameter, or of what a function returns, if it is on one line."""
    if isinstance(node, ast.arg) and (kind := node.annotation):
        line, begin = node.lineno, node.col_offset + len(node.arg.encode())
    elif isinstance(node, ast.FunctionDef) and (kind := node.returns):
        line, begin = kind.lineno, kind.col_offset
    else:
        return None
    return (line - 1, begin, kind.end_col_offset or 0) if line == kind.end_lineno else None


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return `files` as a gzipped tar: in their order, undated, owned by nobody."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def digest(patterns: Sequence[str] = STEPS) -> str:
    """Return the digest of the source files, as `digest_of` gives it."""
    if (carried := PACKAGE / _DIGESTS).exists():
        return str(json.loads(carried.read_bytes())[" ".join(patterns)])
    return digest_of(source_files(patterns))


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return one SHA-256 for all `files`: the digest of their ``sha256sum`` list."""
    return sha256("".join(f"{sha256(content)}  {name}\n" for name, content in files.items()).encode())


def embed(source: str, files: Mapping[str, bytes]) -> str:
    """Return a component's `source` with the archive of `files` in the place of the one that kfp embedded.

    The package's code is `compact` there, as a cluster keeps about eight copies of it in one object of 1 MiB at most.
    Other code is carried as it is: it may read its own docstrings.

    Raises
    ------
    ContractError
        If kfp embedded no archive in `source`, or more than one.
    """
    ours = re.compile(r"fmnist/.*\.py")
    carried = {name: compact(content) if ours.fullmatch(name) else content for name, content in files.items()}
    source, count = ARCHIVE.subn(base64.b64encode(archive(carried)).decode(), source)
    if count != 1:
        raise ContractError(f"component source: expected one archive embedded by kfp, got {count}.")
    return source


def refer(source: str, patterns: Sequence[str] = STEPS) -> str:
    """Return a component's `source` with a first statement that `require`s the code that is here now."""
    check = f"bundle.require({digest(patterns)!r}, {tuple(patterns)!r})"
    return f"from fmnist.kubeflow import bundle\n\n{check}\n\n{source}"


def require(expected: str, patterns: Sequence[str]) -> None:
    """Make sure that a pipeline was compiled from the code that is here.

    Raises
    ------
    ContractError
        If the code here has another digest.
    """
    require_digest("fmnist", expected, digest(patterns))


def require_digest(package: str, expected: str, got: str) -> None:
    """Raise a ContractError where the code of `package` that is here has another digest than a pipeline says."""
    if got != expected:
        raise ContractError(
            f"image: expected the code of {package} that the pipeline was compiled from, of digest {expected}, got "
            f"{got}. Build the image from that checkout, or compile with what is in the image."
        )
