"""Look-alikes of certificates and keys: self-signed, of the same names, all with one fresh key.

With one key, a certificate and its key fit together in whatever files they are.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

BEGIN = "-----BEGIN "
PRIVATE = f"{BEGIN}PRIVATE KEY"
BLOCK = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9. ]+)-----.*?(?:-----END (?P=label)-----|\Z)", re.DOTALL
)
_WHOLE = re.compile(r"-----BEGIN [^-]+-----[A-Za-z0-9+/=\s]+-----END [^-]+-----")
_PUBLIC = ("DH PARAMETERS", "X9.42 DH PARAMETERS", "EC PARAMETERS")
"""Blocks that hold numbers which everybody may know, and that take long to make."""
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_DAYS = datetime.timedelta(days=3650)
_STRANGER = "hatester-placeholder.invalid"


@dataclass(frozen=True)
class LookAlikes:
    """A maker of look-alikes, with its own key."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def pem(self, text: str) -> str:
        """Return a PEM file with look-alikes of a file's blocks, in order, and nothing else."""
        blocks = []
        for block in BLOCK.finditer(text):
            label = block["label"]
            if label in _PUBLIC and _WHOLE.fullmatch(block[0]):
                blocks.append(block[0] + "\n")
            elif "CERTIFICATE" in label:
                blocks.append(self._certificate(block[0]))
            elif label.endswith("CRL"):
                blocks.append(self._revocations(block[0]))
            elif label == "PUBLIC KEY":
                blocks.append(self.public_key())
            else:
                blocks.append(self.private_key() if "KEY" in label else "")
        return "".join(blocks)

    def certificate(self, names: Sequence[str], issuer: str = "") -> str:
        """Return a certificate of at least one host name, as PEM, for which `issuer` vouches.

        Without one, the certificate vouches for itself.
        """
        every = [x509.DNSName(name) for name in dict.fromkeys(names)]
        return self._sign(_subject(names[0]), every, _subject(issuer or names[0]))

    def revocations(self, issuer: str) -> str:
        """Return an empty list of revoked certificates, as PEM."""
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateRevocationListBuilder(_subject(issuer), now, now + _DAYS)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _certificate(self, block: str) -> str:
        try:
            subject, names = _names(x509.load_pem_x509_certificate(block.encode()))
        except _UNREADABLE:
            subject, names = _subject(_STRANGER), []
        return self._sign(subject, names, issuer=subject)

    def _sign(
        self, subject: x509.Name, names: Sequence[x509.GeneralName], issuer: x509.Name
    ) -> str:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder(issuer, subject, self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + _DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _revocations(self, block: str) -> str:
        try:
            crl = x509.load_pem_x509_crl(block.encode())
            common = crl.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
            return self.revocations(str(common[0].value) if common else _STRANGER)
        except _UNREADABLE:
            return self.revocations(_STRANGER)

    def private_key(self) -> str:
        """Return the fresh private key, as PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def public_key(self) -> str:
        """Return the fresh public key, as PEM."""
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _names(certificate: x509.Certificate) -> tuple[x509.Name, list[x509.GeneralName]]:
    """Return the common name of a certificate's subject, and its host names and addresses."""
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    subject = _subject(str(common[0].value)) if common else x509.Name([])
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return subject, []
    kinds = (x509.DNSName, x509.IPAddress)
    return subject, [name for name in extension.value if isinstance(name, kinds)]
