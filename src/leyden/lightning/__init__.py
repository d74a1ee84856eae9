"""Programs written for Lightning, run on Leyden without changing a line.

    leyden lightning script.py --epochs 3         a script
    leyden lightning -m package.module            a module
    leyden lightning train-forecaster             a command that a package has installed

Inside such a program ``import lightning as L``, ``import pytorch_lightning as pl`` and
``import lightning_fabric`` mean Leyden. In a notebook, say it before the first of them:

    import leyden.lightning

    leyden.lightning.install()

`names` is the table of what stands for what, `aliases` the finder that goes by it, `launch`
the command. The remaining files are the little that Lightning offers and nothing else in
Leyden needs. Nothing in Leyden but the command line imports this package.
"""

from leyden.lightning.aliases import install

__all__ = ["install"]
