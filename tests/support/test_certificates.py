"""The tests' own certificates are such as strict clients ask for."""

import ssl
from pathlib import Path

from support import certificates


def test_a_strict_client_trusts_the_server(tmp_path: Path) -> None:
    """From Python 3.13 on each client is strict."""
    made = certificates.authority(tmp_path / "authority")
    strict = ssl.create_default_context(cafile=made.ca)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict.wrap_bio(back, there, server_hostname="localhost")
    server = made.context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert (client.getpeercert() or {})["subject"] == ((("commonName", "localhost"),),)
