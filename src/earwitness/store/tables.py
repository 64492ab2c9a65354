"""The tables. A change here is a new file in `migrations/versions`."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("probe", String(63), nullable=False),
    Column("slot", BigInteger, comment="nominal start in ms since the epoch; null for requested runs"),
    Column("request", String(200), unique=True, comment="the key of the request that asked for it"),
    Column("why", String(12), nullable=False),
    Column("state", String(12), nullable=False, comment="running, done, skipped, missed"),
    Column("reason", String(40), comment="why it was skipped or missed"),
    Column("slots", Integer, nullable=False, default=1, comment="how many slots a missed row stands for"),
    Column("scheduled_at", Float, nullable=False),
    Column("started_at", Float),
    Column("lateness", Float, comment="seconds between the slot and the start"),
    Column("document", Text, nullable=False, comment="the Run"),
    UniqueConstraint("probe", "slot"),
    Index("runs_by_state", "state"),
)

observations = Table(
    "observations",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("probe", String(63), nullable=False),
    Column("journey", String(63), nullable=False),
    Column("environment", String(63), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("ended_at", Float, nullable=False),
    Column("document", Text, nullable=False),
    Index("observations_by_probe", "probe", "ended_at"),
    Index("observations_by_time", "ended_at"),
)

probe_states = Table(
    "probe_states",
    metadata,
    Column("probe", String(63), primary_key=True),
    Column("document", Text, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("status", String(12), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("resolved_at", Float),
    Column("document", Text, nullable=False),
    Index("incidents_by_status", "status"),
    Index("incidents_by_time", "opened_at"),
)

quiet_periods = Table(
    "quiet_periods",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(12), nullable=False, comment="maintenance, silence"),
    Column("set_at", Float, nullable=False),
    Column("ended_at", Float, comment="when it was over, or ended by a person; null until then"),
    Column("document", Text, nullable=False),
    Index("quiet_periods_by_end", "ended_at"),
)

held = Table(
    "held",
    metadata,
    Column("run", String(40), primary_key=True, comment="a run that an incident rests on"),
    Column("incident", String(40), primary_key=True),
)

requests = Table(
    "requests",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("probe", String(63), nullable=False),
    Column("why", String(12), nullable=False),
    Column("incident", String(40)),
    Column("not_after", Float, nullable=False),
    Column("state", String(12), nullable=False, comment="pending, taken, expired"),
    Index("requests_by_state", "state"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("key", String(200), nullable=False, unique=True, comment="idempotency key, the same on every attempt"),
    Column("incident", String(40), nullable=False),
    Column("kind", String(12), nullable=False, comment="the transition told"),
    Column("at", Float, nullable=False, comment="when the transition happened"),
    Column("text", Text, nullable=False),
    Column("hook", String(63), nullable=False),
    Column(
        "state",
        String(12),
        nullable=False,
        comment="pending, leased, delivered, refused, expired, skipped, digested, dropped",
    ),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False),
    Column("owed_since", Float, nullable=False, server_default="0", comment="from when it was to be told"),
    Column("leased_at", Float, comment="when the newest attempt began"),
    Column("urgent", Integer, nullable=False, server_default="0", comment="1: goes first, is never held or summarised"),
    Column("held", String(8), comment="why it waits: group, quiet, storm"),
    Column("failover", Text, nullable=False, server_default="", comment="hooks that take over, with spaces between"),
    Column("digest", String(40), comment="the digest that tells it"),
    Column("lease", String(40), comment="fencing token of the holder"),
    Column("lease_until", Float),
    Column("body", LargeBinary, comment="rendered at the first attempt, then frozen"),
    Column("reason", String(40)),
    Column("delivered_at", Float),
    Column("reference", Text, comment="what the provider calls the incident, for the deliveries after this one"),
    Index("deliveries_by_state", "state", "next_at"),
    Index("deliveries_by_thread", "incident", "hook", "seq"),
    Index("deliveries_by_hook", "hook", "state", "urgent", "seq"),
    Index("deliveries_by_pace", "hook", "leased_at"),
    Index("deliveries_by_digest", "digest"),
)

digests = Table(
    "digests",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("hook", String(63), nullable=False),
    Column("at", Float, nullable=False),
    Column("closed_at", Float, comment="when the last of its incidents was over"),
)

impairment_notices = Table(
    "impairment_notices",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float, comment="when nothing was impaired any more"),
    Column("document", Text, nullable=False, comment="the stand-in Incident that hooks are told of"),
    Index("impairment_notices_by_end", "closed_at"),
)

evidence_links = Table(
    "evidence_links",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("incident", String(40), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("taken_back_at", Float),
    Index("evidence_links_by_incident", "incident"),
)

used_once = Table(
    "used_once",
    metadata,
    Column("key", String(200), primary_key=True, comment="of a link or a callback that counts once"),
    Column("used_at", Float, nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("at", Float, nullable=False, comment="when the store last proved that it writes"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("delivery", Integer, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("detail", Text, nullable=False, default=""),
)

evidence = Table(
    "evidence",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("media_type", String(100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("name", String(200), nullable=False),
    Index("evidence_by_content", "sha256"),
)

calls = Table(
    "calls",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("state", String(12), nullable=False, comment="reserved, intended, dialled, settled"),
    Column("to", String(20)),
    Column("from", String(20)),
    Column("sid", String(40)),
    Column("reserved_at", Float, nullable=False),
    Column("intended_at", Float),
    Column("day", String(10), nullable=False, comment="UTC day the money counts for"),
    Column("micros", BigInteger, nullable=False, comment="millionths of the currency: reserved, then settled"),
    Column("currency", String(3), nullable=False),
    Column("journey", String(63), comment="whose budget it counts for too"),
    Column("script", Text, comment="its steps and their waits, masked"),
    Index("calls_by_day", "day", "currency"),
    Index("calls_by_state", "state"),
)

errands = Table(
    "errands",
    metadata,
    Column("kind", String(20), primary_key=True, comment="delete_recordings, read_price"),
    Column("call_sid", String(40), primary_key=True),
    Column("carrier", String(63), nullable=False),
    Column("run", String(40), nullable=False),
    Column("recording_sid", String(40), comment="null where none was found yet"),
    Column("reason", String(40), nullable=False),
    Column("since", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Index("errands_by_due", "due"),
)
