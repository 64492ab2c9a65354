"""Files of evidence on disk, named by their content: durable before anything names them, swept when nothing does."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Final

from earwitness.model import Evidence

_SWEEP_AFTER: Final = 24 * 3600.0  # seconds that a file may lie there before a commit names it


class EvidenceStorage:
    """Keeps each file once, under `ab/abcdef...`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def save(self, data: bytes, *, kind: str, media_type: str, name: str) -> Evidence:
        """Return the file's description once it would survive a power cut. Raises OSError when the disk refuses."""
        digest = hashlib.sha256(data).hexdigest()
        await asyncio.to_thread(self._write, digest, data)
        return Evidence(kind, media_type, digest, len(data), name)

    def path(self, sha256: str) -> Path:
        """Return where the file is. Raises ValueError for what is no SHA-256, so that no other path is reachable."""
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise ValueError(f"{sha256!r} is not the SHA-256 of a file")
        return self.folder / sha256[:2] / sha256

    def _write(self, digest: str, data: bytes) -> None:
        target = self.path(digest)
        if target.exists():
            target.touch()  # the sweeper must see it as new
            return
        target.parent.mkdir(exist_ok=True, mode=0o700)
        partial = target.with_suffix(f".{os.getpid()}.{id(data)}.partial")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        _flush_folder(target.parent)
        _flush_folder(self.folder)

    def sweep(self, named: set[str], now: float) -> int:
        """Remove files that nothing names after a day. Returns how many."""
        lost = [f for f in self.folder.glob("??/*") if f.name not in named and _age(f, now) > _SWEEP_AFTER]
        for file in lost:
            file.unlink(missing_ok=True)
        return len(lost)


def _age(file: Path, now: float) -> float:
    """Return seconds; zero for a file that has just been renamed from its partial name."""
    try:
        return now - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
