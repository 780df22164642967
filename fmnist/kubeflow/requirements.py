"""What a step installs on a cluster: the pinned requirements of what it imports, and no others; and what is pinned."""

import functools
import importlib.metadata
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files as resources
from typing import Any

from packaging.utils import canonicalize_name

from fmnist.kubeflow import bundle

__all__ = ["named", "one_version", "packages_of", "pinned", "pins"]

#: The packages whose modules have another name, also where they are not installed.
_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}

#: The modules that are in no package that a step installs: Python's, and ours.
_IN_NO_PACKAGE = sys.stdlib_module_names | {"fmnist"}

#: One version, one file by its address, or one commit of a repository.
_ONE = re.compile(
    r"\s*[A-Za-z0-9][\w.-]*\s*(?:\[[\w\s.,-]*\])?\s*(?:===?\s*([\w.!+-]+)\s*(?:;.*)?|@\s*\S.*)"
    r"|git\+\w+://[^/\s]+/\S+@\S+"
)


def pins(function: Callable[..., Any], others: Iterable[bytes] = ()) -> list[str]:
    """Return the pinned requirements of a component's `function`, each as ``name==version``, sorted.

    The step carries the code of `others` too. What nothing here pins is left out.

    Examples
    --------
    >>> from fmnist.kubeflow.components import confusion_matrix
    >>> [pin.partition("==")[0] for pin in pins(confusion_matrix)][:4]
    ['cloudpickle', 'contourpy', 'cycler', 'fonttools']
    """
    lock, needed, others = _lock(), set(), list(others)
    ours = (content for name, content in bundle.imported_by(function, others).items() if name.endswith(".py"))
    sources = [textwrap.dedent(inspect.getsource(function)).encode(), *ours, *others]
    modules = {name: name.partition(".")[0] for source in sources for name in bundle.imports(source)}
    outside = {name: top for name, top in modules.items() if top not in _IN_NO_PACKAGE}
    found = {package for name, top in outside.items() for package in packages_of(top, name)}
    while found:
        needed |= found
        found = {name for name, (_, wanted_by) in lock.items() if wanted_by & found} - needed
    return [lock[name][0] for name in sorted(needed & lock.keys())]


def one_version(requirement: str) -> str | None:
    """Return the one version that a requirement is pinned to, no text for an address, or None if it is not pinned.

    Examples
    --------
    >>> one_version("numpy==2.0"), one_version("numpy @ https://example.org/numpy.whl"), one_version("numpy>=2.0")
    ('2.0', '', None)
    """
    found = _ONE.fullmatch(requirement)
    return found and (found[1] or "")


def pinned() -> set[str]:
    """Return the names of all packages that are pinned here."""
    return {*_lock()}


def named(requirement: str) -> str:
    """Return the name of a requirement's package, as package indexes compare names."""
    return canonicalize_name(re.split(r"[\s\[=@;<>!~]", requirement.strip())[0])


def packages_of(top: str, name: str) -> list[str]:
    """Return the names of the packages that may have the module `name`, which is `top` or below it.

    What is pinned here by the name of its module is known so. Else that is what is installed here, or, where it is not,
    a package of that name. Several packages may have parts of a namespace, as of google: their files tell them apart.

    Examples
    --------
    >>> packages_of("dateutil", "dateutil.parser"), packages_of("google", "google.protobuf")
    (['python-dateutil'], ['protobuf'])
    """
    package = named(_PACKAGES.get(top, top))
    here = [] if package in pinned() else sorted({*_distributions().get(top, ())})
    if not any(file.startswith((f"{top}.", f"{top}/")) for one in here for file in _files(one)):
        return [*map(named, here)] or [package]
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = "/".join(parts[:count])
        # Below a folder that is no package there are modules, and no other names.
        ends = (".", "/") if count == len(parts) else (".", "/__init__.")
        begins = tuple(f"{path}{end}" for end in ends)
        if found := [named(one) for one in here if any(file.startswith(begins) for file in _files(one))]:
            return found
    return [named("-".join(parts[:count])) for count in range(2, len(parts) + 1)]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the packages that are here by the modules that they have, which takes a second to find out."""
    return importlib.metadata.packages_distributions()


@functools.cache
def _files(distribution: str) -> list[str]:
    """Return the paths of all files of a package that is here."""
    return [file.as_posix() for file in importlib.metadata.files(distribution) or ()]


@functools.cache
def _lock() -> dict[str, tuple[str, set[str]]]:
    """Return each package that a step may need: its pin, and the packages that require it."""
    text = resources(__package__).joinpath("requirements.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^((.+)==\S+) +# via (.*)$", text, flags=re.MULTILINE)
    return {name: (pin, set(wanted_by.split(", "))) for pin, name, wanted_by in lines}
