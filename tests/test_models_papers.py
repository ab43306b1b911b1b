"""Architectures against the papers' own numbers of parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cifarlab.errors import UsageError
from cifarlab.models import create_model, multiply_adds, training_operations
from cifarlab.recipes import get_recipe


@pytest.fixture(autouse=True, scope="module")
def _no_random_weights() -> Iterator[None]:
    """Only shapes count here, and the papers' networks are large."""
    with pytest.MonkeyPatch.context() as patch:
        zeros = lambda _self, shape, dtype=None: keras.ops.zeros(shape, dtype)  # noqa: E731
        patch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
        yield


@cache
def made(name: str, num_classes: int = 10, image_size: int = 32, **options: Any) -> keras.Model:
    return create_model(name, num_classes=num_classes, image_size=image_size, **options)


def trained(model: keras.Model) -> int:
    """Parameters that are learned; the statistics of batch normalisation are not."""
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def of_kernels(model: keras.Model, *, biases: bool) -> int:
    """Parameters of convolutions and dense layers."""
    kinds = layers.Conv2D | layers.Dense
    kernels = [layer.kernel.shape for layer in model.layers if isinstance(layer, kinds)]
    return sum(int(np.prod(shape)) + shape[-1] * biases for shape in kernels)


def test_lenet5_has_the_papers_layers() -> None:
    """LeCun et al. 1998, section II.B: C5 has 48,120 trainable connections, F6 10,164 parameters;
    C1 has 122,304 connections for one channel, biases included, and C3's maps are 10 x 10."""
    model = made("lenet5")
    parameters = {layer.name: layer.count_params() for layer in model.layers}
    assert (parameters["c5"], parameters["f6"]) == (48_120, 10_164)
    c1, c3 = model.get_layer("c1"), model.get_layer("c3")
    places = c1.output.shape[1] * c1.output.shape[2]
    assert places * c1.filters * (5 * 5 + 1) == 122_304
    assert c3.output.shape[1:] == (10, 10, 16)
    # Of all pairs of maps, not of the paper's 60: its 1,516 parameters are 36 kernels fewer.
    assert parameters["c3"] - 36 * 25 == 1_516
    assert trained(model) == 62_006
    assert multiply_adds(model) == places * 3 * 6 * 25 + 100 * 2_400 + 400 * 120 + 120 * 84 + 840


def test_vgg16_has_the_papers_size() -> None:
    """Simonyan and Zisserman 2015, table 2, with the three dense layers that the paper has on top
    of the same convolutions."""
    model = made("vgg")
    head = 512 * 10 + 10
    dense = (7 * 7 * 512 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    assert round((of_kernels(model, biases=True) - head + dense) / 1e6) == 138


def test_vgg16_on_cifar_costs_what_pruning_papers_say() -> None:
    """Li et al. 2017, "Pruning filters for efficient convnets", arXiv:1608.08710, table 1: on
    CIFAR-10 VGG-16 has 1.5e7 parameters and 3.13e8 FLOP (multiply-adds)."""
    model = made("vgg")
    assert trained(model) == pytest.approx(1.5e7, rel=0.02)
    assert multiply_adds(model) == pytest.approx(3.13e8, rel=0.002)


def test_resnet20_costs_what_pruning_papers_say() -> None:
    """He et al. 2018, "Soft filter pruning", arXiv:1808.06866, table 1: 4.06e7."""
    assert multiply_adds(made("resnet20")) == pytest.approx(4.06e7, rel=0.006)


@pytest.mark.parametrize(("depth", "width", "millions"), [(16, 8, 11.0), (28, 10, 36.5)])
def test_wide_resnet_has_the_papers_size(depth: int, width: int, millions: float) -> None:
    """Zagoruyko and Komodakis 2016, tables 4 and 5."""
    model = made("wide_resnet", depth=depth, width=width)
    assert round(trained(model) / 1e6, 1) == millions
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) == depth


def test_convmixer_has_the_papers_size() -> None:
    """Trockman and Kolter 2022, table 1: ConvMixer-1024/20 for ImageNet has 24.4 M parameters."""
    options = {"width": 1024, "depth": 20, "patch": 14, "kernel": 9}
    model = made("convmixer", num_classes=1000, image_size=224, **options)
    assert round(trained(model) / 1e6, 1) == 24.4


def test_convmixer_256_8_has_the_papers_size_on_cifar() -> None:
    """The same, section 3: more than 96 % on CIFAR-10 with as few as 0.7 M parameters."""
    model = made("convmixer")
    assert round(trained(model) / 1e6, 1) == 0.7
    each = 32 * 32 * (9 * 9 * 256 + 256 * 256)  # places, depthwise and 1x1
    assert multiply_adds(model) == 8 * each + 32 * 32 * 3 * 256 + 2560


def test_mobilenet_has_the_papers_size_and_cost() -> None:
    """Howard et al. 2017, table 6: at 224 pixels 4.2 million parameters, 569 million mult-adds."""
    model = made("mobilenet", num_classes=1000, image_size=224, halvings=5)
    assert round(trained(model) / 1e6, 1) == 4.2
    assert round(multiply_adds(model) / 1e6) == 569


@pytest.mark.parametrize(
    ("name", "million_multiply_adds"),
    [
        ("lenet_short", 0.65),
        ("vgg_short", 38.5),
        ("resnet20_short", 40.6),
        ("wide_resnet_short", 44.5),
        ("convmixer_short", 40.6),
        ("mobilenet_short", 45.7),
    ],
)
def test_the_compared_networks_cost_about_the_same(name: str, million_multiply_adds: float) -> None:
    recipe = get_recipe(name)
    model = made(recipe.model, **recipe.model_options)
    assert multiply_adds(model) / 1e6 == pytest.approx(million_multiply_adds, rel=0.02)


def test_a_training_costs_three_passes_of_two_operations() -> None:
    assert training_operations(1e6, images=45_000 * 10) == 6 * 1e6 * 450_000


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg", {"depth": 12}),
        ("wide_resnet", {"depth": 20}),
        ("mobilenet", {"halvings": 6}),
        ("convmixer", {"patch": 64}),
        ("plain_cnn", {"blocks": ((4, 6),), "block_dropout": (0.0,), "residual": True}),
    ],
    ids=str,
)
def test_what_no_paper_has_is_refused_in_one_line(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"the model {name} cannot be built"):
        create_model(name, num_classes=10, **options)


def test_a_residual_block_adds_what_its_first_convolution_gave() -> None:
    options = {"blocks": ((4, 4, 4), (6,)), "block_dropout": (0.0, 0.0), "batch_norm": True}
    model = create_model("plain_cnn", num_classes=3, image_size=8, residual=True, **options)
    adds = [layer for layer in model.layers if isinstance(layer, layers.Add)]
    assert [layer.name for layer in adds] == ["block1_add"]
    assert [x.name for x in adds[0].input] == [
        model.get_layer("block1_norm3").output.name,
        model.get_layer("block1_relu1").output.name,
    ]
    plain = create_model("plain_cnn", num_classes=3, image_size=8, **options)
    assert trained(plain) == trained(model)  # a shortcut has no weights
