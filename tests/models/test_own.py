import sys

import pytest
import torch
from torch import nn

from rightreasons.core._errors import InputError
from rightreasons.models import build, from_path

CODE = """
import torch
from own_neighbour import UNITS

def line(shape, outputs=1, units=UNITS):
    return torch.nn.Sequential(torch.nn.Linear(shape[0], units), torch.nn.Linear(units, outputs))

class Everything(torch.nn.Module):
    def __init__(self, **fields):
        super().__init__()
        self.fields = fields

def number(): return 3
CONSTANT = 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(CODE)
    (tmp_path / "own_neighbour.py").write_text("UNITS = 7\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").touch()
    (tmp_path / "own_package" / "inner.py").write_text(
        "from torch import nn\ndef make(): return nn.Identity()\n"
    )
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_a_network_of_ones_own_is_built_as_any_other(folder):
    model = build("own_network:line", {"units": 5}, shape=(4,), outputs=3, folder=folder)
    assert isinstance(model, nn.Sequential)
    assert model(torch.zeros(2, 4)).shape == (2, 3)
    assert model[0].out_features == 5
    assert build("own_network:line", shape=(4,), vocabulary=9, folder=folder)[0].out_features == 7
    assert build("own_network:Everything", shape=(4,), outputs=2, folder=folder).fields == {
        "shape": (4,),
        "outputs": 2,
    }
    assert isinstance(from_path("own_package.inner:make", folder)(), nn.Identity)


def test_the_path_is_as_before(folder):
    before = list(sys.path)
    from_path("own_network:line", folder)
    assert sys.path == before


def test_code_needs_a_folder(folder):
    with pytest.raises(
        InputError, match="'own_network:line' is code, which is only imported from a folder you name"
    ):
        build("own_network:line", shape=(4,))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("own_network", "is named module:factory, got 'own_network'"),
        ("../own_network:line", "is named module:factory"),
        ("own_network:line()", "is named module:factory"),
        ("own_netwrk:line", "own_netwrk.py, which is not there. Did you mean 'own_network'"),
        ("os:system", r"os.py, which is not there"),
        ("torch.hub:load", r"hub.py, which is not there"),
        ("own_network:lime", "defines no class or function 'lime'. Did you mean 'line'"),
        ("own_network:CONSTANT", "defines no class or function 'CONSTANT'"),
    ],
)
def test_what_is_not_in_the_folder_is_not_found(folder, name, match):
    with pytest.raises(InputError, match=match):
        from_path(name, folder)


def test_a_name_that_is_taken_is_refused(folder):
    (folder / "json.py").write_text("def make(): pass\n")
    with pytest.raises(
        InputError, match="The name 'json' belongs to .* already, so .*json.py would not be used"
    ):
        from_path("json:make", folder)


def test_code_that_fails_is_told_with_its_file(folder):
    (folder / "own_broken.py").write_text("import nowhere_at_all\n")
    with pytest.raises(
        InputError, match="own_broken.py cannot be imported: ModuleNotFoundError: .*nowhere_at_all"
    ):
        from_path("own_broken:make", folder)


def test_factories_are_checked_like_named_models(folder):
    with pytest.raises(InputError, match="has no field 'unit'. Did you mean 'units'"):
        build("own_network:line", {"unit": 3}, shape=(4,), folder=folder)
    with pytest.raises(InputError, match="must return a torch.nn.Module, got int"):
        build("own_network:number", folder=folder)
    with pytest.raises(InputError, match="cannot be built from {}: .*shape"):
        build("own_network:line", folder=folder)
