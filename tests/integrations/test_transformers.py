"""Texts through a tiny BERT with random weights: padding says nothing, maps are complete, each text on its own."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

import rightreasons as rr
from rightreasons.integrations.transformers import Logits, embeddings_of, explain_texts

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "not", "a", "##ly"]
TEXTS = ["good film", "not a bad film not a good film", "badly"]
SIZE: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "initializer_range": 0.5,
}


@pytest.fixture
def tokenizer() -> Any:
    return BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})


@pytest.fixture
def model() -> nn.Module:
    return BertForSequenceClassification(BertConfig(**SIZE, num_labels=3)).double()


class MeanPooled(nn.Module):
    """An encoder with a head of one's own that, carelessly, averages over padding as well."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.encoder = BertModel(BertConfig(**SIZE), add_pooling_layer=False).double()
        self.head = nn.Linear(16, outputs).double()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Tensor:
        return self.head(self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state.mean(1))


def test_padding_and_special_tokens_get_exactly_nothing(model: nn.Module, tokenizer: Any) -> None:
    found = explain_texts(model, tokenizer, TEXTS, 1)
    assert found.tokens[2] == ("[CLS]", "bad", "##ly", "[SEP]")
    assert found.maps.shape == (3, 10)
    assert not found.maps[~found.kept].any()
    assert not found.maps[:, 0].any()
    assert [found.maps[i, len(tokens) - 1].item() for i, tokens in enumerate(found.tokens)] == [0.0] * 3
    assert (found.maps[1, 1:9] != 0).all()


def test_an_error_leaves_the_modes_as_found(tokenizer: Any) -> None:
    class Failing(MeanPooled):
        def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Tensor:
            raise ZeroDivisionError

    network = Failing(3).train()
    with pytest.raises(ZeroDivisionError):
        explain_texts(network, tokenizer, TEXTS)
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("special", ["hold", "explain"])
@pytest.mark.parametrize("careless", [False, True])
def test_sums_are_the_difference_to_the_baseline(
    model: nn.Module, tokenizer: Any, special: Any, careless: bool
) -> None:
    network = MeanPooled(3) if careless else model
    method = rr.IntegratedGradients(steps=200)
    found = explain_texts(network, tokenizer, TEXTS, 1, method=method, special=special)
    encoded = tokenizer(TEXTS, padding=True, return_tensors="pt")
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    held = (mask == 0) | (torch.isin(ids, torch.tensor([2, 3])) if special == "hold" else False)
    compared = torch.where(held, ids, 4)
    network.eval()
    with torch.no_grad():
        ends = [Logits(network)(each, attention_mask=mask)[:, 1] for each in (ids, compared)]
    assert torch.allclose(found.maps.sum(1), ends[0] - ends[1], atol=1e-4)
    assert found.gap is not None
    assert found.gap.abs().max() < 1e-4


def test_a_text_is_explained_as_if_it_were_alone(model: nn.Module, tokenizer: Any) -> None:
    together = explain_texts(model, tokenizer, TEXTS, 1)
    for i, text in enumerate(TEXTS):
        alone = explain_texts(model, tokenizer, [text], 1)
        assert torch.allclose(together.maps[i, together.kept[i]], alone.maps[0], atol=1e-10)
        assert torch.allclose(together.outputs[i], alone.outputs[0], atol=1e-10)


def test_chunks_change_nothing(model: nn.Module, tokenizer: Any) -> None:
    whole = explain_texts(model, tokenizer, TEXTS, 1)
    assert torch.allclose(whole.maps, explain_texts(model, tokenizer, TEXTS, 1, chunk=5).maps, atol=1e-10)


@pytest.mark.parametrize(
    "method",
    [rr.Gradient(), rr.InputTimesGradient(), rr.SmoothGrad(samples=4), rr.IntegratedGradients(steps=4)],
)
def test_methods_without_a_baseline_leave_padding_out_too(
    model: nn.Module, tokenizer: Any, method: rr.Attribution
) -> None:
    found = explain_texts(model, tokenizer, TEXTS, 1, method=method)
    assert not found.maps[~found.kept].any()
    assert (found.maps[:, 1] != 0).all()


def test_slopes_are_reduced_by_norm_because_their_sum_vanishes(model: nn.Module, tokenizer: Any) -> None:
    norms = explain_texts(model, tokenizer, TEXTS, 1, method=rr.Gradient()).maps
    sums = explain_texts(model, tokenizer, TEXTS, 1, method=rr.Gradient(), reduce="sum").maps
    assert sums.abs().max() < 1e-10 < norms[:, 1].min()
    integrated = explain_texts(model, tokenizer, TEXTS, 1, reduce="norm").maps
    assert (integrated >= 0).all()


