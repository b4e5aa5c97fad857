"""Run a recipe: train, choose, evaluate and summarise; finished fits are not repeated."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from platform import python_version
from typing import Any

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, RecipeError
from rightreasons.core.files._disk import only_writer
from rightreasons.core.model._memory import within_memory
from rightreasons.data._describe import doubts
from rightreasons.recipes import Recipe, to_yaml
from rightreasons.runs.execution._ddp import train_together
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.execution._evaluate_fit import examine, examined_files, key_of
from rightreasons.runs.execution._fit import train
from rightreasons.runs.execution._processes import cpus, interrupts_held, pool
from rightreasons.runs.execution._select_trial import choose
from rightreasons.runs.results._annotation_tests import held_against
from rightreasons.runs.results._files import RunDirectory, to_json
from rightreasons.runs.results._summary import summarise
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._datasets import parts, rows_of
from rightreasons.runs.setup._plan import Fit, plan, versions

_LOG = logging.getLogger("rightreasons")
Work = Callable[[Recipe, Fit, RunDirectory], object]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: "train" or "examine".
        done: of this stage, those found finished included.
        total: of this stage.
        found: how many were finished before this call.
        last: the fit that has just been finished, if any.
    """

    stage: str
    done: int
    total: int
    found: int
    last: Fit | None = None


Listener = Callable[[Progress], None]


