"""Fixtures that need a browser or Keras; what examples need too is in the root's conftest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium without a window, one for all tests; its camera shows a test picture."""
    driver = shutil.which("chromedriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not (driver and chromium):
        pytest.skip("no Chromium with chromedriver on this machine")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    camera = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1100,900", *camera):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def untrained_run(tiny_folder: Path) -> Callable[..., Any]:
    """Makes the `Run` of a ``plain_cnn`` for `tiny_folder` that nothing has trained yet.

    It takes the folder to be, what to do with the model before it is saved, and its options.
    """
    import keras

    from cifarlab.data import load_dataset
    from cifarlab.models import create_model
    from cifarlab.run import Run

    size = 16
    dataset = load_dataset(tiny_folder, image_size=size)
    data = {"name": "quarters", "source": str(tiny_folder), "fit": "crop", "image_size": size}
    data |= {"fingerprint": dataset.fingerprint, "class_names": list(dataset.class_names)}
    data |= {"validation_fraction": 0.2, "split_seed": 0}

    def make(path: Path, prepare: Callable[[Any], object] = lambda _: None, **options: Any) -> Run:
        environment = {"backend": keras.backend.backend()}
        run = Run.create(path, recipe={"name": "mine"}, data=data, environment=environment, seed=5)
        keras.utils.set_random_seed(1)
        options |= {"num_classes": len(dataset.class_names), "image_size": size}
        model = create_model("plain_cnn", **options)
        prepare(model)
        run.save_model(model, {"name": "plain_cnn", **options})
        return run

    return make


@pytest.fixture(scope="session")
def trained(tiny_folder: Path, tmp_path_factory) -> Path:
    """A run that has seen little, so that it is wrong often. Tests work on copies of it."""
    from cifarlab.train import train

    out = tmp_path_factory.mktemp("trained") / "run"
    return train(tiny_folder, "debug", epochs=1, out=out).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Any:
    """A copy of it, a `cifarlab.run.Run`."""
    from cifarlab.run import Run

    return Run(shutil.copytree(trained, tmp_path / "run"))
