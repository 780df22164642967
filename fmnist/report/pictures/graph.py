"""The picture of a pipeline: its parameters, its steps with their outputs, and which of these the next step takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmnist.report.pictures.style import LIGHT, TEXT, Kind, Theme, render, text_width
from fmnist.steps import files
from fmnist.steps.characters import printable
from fmnist.steps.errors import ContractError
from fmnist.steps.messages import excerpt

__all__ = ["graph"]

#: Sizes in points: the room around a card, its margin inside, its title, each row below, and the gap within a row.
_ROOM, _INSIDE, _TITLE, _ROW, _GAP = 32.0, 8.0, 22.0, 15.0, 14.0

#: The sizes of a card's title, and of what a row says of its name.
_TITLE_TEXT, _NOTE_TEXT = TEXT + 1.5, TEXT - 1

#: The characters of a text that are shown, and the bytes of a file that are read.
_LONGEST, LARGEST = 40, 32 << 20

#: The title of the card of the parameters, which no step has: kfp writes names of steps without capitals.
PARAMETERS = "Parameters"

Place = tuple[float, float]


@dataclass(frozen=True)
class _Card:
    """The parameters of a pipeline, or a step: its rows are names and what they are, its sources where arrows start."""

    title: str
    rows: tuple[tuple[str, str], ...]
    sources: frozenset[tuple[str, str]]
    column: int

    @property
    def height(self) -> float:
        return _TITLE + _ROW * len(self.rows) + _INSIDE

    @property
    def width(self) -> float:
        rows = (text_width(_shown(name)) + _GAP + text_width(_shown(note), _NOTE_TEXT) for name, note in self.rows)
        return 2 * _INSIDE + max(text_width(_shown(self.title), _TITLE_TEXT, weight="bold"), *rows, 0)


def graph(compiled: str | Path, *, theme: Theme = LIGHT, kind: Kind = "svg") -> bytes:
    """Return a picture of the pipeline in the file `compiled`: a card for each step, which lists its outputs.

    An arrow leads from an output to each step that takes it, and from the parameters to the steps that take some; it
    passes behind the cards between.

    Parameters
    ----------
    compiled : path
        A compiled pipeline of any steps. Of a group of steps, as a loop makes one, the whole is a card.

    Raises
    ------
    ContractError
        If the file is none.
    OSError
        If it cannot be read, or is larger than any that a server takes.
    """
    cards = _read(compiled)
    widths = [max(card.width for card in cards if card.column == at) for at in range(1 + max(c.column for c in cards))]
    places = dict(_placed(cards, widths))
    corners = [(x + widths[card.column], y + card.height) for card, (x, y) in places.items()]
    width, height = (_ROOM / 2 + max(axis) for axis in zip(*corners, strict=True))

    def draw(figure: Any) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for start, end in _arrows(places, widths):
            look = {"arrowstyle": "-|>", "color": theme.soft, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", end, start, arrowprops=look, zorder=0)
        for card, place in places.items():
            _draw_card(axes, theme, card, place, widths[card.column])

    return render((round(width * 96 / 72), round(height * 96 / 72)), theme, kind, draw)


def _read(compiled: str | Path) -> list[_Card]:
    import yaml

    content = files.read(compiled, LARGEST)
    try:
        cards = list(_cards(next(one for one in yaml.safe_load_all(content) if one is not None)))
        titles = {card.title for card in cards}
        if all(source in titles for card in cards for source, _ in card.sources):
            return cards
    except Exception:  # noqa: BLE001, S110 - reading what is no pipeline may end in anything
        pass
    raise ContractError(
        f"graph: expected a compiled pipeline in {compiled}, got something else. `fmnist compile` and kfp's compiler "
        "write one."
    )


def _cards(spec: Mapping[str, Any]) -> Iterator[_Card]:
    """Give the card of the parameters and those of the steps, each after all that it depends on."""
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    defaults = tuple((name, _default(one)) for name, one in parameters.items())
    if defaults:
        yield _Card(PARAMETERS, defaults, frozenset(), 0)
    columns: dict[str, int] = {}
    tasks = dict(spec["root"]["dag"]["tasks"])
    while tasks:
        name = next(name for name, task in tasks.items() if columns.keys() >= set(task.get("dependentTasks", ())))
        task = tasks.pop(name)
        first = 1 if defaults else 0
        columns[name] = max((columns[other] + 1 for other in task.get("dependentTasks", ())), default=first)
        yield _Card(name, _outputs(spec["components"][task["componentRef"]["name"]]), _sources(task), columns[name])


def _default(parameter: Mapping[str, Any]) -> str:
    value, kind = parameter.get("defaultValue", ""), parameter["parameterType"]
    if isinstance(value, list | dict):
        return str(kind)
    # In a compiled file every number has a fraction.
    return str(int(value) if kind == "NUMBER_INTEGER" and value != "" else value)


def _outputs(component: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    defined = component.get("outputDefinitions", {})
    kinds = {name: one["artifactType"]["schemaTitle"] for name, one in defined.get("artifacts", {}).items()}
    kinds |= {name: one["parameterType"] for name, one in defined.get("parameters", {}).items()}
    return tuple((name, kind.removeprefix("system.")) for name, kind in kinds.items())


def _sources(task: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return the outputs that a step takes, each with the step it is of; a parameter of the pipeline is of no row."""
    given = task.get("inputs", {})
    taken = [one for kind in ("parameters", "artifacts") for one in given.get(kind, {}).values()]
    outputs = (one.get("taskOutputArtifact") or one.get("taskOutputParameter") for one in taken)
    found = {(one["producerTask"], one.get("outputArtifactKey") or one["outputParameterKey"]) for one in outputs if one}
    return frozenset(found | {(PARAMETERS, "") for one in taken if "componentInputParameter" in one})


