"""Every model of the zoo: shapes, gradients, normalisation; and our batch norm against Keras's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from cifarlab.errors import UnknownNameError, UsageError
from cifarlab.models import adapt, create_model, list_models, model_options, registry
from cifarlab.models.features import with_features
from cifarlab.models.layers import (
    Dirac,
    FastConv2D,
    FusedBatchNormalization,
    PatchWhitening,
)
from fresh_process import run_python

SIZE, CLASSES = 20, 3  # the smallest that every model takes
MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
SMALL = {
    "blocks": ((4,), (6,)),
    "block_dropout": (0.0, 0.0),
    "dense": (5,),
    "batch_norm": True,
    "l2": 1e-3,
}


@cache
def zoo(name: str) -> keras.Model:
    """A model of the zoo, made once for all tests that leave it as it is."""
    keras.utils.set_random_seed(0)
    return create_model(name, num_classes=CLASSES, image_size=SIZE, mean=MEAN, std=STD)


def pictures(count: int = 3, size: int = SIZE) -> np.ndarray:
    """float32 (count, size, size, 3) of whole numbers in [0, 255]."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype("float32")


def loss_and_gradients(model: keras.Model) -> tuple[float, list]:
    labels = np.arange(3) % CLASSES
    with tf.GradientTape() as tape:
        logits = model(pictures(), training=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    return float(loss), tape.gradient(loss, model.trainable_variables)


# --- the zoo ---


@pytest.mark.parametrize("name", list_models())
def test_pixels_in_logits_out(name: str) -> None:
    model = zoo(name)
    assert model.input_shape == (None, SIZE, SIZE, 3)
    assert model.name == name
    for extreme in (pictures(), np.zeros_like(pictures()), np.full_like(pictures(), 255)):
        logits = np.asarray(model(extreme, training=False))
        assert logits.shape == (3, CLASSES)
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()
    logits = np.asarray(model(pictures(), training=False))
    assert np.ptp(logits, axis=0).min() > 0  # it looks at the picture
    assert np.abs(logits.sum(axis=1) - 1).max() > 1e-3  # these are no probabilities


@pytest.mark.parametrize("name", list_models())
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = zoo(name)
    before = model.get_weights()  # training moves the statistics of batch normalisation
    loss, gradients = loss_and_gradients(model)
    model.set_weights(before)
    assert np.isfinite(loss)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert tuple(gradient.shape) == tuple(variable.shape)
        # What rounding leaves of a gradient that is zero, such as that of a bias which batch
        # normalisation takes off again, is below 1e-7.
        assert np.abs(np.asarray(gradient)).max() > 1e-6, variable.path


def test_with_batch_norm_every_weight_of_plain_cnn_still_counts() -> None:
    keras.utils.set_random_seed(0)
    model = create_model("plain_cnn", num_classes=CLASSES, image_size=SIZE, **SMALL)
    for variable, gradient in zip(
        model.trainable_variables, loss_and_gradients(model)[1], strict=True
    ):
        assert np.abs(np.asarray(gradient)).max() > 1e-6, variable.path


@pytest.mark.parametrize("name", list_models())
def test_normalisation_is_the_first_layer(name: str) -> None:
    model = zoo(name)
    normalised = np.asarray(model.layers[1](pictures()))
    # float32 has seven digits, and the quotients are below 6.
    np.testing.assert_allclose(normalised, (pictures() - MEAN) / STD, atol=1e-5)


@pytest.mark.parametrize("name", ["airbench_cnn", "plain_cnn", "resnet20", "tutorial_cnn"])
def test_nothing_but_normalisation_sees_the_pixels_as_they_are(name: str) -> None:
    bare = create_model(name, num_classes=CLASSES, image_size=SIZE, mean=(0.0,) * 3, std=(1.0,) * 3)
    bare.set_weights(zoo(name).get_weights())
    normalised = np.asarray(zoo(name).layers[1](pictures()))
    np.testing.assert_allclose(
        np.asarray(bare(normalised)), np.asarray(zoo(name)(pictures())), atol=1e-5
    )


@pytest.mark.parametrize("name", list_models())
def test_names_of_weights_are_unique(name: str) -> None:
    paths = [variable.path for variable in zoo(name).weights]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("name", ["tutorial_cnn", "plain_cnn"])
def test_names_of_weights_are_the_same_each_time(name: str) -> None:
    """A saved model is put together again by them."""
    again = create_model(name, num_classes=CLASSES, image_size=SIZE)
    assert [v.path for v in again.weights] == [v.path for v in zoo(name).weights]


def kinds(model: keras.Model) -> list[tuple]:
    """Class and size of each layer with weights or a pooling, in forward order."""
    found = []
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            found.append(("conv", layer.filters, layer.kernel_size, layer.activation.__name__))
        elif isinstance(layer, layers.Dense):
            found.append(("dense", layer.units, layer.activation.__name__))
        elif isinstance(layer, layers.MaxPooling2D):
            found.append(("pool", layer.pool_size))
    return found


def test_tutorial_cnn_is_the_lessons_network() -> None:
    model = create_model("tutorial_cnn", num_classes=10)
    assert model.count_params() == 122_570
    assert kinds(model) == [
        ("conv", 32, (3, 3), "relu"),
        ("pool", (2, 2)),
        ("conv", 64, (3, 3), "relu"),
        ("pool", (2, 2)),
        ("conv", 64, (3, 3), "relu"),
        ("dense", 64, "relu"),
        ("dense", 10, "linear"),
    ]
    np.testing.assert_allclose(  # pixels / 255
        np.asarray(model.layers[1](pictures(size=32))), pictures(size=32) / 255, atol=1e-6
    )


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (56, 0.85)])
def test_resnets_have_the_papers_size(depth: int, millions: float) -> None:
    model = zoo(f"resnet{depth}")
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    head = 64 * 10 + 10 - (64 * CLASSES + CLASSES)  # the paper's ten classes
    assert round((trained + head) / 1e6, 2) == millions  # table 6 of the paper
    weighted = [kind for kind in kinds(model) if kind[0] in ("conv", "dense")]
    assert len(weighted) == depth  # shortcuts have no weights
    assert [kind[1] for kind in weighted].count(64) == (depth - 2) // 3
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    sides = {layer.filters: layer.output.shape[1] for layer in convolutions}
    assert sides == {16: SIZE, 32: SIZE // 2, 64: SIZE // 4}


# --- options ---


def test_plain_cnn_follows_its_options() -> None:
    model = create_model(
        "plain_cnn",
        num_classes=CLASSES,
        image_size=16,
        blocks=((4,), (6, 7)),
        block_dropout=(0.0, 0.2),
        dense=(9,),
        dropout=0.4,
        l2=1e-3,
    )
    convolution = [("conv", n, (3, 3), "linear") for n in (4, 6, 7)]
    pool = ("pool", (2, 2))
    expected = [convolution[0], pool, *convolution[1:], pool, ("dense", 9, "linear")]
    assert kinds(model) == [*expected, ("dense", CLASSES, "linear")]
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert rates == [0.2, 0.4]
    kernels = [model.get_layer(name).kernel for name in ("block1_conv1", "block2_conv1")]
    kernels += [model.get_layer(name).kernel for name in ("block2_conv2", "dense1")]
    squares = 1e-3 * sum(float((kernel.numpy() ** 2).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(squares, rel=1e-5)


def test_airbench_cnn_follows_its_options() -> None:
    model = create_model("airbench_cnn", num_classes=CLASSES, image_size=SIZE, widths=(6, 8))
    widths = [kind[1] for kind in kinds(model) if kind[0] == "conv"]
    assert widths == [24, 6, 6, 8, 8]
    deep = create_model(
        "airbench_cnn",
        num_classes=CLASSES,
        image_size=SIZE,
        widths=(6,),
        depth=3,
        activation="relu",
    )
    assert [kind[1] for kind in kinds(deep) if kind[0] == "conv"] == [24, 6, 6, 6]
    assert [type(layer) for layer in deep.layers].count(layers.Add) == 1


def test_gelu_and_what_is_added_to_it_have_its_own_scale() -> None:
    """``x sigmoid(1.702 x)``, though the factor stays in wherever a normalisation follows."""
    model = create_model(
        "airbench_cnn",
        num_classes=CLASSES,
        image_size=SIZE,
        widths=(6,),
        depth=3,
        activation="gelu",
    )
    names = ("block1_1_norm", "block1_3_norm", "block1_add", "block1_3_gelu", "head", "logits")
    see = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    first, third, added, last, head, logits = (np.asarray(x) for x in see(pictures()))

    def gelu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-1.702 * x))

    np.testing.assert_allclose(added, third + gelu(first), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last / 1.702, gelu(added), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, head / 1.702 / 6, rtol=1e-4)


def test_a_model_of_any_size_has_the_weights_of_one_of_a_certain_size() -> None:
    options = {"num_classes": CLASSES, "widths": (4, 4)}
    any_size = create_model("airbench_cnn", image_size=None, **options)
    one_size = create_model("airbench_cnn", image_size=SIZE, **options)
    assert [w.path for w in any_size.weights] == [w.path for w in one_size.weights]
    one_size.set_weights(any_size.get_weights())
    images = pictures()
    np.testing.assert_array_equal(np.asarray(any_size(images)), np.asarray(one_size(images)))
    assert any_size(images[:, 4:20, 4:20]).shape == (len(images), CLASSES)


def test_a_model_with_a_flat_layer_needs_a_size() -> None:
    with pytest.raises(UsageError, match="cannot be built with any-pixel images"):
        create_model("tutorial_cnn", num_classes=2, image_size=None)


def test_whitened_patches_are_uncorrelated_and_of_unit_variance() -> None:
    random = np.random.default_rng(0)
    rough = random.normal(size=(40, 12, 12, 3)) @ random.normal(size=(3, 3))  # correlated channels
    images = (rough + np.roll(rough, 1, axis=1)).astype("float32")  # and correlated neighbours
    layer = PatchWhitening(epsilon=0.0)
    layer.build((None, 12, 12, 3))
    assert [v.path for v in layer.trainable_variables] == [layer.bias.path]
    layer.adapt(images)
    white = np.asarray(layer(images)).reshape(-1, 24)
    # Squares of the patches themselves, not about their mean: what the covariance above is.
    np.testing.assert_allclose(
        white.T @ white / len(white),
        np.block([[np.eye(12), -np.eye(12)], [-np.eye(12), np.eye(12)]]),
        atol=2e-3,
    )


def test_whitening_leaves_no_channel_of_grey_images_empty() -> None:
    grey = np.random.default_rng(0).normal(size=(50, 8, 8, 1)).repeat(3, axis=-1).astype("float32")
    layer = PatchWhitening()
    layer(grey)
    layer.adapt(grey)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(grey)).std((0, 1, 2)), 1, rtol=0.02)


