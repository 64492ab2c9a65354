import asyncio

import pytest
from pydantic import ValidationError
from tls_servers import House, Issuer, tls_server
from web_servers import free_port, hang, raw_server

from earwitness.model import Attribution, Effect, Failure, Outcome
from earwitness.probes.tcp import TcpSpec

HOST = "mail.test"


def only(seen):
    assert len(seen.findings) == 1, seen.findings
    return seen.findings[0]


async def greet(reader, writer):
    """A mail server, as far as it goes: it echoes what it does not know."""
    writer.write(b"220 mail ready\r\n")
    while line := await reader.readline():
        writer.write(b"250 hello\r\n" if line.startswith(b"EHLO") else b"500 what is " + line)


CONVERSATION = [{"expect": "^220 .*ready"}, {"send": "EHLO probe\r\n"}, {"expect": "^250"}]


async def test_a_port_that_takes_connections_passes(observe, drawer):
    async with raw_server(hang) as port:
        seen = await observe("tcp", host=HOST, port=port)
    assert (seen.outcome, seen.findings, seen.facts) == (Outcome.OK, (), {"host": HOST, "address": "127.0.0.1"})
    assert seen.measures.keys() >= {"duration", "phase_resolve", "phase_connect"}
    assert drawer.files == {}


async def test_a_conversation(observe):
    async with raw_server(greet) as port:
        seen = await observe("tcp", host=HOST, port=port, steps=CONVERSATION)
    assert seen.outcome is Outcome.OK
    assert [step.name for step in seen.steps[1:]] == ["expect ^220 .*ready", "send EHLO probe", "expect ^250"]
    assert all(step.ok for step in seen.steps)


async def test_a_banner_may_come_in_pieces(observe):
    async def slowly(reader, writer):
        for piece in (b"22", b"0 re", b"ady\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await hang(reader, writer)

    async with raw_server(slowly) as port:
        assert (await observe("tcp", host=HOST, port=port, steps=[{"expect": "^220 ready"}])).outcome is Outcome.OK


async def test_what_was_said_before_is_not_heard_again(observe):
    async with raw_server(greet) as port:
        steps = [{"expect": "220"}, {"expect": "220"}]
        found = only(await observe("tcp", host=HOST, port=port, timeout="1s", steps=steps))
    assert (found.failure, found.message) == (
        Failure.FIRST_BYTE_TIMEOUT,
        "expect 220: not within 1 s, it said nothing",
    )


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_wrong_banner_is_told_with_its_words(observe, drawer, hangs_up):
    async def wrong(reader, writer):
        writer.write(b"554 go away\r\n")
        await writer.drain()
        if not hangs_up:
            await hang(reader, writer)

    async with raw_server(wrong) as port, asyncio.timeout(5):
        found = only(await observe("tcp", host=HOST, port=port, timeout="1s", steps=[{"expect": "^220"}]))
    assert (found.failure, found.effect, found.attribution) == (
        Failure.WRONG_BANNER,
        Effect.BLOCKED,
        Attribution.TARGET,
    )
    assert "554 go away" in found.message
    assert "< 554 go away" in drawer.files["conversation"]


async def test_a_server_that_never_stops_talking_is_cut_off(observe):
    async def babble(_reader, writer):
        while True:
            writer.write(b"bla " * 1024)
            await writer.drain()

    async with raw_server(babble) as port, asyncio.timeout(10):
        found = only(await observe("tcp", host=HOST, port=port, steps=[{"expect": "^220"}]))
    assert found.failure is Failure.WRONG_BANNER


async def nothing(_reader, _writer):
    """Hang up at once."""


async def reset(_reader, writer):
    writer.transport.abort()


MANNERS = {
    "silent": (hang, Failure.FIRST_BYTE_TIMEOUT),
    "hung up": (nothing, Failure.CONNECTION_LOST),
    "reset": (reset, Failure.CONNECTION_LOST),
}


@pytest.mark.parametrize("kind", MANNERS)
async def test_bad_manners_end_in_time_with_a_name(observe, kind):
    handler, failure = MANNERS[kind]
    async with raw_server(handler) as port, asyncio.timeout(5):
        found = only(await observe("tcp", host=HOST, port=port, timeout="1s", steps=[{"expect": "^220"}]))
    assert (found.failure, found.attribution) == (failure, Attribution.TARGET)


async def test_a_closed_port_is_refused(observe):
    found = only(await observe("tcp", host=HOST, port=free_port()))
    assert (found.failure, found.message) == (
        Failure.CONNECTION_REFUSED,
        "cannot connect to 127.0.0.1: connection refused",
    )


async def test_a_full_queue_ends_in_time(observe):
    """A half-open server: the kernel takes no more connections, and nobody accepts those that it took."""
    import socket  # noqa: PLC0415

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            found = only(await observe("tcp", host=HOST, port=port, timeout="1s"))
    assert found.failure is Failure.CONNECT_TIMEOUT


async def test_the_next_address_is_tried_when_one_refuses(observe, zone):
    zone.addresses[HOST] = ["127.0.0.2", "127.0.0.3"]
    async with raw_server(hang, host="127.0.0.3") as port:
        seen = await observe("tcp", host=HOST, port=port)
    assert (seen.outcome, seen.facts["address"]) == (Outcome.OK, "127.0.0.3")


async def test_one_version_of_ip_and_one_address(observe):
    seen = await observe("tcp", host=HOST, port=free_port(), ip="6")
    assert (only(seen).failure, only(seen).message) == (Failure.NAME_NOT_FOUND, f"{HOST} has no IPv6 address")
    async with raw_server(hang) as port:
        seen = await observe("tcp", host="nobody.test", port=port, resolve="127.0.0.1")
    assert seen.outcome is Outcome.OK


async def test_by_tls(observe, make_web, tmp_path):
    house = House(tmp_path, HOST)
    web = make_web(ca_file=house.ca_file)
    async with tls_server(house.file(), greet) as port:
        seen = await observe("tcp", web, host=HOST, port=port, tls="true", steps=CONVERSATION)
    assert (seen.outcome, seen.findings) == (Outcome.OK, ())
    assert "phase_tls" in seen.measures


async def test_by_tls_a_bad_certificate_is_refused(observe, make_web, tmp_path):
    house = House(tmp_path, HOST)
    async with tls_server(house.file(Issuer("Alone", host=HOST))) as port:
        found = only(await observe("tcp", make_web(ca_file=house.ca_file), host=HOST, port=port, tls="true"))
    assert (found.failure, "self-signed" in found.message) == (Failure.CERTIFICATE_INVALID, True)


@pytest.mark.parametrize("handler", [hang, nothing])
async def test_by_tls_a_server_without_it_ends_in_time(observe, handler):
    async with raw_server(handler) as port, asyncio.timeout(5):
        found = only(await observe("tcp", host=HOST, port=port, tls="true", timeout="1s"))
    assert found.failure is Failure.TLS_FAILED


async def test_a_secret_is_shown_nowhere_even_if_it_is_echoed(observe, drawer):
    steps = [{"send": "PASS hunter2canary\r\n", "secret": "true"}, {"expect": "^250"}]
    async with raw_server(greet) as port:
        seen = await observe("tcp", host=HOST, port=port, timeout="1s", steps=steps)
    assert seen.outcome is Outcome.FINDING
    assert "what is" in drawer.files["conversation"]
    assert "hunter2canary" not in f"{seen}{drawer.files}"


@pytest.mark.parametrize(("limit", "effect"), [("minor", Effect.NUISANCE), ("major", Effect.BLOCKED)])
async def test_slow(observe, limit, effect):
    async with raw_server(hang) as port:
        found = only(await observe("tcp", host=HOST, port=port, within={limit: "0s"}))
    assert (found.failure, found.effect) == (Failure.SLOW, effect)


async def test_a_private_address_is_refused_unless_allowed(observe, make_web):
    async with raw_server(hang) as port:
        web = make_web(allow=())
        assert only(await observe("tcp", web, host=HOST, port=port)).failure is Failure.ADDRESS_REFUSED
        assert (await observe("tcp", web, host=HOST, port=port, allow=["127.0.0.0/8"])).outcome is Outcome.OK


@pytest.mark.parametrize("step", [{}, {"expect": "a", "send": "b"}, {"expect": "("}])
def test_a_step_that_makes_no_sense_is_refused(step):
    with pytest.raises(ValidationError, match=r"either expect or send|is not a regular expression"):
        TcpSpec.model_validate({"host": HOST, "port": 25, "steps": [step]})


async def in_pieces(writer, *pieces):
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)  # so that they are read one by one


