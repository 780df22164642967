"""What a step needs: the code that it carries, and what it installs for that. What would be missing is refused here."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fmnist.kubeflow import bundle, requirements
from fmnist.kubeflow.code import Code
from fmnist.steps.errors import ContractError

__all__ = ["LONGEST", "carried_by", "check_length", "installed_by", "needed"]

#: Linux refuses a longer argument of a program (MAX_ARG_STRLEN), and a step's program is one.
LONGEST = 128 * 1024 - 1

#: What an optional import is guarded against.
_GUARDS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def carried_by(function: Callable[..., Any], code: Sequence[Code]) -> dict[str, bytes]:
    """Return the content of each file that a component's `function` carries of `code`, by its path, sorted.

    Raises
    ------
    ContractError
        If a file cannot be carried, two of `code` have one of the same name, or a module that `function` or a carried
        one imports is neither carried nor installed.
    """
    found = _own(code)
    sources = {f"step {function.__name__}": textwrap.dedent(inspect.getsource(function)).encode()}
    sources |= {name: content for name, content in found.items() if name.endswith(".py")}
    installed = _installed(code)
    for where, source in sources.items():
        for name, certain in needed(where, source):
            _check(where, name, found, code, installed, certain=certain)
    if any(one.package == "fmnist" for one in code):
        found |= bundle.imported_by(function, [content for name, content in found.items() if name.endswith(".py")])
    return dict(sorted(found.items()))


def installed_by(function: Callable[..., Any], code: Sequence[Code]) -> list[str]:
    """Return the requirements of a step that carries `code`, sorted by name: fmnist's pins and `code`'s own.

    Where both have a package, it is installed as `code` has it.
    """
    modules = [content for name, content in _own(code).items() if name.endswith(".py")]
    pins = {requirements.named(pin): pin for pin in requirements.pins(function, modules)} | _installed(code)
    return [pins[name] for name in sorted(pins)]


def check_length(name: str, program: str, files: dict[str, bytes]) -> None:
    """Make sure that the program of the step `name` fits into an argument.

    Raises
    ------
    ContractError
        If it does not, with its largest files.
    """
    if (length := len(program.encode())) > LONGEST:
        largest = sorted(files, key=lambda file: -len(files[file]))[:3]
        raise ContractError(
            f"step {name}: expected a program of at most {LONGEST:,} bytes, which Linux takes as one argument, got "
            f"{length:,}: it carries {len(files)} files, the largest are "
            f"{', '.join(f'{file} ({len(files[file]):,} bytes)' for file in largest)}. Carry fewer, by patterns, "
            "or compile for an image that has them."
        )


def _own(code: Sequence[Code]) -> dict[str, bytes]:
    """Return the files of all code but fmnist's."""
    found: dict[str, bytes] = {}
    for one in code:
        for name, content in one.files().items() if one.package != "fmnist" else ():
            if found.setdefault(name, content) != content:
                raise ContractError(
                    f"code {one.package!r}: expected one {name}, got two with other bytes. Rename one of the packages."
                )
    return found


def _installed(code: Sequence[Code]) -> dict[str, str]:
    """Return the requirements that `code` has, by the names of their packages."""
    found: dict[str, str] = {}
    for one in code:
        for text in one.packages:
            if requirements.one_version(text) is None:
                raise ContractError(
                    f"code {one.package!r}: expected packages of one version, as in 'torch==2.9.0', got {text!r}."
                )
            if found.setdefault(requirements.named(text), text) != text:
                raise ContractError(
                    f"code {one.package!r}: expected {found[requirements.named(text)]}, as other code, got {text}."
                )
    return found


