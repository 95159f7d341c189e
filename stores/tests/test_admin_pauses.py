"""Pausing all provisioning from the admin, by those who were given the right."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from stores import services
from stores.audit import AuditEvent
from stores.errors import IllegalTransition
from stores.models import Pause, User
from stores.services import pause_provisioning
from stores.tests.people import enrol

LIST, ADD = "admin:stores_pause_changelist", "admin:stores_pause_add"


def delete_url() -> str:
    return reverse("admin:stores_pause_delete", args=[1])


@pytest.fixture
def at_carol(client, carol):
    client.force_login(carol)
    return client


def test_adding_one_pauses_and_deleting_it_resumes(at_carol, carol):
    at_carol.post(reverse(ADD), {"reason": "  We move\nthe cluster. "})
    assert (pause := Pause.current()) and pause.reason == "We move the cluster."
    assert pause.actor_name == "carol"
    at_carol.post(delete_url(), {"post": "yes"})
    assert Pause.current() is None
    events = AuditEvent.objects.order_by("id").values_list("action", "via", "actor_name")
    assert list(events) == [
        ("platform.pause", "admin", carol.pseudonym), ("platform.resume", "admin", carol.pseudonym),
    ]  # fmt: skip


def test_a_pause_needs_a_reason(at_carol):
    page = at_carol.post(reverse(ADD), {"reason": " "}).content.decode()
    assert Pause.current() is None and "required" in page


def test_there_is_one_at_most_and_it_cannot_be_edited(at_carol, as_carol):
    pause_provisioning("We move the cluster.", actor=as_carol)
    assert at_carol.get(reverse(ADD)).status_code == 403
    page = at_carol.get(reverse("admin:stores_pause_change", args=[1]))
    assert "We move the cluster." in page.content.decode()
    assert 'name="reason"' not in page.content.decode()


def test_resuming_all_chosen_in_the_list_resumes_once(at_carol, as_carol):
    pause_provisioning("We move the cluster.", actor=as_carol)
    chosen = {"action": "delete_selected", "_selected_action": "1", "post": "yes"}
    at_carol.post(reverse(LIST), chosen)
    assert Pause.current() is None
    assert AuditEvent.objects.filter(action="platform.resume").count() == 1


@pytest.mark.parametrize("chosen", [None, {"action": "delete_selected", "_selected_action": "1"}])
def test_when_somebody_was_faster_in_resuming_that_is_said(at_carol, as_carol, monkeypatch, chosen):
    pause_provisioning("We move the cluster.", actor=as_carol)

    def too_late(*, actor):
        raise IllegalTransition("Provisioning is not paused.")

    monkeypatch.setattr(services, "resume_provisioning", too_late)
    url = reverse(LIST) if chosen else delete_url()
    page = at_carol.post(url, {"post": "yes", **(chosen or {})}, follow=True)
    assert page.status_code == 200
    assert [str(said) for said in page.context["messages"]] == ["Provisioning is not paused."]
    assert not LogEntry.objects.exists()


def test_the_support_group_may_not_pause_unless_it_is_given_the_right(client, as_carol):
    dave = User.objects.create_user("dave", is_staff=True)
    enrol(dave)
    dave.groups.add(Group.objects.get(name="Support"))
    client.force_login(dave)
    assert client.get(reverse(LIST)).status_code == 403
    assert client.post(reverse(ADD), {"reason": "x"}).status_code == 403
    dave.user_permissions.add(Permission.objects.get(codename="add_pause"))
    client.post(reverse(ADD), {"reason": "We move."})
    assert Pause.current()
    assert client.post(delete_url(), {"post": "yes"}).status_code == 403
    assert Pause.current()
