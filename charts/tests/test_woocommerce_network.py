"""What the WooCommerce chart's network policies open, on top of a namespace that allows only DNS."""

import ipaddress
from typing import Any

import pytest
from chart_kit import GATEWAY, MAIL, Chart, Document, one, pod_templates

ADDRESSES = {"internet": "198.51.100.7", "internet6": "2606:4700::1", "pod": "10.42.0.9"}
INSIDE = (
    "10.42.0.9 172.20.1.1 192.168.1.1 100.64.0.1 169.254.169.254 127.0.0.1 "
    "fd00:ec2::254 fe80::1 64:ff9b::a9fe:a9fe"
).split()


class Network:
    """Asks the rendered policies as a network plugin would; denied unless one of them allows."""

    def __init__(self, documents: list[Document]) -> None:
        self.policies = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]
        self.labels = {
            template["metadata"]["labels"]["app.kubernetes.io/component"]: template["metadata"][
                "labels"
            ]
            for _, template in pod_templates(documents)
        }

    def out(self, component: str, to: str, port: int) -> bool:
        return self.allows("egress", component, to, port)

    def into(self, component: str, source: str, port: int) -> bool:
        return self.allows("ingress", component, source, port)

    def allows(self, way: str, component: str, other: str, port: int) -> bool:
        peers = "to" if way == "egress" else "from"
        return any(
            any(self.is_peer(peer, other) for peer in rule[peers])
            and any(p["port"] == port and p["protocol"] == "TCP" for p in rule["ports"])
            for policy in self.policies
            if way.capitalize() in policy["policyTypes"]
            and selects(policy["podSelector"], self.labels[component])
            for rule in policy[way]
        )

    def is_peer(self, peer: Document, other: str) -> bool:
        if "ipBlock" in peer:
            address = None if other in self.labels else ADDRESSES.get(other, other)
            return address is not None and inside(peer["ipBlock"], ipaddress.ip_address(address))
        if "namespaceSelector" in peer:
            namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            return other == "controller" and namespace == "kube-system"
        return other in self.labels and selects(peer["podSelector"], self.labels[other])


def inside(block: Document, address: Any) -> bool:
    def within(cidr: str) -> bool:
        network = ipaddress.ip_network(cidr)
        return network.version == address.version and address in network

    return within(block["cidr"]) and not any(within(cidr) for cidr in block.get("except", []))


def selects(selector: Document, labels: Document) -> bool:
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(
        labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", [])
    )


@pytest.fixture(scope="module")
def network(chart: Chart) -> Network:
    return Network(chart.render())


def test_the_controller_reaches_the_web_pod_on_its_port_and_nothing_else(network: Network) -> None:
    assert network.into("web", "controller", 8080)
    assert not network.into("web", "controller", 80)
    assert not network.into("db", "controller", 3306)
    assert not network.into("web", "cron", 8080)


@pytest.mark.parametrize("component", ["web", "setup", "cron"])
def test_the_applications_reach_the_database_in_both_directions(
    network: Network, component: str
) -> None:
    assert network.out(component, "db", 3306)
    assert network.into("db", component, 3306)


@pytest.mark.parametrize("component", ["web", "setup", "cron"])
def test_the_applications_reach_the_internet_by_https_only(
    network: Network, component: str
) -> None:
    assert network.out(component, "internet", 443) and network.out(component, "internet6", 443)
    assert not network.out(component, "internet", 80)
    assert not network.out(component, "internet", 587)


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_reached(network: Network, address: str) -> None:
    assert not network.out("web", address, 443)


def test_the_database_reaches_nothing(network: Network) -> None:
    assert not any(
        network.out("db", to, port) for to in ("internet", "web") for port in (443, 3306, 80)
    )


def test_the_clusters_own_ranges_are_closed_too(chart: Chart) -> None:
    closed = {"networkPolicy": {"egressExcept": ["198.51.100.0/24", "2606:4700::/32"]}}
    network = Network(chart.render(closed))
    assert not network.out("web", "internet", 443) and not network.out("web", "internet6", 443)
    assert network.out("web", "203.0.113.9", 443)


def test_mail_opens_the_relays_port(chart: Chart) -> None:
    network = Network(chart.render(MAIL))
    assert network.out("web", "internet", 587)
    assert not network.out("web", "pod", 587)
    inside_relay = Network(chart.render(MAIL, {"mail": {"cidrs": ["10.42.0.9/32"]}}))
    assert inside_relay.out("cron", "pod", 587) and not inside_relay.out("cron", "pod", 443)


def test_a_shop_that_is_not_exposed_is_reached_by_nobody(chart: Chart) -> None:
    assert not Network(chart.render({"exposure": {"type": "none"}})).into("web", "controller", 8080)
    assert Network(chart.render(GATEWAY)).into("web", "controller", 8080)


def test_exceptions_lie_inside_the_block_they_are_cut_from(chart: Chart) -> None:
    documents = chart.render(
        {"networkPolicy": {"egressExcept": ["203.0.113.0/24", "2001:db8::/32"]}}
    )
    egress = one(documents, "NetworkPolicy", "store-egress")["spec"]["egress"]
    for block in (peer["ipBlock"] for rule in egress for peer in rule["to"] if "ipBlock" in peer):
        whole = ipaddress.ip_network(block["cidr"])
        assert all(ipaddress.ip_network(cidr).subnet_of(whole) for cidr in block["except"])
