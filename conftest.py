"""The named people, and what every test may ask for."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.utils import translation

from provisioning.cluster import get_cluster
from stores.actor import Actor
from stores.models import User
from stores.tests.people import PASSWORD, enrol

pytest_plugins = [
    "portal.tests.counting",
    "portal.tests.browser_fixtures",
    "provisioning.tests.cluster_fixtures",
]


@pytest.fixture(autouse=True)
def fast_and_separate(settings, tmp_path) -> None:
    """Cheap password hashes, and a simulated cluster for each test, whatever is set outside."""
    # A page in another language leaves it behind.
    translation.activate("en")
    # A test that empties the database gives content types other numbers.
    ContentType.objects.clear_cache()
    # A page shows what the test has just changed.
    settings.SHARED_SECONDS = 0
    settings.CLUSTER = "simulated"
    get_cluster.cache_clear()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Whoever failed to log in in one test has not in the next.
    memory = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {
        name: {"BACKEND": memory, "LOCATION": f"{tmp_path} {name}"} for name in settings.CACHES
    }
    # Tests of the grace period give themselves one.
    settings.GRACE_SECONDS = 0
    # Nobody answers what a page asks the cluster, unless a test sees to it.
    settings.LOGS_WAIT_SECONDS = 0
    settings.REVEAL_WAIT_SECONDS = 0
    settings.SIMULATED_CLUSTER_FILE = tmp_path / "cluster.sqlite3"


@pytest.fixture
def alice(db) -> User:
    """An owner with room for three stores."""
    return User.objects.create_user("alice", "alice@example.com", PASSWORD, max_stores=3)


@pytest.fixture
def bob(db) -> User:
    """Another owner: a stranger to alice's stores."""
    return User.objects.create_user("bob", "bob@example.com", PASSWORD, max_stores=3)


@pytest.fixture
def carol(db) -> User:
    """A member of the support team."""
    carol = User.objects.create_superuser("carol", "carol@example.com", PASSWORD, max_stores=0)
    enrol(carol)
    return carol


@pytest.fixture
def dora(db) -> User:
    """The second person of a team: alice shares stores with her, or hands them over."""
    return User.objects.create_user("dora", "dora@example.com", PASSWORD, max_stores=2)


@pytest.fixture
def as_alice(alice: User) -> Actor:
    return Actor(alice, "test")


@pytest.fixture
def as_carol(carol: User) -> Actor:
    return Actor(carol, "test")
