"""What payment pages delivered: the inventories that people accepted, those that wait for their word, and how two differ.

pages/accepted/PROBE.json    the inventory that the page is held against
pages/proposed/PROBE.json    the latest one that differs from it, or the first
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from earwitness.files import read_json, replace_file
from earwitness.presentation import accept_command, iso_time
from earwitness.probes.hosts import host_of, matches

THE_PAGE = "the page"  # what the page's own document is called, whatever its address is on this visit
_SHOWN = 12  # characters of a hash that a person is shown
_MOST_KNOWN = 32  # differences of one visit that are told apart
_LONGEST = 200  # characters of one that are kept
_UNREAD = "that could not be read"
_MISSING = re.compile(rf"^gone: |^changed: .* is now {_UNREAD}$|^new: .* with other content \({_UNREAD}\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PageScript:
    """One script. `source` is its address with query values masked, empty if it is inline; hashes are hexadecimal."""

    frame: str  # what the document that it is in is called
    source: str
    integrity: str
    sha256: str  # empty if nothing executed it and its body could not be read
    loaded_by: str

    @property
    def key(self) -> tuple[str, str]:
        """Where it stands in an inventory: for an inline one, its text. Several scripts may stand there, by other queries."""
        return self.frame, self.source or self.sha256

    @property
    def title(self) -> str:
        return self.source or f"an inline script of {self.frame} ({self.sha256[:_SHOWN]})"


@dataclass(frozen=True, slots=True)
class PageInventory:
    """What a page delivered to one visit. `taken_at`: epoch seconds; `changing`: hosts whose scripts may change in content."""

    probe: str
    page: str
    taken_at: float
    scripts: tuple[PageScript, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    changing: tuple[str, ...] = ()

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "PageInventory | None":
        """Return what was stored, or None if it is no inventory."""
        try:
            page = str(stored["page"]).partition("?")[0]
            scripts = tuple(PageScript(**script) for script in stored["scripts"])
            scripts = tuple(
                replace(s, frame=THE_PAGE) if s.frame == page else s for s in scripts
            )  # as it was called once
            changing = tuple(stored.get("changing", ()))
            taken_at, headers = float(stored["taken_at"]), dict(stored["headers"])
            return cls(stored["probe"], stored["page"], taken_at, scripts, headers, changing)
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def mark(self) -> str:
        """What tells it from another one of the same page: a short hash of all that is compared."""
        scripts = {(s.frame, s.source, *self._content(s)) for s in self.scripts}
        told = sorted(scripts), sorted(self.headers.items())
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_SHOWN]

    def may_change(self, script: PageScript) -> bool:
        return matches(host_of(script.source), self.changing)

    def _content(self, script: PageScript) -> tuple[str, str]:
        """Return what is compared of the script beside its address."""
        return ("any" if script.integrity else "", "") if self.may_change(script) else (script.integrity, script.sha256)

    @property
    def lines(self) -> Iterator[str]:
        """What is accepted with it, a line each."""
        for script in self.scripts:
            content = f", SHA-256 {_short(script)}" if script.source and script.sha256 else ""
            integrity = f", integrity {script.integrity}" if script.integrity else ""
            yield f"{script.title}{content}{integrity}, loaded by {script.loaded_by}"
        yield from (f"{name}: {value}" for name, value in self.headers.items())

    def document(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a page differs from its baseline, one sentence a difference."""

    scripts: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.scripts or self.headers)

    @property
    def known_by(self) -> tuple[str, ...]:
        """By what each line is known again, in brief; of very many, all that come late together."""
        lines = [_in_brief(line) for line in (*self.scripts, *self.headers)]
        late = "\n".join(lines[_MOST_KNOWN:])
        return (*lines[:_MOST_KNOWN], *([f"others: {_digest(late)}"] if late else []))

    @property
    def without_missing(self) -> "Difference":
        """What holds though not all of the page may have come: a script that is missing is not gone, and of no other content."""
        return Difference(tuple(line for line in self.scripts if not _MISSING.search(line)), self.headers)


def _in_brief(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}... ({_digest(line)})"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_SHOWN]


def difference(accepted: PageInventory, now: PageInventory) -> Difference:
    """Return what changed. Scripts of the hosts that are `changing` now may change in content, but neither come nor go."""
    before, after = _by_key(accepted), _by_key(now)
    told: list[str] = []
    for key in before.keys() | after.keys():
        told += _changes(before.get(key, frozenset()), after.get(key, frozenset()), now)
    return Difference(tuple(sorted(set(told))), tuple(_headers(accepted.headers, now.headers)))


def _by_key(inventory: PageInventory) -> dict[tuple[str, str], frozenset[PageScript]]:
    keys = {script.key for script in inventory.scripts}
    return {key: frozenset(s for s in inventory.scripts if s.key == key) for key in keys}


