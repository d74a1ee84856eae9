"""Text is cut into windows whose targets are the next characters, and its bigrams set the bar."""

import math

import pytest
import torch

from leyden.datasets import Text, bigram_nll
from leyden.errors import CheckpointError, ConfigurationError


@pytest.fixture
def folder(tmp_path):
    """Three files, two of them below a folder, 400 characters in all."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("abcdefghij" * 10)
    (tmp_path / "sub/a.txt").write_text("klmno" * 20)
    (tmp_path / "a.txt").write_text("0123456789" * 20)
    (tmp_path / "c.md").write_text("never read")
    return tmp_path


def built(path, stage=None, **options):
    data = Text(path, **{"pattern": "**/*.txt", "block_size": 8, "batch_size": 4} | options)
    data.setup(stage)
    return data


def text_of(data):
    return "".join(data.decode(data.parts[name]) for name in ("train", "val", "test"))


def test_files_follow_each_other_in_sorted_order(folder):
    assert text_of(built(folder)) == "0123456789" * 20 + "abcdefghij" * 10 + "klmno" * 20


def test_the_pattern_chooses_the_files(folder):
    assert text_of(built(folder, pattern="b.*")) == "abcdefghij" * 10


def test_a_single_file_is_a_corpus(folder):
    assert text_of(built(folder / "b.txt")) == "abcdefghij" * 10


def test_the_corpus_ends_after_max_chars(folder):
    assert text_of(built(folder, max_chars=250)) == "0123456789" * 20 + "abcdefghij" * 5


def test_the_splits_are_contiguous_and_the_test_is_the_end(folder):
    data = built(folder, val_fraction=0.25, test_fraction=0.25)

    assert data.decode(data.parts["train"]) == "0123456789" * 20
    assert data.decode(data.parts["val"]) == "abcdefghij" * 10
    assert data.decode(data.parts["test"]) == "klmno" * 20


def test_the_vocabulary_is_every_character_in_order_and_encoding_inverts_decoding(folder):
    data = built(folder)

    assert data.vocab == "0123456789abcdefghijklmno"
    assert data.vocab_size == 25
    assert data.decode(data.encode("cab7")) == "cab7"


def test_a_target_is_the_character_after_its_input(folder):
    data = built(folder, "validate", val_fraction=0.25, test_fraction=0.25)

    x, y = next(iter(data.val_dataloader()))

    assert x.shape == y.shape == (4, 8)
    assert x.dtype == y.dtype == torch.int64
    assert data.decode(x.flatten()) == ("abcdefghij" * 10)[:32]
    assert data.decode(y.flatten()) == ("abcdefghij" * 10)[1:33]


def test_every_window_with_a_whole_target_is_used_once(folder):
    data = built(folder, "validate", val_fraction=0.25, test_fraction=0.25)

    characters = sum(y.numel() for _, y in data.val_dataloader())

    assert characters == 99 // 8 * 8


def test_a_window_by_its_number_is_the_window_in_the_batch(folder):
    windows = built(folder, "fit").splits["train"]

    xs, ys = windows.__getitems__([3, 0])

    assert torch.equal(xs[0], windows[3][0])
    assert torch.equal(ys[1], windows[0][1])
    assert len(list(windows)) == len(windows)


def test_training_windows_are_shuffled(folder):
    train = built(folder, "fit").train_dataloader()

    first, second = (torch.cat([x for x, _ in train]) for _ in range(2))

    assert not torch.equal(first, second)
    assert torch.equal(first.unique(dim=0), second.unique(dim=0))


def test_the_default_corpus_is_the_standard_library_and_the_same_every_time():
    first, second = Text(max_chars=50_000), Text(max_chars=50_000)

    first.setup("fit")
    second.setup("fit")

    assert torch.equal(first.parts["train"], second.parts["train"])
    assert "import " in first.decode(first.parts["train"])


def test_a_checkpoint_of_another_vocabulary_is_refused(folder):
    data = built(folder)

    data.load_state_dict(data.state_dict())

    with pytest.raises(CheckpointError, match="would stand for other characters"):
        data.load_state_dict({"vocab": "xyz"})


def test_a_folder_without_matching_files_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigurationError, match=rf"no file in {tmp_path} that matches pattern='\*\.py'"):
        Text(tmp_path).setup("fit")


def test_a_corpus_too_short_for_a_window_is_refused(folder):
    with pytest.raises(ConfigurationError, match="block_size=64"):
        built(folder, block_size=64)


def test_an_unknown_character_is_refused(folder):
    with pytest.raises(ConfigurationError, match=r"\['!'\] are not in the vocabulary"):
        built(folder).encode("a!")


def test_the_vocabulary_size_is_not_known_before_setup(folder):
    with pytest.raises(ConfigurationError, match=r"before setup\(\)"):
        _ = Text(folder).vocab_size


@pytest.mark.parametrize(
    ("name", "value"),
    [("block_size", 0), ("batch_size", 0), ("val_fraction", 1.5), ("test_fraction", 0), ("max_chars", 1)],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=f"Text was given {name}={value}"):
        Text(**{name: value})


def test_the_bigram_score_is_the_smoothed_one_worked_out_by_hand():
    train, test = torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 1, 1])

    score = bigram_nll(train, test, vocab_size=2)

    # 0 is followed by 1 twice, 1 by 0 once and by 1 once: p(1|0) = (2+1)/(2+2), p(1|1) = (1+1)/(2+2)
    assert score == pytest.approx(-(math.log(3 / 4) + math.log(2 / 4)) / 2)


def test_a_text_never_seen_before_scores_as_badly_as_guessing():
    unseen = bigram_nll(torch.zeros(100, dtype=torch.int64), torch.tensor([1, 2, 1]), vocab_size=3)

    assert unseen == pytest.approx(math.log(3))
