import pytest

from earwitness.model import Failure
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import Certificate
from earwitness.transport.trust import TrustStore, covers, diagnose, read_der, read_pem

DAY = 86400.0
NOW = 1_800_000_000.0


def certificate(*names, subject="CN=leaf", issuer="CN=authority", since=-DAY, until=DAY):
    return Certificate(subject, issuer, names, NOW + since, NOW + until)


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (["shop.example"], "shop.example", True),
        (["Shop.Example"], "shop.example.", True),
        (["*.example"], "shop.example", True),
        (["*.example"], "www.shop.example", False),
        (["*.example"], "example", False),
        (["shop.example"], "www.shop.example", False),
        (["192.0.2.1"], "192.0.2.1", True),
        (["2001:db8::1"], "[2001:db8:0::1]", True),
        (["*.0.2.1"], "192.0.2.1", False),
        ([], "shop.example", False),
    ],
)
def test_knows_whom_a_certificate_is_for(names, host, covered):
    assert covers(certificate(*names), host) is covered


@pytest.mark.parametrize(
    ("chain", "sentence"),
    [
        ([], "the certificate of a.test was refused: so it said"),
        (
            [certificate("a.test")],
            "the certificate of a.test was issued by CN=authority, whom nothing here vouches for (so it said)",
        ),
        (
            [certificate("a.test", until=-2 * DAY)],
            "the certificate of a.test expired on 2027-01-13 08:00 UTC, 2 days ago",
        ),
        ([certificate("a.test", since=DAY)], "the certificate of a.test is not valid before 2027-01-16 08:00 UTC"),
        ([certificate("b.test")], "the certificate of a.test is for b.test, not for a.test"),
        ([certificate("a.test", issuer="CN=leaf")], "the certificate of a.test is self-signed"),
        (
            [certificate("a.test"), certificate(subject="CN=between", until=-DAY)],
            "the certificate of a.test has an issuer, CN=between, that expired on 2027-01-14 08:00 UTC",
        ),
        (
            [certificate("b.test", until=-DAY)],
            "the certificate of a.test expired on 2027-01-14 08:00 UTC, 1 day ago and is for b.test, not for a.test",
        ),
    ],
)
def test_says_why_a_certificate_was_refused(chain, sentence):
    assert diagnose(chain, "a.test", NOW, "so it said") == sentence


def test_bytes_that_are_no_certificate_are_none():
    assert read_pem(b"rubbish") is None
    assert read_der(b"rubbish") is None


def test_the_system_or_certifi_is_trusted_without_a_file():
    store = TrustStore()
    assert store.impaired is None
    assert store.context().get_ca_certs()


@pytest.mark.parametrize("content", [None, ""])
def test_a_missing_store_is_impaired_until_it_is_there(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    store = TrustStore(file)
    assert str(file) in store.impaired
    with pytest.raises(ExchangeError) as caught:
        store.bundle()
    assert caught.value.failure is Failure.NO_TRUST_STORE
    file.write_text("there now")
    assert store.impaired is None