def test_whitening_comes_back_from_its_configuration() -> None:
    layer = PatchWhitening(size=3, channels=1, name="white")
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (back.name, back.size, back.filters, back.kernel_size) == ("white", 3, 18, (3, 3))


@pytest.mark.parametrize(
    ("name", "options", "last", "middle"),
    [
        ("airbench_cnn", {"widths": (8, 12, 16), "image_size": None}, "head", "block2_2_silu"),
        ("resnet20", {"image_size": 32}, "logits", "stage2_block3_2_relu"),
        ("tutorial_cnn", {"image_size": 32}, "logits", "conv2"),
    ],
)
def test_features_are_those_before_the_head_or_of_the_middle(
    name: str, options: dict, last: str, middle: str
) -> None:
    model = create_model(name, num_classes=4, **options)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    ends = [model.get_layer(last).input, model.get_layer(middle).output, model.output]
    head, maps, logits = (np.array(each) for each in keras.Model(model.inputs, ends)(images))
    for half, expected in ((False, head), (True, maps.mean(axis=(1, 2)))):
        found = np.array(with_features(model, middle=half)(images))
        np.testing.assert_allclose(found, np.column_stack([expected, logits]), atol=1e-5)


def test_adapting_a_model_uses_its_normalised_pixels() -> None:
    model = create_model("airbench_cnn", num_classes=2, image_size=8, mean=(9.0,) * 3, widths=(4,))
    # Random pixels have covariances so even that rounding would turn their eigenvectors.
    weights = np.random.default_rng(1).normal(size=(3, 3))
    rough = np.random.default_rng(0).normal(size=(30, 9, 8, 3)) @ weights * 20 + 128
    images = (rough[:, 1:] + 0.8 * rough[:, :-1] - 100).clip(0, 255).astype("uint8")
    adapt(model, images)
    layer = PatchWhitening()
    layer.build((None, 8, 8, 3))
    layer.adapt((images.astype("float32") - 9.0) / 255.0)
    np.testing.assert_allclose(
        model.get_layer("whiten").kernel.numpy(), layer.kernel.numpy(), atol=1e-3
    )


