"""Many stores at once: the platform and a plain shell script, each on a fresh control plane."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Max

from bench.children import Child
from bench.errors import BenchError
from bench.ground import Ground
from bench.portal import OWNERS, Portal, passes
from devcluster import DevCluster
from devcluster.build import binaries
from provisioning import manifests
from provisioning.engines import CHARTS, ENGINES
from stores.models import Store, User

SCRIPT = Path(__file__).parent / "script.sh"
# A pass or two, and what the controllers still do, is part of the price.
SETTLE_SECONDS = 1.0
COUNTED = (
    "rolebindings,resourcequotas,limitranges,networkpolicies,secrets,configmaps,services,"
    "serviceaccounts,deployments,statefulsets,jobs,cronjobs,persistentvolumeclaims,ingresses"
)
# What a plain script leaves at its defaults and the platform does not.
TUNED = {"KUBECTL_FLAGS": "--validate=false", "HELM_FLAGS": "--disable-openapi-validation"}
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Figures:
    """Of one contestant. CPU in seconds of all stores together; `objects`: how many of each kind.

    `client` is everything that is not the cluster, `helm` the part of it that Helm took.
    """

    seconds: float
    client: float
    server: dict[str, float]
    helm_runs: int
    objects: Counter[str]
    helm: float | None = None
    passes: int | None = None

    @property
    def controllers(self) -> float:
        return sum(self.server[name] for name in CONTROLLERS)

    @property
    def cpu(self) -> float:
        return self.client + sum(self.server.values())


def storeyard(ground: Ground, portal: Portal, cluster: DevCluster) -> Figures:
    """The portal has been started and is idle."""
    portal.wait_idle()
    time.sleep(SETTLE_SECONDS)
    server, client, helm_runs = cluster.cpu_seconds(), portal.cpu(), ground.helm_runs()
    begun, own = time.time(), time.process_time()
    ids = portal.create(ground.options.stores)
    asking = time.process_time() - own
    portal.wait_ready(ids)
    portal.wait_idle()
    time.sleep(SETTLE_SECONDS)
    used = portal.cpu().since(client)
    last = Store.objects.filter(pk__in=ids).aggregate(last=Max("status_since"))["last"]
    return Figures(
        seconds=last.timestamp() - begun,
        client=used.total + asking,
        server=since(cluster, server),
        helm_runs=ground.helm_runs() - helm_runs,
        objects=objects(
            cluster, Store.objects.filter(pk__in=ids).values_list("namespace", flat=True)
        ),
        # The workers' only children.
        helm=used.ended,
        passes=passes(ids),
    )


def script(ground: Ground, cluster: DevCluster, name: str, flags: dict[str, str]) -> Figures:
    """As the administrator: nobody has to be given rights first."""
    run_script(ground, cluster, write_stores(ground, f"{name}-warm", ground.options.workers), flags)
    folder = write_stores(ground, name, ground.options.stores)
    time.sleep(SETTLE_SECONDS)
    server, client, helm_runs = cluster.cpu_seconds(), ended_children(), ground.helm_runs()
    begun = time.time()
    run_script(ground, cluster, folder, flags)
    seconds = time.time() - begun
    time.sleep(SETTLE_SECONDS)
    return Figures(
        seconds=seconds,
        client=ended_children() - client,
        server=since(cluster, server),
        helm_runs=ground.helm_runs() - helm_runs,
        objects=objects(cluster, [path.name for path in folder.iterdir()]),
    )


def run_script(ground: Ground, cluster: DevCluster, folder: Path, flags: dict[str, str]) -> None:
    home = ground.folder / "home"
    environment = {
        **os.environ,
        **flags,
        "PATH": f"{ground.helm.parent}:{binaries()}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        # Caches of the run, kept between its calls as a person's would be.
        "HOME": str(home),
    }
    command = [str(SCRIPT), str(folder), str(ground.options.workers), str(CHARTS / "woocommerce")]
    child = Child.start(command, folder.with_suffix(".log"), environment)
    try:
        code = child.process.wait(ground.options.seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"The script took longer than {ground.options.seconds:.0f} s.") from None
    finally:
        if child.process.returncode is None:
            child.kill_all()
    if code != 0:
        raise BenchError(f"The script failed: {child.log.read_text()[-500:]}")


def write_stores(ground: Ground, name: str, count: int) -> Path:
    """A folder for each store with what the portal would apply, and its values."""
    parent = ground.folder / name
    for number in range(count):
        store = imagined_store(f"{name}-{number}", number % OWNERS)
        folder = parent / store.namespace
        folder.mkdir(parents=True)
        content = {"apiVersion": "v1", "kind": "List", "items": base_objects(store)}
        (folder / "objects.json").write_text(json.dumps(content))
        (folder / "values.json").write_text(json.dumps(ENGINES[store.engine].values(store)))
    return parent


def imagined_store(address: str, owner: int) -> Store:
    """In no database."""
    user = User(username=f"bench-{owner}", email=f"bench-{owner}@example.com")
    store = Store(pk=uuid.uuid4(), owner=user, name=f"Bench shop {address}", address=address)
    store.namespace = f"store-{address}"
    return store


def base_objects(store: Store) -> list[manifests.Manifest]:
    secrets = ENGINES[store.engine].secrets(store)
    return [
        manifests.namespace(store),
        *manifests.guardrails(store, settings.CLUSTER_SERVICE_ACCOUNT),
        *(manifests.secret(store, name, content()) for name, content in secrets.items()),
    ]


def ended_children() -> float:
    """CPU seconds of everything this process started and that has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def since(cluster: DevCluster, before: dict[str, float]) -> dict[str, float]:
    return {name: used - before[name] for name, used in cluster.cpu_seconds().items()}


def objects(cluster: DevCluster, namespaces: Iterable[str]) -> Counter[str]:
    """What is there, by kind; without what a clock started meanwhile."""
    columns = "K:.kind,N:.metadata.namespace,O:.metadata.ownerReferences[0].kind"
    listed = cluster.kubectl(
        "get", COUNTED, "-A", "--no-headers", "-o", f"custom-columns={columns}"
    )
    wanted = set(namespaces)
    rows = (line.split() for line in listed.splitlines())
    return Counter(kind for kind, space, by in rows if space in wanted and by != "CronJob")
