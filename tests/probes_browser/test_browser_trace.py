"""What is kept of Playwright's trace, and what is not."""

import io
import json
import zipfile

import pytest

from earwitness.browser import trace
from earwitness.browser.trace import TooLargeError, redacted_trace
from earwitness.transport.redaction import Redaction

TOKEN = "canary-token-42"
REQUEST = {
    "type": "resource-snapshot",
    "snapshot": {
        "pageref": "page@4111111111111111",
        "request": {
            "url": f"https://a/pay?t={TOKEN}",
            "headers": [{"name": "X-Ours", "value": TOKEN}, {"name": "Accept", "value": "text/html"}],
            "cookies": [{"name": "sid", "value": TOKEN}],
            "queryString": [{"name": "t", "value": TOKEN}],
            "postData": {"_file": "resources/1.json", "params": [{"name": "passcode", "value": TOKEN}]},
        },
        "response": {"status": 200, "headers": [{"name": "set-cookie", "value": f"sid={TOKEN}"}]},
    },
}
PAGE = [
    "HTML",
    {},
    ["META", {"name": "csrf-token", "content": TOKEN}],
    ["A", {"href": f"https://a/?t={TOKEN}"}, "Next"],
]
ACTIONS = [
    {"type": "before", "callId": "1", "method": "fill", "params": {"selector": "css=#a", "value": TOKEN}},
    {"type": "before", "callId": "2", "method": "selectOption", "params": {"options": [{"valueOrLabel": TOKEN}]}},
    {"type": "log", "callId": "1", "message": f'    fill("{TOKEN}")'},
    {
        "type": "after",
        "callId": "1",
        "error": {"message": f'Timeout.\n  - fill("{TOKEN}")', "stack": f'fill("{TOKEN}")'},
    },
    {"type": "log", "callId": "3", "message": f'  - unexpected value "{TOKEN}"'},
    {"type": "after", "callId": "2", "result": {"values": [TOKEN]}},
    {"type": "after", "callId": "4", "result": {"origins": [{"localStorage": [{"name": "a", "value": TOKEN}]}]}},
    {"type": "frame-snapshot", "snapshot": {"frameId": "f", "html": PAGE}},
    {"type": "frame-snapshot", "snapshot": {"frameId": "f", "html": [[1, 3]]}},
]


def packed(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            text = "".join(json.dumps(line) + "\n" for line in content) if isinstance(content, list) else content
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return made.getvalue()


@pytest.fixture
def seen():
    redaction = Redaction()
    made = redacted_trace(
        packed(
            trace_trace=ACTIONS,
            trace_network=[REQUEST],
            trace_stacks="{}",
            resources__1_json=TOKEN,
            resources__2_css="b { color: red }",
            screencast__1_jpeg=b"picture",
        ),
        redaction,
        redaction.entered,
    )
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_what_is_no_text_that_can_be_searched_is_left_out(seen):
    assert set(seen) == {"trace.trace", "trace.network", "resources/2.css"}


def test_no_file_tells_what_was_entered_or_carried(seen):
    """Though nobody said that it is a secret: it stands where secrets stand."""
    assert not [name for name, text in seen.items() if TOKEN in text]


def test_what_the_viewer_needs_is_as_it_was(seen):
    (network,) = map(json.loads, seen["trace.network"].splitlines())
    assert network["snapshot"]["pageref"] == "page@4111111111111111"
    assert network["snapshot"]["request"]["url"] == "https://a/pay?t=***"
    assert {"name": "Accept", "value": "text/html"} in network["snapshot"]["request"]["headers"]
    fill, *_, first, second = map(json.loads, seen["trace.trace"].splitlines())
    assert (fill["callId"], fill["params"]["selector"]) == ("1", "css=#a")
    assert first["snapshot"]["html"][3] == ["A", {"href": "https://a/?t=***"}, "Next"]
    assert second["snapshot"]["html"] == [[1, 3]], "a reference to the tree before"


def test_separators_of_lines_inside_a_text_do_not_cut_a_document_in_two():
    redaction, said = Redaction(), "one\u2028two\x85three"
    document = json.dumps({"type": "console", "text": said}, ensure_ascii=False)
    made = redacted_trace(packed(trace_trace=f"{document}\n"), redaction, redaction.entered)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert json.loads(archive.read("trace.trace"))["text"] == said


def test_one_that_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(trace, "_LARGEST", 10)
    redaction = Redaction()
    with pytest.raises(TooLargeError):
        redacted_trace(packed(trace_trace=ACTIONS), redaction, redaction.entered)


def test_what_was_entered_is_seen_nowhere():
    """A page shows it beside fields too, and a script may ask for it."""
    letter, short = "Dear Ann, my code is Kx7", "739"
    page = ["HTML", {}, ["DIV", {"contenteditable": "true"}, letter], ["P", {}, f"It is {short}, or 17390"]]
    calls = [
        {"type": "frame-snapshot", "snapshot": {"frameId": "f", "html": page}},
        {"type": "before", "callId": "1", "method": "type", "params": {"selector": "css=div", "text": letter}},
        {"type": "before", "callId": "2", "method": "keyboardInsertText", "params": {"text": short}},
        {"type": "after", "callId": "3", "result": {"value": {"s": letter}}},
    ]
    redaction = Redaction()
    made = redacted_trace(packed(trace_trace=calls), redaction, redaction.entered)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        text = archive.read("trace.trace").decode()
    assert "Kx7" not in text
    assert "It is ***, or 17390" in text
