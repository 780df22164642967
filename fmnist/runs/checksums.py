"""The checksums of a run or a study: two lists in its folder, in the format of ``sha256sum``."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fmnist.report import FILE_NAME
from fmnist.runs.folder import RECORD, RUN
from fmnist.steps.errors import ContractError
from fmnist.steps.files import sha256, write

__all__ = ["CHECKSUMS", "DIGESTS", "OTHERS", "digests_in", "digests_of", "listing", "sign"]

#: The lists: of the files that must be the same each time, and of all but the log.
CHECKSUMS, DIGESTS = "SHA256SUMS", "RECORD.sha256"

#: What is in the second list alone: how a run or a study went, its report, and the first list.
OTHERS = (RUN, RECORD, FILE_NAME, CHECKSUMS)

_LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")


def listing(digests: Mapping[str, str]) -> bytes:
    """Return the lines that ``sha256sum -c`` checks, for SHA-256 digests by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file of `names` in `folder`, and of each file below a folder of `names`."""
    roots = [folder / name for name in names]
    paths = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()) for path in paths}


def sign(folder: Path, reproducible: Mapping[str, str]) -> None:
    """Write both lists of checksums of a finished run or study, given those of its reproducible files."""
    write(folder / CHECKSUMS, listing(reproducible))
    write(folder / DIGESTS, listing({**reproducible, **digests_of(folder, OTHERS)}))


def digests_in(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the recorded SHA-256 of each file, by name."""
    text = files[DIGESTS].decode("utf-8", "replace")
    digests = {name: digest for digest, name in _LINE.findall(text)}
    if listing(digests) != files[DIGESTS] or not all(map(str.isprintable, digests)):
        got = "line ends of Windows, as git writes them with core.autocrlf" if b"\r\n" in files[DIGESTS] else "others"
        raise ContractError(f"{DIGESTS}: expected lines of a SHA-256 and a name, each once, by name, got {got}")
    return digests
