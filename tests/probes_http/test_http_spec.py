import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from earwitness.config.fields import Secret
from earwitness.model import Attribution, Channel, Effect, Failure
from earwitness.probes.http import KIND
from earwitness.probes.http_checks import search
from earwitness.probes.http_spec import HttpExpect, HttpSpec, RequestSpec, StepSpec

URL = "https://shop.example/pay"


def test_everything_arrives_as_text():
    spec = HttpSpec.model_validate(
        {
            "url": URL,
            "method": "post",
            "form": {"amount": "10"},
            "expect": {
                "status": ["200", "3xx"],
                "body": "Payment accepted",
                "within": {"minor": "1s", "major": "5s"},
                "max_size": "64kB",
                "certificate_left": {"minor": "21d", "major": "2d"},
            },
            "timeout": "1m",
            "timeouts": {"connect": "500ms"},
            "follow_redirects": "no",
            "redirects": "3",
            "fresh_connection": "false",
            "allow": ["10.0.0.0/8", "fd00::/8"],
            "tries": "2",
            "effect": "nuisance",
        }
    )
    assert spec.method == "POST"
    assert spec.expect.status == ("200", "3xx")
    assert spec.expect.body == ("Payment accepted",)
    assert (spec.expect.within.minor, spec.expect.within.major) == (1.0, 5.0)
    assert spec.expect.certificate_left.minor == 21 * 86400
    assert (spec.timeouts.connect, spec.timeouts.tls) == (0.5, None)
    assert (spec.follow_redirects, spec.fresh_connection, spec.redirects) == (False, False, 3)
    assert spec.effect is Effect.NUISANCE
    assert KIND.budget(spec) == 120.0
    assert KIND.channel is Channel.HTTP


def test_a_password_comes_from_a_file(tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    spec = HttpSpec.model_validate({"url": URL, "user": "alice", "password_file": str(tmp_path / "password")})
    assert spec.password == Secret("hunter2")
    assert "hunter2" not in repr(spec)


BAD = {
    "no URL": ({"url": "shop"}, "'shop' is not a web address; write http:// or https:// and a host"),
    "other scheme": ({"url": "ftp://shop.example/"}, "'ftp://shop.example/' is not a web address"),
    "bad port": ({"url": "http://shop.example:port/"}, "is not a URL"),
    "no such port": ({"url": "http://shop.example:65536/"}, "there is no such port; write one from 1 to 65535"),
    "port 0": ({"url": "http://shop.example:0/"}, "there is no such port"),
    "host with a blank": ({"url": "http://shop example/"}, "'shop example' is not a host"),
    "userinfo": ({"url": "https://a:b@shop.example/"}, "the URL carries a user or password"),
    "method": ({"url": URL, "method": "GET /"}, "'GET /' is not an HTTP method"),
    "connect": ({"url": URL, "method": "connect"}, "'connect' is not an HTTP method"),
    "header name": ({"url": URL, "headers": {"a b": "c"}}, "'a b' is not a header name"),
    "header value": ({"url": URL, "headers": {"a": "b\r\nc: d"}}, "a control character"),
    "header beyond ASCII": ({"url": URL, "headers": {"x-name": "Zoë"}}, "a character beyond ASCII"),
    "cookie value": ({"url": URL, "cookies": {"name": "Zoë"}}, "a character that no cookie may carry"),
    "cookie in a cookie": ({"url": URL, "cookies": {"a": "b; c=d"}}, "a character that no cookie may carry"),
    "cookie name": ({"url": URL, "cookies": {"a b": "c"}}, "'a b' is not a cookie's name"),
    "token": ({"url": URL, "token": "two\nlines"}, "holds a blank, a line break or a character beyond ASCII"),
    "no time": ({"url": URL, "timeouts": {"first_byte": "0s"}}, "greater than 0"),
    "status": ({"url": URL, "expect": {"status": "600"}}, "'600' is not a status"),
    "no status": ({"url": URL, "expect": {"status": []}}, "None is not a status"),
    "regex": ({"url": URL, "expect": {"body_regex": "("}}, "'(' is not a regular expression"),
    "json path": ({"url": URL, "expect": {"json": {"$[": "x"}}}, "'$[' is not a JSON path"),
    "tries": ({"url": URL, "tries": "6"}, "less than or equal to 5"),
    "redirects": ({"url": URL, "redirects": "eleven"}, "'eleven' is not a whole number"),
    "flag": ({"url": URL, "follow_redirects": "maybe"}, "'maybe' is neither true nor false"),
    "two bodies": ({"url": URL, "body": "a", "form": {"b": "c"}}, "both body and form are set"),
    "password alone": ({"url": URL, "password": "x"}, "a password without a user"),
    "proxy's password alone": (
        {"url": URL, "proxy": {"url": "http://proxy.example:3128", "password": "x"}},
        "a password without a user; add user",
    ),
    "two passwords": ({"url": URL, "password": "x", "password_file": "y"}, "both password and password_file"),
    "sizes": ({"url": URL, "expect": {"min_size": "2kB", "max_size": "1kB"}}, "min_size is above max_size"),
    "limit": ({"url": URL, "expect": {"max_size": "2MiB"}}, "body_limit is below expect.max_size"),
    "time left": ({"url": URL, "expect": {"certificate_left": {"minor": "1d", "major": "2d"}}}, "major is above minor"),
    "timeout": ({"url": URL, "timeout": "0s"}, "greater than 0"),
    "unknown key": ({"url": URL, "timeot": "1s"}, "Extra inputs are not permitted"),
}


@pytest.mark.parametrize("case", BAD)
def test_says_what_is_wrong(case):
    section, message = BAD[case]
    with pytest.raises(ValidationError) as caught:
        HttpSpec.model_validate(section)
    assert message in caught.value.errors()[0]["msg"]


def keys(model):
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_documented_examples_are_valid_and_name_every_key(tmp_path, authority):
    document = (Path(__file__).parents[2] / "docs" / "http-probe.md").read_text()
    blocks = [yaml.load(text, yaml.BaseLoader) for text in re.findall(r"```yaml\n(.+?)```", document, re.DOTALL)]
    examples = [block["http"] for block in blocks if "http" in block]
    named = {key for example in examples for key in example}
    assert named | {"body", "json", "password", "token", "token_file"} == keys(HttpSpec)
    assert set(examples[0]["expect"]) == keys(HttpExpect)
    steps = {key for step in examples[1]["steps"] for key in step}
    assert steps | keys(RequestSpec) == keys(StepSpec)
    mine = authority.issue_cert("probe.test")
    mine.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "probe.pem"))
    for name in ("shop", "oauth2", "proxy"):
        (tmp_path / name).write_text("hunter2")
    for example in examples:
        text = re.sub(r"/run/secrets/probe.(pem|key)", str(tmp_path / "probe.pem"), json.dumps(example))
        HttpSpec.model_validate(json.loads(text.replace("/run/secrets", str(tmp_path))))


def test_a_pattern_that_takes_for_ever_is_our_fault_and_stops_nothing():
    spec = HttpSpec.model_validate({"url": "http://shop.example/", "expect": {"body_regex": "(?:a|aa)+$"}})
    found = search(spec.expect.body_regex, "a" * 60 + "!")
    assert (found.failure, found.attribution) == (Failure.MONITOR_ERROR, Attribution.MONITOR)
    assert search(spec.expect.body_regex, "aaa")[0] == "aaa"
