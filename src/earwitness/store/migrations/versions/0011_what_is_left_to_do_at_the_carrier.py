"""what is left to do at the carrier when a run is over."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "errands",
        sa.Column("kind", sa.String(length=20), nullable=False, comment="delete_recordings, read_price"),
        sa.Column("call_sid", sa.String(length=40), nullable=False),
        sa.Column("carrier", sa.String(length=63), nullable=False),
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("recording_sid", sa.String(length=40), nullable=True, comment="null where none was found yet"),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "call_sid"),
    )
    op.create_index("errands_by_due", "errands", ["due"])


def downgrade() -> None:
    op.drop_table("errands")
