"""Models of neuralforecast learn, predict and are saved under Leyden as under Lightning, to the last bit."""

import pytest

from leyden.lightning import names
from tests.third_party.running import result, run_under_both, sources

pytestmark = pytest.mark.timeout(1500)  # the first test of a file waits for its programs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return run_under_both(tmp_path_factory.mktemp("neuralforecast"), "neuralforecast_models.py")


@pytest.mark.parametrize("what", ["train", "valid", "metrics", "forecast", "insample", "loaded", "crossed"])
def test_the_numbers_are_those_of_lightning(what, folders):
    assert result(folders.leyden)[what] == result(folders.lightning)[what]


def test_models_that_were_saved_forecast_as_before(folders):
    found = result(folders.leyden)

    assert found["loaded"] == found["forecast"]


def test_lightning_was_not_imported(folders):
    assert sources(folders.leyden) == {names.__file__}
    assert names.__file__ not in sources(folders.lightning)
