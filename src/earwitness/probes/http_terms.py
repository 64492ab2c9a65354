"""The terms that an HTTP probe's section sets for every request of a run."""

from collections.abc import Iterator
from dataclasses import replace

from earwitness.model import Failure, Finding
from earwitness.probes.http_fields import parsed_url
from earwitness.probes.http_spec import HttpSpec, StepSpec
from earwitness.transport.base import ascii_host
from earwitness.transport.exchange import Exchange, Stage, Terms

FAMILIES: dict[str, tuple[int | None, ...]] = {"any": (None,), "4": (4,), "6": (6,), "both": (4, 6)}


def terms_of(spec: HttpSpec, terms: Terms, family: int | None) -> Terms:
    """Return the terms of the network with what the section says. `family` is the version of IP, None for either."""
    home = ascii_host(parsed_url(spec.flow[0].url))
    return replace(
        terms,
        fresh=spec.fresh_connection,
        version=None if spec.http_version == "any" else spec.http_version,
        family=family,
        pinned={} if spec.resolve is None else {home: spec.resolve},
        name_server=spec.resolver,
        proxy=None if spec.proxy is None else spec.proxy.proxy(),
    )


def terms_of_step(terms: Terms, step: StepSpec) -> Terms:
    """Return the terms of the section with what one of its steps says."""
    limits = {Stage.CONNECT: step.timeouts.connect, Stage.TLS: step.timeouts.tls}
    limits[Stage.PROCESSING] = step.timeouts.first_byte
    known = {stage: limit for stage, limit in limits.items() if limit is not None}
    return replace(terms, limits=known, body_limit=step.body_limit)


def check_version(terms: Terms, exchange: Exchange, step: StepSpec) -> Iterator[Finding]:
    """Yield that the server speaks another version of HTTP than the one that was asked for."""
    spoken = exchange.http_version
    if terms.version in ("2", "3") and spoken is not None and spoken != terms.version:
        message = f"expected HTTP/{terms.version}, the server speaks HTTP/{spoken}"
        yield Finding(Failure.PROTOCOL_ERROR, message, step.harm)
