"""The table of a module's layers, drawn by rich."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from leyden.callbacks.model_summary import HEADER, ModelSummary, layer_rows, total_rows

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer


class RichModelSummary(ModelSummary):
    """Print the table when training starts, with lines and, on a terminal, colours.

    Args:
        max_depth: How deep to list nested modules: 1 the direct children, -1 all, 0 prints
            nothing.
        header_style: Rich style of the names of the columns.
    """

    def __init__(self, max_depth: int = 1, header_style: str = "bold magenta") -> None:
        super().__init__(max_depth)
        self._header_style = header_style

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print, once the module is complete and where it runs."""
        if self._max_depth and trainer.is_global_zero:
            trainer.print(self.render(pl_module))

    def render(self, module: LightningModule) -> str:
        """Return the table and the totals, with escape codes where the output is a terminal."""
        from rich.console import Console
        from rich.table import Table

        layers = Table(header_style=self._header_style)
        for number, name in enumerate(HEADER):
            layers.add_column(name, style="dim" if number == 0 else "", justify="right" if name == "Params" else "left")
        for row in layer_rows(module, self._max_depth):
            layers.add_row(*row)
        totals = Table.grid(padding=(0, 2))
        for value, meaning in total_rows(module):
            totals.add_row(f"[bold]{meaning}[/]", value)
        screen = Console()
        page = Console(file=StringIO(), force_terminal=screen.is_terminal, width=screen.width)
        with page.capture() as drawn:
            page.print(layers, totals)
        return drawn.get()
