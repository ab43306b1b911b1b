"""Export: a run as one file that any program can use, certified to predict what the run does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarlab.errors import ExportError, UsageError
from cifarlab.export.formats import FORMATS, Format, get_format
from cifarlab.files import cannot_write, write_bytes, write_json
from cifarlab.run import Run

if TYPE_CHECKING:
    from cifarlab.data import Dataset
    from cifarlab.export.cases import Case
    from cifarlab.export.certificate import Reference

__all__ = ["FORMATS", "Export", "export"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """A file that predicts what a run predicts.

    Attributes:
        path: the file, or the folder of a SavedModel.
        certificate: what was asked and answered, JSON-ready; docs/export.md explains it.

    Example:
        >>> Export(Path("quick-1.onnx"), {"passed": True}).certificate_path.name
        'quick-1.onnx.certificate.json'
    """

    path: Path
    certificate: dict[str, Any]

    @property
    def certificate_path(self) -> Path:
        """The certificate's own file, beside the exported one."""
        return certificate_path(self.path)


def certificate_path(path: Path) -> Path:
    """Where the certificate of `path` is kept."""
    return path.with_name(f"{path.name}.certificate.json")


def export(
    run: Run | str | Path,
    format: str,
    out: str | Path | None = None,
    *,
    int8: bool = False,
    data: Dataset | str | None = None,
    tell: Tell = lambda _: None,
) -> Export:
    """Write a run's network in a format of other programs, and certify it.

    The file takes uint8 pixels (N, S, S, 3) as ``images`` and gives calibrated ``probabilities``
    and raw ``logits``, both float32 (N, C). It is put in its place when its own runtime, in a
    process without this package, has given what the run's model gives: the same class for every
    image and probabilities within 1e-4, or for `int8` at most 0.3 points of accuracy less.

    Args:
        run: a finished run.
        format: ``"onnx"``, ``"litert"``, ``"saved-model"`` or ``"keras"``.
        out: the file; by default in the run's folder ``export``. What is there is replaced.
        int8: convolutions in whole numbers, scaled by training images; ONNX and LiteRT only.
        data: where the run's dataset is now, or another one with the same classes. Without int8 the
            run's own is taken where it is on this machine, else images that are made up.
        tell: is called with what is done next.

    Raises:
        ExportError: the file would not predict what the run does; nothing is left then but the
            certificate, under the name that ends in ``.failed.json``.
        UsageError: a format that there is not, or that has no int8 form.
        MissingExtraError: what writes the format is not installed.
        RunError: the run is not finished, or damaged.
        DataError: the dataset that int8 needs, or that was named, cannot be read.

    Example:
        >>> from cifarlab import train
        >>> run = train("digits", "debug", epochs=1, out=tmp_path / "run")
        >>> made = export(run, "onnx")
        >>> made.path.name, made.certificate["top1_agreement"] == made.certificate["n"]
        ('run.onnx', True)
    """
    run = run if isinstance(run, Run) else Run(run)
    kind = get_format(format)
    if int8 and not kind.int8:
        raise UsageError(f"{format} files are float32; int8 is for onnx and litert")
    target = _target(run, kind, out, int8)
    with _folder_beside(target) as folder:
        made = folder / target.name
        certificate = _make(run, format, made, int8, data, tell)
        if certificate["failures"]:
            raise _failed(target, certificate)
        write_json(certificate_path(target), certificate)
        _place(made, target)
    _failure_path(target).unlink(missing_ok=True)  # of an earlier attempt, which this is not
    return Export(target, certificate)


def _target(run: Run, kind: Format, out: str | Path | None, int8: bool) -> Path:
    """Where the export goes; nothing that is no export of this format may be there."""
    if out is None:
        return run.path / "export" / f"{run.name}{'.int8' * int8}{kind.suffix}"
    path = Path(out)
    if not kind.folder and path.suffix != kind.suffix:
        raise UsageError(f"the file's name must end in {kind.suffix}. Received: {path}")
    is_ours = (path / "saved_model.pb").is_file() if kind.folder else path.is_file()
    if path.exists() and not is_ours:
        raise UsageError(f"{path} is there and is no such model; name another --out")
    return path


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A temporary folder on the disk of `target`, so that a rename takes what is made there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-")
    except OSError as error:
        raise cannot_write(target, error) from error
    with folder as path:
        yield Path(path)


def _make(
    run: Run, format: str, made: Path, int8: bool, data: Dataset | str | None, tell: Tell
) -> dict[str, Any]:
    """Write the file to `made` and give its certificate."""
    load_backend(run)
    from cifarlab.export.building import build, float_path
    from cifarlab.export.cases import find_dataset, make_cases, validation_case
    from cifarlab.export.certificate import certify
    from cifarlab.export.quantize import calibration_images

    dataset, missing = find_dataset(run, data, int8)
    cases, calibration = make_cases(run, dataset), None
    if int8 and dataset is not None:
        cases.append(validation_case(run, dataset))
        training, _ = dataset.carve(run.data["validation_fraction"], run.data["split_seed"])
        calibration = calibration_images(training.images)
    tell(f"writing {made.name}")
    build(run, format, made, calibration)
    count = sum(len(case.images) for case in cases)
    tell(f"asking it and the run about {count:,} images")
    slower = float_path(made) if int8 else None
    certificate = certify(format, made, cases, reference(run, cases), slower)
    known = {"name": dataset.name, "fingerprint": dataset.fingerprint} if dataset else None
    return {"run": run.name, "dataset": known, "dataset_missing": missing or None, **certificate}


def load_backend(run: Run) -> None:
    """Load Keras on the backend that `run` was trained on where it can be, else on any."""
    from cifarlab import backend
    from cifarlab.errors import BackendError

    try:
        backend.load(run.environment["backend"])
    except BackendError:
        backend.load()


def reference(run: Run, cases: list[Case]) -> Reference:
    """What the run's own model says of each case, in float32, without test-time augmentation."""
    from cifarlab.engine import forward, predict_logits
    from cifarlab.export.certificate import Reference

    call = forward(run.load_model())
    logits = {case.name: predict_logits(call, case.images) for case in cases}
    return Reference(logits, run.calibration("none")["temperature"])


def _failed(target: Path, certificate: dict[str, Any]) -> ExportError:
    """The error for a file that is not to be used; its figures are kept."""
    path = _failure_path(target)
    write_json(path, certificate)
    why = "; ".join(certificate["failures"])
    return ExportError(f"{target.name} is not kept: {why}. All figures: {path}")


def _failure_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.failed.json")


def _place(made: Path, target: Path) -> None:
    """Put the file or folder into its place."""
    if made.is_file():
        write_bytes(target, made.read_bytes())
        return
    # No system call takes a folder's place at once: what was there stands aside, and goes with the
    # temporary folder.
    aside = made.with_name("before")
    try:
        if target.exists():
            os.rename(target, aside)
        os.rename(made, target)
    except OSError as error:
        raise cannot_write(target, error) from error
