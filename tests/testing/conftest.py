"""What tests of the plugin share."""

import pytest

from fmnist.testing import components


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between two calls that are compared: nothing here depends on a clock."""
    monkeypatch.setattr(components, "TICK", 0.0)
