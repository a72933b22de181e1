"""Whether the database's tables are those that this code knows."""

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor


class NotCurrent(Exception):
    """The database is not what this code needs; the sentence says what to do."""


def pending() -> int:
    """Migrations that are yet to be applied."""
    plan = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    return len(plan.migration_plan(plan.loader.graph.leaf_nodes()))


def require_current() -> None:
    """Raises NotCurrent. Tables that a newer version has changed are refused too: what they mean is not known here."""
    try:
        loader = MigrationExecutor(connections[DEFAULT_DB_ALIAS]).loader
        missing = pending()
    except Error as error:
        raise NotCurrent(f"The database does not answer: {' '.join(str(error).split())}") from None
    if missing:
        raise NotCurrent(f"The database is not ready: {missing} migrations are to come. First run: manage.py prepare")
    known, ours = set(loader.disk_migrations), loader.migrated_apps
    newer = sorted(
        f"{app}.{name}" for app, name in loader.applied_migrations if app in ours and (app, name) not in known
    )
    if newer:
        raise NotCurrent(f"A newer version has changed the database ({newer[-1]}): update this one, too.")
