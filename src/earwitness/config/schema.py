"""The configuration, section by section. The names here are what users write."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from earwitness.config.alerting import EscalationSpec, HeartbeatSpec, MonitorAlertsSpec, RouteSpec, StormCap
from earwitness.config.browser import BrowserProcessSpec
from earwitness.config.carriers import CarrierSpec
from earwitness.config.cron import Cron, parse_cron
from earwitness.config.fields import (
    Duration,
    Flag,
    Money,
    Name,
    OneOrMore,
    Price,
    SecretValue,
    Share,
    Spec,
    Texts,
    WebAddress,
    WithSecret,
    problem,
)
from earwitness.config.judging import (
    CalendarSpec,
    CriticalPeriodSpec,
    Effects,
    MaintenanceSpec,
    SeverityRuleSpec,
    TestWindowSpec,
    Zone,
)
from earwitness.config.network import NetworkSpec
from earwitness.config.templates import TemplateSpec
from earwitness.config.transcription import TranscriptionSpec, too_long_with_transcription
from earwitness.hooks import HOOKS
from earwitness.hooks.alertmanager import AlertmanagerSpec
from earwitness.hooks.apprise import AppriseSpec
from earwitness.hooks.call import CallHookSpec
from earwitness.hooks.email import EmailSpec
from earwitness.hooks.jira import JiraSpec
from earwitness.hooks.pagerduty import PagerDutySpec
from earwitness.hooks.servicenow import ServiceNowSpec
from earwitness.hooks.slack import SlackSpec
from earwitness.hooks.teams import TeamsSpec
from earwitness.hooks.twilio import TwilioSmsSpec
from earwitness.hooks.webhook import WebhookSpec
from earwitness.model import Severity
from earwitness.probes import KINDS
from earwitness.probes.browser_spec import BrowserSpec
from earwitness.probes.context import Kind
from earwitness.probes.dns import DnsSpec
from earwitness.probes.hosts import HostMap, HostPattern, Owner
from earwitness.probes.http_fields import Regex
from earwitness.probes.http_spec import HttpSpec
from earwitness.probes.tcp import TcpSpec
from earwitness.probes.tls import TlsSpec
from earwitness.telephony.spec import CallSpec

_SHORTEST_INTERVAL = 1.0  # seconds


class ListenSpec(WithSecret):
    """Where the console, the API and the metrics are served."""

    listen: str = Field(default="127.0.0.1:8420", pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")
    token: SecretValue | None = None
    token_file: Path | None = None
    public_url: WebAddress | None = None  # how people reach it, for links in alerts

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def local(self) -> bool:
        return self.address[0] in ("127.0.0.1", "localhost", "::1")

    @field_validator("listen")
    @classmethod
    def _port(cls, value: str) -> str:
        if int(value.rpartition(":")[2]) > 65535:
            raise problem("there is no such port; the highest is 65535")
        return value

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not self.local and self.token is None:
            raise problem("listening off localhost needs a token; set token_file, or listen on 127.0.0.1", "listen")
        return self


class DialSpec(Spec):
    """The only numbers that may ever be dialled."""

    allow: Texts = ()


class BudgetSpec(Spec):
    """What test calls may cost in a UTC day, over all carriers. A part is kept for confirming failures."""

    per_day: Price = Money(Decimal(25), "USD")
    keep_for_confirmation: Share = 0.2


class DependencySpec(Spec):
    """Something that journeys share. A request that fails at one of its `hosts` is told as its failure."""

    title: str | None = None
    third_party: Flag = False
    depends_on: Texts = ()  # what it needs itself, such as a card processor its gateway
    hosts: Annotated[tuple[HostPattern, ...], OneOrMore()] = ()


class JourneySpec(Spec):
    """What a customer, or an agent for them, wants to get done."""

    title: str | None = None
    owner: str | None = None
    by: Literal["customer", "agent"] = "customer"  # who goes it; what it does to customers is the probes' `effect`
    workaround: Texts = ()  # journeys or probes that reach the same goal
    environment: Name | None = None
    budget_per_day: Price | None = None  # what the journey's calls may cost in a UTC day, within the budget of all


class IncidentSpec(Spec):
    """How much it takes to believe a failure, and a recovery."""

    open_after: int = Field(default=2, ge=1, le=20)
    nuisance_open_after: int = Field(default=3, ge=1, le=20)
    resolve_after: int = Field(default=2, ge=1, le=20)
    reopen_within: Annotated[Duration, Field(ge=0, le=86400)] = 600.0


class HistorySpec(Spec):
    """How long runs, observations and their evidence are kept."""

    keep: Duration = Field(default=30 * 86400.0, ge=3600)


class LimitsSpec(Spec):
    """How much may go on at once; all probes but calls share `concurrent_http`."""

    concurrent_http: int = Field(default=500, ge=1, le=5000)
    concurrent_browser: int = Field(default=2, ge=1, le=50)  # windows open at once


class ProbeSpec(Spec):
    """One scheduled way of trying a journey: when, and exactly one of the kinds of probe."""

    journey: Name
    depends_on: Texts = ()
    environment: Name | None = None
    every: Duration | None = None
    cron: Annotated[Cron, BeforeValidator(parse_cron, json_schema_input_type=str)] | None = None
    timezone: Zone = "UTC"
    effects: Effects = Field(default_factory=dict)  # what a class of failure does to customers, for this probe
    catch_up: Duration | None = None  # how old a missed slot may be and still be run; by default one interval
    http: HttpSpec | None = None
    tls: TlsSpec | None = None
    dns: DnsSpec | None = None
    tcp: TcpSpec | None = None
    browser: BrowserSpec | None = None
    call: CallSpec | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            said = f"both {' and '.join(kinds)}" if kinds else "no kind of probe"
            raise problem(
                f"this probe has {said}; write exactly one of {', '.join(KINDS)}", kinds[1] if kinds else None
            )
        if (self.every is None) is (self.cron is None):
            raise problem("write either every or cron, to say when it runs", "cron" if self.every else None)
        if self.every is not None and self.every < _SHORTEST_INTERVAL:
            raise problem(f"every is {self.every:g}s; {_SHORTEST_INTERVAL:g}s is the shortest", "every")
        self._check_time_to_finish("every" if self.every else "cron")
        return self

    def _check_time_to_finish(self, key: str) -> None:
        if self.budget > self.interval:
            raise problem(
                f"a run may take {self.budget:g}s (time-out x tries), longer than the {self.interval:g}s between runs; "
                "lower the time-out or the tries, or run it less often",
                key,
            )

    @cached_property
    def kind(self) -> Kind:
        return next(kind for name, kind in KINDS.items() if getattr(self, name) is not None)

    @cached_property
    def spec(self) -> Spec:
        found: Spec = next(spec for name in KINDS if (spec := getattr(self, name)) is not None)
        return found

    @cached_property
    def interval(self) -> float:
        """The shortest time between two starts, in seconds; of cron, as it was when the configuration was read: sixty firings take milliseconds."""
        if self.every is not None:
            return self.every
        assert self.cron is not None
        return self.cron.shortest_gap(ZoneInfo(self.timezone), datetime.now(UTC))

    @cached_property
    def budget(self) -> float:
        """How long a run may take, in seconds."""
        return self.kind.budget(self.spec)


class HookSpec(Spec):
    """One way of telling people: exactly one of the kinds of hook."""

    webhook: WebhookSpec | None = None
    alertmanager: AlertmanagerSpec | None = None
    pagerduty: PagerDutySpec | None = None
    slack: SlackSpec | None = None
    teams: TeamsSpec | None = None
    email: EmailSpec | None = None
    servicenow: ServiceNowSpec | None = None
    jira: JiraSpec | None = None
    twilio: TwilioSmsSpec | None = None
    call: CallHookSpec | None = None
    apprise: AppriseSpec | None = None
    template: TemplateSpec = TemplateSpec()
    storm_cap: StormCap | None = None  # messages a minute, beyond which all but Sev1 is told in digests

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [name for name in HOOKS if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise problem(f"write exactly one of {', '.join(HOOKS)}", kinds[1] if kinds else None)
        return self

    @property
    def kind(self) -> str:
        return next(name for name in HOOKS if getattr(self, name) is not None)


class Config(Spec):
    """All of it."""

    environment: Name
    production_environments: Texts = ("production",)
    http: ListenSpec = ListenSpec()
    network: NetworkSpec = NetworkSpec()
    browser: BrowserProcessSpec = BrowserProcessSpec()
    carriers: dict[Name, CarrierSpec] = Field(default_factory=dict)
    dial: DialSpec = DialSpec()
    budget: BudgetSpec = BudgetSpec()
    prompts: Path | None = None  # folder of reference recordings: NAME.wav with its words in NAME.txt
    transcription: TranscriptionSpec | None = None  # for texts without a reference recording
    dependencies: dict[Name, DependencySpec] = Field(default_factory=dict)
    redact: Annotated[tuple[Regex, ...], OneOrMore()] = ()  # what evidence may not show besides secrets
    journeys: dict[Name, JourneySpec] = Field(min_length=1)
    probes: dict[Name, ProbeSpec] = Field(min_length=1)
    effects: Effects = Field(default_factory=dict)  # what a class of failure does to customers, for all probes
    severity_rules: tuple[SeverityRuleSpec, ...] = ()  # tried before the default table
    calendars: dict[Name, CalendarSpec] = Field(default_factory=dict)
    critical_periods: dict[Name, CriticalPeriodSpec] = Field(default_factory=dict)
    test_windows: dict[Name, TestWindowSpec] = Field(default_factory=dict)
    maintenance: dict[Name, MaintenanceSpec] = Field(default_factory=dict)
    incidents: IncidentSpec = IncidentSpec()
    history: HistorySpec = HistorySpec()
    limits: LimitsSpec = LimitsSpec()
    hooks: dict[Name, HookSpec] = Field(default_factory=dict)
    routes: tuple[RouteSpec, ...] = ()
    escalations: dict[Name, EscalationSpec] = Field(default_factory=dict)
    monitor_alerts: MonitorAlertsSpec = MonitorAlertsSpec()
    heartbeat: HeartbeatSpec | None = None

    @model_validator(mode="after")
    def _one_owner_of_a_host(self) -> Self:
        owners: dict[str, str] = {}
        for name, dependency in self.dependencies.items():
            for place, host in enumerate(dependency.hosts):
                if host in owners:
                    message = f"{host} belongs to {owners[host]} already; a host has one owner"
                    raise problem(message, f"dependencies.{name}.hosts.{place}")
                owners[host] = name
        return self

    @model_validator(mode="after")
    def _transport_can(self) -> Self:
        if self.network.transport == "curl":
            return self
        for name, probe in self.probes.items():
            key = probe.http.needs_curl if probe.http else None
            if key is not None:
                message = f"network.transport: {self.network.transport} cannot do this; use transport: curl"
                raise problem(message, f"probes.{name}.http.{key}")
        return self

    @model_validator(mode="after")
    def _scripts_fit(self) -> Self:
        """With the carrier's transcription a script is longer than its steps, which were checked by themselves."""
        for name, probe in self.probes.items():
            account = self.carriers.get(probe.call.carrier or next(iter(self.carriers), "")) if probe.call else None
            if probe.call is None or account is None or self.transcription is None:
                continue
            trouble = too_long_with_transcription(probe.call, self.transcription, account.twilio.public_url)
            if trouble:
                raise problem(trouble, f"probes.{name}.call.steps")
        return self

    @field_validator("prompts")
    @classmethod
    def _folder(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        folder = (info.context or {}).get("folder", Path()) / value
        if not folder.is_dir():
            raise problem(f"{folder} is not a folder; put the reference recordings there")
        return Path(folder)

    @cached_property
    def hosts(self) -> HostMap:
        """Whose hosts are known."""
        owners = {
            host: Owner(name, dependency.third_party)
            for name, dependency in self.dependencies.items()
            for host in dependency.hosts
        }
        return HostMap(owners)

    @property
    def told_of_impairments(self) -> tuple[str, ...]:
        """The hooks that are told when the monitor is impaired."""
        if self.monitor_alerts.to is not None:
            return self.monitor_alerts.to
        grave = [r.to for r in self.routes if not r.match.severity or Severity.SEV1 in r.match.severity]
        return tuple(dict.fromkeys(hook for hooks in grave for hook in hooks)) if self.routes else tuple(self.hooks)

    def environment_of(self, probe: ProbeSpec) -> str:
        """A probe's own environment, else its journey's, else the configuration's."""
        return probe.environment or self.journeys[probe.journey].environment or self.environment
