"""A module divided among ranks by `FSDPStrategy` is trained, saved and resumed as one that every rank has whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from project import OWN, make, status, torchrun
from sharded_fits import Net, Perceptron, fitted
from torch.distributed.fsdp import CPUOffload, MixedPrecision, ShardingStrategy
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

import leyden as L
from leyden import sharded
from leyden.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from leyden.errors import CheckpointError
from leyden.export import consolidate
from leyden.runs.archive import outline
from leyden.strategies import FSDPStrategy, named
from leyden.strategies.units import chosen, policy_of

RUNS = ("data_parallel", "divided")
CASES = """
ddp fsdp units keeping copies offloaded recomputed ddp_clipped fsdp_clipped ddp_clipped_by_value fsdp_clipped_by_value
ddp_accumulated fsdp_accumulated ddp_bf16 fsdp_bf16 ddp_by_hand fsdp_by_hand made_late twice
saved_full saved_sharded saved_full_bf16 saved_sharded_bf16 saved_without_statistics
resumed_full resumed_sharded resumed_full_bf16 resumed_sharded_bf16 sharded_by_ddp kept unwritable
""".split()


def run(folder, cases, ranks=2):
    """Run *cases* on some ranks, one after the other."""
    program = str(Path(__file__).with_name("sharded_fits.py"))
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    command = [sys.executable, *starter, program, str(folder), *cases]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def apart(one, other):
    """How far two sets of weights are apart at most."""
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the ranks leave what they come to."""
    made = tmp_path_factory.mktemp("fsdp")
    run(made, CASES)
    return made


@pytest.fixture(scope="module")
def results(folder):
    """What each case came to."""
    return {name: torch.load(folder / f"{name}.pt") for name in CASES}


@pytest.mark.parametrize("name", ["fsdp", "units", "keeping", "copies", "offloaded", "recomputed"])
def test_a_divided_module_comes_to_the_bits_of_data_parallelism(results, name):
    expected, found = results["ddp"], results[name]

    assert found["losses"] == expected["losses"]
    assert found["sha256"] == expected["sha256"]
    assert found["metrics"] == expected["metrics"]


@pytest.mark.parametrize("name", ["accumulated", "clipped_by_value", "by_hand"])
def test_accumulation_clipping_by_value_and_optimisation_by_hand_come_to_the_same_bits(results, name):
    assert results[f"fsdp_{name}"]["losses"] == results[f"ddp_{name}"]["losses"]
    assert results[f"fsdp_{name}"]["sha256"] == results[f"ddp_{name}"]["sha256"]


def test_gradients_are_clipped_by_their_norm_over_all_ranks(results):
    assert results["ddp_clipped"]["losses"] != results["ddp"]["losses"]
    assert apart(results["fsdp_clipped"]["weights"], results["ddp_clipped"]["weights"]) < 1e-6


def test_parameters_fetched_in_16_bits_come_close_to_autocast(results):
    assert results["fsdp_bf16"]["losses"] == pytest.approx(results["ddp_bf16"]["losses"], rel=0.05)
    assert apart(results["fsdp_bf16"]["weights"], results["ddp_bf16"]["weights"]) < 0.03


@pytest.mark.parametrize("kind", ["full", "sharded", "full_bf16", "sharded_bf16"])
def test_a_fit_saved_in_the_middle_of_a_window_goes_on_to_the_same_bits(results, kind):
    saved, resumed = results[f"saved_{kind}"], results[f"resumed_{kind}"]

    assert resumed["sha256"] == saved["sha256"]
    assert resumed["losses"] == saved["losses"][-len(resumed["losses"]) :]
    assert resumed["metrics"] == saved["metrics"]


def test_data_parallelism_goes_on_from_a_folder_to_the_same_bits(results):
    assert results["sharded_by_ddp"]["sha256"] == results["saved_sharded"]["sha256"]


@pytest.mark.parametrize("name", ["without.ckpt", "epoch.ckpt"])
def test_one_process_goes_on_from_what_two_ranks_have_saved(folder, results, name):
    alone = fitted("auto", Net(statistics=False), folder / name, accumulate_grad_batches=4)

    assert alone["steps"] == results["saved_without_statistics"]["steps"]
    assert apart(alone["weights"], results["saved_without_statistics"]["weights"]) < 1e-6


