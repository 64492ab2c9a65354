"""the first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("delivery", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_delivery"), ["delivery"], unique=False)

    op.create_table(
        "calls",
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False, comment="reserved, intended, dialled, settled"),
        sa.Column("to", sa.String(length=20), nullable=True),
        sa.Column("from", sa.String(length=20), nullable=True),
        sa.Column("sid", sa.String(length=40), nullable=True),
        sa.Column("reserved_at", sa.Float(), nullable=False),
        sa.Column("intended_at", sa.Float(), nullable=True),
        sa.Column("day", sa.String(length=10), nullable=False, comment="UTC day the money counts for"),
        sa.Column(
            "micros", sa.BigInteger(), nullable=False, comment="millionths of the currency: reserved, then settled"
        ),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.PrimaryKeyConstraint("run"),
    )
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.create_index("calls_by_day", ["day", "currency"], unique=False)
        batch_op.create_index("calls_by_state", ["state"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False, comment="idempotency key, the same on every attempt"),
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False, comment="the transition told"),
        sa.Column("at", sa.Float(), nullable=False, comment="when the transition happened"),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("hook", sa.String(length=63), nullable=False),
        sa.Column(
            "state", sa.String(length=12), nullable=False, comment="pending, leased, delivered, refused, expired"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("lease", sa.String(length=40), nullable=True, comment="fencing token of the holder"),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True, comment="rendered at the first attempt, then frozen"),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("delivered_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index("deliveries_by_state", ["state", "next_at"], unique=False)
        batch_op.create_index("deliveries_by_thread", ["incident", "hook", "seq"], unique=False)

    op.create_table(
        "evidence",
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("run", "sha256", "kind"),
    )
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.create_index("evidence_by_content", ["sha256"], unique=False)

    op.create_table(
        "held",
        sa.Column("run", sa.String(length=40), nullable=False, comment="a run that an incident rests on"),
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("run", "incident"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("resolved_at", sa.Float(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index("incidents_by_status", ["status"], unique=False)
        batch_op.create_index("incidents_by_time", ["opened_at"], unique=False)

    op.create_table(
        "observations",
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("probe", sa.String(length=63), nullable=False),
        sa.Column("journey", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run"),
    )
    with op.batch_alter_table("observations", schema=None) as batch_op:
        batch_op.create_index("observations_by_probe", ["probe", "ended_at"], unique=False)
        batch_op.create_index("observations_by_time", ["ended_at"], unique=False)

    op.create_table(
        "probe_states",
        sa.Column("probe", sa.String(length=63), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("probe"),
    )
    op.create_table(
        "requests",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("probe", sa.String(length=63), nullable=False),
        sa.Column("why", sa.String(length=12), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=True),
        sa.Column("not_after", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False, comment="pending, taken, expired"),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index("requests_by_state", ["state"], unique=False)

    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("probe", sa.String(length=63), nullable=False),
        sa.Column(
            "slot",
            sa.BigInteger(),
            nullable=True,
            comment="nominal start in ms since the epoch; null for requested runs",
        ),
        sa.Column("request", sa.String(length=200), nullable=True, comment="the key of the request that asked for it"),
        sa.Column("why", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False, comment="running, done, skipped, missed"),
        sa.Column("reason", sa.String(length=40), nullable=True, comment="why it was skipped or missed"),
        sa.Column("slots", sa.Integer(), nullable=False, comment="how many slots a missed row stands for"),
        sa.Column("scheduled_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("lateness", sa.Float(), nullable=True, comment="seconds between the slot and the start"),
        sa.Column("document", sa.Text(), nullable=False, comment="the Run"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("probe", "slot"),
        sa.UniqueConstraint("request"),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("runs_by_state", ["state"], unique=False)
