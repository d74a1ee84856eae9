"""The table of Lightning's names is true: what it maps is there, what it calls absent is not, nothing is left out."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import leyden
import leyden.callbacks
import leyden.loggers
import leyden.profilers
import leyden.strategies
from leyden.lightning import names
from leyden.lightning.absent import Absent, stand_in
from leyden.lightning.aliases import DOORWAY

TABLE = names.read()
MAPPED = sorted({place for offered in TABLE.values() for place in offered.values() if place[0] != names.ABSENT})


def lightnings_own() -> dict[str, set[str]]:
    """Read from Lightning's files, without importing it, which public names each of its modules defines."""
    root = Path(find_spec("lightning").submodule_search_locations[0])
    found = {}
    for file in [*(root / "pytorch").rglob("*.py"), *(root / "fabric").rglob("*.py")]:
        parts = file.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not any(part.startswith("_") for part in module.split(".")):
            found[module] = {name for name in defined(file) if not name.startswith("_")} - {"log"}
    return found


def defined(file: Path) -> list[str]:
    """List classes, functions and constants at the top level of *file*, and its ``__all__``."""
    found = []
    for node in ast.parse(file.read_text("utf-8")).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=listed)):
                found += [each.value for each in listed]
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.append(name)
    return found


def test_the_table_has_every_module_and_every_public_name_of_lightning():
    own = lightnings_own()

    assert sorted(set(own) - set(TABLE)) == []
    missing = {f"{module}.{name}" for module, offered in own.items() for name in offered - set(TABLE[module])}
    assert sorted(missing) == []


def test_the_table_has_no_module_that_lightning_has_not():
    assert sorted(set(TABLE) - set(lightnings_own()) - {"lightning"}) == []


@pytest.mark.parametrize("home", sorted({home for home, _ in MAPPED}))
def test_everything_the_table_maps_is_there(home):
    module = import_module(home)

    for name in (name for where, name in MAPPED if where == home):
        assert getattr(module, name) is not None


def test_what_the_table_calls_absent_is_not_among_our_public_names():
    absent = {
        name
        for module, offered in TABLE.items()
        for name, (home, _) in offered.items()
        if home == names.ABSENT and not module.startswith("fabric")
    }
    packages = (leyden, leyden.callbacks, leyden.loggers, leyden.profilers, leyden.strategies)
    public = {name for package in packages for name in package.__all__}

    assert sorted(absent & public) == []


def test_a_package_offers_what_the_modules_below_it_do():
    assert TABLE["pytorch.callbacks"]["TQDMProgressBar"] == TABLE["pytorch.callbacks.progress"]["TQDMProgressBar"]
    assert "TQDMProgressBar" not in TABLE["pytorch"]


def test_the_three_roots_are_two_trees():
    assert names.written("lightning") == "lightning"
    assert names.written("lightning.pytorch.callbacks") == names.written("pytorch_lightning.callbacks")
    assert names.written("lightning.fabric") == names.written("lightning_fabric") == "fabric"


def test_the_metadata_in_the_doorway_is_of_the_version_of_the_table():
    files = sorted(DOORWAY.glob("*.dist-info/METADATA"))

    assert [file.parent.name.partition("-")[0] for file in files] == sorted(names.ROOTS)
    for file in files:
        assert f"\nVersion: {names.VERSION}\n" in file.read_text("utf-8")


def test_a_stand_in_can_be_subclassed_asked_about_and_annotated_with_but_not_used():
    missing = stand_in("lightning.pytorch.strategies.FSDPStrategy")

    class Mine(missing):
        """A strategy of a program's own."""

    assert isinstance(missing, Absent)
    assert not isinstance(1, missing)
    assert missing | None
    assert repr(missing) == "<class 'lightning.pytorch.strategies.FSDPStrategy'>"
    for each in (missing, Mine):
        with pytest.raises(leyden.ConfigurationError, match=r"lightning\.pytorch\.strategies\.FSDPStrategy was called"):
            each()
        with pytest.raises(AttributeError, match=r"FSDPStrategy\.register was looked up, and Leyden has no"):
            each.register  # noqa: B018 - looking it up is the act