def test_one_rank_of_fsdp_goes_on_from_what_two_have_saved(folder, results):
    run(folder, ["resumed_without_statistics"], ranks=1)

    found = torch.load(folder / "resumed_without_statistics.pt")["weights"]
    assert apart(found, results["saved_without_statistics"]["weights"]) < 1e-6


def test_a_folder_and_a_file_hold_the_same(folder, tmp_path):
    consolidate(folder / "sharded_32.ckpt", tmp_path / "one.ckpt")

    found, expected = torch.load(tmp_path / "one.ckpt"), torch.load(folder / "full_32.ckpt")
    assert list(found["state_dict"]) == list(expected["state_dict"])
    assert all(torch.equal(found["state_dict"][name], expected["state_dict"][name]) for name in found["state_dict"])
    for one, other in zip(found["optimizer_states"], expected["optimizer_states"], strict=True):
        assert one["param_groups"] == other["param_groups"]
        assert all(
            torch.equal(value, other["state"][key][name])
            for key, values in one["state"].items()
            for name, value in values.items()
        )


def test_a_module_is_loaded_from_a_folder_as_from_a_file(folder):
    found, expected = (Net.load_from_checkpoint(folder / f"{kind}_32.ckpt") for kind in ("sharded", "full"))

    assert apart(found.state_dict(), expected.state_dict()) == 0


def test_lightning_reads_the_file_that_ranks_have_saved(folder):
    import lightning.pytorch as pl

    class Twin(pl.LightningModule):
        def __init__(self, width, statistics):
            super().__init__()
            own = Net(width, statistics)
            self.layers, self.scale = own.layers, own.scale

    found = Twin.load_from_checkpoint(folder / "full_32.ckpt", weights_only=True)

    assert apart(found.state_dict(), torch.load(folder / "full_32.ckpt")["state_dict"]) == 0


@pytest.mark.parametrize("callback", [EMAWeightAveraging(), StochasticWeightAveraging(0.1)])
def test_a_callback_that_copies_the_module_is_refused(callback):
    trainer = L.Trainer(strategy="fsdp", accelerator="cpu", devices=1, logger=False)

    with pytest.raises(L.ConfigurationError, match="keeps a copy of the whole module, but FSDPStrategy divides it"):
        callback.setup(trainer, Net(), "fit")


def test_layers_made_on_the_meta_device_get_their_values_unit_by_unit(results):
    assert results["made_late"]["divided"]
    losses = results["made_late"]["losses"]
    assert sum(losses[6:]) < sum(losses[:6])


def test_a_module_that_is_divided_already_serves_the_next_trainer(results):
    first, again = results["twice"]["validated"]

    assert again == first
    assert len(results["twice"]["losses"]) == 12


def test_folders_that_fell_out_are_deleted_and_the_others_are_whole(folder, results):
    names = {path.name for path in (folder / "kept").iterdir()}

    assert names == {Path(results["kept"]["best"]).name, "last.ckpt"}
    for name in names:
        assert "leyden" in outline(folder / "kept" / name)


def test_a_run_whose_rank_failed_goes_on_from_a_folder_to_the_fingerprint_of_data_parallelism(tmp_path):
    make(tmp_path)
    sharded_folders = "{_target_:leyden.strategies.FSDPStrategy,auto_wrap_policy:[Linear],state_dict_type:sharded}"
    train = ("-m", "leyden", "train", *OWN)

    torchrun(tmp_path, 2, *train, "paths.run_dir=data_parallel")
    ill = ("model.rank=1", "model.step=17", "model.how=once")
    torchrun(tmp_path, 2, *train, "paths.run_dir=divided", f"trainer.strategy={sharded_folders}", *ill, code=1)
    torchrun(tmp_path, 2, "-m", "leyden.run", "divided")

    expected, found = (json.loads((tmp_path / name / "fingerprint.json").read_text()) for name in RUNS)
    assert status(tmp_path / "divided")["resumed_from"] == "checkpoints/last.ckpt"
    assert (tmp_path / "divided" / "checkpoints" / "last.ckpt" / sharded.META).is_file()
    assert found["complete"]
    assert {**found, "final_metrics": None} == {**expected, "final_metrics": None}
    assert found["final_metrics"]["sha256"] == expected["final_metrics"]["sha256"]


