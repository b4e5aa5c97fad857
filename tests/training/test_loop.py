"""The loop: it minimises, is a function of its seed, and survives being killed."""

import multiprocessing
import os
import random
import signal
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import rightreasons as rr
from rightreasons import DivergedError, InputError, ShapeError, priors, tasks, training
from rightreasons.training._batches import Rows

ROWS, FEATURES, CLASSES = 48, 6, 3
DOUBLE = partial(training.fit, precision="64-true")


def problem(rows=ROWS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, FEATURES, generator=generator, dtype=torch.float64)
    return x, x[:, :CLASSES].argmax(1)


def objective(weight=0.1, dropout=0.2, penalties=True):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, CLASSES)
    ).double()
    references = problem(16, seed=1)[0]
    terms = [training.Penalty(rr.ExpectedGradients(references), priors.L1(), weight)] if penalties else []
    return training.Objective(model, tasks.MultiClass(CLASSES), terms)


def weights(of):
    """Without the objective's own state, text as bytes that counts batches."""
    return torch.cat([p.flatten() for p in of.state_dict().values() if p.is_floating_point()])


def test_the_loss_falls_and_the_record_says_so():
    fitted = DOUBLE(objective(dropout=0.0), problem(), epochs=40, batch_size=16)
    first, last = fitted.history[0], fitted.history[-1]
    assert last["task"] < 0.8 * first["task"]
    assert last["loss"] == pytest.approx(last["task"] + 0.1 * last["penalty/L1"])
    assert last["weight/L1"] == 0.1
    assert fitted.steps == 40 * 3
    assert fitted.best_epoch is None


def test_a_run_is_a_function_of_its_seed():
    runs = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        trained = objective()
        DOUBLE(trained, problem(), epochs=3, batch_size=20, seed=seed)
        runs.append(weights(trained))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_callers_random_state_is_left_as_found():
    trained = objective()
    before = torch.get_rng_state()
    DOUBLE(trained, problem(), epochs=1, batch_size=16)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_best_epoch_is_kept_and_patience_stops():
    trained = objective(dropout=0.0)
    fitted = DOUBLE(
        trained, problem(), validation=problem(40, seed=2), epochs=200, batch_size=16, patience=3,
        optimizer=partial(torch.optim.Adam, lr=0.05),
    )  # fmt: skip
    accuracies = [record["validation"]["accuracy"] for record in fitted.history]
    assert fitted.stopped_early
    assert len(accuracies) == fitted.best_epoch + 4
    assert accuracies[fitted.best_epoch] == max(accuracies)
    assert trained.step == 3 * len(accuracies)  # steps taken, not those up to the best epoch
    x, y = problem(40, seed=2)
    trained.eval()
    with torch.no_grad():
        assert trained.task.metrics(trained.model(x), y)["accuracy"] == pytest.approx(max(accuracies))


