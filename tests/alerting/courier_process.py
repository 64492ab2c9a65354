"""A process with one courier, for tests that kill or stop it: courier_process.py STORE ADDRESS EPOCH SPEED.

Its clock began at EPOCH with that of all others of its kind, and goes SPEED times as fast as the machine's, so that a lease ends soon.
"""

import asyncio
import sys
import time
from pathlib import Path

import httpx

from earwitness.alerting.couriers import Courier, Hook
from earwitness.alerting.notices import Links
from earwitness.alerting.senders import Senders
from earwitness.clock import SystemClock
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.store.store import Store


class FastClock(SystemClock):
    def __init__(self, epoch, speed):
        self.epoch, self.speed = epoch, speed

    def now(self):
        return self.epoch + (time.time() - self.epoch) * self.speed


async def main(store, address, epoch, speed):
    spec = WebhookSpec(url=address, secret="a secret of the hook")
    async with httpx.AsyncClient(trust_env=False, timeout=None) as http:
        clock = FastClock(float(epoch), float(speed))
        hook = Hook("pager", KIND, spec, 25.0)
        await Courier(hook, Store.open(Path(store)), clock, Senders(http, Path), Links("http://here")).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
