"""Certificates: a development authority for `exchange init --tls`, and checks of what is there.

An exchange in earnest has its own authority; these are the files it has to provide (PEM), all in
the folder tls.certificates of the configuration, each process needing its own two only:

    node-N.pem, node-N.key                        each node
    client-GATEWAY_ID.pem, client-GATEWAY_ID.key  each gateway (fix.gateway_id, ouch.gateway_id)
    client-CLIENT_ID.pem, client-CLIENT_ID.key    the market-data process (marketdata.client_id)
    client-operator.pem, client-operator.key      the verbs of `exchange`

The name of the file is also the DNS name in the certificate (cluster/tls.py says what it opens).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.settings import TlsSettings
from cluster.tls import TlsError, check_private, client_context, reason
from exchange.settings import AUTHORITY
from gateway.tls import ListenerTls, listener_context

VALID_FOR = timedelta(days=730)
CLOCKS_DIFFER_BY = timedelta(hours=1)
"""New certificates are valid from so long ago: clocks of machines are never quite the same."""

NOTE = """\
Certificates of a DEVELOPMENT authority, made by `exchange init --tls`, valid for two years.

ca.key can sign a certificate for anybody: whoever reads it can be any node. It lies here
unencrypted beside what it signed, which is fine on a machine of your own and nowhere else. An
exchange in earnest has an authority that stays offline, and puts onto each machine ca.pem and the
one pair that is needed there. To replace certificates: new files, then restart one process after
the other.
"""


class Issued(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey


class Found(NamedTuple):
    """A certificate on disk that has passed every check."""

    name: str
    path: Path
    not_after: datetime

    @property
    def days_left(self) -> int:
        """Whole days until it expires."""
        return (self.not_after - datetime.now(UTC)).days


# --- making ---------------------------------------------------------------------------------------


def _builder(
    common_name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(common_name))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER_BY)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def make_authority(now: datetime | None = None) -> Issued:
    """A new authority: signs itself, and certificates of processes, but no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = "development authority of an exchange"
    builder = _builder(common_name, _named(common_name), key.public_key(), now or datetime.now(UTC))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Issued, name: str, now: datetime | None = None) -> Issued:
    """A new certificate for the DNS name `name`. Only those of nodes (`node-...`) can serve."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = _builder(name, issuer, key.public_key(), now or datetime.now(UTC))
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if name.startswith("node-"):
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(
        authority.private_key.public_key()
    )
    builder = (
        builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(authority_key, critical=False)
    )
    return Issued(builder.sign(authority.private_key, hashes.SHA256()), key)


def save(issued: Issued, folder: Path, name: str) -> None:
    """Write NAME.pem (0644) and NAME.key (0600). Raises OSError, also when one is there already."""
    key = issued.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(folder / f"{name}.key", key, 0o600)
    certificate = issued.certificate.public_bytes(serialization.Encoding.PEM)
    _write(folder / f"{name}.pem", certificate, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Make a file that never had a wider mode, not even for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask says
        file.write(content)


def make_certificates(folder: Path, names: list[str]) -> None:
    """Fill a new folder with an authority and a certificate for each name. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True)
    authority = make_authority()
    save(authority, folder, Path(AUTHORITY).stem)
    for name in names:
        save(issue(authority, name), folder, name)
    (folder / "README.txt").write_text(NOTE)


# --- checking -------------------------------------------------------------------------------------


def check(settings: TlsSettings, name: str) -> Found:
    """Check that a process called `name` can use its files: they exist, fit each other, are valid
    today, carry the name, and only their owner reads the key.

    Raises TlsError with the file, what is wrong with it, and what to do."""
    check_private(settings.private_key)
    authorities = _read(settings.authority)
    certificate = _read(settings.certificate)[0]
    client_context(settings)  # the key belongs to the certificate
    signer = next((each for each in authorities if _has_signed(each, certificate)), None)
    if signer is None:
        problem = f"was not signed by {settings.authority}: take both from one authority"
        raise TlsError(f"{settings.certificate} {problem}")
    _check_dates(settings.authority, signer)
    _check_dates(settings.certificate, certificate)
    names = _names(certificate)
    if name not in names:
        carried = ", ".join(names) or "nobody"
        raise TlsError(f"{settings.certificate} is the certificate of {carried}, not of {name}")
    return Found(name, settings.certificate, certificate.not_valid_after_utc)


def check_listener(listener: ListenerTls) -> Found:
    """Check what clients of a gateway are shown, as far as the files tell: who signed it, and for
    which name, is a matter between it and its clients. Raises TlsError."""
    listener_context(listener)  # the key is private, and belongs to the certificate
    certificate = _read(listener.certificate)[0]
    _check_dates(listener.certificate, certificate)
    if listener.client_authority is not None:
        for authority in _read(listener.client_authority):
            _check_dates(listener.client_authority, authority)
    name = ", ".join(_names(certificate))
    return Found(name, listener.certificate, certificate.not_valid_after_utc)


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _read(path: Path) -> list[x509.Certificate]:
    """All of a file, at least one."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsError(f"{path}: {reason(error)}") from error


def _check_dates(path: Path, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise TlsError(f"{path} expired on {end:%Y-%m-%d %H:%M} UTC: put a new one there")
    if now < begin:
        problem = f"is valid from {begin:%Y-%m-%d %H:%M} UTC on"
        raise TlsError(f"{path} {problem}: look at the clock of this machine")


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return extension.value.get_values_for_type(x509.DNSName)
