"""Certificates and kubeconfigs of one cluster: a private authority, loopback only."""

import base64
import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)
SERVER_NAMES: tuple[x509.GeneralName, ...] = (
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
    x509.DNSName("localhost"),
    x509.DNSName("kubernetes"),
    x509.DNSName("kubernetes.default"),
    x509.DNSName("kubernetes.default.svc"),
)
# The system: names get their rights from Kubernetes' own bootstrap roles.
CLIENTS = {
    "admin": ("system:masters", "admin"),
    "kwok": ("system:masters", "kwok"),
    "kube-controller-manager": (None, "system:kube-controller-manager"),
    "kube-scheduler": (None, "system:kube-scheduler"),
}


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write_identities(folder: Path) -> None:
    """ca.crt, apiserver.{crt,key}, <client>.{crt,key}, sa.{key,pub}."""
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = _authority()
    write_private(folder / "ca.crt", _pem(authority.certificate))
    _write_leaf(folder, "apiserver", authority, None, "kube-apiserver", server=True)
    for name, (organization, common_name) in CLIENTS.items():
        _write_leaf(folder, name, authority, organization, common_name, server=False)
    _write_token_key(folder)


def write_kubeconfig(path: Path, server: str, ca: Path, user: dict[str, str]) -> None:
    """`user` holds a token, or certificate and key as data; the file is for its owner alone."""
    cluster = {"server": server, "certificate-authority-data": encoded(ca)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devcluster", "cluster": cluster}],
        "users": [{"name": path.stem, "user": user}],
        "contexts": [
            {"name": "devcluster", "context": {"cluster": "devcluster", "user": path.stem}}
        ],
        "current-context": "devcluster",
    }
    write_private(path, yaml.safe_dump(config).encode())


def certificate_user(folder: Path, name: str) -> dict[str, str]:
    return {
        "client-certificate-data": encoded(folder / f"{name}.crt"),
        "client-key-data": encoded(folder / f"{name}.key"),
    }


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write_private(path: Path, content: bytes) -> None:
    """Replace the file whole, readable by its owner alone from the first moment."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)


def _authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(None, "devcluster")
    builder = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def _write_leaf(
    folder: Path, file: str, authority: Authority, organization: str | None, common_name: str, *,
    server: bool,
) -> None:  # fmt: skip
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    issuer = authority.certificate.subject
    builder = (
        _builder(_name(organization, common_name), issuer, key.public_key())
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if server:
        builder = builder.add_extension(x509.SubjectAlternativeName(SERVER_NAMES), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    write_private(folder / f"{file}.crt", _pem(certificate))
    write_private(folder / f"{file}.key", _private_pem(key))


def _write_token_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(folder / "sa.key", _private_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(folder / "sa.pub", public)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(organization: str | None, common_name: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates, key_cert_sign=sign_certificates,
        crl_sign=sign_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
