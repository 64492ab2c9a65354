"""What a certificate says: the same that cryptography reads, and an error where it cannot be read."""

import random
import re
import ssl
import warnings
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.name import _ASN1Type as Kind
from cryptography.x509.oid import NameOID, ObjectIdentifier

from earwitness.transport.exchange import Certificate
from earwitness.transport.x509 import certificate_in

KEY = ec.generate_private_key(ec.SECP256R1())
ORDINARY = [x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")]
HOSTS = [x509.DNSName("shop.example"), x509.DNSName("*.shop.example"), x509.IPAddress(ip_address("2001:db8::1"))]


def issued(
    *, subject=ORDINARY, hosts=HOSTS, begins=datetime(2026, 1, 1, tzinfo=UTC), ends=datetime(2027, 1, 1, tzinfo=UTC)
):
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name(ORDINARY[:1]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def by_cryptography(pem):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of serial numbers of old authorities
        read = x509.load_pem_x509_certificate(pem)
    try:
        alternatives = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = ()
    return Certificate(
        subject=read.subject.rfc4514_string(),
        issuer=read.issuer.rfc4514_string(),
        names=tuple(str(name.value) for name in alternatives if isinstance(name, x509.DNSName | x509.IPAddress)),
        not_before=read.not_valid_before_utc.timestamp(),
        not_after=read.not_valid_after_utc.timestamp(),
    )


def named(kind, text):
    return [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text, _type=kind)]


CERTIFICATES = {
    "an ordinary one": {},
    "without names of hosts": {"hosts": []},
    "names of other kinds": {"hosts": [x509.RFC822Name("a@shop.example"), *HOSTS, x509.RegisteredID(NameOID.TITLE)]},
    "an address of IPv4": {"hosts": [x509.IPAddress(ip_address("192.0.2.1"))]},
    "an empty subject": {"subject": []},
    "before 2000 and after 2050": {
        "begins": datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        "ends": datetime(2051, 2, 3, 4, 5, 6, tzinfo=UTC),
    },
    "without an end (RFC 5280, 4.1.2.5)": {"ends": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)},
    "signs that mean something": {"subject": named(Kind.UTF8String, '#1, "a"+b; <c> \\ = d\0 ')},
    "a blank alone": {"subject": named(Kind.UTF8String, " ")},
    "blanks at both ends": {"subject": named(Kind.PrintableString, "  a  ")},
    "Japanese": {"subject": named(Kind.UTF8String, "日本の店")},
    "UTF-8 where it is not allowed": {"subject": named(Kind.IA5String, "Müller")},
    "two octets a sign": {"subject": named(Kind.BMPString, "Łódź")},
    "four octets a sign": {"subject": named(Kind.UniversalString, "Łódź")},
    "for ASCII alone": {"subject": [x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "example", _type=Kind.IA5String)]},
    "kinds without a short name": {
        "subject": [
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@shop.example"),
            x509.NameAttribute(ObjectIdentifier("2.999.16384.1"), "far"),
            x509.NameAttribute(ObjectIdentifier("1.3.6.1.4.1.311.60.2.1.3"), "DE"),
        ]
    },
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_says_what_cryptography_reads(case):
    pem = issued(**CERTIFICATES[case])
    assert certificate_in(pem) == by_cryptography(pem)
    assert certificate_in(pem).pem == pem


def test_says_of_all_public_authorities_what_cryptography_reads():
    bundle = re.findall(rf"{ssl.PEM_HEADER}.*?{ssl.PEM_FOOTER}", Path(certifi.where()).read_text(), re.DOTALL)
    pems = [text.encode() for text in bundle]
    assert len(pems) > 100
    for pem in pems:
        assert certificate_in(pem) == by_cryptography(pem)


def test_latin_1_where_it_is_not_allowed_is_read_as_openssl_takes_it():
    der = ssl.PEM_cert_to_DER_cert(issued(subject=named(Kind.PrintableString, "Muller")).decode())
    odd = ssl.DER_cert_to_PEM_cert(der.replace(b"Muller", b"M\xfcller")).encode()
    assert certificate_in(odd).subject == "O=Müller"


def test_several_kinds_in_one_part_of_a_name_are_joined():
    builder = x509.Name([x509.RelativeDistinguishedName(ORDINARY)])
    pem = issued(subject=builder.rdns)
    assert certificate_in(pem).subject == by_cryptography(pem).subject == "C=DE+CN=shop.example"


def test_a_certificate_that_is_cut_off_is_none():
    der = ssl.PEM_cert_to_DER_cert(issued().decode())
    for length in range(len(der)):
        with pytest.raises(ValueError):  # noqa: PT011  Whatever it is that is missing.
            certificate_in(ssl.DER_cert_to_PEM_cert(der[:length]).encode())


def test_of_a_broken_certificate_it_says_something_or_that_it_cannot_be_read():
    dice, der = random.Random(7), ssl.PEM_cert_to_DER_cert(issued().decode())
    refused = 0
    for _ in range(5000):
        broken = bytearray(der)
        for _ in range(dice.choice((1, 1, 2, 8))):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        try:
            assert isinstance(certificate_in(ssl.DER_cert_to_PEM_cert(bytes(broken)).encode()), Certificate)
        except ValueError:
            refused += 1
    assert 0 < refused < 5000


@pytest.mark.parametrize("pem", [b"", b"rubbish", b"\xff", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem):
    with pytest.raises(ValueError):  # noqa: PT011  The reason is base64's or ours.
        certificate_in(pem)


def test_hosts_that_are_listed_twice_are_none():
    der = ssl.PEM_cert_to_DER_cert(issued().decode())
    constraints, hosts = bytes.fromhex("551d13"), bytes.fromhex("551d11")
    assert der.count(constraints) == der.count(hosts) == 1
    twice = ssl.DER_cert_to_PEM_cert(der.replace(constraints, hosts)).encode()
    assert certificate_in(twice).names == ()
