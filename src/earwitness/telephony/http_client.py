"""The Twilio SDK's requests made by httpx: one HTTP stack for the house, and a stand-in can take the carrier's place."""

import logging

import httpx
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]

TWILIO = "https://api.twilio.com"


class HttpxTwilioClient(AsyncHttpClient):  # type: ignore[misc]
    """Sends what is meant for api.twilio.com to `api_url`, and nothing anywhere else. Repeats no request."""

    def __init__(self, http: httpx.AsyncClient, api_url: str, timeout: float) -> None:
        """`timeout`: seconds for each request."""
        super().__init__(logging.getLogger(__name__), True, timeout)  # is_async=True unlocks the SDK's *_async methods
        self._http, self._api_url, self._seconds = http, api_url.rstrip("/"), timeout

    async def request(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
        allow_redirects: bool = False,
    ) -> Response:
        if not uri.startswith(TWILIO + "/"):
            raise httpx.UnsupportedProtocol(
                f"the SDK asked for {uri.split('?', maxsplit=1)[0]}, which is not the carrier's API"
            )
        response = await self._http.request(
            method,
            self._api_url + uri.removeprefix(TWILIO),
            params=params,  # type: ignore[arg-type]
            data=data,
            headers=headers,
            auth=auth,
            timeout=self._seconds if timeout is None else timeout,  # to httpx, None would mean for ever
            follow_redirects=allow_redirects,
        )
        return Response(response.status_code, response.text, response.headers)
