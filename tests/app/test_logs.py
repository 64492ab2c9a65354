"""What is logged shows no secret, however it is spelled there."""

import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from structlog.processors import JSONRenderer

from earwitness.logs import SecretMask

SECRET = 'correct "horse"\\battery\nstäple'
SPELLED = {
    "as it is": SECRET,
    "in a traceback": repr(SECRET),
    "in JSON": json.dumps(SECRET),
    "in a URL": f"https://shop.example/?key={quote(SECRET)}",
    "in Basic authentication": b64encode(f"shop:{SECRET}".encode()).decode(),
}


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_log_line_shows_no_secret(spelled):
    mask = SecretMask()
    mask.learn_environment({"SHOP_PASSWORD": SECRET, "HOME": "/home"})
    line = JSONRenderer(ensure_ascii=False)(None, "error", {"event": "sign_in_failed", "said": SPELLED[spelled]})
    shown = mask(None, "error", line)
    said = json.loads(shown)["said"]
    assert "<secret>" in said
    assert not [word for word in ("correct", "horse", "battery", "Y29ycmVjd") if word in shown]


def test_a_line_without_secrets_stays_as_it_is():
    mask = SecretMask()
    mask.learn_environment({"SHOP_PASSWORD": SECRET, "HOME": "/home"})
    line = '{"event": "started", "path": "/home/a+b%20c"}'
    assert mask(None, "info", line) == line
