"""maintenance and silences that people set."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "quiet_periods",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False, comment="maintenance, silence"),
        sa.Column("set_at", sa.Float(), nullable=False),
        sa.Column(
            "ended_at", sa.Float(), nullable=True, comment="when it was over, or ended by a person; null until then"
        ),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quiet_periods_by_end", "quiet_periods", ["ended_at"])


def downgrade() -> None:
    op.drop_table("quiet_periods")
