"""What a step installs on a cluster: the pinned requirements of what it imports, and no others; and what is pinned."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from importlib.resources import files as resources
from typing import Any

from fmnist.kubeflow import bundle

__all__ = ["one_version", "package_of", "pinned", "pins"]

#: The packages whose modules have another name.
_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}

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
    modules = {name.partition(".")[0] for source in sources for name in bundle.imports(source)}
    found = {package_of(name) for name in modules}
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


def package_of(module: str) -> str:
    """Return the name of the package that has a module, if it is one that is pinned here."""
    return _PACKAGES.get(module, module)


def _lock() -> dict[str, tuple[str, set[str]]]:
    """Return each package that a step may need: its pin, and the packages that require it."""
    text = resources(__package__).joinpath("requirements.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^((.+)==\S+) +# via (.*)$", text, flags=re.MULTILINE)
    return {name: (pin, set(wanted_by.split(", "))) for pin, name, wanted_by in lines}
