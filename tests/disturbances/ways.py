"""The ways to disturb, as the catalogue has them, and which of them can work together."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from disturbances import few

__all__ = ["CATALOGUE", "Disturbance", "grouped", "read"]

CATALOGUE = Path(__file__).with_name("catalogue.toml")

#: The keys of a catalogue that are lists.
LISTS = ("on", "prefix", "switches")


@dataclass(frozen=True)
class Disturbance:
    """One way to disturb, and what must come of it: the same bytes or, where `message` is given, a refusal.

    Attributes
    ----------
    id, title : str
        Its short name, and what it is.
    on : tuple of str
        What it reaches: functions, process, compile, run or call.
    python : str
        Code that runs in the process first; see `few.disturbed`.
    environment : dict of str
        Variables; ``~`` at the start of a value is the home folder.
    files, home : dict of str
        Content of files in the working folder, and in the home folder, by their paths there.
    folder : str
        The name of the working folder, in another.
    prefix : tuple of str
        A command to which the command is appended.
    switches : tuple of str
        Switches of Python.
    message : str
        What a refusal says; its exit code is `code`.
    alone : bool
        Whether it would hide others, or they it.
    """

    id: str
    title: str
    on: tuple[str, ...]
    python: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    prefix: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    message: str = ""
    code: int = few.REFUSED
    alone: bool = False

    def fits(self, other: "Disturbance") -> bool:
        """Return whether this and another one can work together."""
        names = [{*one.environment, *one.files, *one.home} for one in (self, other)]
        return not (self.alone or other.alone or self.calls or other.calls or names[0] & names[1])

    @property
    def calls(self) -> bool:
        """Whether it says how the functions are called."""
        return "def call" in self.python


def read(catalogue: Path) -> list[Disturbance]:
    """Return the disturbances of a catalogue, a TOML file with a table for each, named by its id."""
    entries = tomllib.loads(catalogue.read_text(encoding="utf-8"))
    tuples: Any = {name: {key: tuple(entry.get(key, ())) for key in LISTS} for name, entry in entries.items()}
    return [Disturbance(id=name, **{**entry, **tuples[name]}) for name, entry in entries.items()]


def grouped(ways: Iterable[Disturbance]) -> list[tuple[Disturbance, ...]]:
    """Put together those that fit."""
    groups: list[tuple[Disturbance, ...]] = []
    for way in ways:
        found = next((i for i, group in enumerate(groups) if all(map(way.fits, group))), None)
        if found is None:
            groups.append((way,))
        else:
            groups[found] = (*groups[found], way)
    return groups
