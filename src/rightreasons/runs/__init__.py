"""Run directories: what a recipe asks for is trained, chosen, measured and summarised, and nothing twice."""

from rightreasons.core._extras import require as _require

_require("train", "safetensors", "scipy", "lightning_fabric")

from rightreasons.runs.execution._runner import Progress, run  # noqa: E402
from rightreasons.runs.inference._evaluate import evaluate, evaluation_text  # noqa: E402
from rightreasons.runs.inference._explain import Job  # noqa: E402
from rightreasons.runs.inference._load import Trained, load  # noqa: E402
from rightreasons.runs.inference._store import MapStore  # noqa: E402
from rightreasons.runs.inference._stream import Streamed, explain  # noqa: E402
from rightreasons.runs.results._compare import compare, comparison_text  # noqa: E402
from rightreasons.runs.results._export import attributions  # noqa: E402
from rightreasons.runs.results._files import RunDirectory  # noqa: E402
from rightreasons.runs.results._tables import write_table  # noqa: E402
from rightreasons.runs.setup._plan import Fit, plan  # noqa: E402

__all__ = [
    "Fit",
    "Job",
    "MapStore",
    "Progress",
    "RunDirectory",
    "Streamed",
    "Trained",
    "attributions",
    "compare",
    "comparison_text",
    "evaluate",
    "evaluation_text",
    "explain",
    "load",
    "plan",
    "run",
    "write_table",
]
