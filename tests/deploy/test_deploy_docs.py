import re

from deploy_needs import DEPLOY, REPOSITORY

GUIDE = REPOSITORY / "docs" / "deploy.md"


def test_every_file_that_the_guide_names_is_there():
    text = GUIDE.read_text()
    linked = re.findall(r"\]\(\.\./([\w./-]+)\)", text)
    named = re.findall(r"(?<![\w/.])((?:deploy|config)/[\w./-]+\w)", text)
    assert linked
    assert named
    for path in {*linked, *named}:
        assert (REPOSITORY / path).exists(), path


def test_the_guide_uses_the_unit_s_own_paths():
    text, unit = GUIDE.read_text(), (DEPLOY / "systemd/earwitness.service").read_text()
    for path in (
        "/opt/earwitness/bin",
        "/etc/earwitness/secrets",
        "/etc/earwitness/environment",
        "/var/lib/earwitness",
    ):
        assert path in text
        assert path in unit
    (credential,) = re.findall(r"^LoadCredential=(\w+):", unit, re.MULTILINE)
    assert f"/run/credentials/earwitness.service/{credential}_" in text
