"""A module trained with DeepSpeed on two ranks comes to what data parallelism comes to, and goes on from checkpoints.

Lightning runs DeepSpeed on CUDA devices only, so that the comparison is with data parallelism, which the parity tests
compare with Lightning's. Gradients are summed in another order where they are clipped: hence the tolerance.
"""

import os
import subprocess
import sys

import pytest
import torch

import leyden as L
from leyden.callbacks import LearningRateFinder
from leyden.strategies import DeepSpeedStrategy
from tests.third_party.programs.deepspeed_fits import Net, loader, trainer
from tests.third_party.running import PROGRAMS

pytestmark = [
    pytest.mark.timeout(600),  # the first test of a file waits for its program
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning"),  # DeepSpeed imports what warns
]
PRECISIONS = ("32-true", "bf16-mixed")
STAGES = [(stage, precision) for precision in PRECISIONS for stage in (1, 2, 3)]
CASES = """
ddp ddp_late late ddp_twice twice offloaded offloaded_2
saved_1_32-true resumed_1_32-true saved_2_32-true resumed_2_32-true saved_3_32-true resumed_3_32-true
saved_1_bf16-mixed resumed_1_bf16-mixed saved_2_bf16-mixed resumed_2_bf16-mixed saved_3_bf16-mixed resumed_3_bf16-mixed
by_ddp tested
""".split()
CLOSE = {"atol": 1e-6, "rtol": 1e-5}  # float32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the ranks leave what they come to."""
    made = tmp_path_factory.mktemp("deepspeed")
    program = str(PROGRAMS / "deepspeed_fits.py")
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *starter, program, str(made), *CASES]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=made, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return made


@pytest.fixture(scope="module")
def results(folder):
    """What each case came to."""
    return {name: torch.load(folder / f"{name}.pt") for name in CASES}


@pytest.mark.parametrize("name", ["saved_1_32-true", "saved_2_32-true", "saved_3_32-true", "offloaded", "offloaded_2"])
def test_every_stage_comes_to_what_data_parallelism_comes_to(results, name):
    expected, found = results["ddp"], results[name]

    torch.testing.assert_close(found["losses"], expected["losses"], **CLOSE)
    torch.testing.assert_close(found["weights"], expected["weights"], **CLOSE)
    torch.testing.assert_close(found["metrics"], expected["metrics"], **CLOSE)
    assert found["rates"] == expected["rates"]


def test_layers_that_are_divided_as_they_are_made_come_to_the_bits_of_data_parallelism(results):
    assert results["late"]["losses"] == results["ddp_late"]["losses"]
    assert results["late"]["sha256"] == results["ddp_late"]["sha256"]
    assert results["late"]["held"] == 0


@pytest.mark.parametrize(("stage", "precision"), STAGES)
def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_bits_of_the_undisturbed_one(results, stage, precision):
    whole, resumed = results[f"saved_{stage}_{precision}"], results[f"resumed_{stage}_{precision}"]

    assert resumed["losses"] == whole["losses"][-2:]
    assert resumed["sha256"] == whole["sha256"]
    assert resumed["metrics"]["val_loss"] == whole["metrics"]["val_loss"]


@pytest.mark.parametrize(("stage", "precision"), STAGES)
def test_the_module_comes_back_whole_and_is_what_a_checkpoint_holds(results, stage, precision):
    found = results[f"saved_{stage}_{precision}"]

    assert found["loaded"] == found["sha256"]
    assert {value.dtype for value in found["weights"].values()} == {torch.float32}
    assert found["weights"]["layers.0.weight"].shape == (9, 6)


def test_the_module_of_one_fit_is_that_of_the_next_one(results):
    torch.testing.assert_close(results["twice"]["losses"], results["ddp_twice"]["losses"], **CLOSE)
    torch.testing.assert_close(results["twice"]["weights"], results["ddp_twice"]["weights"], **CLOSE)


def test_data_parallelism_goes_on_from_what_deepspeed_has_saved(results):
    torch.testing.assert_close(results["by_ddp"]["weights"], results["ddp"]["weights"], **CLOSE)


def test_a_checkpoint_is_evaluated_by_itself(results):
    assert results["tested"]["tested"] == results["saved_3_32-true"]["tested"]


@pytest.mark.parametrize("stage", [1, 3])
def test_one_process_goes_on_from_two_ranks_of_another_stage(folder, results, stage):
    module = Net()
    path = folder / "saved_2_32-true.ckpt"

    trainer(strategy=DeepSpeedStrategy(stage=stage), accumulate_grad_batches=4, gradient_clip_val=0.5).fit(
        module, loader(48), ckpt_path=path
    )

    weights = {name: value for name, value in module.state_dict().items() if name != "seen"}  # twice the batches
    torch.testing.assert_close(weights, {name: results["ddp"]["weights"][name] for name in weights}, **CLOSE)


def test_parameters_are_counted_where_they_are_divided(capsys):
    made = trainer(strategy="deepspeed_stage_3", enable_model_summary=True, fast_dev_run=True)

    made.fit(Net(), loader(4))

    assert "119" in capsys.readouterr().out


class ByHand(Net):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class ItsOwnBackward(Net):
    def backward(self, loss):
        loss.backward()


class TwoOptimizers(Net):
    def training_step(self, batch, batch_idx, optimizer_idx):
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.1), torch.optim.SGD(self.parameters(), lr=0.1)]


class Replaced(Net):
    def configure_optimizers(self):
        return torch.optim.Adagrad(self.parameters())


@pytest.mark.parametrize(
    ("module", "options", "told"),
    [
        (ByHand, {}, "automatic_optimization is False"),
        (ItsOwnBackward, {}, r"ItsOwnBackward\.backward would never be called"),
        (TwoOptimizers, {}, "returned 2 optimizers"),
        (Replaced, {}, "Adagrad, which DeepSpeed cannot take over"),
        (Net, {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"}, "by their norm only"),
        (Net, {"precision": "64-true"}, "does not compute in it"),
    ],
)
def test_what_deepspeed_cannot_do_is_refused(module, options, told):
    with pytest.raises(L.ConfigurationError, match=told):
        trainer(strategy="deepspeed", **options).fit(module(), loader(8))


def test_rates_cannot_be_tried():
    made = trainer(strategy="deepspeed", callbacks=[LearningRateFinder(update_attr=False)])

    with pytest.raises(L.ConfigurationError, match="steps are to be tried and undone"):
        made.fit(Net(), loader(8))
