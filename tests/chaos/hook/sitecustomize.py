"""Imported by each new interpreter that has this folder on its PYTHONPATH: gets it ready to be killed."""

import assassin

assassin.arm()
