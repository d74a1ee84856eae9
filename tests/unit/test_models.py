"""The models learn what they are for, and a transformer looks at nothing that comes later."""

import math

import pytest
import torch

from leyden.datasets import Digits
from leyden.errors import ConfigurationError
from leyden.models import MLP, CausalTransformer, ConvNet


class Run:
    """What a model asks its trainer for when it has to learn the vocabulary: the data module."""

    def __init__(self, datamodule):
        self.datamodule = datamodule


class Vocabulary:
    """A data module reduced to its vocabulary."""

    vocab_size = 7


def small(vocab_size=11, **options):
    torch.manual_seed(0)
    return CausalTransformer(vocab_size, **{"block_size": 6, "width": 16, "depth": 2, "heads": 2} | options)


def train(model, batches, lr, passes):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(passes):
        for batch_idx, batch in enumerate(batches):
            loss = model.training_step(batch, batch_idx)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


@pytest.mark.filterwarnings("ignore:self.log")
def test_the_mlp_reads_96_of_100_digits_it_has_never_seen():
    torch.manual_seed(0)
    data, model = Digits(), MLP()
    data.setup()

    train(model, data.train_dataloader(), lr=3e-3, passes=30)

    images, labels = data.splits["test"].tensors
    assert (model.predict_step((images, labels), 0) == labels).float().mean() >= 0.965


def test_the_mlp_has_the_widths_it_is_given():
    model = MLP(in_features=12, hidden=(5, 4), classes=3, dropout=0.5)

    shapes = [tuple(weight.shape) for weight in model.parameters() if weight.ndim == 2]

    assert shapes == [(5, 12), (4, 5), (3, 4)]
    assert model(torch.zeros(2, 3, 4)).shape == (2, 3)


def test_without_hidden_layers_the_mlp_is_a_logistic_regression():
    assert [tuple(weight.shape) for weight in MLP(hidden=()).parameters()] == [(10, 64), (10,)]


@pytest.mark.parametrize("side", [28, 8, 7])
def test_the_convolutional_network_takes_images_of_any_side_it_is_told(side):
    model = ConvNet(side=side, channels=(3, 4), hidden=5, classes=6)

    assert model(torch.zeros(2, 1, side, side)).shape == (2, 6)


@pytest.mark.parametrize("options", [{"side": 3, "channels": (4, 4)}, {"channels": ()}])
def test_a_side_that_cannot_be_halved_that_often_is_refused(options):
    with pytest.raises(ConfigurationError, match="each stage halves the side"):
        ConvNet(**options)


@pytest.mark.filterwarnings("ignore:self.log")
def test_the_convolutional_network_learns_a_batch_by_heart():
    torch.manual_seed(0)
    batch = (torch.rand(16, 1, 8, 8), torch.randint(10, (16,)))

    assert train(ConvNet(side=8, channels=(4, 8), hidden=32), [batch], lr=1e-2, passes=60) < 0.05


def test_models_leave_the_optimizer_to_the_run():
    for model in (MLP(), ConvNet(), small()):
        with pytest.raises(NotImplementedError):
            model.configure_optimizers()


def test_a_transformer_sees_no_token_that_comes_later():
    model = small().eval()
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    changed = torch.tensor([[1, 2, 3, 9, 9]])

    before, after = model(ids), model(changed)

    assert torch.allclose(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_a_transformer_sees_where_a_token_stands():
    model = small().eval()

    logits = model(torch.tensor([[3, 3, 3]]))

    assert not torch.allclose(logits[0, 0], logits[0, 2], atol=1e-4)


def test_an_untrained_transformer_guesses_evenly():
    model, ids = small(vocab_size=50), torch.randint(50, (8, 7))

    loss = model.loss((ids[:, :-1], ids[:, 1:]))

    assert loss.item() == pytest.approx(math.log(50), abs=0.1)


@pytest.mark.filterwarnings("ignore:self.log")
def test_a_transformer_learns_to_count():
    ids = (torch.arange(7) + torch.arange(11)[:, None]) % 11
    model = small()

    loss = train(model, [(ids[:, :-1], ids[:, 1:])], lr=1e-2, passes=60)

    assert loss < 0.1
    assert model.generate(torch.tensor([[4]]), 9, temperature=0.1).tolist() == [[4, 5, 6, 7, 8, 9, 10, 0, 1, 2]]


@pytest.mark.parametrize(("tied", "shared"), [(True, True), (False, False)])
def test_the_head_shares_the_embedding_exactly_when_tied(tied, shared):
    model = small(tied=tied)

    assert (model.head.weight is model.tokens.weight) is shared
    assert len({id(weight) for weight in model.parameters()}) == len(list(model.parameters()))


def test_the_vocabulary_is_asked_of_the_data_once_the_run_has_some():
    model = small(vocab_size=None)
    model.trainer = Run(Vocabulary())

    model.configure_model()
    embedding = model.tokens
    model.configure_model()

    assert embedding.num_embeddings == 7
    assert model.tokens is embedding
    assert model.hparams["vocab_size"] == 7


def test_data_without_a_vocabulary_are_refused():
    model = small(vocab_size=None)
    model.trainer = Run(Digits())

    with pytest.raises(ConfigurationError, match=r"data module \(Digits\) does not tell its vocab_size"):
        model.configure_model()


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigurationError, match="width=10 and heads=4"):
        CausalTransformer(5, width=10, heads=4)