def test_dirac_passes_its_input_on() -> None:
    images = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
    layer = layers.Conv2D(7, 3, padding="same", use_bias=False, kernel_initializer=Dirac(seed=1))
    out = np.asarray(layer(images))
    np.testing.assert_allclose(out[..., :3], images, atol=1e-6)
    rest = layer.kernel.numpy()[..., 3:]
    assert rest.std() == pytest.approx((1 / (3 * 27)) ** 0.5, rel=0.2)
    assert np.abs(rest).max() <= 27**-0.5


# --- names ---


def test_names_match_patterns() -> None:
    assert list_models("resnet*") == ["resnet20", "resnet56"]
    assert list_models("no*") == []
    assert set(list_models()) >= {"tutorial_cnn", "plain_cnn", "airbench_cnn"}
    assert model_options("tutorial_cnn") == {}
    assert model_options("plain_cnn")["dropout"] == 0.5


def test_an_unknown_model_or_option_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'resnet2';.*'resnet20'"):
        create_model("resnet2", num_classes=2)
    with pytest.raises(UnknownNameError, match=r"unknown option of plain_cnn 'droput';.*'dropout'"):
        create_model("plain_cnn", num_classes=2, droput=0.1)


def test_a_name_is_registered_once() -> None:
    first = registry.get_model("tutorial_cnn")

    def tutorial_cnn(**_):
        return None

    with pytest.raises(ValueError, match="'tutorial_cnn' is registered twice"):
        registry.register(tutorial_cnn)
    assert registry.get_model("tutorial_cnn") is first


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tutorial_cnn", {"image_size": 8}),
        ("plain_cnn", {"image_size": 4}),
        ("plain_cnn", {"dropout": 2.0}),
        ("plain_cnn", {"dense": 5}),
        ("plain_cnn", {"blocks": ((4,),), "block_dropout": (0.0, 0.0)}),
        ("plain_cnn", {"l2": "much"}),
        ("airbench_cnn", {"widths": (0,)}),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_one_line_with_the_reason(name: str, options: dict) -> None:
    with pytest.raises(UsageError, match=f"the model {name} cannot be built") as error:
        create_model(name, num_classes=2, **options)
    assert "\n" not in str(error.value)
    assert "Exception encountered" not in str(error.value)  # Keras's heading, not the reason


