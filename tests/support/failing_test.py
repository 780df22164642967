"""A failure as the plugin for other people's tests must give it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.helpers import TESTS

from fmnist import testing


@contextmanager
def failing(said: str, kind: type[Exception] = AssertionError) -> Iterator[None]:
    """Expect a failure that says so, with a traceback of which pytest shows the test, and nothing of the plugin."""
    with pytest.raises(kind, match=said) as caught:
        yield
    shown = {Path(entry.path).parent for entry in caught.traceback.filter(caught)}
    assert TESTS / "testing" in shown
    assert Path(testing.__file__).parent not in shown
