"""Certificates and keys are replaced by look-alikes."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from hatester.util.pem import LookAlikes

LOOK_ALIKES = LookAlikes()
SECRET = "Example Corporation"


@pytest.fixture(scope="module")
def pem() -> str:
    """Return a certificate of two names and an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, SECRET),
            x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org"),
        ]
    )
    others: list[x509.GeneralName] = [
        x509.DNSName("*.example.org"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.RFC822Name("somebody@example.org"),
    ]
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 4711, now, now)
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode() + private.decode()


def test_a_look_alike_has_the_names_and_nothing_else(pem: str) -> None:
    copy = LOOK_ALIKES.pem(f"Bag Attributes: x\n{pem}# {SECRET}\n")
    certificate = x509.load_pem_x509_certificate(copy.encode())
    key = load_pem_private_key(copy[copy.index("-----BEGIN PRIVATE") :].encode(), None)
    assert key.public_key() == certificate.public_key()
    assert (
        certificate.subject
        == certificate.issuer
        == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org")])
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each.value) for each in names] == ["*.example.org", "192.0.2.1"]
    certificate.verify_directly_issued_by(certificate)
    assert not {*pem.split("\n")} & {*copy.split("\n")} - {
        "", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----",
    }  # fmt: skip
    assert SECRET not in copy


def test_each_block_has_a_look_alike_of_its_kind(pem: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    revoked = x509.CertificateRevocationListBuilder(issuer, now, now).sign(key, hashes.SHA256())
    text = "-----BEGIN PUBLIC KEY-----\nabcd\n-----END PUBLIC KEY-----\n"
    copy = LOOK_ALIKES.pem(text + revoked.public_bytes(Encoding.PEM).decode())
    assert "abcd" not in copy
    crl = x509.load_pem_x509_crl(copy[copy.index("-----BEGIN X509 CRL") :].encode())
    assert (crl.issuer, len(crl)) == (issuer, 0)
    assert crl.is_signature_valid(LOOK_ALIKES.key.public_key())


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==",
        "-----BEGIN PRIVATE KEY-----\n\n\n-----END PRIVATE KEY-----",
        "-----BEGIN DH PARAMETERS-----\nZ2FyYmFnZQ==",
        "-----BEGIN OTHER-----\nZ2FyYmFnZQ==\n-----END OTHER-----",
        "Z2FyYmFnZQ==",
    ],
)
def test_what_cannot_be_read_is_not_copied(text: str) -> None:
    assert "Z2FyYmFnZQ" not in LOOK_ALIKES.pem(text)


def test_parameters_that_everybody_may_know_stay() -> None:
    text = "-----BEGIN DH PARAMETERS-----\nZ2FyYmFnZQ==\n-----END DH PARAMETERS-----\n"
    assert LOOK_ALIKES.pem(text) == text


def test_a_certificate_is_made_for_names() -> None:
    names = ["www.example.org", f"*.{'long.' * 20}example.org"]
    made = x509.load_pem_x509_certificate(LOOK_ALIKES.certificate(names).encode())
    there = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert there.get_values_for_type(x509.DNSName) == names
    made.verify_directly_issued_by(made)
    assert LOOK_ALIKES.certificate(names[1:])


def test_an_empty_list_of_revoked_certificates_is_made() -> None:
    issuer = x509.load_pem_x509_certificate(LOOK_ALIKES.certificate(["ca.invalid"]).encode())
    made = x509.load_pem_x509_crl(LOOK_ALIKES.revocations("ca.invalid").encode())
    assert (made.issuer, len(made)) == (issuer.subject, 0)
    assert made.is_signature_valid(LOOK_ALIKES.key.public_key())