def test_references_are_token_ids(model: nn.Module, tokenizer: Any) -> None:
    ids = tokenizer(TEXTS, padding=True, return_tensors="pt")["input_ids"]
    method = rr.ExpectedGradients(ids, samples=6)
    found = explain_texts(
        model, tokenizer, TEXTS, 1, method=method, generator=torch.Generator().manual_seed(0)
    )
    assert not found.maps[~found.kept].any()
    assert found.maps.abs().max() > 0


def test_the_highest_output_is_explained_unless_told(model: nn.Module, tokenizer: Any) -> None:
    model.train()
    found = explain_texts(model, tokenizer, TEXTS)
    assert isinstance(found.target, Tensor)
    assert torch.equal(found.target, found.outputs.argmax(1))
    assert model.training
    assert explain_texts(MeanPooled(), tokenizer, TEXTS).target is None


def test_texts_can_be_cut(model: nn.Module, tokenizer: Any) -> None:
    assert explain_texts(model, tokenizer, TEXTS, 0, most_tokens=4).maps.shape == (3, 4)


def test_texts_are_shown_without_padding(model: nn.Module, tokenizer: Any) -> None:
    page = explain_texts(model, tokenizer, TEXTS, 0).show(2, title="badly done")
    assert page.html.count("<span") == 4
    assert "[PAD]" not in page.html


class TestEmbeddings:
    def test_found_wherever_the_encoder_is(self, model: nn.Module) -> None:
        assert embeddings_of(model) == "bert.embeddings.word_embeddings"
        assert embeddings_of(MeanPooled()) == "encoder.embeddings.word_embeddings"

    def test_several_or_none_are_not_guessed_between(self) -> None:
        with pytest.raises(rr.InputError, match=r"has 2 embeddings \(0, 1\): which one is of words"):
            embeddings_of(nn.Sequential(nn.Embedding(2, 2), nn.Embedding(2, 2)))
        with pytest.raises(rr.InputError, match="has 0 embeddings"):
            embeddings_of(nn.Linear(2, 2))


class TestWrongInput:
    @pytest.mark.parametrize("texts", [[], "one text"])
    def test_texts_are_a_list(self, model: nn.Module, tokenizer: Any, texts: Any) -> None:
        with pytest.raises(rr.InputError, match="texts (is a list|must be a sequence) of strings"):
            explain_texts(model, tokenizer, texts)

    @pytest.mark.usefixtures("without_type_checks")
    def test_choices_are_named(self, model: nn.Module, tokenizer: Any) -> None:
        with pytest.raises(rr.InputError, match="special must be one of 'hold', 'explain'; got 'drop'"):
            explain_texts(model, tokenizer, TEXTS, special="drop")  # pyright: ignore[reportArgumentType]
        with pytest.raises(rr.InputError, match="reduce must be one of 'sum', 'norm', None; got 'max'"):
            explain_texts(model, tokenizer, TEXTS, reduce="max")  # pyright: ignore[reportArgumentType]

    def test_the_baseline_is_a_token(self, model: nn.Module, tokenizer: Any) -> None:
        with pytest.raises(rr.InputError, match="it has no 'nothing'"):
            explain_texts(model, tokenizer, TEXTS, baseline="nothing")
        assert explain_texts(model, tokenizer, TEXTS, 0, baseline="[UNK]").maps.abs().max() > 0

    def test_methods_that_know_no_layers(self, model: nn.Module, tokenizer: Any) -> None:
        with pytest.raises(rr.InputError, match="RandomMap has no field at"):
            explain_texts(model, tokenizer, TEXTS, method=rr.RandomMap())

    def test_a_model_without_a_head(self, tokenizer: Any) -> None:
        with pytest.raises(rr.InputError, match=r"must return a tensor; got .* of 'last_hidden_state'"):
            explain_texts(BertModel(BertConfig(**SIZE)), tokenizer, TEXTS)

    def test_texts_longer_than_the_positions(self, tokenizer: Any) -> None:
        short = BertForSequenceClassification(BertConfig(**SIZE, num_labels=3, max_position_embeddings=8))
        with pytest.raises(
            rr.InputError, match=r"a text has 12 tokens, and the model has 8 positions.*most_tokens=8"
        ):
            explain_texts(short, tokenizer, ["good " * 10], 1)
        assert explain_texts(short, tokenizer, ["good " * 10], 1, most_tokens=8).maps.shape == (1, 8)

    def test_a_tokenizer_without_a_mask(self, model: nn.Module) -> None:
        with pytest.raises(rr.InputError, match="gives no attention_mask"):
            explain_texts(model, lambda *_, **__: {"input_ids": torch.ones(1, 2)}, TEXTS)

    def test_without_a_mask_token_padding_is_compared_with(self) -> None:
        from rightreasons.integrations.transformers import _baseline

        assert _baseline(SimpleNamespace(mask_token_id=None, pad_token_id=0), None) == 0
