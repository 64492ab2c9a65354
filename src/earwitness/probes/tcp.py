"""The TCP probe: connects, by TLS if asked to, and holds a short conversation."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import regex
from pydantic import Field, model_validator

from earwitness.config.fields import Flag, Limits, Spec, problem
from earwitness.model import Attribution, Channel, Effect, Failure, Finding, Observation, Step
from earwitness.probes.context import Kind, RunContext
from earwitness.probes.endpoint import THEIRS, EndpointSpec, excused, failed, phases, slow
from earwitness.probes.http_checks import search
from earwitness.probes.http_fields import Regex
from earwitness.transport.cards import MASK
from earwitness.transport.connection import Connection
from earwitness.transport.errors import BrokenAnswerError, ExchangeError
from earwitness.transport.exchange import Exchange, Stage
from earwitness.transport.redaction import Redaction

_CHUNK = 4096  # bytes
_MOST = 64 * 1024  # bytes that a server may send before it says what is expected
_SHOWN = 80  # characters
_LOOKED_AT = 2000  # characters of what is quoted, blank ones included


class TcpStep(Spec):
    """One of the two: `expect` waits for a line like the pattern, `send` says something; a `secret` one is never shown."""

    expect: Regex | None = None
    send: str | None = None
    secret: Flag = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.expect is None) is (self.send is None):
            raise problem("write either expect or send in a step", "send" if self.send is not None else None)
        return self

    @property
    def name(self) -> str:
        if self.expect is not None:
            return f"expect {self.expect.pattern}"
        return f"send {MASK if self.secret else (self.send or '').strip()}"


class TcpSpec(EndpointSpec):
    """A host, a port, and what is said there. `within` limits the whole."""

    tls: Flag = False
    steps: tuple[TcpStep, ...] = Field(default=(), max_length=50)
    within: Limits = Limits()

    def secrets(self) -> list[str]:
        """Return the texts that nothing we keep may show, even where a server echoes them."""
        said = [step.send.strip() for step in self.steps if step.secret and step.send]
        return [
            *said,
            *(word for line in said for word in line.split()[1:]),
        ]  # a server may echo what follows the command


@dataclass(slots=True)
class _Talk:
    """How the conversation went."""

    redaction: Redaction
    heard: bytes = b""  # since the last step that found what it expects
    looked: int = 0  # bytes of `heard` in lines that the present step has looked at
    transcript: list[tuple[str, bytes]] = field(
        default_factory=list
    )  # who spoke, and what; one entry until the other does
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


async def run(spec: TcpSpec, ctx: RunContext) -> Observation:
    """Connect once, take the steps, and say which came to nothing. Never raises for what the server did.

    Facts: host, address. Measures: duration, phase_resolve, phase_connect, phase_tls in seconds.
    """
    if ctx.web is None:
        raise RuntimeError("a TCP probe needs a web client")
    redaction = Redaction(spec.secrets())
    record, talk = Exchange(), _Talk(redaction)
    try:
        tls = ctx.web.connector.trust.context() if spec.tls else None
        async with ctx.web.connector.open(spec.endpoint, record, spec.timeout, tls) as connection:
            talk.steps.append(Step(f"connect to {spec.host}:{spec.port}", True, 0.0, ctx.elapsed))
            record.enter(Stage.PROCESSING, ctx.web.connector.now())
            await _converse(spec, connection, talk, ctx)
    except ExchangeError as error:
        talk.findings.append(failed(_in_words(error, spec, talk), spec.effect))
        talk.steps.append(_unfinished(spec, talk, str(error), ctx))
    else:
        talk.findings += slow(
            spec.within, ctx.elapsed, spec.effect, "the conversation" if spec.steps else "a connection"
        )
    duration = ctx.elapsed
    findings = [ctx.hosts.attributed(finding, spec.host) for finding in await excused(talk.findings, ctx.web.uplink)]
    return ctx.observe(
        findings=[replace(f, message=redaction.text(f.message)) for f in findings],
        steps=[replace(step, note=redaction.text(step.note)) for step in talk.steps],
        evidence=await _keep(talk.transcript, redaction, ctx) if any(f.attribution in THEIRS for f in findings) else (),
        facts={"host": spec.host, **({"address": record.address} if record.address else {})},
        measures={"duration": duration, **phases(record)},
    )


KIND = Kind(channel=Channel.TCP, spec=TcpSpec, run=run, budget=lambda spec: spec.timeout)


async def _converse(spec: TcpSpec, connection: Connection, talk: _Talk, ctx: RunContext) -> None:
    for step in spec.steps:
        started = ctx.elapsed
        if step.send is not None:
            connection.writer.write(step.send.encode())
            await connection.writer.drain()
            talk.transcript.append((">", (MASK if step.secret else step.send).encode()))
        finding = await _hear(step, connection, talk, spec.effect) if step.expect is not None else None
        note = finding.message if finding else ""
        talk.steps.append(Step(step.name, finding is None, started, ctx.elapsed - started, note))
        if finding is not None:
            talk.findings.append(finding)
            return


async def _hear(step: TcpStep, connection: Connection, talk: _Talk, effect: Effect) -> Finding | None:
    """Read until a line is like the pattern. A server that says its fill of other things is wrong."""
    assert step.expect is not None
    talk.looked = 0
    while True:
        rest = _after(step.expect, talk)
        if isinstance(rest, Finding):
            return rest
        if rest is not None:
            talk.heard = rest
            return None
        said = await connection.reader.read(_CHUNK)
        if not said or len(talk.heard) > _MOST:
            return _wrong(step, talk, "and hung up" if not said else "and more", effect)
        talk.heard += said
        _note(said, talk)


def _note(said: bytes, talk: _Talk) -> None:
    """Put down what the server said, in one piece however it came: half a secret would not be known as one."""
    before = talk.transcript.pop()[1] if talk.transcript and talk.transcript[-1][0] == "<" else b""
    talk.transcript.append(("<", before + said))


def _after(pattern: regex.Pattern[str], talk: _Talk) -> bytes | Finding | None:
    """Return what follows the first line that is like the pattern; the last line may be without its end. None: no line is."""
    lines = talk.heard[talk.looked :].splitlines(keepends=True)
    for place, line in enumerate(lines):
        text = line.decode("utf-8", "replace")
        found = search(pattern, text.rstrip("\r\n"))
        if isinstance(found, Finding):
            return found
        whole = line.endswith((b"\r", b"\n"))
        if found is not None:
            return b"".join(lines[place + 1 :]) if whole else text[found.end() :].encode()
        talk.looked += len(line) if whole else 0
    return None


def _said(talk: _Talk) -> str:
    """Return the beginning of what was heard in quotes, on one line, without what nobody may see; empty if it is nothing."""
    text = talk.heard.decode("utf-8", "replace")
    line = " ".join(talk.redaction.beginning(text, _LOOKED_AT).split())
    return repr(line if len(line) <= _SHOWN else line[:_SHOWN] + "...") if text.split() else ""


def _wrong(step: TcpStep, talk: _Talk, then: str, effect: Effect) -> Finding:
    assert step.expect is not None
    said = _said(talk)
    failure = Failure.WRONG_BANNER if said else Failure.CONNECTION_LOST
    message = f"expected something like {step.expect.pattern!r}, the server said {said or 'nothing'} {then}"
    return Finding(failure, message, effect, Attribution.TARGET, step.name)


def _in_words(error: ExchangeError, spec: TcpSpec, talk: _Talk) -> ExchangeError:
    """Say what was waited for when the time was up in the middle of the conversation."""
    if error.failure is not Failure.FIRST_BYTE_TIMEOUT:
        return error
    waiting = spec.steps[min(len(talk.steps) - 1, len(spec.steps) - 1)]
    said = _said(talk)
    heard = f"it said {said or 'nothing'}"
    failure = Failure.WRONG_BANNER if said else Failure.FIRST_BYTE_TIMEOUT
    return BrokenAnswerError(f"{waiting.name}: not within {spec.timeout:g} s, {heard}", failure)


def _unfinished(spec: TcpSpec, talk: _Talk, note: str, ctx: RunContext) -> Step:
    began = talk.steps[-1].started + talk.steps[-1].duration if talk.steps else 0.0
    name = spec.steps[len(talk.steps) - 1].name if talk.steps and spec.steps else f"connect to {spec.host}:{spec.port}"
    return Step(name, False, began, ctx.elapsed - began, note)


async def _keep(transcript: Sequence[tuple[str, bytes]], redaction: Redaction, ctx: RunContext) -> tuple[Any, ...]:
    if not transcript:
        return ()
    lines = (f"{who} {said.decode('utf-8', 'replace')}" for who, said in transcript)
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return await ctx.keep(
        redaction.text(text).encode(),
        kind="conversation",
        media_type="text/plain; charset=utf-8",
        name="conversation.txt",
    )
