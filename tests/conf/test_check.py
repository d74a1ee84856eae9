"""Every problem of a composed config is found at once, with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from annotated_types import Ge, Interval
from torch import nn

from leyden.config.check import check, ensure
from leyden.config.compose import compose
from leyden.config.problems import ConfigProblems, Problem, render
from leyden.config.values import mismatch

THINGS = """
    from __future__ import annotations

    from typing import TYPE_CHECKING, Annotated

    from annotated_types import Ge, Interval
    from torch import nn

    if TYPE_CHECKING:
        from somewhere import Foreign


    class Net:
        def __init__(self, width: Annotated[int, Ge(1)], drop: Annotated[float, Interval(ge=0, le=1)] = 0.0,
                     layer: nn.Module = None, foreign: Foreign = None, names: tuple[str, ...] = ()) -> None:
            pass


    def make(a, /, b, *, c=1):
        pass


    def open_ended(**anything):
        pass


    NUMBER = 3
"""


@pytest.fixture
def things(at, write):
    """Be in a project with a module of targets."""
    return write(at, {"conf/x": "", "things.py": THINGS})


def messages(node: dict[str, Any]) -> dict[str, str]:
    """Return what `check` says of a node below ``thing``, by path inside it."""
    problems = check({"_target_": "builtins.dict", "thing": node})
    return {problem.path.removeprefix("thing."): problem.message for problem in problems}


def test_a_node_that_fits_its_target_has_no_problem(things):
    node = {
        "_target_": "things.Net",
        "width": 3,
        "drop": 1,
        "names": ["a", "b"],
        "layer": {"_target_": "torch.nn.ReLU"},
    }

    assert messages(node) == {}


def test_all_problems_are_found_at_once(things):
    found = messages(
        {"_target_": "things.Net", "widht": 3, "drop": 2.0, "names": "a", "layer": {"_target_": "no.Such"}}
    )

    assert list(found) == ["widht", "drop", "names", "layer._target_", "width"]
    assert found["widht"] == "Net takes no argument 'widht'. Did you mean 'width'?"
    assert found["drop"] == "is 2.0 (float), but should be less than or equal to 1"
    assert found["names"] == "expects tuple[str, ...], got 'a' (str). A list is written [a]"
    assert found["layer._target_"] == "no module named 'no'"
    assert found["width"] == "must be given: Net has no default for it"


def test_a_partial_node_may_lack_arguments_but_not_misspell_them(things):
    assert messages({"_target_": "things.Net", "_partial_": True}) == {}
    assert list(messages({"_target_": "things.Net", "_partial_": True, "dropp": 1})) == ["dropp"]


def test_positional_arguments_count(things):
    assert messages({"_target_": "things.make", "_args_": [1, 2]}) == {}
    assert list(messages({"_target_": "things.make", "_args_": [1]})) == ["b"]
    assert list(messages({"_target_": "things.make", "_args_": [1, 2], "a": 1})) == ["a"]


def test_hydras_own_keys_are_checked_too(things):
    found = messages({"_target_": "things.open_ended", "_partial_": "yes", "_convert_": "al", "_args_": 3})

    assert found["_convert_"] == "is 'al'. Did you mean 'all'?"
    assert "expects true or false, got 'yes'" in found["_partial_"]
    assert "expects a list" in found["_args_"]


def test_a_target_that_takes_anything_is_given_anything(things):
    assert messages({"_target_": "things.open_ended", "whatever": [1], "else": None}) == {}


def test_an_object_of_the_wrong_class_is_refused(things):
    found = messages({"_target_": "things.Net", "width": 1, "layer": {"_target_": "torch.utils.data.Dataset"}})

    assert found == {"layer": "expects Module, but torch.utils.data.Dataset is none"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("torch.optim.AdmaW", "torch.optim has no 'AdmaW'. Did you mean 'AdamW'?"),
        ("torch.optm.AdamW", "torch has no 'optm'. Did you mean 'optim'?"),
        ("numpi.array", "no module named 'numpi'. Did you mean 'numpy'?"),
        ("optuna.create_study", "no module named 'optuna'. Install it with: pip install optuna"),
        ("things.Net.nothing", "things.Net has no attribute 'nothing'"),
        ("things.NUMBER", "things.NUMBER is 3, which cannot be called"),
        ("not a path", "'not a path' is no dotted path"),
        (3, "expects the dotted path of a class or function, got 3"),
        ("things.broken", "importing things.broken failed"),
    ],
)
def test_a_target_that_cannot_be_used_is_explained(things, target, said, write):
    (things / "things.py").unlink()
    write(things, {"things/__init__.py": THINGS, "things/broken.py": "import nothing_of_that_name\n"})

    assert said in messages({"_target_": target})["_target_"]


def test_a_module_that_fails_to_import_shows_its_own_error(things, write):
    write(things, {"things.py": "def open_ended(:\n"})

    assert "importing things failed: SyntaxError" in messages({"_target_": "things.open_ended"})["_target_"]


def test_a_package_that_imports_a_name_late_shows_the_error_of_doing_so(things, write):
    (things / "things.py").unlink()
    late = "def __getattr__(name):\n    raise OSError(f'no {name} today')\n"
    write(things, {"things/__init__.py": late})

    assert messages({"_target_": "things.Net"})["_target_"] == (
        "importing things.Net failed: OSError: no Net today (raised at things/__init__.py:2)"
    )


def test_values_that_are_missing_or_refer_to_nothing_are_all_named(things):
    found = messages(
        {"_target_": "things.open_ended", "a": "???", "b": "${nope}", "c": ["${thing.aa}"], "d": "${thing.e}"}
    )

    assert found["a"] == "must be given: it is ??? so far. Set it: thing.a=<value>"
    assert found["b"] == "refers to 'nope', which does not exist: '${nope}'"
    assert found["c.0"].endswith("Did you mean ${thing.a}?")
    assert "'thing.e'" in found["d"]


def test_the_directory_of_the_run_need_not_be_known_yet(at):
    composed = compose([])

    assert composed.config.paths["work_dir"] == str(at)
    assert check(composed.config) == []


def test_a_problem_names_the_file_that_set_the_key(project, write):
    write(
        project,
        {
            "experiments/wrong/experiment.yaml": "model:\n  widht: 3\nsead: 1\npaths:\n  data_dri: x\n",
            "conf/optimizer/odd.yaml": "_target_: torch.optim.SGD\n_partial_: true\nmomentm: 1\n",
        },
    )

    composed = compose(["experiment=wrong", "optimizer=odd", "data.batch_size=many"])

    problems = {problem.path: problem.origin for problem in check(composed.config, composed.origins)}
    experiment = str(Path("experiments/wrong/experiment.yaml"))
    assert problems == {
        "paths.data_dri": experiment,
        "sead": experiment,
        "model.widht": experiment,
        "optimizer.momentm": str(Path("conf/optimizer/odd.yaml")),
        "data.batch_size": "command line",
    }


def test_keys_left_over_from_another_target_come_with_the_way_to_drop_them(project, write):
    mine = "experiments.mine.model.Net"
    write(project, {"experiments/own/experiment.yaml": f"model:\n  _target_: {mine}\n  width: 3\n"})
    write(
        project,
        {
            "experiments/clean/experiment.yaml": f"""
                defaults:
                  - override /model: null
                model:
                  _target_: {mine}
                  width: 3
            """
        },
    )

    left, clean = compose(["experiment=own"]), compose(["experiment=clean"])

    said = render(check(left.config, left.origins))
    assert "Net takes no argument 'hidden'." in said
    assert "add '- override /model: null' to its defaults" in said
    assert check(clean.config, clean.origins) == []


def test_problems_are_written_as_one_aligned_list():
    problems = [Problem("a.b", "is wrong.", "conf/x.yaml"), Problem("longer.path", "is too.", "command line")]

    assert render(problems) == (
        "2 problems in the composed config (nothing has been built):\n"
        "  a.b           is wrong.   set in conf/x.yaml\n"
        "  longer.path   is too.   set on the command line"
    )


def test_ensure_raises_the_whole_list(things):
    with pytest.raises(ConfigProblems, match="2 problems") as caught:
        ensure({"_target_": "things.Net", "w": 1})

    assert [problem.path for problem in caught.value.problems] == ["w", "width"]


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, int),
        (3, float),
        ([1, 2], tuple[int, ...]),
        ([0.9, 0.999], tuple[float, float]),
        ("x", Path),
        ("auto", int | str),
        (None, int | None),
        (0.5, int | float),
        (1, bool),
        ("min", Literal["min", "max"]),
        ("cpu", torch.device),
        ([1.0, 2.0], torch.Tensor),
        ("relu", Callable[..., Any]),
        ({"a": 1}, dict[str, int]),
        (["a"], Sequence[str]),
        (object, "not an annotation"),
    ],
)
def test_a_value_that_a_constructor_can_take_passes(value, annotation):
    assert mismatch(value, annotation) is None


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        (True, int, "expects int, got True (bool)"),
        ("3", int, "expects int, got '3' (str)"),
        (3.0, int, "expects int, got 3.0 (float). Write 3"),
        (3.5, int, "expects int, got 3.5 (float)"),
        (["3"], list[int], "expects list[int], got ['3'] (list)"),
        (2024, str, "Quote it"),
        (None, int, "expects int, got null"),
        ("mn", Literal["min", "max"], "Did you mean 'min'?"),
        (-1, Annotated[int, Ge(0)], "is -1 (int), but should be greater than or equal to 0"),
        (1.5, Annotated[float, Interval(ge=0, le=1)] | None, "should be less than or equal to 1"),
        (3, nn.Module, "expects Module, got 3 (int)"),
        ({"width": 3}, nn.Module | None, "expects Module | null"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(value, annotation, said):
    assert said in (mismatch(value, annotation) or "")
