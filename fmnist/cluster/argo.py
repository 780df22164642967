"""The names and the ids that Argo Workflows gives to the nodes of a run: an id is a digest of the whole name."""

import re
from collections.abc import Iterator
from functools import lru_cache

__all__ = [
    "ATTEMPT",
    "ITERATION",
    "LEAF",
    "above",
    "around",
    "depth",
    "digest",
    "last",
    "node_id",
    "parent_of_executor",
]

#: Argo's own prime and start of a 32-bit FNV-1a digest.
_PRIME, _START = 0x01000193, 0x811C9DC5

#: The number of an attempt, or of a turn of a loop.
ATTEMPT = re.compile(r"\((\d+)\)$")
ITERATION = re.compile(r"\((\d+):")
#: What has no part of the pipeline below it.
LEAF = re.compile(r"(?:\.executor|-driver)(?:\(\d+\))?$")


def node_id(workflow: str, name: str) -> str:
    """Return the id that Argo gives to the node of this whole name.

    Examples
    --------
    >>> node_id("fashion-mnist-f96gm", "fashion-mnist-f96gm(0).root(0).train(0).executor(0)")
    'fashion-mnist-f96gm-1183275024'
    """
    return f"{workflow}-{digest(name)}"


# One look at a large run takes a second of this, and the next one asks for the same again.
@lru_cache(2**18)
def digest(text: str, start: int = _START) -> int:
    """Return the digest of `text` behind what has the digest `start`."""
    for byte in text.encode():
        start = ((start ^ byte) * _PRIME) & 0xFFFFFFFF
    return start


def last(name: str) -> str:
    """Return the last part of a name."""
    return name.rpartition(".")[2]


def above(name: str) -> str:
    """Return the name of the node around one: without its attempt, or without its last part."""
    return ATTEMPT.sub("", name) if ATTEMPT.search(name) else name.rpartition(".")[0]


def depth(name: str) -> int:
    """Return how many nodes are around one, and the dots of the workflow."""
    return name.count(".") + name.count("(")


def around(name: str) -> Iterator[str]:
    """Give the name of a node, and of each node around it."""
    while name:
        yield name
        name = above(name)


def parent_of_executor(name: str) -> str:
    """Return the name of the step whose executor this is, or nothing."""
    return name.removesuffix(".executor") if name.endswith(".executor") else ""
