"""What holds for every test: shapes and types are checked at run time, data is the same on every run."""

import os
import random
from collections.abc import Iterator

# Before torch is imported: the pytest workers are the parallelism, and sums come out the same on every run.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# 0 switches the run-time checks off, for timing or for reading an error without them.
os.environ.setdefault("RIGHTREASONS_TYPECHECK", "1")

import hypothesis
import jaxtyping
import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook

if os.environ["RIGHTREASONS_TYPECHECK"] == "1":
    install_import_hook("rightreasons", "beartype.beartype")

torch.set_num_threads(1)

# `pytest --hypothesis-profile=explore` looks for new counter-examples; the suite itself is reproducible.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def same_start() -> Iterator[None]:
    """Every test starts from the same random state and torch settings, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def without_type_checks() -> Iterator[None]:
    """Run as users do: the suite's run-time type checks would answer a wrong type before our own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
