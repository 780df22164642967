"""What the Pipelines API promises of its answers: the type of each field that is read here."""

from collections.abc import Mapping
from typing import Any

from fmnist.steps.errors import FmnistError
from fmnist.steps.messages import kind_of

__all__ = ["AnswerError", "HalfAnswerError", "checked"]

#: The fields that list mappings, and what each of these must have.
_LISTS = {
    "artifact_tasks": "artifact_id",
    "child_tasks": None,
    "experiments": "experiment_id",
    "pipeline_versions": "pipeline_version_id",
    "pipelines": "pipeline_id",
    "pods": None,
    "runs": "run_id",
    "state_history": None,
    "task_details": None,
    "tasks": None,
}
#: What people put into these is theirs.
_FREE = ("metadata", "parameters", "pipeline_spec")
_MAPPINGS = (
    "error", "pipeline_version_reference", "producer", "run_details", "runtime_config", "status_metadata",
    "type_attributes",
)  # fmt: skip
_TEXTS = (
    "create_time", "created_at", "display_name", "end_time", "experiment_id", "message", "name",
    "next_page_token", "parent_task_id", "pipeline_id", "pipeline_version_id", "pod_name", "run_id", "start_time",
    "state", "status", "task_id", "task_name", "type", "uri",
)  # fmt: skip

_KINDS: dict[str, tuple[type[Any], str]] = {
    **dict.fromkeys(_LISTS, (list, "list")),
    **dict.fromkeys((*_FREE, *_MAPPINGS), (dict, "mapping")),
    **dict.fromkeys(_TEXTS, (str, "text")),
}


class AnswerError(FmnistError):
    """An answer is not what the API promises."""


class HalfAnswerError(AnswerError):
    """An answer was cut."""


def checked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer without its nulls, which the API does not tell from what is left out.

    Raises
    ------
    AnswerError
        If a field is not of its type.

    Examples
    --------
    >>> checked({"run_id": "one", "state": None})
    {'run_id': 'one'}
    """
    return {key: _checked(key, value) for key, value in answer.items() if value is not None}


def _checked(key: str, value: Any) -> Any:
    kind, word = _KINDS.get(key, (object, ""))
    if not isinstance(value, kind):
        raise AnswerError(f"an answer whose {key} is no {word}, but {kind_of(value)}")
    if key in _LISTS:
        return [_item(key, one) for one in value]
    return checked(value) if key in _MAPPINGS else value


def _item(key: str, one: Any) -> dict[str, Any]:
    if not isinstance(one, dict):
        raise AnswerError(f"an answer whose {key} has {kind_of(one)} in the place of a mapping")
    found, needed = checked(one), _LISTS[key]
    if needed and not found.get(needed):
        raise AnswerError(f"an answer whose {key} has one without {needed}")
    return found