def test_accumulated_batches_take_the_step_of_the_whole():
    whole, halves = objective(dropout=0.0, penalties=False), objective(dropout=0.0, penalties=False)
    for trained in (whole, halves):
        trained.model[1] = nn.Identity()
    sgd = partial(torch.optim.SGD, lr=0.1)
    one = DOUBLE(whole, problem(), epochs=1, optimizer=sgd)
    two = DOUBLE(halves, problem(), epochs=1, batch_size=ROWS // 2, accumulate=2, optimizer=sgd)
    assert one.steps == two.steps == 1
    torch.testing.assert_close(weights(whole), weights(halves), rtol=1e-10, atol=1e-12)


def test_clipping_bounds_the_step():
    trained = objective(dropout=0.0)
    before = torch.cat([p.detach().flatten() for p in trained.parameters()])
    DOUBLE(trained, problem(), epochs=1, clip=1e-3, optimizer=partial(torch.optim.SGD, lr=1.0))
    after = torch.cat([p.detach().flatten() for p in trained.parameters()])
    assert (after - before).norm() == pytest.approx(1e-3, rel=1e-3)


def test_partial_last_batches_are_used_or_dropped():
    assert DOUBLE(objective(), problem(), epochs=1, batch_size=20).steps == 3
    assert DOUBLE(objective(), problem(), epochs=1, batch_size=20, drop_last=True).steps == 2


def test_a_schedule_advances_every_epoch():
    halving = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    fitted = DOUBLE(objective(), problem(), epochs=3, scheduler=halving)
    assert [record["rate"] for record in fitted.history] == pytest.approx([1e-3, 5e-4, 2.5e-4])


def test_augmentation_sees_batches_and_a_generator():
    seen = []

    def shift(x, generator):
        seen.append((x.shape, torch.rand(1, generator=generator).item()))
        return x + 1

    DOUBLE(objective(), problem(), epochs=1, batch_size=16, augment=shift)
    assert [shape for shape, _ in seen] == [(16, FEATURES)] * 3
    assert len({draw for _, draw in seen}) == 3


class Pairs(Dataset):
    def __init__(self):
        self.x, self.y = problem()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def test_a_data_set_trains_as_its_tensors_do():
    tensors, pairs = objective(), objective()
    DOUBLE(tensors, problem(), epochs=2, batch_size=16)
    DOUBLE(pairs, Pairs(), epochs=2, batch_size=16)
    torch.testing.assert_close(weights(tensors), weights(pairs), rtol=1e-12, atol=0)


def test_guidance_reaches_the_prior():
    x, y = problem()
    mask = torch.zeros_like(x)
    mask[:, 0] = 1.0
    torch.manual_seed(0)
    model = nn.Linear(FEATURES, CLASSES).double()
    term = training.Penalty(rr.Gradient(), priors.Mask(), weight=10.0)
    DOUBLE(
        training.Objective(model, tasks.MultiClass(CLASSES), [term]), (x, y, mask), epochs=300,
        optimizer=partial(torch.optim.Adam, lr=0.03),
    )  # fmt: skip
    assert model.weight[:, 0].abs().max() < 0.05 * model.weight[:, 1:3].abs().max()


def test_bf16_autocast_trains():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.GELU(), nn.Linear(8, CLASSES))
    x, y = problem()
    term = training.Penalty(rr.ExpectedGradients(x.float()), priors.L1(), 0.1)
    trained = training.Objective(model, tasks.MultiClass(CLASSES), [term])
    fitted = training.fit(trained, (x.float(), y), epochs=30, precision="bf16-mixed")
    assert fitted.history[-1]["task"] < fitted.history[0]["task"]


def test_a_nan_loss_stops_before_the_step(tmp_path):
    trained = objective(dropout=0.0)
    before = weights(trained)

    def poisoned(x, generator):
        trained.task = tasks.Custom(lambda outputs, y: outputs.sum() * float("nan"))
        return x

    with pytest.raises(DivergedError, match="epoch 1, batch 1 .*task = nan"):
        DOUBLE(trained, problem(), epochs=1, augment=poisoned, directory=tmp_path)
    learned = [name for name, _ in trained.named_parameters()]
    assert torch.equal(weights(trained)[: len(learned)], before[: len(learned)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, InputError, "epochs must be at least 1"),
        ({"epochs": 1, "batch_size": 0}, InputError, "batch_size must be at least 1"),
        ({"epochs": 1, "accumulate": 0}, InputError, "accumulate must be at least 1"),
    ],
)
def test_numbers_out_of_range(arguments, error, message):
    with pytest.raises(error, match=message):
        DOUBLE(objective(), problem(), **arguments)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((problem()[0],), InputError, "train must be .x, y. or .x, y, guidance."),
        ((problem()[0], problem()[1][:-1]), ShapeError, "train y must be a tensor with 48 rows"),
        ((problem()[0], problem()[1], "mask"), ShapeError, "train guidance must be a tensor"),
        (3, InputError, "train must be .x, y.*got int"),
        ([], InputError, "train has no rows"),
    ],
)
def test_data_that_cannot_be_used(data, error, message):
    with pytest.raises(error, match=message):
        Rows(data, "train")


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    DOUBLE(objective(), problem(), epochs=1, directory=tmp_path)
    with pytest.raises(InputError, match="holds a checkpoint of another run"):
        DOUBLE(objective(), problem(), epochs=2, seed=5, directory=tmp_path)


