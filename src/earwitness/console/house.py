"""What the console and the API may see and do of the running daemon."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from earwitness.alerting.ack_links import AckLinks
from earwitness.browser.pages import PageBaselines
from earwitness.clock import Clock
from earwitness.commit import CommitLoop
from earwitness.config.schema import Config
from earwitness.dispatch.local import Dispatcher
from earwitness.evidence.links import EvidenceLinks
from earwitness.evidence.storage import EvidenceStorage
from earwitness.hooks.base import HookOutcome
from earwitness.impairments import Impairments
from earwitness.metrics import Metrics
from earwitness.model import Rules, TransitionKind
from earwitness.store.store import Store
from earwitness.telephony.baselines import Baselines
from earwitness.telephony.switchboard import Switchboard


@dataclass(slots=True)
class House:
    """The rooms, with the configuration that is in use now."""

    config: Config
    rules: Rules
    clock: Clock
    store: Store
    evidence: EvidenceStorage
    metrics: Metrics
    impairments: Impairments
    commit: CommitLoop
    dispatcher: Dispatcher
    switchboard: Switchboard
    baselines: Baselines
    pages: PageBaselines
    ack_links: AckLinks
    evidence_links: EvidenceLinks
    wake_couriers: Callable[[], None]
    try_hook: Callable[[str], Awaitable[list[tuple[TransitionKind, HookOutcome]]]]
    ready: Callable[[], bool]
    alive: Callable[[], bool]
