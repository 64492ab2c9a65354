"""The version of the database: the newest where there is none yet, migrated where it is an older one."""

from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)

from earwitness.store.tables import metadata

_MIGRATIONS = Path(__file__).parent / "migrations"
# Where Alembic keeps the revision, just as it makes it itself.
_alembic = MetaData()
_version = Table(
    "alembic_version",
    _alembic,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


class MigrationError(Exception):
    """The database is of no version that could be brought to the newest."""


def bring_up_to_date(engine: Engine) -> None:
    """Bring the database to the newest version; whoever calls sees to it that nobody else does. Raises MigrationError.

    A new one is made in one transaction. Alembic is loaded where an older one is migrated, and only there: it would
    take a tenth of the daemon's memory to say that there is nothing to do.
    """
    with engine.begin() as connection:
        tables = inspect(connection).get_table_names()
        if not tables:
            _make(connection)
        elif _version.name in tables and connection.scalars(select(_version.c.version_num)).all() == [newest()]:
            return
    if tables:
        migrate(engine)


def newest() -> str:
    """Return the newest revision, as the names of the migrations begin with theirs."""
    return max(file.name for file in (_MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _make(connection: Connection) -> None:
    metadata.create_all(connection)
    _alembic.create_all(connection)
    connection.execute(insert(_version).values(version_num=newest()))


def migrate(engine: Engine) -> None:
    """Run the migrations that are missing. Raises MigrationError."""
    from alembic import command  # noqa: PLC0415  See bring_up_to_date.
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", engine.url.render_as_string(hide_password=False).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise MigrationError(str(error)) from error
