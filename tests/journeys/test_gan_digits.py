"""The two forms of the GAN experiment, automatic and manual, take the same steps, bit for bit."""

import pytest
import torch

from experiments.gan_digits.callbacks import SampleGrid
from experiments.gan_digits.model import AutomaticGAN, ManualGAN
from experiments.gan_digits.networks import frechet_distance
from leyden import Trainer, seed_everything
from leyden.datasets import Digits


@pytest.fixture
def trained(tmp_path):
    """Return a function that trains one form for three epochs and gives the model and its trainer."""

    def train(form):
        seed_everything(0)
        model = form(width=16)
        trainer = Trainer(
            max_epochs=3,
            num_sanity_val_steps=0,
            logger=False,
            callbacks=[SampleGrid(every_n_epochs=2)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path / form.__name__,
        )
        trainer.fit(model, datamodule=Digits())
        return model, trainer

    return train


def test_both_forms_end_with_the_same_weights_rates_and_metrics(trained):
    automatic, a_trainer = trained(AutomaticGAN)
    manual, m_trainer = trained(ManualGAN)

    assert all(torch.equal(a, b) for a, b in zip(automatic.parameters(), manual.parameters(), strict=True))
    assert [each.param_groups[0]["lr"] for each in a_trainer.optimizers] == [
        each.param_groups[0]["lr"] for each in m_trainer.optimizers
    ]
    assert a_trainer.callback_metrics == m_trainer.callback_metrics
    assert a_trainer.global_step == m_trainer.global_step == 2 * 3 * 20


def test_a_picture_is_drawn_every_second_epoch_and_after_the_last(trained, tmp_path):
    trained(AutomaticGAN)

    assert sorted(path.name for path in (tmp_path / "AutomaticGAN").glob("*.png")) == [
        "samples-002.png",
        "samples-003.png",
    ]


def test_the_distance_is_zero_to_itself_and_that_of_the_means_when_only_they_differ():
    images = torch.rand(200, 64, generator=torch.Generator().manual_seed(0))

    assert frechet_distance(images, images).item() == pytest.approx(0.0, abs=1e-4)
    assert frechet_distance(images, images + 0.5).item() == pytest.approx(64 * 0.25, rel=1e-4)
