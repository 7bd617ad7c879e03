"""One running service for every module, fresh and shared by the tests whose faults heal."""

from collections.abc import Iterator

import pytest

from tests.acceptance.running import Running, up


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers, two relays, leases of 3 s."""
    with up(tmp_path_factory.mktemp("service"), "--workers", "2", "--relays", "2") as running:
        yield running
