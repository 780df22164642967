"""Parts that messages share: a suggestion for a misspelt name, an excerpt of a long text, any value, and one line."""

import contextlib
import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["did_you_mean", "excerpt", "kind_of", "say", "shown"]

_LONGEST_NAME = 100


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the name nearest to `name`, after a space, or nothing if none is near.

    Examples
    --------
    >>> did_you_mean("epoch", ["epochs", "seed"])
    " Did you mean 'epochs'?"
    """
    # Of a text that is no name the search would take seconds.
    near = difflib.get_close_matches(name, list(known), n=1) if len(name) <= _LONGEST_NAME else []
    return f" Did you mean {near[0]!r}?" if near else ""


def excerpt(text: str, length: int) -> str:
    """Return the first `length` characters of `text`, and dots if there are more.

    Examples
    --------
    >>> excerpt("a long text", 6)
    'a long ...'
    """
    return text if len(text) <= length else f"{text[:length]} ..."


def shown(value: Any, length: int = 200) -> str:
    """Return how Python writes `value`, or the first `length` characters of that; of what it cannot write, the type.

    Examples
    --------
    >>> shown("a long text", 6)
    "'a lon ..."
    >>> shown(10**5000)
    'an int'
    """
    try:
        return excerpt(repr(value), length)
    except Exception:  # noqa: BLE001 - a number of too many digits, too many levels, or somebody's own __repr__
        return kind_of(value)


def say(line: str) -> None:
    """Print a line of a step's log at once. That nobody reads it is no reason to end the step."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)  # noqa: T201 - a step's log is what it prints


def kind_of(value: Any) -> str:
    """Return the type of a value, with its article."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
