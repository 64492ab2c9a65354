"""The authorities of `network.ca_file` in the browser: an NSS database in a home of its own, which is where Chromium looks for a user's.

They are trusted besides those that the browser brings; there is no way to take those away from it.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from earwitness.browser.executable import NoBrowserError
from earwitness.transport.client import WebClient
from earwitness.transport.errors import ConnectFailedError

_PATIENCE = 30.0  # seconds for certutil
_AUTHORITY, _ITSELF = (
    "C,,",
    "P,,",
)  # certutil's words for one who vouches for others, and for one who is trusted as it is: tools of old wrote such authorities
Mark = tuple[Path, float] | None
"""Which file, and of when in seconds since the epoch; None where the browser's own authorities are all."""


def mark_of(web: WebClient) -> Mark:
    """Return what a browser that is started now should trust besides its own. Raises NoBrowserError where that cannot be read."""
    try:
        return web.own_authorities
    except ConnectFailedError as error:
        raise NoBrowserError(str(error)) from error


def find_certutil() -> str:
    """Return the program that writes the database. Raises NoBrowserError."""
    found = shutil.which("certutil")
    if found is None:
        raise NoBrowserError(
            "network.ca_file reaches the browser only by NSS's certutil, which is not here; run: apt-get install "
            "libnss3-tools"
        )
    return found


class Home:
    """A home for one browser, in which it trusts what the mark says. close() it when the browser has gone."""

    def __init__(self, trusts: Mark) -> None:
        """It blocks. Raises NoBrowserError."""
        self.trusts = trusts
        self._folder = None if trusts is None else TemporaryDirectory(prefix="earwitness-", ignore_cleanup_errors=True)
        try:
            if self._folder is not None and trusts is not None:
                _furnish(Path(self._folder.name), trusts[0])
        except NoBrowserError:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str | float | bool]:
        """What the browser's environment says of it; nothing where it lives in the user's own."""
        return {} if self._folder is None else {"HOME": self._folder.name}

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _furnish(folder: Path, ca_file: Path) -> None:
    """Write the database."""
    certutil, certificates = find_certutil(), _read(ca_file)
    database = folder / ".pki/nssdb"
    database.mkdir(parents=True, mode=0o700)
    batch = []
    for place, (certificate, vouches) in enumerate(certificates):
        (folder / f"{place}.der").write_bytes(certificate)
        trust = _AUTHORITY if vouches else _ITSELF
        batch.append(f"-A -n ours-{place} -t {trust} -i {place}.der")
    (folder / "batch").write_text("\n".join(batch) + "\n")
    for words in (("-N", "--empty-password"), ("-B", "-i", "batch")):
        _run([certutil, *words, "-d", f"sql:{database}"], folder)


def _read(ca_file: Path) -> list[tuple[bytes, bool]]:
    """Return the certificates of a file in PEM, in DER, and whether each vouches for others. Raises NoBrowserError."""
    from earwitness.transport.certificates import authorities_in  # noqa: PLC0415  Loads cryptography.

    try:
        return authorities_in(ca_file.read_bytes())
    except OSError as error:
        raise NoBrowserError(f"the authorities in {ca_file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NoBrowserError(f"the authorities in {ca_file} cannot be read: it holds no certificate in PEM") from error


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603  Its words are ours.
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBrowserError(f"certutil came to nothing: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().partition("\n")[0]
        raise NoBrowserError(f"certutil refuses the authorities of network.ca_file: {said}")