def needed(where: str, source: bytes) -> Iterator[tuple[str, bool]]:
    """Give the dotted name of all that a source imports, and whether it certainly is a module.

    Also what it takes from fmnist itself, as in ``fmnist.train``. A relative import that leads out of the package keeps
    its dots.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ContractError(
            f"code: expected Python in {where}, got {error}. Mend it, or leave it out of the patterns."
        ) from error
    *package, _ = where.split("/")
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        nodes += [one for one in ast.iter_child_nodes(node) if one not in _optional(node)]
    aliases = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    bound = {
        one.asname or "fmnist"
        for one in aliases
        if one.name == "fmnist" or (one.name.startswith("fmnist.") and not one.asname)
    }
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            yield f"fmnist.{node.attr}", False
        elif isinstance(node, ast.Import):
            yield from ((alias.name, True) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level > len(package):
                yield f"{'.' * node.level}{node.module or ''}", True
                continue
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base, True
            yield from ((f"{base}.{alias.name}", False) for alias in node.names)


def _optional(node: ast.AST) -> Sequence[ast.AST]:
    """Return what in `node` may import what is not there, or never does so in a step."""
    if isinstance(node, ast.Try):
        caught = {name for one in node.handlers for name in (_names(one.type) if one.type else _GUARDS)}
        if not caught & _GUARDS:
            return []
        # Python's own modules are there, so that nothing is caught.
        tops = {name.partition(".")[0] for one in node.body for name in bundle.imports(ast.unparse(one))}
        return [*node.body, *(node.handlers if tops and tops <= sys.stdlib_module_names else [])]
    if isinstance(node, ast.With):
        calls = [one.context_expr for one in node.items if isinstance(one.context_expr, ast.Call)]
        passed = [_names(kind) for one in calls if "suppress" in _names(one.func) for kind in one.args]
        return node.body if _GUARDS & set[str]().union(*passed) else []
    if not isinstance(node, ast.If):
        return []
    if isinstance(node.test, ast.UnaryOp):
        return node.orelse if _never(node.test.operand) else []
    return node.body if _never(node.test) else []


def _never(test: ast.AST) -> bool:
    """Return whether a condition is never met in a step."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(map(_never, test.values))
    return ast.unparse(test) == "__name__ == '__main__'" or (
        isinstance(test, ast.Name | ast.Attribute) and "TYPE_CHECKING" in _names(test)
    )


def _names(node: ast.AST) -> set[str]:
    names = (one for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute))
    return {one.id if isinstance(one, ast.Name) else one.attr for one in names}


def _check(  # noqa: PLR0913 - all that decides
    where: str, name: str, found: dict[str, bytes], code: Sequence[Code], installed: dict[str, str], *, certain: bool
) -> None:
    """Make sure that a step finds the module `name`; where it is not `certain`, it may be another name of a module."""
    top, path = name.partition(".")[0], name.replace(".", "/")
    if not top:
        raise ContractError(
            f"code: expected imports from the packages of {where}, got one from {name}, which leads out of them. "
            "Import it by its whole name."
        )
    own = [one for one in code if one.package.partition(".")[0] == top]
    if top in {"kfp", *sys.stdlib_module_names} and not own:
        return
    if top == "fmnist":
        if own:
            return
        raise ContractError(f"code: expected what {where} imports, got nothing that carries {name}. Add FMNIST to it.")
    if own:
        carried = any(file.startswith((f"{path}.", f"{path}/")) for file in found)
        if not carried and (certain or any(one.has(name) for one in own)):
            patterns = ", ".join(repr(pattern) for one in own for pattern in one.patterns)
            raise ContractError(
                f"code: expected what {where} imports, got no {name}, which none of the patterns {patterns} of "
                f"{own[0].package!r} matches. Add one, or leave {where} out."
            )
        return
    known = {*requirements.pinned(), *installed}
    names = requirements.packages_of(top, name)
    if requirements.named(top) not in installed and not known & {*names}:
        what = top if names == requirements.packages_of(top, top) else name
        raise ContractError(
            f"code: expected what {where} imports, got no package that has {what}. Name one in packages, as in "
            f"'{names[0]}==1.0', or carry it, with Code({what!r})."
        )
