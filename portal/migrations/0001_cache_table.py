from django.core.management import call_command
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLE = "storeyard_cache"


def make(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Django's own command, so that a new database needs none but migrate."""
    call_command("createcachetable", TABLE, database=editor.connection.alias, verbosity=0)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute(f"DROP TABLE IF EXISTS {editor.quote_name(TABLE)}")


class Migration(migrations.Migration):
    """Where limits are counted, for all processes together."""

    initial = True
    dependencies = []
    operations = [migrations.RunPython(make, drop)]
