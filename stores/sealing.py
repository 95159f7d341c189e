"""A letter that one process can open: sealed to a key made for this one answer (HPKE, RFC 9180).

Who reads the database, a backup of it or its traffic finds a public key and what was sealed to it; the
private key never leaves the memory of the process that asked.
"""

from __future__ import annotations

from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class Broken(Exception):
    """Not sealed to this key, or not about this, or changed on its way."""


class Key:
    """Fresh, for one answer. Neither printed nor pickled: it has no form but the object."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def open(self, sealed: bytes, about: UUID) -> bytes:
        """Raises Broken."""
        try:
            return SUITE.decrypt(sealed, self._private, info=about.bytes)
        except (InvalidTag, ValueError) as error:
            raise Broken from error


def seal(content: bytes, public_key: bytes, about: UUID) -> bytes:
    """``about``: what it answers. It can be opened as an answer to nothing else."""
    return SUITE.encrypt(content, X25519PublicKey.from_public_bytes(public_key), info=about.bytes)
