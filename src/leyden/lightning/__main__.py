"""``python -m leyden.lightning script.py`` is ``leyden lightning script.py``."""

import sys

from leyden.lightning.launch import main

sys.exit(main(sys.argv[1:]))
