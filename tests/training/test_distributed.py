"""DistributedDataParallel of the Objective, two gloo processes against one, in float64.

Exact for any split of the rows: the task's loss, which is that of the whole batch on every rank, batch-coupled priors,
whose mean spans the ranks, and per-row priors, weighed by each rank's share of the rows. One pair of processes runs
all cases: starting them is what takes the time.
"""

import datetime
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import rightreasons as rr
from rightreasons import priors, tasks, training
from rightreasons.core._distributed import batch_mean, mean_over_ranks, means_across_ranks
from tests.networks import CLASSES, NETWORKS, labels

SECONDS = 120
EQUAL, UNEVEN = (4, 4), (6, 2)
NETWORK = NETWORKS["mlp tanh"]


class Learned(nn.Module):
    coupled = True

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 4).double())

    def forward(self, maps: Tensor, guidance: Tensor | None = None) -> Tensor:
        return (batch_mean(maps.abs()) * self.scale).square().sum()


def learned_prior() -> priors.LearnedPrior:
    names = ["a", "b", "c", "d"]
    meta = priors.MetaFeatures.from_table({"size": [0.3, -1.0, 2.0, 0.5]}, names, names=names)
    network = nn.Linear(1, 1).double()
    nn.init.constant_(network.weight, 0.02)
    nn.init.constant_(network.bias, 0.1)
    return priors.LearnedPrior(meta, network, distance="l2", level="global")


def zero_task(outputs: Tensor, y: Tensor) -> Tensor:
    """Leaves the penalty alone, with gradients for every parameter."""
    return outputs.sum() * 0


PRIORS: dict[str, Callable[[], Any]] = {
    "L2": priors.L2,
    "Gini": priors.Gini,
    "L2 global": lambda: priors.L2("global"),
    "learned": Learned,
    "LearnedPrior global": learned_prior,
}
ENGINES = {"double": training.DoubleBackprop(), "recompute": training.Recompute(2)}


def objective(prior: str, engine: str, model: nn.Module, **fields: Any) -> training.Objective:
    penalty = training.Penalty(rr.IntegratedGradients(steps=3), PRIORS[prior](), 0.7, **fields)
    return training.Objective(model, tasks.MultiClass(CLASSES), [penalty], engine=ENGINES[engine])


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {name.removeprefix("module."): p.grad for name, p in module.named_parameters()}


def single(prior: str, engine: str, rows: int, network: str = "mlp tanh") -> dict[str, Tensor | None]:
    whole = objective(prior, engine, NETWORKS[network].make())
    whole(NETWORKS[network].inputs(rows), labels(rows)).total.backward()
    return gradients(whole)


CASES = [(prior, engine, rows) for prior in PRIORS for engine in ENGINES for rows in (EQUAL, UNEVEN)]


def _case(rank: int, prior: str, engine: str, rows: tuple[int, int], **ddp: Any) -> dict[str, Tensor | None]:
    wrapped = DistributedDataParallel(objective(prior, engine, NETWORK.make()), **ddp)
    mine = slice(sum(rows[:rank]), sum(rows[: rank + 1]))
    for _ in range(2 if ddp.get("static_graph") else 1):
        wrapped.zero_grad()
        wrapped(NETWORK.inputs(sum(rows))[mine], labels(sum(rows))[mine]).total.backward()
    return gradients(wrapped)


def all_cases(rank: int) -> dict[Any, Any]:
    return {case: _case(rank, *case) for case in CASES}


def settings(rank: int) -> dict[Any, Any]:
    found = {}
    for engine in ENGINES:
        for name in ("find_unused_parameters", "static_graph", "gradient_as_bucket_view"):
            found[engine, name] = _case(rank, "Gini", engine, EQUAL, **{name: True})
    return found


def unused_parameters(rank: int) -> dict[Any, Any]:
    """A frozen and an unused parameter, default DDP settings: only Recompute shows DDP every parameter."""
    network = NETWORKS["tied frozen unused"]
    wrapped = DistributedDataParallel(objective("L2", "recompute", network.make()))
    rows = slice(4 * rank, 4 * rank + 4)
    for _ in range(2):
        wrapped.zero_grad()
        wrapped(network.inputs(8)[rows], labels(8)[rows]).total.backward()
    return gradients(wrapped)


