import asyncio
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from dnslib import CAA, CNAME, MX, NS, QTYPE, RCODE, RR, SRV, TXT, A, DNSError, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer
from pydantic import ValidationError
from web_servers import free_port, hang, raw_server

from earwitness.model import Attribution, Effect, Failure, Outcome
from earwitness.probes.dns import DnsSpec
from earwitness.probes.endpoint import host_name
from earwitness.transport.server_address import server_address

NAME = "shop.test"
RECORDS = {
    "A": [A("192.0.2.1"), A("192.0.2.2")],
    "CNAME": [CNAME("www.shop.test")],
    "MX": [MX("mx.shop.test", 10)],
    "TXT": [TXT(b"v=spf1 -all")],
    "NS": [NS("ns.shop.test")],
    "SRV": [SRV(1, 2, 443, "www.shop.test")],
    "CAA": [CAA(0, "issue", "ca.test")],
}


class Answers(BaseResolver):
    """Answers about one name; what is set changes it."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.records = dict(RECORDS)
        self.rcode = RCODE.NOERROR
        self.authenticated = False
        self.truncated = False  # over UDP
        self.losses = 0  # questions that go unanswered
        self.asked_by = []

    def resolve(self, request, handler):
        self.asked_by.append(handler.protocol)
        if len(self.asked_by) <= self.losses:
            raise DNSError("lost on the way")
        reply = request.reply()
        reply.header.rcode = self.rcode
        reply.header.ad = int(self.authenticated)
        if self.truncated and handler.protocol == "udp":
            reply.header.tc = 1
            return reply
        for rdata in self.records.get(QTYPE[request.q.qtype], []):
            reply.add_answer(RR(request.q.qname, request.q.qtype, rdata=rdata, ttl=300))
        return reply


@contextmanager
def name_server(answers):
    """Yield `address:port` of a server that answers by UDP and TCP."""
    quiet = DNSLogger("-request,-reply,-truncated,-error")
    port = free_port()
    servers = [DNSServer(answers, port=port, address="127.0.0.1", tcp=tcp, logger=quiet) for tcp in (False, True)]
    for server in servers:
        server.start_thread()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        for server in servers:
            server.stop()
            server.thread.join()
            server.server.server_close()


@pytest.fixture(scope="module")
def _pair():
    """Two name servers, which take half a second to end: (answers, address) of each."""
    first, second = Answers(), Answers()
    with name_server(first) as one, name_server(second) as two:
        yield (first, one), (second, two)


@pytest.fixture
def server(_pair):
    _pair[0][0].forget()
    return _pair[0][1]


@pytest.fixture
def answers(_pair, server):
    """What `server` answers."""
    return {server: _pair[0][0]}[server]


@pytest.fixture
def other(_pair):
    """Another server: its answers, and its address."""
    _pair[1][0].forget()
    return _pair[1]


@pytest.fixture
def ask(observe, server):
    """Ask the server about the name."""

    async def ask(kind="A", servers=server, **options):
        return await observe("dns", name=NAME, type=kind, servers=servers, **options)

    return ask


def only(seen):
    assert len(seen.findings) == 1, seen.findings
    return seen.findings[0]


TEXTS = {
    "A": ["192.0.2.2", "192.0.2.1"],
    "CNAME": "www.shop.test.",
    "MX": "10 mx.shop.test.",
    "TXT": '"v=spf1 -all"',
    "NS": "NS.shop.test",
    "SRV": "1 2 443 www.shop.test.",
    "CAA": '0 issue "ca.test"',
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_every_type_by_either_protocol(ask, answers, kind, protocol):
    seen = await ask(kind, protocol=protocol, expect={"answers": {"exactly": TEXTS[kind]}})
    assert (seen.outcome, seen.findings) == (Outcome.OK, ())
    assert answers.asked_by == [protocol]
    assert (seen.facts["rcode"], seen.facts["ttl"]) == ("NOERROR", 300)
    assert seen.measures["answers"] == len(RECORDS[kind])
    assert 0 < seen.measures["question"] <= seen.measures["duration"]


WANTED = [
    ({"any": ["192.0.2.9", "192.0.2.1"]}, True),
    ({"any": "192.0.2.9"}, False),
    ({"all": ["192.0.2.1", "192.0.2.2"]}, True),
    ({"all": ["192.0.2.1", "192.0.2.9"]}, False),
    ({"exactly": "192.0.2.1"}, False),
    (["192.0.2.1"], True),
]


@pytest.mark.parametrize(("wanted", "right"), WANTED)
async def test_answers_any_all_exactly(ask, drawer, wanted, right):
    seen = await ask(expect={"answers": wanted})
    assert (seen.outcome is Outcome.OK) is right
    if not right:
        assert (only(seen).failure, only(seen).effect) == (Failure.WRONG_ANSWER, Effect.BLOCKED)
        assert only(seen).message.endswith("got 192.0.2.1, 192.0.2.2")
        assert "shop.test. 300 IN A 192.0.2.1" in drawer.files["dns_answer"]


WRONG = [
    ({"networks": ["192.0.2.0/31"]}, "expected shop.test. A to be in 192.0.2.0/31, got 192.0.2.2"),
    ({"min_ttl": "10m"}, "to live 600 s, it lives 300 s"),
    ({"rcode": "NXDOMAIN"}, "expected NXDOMAIN for shop.test. A, got NOERROR"),
]


@pytest.mark.parametrize(("expect", "text"), WRONG)
async def test_what_else_may_be_expected(ask, expect, text):
    assert text in only(await ask(expect=expect)).message


async def test_a_name_that_is_gone(ask, answers):
    answers.rcode, answers.records = RCODE.NXDOMAIN, {}
    assert only(await ask()).failure is Failure.NAME_NOT_FOUND
    assert (await ask(expect={"rcode": "nxdomain"})).outcome is Outcome.OK


async def test_a_record_that_is_gone(ask, answers):
    answers.records["MX"] = []
    assert only(await ask("MX")).message.endswith("there is no such record")


@pytest.mark.parametrize("authenticated", [True, False])
async def test_dnssec_is_what_the_server_says(ask, answers, authenticated):
    answers.authenticated = authenticated
    seen = await ask(expect={"authenticated": "true"})
    assert [f.failure for f in seen.findings] == ([] if authenticated else [Failure.NOT_AUTHENTICATED])


async def test_a_truncated_answer_is_asked_for_again_by_tcp(ask, answers):
    answers.truncated = True
    assert (await ask()).outcome is Outcome.OK
    assert answers.asked_by == ["udp", "tcp"]


@pytest.mark.parametrize("rcode", [RCODE.SERVFAIL, RCODE.REFUSED])
async def test_a_named_server_that_fails_is_the_targets_and_ours_is_nobodys(
    ask, observe, make_web, answers, server, rcode
):
    answers.rcode = rcode
    found = only(await ask())
    assert (found.failure, found.attribution) == (Failure.WRONG_RCODE, Attribution.TARGET)
    found = only(await observe("dns", make_web(nameservers=(server,)), name=NAME))
    assert (found.failure, found.attribution) == (Failure.RESOLVER_FAILED, Attribution.UNKNOWN)


async def test_two_servers_that_disagree_are_both_heard(ask, drawer, server, other):
    answers, second = other
    answers.records["A"] = [A("198.51.100.7")]
    assert (await ask(servers=[server, second])).outcome is Outcome.OK
    seen = await ask(servers=[server, second], expect={"agree": "true"})
    said = f"{server} says 192.0.2.1, 192.0.2.2; {second} says 198.51.100.7"
    assert only(seen).message.endswith(said)
    assert drawer.files["dns_answer"].count(";; 127.0.0.1:") == 2


async def test_one_of_two_servers_that_is_wrong_is_named(ask, server, other):
    answers, second = other
    answers.records["A"] = []
    seen = await ask(servers=[server, second])
    assert only(seen).message.startswith(f"{second}: ")
    assert [(step.name, step.ok) for step in seen.steps] == [(server, True), (second, False)]


async def test_a_silent_server_ends_in_time(observe, make_web):
    import socket  # noqa: PLC0415

    with socket.socket(type=socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{hole.getsockname()[1]}"
        async with asyncio.timeout(5):
            theirs = only(await observe("dns", name=NAME, servers=silent, timeout="1s"))
            ours = only(await observe("dns", make_web(nameservers=(silent,)), name=NAME, timeout="1s"))
    assert (theirs.failure, theirs.attribution) == (Failure.NAME_SERVER_SILENT, Attribution.TARGET)
    assert (ours.failure, ours.attribution, ours.effect) == (Failure.RESOLVER_FAILED, Attribution.MONITOR, Effect.NONE)


async def test_a_closed_port_ends_in_time(observe):
    async with asyncio.timeout(5):
        udp = only(await observe("dns", name=NAME, servers=f"127.0.0.1:{free_port()}", timeout="1s"))
        tcp = only(await observe("dns", name=NAME, servers=f"127.0.0.1:{free_port()}", protocol="tcp", timeout="1s"))
    assert udp.failure is Failure.CONNECTION_REFUSED
    assert tcp.failure is Failure.CONNECTION_REFUSED


async def nothing(_reader, _writer):
    """Hang up at once."""


async def nonsense(_reader, writer):
    writer.write(b"\x00\x05hello")
    await writer.drain()


MANNERS = {
    "silent": (hang, Failure.NAME_SERVER_SILENT),
    "hung up": (nothing, Failure.CONNECTION_LOST),
    "nonsense": (nonsense, Failure.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("kind", MANNERS)
async def test_bad_manners_by_tcp_end_in_time_with_a_name(observe, kind):
    handler, failure = MANNERS[kind]
    async with raw_server(handler) as port, asyncio.timeout(5):
        seen = await observe("dns", name=NAME, servers=f"127.0.0.1:{port}", protocol="tcp", timeout="1s")
    assert only(seen).failure is failure


async def test_a_private_server_is_refused_unless_allowed(observe, make_web, server, answers):
    web = make_web(allow=())
    refused = await observe("dns", web, name=NAME, servers=server)
    assert (only(refused).failure, answers.asked_by) == (Failure.ADDRESS_REFUSED, [])
    allowed = await observe("dns", web, name=NAME, servers=server, allow=["127.0.0.0/8"])
    assert allowed.outcome is Outcome.OK


async def test_our_uplink_is_looked_at_before_a_server_is_blamed(observe, make_web):
    web = make_web(known_good=(f"http://127.0.0.1:{free_port()}/",))
    seen = await observe("dns", web, name=NAME, servers=f"127.0.0.1:{free_port()}", protocol="tcp", timeout="1s")
    assert (only(seen).failure, seen.outcome) == (Failure.UPLINK_DOWN, Outcome.UNKNOWN)


@pytest.mark.parametrize(("limit", "effect"), [("minor", Effect.NUISANCE), ("major", Effect.BLOCKED)])
async def test_slow(ask, limit, effect):
    found = only(await ask(expect={"within": {limit: "0s"}}))
    assert (found.failure, found.effect) == (Failure.SLOW, effect)


INVALID = [
    ({"name": "a..b"}, "is not a name"),
    ({"name": NAME, "type": "A", "expect": {"answers": ["www.shop.test"]}}, "is no A record"),
    ({"name": NAME, "type": "MX", "expect": {"networks": ["10.0.0.0/8"]}}, "hold no address"),
    ({"name": NAME, "expect": {"rcode": "MAYBE"}}, "is no answer's code"),
    ({"name": NAME, "servers": "ns.shop.test"}, "is not a name server"),
    ({"name": NAME, "servers": "192.0.2.53:0"}, "is not a name server"),
    ({"name": " "}, "is not a name"),
]


@pytest.mark.parametrize(("written", "text"), INVALID)
def test_what_makes_no_sense_is_refused(written, text):
    with pytest.raises(ValidationError, match=text):
        DnsSpec.model_validate(written)


SERVERS = {
    "192.0.2.53": ("192.0.2.53", 53),
    "192.0.2.53:5353": ("192.0.2.53", 5353),
    "2001:db8::53": ("2001:db8::53", 53),
    "[2001:db8::53]:5353": ("2001:db8::53", 5353),
    "[2001:db8::53]": ("2001:db8::53", 53),
}


@pytest.mark.parametrize("written", SERVERS)
def test_the_ways_to_write_a_server(written):
    assert server_address(written) == SERVERS[written]


@pytest.mark.parametrize(("right", "failure"), [(True, None), (False, Failure.WRONG_ANSWER)])
async def test_one_dead_name_server_of_ours_hides_nothing(observe, make_web, server, right, failure):
    dead = f"127.0.0.1:{free_port()}"
    web = make_web(nameservers=(dead, server))
    expect = {"answers": ["192.0.2.1" if right else "192.0.2.9"]}
    seen = await observe("dns", web=web, name=NAME, expect=expect, timeout="900ms")
    assert [f.failure for f in seen.findings] == ([failure] if failure else [])
    (told,) = [step for step in seen.steps if step.name == dead]
    assert not told.ok
    assert "connection refused" in told.note


async def test_a_datagram_that_is_lost_is_sent_again(ask, answers):
    answers.losses = 2
    assert (await ask(timeout="3s")).outcome is Outcome.OK
    assert len(answers.asked_by) == 3


class Datagrams(asyncio.DatagramProtocol):
    """Answers the first question by UDP after `delay` seconds, and every other never, with `before` each answer."""

    def __init__(self, delay=0.0, before=None, *, answers=True):
        self.delay, self.before, self.answers, self.asked = delay, before, answers, 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        self.asked += 1
        if self.asked == 1:
            asyncio.get_running_loop().call_later(self.delay, self.answer, data, sender)

    def answer(self, data, sender):
        reply = DNSRecord.parse(data).reply()
        reply.add_answer(RR(NAME, QTYPE.A, rdata=A("192.0.2.1"), ttl=300))
        for sent in (*(self.before(reply.pack()) if self.before else ()), *([reply.pack()] if self.answers else [])):
            self.transport.sendto(sent, sender)


@asynccontextmanager
async def answering_by_udp(protocol):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, ("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_an_answer_that_is_slow_is_waited_for_while_the_question_is_sent_again(observe):
    slow = Datagrams(delay=0.7)
    async with answering_by_udp(slow) as address:
        seen = await observe("dns", name=NAME, servers=address, timeout="1500ms")
    assert seen.outcome is Outcome.OK, seen.findings
    assert seen.measures["question"] > 0.69  # from the first sending
    assert slow.asked >= 2


STRAY = {  # what comes before the answer, or instead of it
    "of another question": lambda answer: [bytes([answer[0] ^ 1]) + answer[1:]],
    "no answer at all": lambda answer: [b"", b"hello", answer[:20]],
}


@pytest.mark.parametrize("kind", STRAY)
async def test_what_is_no_answer_is_passed_over_as_resolvers_do(observe, kind):
    async with answering_by_udp(Datagrams(before=STRAY[kind])) as address:
        seen = await observe("dns", name=NAME, servers=address, timeout="1s")
    assert seen.outcome is Outcome.OK, seen.findings
    async with answering_by_udp(Datagrams(before=STRAY[kind], answers=False)) as address:
        seen = await observe("dns", name=NAME, servers=address, timeout="600ms")
    assert (only(seen).failure, only(seen).attribution) == (Failure.PROTOCOL_ERROR, Attribution.TARGET)
    assert "sends what is no answer" in only(seen).message


@pytest.mark.parametrize("written", ["straße.test", "STRASSE.test", "müller.test"])
def test_every_kind_of_probe_asks_for_the_same_international_name(written):
    """By IDNA 2003 a straße was a strasse, which may be somebody else's."""
    asked = httpx.URL(f"http://{written}").raw_host.decode()
    assert host_name(written) == asked
    assert DnsSpec.model_validate({"name": written}).name.lower() == f"{asked}."
