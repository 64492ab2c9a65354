"""Twilio's errors: HTTP status, code and message."""

from collections.abc import Mapping
from types import MappingProxyType


class TwilioError(Exception):
    """What the API answers instead of what was asked for."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def body(self) -> dict[str, str | int]:
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


def bad_request(code: int, message: str) -> TwilioError:
    return TwilioError(400, code, message)


def not_found(path: str) -> TwilioError:
    return TwilioError(404, 20404, f"The requested resource {path} was not found")


def unauthorised() -> TwilioError:
    return TwilioError(401, 20003, "Authenticate")


# Twilio's magic numbers: what its test credentials answer for calls and for messages. Here they hold for any account.
MAGIC_CALLED: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "+15005550001": (21217, "Phone number '+15005550001' is not valid"),
        "+15005550002": (21214, "The phone number you are attempting to call, +15005550002, cannot be reached"),
        "+15005550003": (21215, "Account not authorized to call +15005550003: check your geographic permissions"),
        "+15005550004": (21216, "Account not allowed to call +15005550004"),
    }
)
MAGIC_CALLING: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "+15005550001": (21212, "The 'From' number +15005550001 is not a valid phone number"),
        "+15005550007": (21210, "The source phone number +15005550007 is not yet verified for your account"),
    }
)
MAGIC_TEXTED: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "+15005550001": (21211, "The 'To' number +15005550001 is not a valid phone number"),
        "+15005550002": (21612, "The 'To' phone number +15005550002 is not currently reachable using SMS"),
        "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region of +15005550003"),
        "+15005550004": (21610, "Attempt to send to unsubscribed recipient +15005550004"),
        "+15005550009": (21614, "'To' number +15005550009 is not a valid mobile number"),
    }
)
