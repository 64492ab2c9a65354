"""who takes over from a hook that refuses, and what is told together."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owed_since", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("leased_at", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("urgent", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("held", sa.String(length=8), nullable=True))
        batch_op.add_column(sa.Column("failover", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("digest", sa.String(length=40), nullable=True))
        batch_op.create_index("deliveries_by_hook", ["hook", "state", "urgent", "seq"])
        batch_op.create_index("deliveries_by_pace", ["hook", "leased_at"])
        batch_op.create_index("deliveries_by_digest", ["digest"])
    op.execute("UPDATE deliveries SET owed_since = at")
    op.create_table(
        "digests",
        sa.Column("id", sa.String(length=40), primary_key=True),
        sa.Column("hook", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("digests")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        for index in ("deliveries_by_digest", "deliveries_by_pace", "deliveries_by_hook"):
            batch_op.drop_index(index)
        for column in ("digest", "failover", "held", "urgent", "leased_at", "owed_since"):
            batch_op.drop_column(column)
