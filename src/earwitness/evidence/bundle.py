"""One archive with all that an incident rests on, and a manifest of hashes to check it against.

incident.json       the incident as the API shows it
argument.txt        why it has its severity, in words, and its timeline
observations.json   the runs that it rests on: steps with their times, findings, numbers dialled, call SIDs, URLs, measures; their role
                    is `failed`, or `weighed` for those of workarounds, control calls and other probes that decided severity and cause
reproduce.sh        the requests of these runs as curl lines, and the numbers that were called
HASH-NAME           the files: recordings, transcripts, scripts, requests and answers, screenshots
manifest.json       the SHA-256 and size of each
"""

import hashlib
import io
import json
import re
import shlex
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from earwitness.evidence.storage import EvidenceStorage
from earwitness.model import Evidence

_REQUEST = re.compile(r"\b([A-Z]{3,10}) (https?://\S+)$")


def bundle(
    incident: Mapping[str, Any],
    observations: Sequence[Mapping[str, Any]],
    evidence: Sequence[Evidence],
    storage: EvidenceStorage,
) -> bytes:
    """Return the zip; `incident` and `observations` are as the API shows them. A file that is gone is named so."""
    manifest: list[dict[str, object]] = []
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:

        def add(name: str, data: bytes) -> None:
            packed.writestr(name, data)
            manifest.append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})

        add("incident.json", _json(incident))
        add("argument.txt", "\n".join(_argued(incident)).encode())
        add("observations.json", _json(observations))
        add("reproduce.sh", "\n".join(_reproduced(observations)).encode())
        for file in evidence:
            name = f"{file.sha256[:12]}-{file.name}"
            path = storage.path(file.sha256)
            if path.is_file():
                add(name, path.read_bytes())
            else:
                manifest.append({"name": name, "sha256": file.sha256, "size": file.size, "missing": True})
        packed.writestr("manifest.json", json.dumps({"files": manifest}, indent=2))
    return archive.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _argued(incident: Mapping[str, Any]) -> Iterator[str]:
    yield f"{incident['id']}: {incident['title']} ({incident['severity']}, {incident['status']})"
    yield f"\n{incident['reason']}\n"
    yield from (f"{entry['at']}  {entry['kind']}  {entry['text']}" for entry in incident["timeline"])


def _reproduced(observations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the script line by line. What is secret in a request is masked here as elsewhere, and has to be filled in."""
    yield "#!/bin/sh"
    for seen in observations:
        facts = seen["facts"]
        yield f"\n# {seen['probe']}, {seen['started_at']}: {seen['outcome']}"
        if "to" in facts:
            sid = facts.get("call_sid", "none")
            yield f"# called {facts['to']} from {facts.get('from')}; call SID {sid}"
        requests = [found.groups() for step in seen["steps"] if (found := _REQUEST.search(step["name"]))]
        if not requests and str(facts.get("url", "")).startswith("http"):
            requests = [("GET", str(facts["url"]))]
        yield from (f"curl --include --request {method} {shlex.quote(url)}" for method, url in requests)
