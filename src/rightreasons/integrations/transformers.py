"""Texts through models of Hugging Face: explained at their word embeddings, padding left out.

transformers itself is needed by whoever makes the model and the tokenizer; nothing of it is imported here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from rightreasons.attribution import Attribution, Gradient, IntegratedGradients, SmoothGrad
from rightreasons.core._called import called
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._score import Target
from rightreasons.core._suggest import names_in
from rightreasons.core.model._guard import explaining
from rightreasons.plot import Text
from rightreasons.plot import text as _coloured

__all__ = ["Logits", "TextExplanation", "embeddings_of", "explain_texts"]

Special = Literal["hold", "explain"]
Reduce = Literal["sum", "norm"]


@checked
class Logits(nn.Module):
    """A model of Hugging Face as a function of token ids alone that returns a tensor.

    Args:
        model: what it returns has `logits`, or is a tensor already.

    Example:
        >>> from types import SimpleNamespace
        >>> network = nn.Module()
        >>> network.forward = lambda input_ids, attention_mask: SimpleNamespace(logits=input_ids.float())
        >>> Logits(network)(torch.ones(1, 2, dtype=torch.int64), attention_mask=torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, **others: Any) -> Tensor:
        """The logits."""
        return called(self.model, (), {"input_ids": input_ids, **others})


@dataclass(frozen=True, eq=False)
class TextExplanation:
    """Maps of texts with what is known about them; T is the length of the longest text in tokens.

    Attributes:
        tokens: of each text, special ones included, padding left out.
        maps: one number for each token, made of those of its embedding by `reduce`; exactly zero at padding.
        kept: where there is a token rather than padding.
        gap: per text, f(x) - f(baseline) minus the sum of its map; None for methods that are not complete.
        outputs: of the model.
        target: which output was explained; None where there is one.
    """

    tokens: tuple[tuple[str, ...], ...]
    maps: Float[Tensor, "B T"]
    kept: Bool[Tensor, "B T"]
    gap: Float[Tensor, "B"] | None
    outputs: Float[Tensor, "B *C"]
    target: Target

    def show(self, row: int = 0, *, title: str = "", scale: float | None = None) -> Text:
        """A text on the colours of its map, as `rr.plot.text` draws it."""
        return _coloured(self.tokens[row], self.maps[row, self.kept[row]], title=title, scale=scale)


@checked
def explain_texts(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[str],
    target: Target = None,
    *,
    method: Attribution | None = None,
    special: Special = "hold",
    reduce: Reduce | None = None,
    baseline: str | None = None,
    most_tokens: int | None = None,
    chunk: int | None = None,
    generator: torch.Generator | None = None,
) -> TextExplanation:
    """Which tokens speak for the output of a text classifier, explained at its word embeddings.

    Methods with a baseline compare each text with one whose every token is the `baseline` token, and whose padding,
    and with `special="hold"` whose [CLS] and [SEP], are the text's own: they cannot get any attribution, and maps stay
    complete. Other methods have what they say about those positions set to zero.

    Cost: of the method, on as many rows as texts, padded to the longest.

    Args:
        model: a classifier of transformers, or a module that takes `input_ids` and `attention_mask` and returns a
            tensor (B, C) or (B,).
        tokenizer: of transformers, fast or slow.
        texts: any number of them; encoded together.
        target: as for every method; None: the highest output of each text.
        method: with a field `at`, which is set here; default `IntegratedGradients(steps=64)`.
        reduce: "sum" over a token's embedding, which keeps maps complete, or its Euclidean "norm"; default "norm" for
            `Gradient` and `SmoothGrad`, whose sum a layer normalisation makes zero, and "sum" for all others.
        special: "hold" gives special tokens no attribution, "explain" treats them as the others.
        baseline: token to compare with; default [MASK], or where the tokenizer has none, padding.
        most_tokens: longer texts are cut; a text of more tokens than the model has positions is refused.
        chunk: most rows in one forward pass.
        generator: CPU generator of the draws.

    Raises:
        InputError: no texts, a token that is none, a method without `at`, no classifier.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification, BertTokenizer
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"]
        >>> tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
        >>> size = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
        >>> model = BertForSequenceClassification(BertConfig(vocab_size=len(words), **size))
        >>> found = explain_texts(model, tokenizer, ["good", "good film"])
        >>> found.tokens[0], found.maps[0, 3].item()
        (('[CLS]', 'good', '[SEP]'), 0.0)
    """
    texts = names_in("texts", texts)
    encoded = _encoded(tokenizer, texts, most_tokens, next(model.parameters()).device)
    ids, kept = encoded.pop("input_ids"), encoded["attention_mask"].bool()
    _check_length(model, ids)
    network = Logits(model)
    held = ~kept | (_special(tokenizer, ids) if special == "hold" else False)
    chosen = method or IntegratedGradients(steps=64)
    names = {field.name for field in fields(chosen)}  # pyright: ignore[reportArgumentType]
    if "at" not in names:
        raise InputError(
            f"{type(chosen).__name__} has no field at, so it cannot be asked for maps of the word embeddings. Take "
            "IntegratedGradients, ExpectedGradients, Gradient, InputTimesGradient or SmoothGrad."
        )
    changed: dict[str, Any] = {"at": f"model.{embeddings_of(model)}"}
    if "baseline" in names:
        compared = torch.full_like(ids, _baseline(tokenizer, baseline))
        changed["baseline"] = torch.where(held, ids, compared)
    if target is None:
        target = _highest(network, ids, encoded)
    found = replace(chosen, **changed).explain(  # pyright: ignore[reportArgumentType]
        network, ids, target, generator=generator, chunk=chunk, model_kwargs=encoded
    )
    if not isinstance(found.maps, Tensor):
        raise InputError(f"{type(chosen).__name__} gives several maps; word embeddings have one.")
    tokens = [
        tuple(tokenizer.convert_ids_to_tokens(row[own].tolist())) for row, own in zip(ids, kept, strict=True)
    ]
    slopes = isinstance(chosen, Gradient | SmoothGrad)
    by_norm = reduce == "norm" or (reduce is None and slopes)
    maps = (found.maps.norm(dim=2) if by_norm else found.maps.sum(2)).masked_fill(held, 0.0)
    return TextExplanation(tuple(tokens), maps, kept, found.gap, found.outputs.detach(), target)


