"""A value that cannot be meant, or has no effect, ends with exit code 2, one message, and nothing left behind.

Each line is what somebody types after ``leyden train``. Most are found before a run directory is made; what only a
batch can tell, within the first epoch.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from leyden.cli.train import main

SHORT = (
    *("trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"),
    "trainer.max_epochs=2",
)

VALUES = """
optimizer.lr=fast
optimizer.lr=-1
optimizer.lr=nan
optimizer.lr=inf
optimizer.lr=null
optimizer.lr=true
optimizer.lr=[0.1]
optimizer.betas=[2,3]
optimizer.betas=[0.9]
optimizer.betas=0.9
optimizer.betas=[a,b]
optimizer.eps=-1
optimizer.eps=tiny
optimizer.weight_decay=-1
optimizer.weight_decay=nan
optimizer.amsgrad=maybe
optimizer.foreach=3
optimizer._target_=torch.optim.Nope
optimizer._partial_=false
optimizer._partial_=maybe
optimizer=adam optimizer.lr=-0.1
optimizer=adam optimizer.betas=[1.0,0.9]
optimizer=sgd optimizer.momentum=-1
optimizer=sgd optimizer.momentum=0
optimizer=sgd optimizer.nesterov=maybe
optimizer=sgd optimizer.dampening=0.5
optimizer=sgd optimizer.lr=-0.1
optimizer=rmsprop optimizer.alpha=-1
optimizer=rmsprop optimizer.momentum=-0.1
optimizer=rmsprop optimizer.nesterov=true
optimizer=none
scheduler=step scheduler.scheduler.step_size=0
scheduler=step scheduler.scheduler.step_size=-3
scheduler=step scheduler.scheduler.step_size=1.5
scheduler=step scheduler.scheduler.gamma=-1
scheduler=step scheduler.scheduler.gamma=nan
scheduler=step scheduler.interval=batch
scheduler=step scheduler.interval=3
scheduler=step scheduler.frequency=0
scheduler=step scheduler.frequency=-1
scheduler=step scheduler.frequency=1.5
scheduler=step scheduler.frequency=often
scheduler=step scheduler.monitor=val_loss
scheduler=step +scheduler.strict=perhaps
scheduler=step +scheduler.nonsense=1
scheduler=step scheduler.scheduler=null
scheduler=step scheduler.scheduler._partial_=false
scheduler=plateau scheduler.scheduler.factor=2
scheduler=plateau scheduler.scheduler.factor=-0.5
scheduler=plateau scheduler.scheduler.mode=up
scheduler=plateau scheduler.scheduler.patience=-1
scheduler=plateau scheduler.scheduler.patience=2.5
scheduler=plateau scheduler.monitor=null
scheduler=plateau scheduler.monitor=nope
scheduler=plateau scheduler.scheduler.min_lr=-1
scheduler=plateau scheduler.scheduler.min_lr=[0.1,0.2]
scheduler=plateau scheduler.scheduler.threshold_mode=x
scheduler=cosine scheduler.scheduler.T_max=0
scheduler=cosine scheduler.scheduler.T_max=-2
scheduler=cosine scheduler.scheduler.T_max=2.5
scheduler=cosine scheduler.scheduler.eta_min=-1
scheduler=cosine trainer.max_epochs=-1 trainer.max_steps=5
scheduler=one_cycle scheduler.scheduler.pct_start=3
scheduler=one_cycle scheduler.scheduler.pct_start=-1
scheduler=one_cycle scheduler.scheduler.total_steps=1
scheduler=one_cycle scheduler.scheduler.total_steps=0
scheduler=one_cycle scheduler.scheduler.total_steps=3
scheduler=one_cycle scheduler.scheduler.max_lr=-1
scheduler=one_cycle scheduler.scheduler.max_lr=high
scheduler=one_cycle scheduler.scheduler.anneal_strategy=square
scheduler=one_cycle trainer.max_epochs=-1 trainer.max_time=00:00:00:04
scheduler=cosine_warmup scheduler.scheduler.warmup_steps=-1
scheduler=cosine_warmup scheduler.scheduler.warmup_steps=1.5
scheduler=cosine_warmup scheduler.scheduler.min_factor=2
scheduler=cosine_warmup scheduler.scheduler.min_factor=-0.1
scheduler=cosine_warmup scheduler.scheduler.total_steps=5
scheduler=cosine_warmup trainer.max_epochs=-1 trainer.max_time=00:00:00:04
scheduler=step optimizer=none
model.in_features=10
model.in_features=0
model.in_features=-4
model.in_features=many
model.classes=3
model.classes=0
model.classes=2.5
model.hidden=[-3]
model.hidden=[0]
model.hidden=64
model.hidden=[wide]
model.dropout=2
model.dropout=-0.1
model.dropout=nan
model=conv
model=conv data.flatten=false
model=conv data.flatten=false model.side=8 model.channels=[4,4,4,4]
model=conv model.channels=[]
model=conv data.flatten=false model.side=8 model.in_channels=3
model=transformer
model=transformer data=text model.heads=3
model=transformer data=text model.heads=0
model=transformer data=text model.depth=-1
model=transformer data=text model.block_size=16
model=transformer data=text model.vocab_size=5
model=transformer data=text data.block_size=0
model._target_=leyden.models.Nope
model._target_=torch.nn.Linear
model._target_=leyden.Trainer
data.batch_size=0
data.batch_size=-1
data.batch_size=1.5
data.val_fraction=1
data.val_fraction=-0.1
data.val_fraction=0.95
data.test_fraction=0
data.split_seed=-1
data.split_seed=x
data.num_workers=-1
data.num_workers=two
data.flatten=maybe
data=in_module
data=in_module data.root=here
data=synthetic data.samples=1
data=synthetic data.samples=2.5
data=synthetic data.noise=-1
data=synthetic data.features=10
data=synthetic data.classes=1
data=synthetic data.classes=20
data=synthetic data.seed=-1
data=text data.path=nowhere
data=text data.max_chars=-1
data=text data.pattern=*.nothing
data=text
data=mnist data.val_size=-1
data=mnist data.val_size=70000
data=mnist data.root=/proc/x
data=fashion_mnist data.normalize=3
trainer.accelerator=gpuu
trainer.accelerator=gpu
trainer.accelerator=tpu
trainer.devices=0
trainer.devices=-3
trainer.devices=two
trainer.devices=1.5
trainer.strategy=dpp
trainer.strategy=single_device trainer.devices=2
trainer.num_nodes=0
trainer.num_nodes=2
trainer.precision=8
trainer.precision=16-fast
trainer.max_epochs=-2
trainer.max_epochs=1.5
trainer.min_epochs=-1
trainer.min_epochs=5 trainer.max_epochs=2
trainer.max_steps=-2
trainer.max_steps=2.5
trainer.max_time=soon
trainer.max_time=1:2
trainer.limit_train_batches=-1
trainer.limit_train_batches=1.5
trainer.limit_train_batches=x
trainer.limit_val_batches=2.5
trainer.limit_test_batches=-2
trainer.overfit_batches=-1
trainer.overfit_batches=1.5
trainer.fast_dev_run=-1
trainer.fast_dev_run=maybe
trainer.val_check_interval=0
trainer.val_check_interval=1.5
trainer.val_check_interval=-1
trainer.val_check_interval=100
trainer.val_check_interval=often
trainer.check_val_every_n_epoch=0
trainer.check_val_every_n_epoch=-1
trainer.check_val_every_n_epoch=100
trainer.num_sanity_val_steps=-2
trainer.accumulate_grad_batches=0
trainer.accumulate_grad_batches=1.5
trainer.gradient_clip_val=-1
trainer.gradient_clip_val=x
trainer.gradient_clip_algorithm=cube trainer.gradient_clip_val=1
trainer.gradient_clip_algorithm=norm
trainer.log_every_n_steps=-1
trainer.log_every_n_steps=1.5
trainer.deterministic=x
trainer.detect_anomaly=maybe
trainer.profiler=fast
trainer.plugins=nope
trainer.enable_progress_bar=3
trainer.enable_model_summary=x
trainer.limit_val_batches=0 trainer.val_check_interval=0.5
trainer._target_=leyden.Nope
trainer._partial_=false
callbacks.model_checkpoint.mode=max
callbacks.model_checkpoint.mode=x callbacks.model_checkpoint.monitor=val_loss
callbacks.model_checkpoint.monitor=nope
callbacks.model_checkpoint.save_top_k=-2
callbacks.model_checkpoint.save_top_k=3
callbacks.model_checkpoint.save_top_k=x
callbacks.model_checkpoint.save_last=perhaps
callbacks.model_checkpoint.every_n_epochs=-1
callbacks.model_checkpoint.every_n_epochs=1 callbacks.model_checkpoint.every_n_train_steps=3
callbacks.model_checkpoint.every_n_train_steps=-1
callbacks.model_checkpoint.train_time_interval=soon
callbacks.model_checkpoint.dirpath=/proc/x
callbacks.model_checkpoint.filename={nope}/{epoch
callbacks.model_summary.max_depth=-2
callbacks.model_summary.max_depth=deep
callbacks.nothing={}
callbacks=[default,early_stopping] callbacks.early_stopping.monitor=nope
callbacks=[default,early_stopping] callbacks.early_stopping.mode=up
callbacks=[default,early_stopping] callbacks.early_stopping.patience=-1
callbacks=[default,early_stopping] callbacks.early_stopping.patience=x
callbacks=[default,early_stopping] callbacks.early_stopping.min_delta=nan
callbacks=[default,early_stopping] callbacks.early_stopping.monitor=null
callbacks=[default,timer] callbacks.timer.duration=soon
callbacks=[default,timer] callbacks.timer.interval=x
callbacks=[default,timer] callbacks.timer.interval=epoch
callbacks=[default,learning_rate_monitor] callbacks.learning_rate_monitor.logging_interval=x
callbacks=[default,learning_rate_monitor] logger=none
callbacks=[default,device_stats_monitor] logger=none
callbacks=[default,throughput_monitor] callbacks.throughput_monitor.window_size=0
callbacks=[default,ema_weight_averaging] callbacks.ema_weight_averaging.decay=2
callbacks=[default,ema_weight_averaging] callbacks.ema_weight_averaging.decay=-1
callbacks=[default,ema_weight_averaging] callbacks.ema_weight_averaging.update_every_n_steps=0
callbacks=[default,ema_weight_averaging] callbacks.ema_weight_averaging.device=nowhere
callbacks=[default,stochastic_weight_averaging] callbacks.stochastic_weight_averaging.swa_lrs=-1
callbacks=[default,stochastic_weight_averaging] callbacks.stochastic_weight_averaging.swa_epoch_start=2.5
callbacks=[default,stochastic_weight_averaging] callbacks.stochastic_weight_averaging.annealing_epochs=-1
callbacks=[default,stochastic_weight_averaging] callbacks.stochastic_weight_averaging.annealing_strategy=x
callbacks=[default,gradient_accumulation_scheduler] callbacks.gradient_accumulation_scheduler.scheduling={-1:2}
callbacks=[default,gradient_accumulation_scheduler] callbacks.gradient_accumulation_scheduler.scheduling={0:0}
callbacks=[default,gradient_accumulation_scheduler] trainer.accumulate_grad_batches=2
callbacks=[default,batch_size_finder] callbacks.batch_size_finder.mode=x
callbacks=[default,batch_size_finder] callbacks.batch_size_finder.margin=0.1
callbacks=[default,batch_size_finder] callbacks.batch_size_finder.batch_arg_name=nope
callbacks=[default,batch_size_finder] callbacks.batch_size_finder.init_val=0
callbacks=[default,backbone_finetuning]
callbacks=[model_checkpoint,tqdm_progress_bar] callbacks.progress_bar.refresh_rate=-1
callbacks=[default,timer] callbacks.timer.verbose=3
logger.csv.save_dir=/proc/x
logger.csv.flush_logs_every_n_steps=0
logger.csv.flush_logs_every_n_steps=x
logger.tensorboard.save_dir=/proc/x
logger=wandb
logger=wandb logger.wandb.offline=true logger.wandb.log_model=true
logger=mlflow logger.mlflow.checkpoint_path_prefix=x
logger=mlflow logger.mlflow.tracking_uri=nonsense://x
logger=none trainer.log_every_n_steps=3
logger=csvv
paths.output_dir=/proc/x
paths.run_dir=/proc/x/y
paths.data_dir=x
paths.nothing=x
paths.work_dir=nowhere
paths.output_dir=null
paths.output_dir=3
name=../up
name=/abs
name=
name=null
seed=-1
seed=1.5
seed=99999999999999999999
seed=null
threads=0
threads=x
test=maybe
snapshot=x
tags=fast
optimized_metric=nope
optimized_metric=3
ckpt_path=nope.ckpt
ckpt_path=/etc/hostname
ckpt_path=.
restarts=-1
restarts=3 trainer.accelerator=cpu
grace=0
grace=5 trainer.accelerator=cpu
deterministic=x
vars.nothing=3
hydra.job.chdir=true
hydra.output_subdir=.hydra
hydra.sweep.dir=x
hydra.launcher.slots=2
hydra.launcher.nope=2
hydra.job.name=x
hydra.run.dir=/proc/x
hydra.sweeper.max_batch_size=3
hydra.nothing=1
hydra/launcher=local hydra.launcher.slots=0
hydra/launcher=local hydra.launcher.gpus_per_job=-1
hydra/launcher=slurm hydra.launcher.time=soon
_target_=leyden.models.MLP
nonsense=3
"""


def settings(line: str) -> list[str]:
    """Return what is typed: *line*, and what makes a run short where *line* does not say it."""
    given = line.split(" ")
    keys = {word.partition("=")[0] for word in given}
    return [*(word for word in SHORT if word.partition("=")[0] not in keys), *given]


@pytest.mark.parametrize("line", VALUES.split("\n")[1:-1])
def test_a_wrong_value_is_one_message_and_leaves_nothing(line, at, capfd, monkeypatch):
    monkeypatch.setenv("HOME", str(at))  # nobody is logged in anywhere
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is said beside the error is not asked for here
        code = main(settings(line))

    said = capfd.readouterr().err
    assert code == 2, said
    assert said.strip()
    assert "Traceback" not in said
    assert [path for path in Path(at).rglob("*") if path.is_file()] == []


def test_there_are_many_and_of_every_group():
    keys = [word.partition("=")[0].lstrip("+") for line in VALUES.split("\n")[1:-1] for word in line.split(" ")]

    assert len(set(VALUES.split("\n")[1:-1])) >= 150
    assert {key.partition(".")[0] for key in keys} >= {
        "optimizer", "scheduler", "callbacks", "data", "model", "trainer", "logger", "hydra", "paths", "ckpt_path",
    }  # fmt: skip
