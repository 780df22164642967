"""A file of the dataset, and how to tell that it is the published one."""

from dataclasses import dataclass

from fmnist.steps.errors import DataError
from fmnist.steps.files import sha256

__all__ = ["DataFile"]


@dataclass(frozen=True)
class DataFile:
    """A file of the dataset, as published.

    Attributes
    ----------
    name : str
        Its name without ``.gz``.
    size : int
        Its bytes, decompressed.
    sha256 : str
        The SHA-256 digest of the decompressed bytes, 64 hexadecimal digits.
    """

    name: str
    size: int
    sha256: str

    def verified(self, content: bytes) -> bytes:
        """Return `content`; the caller need not read more than ``size + 1`` bytes of it.

        Raises
        ------
        DataError
            If it is not the published content.
        """
        if len(content) != self.size:
            got = "more" if len(content) > self.size else len(content)
            raise DataError(f"expected {self.size} bytes, got {got}")
        if (digest := sha256(content)) != self.sha256:
            raise DataError(f"expected SHA-256 {self.sha256}, got {digest}")
        return content
