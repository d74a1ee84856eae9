"""The page for those who come from Lightning is true: its links lead somewhere, its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import leyden
from leyden.lightning import names

PAGE = Path(names.__file__).with_name("README.md")
TEXT = PAGE.read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
IMPORTS = re.findall(r"`(from leyden\.\w+ import \w+)`", TEXT)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_a_link_leads_somewhere(target):
    assert (PAGE.parent / target).exists()


@pytest.mark.parametrize("line", IMPORTS)
def test_an_import_works(line):
    exec(line, {})


def test_there_are_imports():
    assert len(IMPORTS) >= 5


def test_the_module_that_replaces_a_loop_of_fabric_trains(tmp_path):
    (block,) = BLOCKS
    scope = {"L": leyden, "torch": torch, "build": lambda: torch.nn.Linear(2, 1)}
    exec(block, scope)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = leyden.Trainer(max_epochs=1, default_root_dir=tmp_path, enable_model_summary=False, **quiet)

    trainer.fit(scope["Mine"](), torch.utils.data.DataLoader(torch.ones(6, 2), batch_size=2))

    assert trainer.global_step == 3
