"""Documents of compiled pipelines, as far as their tasks go."""

from typing import Any

__all__ = ["SPEC", "ref"]


def ref(name: str) -> dict[str, Any]:
    """Return a task of a component."""
    return {"componentRef": {"name": name}}


#: Two tasks that share a part, with a task in it that shares its component with one at the top.
SPEC: dict[str, Any] = {
    "root": {"dag": {"tasks": {"p": ref("part"), "q": ref("part"), "a": ref("leaf")}}},
    "components": {
        "part": {"dag": {"tasks": {"b": ref("leaf"), "deep": ref("inner")}}},
        "inner": {"dag": {"tasks": {"c": ref("leaf")}}},
        "leaf": {"executorLabel": "exec"},
    },
    "deploymentSpec": {"executors": {"exec": {"importer": {"of": "it"}}}},
}
