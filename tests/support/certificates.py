"""Certificates of the tests' own: an authority, and servers that it vouches for."""

import contextlib
import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests' own: its certificate, and that of a server for `host`."""

    ca: Path
    context: ssl.SSLContext


def authority(folder: Path, host: str = "localhost", *, identified: bool = True) -> Authority:
    """Make an authority, and the certificate of a server that is called `host`, in a new folder.

    Without the authority's identifier strict clients refuse it.
    """
    folder.mkdir()
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    only_signs = x509.KeyUsage(
        **dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False),
        **dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False),
        key_cert_sign=True,
    )
    is_ca = x509.BasicConstraints(ca=True, path_length=0)
    ca = certificate("tests' CA", ca_key.public_key(), "tests' CA", ca_key, is_ca, only_signs)
    name = x509.SubjectAlternativeName([x509.DNSName(host)])
    own = certificate(host, key.public_key(), "tests' CA", ca_key, name, identified=identified)
    (folder / "ca.pem").write_bytes(ca)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return Authority(folder / "ca.pem", context)


def strictly(made: Authority) -> dict[str, Any]:
    """Connect to the server as a strict client does, and return the certificate that it trusts."""
    strict = ssl.create_default_context(cafile=made.ca)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict.wrap_bio(back, there, server_hostname="localhost")
    server = made.context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return dict(client.getpeercert() or {})


def certificate(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
    identified: bool = True,
) -> bytes:
    """Return a certificate in PEM format, valid from yesterday to tomorrow, with all that strict clients ask for."""
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
        key,
        x509.random_serial_number(),
        now - day,
        now + day,
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    for identifier in (
        x509.SubjectKeyIdentifier.from_public_key(key),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
    ):
        builder = builder.add_extension(identifier, critical=False) if identified else builder
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
