import pytest
import torch

from rightreasons.core._errors import ShapeError
from rightreasons.priors import L2, Gini, Grouped, Mask, Monotone

COLUMNS = {"age": (0,), "sex": (1, 2)}


def test_opposite_parts_of_a_column_cancel_as_they_do_in_reports() -> None:
    assert float(Grouped(L2(), COLUMNS)(torch.tensor([[0.0, 2.0, -2.0]]))) == 0.0


def test_masks_signs_and_guidance_are_about_columns() -> None:
    maps = torch.tensor([[1.0, 2.0, 3.0]])
    assert float(Grouped(Mask(torch.tensor([0, 1])), COLUMNS)(maps)) == 25.0
    assert float(Grouped(Monotone([0, -1]), COLUMNS)(maps)) == 5.0
    assert float(Grouped(Mask(), COLUMNS)(maps, guidance=torch.tensor([[1.0, 0.0]]))) == 1.0


def test_a_bilinear_form_exists_where_the_prior_has_one() -> None:
    assert hasattr(Grouped(L2(), COLUMNS), "bilinear")
    assert not hasattr(Grouped(Gini(), COLUMNS), "bilinear")
    with pytest.raises(AttributeError, match=r"Gini.* has no bilinear form, so neither has Grouped"):
        _ = Grouped(Gini(), COLUMNS).bilinear


def test_groups_of_other_data_are_refused() -> None:
    with pytest.raises(ShapeError, match="each of the 4 features"):
        Grouped(L2(), COLUMNS)(torch.ones(1, 4))


def test_prints_what_it_holds() -> None:
    assert repr(Grouped(L2(), COLUMNS)) == "Grouped(L2(level='sample'), <2 groups>)"
