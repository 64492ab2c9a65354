"""What the judge makes of runs that a person asked for: the daemon's own judgement, without its store and its alerts.

The judge gets the runs that it asks for, such as a second one to confirm a failure, or a workaround: they are made at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earwitness.judge import State, judge
from earwitness.model import Effect, Incident, Observation, Observed, Outcome, Request, Rules, Why

FAIL_ON = ("finding", "incident", "diverted", "blocked")  # from what on a pipeline fails, the strictest first
_MOST_ROUNDS = 10  # of runs that the judge asks for
_WORSE = {"diverted": (Effect.DIVERTED, Effect.BLOCKED), "blocked": (Effect.BLOCKED,)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`asked` are the runs that a person wanted, `added` those that the judge wanted, `incidents` what the daemon would have opened, over or not."""

    asked: Sequence[Observation]
    added: Sequence[Observation]
    incidents: Sequence[Incident]
    files: Mapping[tuple[str, str], Path] = field(default_factory=dict)  # where evidence was kept, by run and name

    def of(self, probe: str) -> Incident | None:
        """Return the incident that the probe's failure would belong to."""
        return next((incident for incident in self.incidents if probe in incident.probes), None)

    def exit_code(self, fail_on: str) -> int:
        """Return 1 if there is anything to fail on, else 3 if anything could not be told, else 0."""
        if self._fails(fail_on):
            return 1
        return 3 if any(seen.outcome in (Outcome.UNKNOWN, Outcome.SKIPPED) for seen in self.asked) else 0

    def _fails(self, fail_on: str) -> bool:
        if fail_on == "finding":
            return any(seen.outcome is Outcome.FINDING for seen in self.asked)
        effects = [harm.effect for i in self.incidents if i.argument for harm in i.argument.harms]
        return bool(self.incidents) if fail_on == "incident" else any(e in _WORSE[fail_on] for e in effects)


async def judged(
    seen: Sequence[Observation], rules: Rules, run: Callable[[Request], Awaitable[Observation | None]]
) -> Verdict:
    """Return the verdict on `seen`; `run` makes a run that the judge asks for, or returns None where that may not be."""
    state, fresh, added, made = State(), list(seen), list[Observation](), set[str]()
    opened: dict[str, Incident] = {}
    for _ in range(_MOST_ROUNDS):
        state, wanted = _heard(state, fresh, rules, opened)
        due = [request for request in wanted if request.key not in made and _matters(state, request)]
        if not due:
            break
        made |= {request.key for request in due}
        fresh = [o for o in await asyncio.gather(*(run(request) for request in due)) if o is not None]
        added += fresh
    opened |= {incident.id: incident for incident in state.open_incidents()}
    return Verdict(seen, added, [incident for incident in opened.values() if incident.merged_into is None])


def _heard(
    state: State, fresh: Iterable[Observation], rules: Rules, opened: dict[str, Incident]
) -> tuple[State, list[Request]]:
    """Tell the judge of the runs in the order of their starts, since it takes no word of a run that a later one overtook.

    What opens is noted in `opened`, as it was told last.
    """
    wanted: dict[str, Request] = {}
    for observation in sorted(fresh, key=lambda o: o.started_at):
        judgement = judge(state, Observed(observation), rules)
        state = judgement.state
        opened |= {told.incident.id: told.incident for told in judgement.transitions}
        wanted |= {request.key: request for request in judgement.requests}
    return state, list(wanted.values())


def _matters(state: State, request: Request) -> bool:
    """A second run is of use only while it is open whether the failure is believed."""
    probe = state.probes.get(request.probe)
    return request.why is not Why.CONFIRM or (
        probe is not None and probe.failing and not state.incident_of(request.probe)
    )
