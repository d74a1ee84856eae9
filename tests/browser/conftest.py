"""These tests need a Chromium or Chrome.

``make test-browser`` runs them, and fails without one. On a machine that has none this folder has no tests.
"""

from tests.browser.chromium import found

collect_ignore_glob = [] if found() else ["test_*.py"]
