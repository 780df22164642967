"""The state of a training after an epoch, as a file: a training that resumes from it gives the same bits."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.steps.dataset import Split
from fmnist.steps.determinism import tensorflow
from fmnist.steps.errors import ContractError
from fmnist.steps.files import read, sha256, write
from fmnist.steps.model import to_bytes
from fmnist.steps.settings import Settings

__all__ = ["Checkpoint"]

#: The most bytes of a header without its history, and those that an epoch adds.
_HEADER, _EPOCH = 2**16, 128

#: What a checkpoint says of the epochs before it: for each metric, one value an epoch.
History = dict[str, list[float]]


@dataclass(frozen=True)
class Checkpoint:
    """The place of a training's checkpoint, and what decides the training's bits.

    The file has a line with the SHA-256 of all that follows, a line of JSON with `training` and the history, and the
    bytes of all variables. It holds no shapes and no code: it fits variables that exist, or is refused.

    Attributes
    ----------
    path : Path
        The file.
    training : dict
        Settings, and digests of data, untrained network and code, with the versions of the libraries.
    """

    path: Path
    training: Mapping[str, Any]

    @classmethod
    def of(cls, path: str | Path, settings: Settings, data: Split, network: Any) -> "Checkpoint":
        """Return the checkpoint at `path` of a training with `settings` on `data`, which starts from `network`."""
        tf = tensorflow()
        import keras

        code = sorted(Path(__file__).parent.glob("*.py"))
        training = asdict(settings) | {
            "data": sha256(data.images.tobytes() + data.labels.tobytes()),
            "network": sha256(to_bytes(network)),
            "code": sha256(b"".join(file.read_bytes() for file in code)),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        return cls(Path(path), training)

    def save(self, variables: Sequence[Any], history: History) -> None:
        """Write the values of `variables` and the history up to now, atomically."""
        header = json.dumps({"training": self.training, "history": history}, sort_keys=True)
        state = b"".join(np.asarray(variable).tobytes() for variable in variables)
        body = header.encode() + b"\n" + state
        write(self.path, sha256(body).encode() + b"\n" + body)

    def restore(self, variables: Sequence[Any], metrics: Sequence[str]) -> History | None:
        """Give `variables` the values of the file, and return its history of `metrics`; without a file return None.

        Raises
        ------
        ContractError
            If the file is damaged, or belongs to another training. No variable has changed then.
        """
        if not self.path.exists():
            return None
        values = [np.asarray(variable) for variable in variables]
        ends = np.cumsum([value.nbytes for value in values])
        try:
            content = read(self.path, int(ends[-1]) + _HEADER + _EPOCH * self.training["epochs"])
        except OSError as error:
            raise self._refused("a regular file of this training's size", str(error.strerror)) from error
        digest, body = _first_line(content)
        if digest != (got := sha256(body).encode()):
            raise self._refused(f"content of SHA-256 {digest[:64]!r}", repr(got))
        header, state = _first_line(body)
        history = self._history(header, metrics)
        if ends[-1] != len(state):
            raise self._refused(f"{ends[-1]} bytes of variables", str(len(state)))
        for variable, value, end in zip(variables, values, ends, strict=True):
            new = np.frombuffer(state[end - value.nbytes : end], value.dtype)
            variable.assign(new.reshape(value.shape))
        return history

    def _history(self, header: bytes, metrics: Sequence[str]) -> History:
        """Return the history in the header of a checkpoint of this training."""
        try:
            found = json.loads(header)
            training, history = dict(found["training"]), dict(found["history"])
            epochs = {len(values) for values in history.values()}
            finite = all(type(value) is float and isfinite(value) for values in history.values() for value in values)
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise self._refused("a header with a training and its history", repr(error)) from error
        for name, expected in self.training.items():
            if (got := training.get(name)) != expected:
                raise self._refused(f"a training with {name} {expected!r}", repr(got))
        possible = [{epoch} for epoch in range(1, self.training["epochs"] + 1)]
        if history.keys() != set(metrics) or epochs not in possible or not finite:
            raise self._refused(f"a history of {', '.join(metrics)}, a number each epoch", "another")
        return {name: history[name] for name in metrics}

    def _refused(self, expected: str, got: str) -> ContractError:
        return ContractError(
            f"checkpoint {self.path}: expected {expected}, got {got}. It was not used. Delete this file to train from "
            "the start, or choose another folder."
        )


def _first_line(content: bytes) -> tuple[bytes, bytes]:
    """Return the first line, and what follows it."""
    line, _, rest = content.partition(b"\n")
    return line, rest
