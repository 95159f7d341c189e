"""The command line: `python -m devcluster up | down | status | build | kubeconfig`."""

import argparse
import sys

from devcluster.build import binaries
from devcluster.detached import Detached, known
from devcluster.errors import DevClusterError


def main() -> int:
    arguments = _arguments()
    try:
        return int(arguments.act(arguments))
    except (DevClusterError, OSError) as error:
        print(f"devcluster: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("devcluster: interrupted", file=sys.stderr)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m devcluster", description="A real Kubernetes control plane on this machine."
    )
    verbs = parser.add_subparsers(required=True, metavar="command")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default="default", help="which cluster (several can run)")
    for name, act, parents, words in (
        ("up", _up, [named], "start it, compiling once; fresh each time; returns when it is ready"),
        ("down", _down, [named], "stop it and forget its data"),
        ("status", _status, [], "which clusters run"),
        ("build", _build, [], "compile the programs, start nothing"),
        ("kubeconfig", _kubeconfig, [named], "print the path of its kubeconfig"),
    ):
        verb = verbs.add_parser(name, help=words, description=words, parents=parents)
        verb.set_defaults(act=act)
        if name == "kubeconfig":
            verb.add_argument("--portal", action="store_true", help="the portal's, not the admin's")
    return parser.parse_args()


def _up(arguments: argparse.Namespace) -> int:
    cluster = Detached(arguments.name)
    started = cluster.up()
    print(f"Cluster {cluster.name} is {'running' if started else 'running already'}.")
    print(f"  administrator  KUBECONFIG={cluster.kubeconfig}")
    print(f"  portal         KUBECONFIG={cluster.portal_kubeconfig}")
    print(f"  kubectl, helm  {binaries()}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    cluster = Detached(arguments.name)
    stopped = cluster.down()
    print(f"Cluster {cluster.name} {'is stopped' if stopped else 'was not running'}.")
    return 0


def _status(_: argparse.Namespace) -> int:
    clusters = known()
    if not clusters:
        print("No cluster is running.")
    for cluster in clusters:
        missing = cluster.missing()
        state = f"not running: {', '.join(missing)}" if missing else "running"
        print(f"{cluster.name}: {state}")
    return 0


def _build(_: argparse.Namespace) -> int:
    print(binaries())
    return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    cluster = Detached(arguments.name)
    if cluster.missing():
        raise DevClusterError(f"Cluster {cluster.name} is not running: start it with `up`.")
    print(cluster.portal_kubeconfig if arguments.portal else cluster.kubeconfig)
    return 0


if __name__ == "__main__":
    sys.exit(main())
