"""The pages as people read them: links, commands, Python code and numbers, and what is wrong with each."""

import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs import tables

ROOT = Path(__file__).parents[2]

#: What docs/tables.py writes.
_GENERATED = re.compile(r"<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->", re.DOTALL)

_CODE = re.compile(r"^```.*?^```|^    .*?$|`[^`]*`", re.DOTALL | re.MULTILINE)

#: Numbers that a page may spell out: those that are measured, not the few of a list.
_WORDS = {
    word: str(number)
    for first, step, words in [
        (20, 10, ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")),
        (4, 1, ("fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")),
    ]
    for number, word in zip(itertools.count(first, step), words, strict=False)
}
#: Other words that stand for a number or a place in a row.
_OTHERS = """
    zero half third quarter fifths twentieth twice first second last two three four five six seven eight nine ten
"""

#: Words without which a sentence says the opposite, or more than is so; others like them begin with "un".
_TURNING = """
    no not none nothing nobody never neither nor cannot without only alone except all any every each always everybody
    more less fewer most least larger smaller longer shorter higher lower above below before after until first last
    off may must same equal other another different both either newest oldest newer older earlier later
    inside outside left right row rows column columns horizontal vertical seeded unseeded
    overrides replaces refuses refused accepts accepted keeps ignores ignored fails passes hits misses
"""

#: A block of code or of output.
_FENCED = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)

