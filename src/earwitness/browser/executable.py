"""Where the browser is, and why there is none: told when the configuration is read, and by every run that needs it."""

import importlib.util
import os
import shutil
from pathlib import Path

_ON_PATH = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_OWN = "chromium-*/chrome-linux*/chrome"  # below Playwright's folder of browsers


class NoBrowserError(Exception):
    """There is no browser to use; the text says what to do."""


def find_browser(configured: Path | None) -> Path:
    """Return the executable: the configured one, else Playwright's own, else the first on PATH. Raises NoBrowserError."""
    if importlib.util.find_spec("playwright") is None:
        raise NoBrowserError("browser probes need Playwright; run: pip install 'earwitness[browser]'")
    if configured is not None:
        if not os.access(configured, os.X_OK):
            raise NoBrowserError(f"{configured} cannot be executed; correct browser.executable, or leave it out")
        return configured
    on_path = [Path(there) for name in _ON_PATH if (there := shutil.which(name))]
    found = next(iter((*_playwrights_own(), *on_path)), None)
    if found is None:
        raise NoBrowserError(
            "there is no Chromium or Chrome on this machine; install one (apt-get install chromium, or playwright "
            "install chromium), or set browser.executable"
        )
    return found


def _playwrights_own() -> list[Path]:
    """Return the browsers that Playwright downloaded, the newest first."""
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    folder = Path(named) if named not in ("", "0") else Path.home() / ".cache/ms-playwright"
    found = (path for path in folder.glob(_OWN) if os.access(path, os.X_OK))
    return sorted(found, key=lambda path: path.parts[-3], reverse=True)
