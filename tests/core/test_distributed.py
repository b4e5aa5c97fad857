"""Means over the batch, on one process and on two that hold different numbers of rows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from rightreasons.core._distributed import batch_mean, mean_over_ranks, means_across_ranks


def test_one_process_takes_the_plain_mean() -> None:
    x = torch.randn(3, 2)
    wanted = (x / 3).sum(0)  # divided first, so that no sum overflows
    torch.testing.assert_close(wanted, x.mean(0), rtol=1e-6, atol=1e-7)  # float32: rounding aside, the mean
    assert torch.equal(batch_mean(x), wanted)
    with means_across_ranks():
        assert torch.equal(batch_mean(x), wanted)
        assert mean_over_ranks(2.5, x.device) == 2.5


def test_a_group_of_one_process_is_no_group(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        with means_across_ranks():
            assert batch_mean(torch.ones(3, 2)).tolist() == [1, 1]
    finally:
        dist.destroy_process_group()


RANK = """
import sys, torch, torch.distributed as dist
from rightreasons.core._distributed import batch_mean, mean_over_ranks, means_across_ranks
rank, path = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{path}/rendezvous", rank=rank, world_size=2)
whole = torch.arange(10, dtype=torch.float64).reshape(5, 2).sin()
mine = (whole[:2] if rank == 0 else whole[2:]).clone().requires_grad_()
assert torch.equal(batch_mean(mine), (mine / len(mine)).sum(0)), "outside the context nobody waits for others"
with means_across_ranks():
    mean = batch_mean(mine)
    assert mean_over_ranks(float(rank), mine.device) == 0.5
torch.testing.assert_close(mean, whole.mean(0))
mean.pow(3).sum().backward()
# DistributedDataParallel averages gradients: half of what each rank computes must add up to the single-process one.
reference = whole.clone().requires_grad_()
reference.mean(0).pow(3).sum().backward()
torch.testing.assert_close(mine.grad / 2, reference.grad[:2] if rank == 0 else reference.grad[2:])
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_have_the_mean_and_the_gradient_of_one(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path)], env=environment, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    ends = [(rank.communicate(timeout=120)[1], rank.returncode) for rank in ranks]
    assert all(code == 0 for _, code in ends), b"\n".join(said for said, _ in ends).decode()
