"""JSON paths that take for ever on some answer, or break on it: that is told as our own trouble, and soon."""

import json
import time

import pytest
from test_http_flow import only, said
from web_servers import raw_server

from earwitness.model import Attribution, Failure, Outcome
from earwitness.probes import http_json
from earwitness.probes.http_json import UnsearchableError, json_path, values_at

DEEP = json.loads("[" * 900 + "]" * 900)
WIDE = {"rows": [{"id": number, "name": "a" * 30 + "!", "tags": ["x", "y"]} for number in range(200)]}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("$..*..*..*", DEEP),
        ("$..[?(@..*)]..*..*", DEEP),
        ("$..*..`parent`..*..*", DEEP),
        ("$.rows[*][?(@ =~ '(?:a|aa)+$')]", {"rows": [["a" * 60 + "!"]]}),
        ("$.rows[?(@.name =~ '^(a|aa)+$')]", {"rows": [{"name": "a" * 60 + "!"}]}),
        ("$.rows[*].name.`sub(/(?:a|aa)+$/, b)`", {"rows": [{"name": "a" * 60 + "!"}]}),
    ],
)
def test_a_path_that_takes_for_ever_ends_in_its_time(path, document):
    began = time.monotonic()
    with pytest.raises(UnsearchableError, match=r"takes too long on this answer; name the keys on the way"):
        list(values_at(path, document, 0.2))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$.rows[3].id", [3]),
        ("$..id", list(range(200))),
        ("$.rows[?(@.id == 7)].tags[*]", ["x", "y"]),
        ("$.rows[?(@.name =~ '^a+!$' && @.id < 2)].id", [0, 1]),
        ("$.rows[?(@.name =~ '^b')].id", []),
        ("$.rows[0].name.`sub(/a+/, b)`", ["b!"]),
        ("$.rows.`len`", [200]),
        ("$.nothing", []),
    ],
)
def test_a_path_finds_what_it_is_for(path, values):
    assert list(values_at(path, WIDE, 5.0)) == values


def test_time_runs_out_between_the_values_too():
    values = values_at("$..id", WIDE, 0.2)
    next(values)
    time.sleep(0.21)  # the limit is real time
    with pytest.raises(UnsearchableError):
        list(values)


@pytest.mark.parametrize("path", ["$.rows[*].`sorted`", "$.rows[0].id.`sub(/a/, b)`", "$.rows & $.tags"])
def test_a_path_that_breaks_on_a_document_says_so(path):
    with pytest.raises(UnsearchableError, match="does not fit this answer"):
        list(values_at(path, {"rows": [[1, "a", None], {"id": 5}]} if "sorted" in path else WIDE, 5.0))


@pytest.mark.parametrize("path", ["$.rows[?(@.name =~ '(')]", "$.`sub(/(/, b)`", "$.["])
def test_a_path_that_cannot_be_is_refused(path):
    with pytest.raises(Exception, match=r"is not a JSON path"):
        json_path(path)


HOLDS_UP = "$..*..*..*"


@pytest.mark.parametrize("where", ["expect", "capture"])
@pytest.mark.parametrize("size", [0, 40_000])
async def test_a_path_that_takes_too_long_is_the_monitors_trouble(observe, monkeypatch, where, size):
    monkeypatch.setattr(http_json, "ON_THE_LOOP", 0.1)
    monkeypatch.setattr(http_json, "BESIDE_IT", 0.2)
    async with raw_server(_serving({"deep": DEEP, "filling": "x" * size, "paid": "yes"})) as port:
        step = {"name": "list", "url": f"http://127.0.0.1:{port}/"}
        step |= {"expect": {"json": {HOLDS_UP: "7"}}} if where == "expect" else {"capture": {"X": {"json": HOLDS_UP}}}
        seen = await observe(steps=[step], timeout="5s")
        wrong = await observe(steps=[{**step, "expect": {"json": {HOLDS_UP: "7", "$.paid": "no"}}}], timeout="5s")
    assert (only(seen).failure, only(seen).attribution) == (Failure.MONITOR_ERROR, Attribution.MONITOR)
    assert "the JSON path '$..*..*..*' takes too long on this answer" in only(seen).message
    assert [f.failure for f in wrong.findings] == [Failure.WRONG_BODY]  # which it does not hide


NUMBERS = {"f": 10.0, "g": 1e3, "h": 12345678901234567890}


async def test_a_value_is_compared_as_it_is_written(observe):
    async with raw_server(_serving({"a": [1, 2], "b": {"x": None}, "c": 1.5, "d": True, "e": "1", **NUMBERS})) as port:
        wanted = {"$.a": "[1, 2]", "$.b": '{"x": null}', "$.c": "1.5", "$.d": "true", "$.e": "1", "$.a[*]": "2"}
        good = await observe(f"http://127.0.0.1:{port}/", expect={"json": wanted})
        bad = await observe(f"http://127.0.0.1:{port}/", expect={"json": {"$.a[*]": "3"}})
        same = {"$.c": "1.50", "$.f": "10.00", "$.g": "1000", "$.h": "12345678901234567890"}
        number = await observe(f"http://127.0.0.1:{port}/", expect={"json": same})
        text = await observe(f"http://127.0.0.1:{port}/", expect={"json": {"$.e": "1.0"}})
    assert good.outcome is Outcome.OK, good.findings
    assert number.outcome is Outcome.OK, number.findings
    assert only(text).message == "expected $.e in the JSON body to be '1.0', got '1'"
    assert only(bad).message == "expected $.a[*] in the JSON body to be '3', got '1', '2'"


def _serving(document):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said(json.dumps(document)))
        await writer.drain()

    return serve
