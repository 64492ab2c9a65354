"""`network.ca_file` in the browser: whom it vouches for is trusted there too, and nobody else."""

import asyncio
import os
import shutil
import ssl

import pytest
import trustme
from web_servers import raw_server, self_signed

from earwitness.browser.engine import BrowserEngine
from earwitness.config.advice import advice_on
from earwitness.config.network import NetworkSpec
from earwitness.config.schema import Config
from earwitness.model import Attribution, Failure, Outcome
from earwitness.transport.client import WebClient

MISSING = shutil.which("certutil") is None and os.environ.get("CI") != "true"
pytestmark = pytest.mark.skipif(MISSING, reason="there is no certutil here")
CONFIG = {
    "environment": "production",
    "journeys": {"pay": {"title": "Pay"}},
    "probes": {"p": {"journey": "pay", "every": "1m", "browser": {"steps": [{"open": "https://shop.example/"}]}}},
}
PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\nconnection: close\r\n\r\nHello"


async def hello(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PAGE)
    await writer.drain()


@pytest.fixture
def secure_shop():
    """Serve a page by a certificate that the authority issued, or by the one in a file."""

    def serve(certificate):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if isinstance(certificate, trustme.CA):
            certificate.issue_cert("shop.test").configure_cert(context)
        else:
            context.load_cert_chain(certificate)
        return raw_server(hello, ssl=context)

    return serve


@pytest.fixture
async def trusting(zone):
    """Make an engine that trusts a file."""
    made = []

    def make(ca_file):
        web = WebClient(NetworkSpec(nameservers=(zone.address,), ca_file=ca_file))
        made.append((BrowserEngine(lambda: web), web))
        return made[-1][0]

    yield make
    for engine, web in made:
        await engine.aclose()
        await web.aclose()


def bundle(folder, *authorities):
    file = folder / "ours with a space.pem"
    file.write_bytes(b"".join(a.cert_pem.bytes() for a in authorities))
    return file


async def test_a_page_that_an_authority_of_ours_vouches_for_opens(observe, trusting, secure_shop, tmp_path):
    first, second, stranger = trustme.CA(), trustme.CA(), trustme.CA()
    engine = trusting(bundle(tmp_path, first, second))
    for authority in (first, second):
        async with secure_shop(authority) as port:
            seen = await observe({"open": f"https://shop.test:{port}/"}, {"expect_text": "Hello"}, browser=engine)
        assert seen.outcome is Outcome.OK, seen.findings
    async with secure_shop(stranger) as port:
        (finding,) = (await observe({"open": f"https://shop.test:{port}/"}, browser=engine)).findings
    assert (finding.failure, finding.attribution) == (Failure.CERTIFICATE_INVALID, Attribution.TARGET)
    async with secure_shop(first) as port:
        (finding,) = (await observe({"open": f"https://127.0.0.1:{port}/"}, browser=engine)).findings
    assert "CERT_COMMON_NAME_INVALID" in finding.message, "what we trust is still checked"
    assert engine.starts == 1


async def test_a_certificate_that_vouches_for_itself_is_trusted_where_the_file_names_it(
    observe, trusting, secure_shop, tmp_path
):
    file = self_signed(tmp_path, "shop.test")
    async with secure_shop(file) as port:
        seen = await observe({"open": f"https://shop.test:{port}/"}, browser=trusting(file))
    assert seen.outcome is Outcome.OK, seen.findings


async def test_a_file_that_changed_is_trusted_by_the_next_run(observe, trusting, secure_shop, tmp_path):
    before, after = trustme.CA(), trustme.CA()
    engine = trusting(bundle(tmp_path, before))
    async with secure_shop(after) as port:
        page = {"open": f"https://shop.test:{port}/"}
        assert (await observe(page, browser=engine)).findings[0].failure is Failure.CERTIFICATE_INVALID
        os.utime(bundle(tmp_path, after), (1, 1))
        assert (await observe(page, browser=engine)).outcome is Outcome.OK
    assert engine.starts == 2
    assert len(list(engine.roots)) == 1, "the one that trusted the old file has gone"


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read: No such file"), (b"", "the file is empty"), (b"nonsense", "holds no certificate")],
    ids=["missing", "empty", "nonsense"],
)
async def test_a_file_of_no_use_is_our_own_trouble(observe, trusting, tmp_path, content, told):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    seen = await observe({"open": "https://shop.test/"}, browser=trusting(file))
    (finding,) = seen.findings
    assert (seen.outcome, finding.failure, finding.attribution) == (
        Outcome.UNKNOWN,
        Failure.BROWSER_FAILED,
        Attribution.MONITOR,
    )
    assert told in finding.message


async def test_without_certutil_it_says_what_to_install(observe, trusting, tmp_path, monkeypatch):
    chromium = shutil.which("chromium")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/chromium").symlink_to(chromium)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (finding,) = (
        await observe({"open": "https://shop.test/"}, browser=trusting(bundle(tmp_path, trustme.CA())))
    ).findings
    assert (finding.failure, finding.attribution) == (Failure.BROWSER_FAILED, Attribution.MONITOR)
    assert "apt-get install libnss3-tools" in finding.message
    config = Config.model_validate(CONFIG | {"network": {"ca_file": str(tmp_path / "ca.pem")}})
    assert any(
        "apt-get install libnss3-tools; until then such runs end as unknown" in text for text in advice_on(config)
    )


async def test_the_home_that_was_made_for_it_is_gone_at_the_end(observe, zone, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    web = WebClient(NetworkSpec(nameservers=(zone.address,), ca_file=bundle(tmp_path, trustme.CA())))
    engine = BrowserEngine(lambda: web)
    await observe({"open": "https://shop.test:1/"}, browser=engine)
    assert list((tmp_path / "tmp").glob("earwitness-*/.pki/nssdb/cert9.db"))
    await engine.aclose()
    await web.aclose()
    assert await asyncio.to_thread(list, (tmp_path / "tmp").glob("earwitness-*")) == []
