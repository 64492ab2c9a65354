"""The evidence of runs that a person asked for, in a folder of theirs: PROBE/RUN/NAME, readable by nobody else."""

from pathlib import Path

from earwitness.cli.once import CannotRunError
from earwitness.cli.verdict import Verdict
from earwitness.evidence.storage import EvidenceStorage


def keep_evidence(storage: EvidenceStorage, verdict: Verdict, folder: Path) -> dict[tuple[str, str], Path]:
    """Copy what the runs left behind, and return where it is by run and name. Raises CannotRunError where the disk refuses."""
    kept: dict[tuple[str, str], Path] = {}
    try:
        for seen in (*verdict.asked, *verdict.added):
            for file in seen.evidence:
                target = folder / seen.run.probe / seen.run.id / Path(file.name).name
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                target.touch(mode=0o600)
                target.write_bytes(storage.path(file.sha256).read_bytes())
                kept[seen.run.id, file.name] = target
    except OSError as error:
        raise CannotRunError(f"evidence cannot be kept in {folder}: {error.strerror}") from error
    return kept
