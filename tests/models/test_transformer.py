import math

import pytest
import torch

from rightreasons.core._errors import InputError
from rightreasons.models import Transformer
from rightreasons.models._transformer import Block


@torch.no_grad()
def test_attention_is_the_written_out_formula():
    block = Block(6, heads=2, activation="gelu", dropout=0.0).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    counts = torch.tensor([[True, True, True, False], [True, True, False, False]])
    found = block._attend(x, counts)
    for b in range(2):
        q, k, v = block.query_key_value(x[b]).split(6, dim=1)
        heads = []
        for h in range(2):
            part = slice(3 * h, 3 * h + 3)
            rows = []
            for i in range(4):
                weights = [
                    math.exp(float(q[i, part] @ k[j, part]) / math.sqrt(3)) if counts[b, j] else 0.0
                    for j in range(4)
                ]
                rows.append(sum(w / sum(weights) * v[j, part] for j, w in enumerate(weights)))
            heads.append(torch.stack(rows))
        torch.testing.assert_close(found[b], block.mix(torch.cat(heads, 1)))


def test_heads_divide_the_width():
    with pytest.raises(InputError, match="width must be a multiple of heads, got 30 and 4"):
        Transformer((4, 7), width=30)