def test_a_finished_run_is_not_repeated(tmp_path):
    first = objective()
    DOUBLE(first, problem(), epochs=2, directory=tmp_path)
    again = objective()
    fitted = DOUBLE(again, problem(), epochs=2, directory=tmp_path)
    assert torch.equal(weights(first), weights(again))
    assert len(fitted.history) == 2


def long_run(directory):
    torch.set_num_threads(1)
    trained = objective()
    DOUBLE(
        trained, problem(), validation=problem(20, seed=3), epochs=60, batch_size=7, directory=directory,
        checkpoint_every=3,
    )  # fmt: skip
    return trained


def killed_run(directory, started):
    os.setpgrp()
    started.set()
    long_run(directory)


def test_killed_at_ten_random_moments_it_ends_with_the_same_weights(tmp_path):
    expected = weights(long_run(tmp_path / "unbroken"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "lightning_fabric", "rightreasons.training"])
    clock = random.Random(0)
    kills = 0
    while kills < 10:
        started = context.Event()
        process = context.Process(target=killed_run, args=(tmp_path / "broken", started))
        process.start()
        assert started.wait(60)
        process.join(clock.uniform(0.02, 0.25))
        assert process.is_alive(), "the run finished before it could be killed ten times: make it longer"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    resumed = long_run(tmp_path / "broken")
    assert torch.equal(weights(resumed), expected)


def penalised():
    trained = objective(dropout=0.0)
    trained.model[1] = nn.Identity()  # batch-norm would couple the rows of a batch
    return training.Objective(
        trained.model, trained.task, [training.Penalty(rr.Gradient(), priors.L2(), 3.0)]
    )


def gradients_of_steps(rows, size, accumulate, drop_last=False):
    """The gradient of each optimizer step of one epoch, in which nothing moves."""
    trained, seen = penalised(), []

    class Still(torch.optim.SGD):
        def step(self, closure=None):
            seen.append(torch.cat([p.grad.flatten() for p in trained.parameters()]))
            return super().step(closure)

    still = partial(Still, lr=0.0)
    DOUBLE(
        trained,
        problem(rows),
        epochs=1,
        batch_size=size,
        accumulate=accumulate,
        drop_last=drop_last,
        optimizer=still,
    )
    return seen


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("rows", "size", "accumulate"), [(9, 3, 2), (8, 3, 3), (10, 4, 2), (7, 3, 9)])
def test_a_group_has_the_mean_gradient_of_its_rows(rows, size, accumulate, drop_last):
    found = gradients_of_steps(rows, size, accumulate, drop_last)
    batches = gradients_of_steps(rows, size, 1, drop_last)
    used = rows - rows % size if drop_last else rows
    counts = [min(size, used - start) for start in range(0, used, size)]
    groups = [slice(i, i + accumulate) for i in range(0, len(batches), accumulate)]
    assert len(found) == len(groups)
    for gradient, group in zip(found, groups, strict=True):
        each = zip(counts[group], batches[group], strict=True)
        wanted = sum(count * one for count, one in each) / sum(counts[group])
        torch.testing.assert_close(
            gradient, wanted, rtol=1e-6, atol=1e-7
        )  # Fabric hands losses over in float32


def test_batches_of_different_sizes_take_the_step_of_the_whole():
    (whole,), (parts,) = gradients_of_steps(8, None, 1), gradients_of_steps(8, 3, 3)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-7)


def test_the_record_is_a_mean_over_rows_not_over_batches():
    still = partial(torch.optim.SGD, lr=0.0)
    parts, whole = (
        DOUBLE(penalised(), problem(), epochs=1, batch_size=size, optimizer=still).history[0]
        for size in (20, None)  # batches of 20, 20 and 8
    )
    for name in ("loss", "task", "penalty/L2"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-6)  # Fabric hands losses over in float32
