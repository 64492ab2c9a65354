"""What makes the pages: Jinja with our templates, and what those may use. Loaded with the first page that somebody looks at."""

from datetime import UTC, datetime
from pathlib import Path

from fastapi.templating import Jinja2Templates

templates = Jinja2Templates(Path(__file__).parent / "templates")
_LABELS = {
    "sev1": "Sev1",
    "sev2": "Sev2",
    "sev3": "Sev3",
    "nonprod": "Non-production",
    "ok": "OK",
    "unknown": "Unknown",
}


def _clock_time(moment: float | str | None) -> str:
    if moment is None:
        return "-"
    at = datetime.fromtimestamp(moment, UTC) if isinstance(moment, float) else datetime.fromisoformat(moment)
    return at.strftime("%Y-%m-%d %H:%M:%S")


templates.env.filters["clock"] = _clock_time
templates.env.globals["labels"] = _LABELS
