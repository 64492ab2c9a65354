"""Which way a run goes: through which carrier, from which of its numbers, and whom it calls."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from earwitness.model import Why
from earwitness.telephony.spec import CallSpec

if TYPE_CHECKING:
    from earwitness.telephony.carrier import Carrier


class Way(NamedTuple):
    """`spec` is the call to make: the probe's, or the carrier's control call; None where the carrier has none."""

    carrier: "Carrier"
    from_: str
    spec: CallSpec | None


def carrier_of(spec: CallSpec, why: Why) -> str | None:
    """Return the name of the carrier that the run goes through; None stands for the only one."""
    return (spec.confirm_carrier or spec.carrier) if why is Why.CONFIRM else spec.carrier


def way_of(spec: CallSpec, why: Why, carriers: Callable[[str | None], "Carrier"]) -> Way:
    """Return the usual way, or for a confirming run another one, as far as there is another."""
    carrier = carriers(carrier_of(spec, why))
    usual = spec.from_ or carriers(spec.carrier).default_from
    if why is Why.CONFIRM:
        others = [number for number in carrier.spec.twilio.from_ if number != usual]
        return Way(carrier, others[0] if others else usual, spec)
    if why is Why.CONTROL:
        return Way(carrier, usual, carrier.spec.control.call if carrier.spec.control else None)
    return Way(carrier, usual, spec)
