"""Small configurations for the simulator's shop and contact centre."""

import time

from earwitness.schedule import EverySlots
from earwitness.simulator import PROMPTS_DIR

CENTRE = "+12025550199"
PAGES = {"card": "/shop/pay", "bank": "/shop/bank", "staging": "/staging/shop/pay"}
PAY_STEPS = [
    {"expect": "Welcome to Acme. Thank you for calling."},
    {"press": "2"},
    {"expect": "Please enter your card number, followed by the hash key."},
    {"press": "4111111111111111#"},
    {"expect": "Your payment was accepted. Thank you."},
]


def web_probe(simulator_url, page, *, every="1s", timeout="900ms"):
    return {
        "journey": f"pay-{page}",
        "every": every,
        "http": {"url": simulator_url + PAGES[page], "timeout": timeout, "expect": {"status": 200}},
    }


def web_config(simulator_url, pages=("card", "bank"), hooks=None, **more):
    """Return a configuration with one probe `PAGE-web` a page, each of a journey of its own."""
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "journeys": {f"pay-{page}": {"title": f"Pay by {page}"} for page in pages},
        "probes": {f"{page}-web": web_probe(simulator_url, page) for page in pages},
        "hooks": hooks or {},
        **more,
    }


def call_probe(every="7d", **more):
    """Return the probe that pays by telephone; its slots are far apart, so that calls are made when asked for."""
    return {
        "journey": "pay-card",
        "depends_on": ["card-processor"],
        "every": every,
        "call": {"to": CENTRE, "ring_timeout": "10s", "length_limit": "100s", "steps": PAY_STEPS, **more},
    }


def carrier(simulator_url, **more):
    return {
        "twilio": {
            "account_sid": "AC" + "0" * 32,
            "auth_token": "any-token-will-do",
            "from": ["+12025550143"],
            "api_url": simulator_url,
        },
        "calls_per_second": 20,
        "extras_per_minute": 0,
        **more,
    }


def call_config(simulator_url, hooks=None, probes=None, **more):
    """Return a configuration that pays on the web (every second) and by telephone through one card processor."""
    web = web_probe(simulator_url, "card") | {"depends_on": ["card-processor"]}
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "carriers": {"main": carrier(simulator_url)},
        "dial": {"allow": [CENTRE]},
        "prompts": str(PROMPTS_DIR),
        "dependencies": {"card-processor": {"title": "Card processor", "third_party": True}},
        "journeys": {"pay-card": {"title": "Pay a bill by card"}},
        "probes": probes or {"card-web": web, "card-phone": call_probe()},
        "hooks": hooks or {},
        **more,
    }


def interval_due_in(name, low, high):
    """Return an interval of hours whose next slot for this probe comes between `low` and `high` seconds from now."""
    now = round(time.time() * 1000)
    for milliseconds in range(7_200_000, 14_400_000):
        wait = EverySlots.of(name, milliseconds / 1000).following(now) - now
        if low * 1000 <= wait <= high * 1000:
            return f"{milliseconds}ms"
    raise AssertionError("no such interval has such a slot")
