"""A rank: ``python -P .../leyden/spawn/__main__.py FOLDER``.

Run by its path, and before anything of Leyden's is imported, because where that is, like everything
else that can be imported, is told by the starter.
"""

import pickle
import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.path[:], sys.argv[:] = pickle.loads((folder / "header").read_bytes())  # written by the starter just now
    from leyden.spawn.rank import work

    sys.exit(work(folder))
