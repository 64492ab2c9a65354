"""What a certificate says, read from its DER (ITU-T X.690) as RFC 5280 lays it out.

Every HTTPS probe tells when a certificate runs out. For these few facts alone, cryptography would take 9 MB; what verifies
chains, signatures and keys still is that library and OpenSSL.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import NamedTuple

from earwitness.transport.exchange import Certificate

_LONGEST_OID = 64  # octets
_LONG = 0x80  # in the first octet of a length: the octets that follow hold it
_OID, _UTC_TIME, _GENERALIZED_TIME = 0x06, 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3  # of a TBSCertificate
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87  # of a GeneralName
_CHARSETS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody writes it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
_SHORT_NAMES = {  # RFC 4514, section 3
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
_SPECIAL = re.compile(r'["+,;<>\\]|\A[ #]| \Z')


class Element(NamedTuple):
    """One element of DER: its tag, what is in it, and all of its octets."""

    tag: int
    content: bytes
    octets: bytes


def certificate_in(pem: bytes) -> Certificate:
    """Return what a certificate in PEM says. Raises ValueError if the bytes are none."""
    (certificate,) = _elements(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))
    signed, *_ = _inside(certificate)
    fields = [field for field in _inside(signed) if field.tag != _VERSION]
    _serial, _algorithm, issuer, validity, subject, *others = fields
    not_before, not_after = map(_moment, _inside(validity))
    return Certificate(
        subject=_name(subject),
        issuer=_name(issuer),
        names=_subject_names(others),
        not_before=not_before,
        not_after=not_after,
        pem=pem,
    )


def _elements(octets: bytes) -> Iterator[Element]:
    """Yield the elements that follow one another; raises ValueError where they are not whole."""
    at = 0
    while at < len(octets):
        start, at = at, at + 2
        if at > len(octets):
            raise ValueError("an element of the certificate ends in its length")
        length = octets[at - 1]
        if length & _LONG:
            end = at + (length ^ _LONG)
            length, at = int.from_bytes(octets[at:end], "big"), end
        if at + length > len(octets):
            raise ValueError("an element of the certificate is cut off")
        yield Element(octets[start], octets[at : at + length], octets[start : at + length])
        at += length


def _inside(element: Element) -> list[Element]:
    return list(_elements(element.content))


def _moment(time: Element) -> float:
    """Return a validity's time in seconds since the epoch (RFC 5280, 4.1.2.5: always in UTC, always with seconds)."""
    text = time.content.decode("ascii")
    if time.tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif time.tag != _GENERALIZED_TIME:
        raise ValueError("the certificate's validity holds no times")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _name(name: Element) -> str:
    """Return a distinguished name as RFC 4514 writes it: the last part first."""
    return ",".join("+".join(map(_attribute, _inside(part))) for part in reversed(_inside(name)))


def _attribute(attribute: Element) -> str:
    kind, value = _inside(attribute)
    number = _oid(kind)
    return f"{_SHORT_NAMES.get(number, number)}={_escaped(value)}"


def _escaped(value: Element) -> str:
    charset = _CHARSETS.get(value.tag)
    if charset is None:
        return f"#{value.octets.hex()}"
    return _SPECIAL.sub(r"\\\g<0>", _decoded(value.content, charset)).replace("\0", r"\00")


def _decoded(octets: bytes, charset: str) -> str:
    """Return the text. Many write UTF-8 or Latin-1 whatever the tag says, and OpenSSL takes it."""
    if charset.startswith("utf-"):
        return octets.decode(charset, "replace")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _oid(element: Element) -> str:
    """Return an object identifier with dots: groups of seven bits, of which the first holds two numbers."""
    if len(element.content) > _LONGEST_OID:
        raise ValueError("the certificate has a name of a kind that nobody gives")
    numbers, number = [], 0
    for octet in element.content:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    if element.tag != _OID or not numbers:
        raise ValueError("the certificate has a name without a kind")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _subject_names(fields: list[Element]) -> tuple[str, ...]:
    """Return hosts and addresses that the certificate is for; none where it says so twice, or not readably, as OpenSSL has it."""
    listed = [wrapped for field in fields if field.tag == _EXTENSIONS for wrapped in _inside(field)]
    found = [value for wrapped in listed for value in map(_alternatives, _inside(wrapped)) if value is not None]
    if len(found) != 1:
        return ()
    try:
        (names,) = _inside(found[0])
        return tuple(_host(name) for name in _inside(names) if name.tag in (_DNS_NAME, _IP_ADDRESS))
    except ValueError:
        return ()


def _alternatives(extension: Element) -> Element | None:
    kind, *_critical, value = _inside(extension)
    return value if _oid(kind) == _SUBJECT_ALTERNATIVE_NAME else None


def _host(name: Element) -> str:
    if name.tag == _DNS_NAME:
        return name.content.decode("ascii")
    return str(ip_address(name.content))
