"""One profile for all properties: 100 examples, the same each time; ``LEYDEN_EXAMPLES=1000`` tries others, and more."""

from __future__ import annotations

import os
import tempfile

from hypothesis import HealthCheck, configuration, settings

# What Hypothesis keeps between two runs does not belong into the tree.
configuration.set_hypothesis_home_dir(tempfile.mkdtemp(prefix="leyden-hypothesis-"))

settings.register_profile(
    "leyden",
    max_examples=int(os.environ.get("LEYDEN_EXAMPLES", "100")),
    derandomize="LEYDEN_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
settings.load_profile("leyden")