def _placed(cards: Sequence[_Card], widths: Sequence[float]) -> Iterator[tuple[_Card, Place]]:
    """Give each card with its upper left corner: a column to the right of all that it depends on."""
    tops = [_ROOM / 2] * len(widths)
    for card in cards:
        yield card, (_ROOM / 2 + sum(widths[: card.column]) + card.column * _ROOM, tops[card.column])
        tops[card.column] += card.height + _ROOM / 2


def _draw_card(axes: Any, theme: Theme, card: _Card, place: Place, width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    colour = theme.soft if card.title == PARAMETERS else theme.blue
    look: Any = {"boxstyle": "round,pad=0,rounding_size=5", "edgecolor": colour, "facecolor": theme.paper}
    axes.add_patch(FancyBboxPatch(place, width, card.height, **look))
    title = {"color": colour, "weight": "bold", "size": _TITLE_TEXT}
    axes.text(x + _INSIDE, y + _TITLE / 2 + 1, _shown(card.title), va="center", **title)
    for row, (name, note) in enumerate(card.rows):
        at = _middle(y, row)
        axes.text(x + _INSIDE, at, _shown(name), color=theme.ink, va="center")
        axes.text(x + width - _INSIDE, at, _shown(note), color=theme.soft, va="center", ha="right", size=_NOTE_TEXT)


def _shown(text: str) -> str:
    return printable(excerpt(text, _LONGEST))


def _middle(top: float, row: int) -> float:
    return top + _TITLE + _ROW * (row + 0.5)


def _arrows(places: Mapping[_Card, Place], widths: Sequence[float]) -> Iterator[tuple[Place, Place]]:
    """Give where each arrow starts and ends: from the row of an output, or the title of the parameters, to a title."""
    named = {card.title: (card, place) for card, place in places.items()}
    for card, (x, y) in places.items():
        for step, output in sorted(card.sources):
            source, (left, top) = named[step]
            rows = [name for name, _ in source.rows]
            start = _middle(top, rows.index(output)) if output in rows else top + _TITLE / 2
            yield (left + widths[source.column], start), (x, y + _TITLE / 2)