async def test_a_secret_that_is_echoed_in_two_pieces_is_not_shown(observe, drawer):
    async def echo(reader, writer):
        writer.write(b"220 ready\r\n")
        line = await reader.readline()
        await in_pieces(writer, b"500 what is " + line[:9], line[9:], b"and ", line.split()[1][:6], line.split()[1][6:])

    steps = [{"expect": "^220"}, {"send": "PASS canary-secret-1\r\n", "secret": True}, {"expect": "^250"}]
    async with raw_server(echo) as port:
        finding = only(await observe("tcp", host=HOST, port=port, steps=steps))
    shown = drawer.files["conversation"] + finding.message
    assert "canary" not in shown
    assert "secret-1" not in shown
    assert "500 what is ***" in shown


async def test_a_secret_is_not_cut_in_two_by_a_message(observe):
    async def echo(reader, writer):
        line = await reader.readline()
        await in_pieces(writer, b"x" * 60 + b" " + line)

    steps = [{"send": "PASS canary-secret-that-is-long\r\n", "secret": True}, {"expect": "^250"}]
    async with raw_server(echo) as port:
        assert "canary" not in only(await observe("tcp", host=HOST, port=port, steps=steps)).message


async def test_a_line_that_comes_in_pieces_among_others_is_found(observe):
    async def talk(reader, writer):
        await in_pieces(writer, b"one\r\ntw", b"o\r", b"\nthr", b"ee \xe2\x82", b"\xac\r\nfour\r\n")
        await hang(reader, writer)

    steps = [{"expect": "^two$"}, {"expect": "^three €$"}, {"expect": "^four$"}]
    async with raw_server(talk) as port:
        assert (await observe("tcp", host=HOST, port=port, steps=steps)).outcome is Outcome.OK
