"""Small files that are replaced whole, so that nobody reads half of one; one that cannot be read counts as none."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in the file; empty when there is none, or it cannot be read."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("baseline_unreadable", file=file.name, error=type(error).__name__)
        return {}
    return found if isinstance(found, dict) else {}


def replace_file(file: Path, content: bytes) -> None:
    """Replace the file whole, durably. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
