"""Write kwok's configuration: how pods on the fake nodes live, and how they fail.

Which situation a pod is in is decided, first match wins, by
1. its annotation `devcluster.storeyard.dev/situation`,
2. a container image whose name has `situation-<name>` in it,
3. the cluster's rules (`DevCluster.situation`), the newest first,
and is otherwise `running`: Ready, and Complete if a Job owns it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devcluster.situations import SITUATIONS, Situation

PREFIX = "devcluster.storeyard.dev"
# One that is missing is 0: kwok then ends, or forgets the pods it finds at its start.
OPTIONS = {
    "podPlayStageParallelism": 32,
    "nodePlayStageParallelism": 8,
    "nodeLeaseParallelism": 4,
    "podsOnNodeSyncParallelism": 4,
}
ALIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
NOT_ENDED = {"key": ".status.phase", "operator": "NotIn", "values": ["Succeeded", "Failed"]}
NOT_READY = {
    "key": '.status.conditions[]? | select(.type == "Ready") | .status',
    "operator": "NotIn",
    "values": ["True"],
}
NOT_READY_SINCE_NOW = """\
conditions:
{{ $now := Now }}
- {type: Initialized, status: "INITIALIZED", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "False", reason: REASON, lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "False", reason: REASON, lastTransitionTime: {{ $now | Quote }}}
"""


@dataclass(frozen=True)
class Rule:
    """Every pod in namespaces that start so, with these labels, is in this situation."""

    situation: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def write_configuration(
    path: Path, shipped: Path, *, ready_after: str, rules: Sequence[Rule]
) -> None:
    """`shipped` is the folder of stages from the kwok module; `ready_after` a Go duration."""
    options = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": OPTIONS,
    }
    delay = _annotation("ready-after") + f" // {json.dumps(ready_after)}"
    state = _state(rules, delay)
    own = [_unhappy(name, situation, state) for name, situation in SITUATIONS.items()]
    documents = [options, *_untouched(shipped), _ready(shipped, state, delay)]
    path.write_text(yaml.safe_dump_all([*documents, _complete(shipped, state), *own]))


def _untouched(shipped: Path) -> list[dict[str, Any]]:
    adapted = {"pod-ready.yaml", "pod-complete.yaml", "storage-class.yaml"}
    files = sorted(path for path in shipped.glob("*.yaml") if path.name not in adapted)
    return [yaml.safe_load(path.read_text()) for path in files]


def _ready(shipped: Path, state: str, delay: str) -> dict[str, Any]:
    stage: dict[str, Any] = yaml.safe_load((shipped / "pod-ready.yaml").read_text())
    # Not only from Pending: a pod whose situation is lifted recovers.
    conditions = [ALIVE, NOT_ENDED, NOT_READY, _is(state, "running")]
    stage["spec"]["selector"]["matchExpressions"] = conditions
    stage["spec"]["delay"] = {"durationFrom": {"expressionFrom": delay}}
    following = stage["spec"]["next"]
    # A recovering pod keeps its address; a second one would be refused.
    first_time = "{{ with and (not .status.podIP) $podIPs }}"
    following["statusTemplate"] = following["statusTemplate"].replace(
        "{{ with $podIPs }}", first_time
    )
    return stage


def _complete(shipped: Path, state: str) -> dict[str, Any]:
    stage: dict[str, Any] = yaml.safe_load((shipped / "pod-complete.yaml").read_text())
    stage["spec"]["selector"]["matchExpressions"].append(_is(state, "running"))
    delay = _annotation("complete-after") + ' // "0s"'
    stage["spec"]["delay"] = {"durationFrom": {"expressionFrom": delay}}
    # The shipped stage leaves the pod of a finished Job Ready; a kubelet does not.
    conditions = _not_ready("PodCompleted")
    stage["spec"]["next"]["statusTemplate"] += conditions
    return stage


def _unhappy(name: str, situation: Situation, state: str) -> dict[str, Any]:
    reached = f"any(.status.containerStatuses[]?; {situation.reached})"
    rest = _for_each("containers", "containerStatuses", situation.container)
    if situation.init:
        reached = (
            f"any(.status.initContainerStatuses[]?; {situation.reached})"
            " or (.spec.initContainers | not)"
        )
        rest += _for_each("initContainers", "initContainerStatuses", situation.init)
    not_yet = {"key": reached, "operator": "NotIn", "values": ["true"]}
    conditions = _not_ready("ContainersNotReady", initialized=not situation.init)
    begun = "startTime: {{ .metadata.creationTimestamp | Quote }}"
    rest = f"phase: {situation.phase}\n{begun}\n{rest}"
    following: dict[str, Any] = {"statusTemplate": conditions + rest}
    if situation.event:
        reason, message = situation.event
        following["event"] = {"type": "Warning", "reason": reason, "message": message}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": f"pod-{name}"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": [ALIVE, NOT_ENDED, _is(state, name), not_yet]},
            "next": following,
        },
    }


def _for_each(of: str, field: str, status: str) -> str:
    return f"{field}:\n{{{{ range .spec.{of} }}}}\n- {status}\n{{{{ end }}}}\n"


def _not_ready(reason: str, *, initialized: bool = True) -> str:
    return NOT_READY_SINCE_NOW.replace("REASON", reason).replace("INITIALIZED", str(initialized))


def _is(state: str, name: str) -> dict[str, Any]:
    return {"key": state, "operator": "In", "values": [name]}


def _state(rules: Sequence[Rule], delay: str) -> str:
    """A jq expression that names the situation of a pod."""
    by_image = 'first(.spec.containers[].image | capture("situation-(?<name>[a-z-]+)").name)'
    sources = [_annotation("situation"), by_image, *map(_by_rule, reversed(rules)), '"running"']
    # A pod that is to wait says ContainerCreating meanwhile, as a kubelet would.
    waits = f'$situation == "running" and ({delay}) != "0s" and .status.containerStatuses == null'
    return (
        f'({" // ".join(sources)}) as $situation | if {waits} then "starting" else $situation end'
    )


def _by_rule(rule: Rule) -> str:
    tests = [f"(.metadata.namespace | startswith({json.dumps(rule.namespace)}))"]
    for key, value in rule.labels.items():
        tests.append(f".metadata.labels[{json.dumps(key)}] == {json.dumps(value)}")
    return f"(if {' and '.join(tests)} then {json.dumps(rule.situation)} else empty end)"


def _annotation(name: str) -> str:
    return f".metadata.annotations[{json.dumps(f'{PREFIX}/{name}')}]"
