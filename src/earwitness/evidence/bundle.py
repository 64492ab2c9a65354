"""One archive with all that an incident rests on, and a manifest of hashes to check it against."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from earwitness.evidence.storage import EvidenceStorage
from earwitness.model import Evidence


def bundle(incident: Mapping[str, Any], evidence: Sequence[Evidence], storage: EvidenceStorage) -> bytes:
    """Return a zip: incident.json, the files, and manifest.json with the SHA-256 of each. A file that is gone is named so."""
    manifest: list[dict[str, object]] = []
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:

        def add(name: str, data: bytes) -> None:
            packed.writestr(name, data)
            manifest.append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})

        add("incident.json", json.dumps(incident, indent=2, ensure_ascii=False).encode())
        for file in evidence:
            name = f"{file.sha256[:12]}-{file.name}"
            path = storage.path(file.sha256)
            if path.is_file():
                add(name, path.read_bytes())
            else:
                manifest.append({"name": name, "sha256": file.sha256, "size": file.size, "missing": True})
        packed.writestr("manifest.json", json.dumps({"files": manifest}, indent=2))
    return archive.getvalue()
