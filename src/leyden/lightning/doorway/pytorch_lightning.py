"""Found in the place of Lightning by processes that a `leyden lightning` has started."""

from leyden.lightning.aliases import enter

enter(__name__)
