"""what comes back from people: links and callbacks that count once, and the proof that rows are written."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "used_once",
        sa.Column("key", sa.String(length=200), primary_key=True),
        sa.Column("used_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=40), primary_key=True),
        sa.Column("at", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("heartbeats")
    op.drop_table("used_once")
