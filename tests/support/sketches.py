"""Sketches: what stands for pictures in tests of what is made of them, because drawing takes long."""

import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fmnist.report import pictures
from fmnist.report.pictures import saving

DRAWINGS = ("confusion_matrix", "distribution", "loss_curves", "recalls")

THEMES = {pictures.LIGHT: "light", pictures.DARK: "dark"}


def sketch(draw: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return what stands for a function that draws: in the place of a picture it gives what it was asked for."""
    signature = inspect.signature(draw)

    def sketched(*data: Any, **look: Any) -> bytes:
        asked = signature.bind(*data, **look)
        asked.apply_defaults()
        theme, kind = THEMES[asked.arguments.pop("theme")], asked.arguments.pop("kind")
        narrow = "narrow " if asked.arguments.pop("narrow", False) else ""
        values = {name: np.asarray(value).tolist() for name, value in asked.arguments.items()}
        return f"{narrow}{theme} {kind} {draw.__name__} of {values}".encode()

    return sketched


@contextlib.contextmanager
def sketched() -> Iterator[None]:
    """Sketch what else would be drawn."""
    with pytest.MonkeyPatch.context() as patch:
        for place, name in itertools.product((pictures, saving), DRAWINGS):
            patch.setattr(place, name, sketch(getattr(place, name)))
        yield