def _changes(before: frozenset[PageScript], after: frozenset[PageScript], now: PageInventory) -> Iterator[str]:
    """Yield how the scripts of one place differ: come, gone, or one that is now another."""
    gone = _others(before, {s.sha256 for s in after})
    come = _others(after, {s.sha256 for s in before})
    same = [(one, other) for one in before for other in after if one.sha256 == other.sha256]
    if before and after and now.may_change(min(after, key=_hash)):
        if any(s.integrity for s in before) and not all(s.integrity for s in after):
            yield f"changed: {min(after, key=_hash).title} has lost its integrity attribute"
        return
    if len(gone) == len(come) == 1 and not same:
        yield f"changed: {come[0].title}, SHA-256 {_short(gone[0])} is now {_short(come[0])}"
        same = [(gone[0], come[0])]
        gone = come = []
    for script in come:
        other = f" with other content ({_short(script)})" if before else ""
        yield f"new: {script.title}{other}, loaded by {script.loaded_by}"
    for script in gone:
        yield f"gone: {script.title}" + (f" with the content {_short(script)}" if after else "")
    yield from _other_integrity(same)


def _others(scripts: frozenset[PageScript], known: set[str]) -> list[PageScript]:
    """Return one script for each content that is not known, in the order of their hashes."""
    return sorted({s.sha256: s for s in scripts if s.sha256 not in known}.values(), key=_hash)


def _other_integrity(pairs: Sequence[tuple[PageScript, PageScript]]) -> Iterator[str]:
    """Yield what became of the integrity attributes of scripts that are otherwise the same."""
    accepted = {(one.sha256, one.integrity) for one, _ in pairs} | {
        (other.sha256, one.integrity) for one, other in pairs
    }
    for _, other in pairs:
        if (other.sha256, other.integrity) not in accepted:
            what = "another integrity attribute" if other.integrity else "lost its integrity attribute"
            yield f"changed: {other.title} has {what}"


def _hash(script: PageScript) -> str:
    return script.sha256


def _short(script: PageScript) -> str:
    return script.sha256[:_SHOWN] or _UNREAD


def _headers(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield f"gone: {name}: {before[name]}"
        elif name not in before:
            yield f"new: {name}: {after[name]}"
        elif before[name] != after[name]:
            yield f"changed: {name}: {before[name]} is now {after[name]}"


@dataclass(frozen=True, slots=True)
class PageProposal:
    """An inventory that waits for somebody's word."""

    inventory: PageInventory
    difference: Difference  # from what was accepted before; empty for a first one

    @property
    def key(self) -> str:
        """What it is accepted by: a page that changed again meanwhile is another proposal."""
        return f"page-{self.inventory.probe}-{self.inventory.mark}"

    def shown(self) -> dict[str, Any]:
        """Return it as the API and the command line show it."""
        told = {"kind": "page", "key": self.key, **asdict(self.inventory), "difference": asdict(self.difference)}
        return {**told, "mark": self.inventory.mark, "taken_at": iso_time(self.inventory.taken_at)}


class PageBaselines:
    """The folder. Methods raise OSError where the disk refuses to write."""

    def __init__(self, folder: Path) -> None:
        self._accepted, self._proposed = folder / "pages/accepted", folder / "pages/proposed"
        self._data_dir = folder.parent

    def accepted(self, probe: str) -> PageInventory | None:
        """Return what people accepted; None where that is nothing, or cannot be read."""
        return PageInventory.read(read_json(self._accepted / f"{probe}.json"))

    def is_broken(self, probe: str) -> bool:
        """Whether what people accepted cannot be read."""
        return (self._accepted / f"{probe}.json").exists() and self.accepted(probe) is None

    def proposal(self, probe: str) -> PageProposal | None:
        inventory = PageInventory.read(read_json(self._proposed / f"{probe}.json"))
        if inventory is None:
            return None
        accepted = self.accepted(probe)
        return PageProposal(inventory, difference(accepted, inventory) if accepted else Difference())

    def accepting(self, inventory: PageInventory) -> str:
        """Return the command that accepts this inventory and no other."""
        return accept_command(inventory.probe, self._data_dir, inventory.mark)

    def accepted_pages(self) -> list[PageInventory]:
        """Return all that were accepted, by probe."""
        probes = sorted(path.stem for path in self._accepted.glob("*.json"))
        return [known for probe in probes if (known := self.accepted(probe))]

    def remove(self, probe: str) -> bool:
        """Take back what was accepted of the probe's page; False if there is nothing. The next visit proposes it anew."""
        file = self._accepted / f"{probe}.json"
        if file not in self._accepted.glob("*.json"):  # a name from outside is no path
            return False
        file.unlink()
        return True

    def proposals(self) -> list[PageProposal]:
        """Return all that wait, by probe."""
        probes = sorted(path.stem for path in self._proposed.glob("*.json"))
        return [known for probe in probes if (known := self.proposal(probe))]

    def propose(self, inventory: PageInventory) -> None:
        replace_file(self._proposed / f"{inventory.probe}.json", inventory.document())

    def accept(self, proposal: PageProposal) -> Path:
        """Make the proposal the baseline, and return its file. The next visit is held against it."""
        target = self._accepted / f"{proposal.inventory.probe}.json"
        replace_file(target, proposal.inventory.document())
        self.discard(proposal.inventory.probe)
        return target

    def discard(self, probe: str) -> None:
        (self._proposed / f"{probe}.json").unlink(missing_ok=True)
