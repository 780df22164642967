"""The tests' own certificates are such as strict clients ask for."""

import ssl
from pathlib import Path

import pytest
from support import certificates


def test_a_strict_client_trusts_the_server(tmp_path: Path) -> None:
    """From Python 3.13 on each client is strict."""
    trusted = certificates.strictly(certificates.authority(tmp_path / "authority"))
    assert trusted["subject"] == ((("commonName", "localhost"),),)
    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        certificates.strictly(certificates.authority(tmp_path / "unidentified", identified=False))
