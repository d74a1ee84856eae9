"""A transformer of pytorch-forecasting learns and predicts under Leyden as under Lightning, to the last bit."""

import pytest

from leyden.lightning import names
from tests.third_party.running import LEYDEN, PROGRAMS, result, run, run_under_both, sources

pytestmark = pytest.mark.timeout(1500)  # the first test of a file waits for its programs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return run_under_both(tmp_path_factory.mktemp("pytorch_forecasting"), "temporal_fusion_transformer.py")


@pytest.mark.parametrize("what", ["search", "train", "val", "rates", "metrics", "best", "tested", "place"])
def test_the_training_is_that_of_lightning(what, folders):
    assert result(folders.leyden)[what] == result(folders.lightning)[what]


@pytest.mark.parametrize("what", ["forecast", "index", "quantiles", "raw", "attention", "written"])
def test_the_best_model_read_back_predicts_as_under_lightning(what, folders):
    assert result(folders.leyden)[what] == result(folders.lightning)[what]


def test_a_training_resumed_from_a_file_ends_where_the_uninterrupted_one_does(tmp_path):
    run(tmp_path / "leyden", *LEYDEN, str(PROGRAMS / "resumed_transformer.py"))

    found = result(tmp_path / "leyden")
    assert found["resumed"] == found["whole"]


def test_lightning_was_not_imported(folders):
    assert sources(folders.leyden) == {names.__file__}
    assert names.__file__ not in sources(folders.lightning)
