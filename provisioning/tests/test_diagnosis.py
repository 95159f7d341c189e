"""Each rule on what a cluster shows; no rule where it shows nothing, and no wrong one before it.

That a cluster really shows this in that situation is what test_real_diagnosis*.py are for.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning import diagnosis
from provisioning.diagnosis import RULES, diagnose
from provisioning.diagnosis.keeping import MOST_BYTES
from provisioning.tests.situations import (
    CASES,
    CRASHED,
    INIT,
    NO_CAUSE,
    NOW,
    OLD,
    POD,
    WEB,
    YOUNG,
    ended,
    event,
    evidence,
    job,
    named,
    refused,
    running,
    true,
    waiting,
)
from stores.messages import SENTENCES, Message

# Rules that speak of whatever the more special ones before them have left: why the table has an order.
REFUSED = (
    "quota-exceeded", "limit-unnamed", "limit-exceeded", "pod-security-refuses", "account-missing",
    "namespace-not-prepared", "webhook-denies",
)  # fmt: skip
MORE_GENERAL = {
    **dict.fromkeys(REFUSED, {"pods-refused"}),
    "storage-class-missing": {"volume-refused", "volume-slow"},
    "volume-refused": {"volume-slow"},
    "out-of-memory": {"crash-loop"},
}
AT_ONCE = {
    "Pod Security", "an image that is not there", "a setup that failed", "a setup that took too long",
    "somebody else's object", "an immutable field",
}  # fmt: skip


@pytest.mark.parametrize("situation", CASES)
def test_what_the_cluster_shows_becomes_a_cause_in_words(situation: str) -> None:
    code, shown, kind, move, action, words = CASES[situation]
    found = diagnose(shown)
    assert found is not None
    assert found.cause.code == code
    assert (found.kind, found.move, found.action) == (kind, move, action)
    assert found.at_once == (situation in AT_ONCE)
    assert words in str(found.cause)
    assert 0 < len(found.lines) <= 8


@pytest.mark.parametrize("situation", CASES)
def test_no_other_rule_speaks_of_it(situation: str) -> None:
    code, shown, *_ = CASES[situation]
    first, *others = [found.cause.code for rule in RULES if (found := rule(shown))]
    assert first == code
    assert set(others) <= MORE_GENERAL.get(code, set())


def test_every_rule_has_a_situation_and_every_sentence_names_what_to_do() -> None:
    spoken = {rule for rule in RULES for _, shown, *_ in CASES.values() if rule(shown)}
    assert spoken == set(RULES)
    for code, shown, *_ in CASES.values():
        text = str(diagnose(shown).cause)  # type: ignore[union-attr]
        assert any(words in text for words in ("by itself", "sk support", "etry", "upport can")), (
            code
        )


@pytest.mark.parametrize("situation", CASES)
def test_two_troubles_are_told_in_the_order_of_the_table(situation: str) -> None:
    """With a cluster that does not answer well either: that is never the first thing to say."""
    code, shown, *_ = CASES[situation]
    if shown.get("said"):
        return
    found = diagnose({**shown, "said": "GET /: HTTP 503: service unavailable"})
    assert found is not None
    assert found.cause.code == code


@pytest.mark.parametrize("situation", NO_CAUSE)
def test_it_is_no_cause(situation: str) -> None:
    assert diagnose(NO_CAUSE[situation]) is None


def test_a_database_that_crashes_is_the_cause_and_not_the_shop_that_waits_for_it() -> None:
    database = named("Pod", "store-db-0", spec={}, status=CRASHED)
    found = diagnose(evidence(pods=[INIT, database]))
    assert found is not None
    assert found.cause.params["name"] == "store-db-0"


def test_an_image_of_the_database_comes_before_the_setup_that_failed_for_it() -> None:
    failed = job(true("Failed", "no", "BackoffLimitExceeded"))
    found = diagnose({**waiting("ImagePullBackOff"), "jobs": [failed]})
    assert found is not None
    assert found.cause.code == "image-unavailable"


def test_waiting_is_in_vain_after_some_restarts() -> None:
    for restarts, at_once in ((1, False), (4, False), (5, True)):
        found = diagnose(waiting("CrashLoopBackOff", restartCount=restarts))
        assert found is not None
        assert found.at_once is at_once


# --- What it rests on ------------------------------------------------------------------------


@pytest.mark.parametrize("situation", ["no room", "no machine"])
def test_what_the_scheduler_says_is_evidence_and_no_headline(situation: str) -> None:
    found = diagnose(CASES[situation][1])
    assert found is not None
    assert "nodes are available" in found.lines[0]
    assert "nodes are available" not in str(found.cause)
    assert found.cause.headline.endswith(" at the moment.")


def test_the_lines_are_redacted_cut_and_few() -> None:
    shown = waiting("CrashLoopBackOff", "x" * 1000, lastState=ended(1))
    log = "\n".join(f"line {number}: DB_PASSWORD=hunter{number} \x1b[31m" for number in range(50))
    shown["logs"] = {f"{POD}/web": log}
    shown["events"] = [
        event("Pod", POD, "BackOff", f"mysql://anna:hunter2@db/ {n}") for n in range(9)
    ]
    found = diagnose(shown)
    assert found is not None
    assert len(found.lines) <= 8
    assert all(len(line) <= 300 for line in found.lines)
    text = "\n".join(found.lines)
    assert "hunter" not in text
    assert "\x1b" not in text
    assert "line 49" in text


def test_what_the_cluster_said_is_redacted_in_the_sentence_too() -> None:
    found = diagnose(refused("denied: password=hunter2 " + "y" * 1000))
    assert found is not None
    assert "hunter2" not in str(found.cause)
    assert len(found.cause.params["reason"]) <= 400


def test_the_same_trouble_asked_again_is_the_same_diagnosis() -> None:
    """Or the page would be told of news that are none, every few seconds."""
    for code, shown, *_ in CASES.values():
        if "now" in shown:
            later = {**shown, "now": "2026-03-01T14:00:07Z"}
            assert diagnose(later) == diagnose(shown), code


def test_a_diagnosis_is_kept_as_json_and_read_again() -> None:
    for _, shown, *_ in CASES.values():
        found = diagnose(shown)
        assert found is not None
        assert diagnosis.Diagnosis.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_unknown_says_so_and_shows_the_raw_facts() -> None:
    waits = Message("workload-starting", {"name": WEB, "ready": 0, "wanted": 1})
    shown = evidence(pods=[running(YOUNG)], waiting=waits.as_json(), said="password=hunter2")
    assert diagnose(shown) is None
    found = diagnosis.unknown(shown)
    assert (found.kind, found.move, found.action) == ("unknown", "support", "contact")
    assert "does not say why" in str(found.cause)
    assert str(waits) in str(found.cause)
    text = "\n".join(found.lines)
    assert POD in text
    assert "hunter2" not in text
    assert diagnosis.unknown({}).cause.code in SENTENCES


# --- What is kept ----------------------------------------------------------------------------


def test_what_is_kept_tells_pods_quota_events_and_last_words() -> None:
    shown = waiting("CrashLoopBackOff", lastState=ended(3), restartCount=2)
    hard = {"pods": "12", "requests.cpu": "2"}
    shown |= {
        "quotas": [
            named("ResourceQuota", "store-quota", status={"hard": hard, "used": {"pods": "3"}})
        ],
        "events": [event("Pod", POD, "BackOff", "Back-off", count=12, lastTimestamp=OLD)],
        "logs": {f"{POD}/web": "first\nlast words, token=hunter2"},
        "said": "it said no",
    }
    kept = diagnosis.kept(shown)
    assert kept["at"] == NOW
    assert kept["said"] == ["it said no"]
    assert "CrashLoopBackOff" in kept["pods"][0]
    assert "exit code 3" in kept["pods"][0]
    assert "pods: 3 of 12 used" in kept["quota"]
    assert kept["events"] == [
        f"600 s before: Event BackOff of Pod {POD} at 11:50:00, 12 times: Back-off"
    ]
    assert kept["logs"] == {f"{POD}/web": "first\nlast words, token=[redacted]"}


@settings(deadline=None)
@given(st.text(), st.integers(min_value=0, max_value=300))
def test_what_is_kept_is_never_large(text: str, times: int) -> None:
    many = [event("Pod", POD, "Failed", text * 50) for _ in range(times)]
    logs = {f"pod-{number}/web": text * 5000 for number in range(20)}
    kept = diagnosis.kept(evidence(events=many, logs=logs, said=text * 5000))
    assert len(json.dumps(kept)) <= MOST_BYTES


def test_nothing_is_kept_of_nothing() -> None:
    kept = diagnosis.kept({})
    assert not any(kept.values())


def test_a_lease_that_nobody_renews_says_nothing_where_all_pods_have_a_machine() -> None:
    """It may be one that somebody has left behind: another scheduler does the work."""
    left = named("Lease", "kube-scheduler", spec={"renewTime": OLD, "leaseDurationSeconds": 15})
    assert diagnose(evidence(leases=[left], pods=[running(YOUNG)])) is None
