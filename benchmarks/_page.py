"""Writes docs/measured.md from the committed result files: `python benchmarks/_page.py`. A test compares the two."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "measured.md"


def page() -> str:
    """The page as Markdown."""
    sections = [
        estimators(read("estimators")),
        engines(read("engines")),
        metrics(read("metrics")),
        attacks(read("attacks"), read("attack_evaluations")),
        peers(read("peer_attacks")),
        speed(read("speed")),
        streaming(read("streaming")),
        fits(read("fits")),
        learned_prior(read("learned_prior")),
    ]
    head = (
        "# What was measured\n\nEvery figure on this page comes from a file in `benchmarks/results`, and every file "
        "from the script of the same name, on the machine it states. `make bench` measures anew; "
        "`python benchmarks/_page.py` writes this page.\n"
    )
    return "\n".join([head, *sections])


def read(name: str) -> dict[str, Any]:
    """A result file."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def estimators(found: Mapping[str, Any]) -> str:
    """Draws saved by each estimator."""
    columns = [
        "stratified",
        "control variate",
        "complete",
        "kriging, no f(r)",
        "kriging",
        "kriging, with forwards",
    ]
    rows = [
        [
            draws,
            *(f"{found['median'][draws][name]:.1f}" for name in columns),
            f"{found['least'][draws]['kriging']:.1f}",
        ]
        for draws in ("1", "4", "17", "50", "100")
    ]
    nets = ", ".join(found["saved"])
    return (
        "## Draws saved by the estimators of expected gradients\n\n"
        f"How many independent draws have the squared error of n draws, divided by n: the median over "
        f"{len(found['saved'])} trained networks ({nets}), {found['references']} references, {found['rows']} rows, "
        f"{found['repetitions']} repetitions; last the network where kriging saves least. *With forwards* also counts "
        "f at the references, shared by the rows.\n\n"
        + table(["n", *columns, "kriging, worst network"], rows)
    )


def engines(found: Mapping[str, Any]) -> str:
    """Cost of a training step."""
    times = found["time"]["contiguous"]
    rows = [[name, f"{row['plain_steps']:.2f}"] for name, row in times.items()]
    memory = found["memory_megabytes"]
    draws = list(max(memory.values(), key=len))
    peaks = [[name, *(str(row.get(k, "")) for k in draws)] for name, row in memory.items()]
    return (
        "## Cost of a penalty in training\n\n"
        "A training step with expected gradients (one draw) and squared maps on six 3x3 convolutions, batch 64 at "
        f"32x32, in plain "
        f"steps ({found['clock']} time, threads: {found['machine']['threads']}); the arithmetic limit is 2.33, "
        "and 1.33 with a quarter of the rows.\n\n" + table(["arm", "plain steps"], rows) + "\n"
        "Peak memory of a step above model and data, in MB, by draws for each row:\n\n"
        + table(["engine", *(f"k = {k}" for k in draws)], peaks)
    )


def metrics(found: Mapping[str, Any]) -> str:
    """Speed of LENS."""
    ratios = found["ratios over windows 1-3"]
    names = list(next(iter(ratios.values())))
    windows = found["ratios of each window"]
    rows = [
        [
            name,
            *(
                f"{ratios[maps][name]:.3g} ({', '.join(f'{each[name]:.3g}' for each in windows[maps].values())})"
                for maps in ratios
            ),
        ]
        for name in names
    ]
    return (
        "## Locality-aware metrics\n\n64 maps of 224x224, k = 1000, windows 1 to 3 together and in brackets each "
        "alone, processor time on one thread of a machine that others used too; *loop* is the published per-pixel "
        "algorithm, *evaluation* its intersection, recall and precision of one pair, *floor* a top-k and one "
        "max-pooling for each window.\n\n" + table(["ratio", *ratios], rows)
    )


def attacks(found: Mapping[str, Any], evaluations: Mapping[str, Any]) -> str:
    """Speed of attacks on attributions."""
    setting, counted = found["setting"], evaluations["setting"]
    rows = [[name, f"{ratio:.1f}"] for name, ratio in found["ratios"].items()]
    arms = [
        [name, _left(arm), f"{arm['evaluations an image']:,.0f}", f"{arm['published / evaluations']:.0f}"]
        for name, arm in evaluations["arms"].items()
    ]
    arms += [[f"*{name}*", _left(control), "", ""] for name, control in evaluations["controls"].items()]
    return (
        f"## Attacks on attributions\n\nThe top-k attack on the gradient of {setting['images']} images of MNIST's "
        f"size, {setting['steps']} steps, processor time on {setting['threads']} thread. *One at a time* is this "
        "package's attack called image by image; the *published loop* is the bare algorithm, image by image, in "
        "PyTorch.\n\n"
        + table(["ratio", ""], rows)
        + f"\nThe top-k attack on integrated gradients of {counted['images']} MNIST digits, eps {counted['eps']}, "
        f"k = {counted['k']}: how much of the top k is left (95 % bootstrap over images; less is stronger), by what "
        "each image costs in gradients at single points. *Published*: 100 points in the direction and in the judging "
        "of every step, three searches that find the same. *Controls* in italics; random walks by the small steps.\n\n"
        + table(["protocol", "top-k left", "gradients an image", "times fewer"], arms)
    )


