"""Parts that messages share: a suggestion for a misspelt name, and an excerpt of a long text."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "excerpt"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the name nearest to `name`, after a space, or nothing if none is near.

    Examples
    --------
    >>> did_you_mean("epoch", ["epochs", "seed"])
    " Did you mean 'epochs'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def excerpt(text: str, length: int) -> str:
    """Return the first `length` characters of `text`, and dots if there are more.

    Examples
    --------
    >>> excerpt("a long text", 6)
    'a long ...'
    """
    return text if len(text) <= length else f"{text[:length]} ..."
