"""notices that the monitor is impaired, and the links by which evidence was shared."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "impairment_notices",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True, comment="when nothing was impaired any more"),
        sa.Column("document", sa.Text(), nullable=False, comment="the stand-in Incident that hooks are told of"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("impairment_notices_by_end", "impairment_notices", ["closed_at"])
    op.create_table(
        "evidence_links",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("taken_back_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("evidence_links_by_incident", "evidence_links", ["incident"])


def downgrade() -> None:
    op.drop_table("evidence_links")
    op.drop_table("impairment_notices")
