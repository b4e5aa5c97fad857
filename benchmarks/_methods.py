"""Writes the tables of docs/which-method.md from what the methods say of themselves: `python benchmarks/_methods.py`.

A test compares the two, and others measure every entry of `Method.axioms`.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import rightreasons as rr

PAGE = Path(__file__).parents[1] / "docs" / "which-method.md"
BEGIN, END = "<!-- written by benchmarks/_methods.py -->\n", "<!-- end of what is written -->\n"

HEADINGS = {
    "complete": "completeness",
    "sensitive": "sensitivity",
    "dummy": "dummy",
    "implementation_invariant": "implementation invariance",
    "linear": "linearity",
    "differentiable": "trainable",
    "needs_baseline": "baseline",
    "random": "random",
}


def tables() -> str:
    """What stands between the two marks."""
    advice = [
        [f"`{m.__name__}`", m.advice.when, m.advice.not_when, str(gradients(default(m)))]
        for m in rr.methods()
    ]
    axioms = [
        [f"`{m.__name__}`", *("yes" if getattr(m.axioms, name) else "–" for name in HEADINGS)]
        for m in rr.methods()
        if not is_control(m)
    ]
    notes = [
        f"- `{m.__name__}`: {m.axioms.note}" for m in rr.methods() if m.axioms.note and not is_control(m)
    ]
    return "\n".join(
        [
            table(["method", "choose it when", "and not when", "gradients a row"], advice),
            "The last column counts rows of backward passes for each row explained, with the default settings.\n",
            "### What each method promises\n",
            table(["method", *HEADINGS.values()], axioms),
            "\n".join(notes) + "\n",
        ]
    )


def is_control(method: type[rr.Attribution]) -> bool:
    """Whether its maps know nothing of the model."""
    return method in (rr.RandomMap, rr.EdgeMap, rr.ConstantMap)


def default(method: type[rr.Attribution]) -> rr.Attribution:
    """The method as it comes."""
    return rr.ExpectedGradients(torch.zeros(300, 1, 6, 6)) if method is rr.ExpectedGradients else method()


def gradients(method: rr.Attribution) -> int:
    """Rows of backward passes for one row, counted on a small network."""
    convolution = nn.Conv2d(1, 2, 3, bias=False)
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(32, 2, bias=False))
    x: Tensor = torch.linspace(-1, 1, 36).reshape(1, 1, 6, 6)
    generator = torch.Generator().manual_seed(0)
    return method.explain(model, x, 1, generator=generator).evaluations.backward


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page(text: str) -> str:
    """The page with its tables written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.name}")
