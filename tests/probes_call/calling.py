"""A run of a call probe with a virtual clock, a ledger and a sink that tests can look into."""

import asyncio
import errno
import hashlib
import os
from pathlib import Path

import earwitness.simulator
from earwitness.config.carriers import CarrierSpec
from earwitness.config.fields import Money
from earwitness.model import Channel, Evidence, Run, Why
from earwitness.probes.call import CallSpec
from earwitness.probes.context import OverBudgetError, RunContext
from earwitness.telephony.carrier import Carrier

PROMPTS = Path(earwitness.simulator.__file__).parent / "prompts"
TO, FROM = "+12025550199", "+12025550143"
SID, TOKEN = "AC" + "0" * 32, "a-token-that-nobody-may-see"
CARD = "4242424242424242"
PAY = (
    {"expect": "Welcome to Acme", "within": {"minor": "3s", "major": "8s"}},
    {"press": "2"},
    {"expect": "Please enter your card number"},
    {"press": f"{CARD}#"},
    {"expect": "Your payment was accepted"},
)
BANK = (
    {"expect": "Welcome to Acme"},
    {"press": "3"},
    {"expect": "Please enter your bank account number"},
    {"press": "12345678#"},
    {"expect": "Your bank payment was accepted"},
)
MORTGAGES = (
    {"expect": "Welcome to Acme"},
    {"press": "4"},
    {"expect": "You are through to the mortgage team", "misroute": ["lost and stolen cards department"]},
)


class VirtualClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.passed = 0.0

    def now(self):
        return 1_750_000_000.0 + self.passed

    def monotonic(self):
        return self.passed

    async def sleep(self, seconds):
        self.passed += seconds
        await asyncio.sleep(0)


class Ledger:
    """Writes down what it is told, in order."""

    def __init__(self, refuses=False):
        self.refuses, self.entries, self.left, self.unpriced = refuses, [], [], []

    async def reserve(self, cost):
        if self.refuses:
            raise OverBudgetError("25 USD a day")
        self.entries.append(("reserve", cost))

    async def intent(self, to, from_, script):
        self.entries.append(("intent", to, from_, script))

    async def dialled(self, sid):
        self.entries.append(("dialled", sid))

    async def settle(self, cost):
        self.entries.append(("settle", cost))

    async def leave(self, leftover):
        (self.left if leftover.kind == "delete_recordings" else self.unpriced).append(leftover)

    @property
    def kinds(self):
        return [entry[0] for entry in self.entries]

    @property
    def settled(self) -> Money:
        return next(entry[1] for entry in self.entries if entry[0] == "settle")


class Sink:
    def __init__(self):
        self.files = {}

    async def save(self, data, *, kind, media_type, name):
        self.files[kind] = data
        return Evidence(kind, media_type, hashlib.sha256(data).hexdigest(), len(data), name)


def spec(steps=PAY, **rest):
    return CallSpec.model_validate({"to": TO, "steps": list(steps)} | rest)


def carrier_spec(url, **more):
    account = {"account_sid": SID, "auth_token": TOKEN, "from": FROM, "api_url": url, **more}
    return CarrierSpec.model_validate({"twilio": account, "extras_per_minute": 0})


class Caller:
    """Runs call probes against the API at `url`."""

    def __init__(self, url, http, clock):
        self.clock, self.ledger, self.sink, self.released = clock, Ledger(), Sink(), 0
        self.carrier = Carrier(carrier_spec(url), http, clock)
        self.allowed, self.prompts, self.why = frozenset({TO}), PROMPTS, Why.SCHEDULED

    def context(self):
        run = Run("run-1", "pay-by-phone", "pay", Channel.CALL, "local", "production", self.why, self.clock.now())
        return RunContext(
            run=run,
            clock=self.clock,
            evidence=self.sink,
            calls=self.ledger,
            carrier=lambda _: self.carrier,
            dial_allowed=self.allowed,
            prompts=self.prompts,
            on_released=self._release,
        )

    def _release(self):
        self.released += 1


class FullDisk:
    """A sink that has no room."""

    async def save(self, *_, name, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"/evidence/{name}")
