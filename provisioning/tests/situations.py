# ruff: noqa: E501
"""What a cluster shows in each situation, as raw objects: a line for each, however long."""

from __future__ import annotations

from typing import Any

Evidence = dict[str, Any]
NOW, YOUNG, OLD = "2026-03-01T12:00:00Z", "2026-03-01T11:59:55Z", "2026-03-01T11:50:00Z"
WEB, POD = "store-web", "store-web-5d8f7c9b9d-x2x4q"


def evidence(**parts: Any) -> Evidence:
    empty = ("workloads", "pods", "jobs", "claims", "events")
    return {"now": NOW, "namespace": namespace(), **{key: [] for key in empty}, **parts}


def named(kind: str, name: str, *, created: str = OLD, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": created, **parts.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, **parts}


def namespace(**parts: Any) -> dict[str, Any]:
    return named("Namespace", "store-anna-1a2b3c", **parts)


def going(*conditions: dict[str, Any], since: str = OLD) -> dict[str, Any]:
    return namespace(metadata={"deletionTimestamp": since}, status={"conditions": list(conditions)})


def true(kind: str, message: str = "", reason: str = "Because") -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def owned(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": name, "controller": True}]}


def deployment(**status: Any) -> dict[str, Any]:
    seen = {"observedGeneration": 1, **status}
    return named("Deployment", WEB, metadata={"generation": 1}, spec={"replicas": 1}, status=seen)


def refused(message: str) -> Evidence:
    failure = true("ReplicaFailure", message, "FailedCreate")
    return evidence(workloads=[deployment(conditions=[failure])])


def pod(status: dict[str, Any], *, created: str = OLD, **parts: Any) -> dict[str, Any]:
    spec = {
        "nodeName": "node-1",
        "containers": [
            {"name": "web", "image": "wordpress:7", "resources": {"limits": {"memory": "1Gi"}}}
        ],
    }
    metadata = parts.pop("metadata", {})
    return named(
        "Pod", POD, created=created, metadata=metadata, spec={**spec, **parts}, status=status
    )


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "web", "image": "wordpress:7", "ready": False, "state": state, **more}


def waiting(reason: str, message: str = "", **more: Any) -> Evidence:
    status = container({"waiting": {"reason": reason, "message": message}}, **more)
    return evidence(pods=[pod({"containerStatuses": [status]})])


def ended(exit_code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "reason": reason}}


def running(since: str = OLD) -> dict[str, Any]:
    return pod({"containerStatuses": [container({"running": {"startedAt": since}})]})


def unplaced(message: str) -> Evidence:
    refused = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return evidence(pods=[pod({"conditions": [refused]}, nodeName="")])


def event(kind: str, name: str, reason: str, message: str, **more: Any) -> dict[str, Any]:
    about = {"kind": kind, "name": name}
    return {
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": about,
        **more,
    }


def claim(**parts: Any) -> dict[str, Any]:
    spec = {"storageClassName": "fast", **parts.pop("spec", {})}
    return named("PersistentVolumeClaim", "data", spec=spec, status={"phase": "Pending"}, **parts)


def storage_class(name: str = "fast", mode: str = "Immediate") -> dict[str, Any]:
    return named("StorageClass", name, provisioner="disks.example.com", volumeBindingMode=mode)


