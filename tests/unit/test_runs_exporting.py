"""A table of runs holds a row each, with columns that keep their types."""

import csv

import pytest
from pyarrow import parquet

from leyden.errors import ConfigurationError
from leyden.runs.exporting import nested, write
from leyden.runs.listing import list_runs
from tests.run_directories import make


@pytest.fixture
def runs(tmp_path):
    make(tmp_path / "runs" / "a", {"seed": 1, "name": 'comma, "quote"\nline'}, {"acc": 0.5}, typed=("seed=1",))
    make(tmp_path / "runs" / "b", {"seed": 2, "model.dropout": 0.5}, {"acc": 1, "loss": float("inf")})
    make(tmp_path / "runs" / "c", {"seed": 3, "test": True}, choices={"model": "mlp"})
    found = list_runs(tmp_path / "runs", tmp_path / "cache")
    return sorted(found, key=lambda run: run.name)


def test_a_csv_file_holds_fields_config_and_metrics(runs, tmp_path):
    columns = write(runs, tmp_path / "table.csv")

    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["a", "b", "c"]
    assert {len(row) for row in rows} == {columns}
    assert rows[0]["name"] == 'comma, "quote"\nline'
    assert [row["metrics.acc"] for row in rows] == ["0.5", "1", ""]
    assert [row["config.model.hidden"] for row in rows] == ["[128]"] * 3
    assert rows[0]["config.paths.run_dir"] == str(tmp_path / "runs" / "a")
    assert rows[2]["choices.model"] == "mlp"


def test_a_parquet_file_keeps_the_types_of_columns(runs, tmp_path):
    write(runs, tmp_path / "table.parquet")

    rows = parquet.read_table(tmp_path / "table.parquet").to_pylist()
    assert [row["config.seed"] for row in rows] == [1, 2, 3]
    assert [row["metrics.acc"] for row in rows] == [0.5, 1.0, None]
    assert [row["metrics.loss"] for row in rows] == [None, float("inf"), None]
    assert [row["config.test"] for row in rows] == [None, None, True]
    assert rows[0]["config.model.hidden"] == "[128]"


def test_a_name_that_ends_otherwise_is_refused(runs, tmp_path):
    with pytest.raises(ConfigurationError, match=r"ends in \.xlsx\. Expected one of \.csv, \.parquet"):
        write(runs, tmp_path / "table.xlsx")

    assert not (tmp_path / "table.xlsx").exists()


def test_what_is_no_finite_number_is_null_for_programs(runs):
    found = nested(runs[1])

    assert found["metrics"] == {"acc": 1, "loss": None}
    assert found["config"]["model.dropout"] == 0.5
    assert (found["status"], found["typed"]) == ("finished", [])
