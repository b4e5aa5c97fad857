"""Words coloured by their attribution, as self-contained HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.plot._arrays import array, names_of
from rightreasons.plot._colours import INK, MUTED, diverging


@dataclass(frozen=True)
class Text:
    """One or several texts as HTML: shown by a notebook, added up by `+`, written by `save`."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __add__(self, other: "Text") -> "Text":
        """One below the other."""
        return Text(f"{self.html}\n{other.html}")

    def save(self, path: str | Path) -> Path:
        """Write a page of its own, in UTF-8; returns where."""
        where = Path(path)
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Attributions of words</title>'
        where.write_text(f"{head}<body>{self.html}</body></html>\n", encoding="utf-8")
        return where


@checked
def text(tokens: Sequence[str], phi: Tensor, *, title: str = "", scale: float | None = None) -> Text:
    """A text whose tokens are coloured by their attribution: red for, blue against what is explained.

    Pieces of words that begin with `##`, as BERT's tokenizers write them, are joined to the piece before. The number
    behind each token shows when the pointer rests on it; what full colour stands for is written below.

    Args:
        tokens: the words or pieces, in order.
        phi: (T,), or (T, D) as embeddings are explained: then the entries of a token are added up.
        title: a line above.
        scale: the magnitude with the full colour, to compare texts; None: the largest one of this text.

    Raises:
        InputError: `phi` is not finite, or `scale` not positive.
        ShapeError: there is not one entry for each token.

    Example:
        >>> import torch, rightreasons as rr
        >>> page = rr.plot.text(["not", "bad", "##ly"], torch.tensor([0.5, -1.0, 0.0]))
        >>> page.html.count("<span")
        3
    """
    found = array(phi, "the map", (1, 2))
    totals = found.sum(1) if found.ndim == 2 else found
    words = names_of(tokens, len(totals), "tokens")
    if scale is not None and not scale > 0:
        raise InputError(f"scale is the magnitude with the full colour, above 0; got {scale!r}.")
    most = scale or float(np.abs(totals).max()) or 1.0
    shares = np.clip(totals / most, -1, 1)
    spans = [_span(w, v, s) for w, v, s in zip(words, totals, shares, strict=True)]
    heading = f'<p style="margin:0 0 .3em;font-weight:600">{escape(title)}</p>' if title else ""
    legend = f"red for, blue against; full colour ± {most:.2g}; sum {totals.sum():.2g}"
    return Text(
        f'<div style="font:15px/2 system-ui,sans-serif;color:{INK};background:#fff;padding:.6em;max-width:60em">'
        f'{heading}<p style="margin:0;overflow-wrap:anywhere">{"".join(spans).strip()}</p>'
        f'<p style="margin:.2em 0 0;font-size:12px;color:{MUTED}">{legend}</p></div>'
    )


def _span(word: str, value: float, share: float) -> str:
    piece = word.startswith("##") and len(word) > 2
    colour = diverging(np.array(share))
    ink = "#fff" if colour @ np.array([0.299, 0.587, 0.114]) < 0.5 else INK
    background = "#" + "".join(f"{round(255 * part):02x}" for part in colour)
    return (
        f'{"" if piece else " "}<span title="{value:.3g}" style="background:{background};color:{ink};'
        f'padding:.15em {"0" if piece else ".2em"};border-radius:.2em">{escape(word[2:] if piece else word)}</span>'
    )
