"""The command with which somebody accepts what a payment page delivers, and takes it back."""

import json
import shlex
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from earwitness.browser.pages import Difference, PageBaselines, PageInventory, PageProposal, PageScript
from earwitness.cli.baselines import app


def inventory(content="1", taken_at=0.0, page="https://a/c/1"):
    script = PageScript("the page", "https://a/x.js", "", content * 64, "the page")
    return PageInventory("pay", page, taken_at, (script,), {"x-frame-options": "DENY"})


@pytest.fixture
def pages(tmp_path):
    return PageBaselines(tmp_path / "data dir" / "baselines")


@pytest.fixture
def command(tmp_path):
    def command(*words):
        return CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path / "data dir")])

    return command


def test_the_hinted_command_works_as_it_stands(pages):
    pages.propose(inventory())
    words = shlex.split(pages.accepting(inventory()))
    assert words[:2] == ["earwitness", "baseline"]
    done = CliRunner().invoke(app, words[2:])
    assert done.exit_code == 0, done.output
    assert pages.accepted("pay") == inventory()


def test_a_page_that_changed_since_somebody_looked_is_not_accepted(pages, command):
    pages.propose(inventory("2"))
    done = command("accept", "--probe", "pay", "--seen", inventory().mark)
    assert done.exit_code == 1
    assert "has changed again" in done.output
    assert pages.accepted("pay") is None
    assert command("accept", "--probe", "pay", "--seen", inventory("2").mark).exit_code == 0


def test_the_mark_is_of_what_is_compared():
    assert inventory().mark == inventory(taken_at=9.0, page="https://a/c/2").mark != inventory("2").mark


def test_what_may_change_changes_no_mark():
    """Such a script has other content at each visit: nobody could accept anything by a mark that tells them apart."""
    one, other = (replace(inventory(content), changing=("a",)) for content in "12")
    assert one.mark == other.mark
    pinned = replace(one, scripts=(replace(one.scripts[0], integrity="sha384-abc"),))
    assert pinned.mark != one.mark, "whether it is pinned is compared"


def test_what_waits_differs_by_what_is_compared(pages):
    pages.accept(PageProposal(inventory(), Difference()))
    changed = replace(inventory("2"), headers={}, changing=("a",))
    pages.propose(changed)
    assert pages.proposal("pay") == PageProposal(changed, Difference((), ("gone: x-frame-options: DENY",)))


def test_the_list_shows_what_is_to_be_accepted(pages, command):
    pinned = replace(inventory().scripts[0], integrity="sha384-abc")
    pages.propose(replace(inventory(), scripts=(pinned,)))
    shown = command("list").output
    assert "https://a/x.js, SHA-256 111111111111, integrity sha384-abc, loaded by the page" in shown
    assert "x-frame-options: DENY" in shown
    assert pages.proposal("pay").inventory.mark in shown


def test_an_accepted_page_is_listed_and_can_be_taken_back(pages, command):
    pages.propose(inventory())
    pages.accept(pages.proposal("pay"))
    assert "accepted page-pay: https://a/c/1, 1 scripts, 1 security headers" in command("list").output
    (row,) = json.loads(command("list", "--json").output)
    assert (row["state"], row["name"], row["scripts"][0]["source"]) == ("accepted", "page-pay", "https://a/x.js")
    assert command("remove", "page-pay").exit_code == 0
    assert pages.accepted("pay") is None
    for name in ("page-pay", "page-../pay", "page-"):
        assert command("remove", name).exit_code == 1


def test_a_disk_that_refuses_is_told_in_words(pages, command, tmp_path):
    pages.propose(inventory())
    (tmp_path / "data dir/baselines/pages/accepted").write_text("in the way")
    done = command("accept", "--probe", "pay")
    assert done.exit_code == 1
    assert "cannot be read or written" in done.output
    assert isinstance(done.exception, SystemExit)


def test_what_was_accepted_when_pages_were_called_by_their_address_still_holds():
    stored = json.loads(inventory().document())
    stored["scripts"][0]["frame"] = "https://a/c/1"
    stored["page"] += "?token=***"
    assert PageInventory.read(stored).scripts == inventory().scripts
