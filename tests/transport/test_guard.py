import socket
from ipaddress import ip_address, ip_network

import pytest
from web_servers import answering, raw_server

from earwitness.model import Attribution, Failure
from earwitness.transport.connection import Endpoint
from earwitness.transport.errors import ExchangeError
from earwitness.transport.guard import check, refusal
from earwitness.transport.resolver import literal

REFUSED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "1000::1",
    "4000::1",
    "e000::1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "64:ff9b:1:7f00:0:100::",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:0808:0808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
REACHED = [
    "8.8.8.8",
    "93.184.215.14",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refuses_what_is_not_public(text):
    with pytest.raises(ExchangeError) as caught:
        check(ip_address(text))
    assert caught.value.failure is Failure.ADDRESS_REFUSED
    assert caught.value.attribution is Attribution.MONITOR
    assert not caught.value.sent


@pytest.mark.parametrize("text", REACHED)
def test_reaches_what_is_public(text):
    assert refusal(ip_address(text)) is None


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("64:ff9b::a01:203", "10.0.0.0/8"),
        ("fd00::1", "fd00::/8"),
        ("100.64.3.4", "100.64.0.0/10"),
    ],
)
def test_reaches_what_is_allowed(text, network):
    assert refusal(ip_address(text), [ip_network(network)]) is None


@pytest.mark.parametrize("text", ["2002:0a01:0203::", "192.168.1.1", "::1"])
def test_an_allowed_network_opens_no_other(text):
    assert refusal(ip_address(text), [ip_network("10.0.0.0/8")]) is not None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[::1]", "::1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
    ],
)
def test_reads_every_spelling_of_an_address(host, address):
    assert literal(host) == ip_address(address)


@pytest.mark.parametrize("host", ["shop.example", "0x.example", "1.2.3.4.example", "face", "4294967296"])
def test_takes_no_name_for_an_address(host):
    assert literal(host) is None


HOSTS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0177.1",
    "127.1",
    "localhost",
    "127。0。0。1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "user:pass@127.0.0.1",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_nothing_connects_to_a_refused_host(make_web, engine, host):
    reached = []

    async def remember(_reader, _writer):
        reached.append(host)

    async with raw_server(remember) as port:
        with pytest.raises(ExchangeError) as caught:
            await make_web(transport=engine, allow=()).client().get(f"http://{host}:{port}/")
    assert caught.value.failure is Failure.ADDRESS_REFUSED
    assert not reached


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["10.0.0.1", "127.0.0.1"], ["::ffff:7f00:1"]])
@pytest.mark.parametrize("dot", ["", "."])
async def test_a_name_that_means_a_private_address_is_refused(make_web, engine, zone, addresses, dot):
    zone.addresses["inner.test"] = addresses
    web = make_web(transport=engine, allow=(), nameservers=(zone.address,))
    with pytest.raises(ExchangeError) as caught:
        await web.client().get(f"http://inner.test{dot}/")
    assert caught.value.failure is Failure.ADDRESS_REFUSED


async def test_of_a_name_with_several_addresses_only_the_allowed_are_used(make_web, engine, zone):
    zone.addresses["mixed.test"] = ["10.255.255.1", "127.0.0.1"]
    web = make_web(transport=engine, nameservers=(zone.address,))
    async with raw_server(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) as port:
        response = await web.client().get(f"http://mixed.test:{port}/")
    assert response.extensions["earwitness.exchange"].address == "127.0.0.1"


async def test_a_redirect_to_a_refused_address_is_not_followed(make_web, engine):
    reached = []

    async def remember(_reader, _writer):
        reached.append(True)

    async with raw_server(remember) as inner:
        location = f"http://127.0.0.2:{inner}/"
        head = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
        async with raw_server(answering(head)) as outer:
            web = make_web(transport=engine, allow=(ip_network("127.0.0.1/32"),))
            with pytest.raises(ExchangeError) as caught:
                await web.client().get(f"http://127.0.0.1:{outer}/", follow_redirects=True)
    assert caught.value.failure is Failure.ADDRESS_REFUSED
    assert not reached


