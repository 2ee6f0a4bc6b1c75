"""How the tables came to be: one numbered script a step, inside the package so that it ships.

`upgrade` runs what is missing in one transaction, alone on the database; the server refuses to
start on one that is behind (`pending`).
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from central.database import StorageFault


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def pending(connection: Connection) -> list[str]:
    """Steps that this database has not taken yet, oldest first. Raises StorageFault if it is newer.

    An empty database has all steps before it.
    """
    script = ScriptDirectory.from_config(_config())
    steps = [step.revision for step in script.walk_revisions()][::-1]
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return steps
    if current not in steps:
        raise StorageFault(f"the database is of a newer version ({current}) than this program")
    return steps[steps.index(current) + 1 :]


def upgrade(connection: Connection) -> list[str]:
    """Take every missing step; returns their names. To be run by `Database.write`, alone."""
    steps = pending(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise StorageFault(f"a migration would break references: {broken[:5]}")
    return steps
