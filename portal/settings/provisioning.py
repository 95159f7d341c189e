"""Settings of what makes and keeps stores: the cluster, limits of stores, passes, the queue.

Pages read some of them too: what may be asked for, and how long an answer is waited for.
"""

import os
from typing import Any

from environs import validate

from portal.settings.environment import RUN_DIR, env, required_in_production

# --- The cluster -------------------------------------------------------------------------

required_in_production(
    "STOREYARD_CLUSTER",
    "Set it to 'kubernetes' for a real cluster; 'simulated' makes stores that do not exist.",
)
CLUSTER = env.str(
    "STOREYARD_CLUSTER", "simulated", validate=validate.OneOf(["simulated", "kubernetes"])
)
SIMULATED_CLUSTER_FILE = RUN_DIR / "simulated-cluster.sqlite3"
# Empty: the ServiceAccount of the pod this runs in.
KUBECONFIG = env.str("STOREYARD_KUBECONFIG", "")
# False where nothing listens on a pod's address (fake nodes): the storefront is then not asked.
CLUSTER_ROUTES_TRAFFIC = env.bool("STOREYARD_CLUSTER_ROUTES_TRAFFIC", True)
# The identity that gets the rights inside each store's namespace (charts/portal).
CLUSTER_SERVICE_ACCOUNT = env.str("STOREYARD_SERVICE_ACCOUNT", "portal-system/portal-worker")
HELM = env.str("STOREYARD_HELM", "helm")
HELM_SECONDS = env.int("STOREYARD_HELM_SECONDS", 90)

# --- Stores ------------------------------------------------------------------------------

STORE_DOMAIN = env.str("STORE_DOMAIN", "stores.localhost")
STORE_SCHEME = env.str("STORE_SCHEME", "https", validate=validate.OneOf(["http", "https"]))
STORE_STORAGE_CLASS = env.str("STORE_STORAGE_CLASS", "")
STORE_INGRESS_CLASS = env.str("STORE_INGRESS_CLASS", "")
STORE_EXPOSURE = env.str(
    "STORE_EXPOSURE", "ingress", validate=validate.OneOf(["ingress", "gateway", "none"])
)
# "namespace/name" of the Gateway, for STORE_EXPOSURE=gateway.
STORE_GATEWAY = env.str("STORE_GATEWAY", "")
# Where the ingress controller's pods are, and what of the cluster's own addresses (pods, services,
# nodes) a shop may not reach besides the private ranges.
STORE_INGRESS_NAMESPACE = env.str("STORE_INGRESS_NAMESPACE", "kube-system")
STORE_INGRESS_POD_LABELS = env.dict(
    "STORE_INGRESS_POD_LABELS", {"app.kubernetes.io/name": "traefik"}
)
STORE_EGRESS_EXCEPT: list[str] = env.list("STORE_EGRESS_EXCEPT", [])
# The relay that shops send mail through; without one they send none.
STORE_MAIL_HOST = env.str("STORE_MAIL_HOST", "")
STORE_MAIL_PORT = env.int("STORE_MAIL_PORT", 587)
STORE_MAIL_FROM = env.str("STORE_MAIL_FROM", "")
# Where the relay is, if it has a private address: shops may reach it there.
STORE_MAIL_CIDRS: list[str] = env.list("STORE_MAIL_CIDRS", [])
STORE_MAIL_USER = env.str("STORE_MAIL_USER", "")
STORE_MAIL_PASSWORD = env.str("STORE_MAIL_PASSWORD", "")
MAX_STORES_TOTAL = env.int("MAX_STORES_TOTAL", 500)
# How many stores may be starting at once, whatever the number of workers.
MAX_STORES_STARTING = env.int("MAX_STORES_STARTING", 5)
# Where owners write to; without it the pages name the reference only.
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", "")
ADDRESS_HOLD_DAYS = env.int("ADDRESS_HOLD_DAYS", 30)
PROVISION_SECONDS = env.int("PROVISION_SECONDS", 600)
# How long a store that is to be deleted can be had back. 0: not at all.
GRACE_SECONDS = env.int("GRACE_SECONDS", 600)
# How often one person may do what costs something within an hour, by the audit event that tells of
# it. The team in the admin and commands are not limited (stores/limits.py).
HOURLY_LIMITS = {
    "store.ask_create": env.int("CREATES_PER_HOUR", 20),
    "store.ask_retry": env.int("RETRIES_PER_HOUR", 30),
    "store.ask_refresh": env.int("REFRESHES_PER_HOUR", 30),
    "store.ask_delete": env.int("DELETES_PER_HOUR", 20),
    "store.reveal": env.int("REVEALS_PER_HOUR", 20),
    # With another password than their own.
    "store.reveal_refused": env.int("REVEALS_REFUSED_PER_HOUR", 10),
    # Each is a letter to somebody.
    "store.share": env.int("INVITATIONS_PER_HOUR", 20),
    "store.offer_handover": env.int("HANDOVERS_PER_HOUR", 10),
    "store.ask_consent": env.int("CONSENT_QUESTIONS_PER_HOUR", 60),
}
# So many times at most is it written down within an hour that one person was turned away.
DENIALS_PER_HOUR = env.int("DENIALS_PER_HOUR", 30)

