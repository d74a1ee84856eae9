"""What `save_hyperparameters` keeps, and under which name, is the same under Lightning and under Leyden."""

from __future__ import annotations

import re
from argparse import Namespace
from collections import OrderedDict
from dataclasses import dataclass

import pytest
from omegaconf import OmegaConf
from twins import LEYDEN, LIGHTNING, silence

from leyden import ConfigurationError


def saving(*arguments, **options):
    """A case: a module with the constructor ``(a, b=2, *, c=3)`` that saves so."""

    def case(library):
        class Module(library.LightningModule):
            def __init__(self, a, b=2, *, c=3):
                super().__init__()
                unrelated = 4  # noqa: F841 - a local variable is no argument
                self.save_hyperparameters(*arguments, **options)

        return Module(1)

    return case


def saving_the_argument(value, *more):
    """A case: a module that saves its only argument as a whole."""

    def case(library):
        class Module(library.LightningModule):
            def __init__(self, conf, other=1):
                super().__init__()
                self.save_hyperparameters(conf, *more)

        return Module(value)

    return case


def no_arguments(library):
    class Module(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters()

    return Module()


def nothing_saved(library):
    return library.LightningModule()


def set_by_hand(library):
    module = library.LightningModule()
    module.hparams["a"] = 1
    return module


def two_calls(library):
    class Module(library.LightningModule):
        def __init__(self, a, b=2):
            super().__init__()
            self.save_hyperparameters("a")
            self.save_hyperparameters("b")

    return Module(1)


def family(parent_saves, child_saves, **options):
    """A case: parent and child, each of which may save; both have the argument ``a``."""

    def case(library):
        class Parent(library.LightningModule):
            def __init__(self, a, p=1):
                super().__init__()
                if parent_saves:
                    self.save_hyperparameters()

        class Child(Parent):
            def __init__(self, a, c=3):
                super().__init__(a=a + 10, p=7)
                if child_saves:
                    self.save_hyperparameters(**options)

        return Child(1)

    return case


def spread_arguments(library):
    class Module(library.LightningModule):
        def __init__(self, a, *args, **kwargs):
            super().__init__()
            self.save_hyperparameters()

    return Module(1, 2, z=3)


def a_spread_argument_by_name(library):
    class Module(library.LightningModule):
        def __init__(self, a, **kwargs):
            super().__init__()
            self.save_hyperparameters("a", "z")

    return Module(1, z=3, y=4)


def a_dataclass(library):
    @dataclass(eq=False)
    class Module(library.LightningModule):
        a: int
        b: int = 2

        def __post_init__(self):
            super().__init__()
            self.save_hyperparameters()

    return Module(1)


def beside_another_parent(library):
    class Other:
        def __init__(self, m=1, **kwargs):
            super().__init__(**kwargs)

    class Module(Other, library.LightningModule):
        def __init__(self, a):
            super().__init__(m=4)
            self.save_hyperparameters()

    return Module(1)


def from_a_method(library):
    class Module(library.LightningModule):
        def __init__(self, a):
            super().__init__()
            self.keep(a + 1)

        def keep(self, a):
            self.save_hyperparameters()

    return Module(1)


def before_the_parents_constructor(library):
    class Module(library.LightningModule):
        def __init__(self, a):
            self.save_hyperparameters()
            super().__init__()

    return Module(1)


def changed_afterwards(library):
    class Module(library.LightningModule):
        def __init__(self, a):
            super().__init__()
            self.save_hyperparameters()
            self.hparams["a"].append(3)
            self.hparams.new = 1

    return Module([1])


def a_data_module(library):
    class Module(library.LightningDataModule):
        def __init__(self, a, b=2):
            super().__init__()
            self.save_hyperparameters(ignore="b")

    return Module(1)


CASES = {
    "all": saving(),
    "by name": saving("a", "c"),
    "ignore one": saving(ignore="b"),
    "ignore several": saving(ignore=["a", "c"]),
    "ignore a name that is no argument": saving(ignore="d"),
    "not for the loggers": saving(logger=False),
    "a dict of its own": saving({"x": 1}),
    "no arguments": no_arguments,
    "nothing saved": nothing_saved,
    "set by hand": set_by_hand,
    "two calls": two_calls,
    "the parent saves": family(True, False),
    "the child saves": family(False, True),
    "both save": family(True, True),
    "the child ignores what the parent saved": family(True, True, ignore="p"),
    "a dict": saving_the_argument({"x": 1, "y": {"z": 2}}),
    "an empty dict": saving_the_argument({}),
    "an ordered dict": saving_the_argument(OrderedDict(x=1)),
    "a namespace": saving_the_argument(Namespace(x=1)),
    "an OmegaConf container": saving_the_argument(OmegaConf.create({"x": {"y": 1}})),
    "a dict beside a name": saving_the_argument({"x": 1}, "other"),
    "spread arguments": spread_arguments,
    "a spread argument by name": a_spread_argument_by_name,
    "a dataclass": a_dataclass,
    "beside another parent": beside_another_parent,
    "from a method": from_a_method,
    "before the parent's constructor": before_the_parents_constructor,
    "changed afterwards": changed_afterwards,
    "a data module": a_data_module,
}


def kept(library, case):
    """All that is known of the hyper-parameters."""
    with silence():
        made = case(library)
    return (
        type(made.hparams).__name__,
        dict(made.hparams),
        list(made.hparams),
        getattr(made, "_hparams_name", None),
        dict(made.hparams_initial),
    )


@pytest.mark.parametrize("case", CASES)
def test_the_same_is_kept_as_under_lightning(case):
    ours = kept(LEYDEN, CASES[case])

    assert ours == kept(LIGHTNING, CASES[case])


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        (saving("d"), KeyError, "'d', which is not an argument of the constructor. Its arguments are: a, b, c"),
        (saving(5), ValueError, "one dict, namespace or OmegaConf container; got int"),
        (saving_the_argument([1]), ValueError, "got list"),
    ],
    ids=["unknown name", "number", "list"],
)
def test_what_lightning_refuses_is_refused_with_a_reason(case, error, message):
    with pytest.raises(error), silence():
        case(LIGHTNING)

    with pytest.raises(ConfigurationError, match=re.escape(message)):
        case(LEYDEN)


@pytest.mark.parametrize("library", [LEYDEN, LIGHTNING], ids=["leyden", "lightning"])
def test_what_was_kept_first_cannot_be_changed(library):
    module = changed_afterwards(library)

    module.hparams_initial["a"].append(5)

    assert module.hparams_initial == {"a": [1]}
