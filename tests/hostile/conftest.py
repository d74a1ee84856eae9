"""One arena for all hostile directories: it imports torch, and trains the run that they are made from, once."""

from __future__ import annotations

import pytest

from tests.hostile.arena import Arena


@pytest.fixture(scope="session")
def arena(tmp_path_factory):
    made = Arena(tmp_path_factory.mktemp("arena"))
    yield made
    made.close()
