"""A certificate authority of one's own and the certificates that it gives: PEM, PKCS#8 keys, elliptic curve P-256.

For the local cluster and for trials. A real installation has an authority already; what Feedline asks of it is the
same: PEM files, named by reference.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from feedline.errors import ConfigurationError
from feedline.security.secret_file import write_secret

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 90
# A certificate may be used on a machine whose clock is a little behind.
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """Where an authority lives: `ca.key`, readable by its owner only, and `ca.pem`, which everybody may have."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"


@dataclass(frozen=True, slots=True)
class Issued:
    """The files of one certificate: key and certificate apart, as most programs want them, and both in one file in
    the order that Kafka's PEM key stores want."""

    key: Path
    certificate: Path
    store: Path


def ensure_authority(folder: Path, name: str = "Feedline local authority") -> Authority:
    """The authority of the folder, made on the first call."""
    authority = Authority(folder)
    if authority.key.exists() and authority.certificate.exists():
        return authority
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_secret(authority.key, _key_pem(key))
    write_secret(authority.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return authority


def issue(
    authority: Authority, folder: Path, name: str, hosts: Sequence[str] = (), *, days: int = CERTIFICATE_DAYS
) -> Issued:
    """A new key and certificate for a common name, in `<name>.key`, `<name>.crt` and `<name>.pem` of the folder.

    hosts: the names and addresses of a server, which clients hold the certificate against. Files of an earlier
    certificate are replaced one by one, each at once whole; the store that Kafka reads is one file, so its key and
    certificate always fit together. Raises ConfigurationError when the authority cannot be read.
    """
    signer, ca = _read_authority(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(min(now + timedelta(days=days), ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    key_pem = _key_pem(key)
    chain = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    chain += ca.public_bytes(serialization.Encoding.PEM)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    issued = Issued(folder / f"{name}.key", folder / f"{name}.crt", folder / f"{name}.pem")
    write_secret(issued.store, key_pem + chain)
    write_secret(issued.key, key_pem)
    write_secret(issued.certificate, chain, mode=0o644)
    return issued


def expiry(file: Path) -> datetime:
    """When the first certificate of a PEM file ends; raises ConfigurationError when it holds none."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(f"no certificate can be read: {error}", file=str(file)) from error


def _read_authority(authority: Authority) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the certificate authority cannot be read: {error}", file=str(authority.key)
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError("the certificate authority's key is not one made here", file=str(authority.key))
    return key, certificate


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # PKCS#8, the only form that Kafka reads.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
