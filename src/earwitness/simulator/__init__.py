"""A stand-in Twilio, a contact centre that talks, and a shop, all with fault switches: for demos, tests and game days.

The daemon reaches it over HTTP only. `server.Simulator` runs it in this process, `server.serve` as a program.
"""

from earwitness.simulator.telephone_numbers import (
    BUSY_LINE,
    CONTACT_CENTRE,
    STAGING_CENTRE,
    TEST_LINE,
    UNANSWERED_LINE,
    UNOBTAINABLE_LINE,
)
from earwitness.simulator.voice import PROMPTS_DIR

__all__ = [
    "BUSY_LINE",
    "CONTACT_CENTRE",
    "PROMPTS_DIR",
    "STAGING_CENTRE",
    "TEST_LINE",
    "UNANSWERED_LINE",
    "UNOBTAINABLE_LINE",
]