class OneOutput(nn.Module):
    """The network's first output, as a column."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = NETWORK.make()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[:, :1]


TIMES = torch.stack(
    [torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6]), torch.tensor([1.0, 1, 0, 1, 1, 0, 1, 1])], 1
).double()
OTHERS: dict[str, Callable[[], tuple[training.Objective, Tensor]]] = {
    "class weights": lambda: (
        training.Objective(NETWORK.make(), tasks.MultiClass(CLASSES, weights=(1.0, 5.0, 0.2))),
        labels(8),
    ),
    "survival": lambda: (training.Objective(OneOutput(), tasks.Survival()), TIMES),
    "draws": lambda: (
        training.Objective(
            NETWORK.make(),
            tasks.MultiClass(CLASSES),
            [training.Penalty(rr.ExpectedGradients(NETWORK.inputs(5), samples=2), priors.L1(), 0.7)],
        ),
        labels(8),
    ),
}


def _other(name: str, rank: int | None = None) -> dict[str, Tensor | None]:
    """Rank r has rows r, r + 2, ... as in `fit`, seven altogether."""
    made, y = OTHERS[name]()
    rows = slice(0, 7) if rank is None else slice(rank, 7, 2)
    module = made if rank is None else DistributedDataParallel(made)
    generator = torch.Generator().manual_seed(3)
    module(NETWORK.inputs(8)[rows], y[rows], generator=generator).total.backward()
    return gradients(module)


def others(rank: int) -> dict[Any, Any]:
    return {name: _other(name, rank) for name in OTHERS}


def measured(rank: int) -> dict[Any, Any]:
    """Weight "auto" and ratios are the same number on both ranks; outside, a mean is the rank's own."""
    model = DistributedDataParallel(
        training.Objective(
            NETWORK.make(),
            tasks.MultiClass(CLASSES),
            [training.Penalty(rr.Gradient(), priors.Gini(), "auto")],
        )
    )
    rows = slice(4 * rank, 4 * rank + 4)
    got = model(NETWORK.inputs(8)[rows], labels(8)[rows], gradient_ratios=True)
    here = torch.full((2 + rank, 1), float(rank))
    with means_across_ranks():
        inside, number = batch_mean(here), mean_over_ranks(float(rank), torch.device("cpu"))
    return {
        "weights": got.weights,
        "ratios": got.gradient_ratios,
        "outside": float(batch_mean(here)),
        "inside": float(inside),
        "number": number,
    }


def _worker(rank: int, port: int, work: Callable[[int], Any], folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=SECONDS // 2))
    try:
        (Path(folder) / str(rank)).write_bytes(pickle.dumps(work(rank)))
    finally:
        dist.destroy_process_group()


def on_two_ranks(work: Callable[[int], Any], folder: Path) -> list[Any]:
    """What `work` returns on each of two processes; they are ended if they take too long."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.spawn(_worker, (port, work, str(folder)), nprocs=2, join=False)
    try:
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=SECONDS)
        while not context.join(timeout=1):
            if datetime.datetime.now() > deadline:
                pytest.fail(f"two processes did not finish within {SECONDS} s")
    finally:
        for process in context.processes:
            process.kill()
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(2)]


def same(got: dict[str, Tensor | None], expected: dict[str, Tensor | None]) -> None:
    assert {n: g is None for n, g in got.items()} == {n: g is None for n, g in expected.items()}
    for name, g in got.items():
        wanted = expected[name]
        if g is not None and wanted is not None:
            assert (g - wanted).norm() <= 1e-10 * wanted.norm().clamp(min=1e-6), name


def everything(rank: int) -> dict[str, Any]:
    return {work.__name__: work(rank) for work in (all_cases, others, settings, unused_parameters, measured)}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_two_ranks(everything, tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_one_process(ranks: list[dict[str, Any]], case: Any) -> None:
    prior, engine, rows = case
    for found in ranks:
        same(found["all_cases"][case], single(prior, engine, sum(rows)))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_weights_risk_sets_and_draws_are_those_of_one_process(ranks: list[dict[str, Any]], name: str) -> None:
    for found in ranks:
        same(found["others"][name], _other(name))


@pytest.mark.slow
def test_settings_of_ddp_do_not_matter(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        for (engine, _), got in found["settings"].items():
            same(got, single("Gini", engine, 8))


@pytest.mark.slow
def test_recompute_needs_no_find_unused_parameters(ranks: list[dict[str, Any]]) -> None:
    expected = single("L2", "recompute", 8, "tied frozen unused")
    used = {name: g for name, g in expected.items() if "unused" not in name}
    for found in ranks:
        got = found["unused_parameters"]
        assert all(g is None or not g.any() for name, g in got.items() if "unused" in name)
        same({name: got[name] for name in used}, used)


@pytest.mark.slow
def test_what_is_measured_is_the_same_on_every_rank(ranks: list[dict[str, Any]]) -> None:
    first, second = (found["measured"] for found in ranks)
    assert first["weights"] == second["weights"]
    assert first["ratios"] == second["ratios"]
    assert (first["outside"], second["outside"]) == (0.0, 1.0)
    assert first["inside"] == second["inside"] == pytest.approx(3 / 5)
    assert first["number"] == second["number"] == 0.5


def test_one_process_means_are_plain_means() -> None:
    x = torch.randn(3, 4)
    with means_across_ranks():
        torch.testing.assert_close(batch_mean(x), x.mean(0))
        assert batch_mean(torch.full((2, 1), 3e38)).item() == pytest.approx(3e38)  # the sum would overflow
        assert mean_over_ranks(0.3, torch.device("cpu")) == 0.3