# --- What pages ask the cluster ----------------------------------------------------------------

# How long a page waits for an answer, before it says that there is none.
REVEAL_WAIT_SECONDS = env.float("REVEAL_WAIT_SECONDS", 8)
# How long a revealed password stays on the page.
REVEAL_SHOWN_SECONDS = env.int("REVEAL_SHOWN_SECONDS", 60)
LOGS_WAIT_SECONDS = env.float("LOGS_WAIT_SECONDS", 5)
# Questions and answers that nobody has taken are thrown away after so long.
INQUIRY_SECONDS = env.float("INQUIRY_SECONDS", 60)
# The watcher looks for questions so often: workers may be busy.
INQUIRY_POLL_SECONDS = env.float("INQUIRY_POLL_SECONDS", 0.25)

# --- Passes and the queue ----------------------------------------------------------------
# A pass may run Helm twice (mend, upgrade); twice HELM_SECONDS and its grace < timeout < retry:
# Helm is ended by us and tidily, never by the queue's axe, and
# the queue delivers a task again only when the first delivery is certainly over.

LEASE_SECONDS = env.float("LEASE_SECONDS", 60)
TICK_SECONDS = env.float("TICK_SECONDS", 5)
MAX_ATTEMPTS = env.int("MAX_ATTEMPTS", 8)
# What a store waits for so long is looked into.
DIAGNOSE_SECONDS = env.float("DIAGNOSE_SECONDS", 8)
# A step that fails is tried again after so many seconds, and so often.
RETRY_SECONDS: list[float] = env.list("RETRY_SECONDS", [2, 4, 8], subcast=float)

# --- Looking after stores ----------------------------------------------------------------

# How often everything in the cluster is compared with the rows.
SWEEP_SECONDS = env.float("SWEEP_SECONDS", 60)
# A change of health is told to the history only once it has held so long.
HEALTH_HOLD_SECONDS = env.float("HEALTH_HOLD_SECONDS", 10)
# When neither the watcher nor a sweep has looked for so long, health is unknown.
UNKNOWN_SECONDS = env.float("UNKNOWN_SECONDS", 90)
# Every ready store gets a whole pass, which looks at its Secrets too, within this time.
VERIFY_SECONDS = env.float("VERIFY_SECONDS", 3600)
# When no worker has been heard from for so long, the pages say so.
WORKER_SILENT_SECONDS = env.float("WORKER_SILENT_SECONDS", 90)
# What all pages tell alike is read again after so long: a page is never older than that.
SHARED_SECONDS = env.float("SHARED_SECONDS", 1)
# A worker asks its own queue so often whether it works, and starts it anew if no answer came for
# so long.
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", 10)
HEARTBEAT_LIMIT_SECONDS = env.float("HEARTBEAT_LIMIT_SECONDS", 60)
# How long a pass under way may go on when its worker is to end: two runs of Helm, as above.
WORKER_GRACE_SECONDS = env.float("WORKER_GRACE_SECONDS", 240)

# Given by the supervisor to the processes of one queue: a name, new at every start.
WORKER_GROUP = os.environ.get("STOREYARD_WORKER_GROUP", "")

Q_CLUSTER: dict[str, Any] = {
    "name": "storeyard",
    "orm": "default",
    "broker_class": "stores.queue.Doorbell",
    "workers": env.int("WORKERS", 2),
    "poll": env.float("QUEUE_POLL_SECONDS", 0.05),
    "queue_limit": 1,
    "bulk": 1,
    "timeout": env.int("QUEUE_TIMEOUT", 300),
    "retry": env.int("QUEUE_RETRY", 900),
    # Our own rows count attempts and decide what is tried again.
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": -1,
    # A worker that ends by itself looks like one that was killed (provisioning/worker.py).
    "recycle": 0,
    "label": "Queue",
}
