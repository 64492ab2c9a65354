"""One archive with all that an incident rests on, and a manifest of hashes to check it against.

incident.json       the incident as the API shows it, and every run of it that failed
argument.txt        why it has its severity, in words, and its timeline
observations.json   the runs that it rests on: steps with their times, findings, numbers dialled, call SIDs, URLs, measures; their role
                    is `failed`, or `weighed` for those of workarounds, control calls and other probes that decided severity and cause
reproduce.sh        the requests of these runs as curl lines, and the numbers that were called
HASH-NAME           the files: recordings, transcripts, scripts, requests and answers, screenshots
manifest.json       the SHA-256 and size of each, and the failed runs that are left out: those before the latest few hundred, and those that
                    were deleted by their age
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from earwitness.evidence.storage import EvidenceStorage
from earwitness.model import Evidence, Incident

_MOST_RUNS = 500  # that failed, of an incident


def runs_to_pack(incident: Incident) -> dict[str, str]:
    """Return the runs whose observations an archive holds, each with its role: the latest that failed, and what was weighed."""
    failed, latest = {*incident.observations}, incident.observations[-_MOST_RUNS:]
    return {run: "failed" if run in failed else "weighed" for run in (*latest, *incident.weighed)}


def bundle(
    incident: Mapping[str, Any],
    observations: Sequence[Mapping[str, Any]],
    evidence: Sequence[Evidence],
    storage: EvidenceStorage,
    left_out: Sequence[str] = (),
) -> bytes:
    """Return the zip; `incident` and `observations` are as the API shows them. A file that is gone is named so.

    `left_out` are the failed runs of the incident that are not among the observations.
    """
    manifest: list[dict[str, object]] = []
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:

        def add(name: str, data: bytes) -> None:
            packed.writestr(name, data)
            manifest.append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})

        add("incident.json", _json(incident))
        add("argument.txt", "\n".join(_argued(incident)).encode())
        add("observations.json", _json(observations))
        add("reproduce.sh", "\n".join(_reproduced(observations, storage)).encode())
        for file in evidence:
            name = f"{file.sha256[:12]}-{file.name}"
            path = storage.path(file.sha256)
            if path.is_file():
                add(name, path.read_bytes())
            else:
                manifest.append({"name": name, "sha256": file.sha256, "size": file.size, "missing": True})
        packed.writestr("manifest.json", json.dumps({"files": manifest, "runs_left_out": [*left_out]}, indent=2))
    return archive.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _argued(incident: Mapping[str, Any]) -> Iterator[str]:
    yield f"{incident['id']}: {incident['title']} ({incident['severity']}, {incident['status']})"
    yield f"\n{incident['reason']}\n"
    yield from (f"{entry['at']}  {entry['kind']}  {entry['text']}" for entry in incident["timeline"])


def _reproduced(observations: Sequence[Mapping[str, Any]], storage: EvidenceStorage) -> Iterator[str]:
    """Yield the script line by line. What is secret in a request is masked here as elsewhere, and has to be filled in."""
    yield "#!/bin/sh"
    yield "# What is shown as *** was secret: fill it in first. A flow's later requests need what its earlier ones were given."
    for seen in observations:
        facts = seen["facts"]
        yield f"\n# {seen['probe']}, {seen['started_at']}: {seen['outcome']}"
        if "to" in facts:
            sid = facts.get("call_sid", "none")
            yield f"# called {facts['to']} from {facts.get('from')}; call SID {sid}"
        for file in seen["evidence"]:
            path = storage.path(file["url"].rpartition("/")[2])
            if file["kind"] == "curl" and path.is_file():
                yield f"# {file['name']}"
                yield path.read_text("utf-8").rstrip("\n")
