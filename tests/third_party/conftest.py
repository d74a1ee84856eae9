"""These tests need packages that are built on Lightning, and DeepSpeed.

``make test-third-party`` makes an environment that has them, and runs these tests in it. In any other environment
this folder has no tests.
"""

from importlib.util import find_spec

PACKAGES = ("neuralforecast", "pytorch_forecasting", "chemprop", "deepspeed")

collect_ignore_glob = [] if all(map(find_spec, PACKAGES)) else ["test_*.py"]
