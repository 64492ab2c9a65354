"""Webhooks on the wire: signed requests, and media streams' handshakes, to addresses on this machine."""

from collections.abc import Mapping
from urllib.parse import urlencode

import httpx
import structlog
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from earwitness.simulator.twiml import Notice
from earwitness.simulator.webhook import Webhook, is_loopback

TIMEOUT = 15.0  # seconds that Twilio waits for an answer
SIGNATURE = "X-Twilio-Signature"
_log = structlog.get_logger(__name__)


def signature(token: str, url: str, fields: Mapping[str, str] | None = None) -> str:
    """Return the value of the header X-Twilio-Signature: HMAC-SHA1 over the URL and the sorted fields, in base 64."""
    return str(RequestValidator(token).compute_signature(url, dict(fields or {})))


class Courier:
    """Delivers webhooks. `anywhere` lets it leave this machine, which it otherwise refuses."""

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere
        self._client: httpx.AsyncClient | None = None

    def may_call(self, url: str) -> bool:
        return self._anywhere or is_loopback(url)

    async def tell(self, webhook: Webhook, fields: Mapping[str, str], token: str) -> Notice | None:
        """Send the fields, signed with the account's `token`; return what Twilio would note of a failure."""
        if not self.may_call(webhook.url):
            _log.warning("webhook_refused", url=webhook.url)
            return Notice(
                11200, f"HTTP retrieval failure: this stand-in calls only loopback addresses, not {webhook.url}"
            )
        try:
            reply = await self._send(webhook, fields, token)
        except httpx.HTTPError as error:
            return Notice(11205, f"HTTP connection failure: {webhook.url}: {type(error).__name__}")
        if reply.is_success:
            return None
        return Notice(15003, f"Warning response to callback URL: {webhook.url}: {reply.status_code}", warning=True)

    async def _send(self, webhook: Webhook, fields: Mapping[str, str], token: str) -> httpx.Response:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT, trust_env=False, headers={"User-Agent": "TwilioProxy/1.1"}
            )
        if webhook.method == "GET":
            url = f"{webhook.url}{'&' if '?' in webhook.url else '?'}{urlencode(fields)}"
            return await self._client.get(url, headers={SIGNATURE: signature(token, url)})
        headers = {SIGNATURE: signature(token, webhook.url, fields)}
        return await self._client.post(webhook.url, data=dict(fields), headers=headers)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
