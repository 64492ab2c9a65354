"""Names, codes and records as dnspython reads and writes them. It is loaded only where there are such: for DNS probes."""

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
from dns.exception import DNSException

_IDNA = dns.name.IDNA_2008_Practical  # as browsers and our HTTP probes have it: `ß` is a letter of its own


def canonical_name(text: str) -> str:
    """Return a name as a server would write it. Raises ValueError if it is none."""
    try:
        return dns.name.from_text(text, idna_codec=_IDNA).to_text()
    except DNSException as error:
        raise ValueError(str(error)) from error


def is_rcode(text: str) -> bool:
    """Whether this is the code of an answer, such as NXDOMAIN."""
    try:
        dns.rcode.from_text(text)
    except DNSException:
        return False
    return True


def canonical(kind: str, text: str) -> str | None:
    """Return a record's text as every server would write it, or None if it is none."""
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root, idna_codec=_IDNA)
    except (DNSException, ValueError):
        return None
    return rdata.to_text().lower() if kind != "TXT" else rdata.to_text()
