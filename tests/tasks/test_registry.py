import pickle

import pytest

from rightreasons import tasks
from rightreasons.core._errors import InputError

FIELDS = {"multiclass": {"classes": 3, "weights": [1.0, 2.0, 3.0]}, "multilabel": {"labels": 2}}


@pytest.mark.parametrize("name", tasks.names())
def test_every_named_task_is_built_printable_and_picklable(name):
    task = tasks.build(name, FIELDS.get(name))
    assert isinstance(task, tasks.Task)
    assert eval(repr(task), vars(tasks)) == task
    assert pickle.loads(pickle.dumps(task)) == task


def test_lists_become_tuples_so_that_tasks_stay_hashable():
    assert hash(tasks.build("binary", {"weights": [1.0, 2.0]})) == hash(tasks.Binary((1.0, 2.0)))


@pytest.mark.parametrize(
    ("name", "fields", "match"),
    [
        ("binnary", None, "no task 'binnary'. Did you mean 'binary'"),
        ("multiclass", {"clases": 3}, "no field 'clases'. Did you mean 'classes'"),
        ("multiclass", None, "cannot be built from {}: .*classes"),
    ],
)
def test_wrong_names_are_told_with_the_closest(name, fields, match):
    with pytest.raises(InputError, match=match):
        tasks.build(name, fields)


def test_public_names_are_exactly_what_is_importable():
    assert all(hasattr(tasks, name) for name in tasks.__all__)