@within_memory(
    "this run",
    "Take a smaller network or training.batch_size, the engine recompute, or fewer worker processes (--workers 1).",
)
@checked
def run(
    recipe: Recipe,
    directory: str | Path,
    *,
    workers: int | None = None,
    devices: int = 1,
    listen: Listener | None = None,
) -> RunDirectory:
    """Train every arm on every split, choose on validation, measure on test, summarise.

    Results do not depend on the number of workers; with several devices they are those of one but for rounding, unless
    the network draws random numbers (dropout) or looks at its batch (batch-norm). A run that was killed and is called
    again repeats no finished fit.

    Args:
        recipe: what to compare.
        directory: where results go, made if missing.
        workers: processes with one thread each; None: one for each CPU; 0: this process.
        devices: processes that train each fit together, each with its share of every batch; as many fits are trained
            at a time as `workers` allow, at least one.
        listen: called whenever a fit is finished.

    Returns: the directory; everything but the report is in it.

    Raises:
        RecipeError: an arm that cannot run, found before anything is trained.
        InputError: memory ran out.
        DataError: the directory cannot be written or holds finished results of other data, a process died, or every
            trial of an arm failed.
    """
    recipe = material.resolve(recipe)
    to = RunDirectory(Path(directory))
    _require_own(recipe, to)
    rehearse(recipe, devices)
    with only_writer(to.lock_file, to.path):
        to.clean()
        fits = plan(recipe)
        to.manifest.write(to.recipe_file, to_yaml(_with_versions(recipe, fits)))
        processes = cpus() if workers is None else workers
        training = train if devices == 1 else partial(train_together, devices=devices)
        with pool(processes if devices == 1 else max(1, processes // devices)) as workers_:
            _all("train", training, recipe, fits, to, lambda fit: [to.result_file(fit.id)], workers_, listen)
            results = [_result(to, fit) for fit in fits]
            taken = _chosen(recipe, fits, results)
            chosen = [fit for fit, _ in taken.values()]
            # Weights that an earlier choice did not keep are trained once more.
            _all("train", training, recipe, chosen, to, lambda fit: [to.model_file(fit.id)], workers_, None)
            _all("examine", examine, recipe, chosen, to,
                 lambda fit: examined_files(to, key_of(recipe, fit)), workers_, listen)  # fmt: skip
        _write_summary(recipe, to, fits, results, taken)
    return to


def _require_own(recipe: Recipe, to: RunDirectory) -> None:
    """Finished results are replaced by those of a changed recipe, not by those of another question."""
    try:
        earlier = to.recipe() if to.metrics_file.is_file() else recipe
    except (DataError, RecipeError):  # damaged, or of another version
        return
    if _question(earlier) != _question(recipe):
        raise DataError(
            f"{to.path} holds the results of {_question(earlier)}, and this recipe is about {_question(recipe)}. Give "
            "the recipe another name, say where its results go (-o DIR), or remove that folder."
        )


def _question(recipe: Recipe) -> str:
    """Which data, wherever they lie, and which label."""
    of = recipe.data
    label = " and ".join(
        filter(None, [*([of.target] if isinstance(of.target, str) else of.target or ()), of.event])
    )
    return (of.name or Path(of.path or "").name) + (f" with the label {label}" if label else "")


def _write_summary(
    recipe: Recipe,
    to: RunDirectory,
    fits: Sequence[Fit],
    results: Sequence[dict[str, Any]],
    taken: dict[tuple[str, int], tuple[Fit, dict[str, Any]]],
) -> None:
    keys = {place: key_of(recipe, fit) for place, (fit, _) in taken.items()}
    examined = {place: to.object_in(to.examined_file(key)) for place, key in keys.items()}
    chosen = {place: result | {"key": keys[place]} for place, (_, result) in taken.items()}
    summary = summarise(recipe, material.task_of(recipe), results, chosen, examined)
    summary["features"] = next(iter(examined.values())).get("features")
    summary["data"] = _about_data(recipe)
    held_against(recipe, summary["arms"], parts(recipe, 0).train)
    to.manifest.write(to.history_file, _history(results))
    to.manifest.write(to.preprocessing_file, _preprocessing(recipe))
    to.manifest.write(to.metrics_file, to_json(summary))
    kept = {fit.id for fit, _ in taken.values()}
    for fit in fits:  # weights nobody chose are large and of no further use
        if fit.id not in kept:
            to.model_file(fit.id).unlink(missing_ok=True)
    shutil.rmtree(to.path / "checkpoints", ignore_errors=True)
    to.manifest.tidy()


def _chosen(
    recipe: Recipe, fits: Sequence[Fit], results: Sequence[dict[str, Any]]
) -> dict[tuple[str, int], tuple[Fit, dict[str, Any]]]:
    task = material.task_of(recipe)
    by_id = {fit.id: fit for fit in fits}
    found = {}
    for arm in recipe.arms:
        for split in range(recipe.data.splits):
            own = [r for r in results if r["arm"] == arm.name and r["split"] == split]
            best = choose(own, recipe.select, task.headline, task.higher_is_better)
            if best is not None:
                found[arm.name, split] = (by_id[best["id"]], dict(best))
    return found


def _all(
    stage: str,
    work: Work,
    recipe: Recipe,
    fits: Sequence[Fit],
    to: RunDirectory,
    made: Callable[[Fit], Sequence[Path]],
    workers: ProcessPoolExecutor | None,
    listen: Listener | None,
) -> None:
    """Do the work for every fit of which a file is not there, or not as it was written."""
    waiting = [fit for fit in fits if not all(map(to.manifest.whole, made(fit)))]
    if lost := [str(path) for fit in waiting for path in made(fit) if to.manifest.lost(path)]:
        more = f" and {len(lost) - 1} more files are" if len(lost) > 1 else " is"
        _LOG.warning("%s%s gone or damaged: made anew.", lost[0], more)
    found = len(fits) - len(waiting)
    tell = listen or (lambda progress: None)
    tell(Progress(stage, found, len(fits), found))
    finished = (
        _here(work, recipe, waiting, to) if workers is None else _pooled(work, recipe, waiting, to, workers)
    )
    for done, fit in enumerate(finished, start=found + 1):
        tell(Progress(stage, done, len(fits), found, fit))


def _here(work: Work, recipe: Recipe, fits: Sequence[Fit], to: RunDirectory) -> Iterator[Fit]:
    for fit in fits:
        work(recipe, fit, to)
        yield fit


def _pooled(
    work: Work, recipe: Recipe, fits: Sequence[Fit], to: RunDirectory, workers: ProcessPoolExecutor
) -> Iterator[Fit]:
    with interrupts_held():
        pending: dict[Future[object], Fit] = {workers.submit(work, recipe, fit, to): fit for fit in fits}
    try:
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                fit = pending.pop(future)
                future.result()
                yield fit
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died, perhaps for want of memory. Finished fits are kept: run it again, with fewer "
            "workers."
        ) from error


def _result(to: RunDirectory, fit: Fit) -> dict[str, Any]:
    return to.object_in(to.result_file(fit.id)) | {"arm": fit.arm, "trial": fit.trial}


def _with_versions(recipe: Recipe, fits: Sequence[Fit]) -> Recipe:
    known = {
        "versions": {"python": python_version(), **versions()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "fits": len(fits),
        "seeds": {f"split {fit.split} trial {fit.trial}": fit.seed for fit in fits},
    }
    return recipe.model_copy(update={"resolved": known})


def _about_data(recipe: Recipe) -> dict[str, Any]:
    found = rows_of(recipe)
    seen = parts(recipe, 0).train
    return {
        "name": found.name,
        "description": found.description,
        "doubts": doubts(found),
        "source": found.source,
        "licence": found.licence,
        "rows": len(found),
        "shape": list(found.x.shape[1:]),
        "classes": list(found.classes),
        "labels": list(found.labels),
        "bounds": list(found.bounds) if found.bounds else None,
        "form": asdict(material.Form.of(seen, material.task_of(recipe))),
        "vocabulary": list(found.vocabulary),
        "columns": {column.name: column.description for column in found.columns},
    }


def _history(results: Sequence[dict[str, Any]]) -> str:
    lines = []
    for result in results:
        place = {key: result[key] for key in ("id", "arm", "split", "trial", "weight")}
        lines += [to_json(place | record, indent=None) for record in result.get("history", [])]
    return "\n".join(lines) + "\n"


def _preprocessing(recipe: Recipe) -> str:
    fitted = [parts(recipe, split).preprocessing for split in range(recipe.data.splits)]
    return to_json([None if each is None else json.loads(each.to_json()) for each in fitted])
