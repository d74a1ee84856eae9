"""What several journeys need around them."""

import pytest

from tests.journeys.command import ENVIRONMENT


@pytest.fixture(scope="module")
def a_cache_of_its_own(tmp_path_factory):
    """Keep index and answers out of the cache of whoever runs the tests."""
    before = ENVIRONMENT.get("XDG_CACHE_HOME")
    ENVIRONMENT["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del ENVIRONMENT["XDG_CACHE_HOME"]
    else:
        ENVIRONMENT["XDG_CACHE_HOME"] = before
