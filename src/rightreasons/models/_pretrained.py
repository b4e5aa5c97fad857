"""Fine-tuning: load weights from a file, and freeze layers."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.core._suggest import did_you_mean, names_in
from rightreasons.core.files._reading import reading

_ADVICE = (
    "Pickled weights (.pt, .bin) are not read, because reading them runs code; save them with "
    "safetensors.torch.save_file."
)


@checked
def load_weights(model: nn.Module, path: str | Path, skip: Sequence[str] = ()) -> tuple[str, ...]:
    """Put the weights of a safetensors file into a model; nothing in the file is executed.

    Cost: one copy of the weights.

    Args:
        model: changed in place, and not at all if an error is raised.
        path: a .safetensors file.
        skip: names, or patterns such as "head.*", of what is not taken from the file, such as the last layer of a
            network for other classes; "head" stands for everything in it.

    Returns: names of the parameters and buffers that were left as they are.

    Raises:
        InputError: a file that is not there or not safetensors, a tensor without a counterpart or of another shape.
        MissingExtraError: without package safetensors.

    >>> import tempfile, torch
    >>> from safetensors.torch import save_file
    >>> model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file(model.state_dict(), Path(folder) / "w.safetensors")
    ...     load_weights(other, Path(folder) / "w.safetensors", skip=["bias"])
    ('bias',)
    """
    skip = names_in("skip", skip)
    stored = {name: value for name, value in _read(Path(path)).items() if not _matches(name, skip)}
    wanted = {name: value for name, value in model.state_dict().items() if not _matches(name, skip)}
    missing = sorted(set(wanted) - set(stored))
    new = sorted(set(stored) - set(wanted))
    other = [name for name in wanted if name in stored and wanted[name].shape != stored[name].shape]
    if missing or new or other:
        shapes = [f"{name} {tuple(stored[name].shape)} for {tuple(wanted[name].shape)}" for name in other]
        raise InputError(
            f"The weights in {path} do not fit this model. Not in the file: {_said(missing)}; not in the model: "
            f"{_said(new)}; of another shape: {_said(shapes)}. Build the model they were saved from, or leave "
            "parts out: "
            f"skip=[{(missing + new + other)[0].rpartition('.')[0] or (missing + new + other)[0]!r}]."
        )
    model.load_state_dict(stored, strict=False)
    return tuple(name for name in model.state_dict() if name not in wanted)


@checked
def freeze(model: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Exclude parameters from training: they get no gradient and no update.

    Running statistics of batch-norm layers in frozen parts stay too, bit by bit; in training such a layer still
    normalises by the batch. Attributions see a frozen layer as any other.

    Args:
        model: changed in place.
        names: of parameters or of modules, which stand for everything in them, or patterns such as "blocks.0.*".

    Returns: names of the frozen parameters.

    Raises: InputError: a name that is none of the model's, or nothing left to train.

    >>> freeze(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), ["0"])
    ('0.weight', '0.bias')
    """
    names = names_in("names", names)
    parameters = dict(model.named_parameters())
    for name in names:
        if not any(_matches(each, [name]) for each in parameters):
            known = [
                each
                for each, module in model.named_modules()
                if each and any(True for _ in module.parameters())
            ]
            raise InputError(f"The model has no parameters named {name!r}. {did_you_mean(name, known)}")
    frozen = tuple(each for each in parameters if _matches(each, names))
    if not any(each.requires_grad for name, each in parameters.items() if name not in frozen):
        raise InputError(f"Freezing {list(names)} would leave nothing to train. Leave the last layer out.")
    for name in frozen:
        parameters[name].requires_grad_(False)
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and _matches(f"{name}.weight", names):
            module.track_running_stats = False  # in training it still normalises by the batch
    return frozen


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, each) or name.startswith(f"{each}.") for each in patterns)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load
    except ImportError as error:
        raise MissingExtraError(
            "Package safetensors is not installed. pip install 'rightreasons[train]'"
        ) from error
    if not path.exists():
        near = [str(each) for each in path.parent.glob("*.safetensors")] if path.parent.is_dir() else []
        raise InputError(f"There is no file {str(path)!r}. {did_you_mean(str(path), near)}")
    with reading(path, "safetensors", _ADVICE, InputError):
        return load(path.read_bytes())


def _said(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) or "none"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
