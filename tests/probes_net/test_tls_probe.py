import asyncio
import re
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import ValidationError
from tls_servers import DAY, House, Issuer, ocsp_answer, rsa_key, stapling_server, starttls_server, tls_server
from web_servers import free_port, hang, raw_server

from earwitness.metrics import Metrics
from earwitness.model import Attribution, Channel, Effect, Failure, Observation, Outcome, Run, Why
from earwitness.probes.hosts import HostMap, Owner
from earwitness.probes.tls import TlsSpec
from earwitness.transport.chain import needed_of
from earwitness.transport.chain_faults import faults_of
from earwitness.transport.trust import TrustStore
from earwitness.transport.x509 import _elements, _inside, certificate_in

HOST = "mail.test"


def only(seen):
    assert len(seen.findings) == 1, seen.findings
    return seen.findings[0]


@pytest.fixture
def look(observe, make_web):
    """Look at a server of this house, trusting its root."""

    async def look(house, *certificates, server=None, **options):
        async with tls_server(house.file(*certificates), **(server or {})) as port:
            return await observe("tls", make_web(ca_file=house.ca_file), host=HOST, port=port, **options)

    return look


async def test_a_good_server_is_described(look, tmp_path, drawer):
    house = House(tmp_path, HOST)
    seen = await look(house)
    assert (seen.outcome, seen.findings) == (Outcome.OK, ())
    leaf = house.leaf.certificate
    assert seen.facts["tls_version"] == "TLSv1.3"
    assert seen.facts["tls_cipher"].startswith("TLS_")
    assert (seen.facts["certificate_subject"], seen.facts["certificate_issuer"]) == ("CN=Server", "CN=Between")
    assert seen.facts["chain"] == "CN=Server < CN=Between"
    assert seen.facts["certificate_not_after"] == leaf.not_valid_after_utc.timestamp()
    assert seen.facts["ocsp"] == "not stapled"
    assert seen.facts["address"] == "127.0.0.1"
    assert seen.measures["cert_expiry"] <= leaf.not_valid_after_utc.timestamp()
    assert seen.measures["tls_version"] == 1.3
    assert seen.measures.keys() >= {"duration", "phase_resolve", "phase_connect", "phase_tls"}
    assert drawer.files == {}


