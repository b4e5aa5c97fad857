"""The repository keeps its promises: light import, exact public names, layers, versions, references."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import rightreasons
from rightreasons import attribution

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "rightreasons"
BASE = ("torch", "numpy", "jaxtyping")
# What a user's own loop needs: works without any extra.
LIGHT = [
    "rightreasons",
    "rightreasons.attacks",
    "rightreasons.metrics",
    "rightreasons.models",
    "rightreasons.plot",
    "rightreasons.priors",
    "rightreasons.stats",
    "rightreasons.tasks",
    "rightreasons.training",
]
PACKAGES = sorted(
    f"rightreasons.{found.name}"
    for found in pkgutil.iter_modules([str(SOURCE)])
    if found.ispkg and not found.name.startswith("_")
)


def closure(*distributions: str) -> set[str]:
    """The named distributions with everything they require themselves, extras aside."""
    seen: set[str] = set()
    waiting = list(distributions)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        seen.add(name)
        waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires if "extra ==" not in line]
    return seen


def modules_outside_base() -> list[str]:
    """Importable top-level names that none of the base dependencies brings."""
    base = closure(*BASE)
    return sorted(
        module
        for module, owners in metadata.packages_distributions().items()
        if module != "rightreasons"
        and module.isidentifier()
        and not base & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    )


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("module", LIGHT)
def test_import_works_when_only_the_base_dependencies_are_installed(module: str) -> None:
    # A None entry makes the import system raise ModuleNotFoundError: as if it were not installed.
    code = f"sys.modules.update(dict.fromkeys({modules_outside_base()!r}))\nfrom {module} import *"
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", LIGHT)
def test_import_loads_nothing_beyond_what_the_base_dependencies_load(module: str) -> None:
    code = (
        f"import {', '.join(BASE)}\nbefore = set(sys.modules)\nfrom {module} import *\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & set(modules_outside_base())


@pytest.mark.parametrize("arguments", ["--help", "--version", "train --help"])
def test_help_loads_neither_torch_nor_what_reads_and_draws(arguments: str) -> None:
    code = (
        f"from rightreasons.cli import main\nassert main({arguments.split()!r}) == 0\n"
        "heavy = 'torch numpy pandas sklearn scipy matplotlib rightreasons.runs rightreasons.recipes'\n"
        "sys.stderr.write(' '.join(sorted(set(heavy.split()) & set(sys.modules))))"
    )
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_of_the_root_are_imported_when_they_are_used() -> None:
    code = (
        "import rightreasons as rr\nassert 'torch' not in sys.modules\nrr.LRP\nassert 'torch' in sys.modules"
    )
    assert run_python(code).returncode == 0
    assert {*attribution.__all__, "DataError", "__version__"} <= set(rightreasons.__all__)
    assert {"LRP", "load", "training"} <= set(dir(rightreasons))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = rightreasons.nothing


def public_names(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }


@pytest.mark.parametrize("name", ["rightreasons", *PACKAGES])
def test_all_is_what_can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    declared = list(getattr(module, "__all__", []))
    assert len(declared) == len(set(declared))
    assert [entry for entry in declared if not hasattr(module, entry)] == []
    assert public_names(module) - set(declared) == set()


@pytest.mark.parametrize("name", ["rightreasons", *PACKAGES])
def test_every_public_name_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    undocumented = [
        entry
        for entry in sorted(public_names(module) & set(getattr(module, "__all__", [])))
        if inspect.isclass(value := getattr(module, entry)) or inspect.isfunction(value)
        # A dataclass without a docstring is given its own signature as one.
        if not value.__doc__ or value.__doc__.startswith(f"{value.__name__}(")
    ]
    assert undocumented == []


def test_imports_follow_the_layers() -> None:
    code = "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src'); {code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(\d[^\]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert rightreasons.__version__ == version
    assert citation["version"] == version
    assert released[0] == (version, str(citation["date-released"]))


def bibliography() -> list[str]:
    return re.findall(r"^@\w+\{([^,\s]+),", (SOURCE / "references.bib").read_text(), re.MULTILINE)


def docstrings(path: Path) -> str:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    return "\n".join(ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented))


def test_references_are_unique_and_sorted() -> None:
    assert bibliography() == sorted(set(bibliography()))


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_references_cited_in_docstrings_exist(path: Path) -> None:
    cited = re.findall(r"\[([a-z]+\d{4}[a-z]*)\]", docstrings(path))
    assert set(cited) - set(bibliography()) == set()


def test_every_dependency_the_tests_run_with_is_pinned_exactly() -> None:
    lines = (ROOT / "requirements" / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    assert [pin for pin in pins if re.match(r"nvidia|cuda|triton|torchvision", pin, re.IGNORECASE)] == []
