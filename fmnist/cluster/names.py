"""Names and descriptions for a cluster, checked before anything is sent.

A server answers one that it cannot keep with its own failure (500), and to a run's with the run started even so.
"""

import unicodedata

from fmnist.steps.errors import ContractError
from fmnist.steps.messages import shown

__all__ = ["DIGITS", "LONGEST", "NAMESPACE", "check_texts", "labels"]

#: The namespace of Kubeflow itself, and of all that runs on a cluster for one user.
NAMESPACE = "kubeflow"

#: How many hexadecimal digits of the digest of its content the name of a version has.
DIGITS = 16

#: What the server keeps at most of each text, and whether it counts bytes (Go's length) or characters (its database's).
LONGEST = {
    "pipeline": (128, "bytes"),
    "version": (127, "bytes"),
    "experiment": (128, "bytes"),
    "run": (255, "characters"),
    # A version's description is part of an address, of which Go's server takes 1 MiB.
    "pipeline_description": (300_000, "bytes"),
    "experiment_description": (255, "characters"),
    "run_description": (255, "characters"),
}


def check_texts(**texts: str) -> None:
    """Make sure that a server can keep each of `texts`: the names ``pipeline``, ``run``, ... and their descriptions.

    Raises
    ------
    ContractError
        If one is too long, holds characters that no name has, or is an empty name.

    Examples
    --------
    >>> check_texts(pipeline="fashion-mnist", run_description="")
    """
    for key, text in texts.items():
        what = key.replace("_", " ") if key.endswith("description") else f"{key} name"
        if not isinstance(text, str):
            raise ContractError(f"{what}: expected text, got {shown(text, 100)}.")
        if wanted := _wanted(key, text):
            raise ContractError(f"{what}: expected {wanted} ({shown(text, 100)}).")


def _wanted(key: str, text: str) -> str | None:
    """Return what a text lacks, or None if it is good."""
    try:
        size = {"bytes": len(text.encode()), "characters": len(text)}
    except UnicodeEncodeError:
        return "text in UTF-8, got other bytes"
    most, unit = LONGEST[key]
    if key.endswith("description"):
        if "\0" in text:
            return "text, got a NUL character"
    elif not text.strip():
        return "a name, got an empty one"
    elif any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text):
        return "one line of characters that can be shown, got a line's end or a control character"
    return f"at most {most} {unit}, got {size[unit]}" if size[unit] > most else None


def labels(name: str, description: str, namespace: str | None) -> dict[str, str]:
    """Return what the API calls these, of a pipeline or an experiment; on a cluster for one user there is no namespace.

    Examples
    --------
    >>> labels("fashion", "of clothes", None)
    {'display_name': 'fashion', 'description': 'of clothes'}
    """
    texts = {"display_name": name, "description": description}
    return texts | ({"namespace": namespace} if namespace else {})
