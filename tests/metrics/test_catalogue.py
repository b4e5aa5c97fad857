import inspect

import pytest

from rightreasons import metrics
from rightreasons.metrics import METRICS
from tests.metrics.cases import CASES


def test_every_metric_is_in_the_table_and_has_a_case():
    takes_a_pair = {
        name
        for name in metrics.__all__
        if inspect.isfunction(value := getattr(metrics, name))
        and list(inspect.signature(value).parameters)[:2] == ["a", "b"]
    }
    assert takes_a_pair - {"lens"} == set(METRICS)  # `lens` is `lens_recall` with what is behind it
    assert {case.row.name for case in CASES} == set(METRICS)
    assert all(row.name == name == row.function.__name__ for name, row in METRICS.items())


def test_the_table_cannot_be_changed_by_accident():
    with pytest.raises(TypeError, match="does not support item assignment"):
        METRICS["mine"] = METRICS["ssim"]
