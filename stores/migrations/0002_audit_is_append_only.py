"""A database that refuses to change what is in the audit trail."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION storeyard_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit events cannot be changed or deleted'; END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON stores_auditevent
FOR EACH ROW EXECUTE FUNCTION storeyard_audit_is_append_only();
"""
ALLOW = """
DROP TRIGGER audit_is_append_only ON stores_auditevent;
DROP FUNCTION storeyard_audit_is_append_only();
"""


def refuse_changes(apps, schema_editor):
    # SQLite, the development default, is guarded by the model and by the chain itself.
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(REFUSE, params=None)


def allow_changes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(ALLOW, params=None)


class Migration(migrations.Migration):
    dependencies = [("stores", "0001_users_stores_and_audit")]
    operations = [
        migrations.RunPython(refuse_changes, allow_changes),
    ]
