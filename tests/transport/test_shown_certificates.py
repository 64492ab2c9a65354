"""Which certificates an exchange has on record when the server changes them."""

import ssl
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import trustme
from web_servers import answering, raw_server

from earwitness.model import Failure
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import EXCHANGE

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


class Server:
    """A server by TLS whose certificate can be changed while it runs."""

    def __init__(self, folder):
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def show(self, days):
        """From now on, show a certificate that expires in so many days."""
        self.authority.issue_cert("127.0.0.1", not_after=NOW + days * DAY).configure_cert(self.context)


@pytest.fixture
async def shop(tmp_path, make_web):
    server = Server(tmp_path)
    server.show(30)
    web = make_web(transport="curl", ca_file=server.ca_file)
    async with raw_server(answering(OK), ssl=server.context) as port:

        async def days_left():
            answer = await web.client(fresh=True).get(f"https://127.0.0.1:{port}/")
            (leaf, *_) = answer.extensions[EXCHANGE].certificates
            return round((leaf.not_after - NOW.timestamp()) / DAY.total_seconds())

        yield server, web.transport, days_left


async def test_an_origin_is_asked_for_its_certificates_anew_after_a_while(shop):
    server, transport, days_left = shop
    assert await days_left() == 30
    server.show(60)
    assert await days_left() == 30, "it is taken to show the same for a minute"
    transport.look_again = 0.0
    assert await days_left() == 60


async def test_one_that_is_refused_is_looked_at_whatever_was_shown_before(shop):
    server, _, days_left = shop
    assert await days_left() == 30
    server.show(-2)
    with pytest.raises(ExchangeError, match=r"expired on .*, 2 days ago") as caught:
        await days_left()
    assert caught.value.failure is Failure.CERTIFICATE_INVALID
    assert caught.value.exchange.certificates[0].not_after < NOW.timestamp()


async def test_where_no_handshake_comes_about_nothing_is_on_record(shop):
    server, _, days_left = shop
    assert await days_left() == 30
    server.context.minimum_version = server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    server.context.set_ciphers("PSK")
    with pytest.raises(httpx.TransportError) as caught:
        await days_left()
    assert caught.value.exchange.certificates == ()