#: What a page says that is right or wrong: commands, code, where links and pictures lead, what stands in the place of
#: a picture, numbers, also in words, and words that turn a sentence.
_FACT = re.compile(
    r"^ {4}\S.*$|`[^`]+`|(?<=\]\()[^)]+|(?<=src=\")[^\"]+|(?<=srcset=\")[^\"]+|(?<=alt=\")[^\"]+|\d[\d,.e-]*\d|\d|"
    rf"\b(?:un\w+|{'|'.join([*_OTHERS.split(), *_TURNING.split(), *_WORDS])})\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Page:
    """A page in Markdown, or the texts of a notebook.

    Attributes
    ----------
    path : path
        Its file.
    """

    path: Path

    @property
    def text(self) -> str:
        """The whole page."""
        text = self.path.read_text(encoding="utf-8")
        if self.path.suffix != ".ipynb":
            return text
        return "\n\n".join(
            "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"
        )

    def tokens(self) -> Iterator[Token]:
        """Give all parts of the page, and those within them."""
        for token in MarkdownIt("commonmark").enable("table").parse(self.text):
            yield token
            yield from token.children or ()

    def links(self) -> list[str]:
        """Return the targets of all links and pictures."""
        tokens = list(self.tokens())
        linked = [str(token.attrs[name]) for token in tokens for name in ("href", "src") if name in token.attrs]
        html = "".join(token.content for token in tokens if token.type.startswith("html"))
        return linked + re.findall(r'(?:href|src|srcset)="([^"]*)"', html)

    def headings(self) -> list[str]:
        """Return the headings, whatever their level."""
        return re.findall(r"^#+ (.+)$", self.text, re.MULTILINE)

    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as GitHub makes them."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings()}

    def python(self) -> list[str]:
        """Return the blocks of Python code."""
        return [token.content for token in self.tokens() if token.type == "fence" and token.info == "python"]

    def commands(self) -> list[str]:
        """Return the commands, of blocks and within text."""
        tokens = list(self.tokens())
        blocks = [token.content for token in tokens if token.type == "code_block"]
        lines = [command for block in blocks for line in block.splitlines() for command in line.split(" && ")]
        codes = [token.content for token in tokens if token.type == "code_inline"]
        return lines + [code for code in codes if code == "tox" or (code.partition(" ")[0] in CHECKS and " " in code)]

    def facts(self) -> dict[str, list[str]]:
        """Return below each heading commands, code, targets and numbers, in order, but for generated tables."""
        prose = _FENCED.sub(lambda block: re.sub(r"(?m)^ *(?=\S)", "    ", block[1]), _GENERATED.sub("", self.text))
        _, *parts = re.split(r"^#+ (.+)$", prose, flags=re.MULTILINE)
        found = zip(parts[::2], map(_FACT.findall, parts[1::2]), strict=True)
        return {heading: facts for heading, facts in found if facts}

    def numbers(self, heading: str) -> set[str]:
        """Return the numbers in the text below a heading, generated tables and code aside."""
        [section] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", self.text, re.DOTALL | re.MULTILINE)
        prose = re.sub(r"^\d+\. ", "", _CODE.sub("", _GENERATED.sub("", section)), flags=re.MULTILINE)
        prose = re.sub(r"\]\([^)]*\)", "]", re.sub(r'<(?:[^>]*alt="([^"]*)")?[^>]*>', r"\1", prose))
        words = {number for word, number in _WORDS.items() if re.search(rf"\b{word}\b", prose, re.IGNORECASE)}
        return words | set(re.findall(r"(?<![\w.-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w-])", prose))


PAGES = tuple(Page(ROOT / name) for name in (*tables.PAGES, "SECURITY.md", "docs/walkthrough.ipynb"))


def wrong_with_link(page: Page, target: str) -> str | None:
    """Return what is wrong with a link of a page, or None."""
    if "://" in target:
        good = re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w./#-]*)?", target)
        return None if good else f"{target} is not the address of a page"
    name, _, anchor = target.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path
    if not path.exists() or not path.is_relative_to(ROOT):
        return f"there is no {name} beside {page.path.name}"
    if anchor and anchor not in Page(path).anchors():
        return f"{path.name} has no heading #{anchor}"
    return None


def wrong_with_command(command: str, pytest_help: str) -> str | None:
    """Return what is wrong with a command, or None; `pytest_help` says what pytest knows."""
    program, *arguments = shlex.split(command, comments=True)
    if program not in CHECKS:
        return f"{program} is no program that the pages may tell to type"
    return CHECKS[program](program, arguments, pytest_help)


def environments() -> set[str]:
    """Return the names of tox's environments."""
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    named = {name.removeprefix("testenv:") for name in tox.sections() if name.startswith("testenv:")}
    return named | set(tox["tox"]["env_list"].split(", "))


def _click(program: str, arguments: list[str], _: str) -> str | None:
    command: click.Command = tables.PROGRAMS[program]
    while isinstance(command, click.Group) and arguments:
        name, *arguments = arguments
        if name not in command.commands:
            return f"{command.name} has no command {name}"
        command = command.commands[name]
    context = click.Context(command)
    try:
        values, rest, _order = command.make_parser(context).parse_args(list(arguments))
        for param in command.params:
            _convert(param, values.get(param.name), context)
    except click.UsageError as error:
        return error.format_message()
    return f"unexpected {rest}" if rest else None


def _convert(param: click.Parameter, value: Any, context: click.Context) -> None:
    """Convert a value as the command would, but for a path, which may be missing, and for N, which stands for any."""
    if isinstance(value, str) and not value.isupper() and not isinstance(param.type, click.Path):
        param.type.convert(value, param, context)


def _tox(_: str, arguments: list[str], __: str) -> str | None:
    if arguments and arguments[:2] != ["run", "-e"]:
        return f"expected tox or tox run -e, got {arguments}"
    unknown = {name for names in arguments[2:3] for name in names.split(",")} - environments()
    return f"tox has no environment {unknown}" if unknown else None


def _pytest(_: str, arguments: list[str], known: str) -> str | None:
    options = re.findall(r"(?<!\S)(--?[a-z][\w-]*)([ =][A-Z])?", known)
    names, with_value = {name for name, _ in options}, {name for name, value in options if value}
    left = iter(arguments)
    for argument in left:
        if not argument.startswith("-"):
            path, _, name = argument.partition("::")
            if not (ROOT / path).exists() or f"def {name}" not in ((ROOT / path).read_text() if name else "def "):
                return f"there is no {argument}"
        elif argument not in names:
            return f"pytest has no option {argument}"
        elif argument in with_value:
            next(left)
    return None


def _files(_: str, arguments: list[str], __: str) -> str | None:
    """Check that each file that is named is there."""
    named = [argument for argument in arguments if re.search(r"\.(py|lock|txt)$", argument)]
    return next((f"there is no {name}" for name in named if not (ROOT / name).exists()), None)


def _activate(_: str, arguments: list[str], __: str) -> str | None:
    names = {f".tox/{name}/bin/activate" for name in environments()}
    return None if names.issuperset(arguments) else f"no environment of tox has {arguments}"


#: What checks the commands of a program.
CHECKS: Mapping[str, Callable[[str, list[str], str], str | None]] = {
    "fmnist": _click,
    "same": _click,
    "tox": _tox,
    "pytest": _pytest,
    "pip": _files,
    "uv": _files,
    "kfp": _files,
    "python": _files,
    "python3": _files,
    ".": _activate,
}
