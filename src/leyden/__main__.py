"""``python -m leyden`` is the ``leyden`` command."""

import sys

from leyden.cli.main import main

sys.exit(main())
