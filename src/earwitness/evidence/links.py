"""Links that lead to the evidence of one incident until they expire."""

from dataclasses import dataclass

from earwitness.config.fields import Secret
from earwitness.signing import Signer

PATH = "/shared/"


@dataclass(frozen=True, slots=True)
class EvidenceLink:
    id: str
    incident: str
    expires: float


class EvidenceLinks:
    """Makes links and reads them."""

    def __init__(self, key: Secret, base: str) -> None:
        self._signer = Signer(key, "evidence")
        self._base = base

    def url(self, link: EvidenceLink) -> str:
        return f"{self._base}{PATH}{self._signer.token([link.id, link.incident, f'{link.expires:.0f}'])}"

    def read(self, token: str) -> EvidenceLink | None:
        """Return what the link leads to, expired or not. None: we never made it."""
        fields = self._signer.read(token)
        return None if fields is None else EvidenceLink(fields[0], fields[1], float(fields[2]))
