from rightreasons.recipes import parse
from rightreasons.runs import plan
from rightreasons.runs.setup._plan import slug
from tests.runs.cases import IMAGES, images


def test_every_arm_gets_the_same_trials_with_the_same_seeds() -> None:
    fits = plan(images())
    assert len(fits) == 3 * 2 * 2
    seeds = {arm: [f.seed for f in fits if f.arm == arm] for arm in {f.arm for f in fits}}
    assert len({tuple(s) for s in seeds.values()}) == 1
    assert len(set(seeds["Plain"])) == 4


def test_ids_are_unique_and_do_not_depend_on_the_number_of_splits() -> None:
    few, many = plan(images()), plan(parse(IMAGES.replace("splits: 2", "splits: 3")))
    assert len({f.id for f in few}) == len(few)
    assert {f.id for f in few} < {f.id for f in many}


def test_ids_change_with_whatever_decides_the_result() -> None:
    before = {f.id for f in plan(images())}
    for there, instead in [
        ("epochs: 2", "epochs: 3"),
        ("hidden: [16]", "hidden: [17]"),
        ("train: 60", "train: 61"),
        ("name: tiny", "seed: 1\nname: tiny"),
    ]:
        changed = IMAGES.replace(there, instead, 1)
        assert changed != IMAGES
        assert not before & {f.id for f in plan(parse(changed))}, instead


def test_a_new_weight_leaves_the_other_fits_alone() -> None:
    more = parse(IMAGES.replace("weights: [0.1, 1]", "weights: [0.1, 2]"))
    assert len({f.id for f in plan(images())} & {f.id for f in plan(more)}) == 10


def test_titles_and_measuring_do_not_change_fits() -> None:
    other = IMAGES.replace("A tiny run", "Another").replace("rows: 12", "rows: 13")
    assert plan(parse(other)) == plan(images())


def test_slug_of_signs_is_still_a_name() -> None:
    assert slug("β²") == "arm"
