"""One more point of a grid costs few calls, and what is written for it is what OmegaConf writes."""

import random
import string
from dataclasses import dataclass

import pytest
from counting import calls
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf, grammar_parser

from leyden.cli.launching import make
from leyden.config.app import run_app
from leyden.config.frozen import dump
from leyden.runs import code

PRINTABLE = "".join(map(chr, range(32, 127)))


class Making:
    """A starter that makes the directories and starts nothing."""

    def __init__(self):
        self.made = []

    def start(self, plugin, jobs):
        self.made += make(jobs)
        return 0


def grid(*argv):
    """Make the directories of a multirun."""
    starter = Making()

    assert run_app("train", ("-m", *argv), print, starter) == 0

    return starter.made


@pytest.fixture
def further(at):
    """Return what is called for each of eight further points, and for all of a grid with twelve."""
    grid("seed=range(4)", "hydra.sweep.dir=warm")
    few = calls(lambda: grid("seed=range(100,104)", "hydra.sweep.dir=few"))
    many = calls(lambda: grid("seed=range(200,212)", "hydra.sweep.dir=many"))

    def per_point(*codes):
        count = [len(found) if not codes else sum(map(found.count, codes)) for found in (few, many)]
        return (count[1] - count[0]) / 8

    return per_point, many


def test_a_further_point_takes_few_calls_and_no_composition(further):
    per_point, many = further

    assert per_point() < 50_000  # composed, checked, frozen and written; asking OmegaConf for each value takes 83,000
    assert per_point(grammar_parser.parse.__code__) == 7  # three references, to check and to freeze; one of Hydra's
    assert per_point(ConfigLoaderImpl._load_configuration_impl.__code__) == 0
    assert many.count(code.capture.__code__) == 1


def test_a_multirun_without_other_values_is_composed_to_be_judged_and_once_for_its_points(at):
    found = calls(lambda: grid("seed=1,2"))

    assert found.count(ConfigLoaderImpl._load_configuration_impl.__code__) == 2


def test_points_with_a_structured_config_of_a_function_are_copied_all_the_same(project):
    @dataclass
    class Local:  # nobody can pickle it
        _target_: str = "experiments.mine.model.Net"
        width: int = 4

    store = ConfigStore.instance()
    store.store(group="model", name="local", node=Local)
    try:
        made = grid("model=local", "model.width=2,3")
    finally:
        del store.repo["model"]["local.yaml"]

    assert [each.config()["model"]["width"] for each in made] == [2, 3]


def any_text(letters):
    return "".join(random.choices(letters, k=random.choice((0, 1, 2, 5, 20, 90, 200))))


def any_value(letters, depth=0):
    kind = random.random()
    if depth < 3 and kind < 0.15:
        return {any_text(letters): any_value(letters, depth + 1) for _ in range(3)}
    if depth < 3 and kind < 0.3:
        return [any_value(letters, depth + 1) for _ in range(3)]
    return random.choice((None, True, 3, -1.5, 1e22, float("inf"), *(any_text(letters) for _ in range(9))))


@pytest.mark.parametrize(
    "letters", [PRINTABLE, string.ascii_letters + " ", PRINTABLE + "\n\t\x07é\u2028\N{GRINNING FACE}"]
)
def test_any_config_is_written_as_omegaconf_writes_it(letters):
    random.seed(1)
    for _ in range(300):
        config = {"a": any_value(letters), "b": {"c": any_value(letters)}}
        if "${" not in str(config):
            assert dump(config) == OmegaConf.to_yaml(OmegaConf.create(config))


def test_what_stands_at_two_places_is_written_at_both_and_words_of_yaml_stay_texts():
    shared = [1, "on", "1e3", "0x1f", "null", "~", "2020-01-01", ""]
    config = {"a": {"x": shared, "y": shared}}

    assert dump(config) == OmegaConf.to_yaml(OmegaConf.create(config))
    assert "&id" not in dump(config)