def job(*conditions: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    status = {"startTime": OLD, "failed": 1, "conditions": list(conditions)}
    return named("Job", "store-setup-1", metadata=metadata, status=status)


def silent_shop(reason: str) -> Evidence:
    params = {"url": "https://anna.shops.example.com", "reason": reason}
    return evidence(waiting={"code": "storefront-silent", "params": params})


INIT = pod({"initContainerStatuses": [container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended(1))]})  # fmt: skip
BLOCKED = 'pods "store-web-1" is forbidden: '
NODE = named("Node", "node-1", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})
OVER = "exceeded quota: store-quota, requested: requests.cpu=1, used: requests.cpu=2, limited: requests.cpu=2"  # fmt: skip
# A situation: (rule that speaks first, what the cluster shows, class, move, action, words said).
CASES: dict[str, tuple[str, Evidence, str, str, str, str]] = {
    "an add-on that is down": ("addon-down", evidence(namespace=going(true("NamespaceDeletionDiscoveryFailure", "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: stale GroupVersion discovery"), since=YOUNG)), "cluster", "platform", "", "metrics.k8s.io/v1beta1"),
    "a finalizer": ("namespace-held", evidence(namespace=going(true("NamespaceContentRemaining", "Some resources are remaining: configmaps. has 2 resource instances"), true("NamespaceFinalizersRemaining", "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances"))), "cluster", "platform", "contact", "2 configmaps held by example.com/hold"),
    "content that stays": ("namespace-stuck", evidence(namespace=going(true("NamespaceContentRemaining", "Some resources are remaining: pods. has 1 resource instances"))), "cluster", "platform", "contact", "1 pods"),
    "a removal nobody is at": ("controllers-silent", evidence(namespace=going()), "cluster", "platform", "", "not your store"),
    "a quota": ("quota-exceeded", refused(BLOCKED + OVER), "user", "support", "contact", "quota requests.cpu: 2 of 2 used, 1 more needed"),
    "a quota on what Helm makes": ("quota-exceeded", evidence(said='secrets "sh.helm.release.v1.store.v9" is forbidden: exceeded quota: store-quota, requested: count/secrets=1, used: count/secrets=20, limited: count/secrets=20'), "user", "support", "contact", "count/secrets: 20 of 20"),
    "a limit without default": ("limit-unnamed", refused(BLOCKED + "failed quota: store-quota: must specify limits.cpu for: web"), "portal", "platform", "repair", "limits.cpu"),
    "a container too large": ("limit-exceeded", refused(BLOCKED + "maximum memory usage per Container is 2Gi, but limit is 64Gi"), "user", "support", "contact", "64Gi"),
    "a disk too large": ("limit-exceeded", evidence(said='persistentvolumeclaims "data" is forbidden: maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 20Gi'), "user", "support", "contact", "disk space"),
    "Pod Security": ("pod-security-refuses", refused(BLOCKED + 'violates PodSecurity "restricted:v1.34": allowPrivilegeEscalation != false'), "chart", "support", "contact", "allowPrivilegeEscalation"),
    "a namespace not prepared": ("namespace-not-prepared", refused(BLOCKED + 'error looking up service account store-anna-1a2b3c/default: serviceaccount "default" not found'), "cluster", "nobody", "", "nothing to do"),
    "an account forgotten": ("account-missing", refused(BLOCKED + 'error looking up service account store-anna-1a2b3c/shop: serviceaccount "shop" not found'), "chart", "support", "repair", "shop"),
    "a check that says no": ("webhook-denies", refused('admission webhook "check.example.com" denied the request: closed on Sundays'), "chart", "platform", "contact", "closed on Sundays"),
    "a check that is silent": ("webhook-silent", refused('Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: Post "https://10.0.0.1/": context deadline exceeded'), "cluster", "platform", "", "check.example.com"),
    "another policy": ("pods-refused", refused("ValidatingAdmissionPolicy 'no' denied request: not here"), "chart", "support", "contact", "not here"),
    "no storage class": ("storage-class-missing", evidence(claims=[claim()], storageclasses=[]), "cluster", "platform", "", "data"),
    "no storage class, by events": ("storage-class-missing", evidence(claims=[claim()], events=[event("PersistentVolumeClaim", "data", "FailedBinding", "no persistent volumes available for this claim and no storage class is set", type="Normal")]), "cluster", "platform", "", "data"),
    "a disk refused": ("volume-refused", evidence(claims=[claim()], storageclasses=[storage_class()], events=[event("PersistentVolumeClaim", "data", "ProvisioningFailed", "the disks are used up")]), "workload", "platform", "retry", "the disks are used up"),
    "a disk that nobody makes": ("volume-slow", evidence(claims=[claim()], storageclasses=[storage_class()]), "cluster", "platform", "", "data"),
    "no room": ("unschedulable", unplaced("0/3 nodes are available: 3 Insufficient memory."), "cluster", "platform", "contact", "no room for"),
    "no machine": ("no-matching-node", unplaced("0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: db}."), "cluster", "platform", "contact", "may or can run"),
    "a lost machine": ("node-lost", evidence(pods=[pod({})], nodes=[NODE]), "cluster", "platform", "", "node-1"),
    "an image that is not there": ("image-missing", waiting("ErrImagePull", "wordpress:7: not found"), "workload", "support", "retry", "wordpress:7"),
    "an image that does not come": ("image-unavailable", waiting("ImagePullBackOff", "Back-off pulling image: i/o timeout"), "workload", "nobody", "retry", "wordpress:7"),
    "an image of a first container": ("image-unavailable", evidence(pods=[pod({"initContainerStatuses": [container({"waiting": {"reason": "ErrImagePull"}})]})]), "workload", "nobody", "retry", "wordpress:7"),
    "a missing Secret": ("container-refused", waiting("CreateContainerConfigError", 'secret "store-db" not found'), "chart", "support", "repair", "store-db"),
    "too little memory": ("out-of-memory", waiting("CrashLoopBackOff", lastState=ended(137, "OOMKilled")), "workload", "support", "contact", "1Gi"),
    "a crash loop": ("crash-loop", waiting("CrashLoopBackOff", lastState=ended(3), restartCount=2), "workload", "owner", "retry", "exit code 3"),
    "a crash loop without memory of it": ("crash-loop", waiting("CrashLoopBackOff"), "workload", "owner", "retry", "exit code unknown"),
    "a preparation that fails": ("init-failed", evidence(pods=[INIT]), "workload", "owner", "retry", "exit code 1"),
    "a setup that failed": ("setup-failed", evidence(jobs=[job(true("Failed", "Job has reached the specified backoff limit", "BackoffLimitExceeded"))]), "workload", "owner", "retry", "backoff limit"),
    "a setup that took too long": ("setup-late", evidence(jobs=[job(true("Failed", "Job was active longer than specified deadline", "DeadlineExceeded"))]), "workload", "owner", "retry", "longer than it may"),
    "a probe that fails": ("probe-fails", evidence(pods=[running()], events=[event("Pod", POD, "Unhealthy", "HTTP probe failed with statuscode: 503")]), "workload", "nobody", "retry", "503"),
    "a probe whose events have expired": ("probe-fails", evidence(pods=[running()]), "workload", "nobody", "retry", "says nothing"),
    "no scheduler": ("scheduler-silent", evidence(pods=[pod({}, nodeName="")]), "cluster", "platform", "", "not your store"),
    "no scheduler, by its lease": ("scheduler-silent", evidence(pods=[pod({}, created=YOUNG, nodeName="")], leases=[named("Lease", "kube-scheduler", spec={"renewTime": OLD, "leaseDurationSeconds": 15})]), "cluster", "platform", "", "not your store"),
    "no controllers": ("controllers-silent", evidence(workloads=[named("Deployment", WEB, metadata={"generation": 1}, status={})]), "cluster", "platform", "", "not your store"),
    "no controllers after a change": ("controllers-silent", evidence(workloads=[named("Deployment", WEB, metadata={"generation": 2, "managedFields": [{"time": OLD}]}, status={"observedGeneration": 1})]), "cluster", "platform", "", "not your store"),
    "no controllers for a quota": ("controllers-silent", evidence(quotas=[named("ResourceQuota", "store-quota", spec={"hard": {"pods": "1"}})]), "cluster", "platform", "", "not your store"),
    "no controllers, by their lease": ("controllers-silent", evidence(leases=[named("Lease", "kube-controller-manager", spec={"renewTime": OLD, "leaseDurationSeconds": 15})]), "cluster", "platform", "", "not your store"),
    "an unknown address": ("address-unresolved", silent_shop("[Errno -2] Name or service not known"), "cluster", "platform", "", "anna.shops.example.com"),
    "no certificate": ("certificate-missing", silent_shop("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"), "cluster", "platform", "", "anna.shops.example.com"),
    "somebody else's object": ("foreign-object", evidence(said='Unable to continue with install: Service "store-web" in namespace "store-anna-1a2b3c" exists and cannot be imported into the current release: invalid ownership metadata; label validation error'), "chart", "support", "contact", "Service store-web"),
    "an immutable field": ("needs-migration", evidence(said='StatefulSet.apps "store-db" is invalid: spec: Forbidden: updates to statefulset spec for fields other than replicas are forbidden'), "chart", "support", "contact", "StatefulSet store-db"),
    "a dead Helm": ("release-locked", evidence(said="UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"), "portal", "nobody", "", "by itself"),
    "a dead Helm, by its record": ("release-locked", evidence(now="2026-03-01T13:00:00Z", releases=[{"name": "store", "version": "1", "status": "pending-install", "modifiedAt": "1772366400"}]), "portal", "nobody", "", "by itself"),
    "no rights": ("rights-revoked", evidence(said='secrets is forbidden: User "system:serviceaccount:portal-system:portal-worker" cannot list resource "secrets"'), "portal", "platform", "", "rights"),
    "a busy API": ("cluster-busy", evidence(said="GET /api/v1/pods: HTTP 429: too many requests"), "cluster", "nobody", "", "too much to do"),
    "an API that is away": ("cluster-unavailable", {"said": "Helm: Kubernetes cluster unreachable: dial tcp 10.0.0.1:6443: connect: connection refused"}, "cluster", "platform", "", "by itself"),
}  # fmt: skip
READY = {"conditions": [true("Ready")]}
CRON = {"ownerReferences": [{"kind": "CronJob", "name": "store-cron", "controller": True}]}
CRASHED = {"containerStatuses": [container({"waiting": {"reason": "CrashLoopBackOff"}})]}
NO_CAUSE = {
    "nothing": evidence(),
    "nothing could be asked": {},
    "verbs that failed": dict.fromkeys(evidence()),
    "an old refusal of what is up": evidence(
        workloads=[named("StatefulSet", "store-db", metadata={"generation": 1}, status={"observedGeneration": 1, "replicas": 1})],
        events=[event("StatefulSet", "store-db", "FailedCreate", OVER)],
    ),
    "a container that was restarted and is ready": evidence(
        pods=[pod({**READY, "containerStatuses": [container({"running": {"startedAt": OLD}}, ready=True, restartCount=9, lastState=ended(1))]})],
    ),
    "a first container that is done": evidence(
        pods=[pod({"initContainerStatuses": [container(ended(0, "Completed"), lastState=ended(1))], "containerStatuses": [container({"waiting": {"reason": "PodInitializing"}})]})],
    ),
    "a pod of a CronJob": evidence(
        jobs=[named("Job", "store-cron-1", metadata=CRON, status={"startTime": OLD})],
        pods=[pod(CRASHED, metadata=owned("Job", "store-cron-1"))],
    ),
    "a CronJob's Job that failed": evidence(jobs=[job(true("Failed", "no"), **CRON)]),
    "a first try of a Job that is complete": evidence(
        jobs=[job(true("Complete"))], pods=[pod(CRASHED, metadata=owned("Job", "store-setup-1"))]
    ),
    "a pod that has ended": evidence(pods=[pod({**CRASHED, "phase": "Failed"})]),
    "a pod on its way out": evidence(pods=[pod(CRASHED, metadata={"deletionTimestamp": NOW})]),
    "a pod of an older rollout": evidence(
        pods=[pod(CRASHED, metadata=owned("ReplicaSet", "store-web-1"))],
        replicasets=[
            named("ReplicaSet", f"store-web-{number}", spec={"replicas": 0}, status={"observedGeneration": 1}, metadata={"annotations": {"deployment.kubernetes.io/revision": str(number)}, **owned("Deployment", WEB)})
            for number in (2, 1)
        ],
    ),
    "a disk that waits for its first pod": evidence(
        claims=[claim()], storageclasses=[storage_class(mode="WaitForFirstConsumer")]
    ),
    "a disk that was just asked for": evidence(
        claims=[claim(created=YOUNG)], storageclasses=[storage_class()]
    ),
    "a disk that is there already": evidence(
        claims=[claim(created=YOUNG, spec={"storageClassName": "", "volumeName": "pv-1"})], storageclasses=[]
    ),
    "a pod whose disk is not there yet": unplaced("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    "a shop that has just started": evidence(pods=[running(YOUNG)], events=[event("Pod", POD, "Unhealthy", "503")]),
    "controllers that have had no time": evidence(
        workloads=[named("Deployment", WEB, created=YOUNG, metadata={"generation": 1}, status={})],
        pods=[pod({}, created=YOUNG, nodeName="")],
        quotas=[named("ResourceQuota", "store-quota", created=YOUNG)],
    ),
    "components at work": evidence(
        leases=[named("Lease", name, spec={"renewTime": YOUNG, "leaseDurationSeconds": 15}) for name in ("kube-scheduler", "kube-controller-manager")]
    ),
    "a release under way": evidence(releases=[{"name": "store", "version": "1", "status": "pending-install", "modifiedAt": "1772366390"}]),
    "a lock of long ago": evidence(now="2026-03-01T13:00:00Z", releases=[{"version": "1", "status": "pending-install", "modifiedAt": "1772366400"}, {"version": "2", "status": "deployed", "modifiedAt": "1772366400"}]),
    "rights that were just given": evidence(namespace=namespace(created=YOUNG), said='User "portal" cannot list resource "secrets"'),
    "a removal under way": evidence(namespace=going(true("NamespaceFinalizersRemaining", "kubernetes.io/pvc-protection in 2 resource instances"), since=YOUNG)),
    "what is left where all goes": {**evidence(pods=[pod(CRASHED)]), "namespace": going(since=YOUNG)},
    "a shop that answers wrongly": silent_shop("HTTP 503"),
}  # fmt: skip
