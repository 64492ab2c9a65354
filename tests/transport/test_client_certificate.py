from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from earwitness.transport.client_certificate import UnusableCertificateError, read_client_certificate

AUTHORITY = trustme.CA()


@pytest.fixture
def files(tmp_path):
    """A good pair, and everything that is wrong with others."""
    good, other = AUTHORITY.issue_cert("probe.test"), AUTHORITY.issue_cert("other.test")
    expired = AUTHORITY.issue_cert("probe.test", not_after=datetime.now(UTC) - timedelta(days=3))
    key = serialization.load_pem_private_key(good.private_key_pem.bytes(), None)
    locked = serialization.BestAvailableEncryption(b"passphrase")
    contents = {
        "good.pem": good.cert_chain_pems[0].bytes(),
        "good.key": good.private_key_pem.bytes(),
        "both.pem": good.private_key_and_cert_chain_pem.bytes(),
        "other.key": other.private_key_pem.bytes(),
        "expired.pem": expired.private_key_and_cert_chain_pem.bytes(),
        "locked.key": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked),
        "rubbish": b"rubbish",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("names", [("good.pem", "good.key"), ("both.pem", None), ("both.pem", "good.key")])
def test_takes_a_pair_that_fits(files, names):
    certificate, key = (None if name is None else files / name for name in names)
    pair = read_client_certificate(certificate, key)
    assert (pair.certificate, pair.key) == (certificate, key or certificate)


UNUSABLE = {
    "no certificate file": ("none.pem", "good.key", "client_cert", r"cannot read .+none.pem: No such file"),
    "no key file": ("good.pem", "none.key", "client_key", r"cannot read .+none.key: No such file"),
    "a folder": (".", "good.key", "client_cert", r"cannot read .+: Is a directory"),
    "no certificate": ("rubbish", "good.key", "client_cert", r".+rubbish holds no certificate in PEM"),
    "no key": ("good.pem", "rubbish", "client_key", r".+rubbish holds no private key in PEM"),
    "no key beside it": ("good.pem", None, "client_cert", r".+good.pem holds no private key in PEM"),
    "another key": ("good.pem", "other.key", "client_key", r"the key in .+other.key is not the key of the certificate"),
    "a passphrase": ("good.pem", "locked.key", "client_key", r"the key in .+locked.key has a passphrase"),
    "expired": (
        "expired.pem",
        None,
        "client_cert",
        r".+expired.pem expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC; renew it",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_says_why_a_pair_cannot_be_used(files, case):
    certificate, key, setting, message = UNUSABLE[case]
    with pytest.raises(UnusableCertificateError, match=message) as caught:
        read_client_certificate(files / certificate, None if key is None else files / key)
    assert caught.value.key == setting


def test_a_certificate_expires_while_we_run(files):
    later = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
    expiring = AUTHORITY.issue_cert("probe.test", not_after=datetime(2099, 1, 1, tzinfo=UTC))
    expiring.private_key_and_cert_chain_pem.write_to_path(str(files / "expiring.pem"))
    assert read_client_certificate(files / "expiring.pem", None).key == files / "expiring.pem"
    with pytest.raises(UnusableCertificateError, match="expired on 2099-01-01"):
        read_client_certificate(files / "expiring.pem", None, later)