def test_every_rank_says_that_rank_0_cannot_write(results):
    first, second = results["unwritable"]["told"]

    assert first == second
    assert "cannot be written: NotADirectoryError" in first
    assert "the earlier checkpoints are untouched" in first


# --- folders that are not what they should be ----------------------------------------------------


@pytest.fixture
def copied(folder, tmp_path):
    """A checkpoint to be tampered with."""
    return Path(shutil.copytree(folder / "sharded_32.ckpt", tmp_path / "copy.ckpt"))


@pytest.mark.parametrize("missing", [".metadata", "__1_0.distcp"])
def test_a_folder_of_which_a_file_is_missing_is_refused(copied, missing):
    (copied / missing).unlink()

    with pytest.raises(CheckpointError, match="copied in part"):
        outline(copied)


def test_a_folder_without_its_last_file_is_no_checkpoint(copied):
    (copied / sharded.META).unlink()

    assert not sharded.is_folder(copied)


def test_a_part_that_was_cut_off_is_refused(copied):
    content = (copied / "__0_0.distcp").read_bytes()
    (copied / "__0_0.distcp").write_bytes(content[: len(content) // 2])

    with pytest.raises(CheckpointError, match="not written to its end"):
        outline(copied)


def test_a_checkpoint_of_another_module_is_refused_with_what_does_not_fit(folder):
    with pytest.raises(CheckpointError, match=r"do not fit Perceptron[\s\S]*Missing key"):
        L.Trainer(logger=False, accelerator="cpu", devices=1).fit(
            Perceptron(), [torch.zeros(2, 6)], ckpt_path=folder / "sharded_32.ckpt"
        )


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"use_orig_params": True}, "belongs to torch's first FSDP; here it is always so"),
        ({"backward_prefetch": None}, "torch fetches ahead by itself"),
        ({"colour": "red"}, "is unknown"),
        ({"sharding_strategy": "NO_SHARD"}, "Use strategy='ddp'"),
        ({"sharding_strategy": "full"}, "expected one of FULL_SHARD, SHARD_GRAD_OP, HYBRID_SHARD"),
        ({"state_dict_type": "half"}, "expected 'full', one file, or 'sharded', a folder"),
        ({"mixed_precision": MixedPrecision(param_dtype=torch.bfloat16)}, "expected a torch.distributed.fsdp.Mixed"),
        ({"auto_wrap_policy": 3}, "expected a set of layer classes"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused(options, told):
    with pytest.raises(L.ConfigurationError, match=told):
        FSDPStrategy(**options)


def test_spellings_of_torchs_first_implementation_are_taken():
    made = FSDPStrategy(sharding_strategy=ShardingStrategy.SHARD_GRAD_OP, cpu_offload=CPUOffload(offload_params=True))

    assert made._reshards is False
    assert type(made._offload_policy()).__name__ == "CPUOffloadPolicy"


@pytest.mark.parametrize(
    ("policy", "count"),
    [
        (None, 0),
        ({torch.nn.Linear}, 2),
        (torch.nn.Linear, 2),
        (["Linear", torch.nn.Sequential], 3),
        (lambda module: isinstance(module, torch.nn.Sequential), 1),
        (ModuleWrapPolicy({torch.nn.Linear}), 2),
        (lambda module, recurse, nonwrapped_numel: recurse or nonwrapped_numel > 50, 1),
    ],
)
def test_units_are_chosen_by_classes_functions_and_policies(policy, count):
    found = chosen(Net(), policy_of(policy, "auto_wrap_policy"))

    assert len(found) == count


@pytest.mark.parametrize("name", ["fsdp", "fsdp2", "fsdp_cpu_offload"])
def test_a_name_makes_the_strategy(name):
    assert isinstance(named(name), FSDPStrategy)