@checked
def embeddings_of(model: nn.Module) -> str:
    """Name of the layer that turns token ids into vectors.

    Raises: InputError if there is none, or several: then say `at` yourself.

    >>> embeddings_of(nn.Sequential(nn.Embedding(3, 2), nn.Flatten()))
    '0'
    """
    own = getattr(model, "get_input_embeddings", None)
    layer = own() if callable(own) else None
    names = [
        name
        for name, module in model.named_modules()
        if (module is layer if layer is not None else isinstance(module, nn.Embedding))
    ]
    if layer is None:  # an encoder inside a module of one's own knows its word embeddings
        for name, module in model.named_modules():
            inner = getattr(module, "get_input_embeddings", None)
            if name and callable(inner):
                return f"{name}.{embeddings_of(module)}"
    if len(names) != 1:
        raise InputError(
            f"the model has {len(names)} embeddings ({', '.join(names)}): which one is of words cannot be told. Give "
            "it a method get_input_embeddings() that returns it."
        )
    return names[0]


def _encoded(
    tokenizer: Any, texts: Sequence[str], most: int | None, device: torch.device
) -> dict[str, Tensor]:
    if isinstance(texts, str) or not texts:
        raise InputError(f"texts is a list of strings, at least one; got {texts!r}.")
    cut: dict[str, Any] = {} if most is None else {"truncation": True, "max_length": most}
    found = tokenizer(list(texts), padding=True, return_tensors="pt", **cut)
    if "attention_mask" not in found:
        raise InputError("the tokenizer gives no attention_mask, so padding cannot be told from text.")
    return {name: values.to(device) for name, values in found.items()}


def _check_length(model: nn.Module, ids: Int64[Tensor, "B T"]) -> None:
    """Raise if a text has more tokens than the model has learned positions."""
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    positions = [m for name, m in model.named_modules() if "position" in name and isinstance(m, nn.Embedding)]
    if not isinstance(most, int) or not positions:  # relative or rotary positions have no end
        return
    offset = positions[0].padding_idx  # RoBERTa's begin behind the padding's
    most = most if offset is None else most - offset - 1
    if ids.shape[1] > most:
        raise InputError(
            f"a text has {ids.shape[1]} tokens, and the model has {most} positions. Cut longer texts, "
            f"most_tokens={most}, or explain them in parts."
        )


def _special(tokenizer: Any, ids: Int64[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    known = [each for each in tokenizer.all_special_ids if each != tokenizer.unk_token_id]
    return torch.isin(ids, torch.tensor(known, device=ids.device))


def _baseline(tokenizer: Any, token: str | None) -> int:
    if token is None:
        fallback = tokenizer.pad_token_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id
        return int(fallback)
    found = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(found, int) or (found == tokenizer.unk_token_id and token != tokenizer.unk_token):
        raise InputError(f"baseline must be a token of the tokenizer; it has no {token!r}.")
    return found


def _highest(network: Logits, ids: Tensor, others: dict[str, Tensor]) -> Target:
    with explaining(network, second_order=False) as model, torch.no_grad():
        outputs = model(ids, **others)
    return None if outputs[0].numel() == 1 else outputs.argmax(1)
