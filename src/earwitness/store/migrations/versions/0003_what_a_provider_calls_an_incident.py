"""what a provider calls an incident."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        comment = "what the provider calls the incident, for the deliveries after this one"
        batch_op.add_column(sa.Column("reference", sa.Text(), nullable=True, comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_column("reference")