async def test_the_second_check_holds_when_the_first_is_passed_by(make_web, monkeypatch):
    """The address is checked again where the socket is opened, on what libcurl really connects to."""
    monkeypatch.setattr("earwitness.transport.guard.refusal", lambda *_: None)
    from earwitness.transport import transfer  # noqa: PLC0415

    seen = []

    def refuse(address, *_networks):
        seen.append(address)
        raise ExchangeError("refused at the socket", Failure.ADDRESS_REFUSED)

    async def remember(_reader, _writer):
        seen.append("a connection")

    monkeypatch.setattr(transfer, "check", refuse)
    async with raw_server(remember) as port:
        with pytest.raises(ExchangeError, match="refused at the socket"):
            await make_web().client().get(f"http://127.0.0.1:{port}/")
    assert seen == [ip_address("127.0.0.1")]


async def test_a_connection_kept_on_other_terms_carries_nothing(make_web, zone):
    heard = []

    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            heard.append(True)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    web = make_web(allow=(), nameservers=(zone.address,))
    web.transport._route = lambda *_: True
    async with raw_server(serve) as port:
        zone.addresses["flip.test"] = ["127.0.0.1"]
        await web.client(allow=[ip_network("127.0.0.0/8")]).get(f"http://flip.test:{port}/")
        zone.addresses["flip.test"] = ["8.8.8.8"]
        with pytest.raises(ExchangeError) as caught:
            await web.client(timeout=2).get(f"http://flip.test:{port}/")
    assert heard == [True]
    assert caught.value.failure is Failure.ADDRESS_REFUSED


async def test_proxies_of_the_environment_are_ignored(web, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with raw_server(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) as port:
            assert (await web.client().get(f"http://127.0.0.1:{port}/")).text == "ok"


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("168.63.129.16", "168.63.129.16/32"),  # public, and the platform of a cloud
        ("::ffff:168.63.129.16", "168.63.129.16/32"),
        ("64:ff9b::a83f:8110", "168.63.129.16/32"),
        ("10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "::ffff:0:0/96"),
        ("2606:4700::1", "2606:4700::/32"),
    ],
)
def test_what_is_denied_is_refused_whatever_is_allowed(text, denied):
    allow = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert refusal(ip_address(text), allow) is None
    told = refusal(ip_address(text), allow, [ip_network(denied)])
    assert told.endswith(f"is in {denied}, which network.deny names; take it out there if it is meant")
    assert refusal(ip_address(text), allow, [ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")]) is None


async def test_nothing_reaches_a_denied_address_at_any_hop(make_web, engine, zone):
    reached = []

    async def remember(_reader, _writer):
        reached.append(True)

    async with raw_server(remember, host="127.0.0.2") as inner:
        zone.addresses["denied.test"] = ["127.0.0.2"]
        there = [f"http://127.0.0.2:{inner}/", f"http://denied.test:{inner}/"]
        heads = [f"HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode() for to in there]
        web = make_web(transport=engine, deny=(ip_network("127.0.0.2/32"),), nameservers=(zone.address,))
        for head in heads:
            async with raw_server(answering(head)) as outer:
                for url in (*there, f"http://127.0.0.1:{outer}/"):
                    with pytest.raises(ExchangeError, match=r"127\.0\.0\.2 is in 127\.0\.0\.2/32") as caught:
                        await web.client(allow=[ip_network("127.0.0.2/32")]).get(url, follow_redirects=True)
                    assert caught.value.failure is Failure.ADDRESS_REFUSED
        with pytest.raises(ExchangeError, match=r"network\.deny"):
            await web.connector.addresses(Endpoint("denied.test", inner))
    assert not reached


async def test_a_denied_address_is_refused_again_at_the_socket(make_web, engine, monkeypatch):
    """A name that means another address by the time the socket is opened, or a cache of the library's, changes nothing."""
    reached = []

    async def remember(_reader, _writer):
        reached.append(True)

    monkeypatch.setattr("earwitness.transport.guard.usable", lambda addresses, *_: addresses)
    async with raw_server(remember) as port:
        with pytest.raises(ExchangeError) as caught:
            await (
                make_web(transport=engine, deny=(ip_network("127.0.0.1/32"),)).client().get(f"http://127.0.0.1:{port}/")
            )
    assert (caught.value.failure, reached) == (Failure.ADDRESS_REFUSED, [])