# --- faster convolution ---


def assert_agree(ours: FastConv2D, keras_own: layers.Conv2D, shape: tuple, after: Callable) -> None:
    """`after` of either layer's output is the same, and so are the gradients that come back."""
    images = tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))
    results = []
    for layer in (ours, keras_own):
        layer.build(shape)
        layer.set_weights([w.copy() for w in ours.get_weights()])
        with tf.GradientTape() as tape:
            tape.watch(images)
            out = after(layer(images))
            loss = tf.reduce_sum(out * tf.cos(out))
        results.append([out, *tape.gradient(loss, [images, *layer.trainable_variables])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(6, 2, 2, 3), (5, 5, 5, 4), (4, 9, 9, 3)], ids=str)
def test_fast_convolution_is_keras_own_in_output_and_gradients(shape: tuple) -> None:
    assert_agree(FastConv2D(7), layers.Conv2D(7, 3, padding="same"), shape, tf.identity)


@pytest.mark.parametrize("side", [2, 3, 6, 7, 9, 12], ids=str)
def test_a_convolution_that_is_pooled_leaves_out_only_what_pooling_drops(side: int) -> None:
    ours, shape = FastConv2D(5, pooled=True), (4, side, side, 3)
    assert_agree(ours, layers.Conv2D(5, 3, padding="same"), shape, layers.MaxPooling2D(2))
    even = side - side % 2
    assert ours(np.ones(shape)).shape == ours.compute_output_shape(shape) == (4, even, even, 5)


