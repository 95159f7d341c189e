"""Each rule on what a cluster shows; no rule where it shows nothing."""

import pytest

from provisioning import diagnosis


def evidence(**parts) -> dict:
    return {"workloads": [], "pods": [], "jobs": [], "claims": [], "events": [], **parts}


def pod(status: dict) -> dict:
    return {"kind": "Pod", "metadata": {"name": "store-web-1"}, "status": status}


def waiting(reason: str, **more) -> dict:
    return pod(
        {
            "containerStatuses": [
                {"image": "wordpress:7", "state": {"waiting": {"reason": reason}}, **more}
            ]
        }
    )


DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"name": "store-web"},
    "status": {
        "conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
        ]
    },
}
STATEFUL_SET = {"kind": "StatefulSet", "metadata": {"name": "store-db"}, "status": {}}
CLAIM = {"metadata": {"name": "data"}, "status": {"phase": "Pending"}}
CASES = [
    (evidence(workloads=[DEPLOYMENT]), "pods-refused", "exceeded quota: pods"),
    (
        evidence(
            workloads=[STATEFUL_SET],
            events=[
                {
                    "reason": "FailedCreate",
                    "involvedObject": {"kind": "StatefulSet", "name": "store-db"},
                    "message": "violates PodSecurity",
                }
            ],
        ),
        "pods-refused",
        "violates PodSecurity",
    ),
    (evidence(pods=[waiting("ImagePullBackOff")]), "image-unavailable", "wordpress:7"),
    (
        evidence(
            pods=[
                pod(
                    {
                        "conditions": [
                            {
                                "type": "PodScheduled",
                                "status": "False",
                                "message": "Insufficient memory",
                            }
                        ]
                    }
                )
            ]
        ),
        "unschedulable",
        "Insufficient memory",
    ),
    (
        evidence(
            claims=[CLAIM],
            events=[
                {
                    "reason": "FailedBinding",
                    "involvedObject": {"kind": "PersistentVolumeClaim", "name": "data"},
                    "message": "the disks are used up",
                }
            ],
        ),
        "volume-refused",
        "the disks are used up",
    ),
    (
        evidence(
            pods=[
                waiting(
                    "CrashLoopBackOff",
                    lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                )
            ]
        ),
        "out-of-memory",
        "more memory",
    ),
]


@pytest.mark.parametrize(
    ("shown", "code", "says"), CASES, ids=[f"{c[1]}-{i}" for i, c in enumerate(CASES)]
)
def test_what_the_cluster_shows_becomes_a_cause_in_words(shown, code, says):
    found = diagnosis.diagnose(shown)
    assert found.cause.code == code
    assert says in str(found.cause)


def test_a_cluster_that_shows_nothing_gives_no_cause():
    assert diagnosis.diagnose(evidence()) is None


def test_an_old_event_about_something_that_is_up_by_now_is_no_cause():
    up = {**STATEFUL_SET, "status": {"replicas": 1, "readyReplicas": 1}}
    event = {
        "reason": "FailedCreate",
        "involvedObject": {"kind": "StatefulSet", "name": "store-db"},
        "message": "exceeded quota",
    }
    assert diagnosis.diagnose(evidence(workloads=[up], events=[event])) is None
