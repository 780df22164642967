"""The tests' own certificates are such as strict clients ask for."""

from pathlib import Path

from support import certificates


def test_a_strict_client_trusts_the_server(tmp_path: Path) -> None:
    """From Python 3.13 on each client is strict."""
    trusted = certificates.strictly(certificates.authority(tmp_path / "authority"))
    assert trusted["subject"] == ((("commonName", "localhost"),),)
