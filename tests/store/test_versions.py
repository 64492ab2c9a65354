"""The version of the database: made, found to be the newest, migrated, or told to be of no use."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

import earwitness.store
from earwitness.data_dir import UnusableStoreError, open_store
from earwitness.store.store import Store
from earwitness.store.tables import metadata
from earwitness.store.versions import migrate, newest

_MIGRATIONS = Path(earwitness.store.__file__).parent / "migrations"
_OPEN_BUT_NO_ALEMBIC = (
    "import sys; from pathlib import Path; from earwitness.data_dir import open_store\n"
    "open_store(Path(sys.argv[1])).close(); print({'alembic', 'sqlalchemy.orm'} & set(sys.modules))"
)
_DIE_WHILE_MIGRATING = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from earwitness.data_dir import open_store

left = int(sys.argv[2])

@event.listens_for(Engine, "after_cursor_execute")
def count(_connection, _cursor, statement, *_more):
    global left
    left -= statement.split()[0] in ("CREATE", "ALTER", "UPDATE")
    if left == 0:
        os._exit(9)

open_store(Path(sys.argv[1]))
"""


@contextlib.contextmanager
def engine_of(path):
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def layout(path):
    """What is in the database: {table: its columns, keys and indexes}, whatever their order."""
    with engine_of(path) as engine:
        looked_at = inspect(engine)
        return {
            table: {
                "columns": {column["name"]: str(column) for column in looked_at.get_columns(table)},
                "primary key": looked_at.get_pk_constraint(table),
                "unique": sorted(map(str, looked_at.get_unique_constraints(table))),
                "indexes": sorted(map(str, looked_at.get_indexes(table))),
            }
            for table in looked_at.get_table_names()
        }


def alembics_configuration(path):
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    return config


def revision(path):
    with engine_of(path) as engine, engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def test_the_newest_revision_is_alembics_head():
    assert newest() == ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def test_a_new_database_is_as_the_migrations_make_it(tmp_path):
    Store.open(tmp_path / "made.db").close()
    with engine_of(tmp_path / "migrated.db") as engine:
        migrate(engine)
    assert layout(tmp_path / "made.db") == layout(tmp_path / "migrated.db")
    assert revision(tmp_path / "made.db") == revision(tmp_path / "migrated.db") == newest()


def test_the_migrations_make_exactly_the_tables(tmp_path):
    with engine_of(tmp_path / "migrated.db") as engine:
        migrate(engine)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_older_database_is_migrated_and_keeps_what_is_in_it(tmp_path):
    path = tmp_path / "100% old.db"
    command.upgrade(alembics_configuration(str(path).replace("%", "%%")), "0001")
    with contextlib.closing(sqlite3.connect(path)) as old, old:
        old.execute("INSERT INTO held VALUES ('run-1', 'inc-1')")
    Store.open(path).close()
    assert revision(path) == newest()
    with contextlib.closing(sqlite3.connect(path)) as now:
        assert now.execute("SELECT run, incident FROM held").fetchall() == [("run-1", "inc-1")]


@pytest.mark.parametrize("statements", [1, 2, 12, 25])
def test_a_crash_while_an_older_database_is_migrated_leaves_it_as_it_was(tmp_path, statements):
    path = tmp_path / "earwitness.db"
    command.upgrade(alembics_configuration(path), "0001")
    before = layout(path)
    died = subprocess.run([sys.executable, "-c", _DIE_WHILE_MIGRATING, str(path), str(statements)], check=False)
    assert died.returncode == 9
    assert (layout(path), revision(path)) == (before, "0001")
    open_store(path).close()
    assert revision(path) == newest()


def test_alembic_is_loaded_only_to_migrate(tmp_path):
    opening = [sys.executable, "-c", _OPEN_BUT_NO_ALEMBIC, str(tmp_path / "earwitness.db")]
    for _new_then_known in range(2):
        done = subprocess.run(opening, capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"


def test_a_database_of_a_version_to_come_is_told(tmp_path):
    Store.open(tmp_path / "earwitness.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "earwitness.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnusableStoreError, match=r"earwitness\.db cannot be opened: .*'9999'.*; restore a backup"):
        open_store(tmp_path / "earwitness.db")


def test_what_is_no_database_is_told(tmp_path):
    (tmp_path / "earwitness.db").write_text("a shopping list, not a database\n" * 100)
    with pytest.raises(UnusableStoreError, match=r"earwitness\.db cannot be opened: file is not a database"):
        open_store(tmp_path / "earwitness.db")


def test_many_commands_may_open_a_new_data_directory_at_once(tmp_path):
    opening = (
        "import sys; from pathlib import Path; from earwitness.store.store import Store\n"
        "print(flush=True); sys.stdin.read(); Store.open(Path(sys.argv[1])).close()"
    )
    program = [sys.executable, "-c", opening, str(tmp_path / "new" / "earwitness.db")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen(program, **pipes)) for _ in range(4)]
        for process in started:
            process.stdout.readline()  # it is ready to open
        for process in started:
            process.stdin.close()
        assert [(process.stdout.read(), process.wait()) for process in started] == [("", 0)] * 4
