"""One page about a run, or about several side by side, that needs nothing but a browser.

run directories ─► gathering ─► curves ─► charts (inline SVG) ─┐
                   (nothing is  settings: config, manifest     ├─► page
                   trusted)     proof: fingerprint, verdict   ─┘

gathering   what a directory tells; what is missing or broken is said, not raised
series      the numbers of metrics.csv, thinned out to what a screen can show
axes        where ticks go, and what stands beside them
chart       one figure: the lines on a linear and a logarithmic scale
curves      which numbers share a figure
speed       steps a second, from the moments in the log
overview    how the runs stand, what they came to, why one failed
settings    config and manifest, differences first
proof       what was reproduced, and the fingerprints
markup      the only place where text becomes HTML
page        all of it in one file
"""

from __future__ import annotations

from leyden.runs.report.gathering import gather
from leyden.runs.report.page import page

__all__ = ["gather", "page"]