ON_JAX = """
import os
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np
from keras import layers
from cifarlab.models.layers import FastConv2D
images = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype("float32")
ours, own = FastConv2D(5, pooled=True), layers.Conv2D(5, 3, padding="same")
for layer in (ours, own):
    layer.build(images.shape)
    layer.set_weights(ours.get_weights())
pool = layers.MaxPooling2D(2)
print(ours(images).shape, np.abs(pool(ours(images)) - pool(own(images))).max() < 1e-5)
"""


def test_a_convolution_that_is_pooled_leaves_out_the_same_on_jax() -> None:
    assert run_python(ON_JAX) == "(2, 6, 6, 5) True\n"


def test_a_convolution_that_is_pooled_takes_maps_of_any_shape() -> None:
    layer = FastConv2D(5, pooled=True)
    model = keras.Sequential([keras.Input((None, None, 3)), layer, layers.MaxPooling2D(2)])
    assert layer.output.shape == (None, None, None, 5)
    shapes = [(6, 6), (7, 7), (6, 9), (9, 6)]
    assert [model(np.ones((1, *s, 3))).shape[1:3] for s in shapes] == [
        (s // 2, t // 2) for s, t in shapes
    ]
    assert FastConv2D(5, pooled=True)(np.ones((1, 6, 9, 3))).shape == (1, 6, 9, 5)


@pytest.mark.parametrize("options", [{"strides": 2}, {"dilation_rate": 2}, {"groups": 2}], ids=str)
def test_fast_convolution_ignores_nothing_that_it_is_given(options: dict) -> None:
    images = np.random.default_rng(0).normal(size=(3, 7, 7, 4)).astype("float32")
    ours = FastConv2D(8, pooled=True, **options)
    keras_own = layers.Conv2D(8, 3, padding="same", **options)
    for layer in (ours, keras_own):
        layer.build(images.shape)
        layer.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(images), keras_own(images), atol=1e-6)


def test_fast_convolution_comes_back_from_its_configuration() -> None:
    dirac = {"use_bias": False, "kernel_initializer": Dirac()}
    layer = FastConv2D(5, pooled=True, name="conv", **dirac)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (back.name, back.filters, back.kernel_size, back.use_bias) == ("conv", 5, (3, 3), False)
    assert back.pooled


# --- batch normalisation ---


def two_norms(shape: tuple[int, ...] = (4, 5, 5, 3)) -> tuple:
    """Ours and Keras's, with the same weights, none of which is as it is made."""
    pair = FusedBatchNormalization(), layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    random = np.random.default_rng(0)
    values = [random.uniform(0.5, 2, shape[-1]).astype("float32") for _ in range(4)]
    for norm in pair:
        norm.build(shape)
        norm.set_weights(values)
    return pair


def batch(shape: tuple[int, ...] = (4, 5, 5, 3)) -> tf.Tensor:
    """Far from zero mean and unit deviation, a channel differently."""
    random = np.random.default_rng(1)
    return tf.constant((random.normal(size=shape) * [1, 3, 5] + [0, 2, -4]).astype("float32"))


