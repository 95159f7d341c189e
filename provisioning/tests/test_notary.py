"""The clock looks at the audit trail, and leaves an anchor where the logs go."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from provisioning import notary, tasks
from stores import audit
from stores.models import AuditEvent, AuditHead, Heartbeat
from stores.tests.test_audit import tamper, three_events

pytestmark = pytest.mark.django_db


def later(hours: float) -> None:
    Heartbeat.objects.filter(name__startswith="audit-").update(at=F("at") - timedelta(hours=hours))


def anchors(caplog) -> list[str]:
    return [line for line in caplog.messages if line.startswith("Audit anchor")]


def test_an_anchor_is_logged_once_a_day_whichever_clock_comes_first(caplog):
    caplog.set_level("INFO")
    three_events()
    assert notary.look_when_due() and notary.look_when_due() is None
    head = AuditHead.objects.get().hash
    assert anchors(caplog) == [audit.anchor(audit.last_verified())] and head in anchors(caplog)[0]
    later(1)
    assert notary.look_when_due(), "each hour a short look"
    assert len(anchors(caplog)) == 1
    later(24)
    notary.look_when_due()
    assert len(anchors(caplog)) == 2


def test_the_clock_finds_a_break_and_says_so_in_the_log(caplog):
    ids = three_events()
    tamper("UPDATE stores_auditevent SET via = 'x' WHERE id = %s", ids[0])
    tasks.reconcile()
    assert f"the audit trail is broken: Audit event {ids[0]}" in caplog.text
    assert audit.last_verified().broken


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("verify_audit", *args, stdout=out)
    return out.getvalue()


def test_the_command_writes_down_what_it_found_and_prints_an_anchor():
    three_events()
    assert "is whole: 3 events" in run()
    assert audit.last_verified().count == 3
    assert AuditHead.objects.get().hash in run("--anchor")


def test_who_computes_the_whole_chain_anew_is_found_out_by_an_anchor_kept_elsewhere():
    three_events()
    anchor = AuditHead.objects.get().hash
    three_events()
    assert "is whole" in run("--holds", anchor)
    rewrite("test.1", "test.forged")
    assert "is whole" in run(), "the chain alone cannot tell"
    with pytest.raises(CommandError, match="computed anew"):
        run("--holds", anchor)


def rewrite(action: str, instead: str) -> None:
    """As somebody would with all rights, all the knowledge, and no access to the logs."""
    previous = audit.GENESIS
    for event in AuditEvent.objects.order_by("id"):
        if event.action == action:
            event.action = instead
        event.previous_hash = previous
        previous = event.digest()
        tamper(
            "UPDATE stores_auditevent SET action = %s, previous_hash = %s, hash = %s WHERE id = %s",
            event.action, event.previous_hash, previous, event.pk,
        )  # fmt: skip
    tamper("UPDATE stores_audithead SET hash = %s", previous)
