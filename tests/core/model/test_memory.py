from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rightreasons.core._errors import InputError
from rightreasons.core.model import _memory as memory


def failing_above(most: int, error: Exception, calls: list[int]):
    def call(chunk: int) -> str:
        calls.append(chunk)
        if chunk > most:
            raise error
        return "done"

    return call


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: 12"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_chunks_are_halved_until_they_fit(error: Exception) -> None:
    calls: list[int] = []
    assert memory.backing_off(failing_above(20, error, calls), 100) == ("done", 12)
    assert calls == [100, 50, 25, 12]


def test_other_errors_are_not_retried() -> None:
    calls: list[int] = []
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        memory.backing_off(failing_above(0, RuntimeError("shapes cannot be multiplied"), calls), 8)
    assert calls == [8]


def test_one_row_that_does_not_fit_is_an_error() -> None:
    calls: list[int] = []
    with pytest.raises(MemoryError):
        memory.backing_off(failing_above(0, MemoryError(), calls), 4)
    assert calls == [4, 2, 1]


def test_a_real_allocation_that_fails_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory.out_of_memory(caught.value)


def test_what_a_pass_keeps_is_counted_without_parameters() -> None:
    model = nn.Sequential(nn.Linear(100, 1000), nn.Tanh(), nn.Linear(1000, 1))
    x = torch.randn(1, 100)
    assert memory.kept_bytes(model, x) == 4 * (
        100 + 1000
    )  # the input, and the tanh's output, which is kept twice
    assert memory.kept_bytes(model, x.repeat(3, 1)) == 3 * 4 * (100 + 1000)


def test_little_memory_means_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Sequential(nn.Linear(100, 1000), nn.Tanh(), nn.Linear(1000, 1)), torch.randn(2, 100)
    free: list[int | None] = [None]
    monkeypatch.setattr(memory, "free_bytes", lambda device: free[0])
    assert memory.fitting(model, x) == 512
    free[0] = 10**12
    assert memory.fitting(model, x) == 512
    free[0] = 2 * 3 * 4 * 1100 * 7
    assert memory.fitting(model, x) == 7
    free[0] = 1
    assert memory.fitting(model, x) == 1


def test_tokens_can_be_counted_too() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embedding(x).mean(1))

    assert memory.kept_bytes(Words(), torch.zeros(1, 5, dtype=torch.int64)) >= 4 * 4


def test_free_memory_is_what_system_and_limits_leave(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   7 kB\n")
    assert memory._available(tmp_path / "meminfo") == 7 * 1024
    assert memory._available(tmp_path / "absent") is None
    assert memory._under_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("10\n")
    assert memory._under_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("25\n")
    assert memory._under_limit(tmp_path) == 15
    free = memory.free_bytes(torch.device("cpu"))
    assert free is None or free > 0


def test_running_out_is_one_line_and_other_errors_pass() -> None:
    @memory.within_memory("the job", "Take less.")
    def job(error: Exception) -> None:
        raise error

    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):
        with pytest.raises(InputError, match=r"^the job needs more memory than there is\. Take less\.$"):
            job(error)
    with pytest.raises(RuntimeError, match="shapes"):
        job(RuntimeError("shapes cannot be multiplied"))
