"""What payment pages delivered: the inventories that people accepted, those that wait for their word, and how two differ.

pages/accepted/PROBE.json    the inventory that the page is held against
pages/proposed/PROBE.json    the latest one that differs from it, or the first
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from earwitness.files import read_json, replace_file
from earwitness.presentation import iso_time
from earwitness.probes.hosts import matches

_SHOWN = 12  # characters of a hash that a person is shown


@dataclass(frozen=True, slots=True)
class PageScript:
    """One script. `source` is its address with query values masked, empty if it is inline; hashes are hexadecimal."""

    frame: str  # the document that it is in
    source: str
    integrity: str
    sha256: str  # empty if its body could not be read
    loaded_by: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same script in two inventories: for an inline one, its text."""
        return self.frame, self.source or self.sha256

    @property
    def title(self) -> str:
        return self.source or f"an inline script of {self.frame} ({self.sha256[:_SHOWN]})"


@dataclass(frozen=True, slots=True)
class PageInventory:
    """What a page delivered to one visit. `taken_at`: epoch seconds."""

    probe: str
    page: str
    taken_at: float
    scripts: tuple[PageScript, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "PageInventory | None":
        """Return what was stored, or None if it is no inventory."""
        try:
            scripts = tuple(PageScript(**script) for script in stored["scripts"])
            return cls(stored["probe"], stored["page"], float(stored["taken_at"]), scripts, dict(stored["headers"]))
        except (KeyError, TypeError, ValueError):
            return None

    def document(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()


@dataclass(frozen=True, slots=True)
class Difference:
    """How a page differs from its baseline, one sentence a difference."""

    scripts: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.scripts or self.headers)


def difference(accepted: PageInventory, now: PageInventory, changing: Sequence[str] = ()) -> Difference:
    """Return what changed. Scripts of the hosts in `changing` may change in content, but neither come nor go."""
    before, after = ({script.key: script for script in one.scripts} for one in (accepted, now))
    told = [f"new: {script.title}, loaded by {script.loaded_by}" for key, script in after.items() if key not in before]
    told += [f"gone: {script.title}" for key, script in before.items() if key not in after]
    for key in before.keys() & after.keys():
        told += _changed(before[key], after[key], changing)
    return Difference(tuple(sorted(told)), tuple(_headers(accepted.headers, now.headers)))


def _changed(before: PageScript, after: PageScript, changing: Sequence[str]) -> Iterator[str]:
    may_change = matches(urlsplit(after.source).hostname or "", changing)
    if before.sha256 and after.sha256 and before.sha256 != after.sha256 and not may_change:
        yield f"changed: {after.title}, SHA-256 {before.sha256[:_SHOWN]} is now {after.sha256[:_SHOWN]}"
    if before.integrity and not after.integrity:
        yield f"changed: {after.title} has lost its integrity attribute"
    elif before.integrity != after.integrity and not may_change:
        yield f"changed: {after.title} has another integrity attribute"


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
        return f"page-{self.inventory.probe}"

    def shown(self) -> dict[str, Any]:
        """Return it as the API and the command line show it."""
        told = {"kind": "page", "key": self.key, **asdict(self.inventory), "difference": asdict(self.difference)}
        return {**told, "taken_at": iso_time(self.inventory.taken_at)}


class PageBaselines:
    """The folder. Methods raise OSError where the disk refuses to write."""

    def __init__(self, folder: Path) -> None:
        self._accepted, self._proposed = folder / "pages/accepted", folder / "pages/proposed"

    def accepted(self, probe: str) -> PageInventory | None:
        return PageInventory.read(read_json(self._accepted / f"{probe}.json"))

    def proposal(self, probe: str) -> PageProposal | None:
        inventory = PageInventory.read(read_json(self._proposed / f"{probe}.json"))
        if inventory is None:
            return None
        accepted = self.accepted(probe)
        return PageProposal(inventory, difference(accepted, inventory) if accepted else Difference())

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