def test_fused_batch_norm_is_kerass_in_training() -> None:
    results = []
    for norm in two_norms():
        weight = tf.random.stateless_normal((4, 5, 5, 3), seed=(0, 0))
        for _ in range(2):
            x = batch()
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = norm(x, training=True)
                loss = tf.reduce_sum(y**2 * weight)
            gradients = tape.gradient(loss, [x, norm.gamma.value, norm.beta.value])
        results.append((y, gradients, norm.moving_mean.numpy(), norm.moving_variance.numpy()))
    (ours, our_gradients, *our_moments), (theirs, their_gradients, *their_moments) = results
    # Two orders of summing 100 numbers in float32: 1e-6 of the values, which reach 10.
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for a, b in zip(our_gradients, their_gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
    # Bessel's variance would be 1 % larger, and with two steps move these by 2e-3 of theirs.
    for a, b in zip(our_moments, their_moments, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_fused_batch_norm_of_another_axis_is_kerass() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 5, 5)).astype("float32")
    ours, theirs = FusedBatchNormalization(axis=1), layers.BatchNormalization(axis=1, epsilon=1e-5)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-6)


def test_fused_batch_norm_moves_its_statistics_by_hand() -> None:
    norm = FusedBatchNormalization(momentum=0.8)
    x = np.array([1.0, 3.0, 5.0, 7.0], "float32").reshape(4, 1, 1, 1)  # mean 4, variance 5
    y = np.asarray(norm(x, training=True)).ravel()
    np.testing.assert_allclose(y, np.array([-3, -1, 1, 3]) / np.sqrt(5 + 1e-5), rtol=1e-5)
    assert norm.moving_mean.numpy() == pytest.approx([0.2 * 4], rel=1e-5)
    assert norm.moving_variance.numpy() == pytest.approx([0.8 + 0.2 * 5], rel=1e-5)


@pytest.mark.parametrize(
    ("training", "trainable", "shape"),
    [(False, True, (4, 5, 5, 3)), (True, False, (4, 5, 5, 3)), (True, True, (8, 3))],
    ids=["inference", "frozen", "not images"],
)
def test_elsewhere_it_is_kerass_to_the_bit(training: bool, trainable: bool, shape: tuple) -> None:
    ours, theirs = two_norms(shape)
    before = ours.moving_mean.numpy()
    ours.trainable = theirs.trainable = trainable
    results = [np.asarray(norm(batch(shape), training=training)) for norm in (ours, theirs)]
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(ours.moving_mean.numpy(), theirs.moving_mean.numpy())
    assert (ours.moving_mean.numpy() == before).all() == (not (training and trainable))


def test_without_scale_and_centre() -> None:
    pair = [
        kind(momentum=0.9, epsilon=1e-5, scale=False, center=False)
        for kind in (FusedBatchNormalization, layers.BatchNormalization)
    ]
    ours, theirs = (np.asarray(norm(batch(), training=True)) for norm in pair)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_fused_batch_norm_comes_back_from_its_configuration() -> None:
    norm = FusedBatchNormalization(momentum=0.7, epsilon=1e-4, name="mine")
    back = layers.deserialize(layers.serialize(norm))
    assert type(back) is FusedBatchNormalization
    assert (back.momentum, back.epsilon, back.name) == (0.7, 1e-4, "mine")
    assert (FusedBatchNormalization().momentum, FusedBatchNormalization().epsilon) == (0.9, 1e-5)


# --- Keras's own ways with a model ---


def test_compile_fit_save_and_load(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = create_model("plain_cnn", num_classes=CLASSES, image_size=8, mean=MEAN, **SMALL)
    images = pictures(24, size=8)
    labels = (images.mean(axis=(1, 2)).argmax(axis=1)).astype("int64")  # the strongest colour
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    losses = model.fit(images, labels, batch_size=24, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(
        np.asarray(loaded(images, training=False)), np.asarray(model(images, training=False))
    )


def test_a_residual_network_saves_and_loads(tmp_path: Path) -> None:
    """Its shortcuts are operations without a layer of ours."""
    path = tmp_path / "model.keras"
    zoo("resnet20").save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(
        np.asarray(loaded(pictures(), training=False)),
        np.asarray(zoo("resnet20")(pictures(), training=False)),
    )
