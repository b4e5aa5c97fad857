"""Captum's own table of cases, which of them ours must agree with, and the page that says so.

python -m tests.integrations.captum_table        writes docs/captum.md
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from captum.testing.attr.helpers.test_config import config

import rightreasons as rr

PAGE = Path(__file__).parents[2] / "docs" / "captum.md"

# The same thing by both names. Captum's LRP has epsilon 1e-9 and keeps batch-norm apart.
SAME: dict[str, rr.Attribution] = {
    "Saliency": rr.Gradient(),
    "InputXGradient": rr.InputTimesGradient(),
    "IntegratedGradients": rr.IntegratedGradients(),
    "GuidedBackprop": rr.GuidedBackprop(),
    "Deconvolution": rr.Deconvnet(),
    "DeepLift": rr.DeepLift(),
    "DeepLiftShap": rr.DeepLift(references=torch.zeros(1, 1)),
    "LRP": rr.LRP(rule=rr.Epsilon(1e-9), merge_norms=False),
    "LayerIntegratedGradients": rr.IntegratedGradients(),
    "LayerGradientXActivation": rr.InputTimesGradient(),
    "LayerDeepLift": rr.DeepLift(),
    "LayerDeepLiftShap": rr.DeepLift(references=torch.zeros(1, 1)),
    "LayerLRP": rr.LRP(rule=rr.Epsilon(1e-9), merge_norms=False),
    "LayerGradCam": rr.GradCAM(relu=False, upsample=None),
    "GuidedGradCam": rr.GuidedGradCAM(upsample="nearest"),
}
SCALED = "captum counts a functional scaling (x * 5, stacked multiples) twice: relevance does not sum to the output"
LAYERS = "a list of layers, or a layer with two outputs; ours explains one activation"
SKIPPED: dict[tuple[str, str], str] = {
    ("basic_layer_multi_output", ""): LAYERS,
    ("basic_layer_multi_output_with_internal_batching", ""): LAYERS,
    ("basic_layer_multi_output_dl_shap", ""): LAYERS,
    ("basic_layer_ig_multi_layer_multi_output", ""): LAYERS,
    ("basic_layer_ig_multi_layer_multi_output_with_input_wrapper", ""): LAYERS,
    ("basic_gradient_multi_layer_multi_output", ""): LAYERS,
    ("basic_multi_input", "LRP"): SCALED,
    ("basic_multi_input_multi_target", "LRP"): SCALED,
    ("basic_multi_input_multi_target_nt", "LRP"): SCALED,
    ("basic_multiple_tuple_target_nt", "LRP"): SCALED,
    (
        "conv_layer_single_target",
        "LayerDeepLift",
    ): "ends in a softmax, for which captum has a rule of its own",
    (
        "basic_layer_multi_inp_multi_target_dl_shap",
        "LayerDeepLiftShap",
    ): "references meet keywords that differ by row",
}
VECTORS = "explains a vector; ours is for images (B, C, H, W)"


def entries() -> Iterator[tuple[dict[str, Any], Any, str | None]]:
    """Every entry with each of its algorithms that we have, and why it is skipped, if it is."""
    for entry in config:
        for algorithm in entry["algorithms"]:
            name = algorithm.__name__
            if name not in SAME:
                continue
            why = SKIPPED.get((entry["name"], name)) or SKIPPED.get((entry["name"], ""))
            if name == "LayerGradCam" and "conv" not in entry["name"] and why is None:
                why = VECTORS
            yield entry, algorithm, why


def page() -> str:
    """The page as Markdown."""
    found = list(entries())
    others = Counter(a.__name__ for e in config for a in e["algorithms"] if a.__name__ not in SAME)
    tested = Counter(a.__name__ for _, a, why in found if why is None)
    skipped = [f"| `{e['name']}` | `{a.__name__}` | {why} |" for e, a, why in found if why is not None]
    same = [f"| `{theirs}` | `{ours!r}` | {tested[theirs]} |" for theirs, ours in SAME.items()]
    return "\n".join(
        [
            "# Beside captum",
            "",
            "`rightreasons.integrations.captum` has our methods behind captum's `attribute`, and captum's algorithms "
            "as methods of ours. captum 0.9.0 brings a table of models, inputs and arguments for its own tests "
            f"(`captum.testing.attr.helpers.test_config`): {len(found) + sum(others.values())} pairs of case and "
            f"algorithm. Of the {len(found)} whose algorithm we have, {len(found) - len(skipped)} agree to a relative "
            f"1e-5 in float32, checked at every run of the tests; {len(skipped)} are skipped, for the reasons below. "
            "Its test files themselves are not in the package on PyPI, nor in its source archive.",
            "",
            "| captum | here | cases that agree |",
            "|---|---|---|",
            *same,
            "",
            "## Skipped",
            "",
            "| case | algorithm | why |",
            "|---|---|---|",
            *skipped,
            "",
            "## Algorithms that are not here",
            "",
            "Pairs in the table: "
            + ", ".join(f"`{name}` {count}" for name, count in sorted(others.items()))
            + ".",
            "",
            "`GradientShap` draws at random from numpy's global state, so no two runs agree: `ExpectedGradients` is "
            "compared with its exact value instead. Perturbation methods and attributions of single neurons are "
            "out of scope; `from_captum` makes metrics and audits take captum's.",
            "",
            "## What is otherwise on purpose",
            "",
            "- With several baselines the convergence delta is one number for each row, the mean; captum gives one for "
            "each pair of row and baseline.",
            "- DeepLift has no rule for a softmax, as captum's has (14 of its own tests ask for one): the sum of such "
            "contributions is not the difference of the probabilities. Explain the logits below a softmax head: pass "
            "the model without it, such as `model[:-1]`.",
            "- Modules that run twice are explained, where captum's DeepLift and LRP raise.",
            "- LRP shares relevance at `x + y` in every way it is written; captum needs a module of its own for it.",
            "- A target gives one number: an output of shape (1, 2, 1) takes `(1, 0)`, where captum takes `1` as well.",
            "- Models whose output has fewer rows than their input are refused.",
            "- `multiply_by_inputs=False` is a field, `IntegratedGradients(multiply_by_inputs=False)`; of DeepLIFT it "
            "is `DeepLift(contribution=lambda m, x, r: m)`. Expected gradients and LRP have contributions only.",
            "- `custom_attribution_func` is the field `contribution` of DeepLIFT, and an argument of `attribute`.",
            "- Errors of `attribute` are both ours (`InputError`) and captum's (`AssertionError`).",
            "- The trapezoidal rule weighs both ends by half a step, so that it integrates constants exactly; captum's "
            "`riemann_trapezoid` with n points leaves out 1/n of them.",
            "- Negative target indices are refused; captum counts them from the end.",
            "- Grad-CAM takes one image input; captum's takes several and upsamples to each.",
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