BAD = {
    "expired": (
        Failure.CERTIFICATE_EXPIRED,
        {"leaf": {"begins": -9 * DAY, "ends": -2 * DAY}},
        r"CN=Server expired on .* 2 days ago",
    ),
    "not yet valid": (Failure.CERTIFICATE_NOT_YET_VALID, {"leaf": {"begins": DAY}}, "CN=Server is not valid before"),
    "wrong name": (
        Failure.CERTIFICATE_WRONG_NAME,
        {"leaf": {"host": "other.test"}},
        "is for other.test, not for mail.test",
    ),
    "no name": (Failure.CERTIFICATE_WRONG_NAME, {"leaf": {"host": None}}, "is for no name at all"),
    "weak key": (
        Failure.CERTIFICATE_WEAK,
        {"leaf": {"key": 1024}},
        "CN=Server has a key of 1024 bits; 2048 are the fewest",
    ),
    "expired issuer": (
        Failure.CERTIFICATE_EXPIRED,
        {"between": {"begins": -9 * DAY, "ends": -2 * DAY}},
        "certificate of an issuer, CN=Between, expired on",
    ),
    "issuer not yet valid": (
        Failure.CERTIFICATE_NOT_YET_VALID,
        {"between": {"begins": DAY}},
        "certificate of an issuer, CN=Between, is not valid before",
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_each_bad_certificate_has_its_name_and_its_chain_is_kept(look, tmp_path, drawer, kind):
    failure, made, text = BAD[kind]
    made = {part: {k: rsa_key(v) if k == "key" else v for k, v in how.items()} for part, how in made.items()}
    seen = await look(House(tmp_path, HOST, **made))
    found = only(seen)
    assert (found.failure, found.effect, found.attribution) == (failure, Effect.BLOCKED, Attribution.TARGET)
    assert re.search(text, found.message)
    assert drawer.files["certificates"].count("BEGIN CERTIFICATE") == 2


async def test_a_chain_without_its_issuer_is_incomplete(look, tmp_path):
    house = House(tmp_path, HOST)
    found = only(await look(house, house.leaf))
    assert found.failure is Failure.CERTIFICATE_CHAIN_INCOMPLETE
    assert "CN=Between issued the certificate, and the server does not send it" in found.message


async def test_a_self_signed_certificate_is_called_so(look, tmp_path):
    found = only(await look(House(tmp_path, HOST), Issuer("Alone", host=HOST)))
    assert (found.failure, found.message) == (
        Failure.CERTIFICATE_SELF_SIGNED,
        "the certificate CN=Alone is self-signed",
    )


@pytest.mark.parametrize("with_root", [False, True])
async def test_a_chain_to_a_stranger_is_untrusted(look, tmp_path, with_root):
    trusted, stranger = House(tmp_path, HOST), House(tmp_path, HOST, root="Stranger")
    trusted.ca_file.write_bytes(trusted.root.pem)
    chain = (stranger.leaf, stranger.between, stranger.root)[: 3 if with_root else 2]
    found = only(await look(trusted, *chain))
    assert found.failure is Failure.CERTIFICATE_UNTRUSTED
    assert "leads to CN=Stranger, whom nothing here vouches for" in found.message


async def test_everything_wrong_with_a_certificate_is_told_at_once(look, tmp_path):
    alone = Issuer("Alone", rsa_key(1024), host="other.test", begins=-9 * DAY, ends=-2 * DAY)
    seen = await look(House(tmp_path, HOST), alone)
    assert {f.failure for f in seen.findings} == {
        Failure.CERTIFICATE_EXPIRED,
        Failure.CERTIFICATE_WRONG_NAME,
        Failure.CERTIFICATE_SELF_SIGNED,
        Failure.CERTIFICATE_WEAK,
    }


@pytest.mark.parametrize(("part", "who"), [("leaf", "CN=Server"), ("between", "CN=Between")])
@pytest.mark.parametrize(("days", "effect"), [(5, Effect.NUISANCE), (1, Effect.BLOCKED)])
async def test_time_that_runs_out_is_told_for_every_certificate_of_the_chain(look, tmp_path, part, who, days, effect):
    house = House(tmp_path, HOST, **{part: {"ends": days * DAY + timedelta(hours=1)}})
    found = only(await look(house, expect={"certificate_left": {"minor": "7d", "major": "2d"}}))
    assert (found.failure, found.effect) == (Failure.CERTIFICATE_EXPIRING, effect)
    assert who in found.message


async def test_an_authority_of_ones_own_may_be_left_untested(look, tmp_path):
    alone = Issuer("Alone", host="other.test")
    seen = await look(House(tmp_path, HOST), alone, expect={"trusted": "false", "name": "false"})
    assert seen.outcome is Outcome.OK


async def test_the_name_asked_for_may_be_another_than_the_host(look, tmp_path):
    house = House(tmp_path, "shop.test")
    assert (await look(house, server_name="shop.test")).outcome is Outcome.OK


@pytest.mark.parametrize(("least", "failures"), [("1.2", [Failure.WRONG_PROTOCOL]), ("1.1", [])])
async def test_an_old_protocol_is_a_finding(look, tmp_path, least, failures):
    server = {"newest": ssl.TLSVersion.TLSv1_1}
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        seen = await look(House(tmp_path, HOST), server=server, expect={"min_protocol": least})
    assert [f.failure for f in seen.findings] == failures
    assert seen.facts["tls_version"] == "TLSv1.1"


async def test_the_cipher_must_be_one_that_is_allowed(look, tmp_path):
    server = {"newest": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-ECDSA-AES128-SHA"}
    found = only(await look(House(tmp_path, HOST), server=server, expect={"ciphers": ["GCM", "CHACHA20"]}))
    assert (found.failure, "ECDHE-ECDSA-AES128-SHA" in found.message) == (Failure.WRONG_CIPHER, True)


@pytest.mark.parametrize(
    ("spoken", "failures"), [(["h2"], []), (["http/1.1"], [Failure.WRONG_PROTOCOL]), ([], [Failure.WRONG_PROTOCOL])]
)
async def test_alpn_must_agree(look, tmp_path, spoken, failures):
    seen = await look(House(tmp_path, HOST), server={"alpn": spoken}, alpn=["h2", "http/1.1"], expect={"alpn": "h2"})
    assert [f.failure for f in seen.findings] == failures


STAPLED = {
    "good": (ocsp.OCSPCertStatus.GOOD, [], "good"),
    "revoked": (ocsp.OCSPCertStatus.REVOKED, [Failure.CERTIFICATE_REVOKED], "revoked"),
}


@pytest.mark.parametrize("kind", STAPLED)
async def test_a_stapled_answer_is_read(observe, make_web, tmp_path, kind):
    status, failures, said = STAPLED[kind]
    house = House(tmp_path, HOST)
    with stapling_server(house, ocsp_answer(house, status)) as port:
        web = make_web(ca_file=house.ca_file)
        seen = await observe("tls", web, host=HOST, port=port, expect={"stapled": "true"})
    assert [f.failure for f in seen.findings] == failures
    assert seen.facts["ocsp"] == said


UNUSABLE = {
    "unusable": {"signer": Issuer("Between", ca=True)},
    "out of date": {"until": -DAY},
}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_a_stapled_answer_that_is_forged_or_old_revokes_nothing(observe, make_web, tmp_path, kind):
    house = House(tmp_path, HOST)
    answer = ocsp_answer(house, ocsp.OCSPCertStatus.REVOKED, **UNUSABLE[kind])
    with stapling_server(house, answer) as port:
        web = make_web(ca_file=house.ca_file)
        seen = await observe("tls", web, host=HOST, port=port, expect={"stapled": "true"})
    assert (only(seen).failure, only(seen).effect) == (Failure.WRONG_ANSWER, Effect.NUISANCE)
    assert seen.facts["ocsp"] == kind


async def test_what_must_be_stapled_and_is_not_is_a_nuisance(look, tmp_path):
    found = only(await look(House(tmp_path, HOST), expect={"stapled": "true"}))
    assert (found.effect, "not stapled" in found.message) == (Effect.NUISANCE, True)


RESPONDERS = {
    "the server itself": ({"parent": "between", "name": "Server"}, "unusable"),
    "another server": ({"parent": "between", "uses": [ExtendedKeyUsageOID.SERVER_AUTH]}, "unusable"),
    "a responder that is out of date": (
        {"parent": "between", "uses": [ExtendedKeyUsageOID.OCSP_SIGNING], "begins": -9 * DAY, "ends": -DAY},
        "unusable",
    ),
    "a responder of the issuer": ({"parent": "between", "uses": [ExtendedKeyUsageOID.OCSP_SIGNING]}, "good"),
}


@pytest.mark.parametrize("kind", RESPONDERS)
async def test_who_may_sign_a_stapled_answer(observe, make_web, tmp_path, kind):
    made, said = RESPONDERS[kind]
    house = House(tmp_path, HOST)
    signer = house.leaf if "name" in made else Issuer("Responder", **{**made, "parent": house.between})
    answer = ocsp_answer(house, ocsp.OCSPCertStatus.GOOD, signer=signer, shown=[signer])
    with stapling_server(house, answer) as port:
        seen = await observe("tls", make_web(ca_file=house.ca_file), host=HOST, port=port)
    assert seen.facts["ocsp"] == said


async def test_a_stapled_answer_of_the_future_is_unusable(observe, make_web, tmp_path):
    house = House(tmp_path, HOST)
    answer = ocsp_answer(house, ocsp.OCSPCertStatus.GOOD, since=5 * DAY, until=9 * DAY)
    with stapling_server(house, answer) as port:
        seen = await observe("tls", make_web(ca_file=house.ca_file), host=HOST, port=port)
    assert seen.facts["ocsp"] == "unusable"


@pytest.mark.parametrize(
    ("uses", "good"),
    [
        ([], True),
        ([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
        ([ExtendedKeyUsageOID.CLIENT_AUTH], False),
    ],
)
async def test_a_certificate_must_be_for_servers(look, tmp_path, uses, good):
    seen = await look(House(tmp_path, HOST, leaf={"uses": uses}))
    assert [f.failure for f in seen.findings] == ([] if good else [Failure.CERTIFICATE_UNTRUSTED])
    assert good or "only for clientAuth" in only(seen).message


async def test_a_key_that_nothing_here_knows_breaks_nothing(look, tmp_path):
    """A certificate that is not needed, of a curve that OpenSSL reads and the cryptography package does not."""
    odd = tmp_path / "odd.pem"
    ask = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime239v1 -nodes -keyout {tmp_path}/key -subj /CN=Odd"
    made = await asyncio.create_subprocess_exec(*ask.split(), "-out", str(odd), stderr=asyncio.subprocess.DEVNULL)
    assert await made.wait() == 0

    class Odd:
        pem = odd.read_bytes()

    house = House(tmp_path, HOST)
    found = only(await look(house, house.leaf, house.between, Odd))
    assert (found.failure, "hardly any client knows" in found.message) == (Failure.CERTIFICATE_WEAK, True)


@pytest.mark.parametrize("ends", [DAY, -DAY])
async def test_a_certificate_that_nobody_needs_may_run_out(look, tmp_path, ends):
    house = House(tmp_path, HOST)
    old = Issuer("Old root", ca=True)
    extra = Issuer("Root", house.root.key, parent=old, ca=True, begins=-9 * DAY, ends=ends)
    assert (await look(house, house.leaf, house.between, extra)).findings == ()


STARTTLS = {
    "smtp": (
        (b"", b"220-mail\r\n220 ready\r\n"),
        (b"EHLO earwitness\r\n", b"250-mail\r\n250 STARTTLS\r\n"),
        (b"STARTTLS\r\n", b"220 go\r\n"),
    ),
    "imap": ((b"", b"* OK ready\r\n"), (b"a1 STARTTLS\r\n", b"* CAPABILITY\r\na1 OK go\r\n")),
    "pop3": ((b"", b"+OK ready\r\n"), (b"STLS\r\n", b"+OK go\r\n")),
    "postgres": ((b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S"),),
}


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_starttls(observe, make_web, tmp_path, protocol):
    house = House(tmp_path, HOST)
    with starttls_server(house.file(), STARTTLS[protocol]) as port:
        web = make_web(ca_file=house.ca_file)
        seen = await observe("tls", web, host=HOST, port=port, starttls=protocol)
    assert (seen.outcome, seen.facts["certificate_subject"]) == (Outcome.OK, "CN=Server")


REFUSING = {"smtp": b"554 no service\r\n", "imap": b"* BYE later\r\n", "pop3": b"-ERR no\r\n", "postgres": b"N"}


@pytest.mark.parametrize("protocol", REFUSING)
async def test_a_server_that_does_not_begin_tls_is_told_with_its_words(observe, protocol):
    async def refuse(reader, writer):
        writer.write(REFUSING[protocol])
        await hang(reader, writer)

    async with raw_server(refuse) as port:
        found = only(await observe("tls", host=HOST, port=port, starttls=protocol))
    assert found.failure is Failure.PROTOCOL_ERROR
    assert REFUSING[protocol].decode().strip()[:8] in found.message


@pytest.mark.parametrize("protocol", REFUSING)
async def test_a_server_that_is_silent_before_tls_was_reached(observe, protocol):
    async with raw_server(hang) as port:
        seen = await observe("tls", host=HOST, port=port, starttls=protocol, timeout="1s")
    found = only(seen)
    assert (found.failure, found.message) == (Failure.FIRST_BYTE_TIMEOUT, "no answer began within 1 s")
    assert seen.measures["phase_connect"] < seen.measures["phase_processing"]


async def nothing(_reader, _writer):
    """Hang up at once."""


async def no_tls(_reader, writer):
    writer.write(b"220 this is no TLS\r\n")
    await writer.drain()


MANNERS = {
    "silent": (hang, "did not end within 1 s"),
    "hung up": (nothing, "hung up|reset"),
    "no tls": (no_tls, "version number"),
}


@pytest.mark.parametrize("kind", MANNERS)
async def test_bad_manners_end_in_time_with_a_name(observe, kind):
    handler, text = MANNERS[kind]
    async with raw_server(handler) as port, asyncio.timeout(5):
        found = only(await observe("tls", host=HOST, port=port, timeout="1s"))
    assert (found.failure, found.attribution) == (Failure.TLS_FAILED, Attribution.TARGET)
    assert re.search(text, found.message), found.message


async def test_a_closed_port_is_refused(observe):
    assert only(await observe("tls", host=HOST, port=free_port())).failure is Failure.CONNECTION_REFUSED


async def test_a_name_that_is_not_there(observe):
    assert only(await observe("tls", host="nobody.test")).failure is Failure.NAME_NOT_FOUND


async def test_a_private_address_is_refused_unless_allowed(observe, make_web):
    seen = await observe("tls", make_web(allow=()), host=HOST)
    assert (seen.outcome, only(seen).failure) == (Outcome.UNKNOWN, Failure.ADDRESS_REFUSED)


@pytest.mark.parametrize("content", [None, b"no certificates"])
async def test_unreadable_authorities_are_our_own_trouble(look, tmp_path, content):
    house = House(tmp_path, HOST)
    house.ca_file.unlink()
    if content is not None:
        house.ca_file.write_bytes(content)
    seen = await look(house)
    assert (seen.outcome, only(seen).failure) == (Outcome.UNKNOWN, Failure.NO_TRUST_STORE)


async def test_our_uplink_is_looked_at_before_a_server_is_blamed(observe, make_web):
    web = make_web(known_good=(f"http://127.0.0.1:{free_port()}/",))
    seen = await observe("tls", web, host=HOST, port=free_port())
    assert (seen.outcome, only(seen).failure) == (Outcome.UNKNOWN, Failure.UPLINK_DOWN)


async def test_a_host_of_a_third_party_is_named(observe):
    ports = {"hosts": HostMap({HOST: Owner("mail-provider", third_party=True)})}
    found = only(await observe("tls", host=HOST, port=free_port(), ports=ports))
    assert (found.attribution, found.dependency) == (Attribution.THIRD_PARTY, "mail-provider")


async def test_a_slow_handshake_is_a_nuisance_and_then_blocks(observe, make_web, tmp_path):
    house = House(tmp_path, HOST)
    web = make_web(ca_file=house.ca_file)
    async with tls_server(house.file()) as port:
        minor = await observe("tls", web, host=HOST, port=port, expect={"within": {"minor": "0s"}})
        major = await observe("tls", web, host=HOST, port=port, expect={"within": {"major": "0s"}})
    assert [(only(s).failure, only(s).effect) for s in (minor, major)] == [
        (Failure.SLOW, Effect.NUISANCE),
        (Failure.SLOW, Effect.BLOCKED),
    ]


INVALID = [
    ({"host": "mail test"}, "is not a host"),
    ({"host": HOST, "port": "70000"}, "is not a port"),
    ({"host": HOST, "starttls": "ldap"}, "smtp"),
    ({"host": HOST, "expect": {"min_protocol": "2.0"}}, "is not a version of TLS"),
    ({"host": HOST, "expect": {"ciphers": ["("]}}, "is not a regular expression"),
    ({"host": HOST, "alpn": ["h2", ""]}, "is not a protocol of ALPN"),
    ({"host": HOST, "alpn": None}, "should be a valid tuple"),
    ({"host": HOST, "alpn": "ü"}, "is not a protocol of ALPN"),
    ({"host": HOST, "alpn": "x" * 256}, "is not a protocol of ALPN"),
    ({"host": HOST, "expect": {"alpn": "h2"}}, "h2 is expected and not offered; add it to alpn"),
    ({"host": "shop%20x"}, "is not a host"),
    ({"host": HOST, "resolve": "::1", "ip": "4"}, "::1 is no IPv4 address; leave out ip"),
]


@pytest.mark.parametrize(("written", "text"), INVALID)
def test_what_makes_no_sense_is_refused(written, text):
    with pytest.raises(ValidationError, match=text):
        TlsSpec.model_validate(written)


def test_the_version_of_tls_is_one_series_a_probe():
    metrics = Metrics("here")
    run = Run("r", "mail", "j", Channel.TLS, "here", "production", Why.SCHEDULED, 0.0)
    for version in (1.2, 1.3):
        metrics.observed(
            Observation(run, 0.0, 0.1, measures={"tls_version": version, "phase_tls": 0.05, "phase_resolve": 0.01})
        )
    shown = metrics.render().decode()
    assert re.findall(r'^probe_tls_version_info\{.*version="(.*?)"\} 1.0', shown, re.MULTILINE) == ["TLS 1.3"]
    assert re.search(r'^probe_dns_lookup_time_seconds\{.*probe="mail".*\} 0.01', shown, re.MULTILINE)
    assert "probe_http_duration_seconds{" not in shown
    metrics.forget("mail")
    assert "mail" not in metrics.render().decode().replace("earwitness_probe_run_duration", "")


def _der(tag, content):
    size = len(content)
    length = (
        bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content


def _odd(tmp_path, change):
    """Write a certificate of which a library may say that it is none: its parts after `change`, and no signature that is right."""
    leaf = Issuer("Müller", host=HOST)
    (whole,) = _elements(leaf.certificate.public_bytes(serialization.Encoding.DER))
    signed, *signature = _inside(whole)
    parts = _der(0x30, b"".join(change([part.octets for part in _inside(signed)])))
    der = _der(0x30, parts + b"".join(part.octets for part in signature))
    file = tmp_path / "odd.pem"
    file.write_bytes(leaf.key_pem + ssl.DER_cert_to_PEM_cert(der).encode())
    return file


ODD = {
    "a version that there is not": lambda parts: [_der(0xA0, _der(2, b"\x04")), *parts[1:]],
    "fractions of seconds": lambda parts: [*parts[:4], _der(0x30, _der(0x18, b"20260101000000.5Z") * 2), *parts[5:]],
    "the year 0": lambda parts: [*parts[:4], _der(0x30, _der(0x18, b"00000101000000Z") * 2), *parts[5:]],
    "UTF-8 where it is not allowed": lambda parts: [part.replace(b"\x0c\x07M", b"\x13\x07M") for part in parts],
}


@pytest.mark.parametrize("kind", ODD)
async def test_a_certificate_that_cannot_be_read_here_is_told_and_blames_nobody(observe, tmp_path, kind):
    async with tls_server(_odd(tmp_path, ODD[kind])) as port:
        found = only(await observe("tls", host=HOST, port=port))
    assert (found.failure, found.attribution) == (Failure.CERTIFICATE_INVALID, Attribution.UNKNOWN)
    assert "cannot be read here" in found.message


def test_hosts_that_are_listed_twice_are_none(tmp_path):
    """As OpenSSL has it; the library that reads certificates raises."""
    house = House(tmp_path, HOST, leaf={"uses": [ExtendedKeyUsageOID.SERVER_AUTH]})
    der = house.leaf.certificate.public_bytes(serialization.Encoding.DER)
    leaf = x509.load_der_x509_certificate(der.replace(b"\x55\x1d\x25", b"\x55\x1d\x11"))
    faults = faults_of([leaf], HOST, TrustStore(house.ca_file), datetime.now(UTC))
    assert Failure.CERTIFICATE_WRONG_NAME in [fault.failure for fault in faults]


def test_what_is_needed_of_a_chain_that_cannot_be_read_here_is_all_of_it(tmp_path):
    """OpenSSL, by which requests are made, takes more."""
    pem = _odd(tmp_path, ODD["UTF-8 where it is not allowed"]).read_bytes()
    odd = certificate_in(pem[pem.index(b"-----BEGIN CERT") :])
    chain = [odd, certificate_in(Issuer("Old root", ca=True, begins=-9 * DAY, ends=-DAY).pem)]
    assert needed_of(chain, TrustStore(House(tmp_path, HOST).ca_file), datetime.now(UTC)) == chain