def _left(arm: Mapping[str, Any]) -> str:
    return f"{arm['top-k intersection']:.3f} [{arm['interval'][0]:.3f}, {arm['interval'][1]:.3f}]"


def peers(found: Mapping[str, Any]) -> str:
    """Attacks on predictions next to other libraries'."""
    balls, setting = found["attacks"], found["setting"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    apart = max(ball["ART: last iterate"]["median distance"] for ball in balls.values())
    rows = []
    for name in next(iter(balls.values())):
        cells = []
        for ball in balls.values():
            equal = ball[name].get("images equal")
            cells.append(
                f"{ball[name]['robust accuracy']:.3f}" + ("" if equal is None else f" ({equal:.0%})")
            )
        rows.append([name, *cells])
    return (
        "## Attacks on predictions and other libraries\n\nRobust accuracy of a small network on "
        f"{setting['images']} images of {setting['data']}, the same for all; {setting['steps']} steps where nothing "
        f"else is said; a figure near one half is within {1.96 * (0.25 / setting['images']) ** 0.5:.2f} of that of all "
        "images (95 %), one near the ends closer. In brackets how many of the perturbed images are ours to 1e-5, where "
        "both should do the same arithmetic. Peers: "
        f"{versions}; AutoAttack is torchattacks'. No perturbed pixel of ART's L2 iterates is further from ours than "
        f"{apart:.1g} in the median image.\n\n" + table(["attack", *balls], rows)
    )


def speed(found: Mapping[str, Any]) -> str:
    """Time and memory of a map beside other libraries."""
    networks = found["networks"]
    head = ["", *(f"{name}, {own['rows']} x {own['evaluations']}" for name, own in networks.items())]
    arms = list(next(iter(networks.values()))["milliseconds"])
    times = [[arm, *(f"{own['milliseconds'][arm]:.0f}" for own in networks.values())] for arm in arms]
    peaks = [[arm, *(str(own["memory_megabytes"][arm]) for own in networks.values())] for arm in arms]
    names = list(dict.fromkeys(name for own in networks.values() for name in own["targets"]))
    ratios = [
        [name, *(f"{own['targets'][name]['measured']:.2f}" for own in networks.values())] for name in names
    ]
    return (
        "## Time and memory of a map\n\n"
        "Rows x gradient evaluations for each row, the same network in one run, every library as a user calls it; "
        "milliseconds of processor time of one thread, median. *Independent draws* is the estimator of captum and "
        "shap; *as it comes* interpolates, which costs arithmetic and a forward pass of each of the 50 references, "
        "and is more exact at the same evaluations (see "
        "above).\n\n" + table(["milliseconds", *head[1:]], times) + "\nPeak memory in MB:\n\n"
        + table(["MB", *head[1:]], peaks) + "\nRatios, median over rounds in which the arms take turns:\n\n"
        + table(["ratio", *head[1:]], ratios)
    )  # fmt: skip


def streaming(found: Mapping[str, Any]) -> str:
    """Memory of explaining a data set."""
    peaks = found["peak_megabytes"]
    counts = list(next(iter(peaks.values())))
    rows = [[f".{source}", *(str(own[count]) for count in counts)] for source, own in peaks.items()]
    return (
        "## Memory of `rightreasons explain`\n\nPeak resident set of the command in MB, interpreter and libraries "
        "included, by rows of the source.\n\n"
        + table(["source", *(f"{count} rows" for count in counts)], rows)
    )


def fits(found: Mapping[str, Any]) -> str:
    """Cost of small fits."""
    rows = [
        [name, f"{row['milliseconds']:.0f}", f"{row['bare_loops']:.2f}"]
        for name, row in found["fits"].items()
    ]
    run = found["command"]
    return (
        "## Small fits\n\nA fit of 100 rows and 100 epochs of one step (512-128-32 units, the AUC of 100 other rows "
        "after each epoch) against the same training in plain torch, processor time on one thread; preparing the "
        "split and writing weights and results are included.\n\n"
        + table(["", "milliseconds", "bare loops"], rows)
        + f"\n{run['fits']} such fits of two arms, explained, compared and reported by one command on "
        f"{found['machine']['cores']} cores (load {found['machine']['load_before'][0]} before): "
        f"{run['seconds']:.0f} seconds; called again, with everything done, {run['again']:.0f} seconds.\n"
    )


def learned_prior(found: Mapping[str, Any]) -> str:
    """Training on many features."""
    setting, peaks = found["setting"], found["memory_megabytes"]
    rows = [
        [name, f"{row['seconds']:.1f}", f"{row['plain_epochs']:.2f}", str(peaks[name])]
        for name, row in found["time"].items()
    ]
    return (
        f"## Priors on {setting['features']:,} features\n\n{setting['rows']:,} rows, {setting['meta_features']} "
        f"meta-features, a graph of {setting['edges']:,} edges, batches of {setting['batch']}, one draw of expected "
        "gradients: processor time of an epoch on one thread, and the peak resident set of the process, data, network "
        f"and libraries included. A dense matrix over pairs of features alone would have "
        f"{found['dense_matrix_megabytes']:,} MB.\n\n" + table(["", "seconds", "plain epochs", "MB"], rows)
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
