"""Layers that more than one architecture uses."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


def pixels(
    image_size: int | None, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[Any, Any]:
    """The input and its normalisation: ``(inputs, (inputs - mean) / std)``, both (N, S, S, 3).

    Without an `image_size` the model takes images of any size, if its layers can.

    Part of the model, so that nobody who uses the model can forget it.
    """
    inputs = keras.Input((image_size, image_size, 3), name="pixels")
    scale = [1.0 / s for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return inputs, layers.Rescaling(scale, offset, name="normalize")(inputs)


def conv3x3(
    x: Any, width: int, name: str, *, stride: int = 1, use_bias: bool = False, l2: float = 0.0
) -> Any:
    """3x3 convolution with He's initialisation: (N, S, S, C) to (N, S/stride, S/stride, width)."""
    return layers.Conv2D(
        width,
        3,
        strides=stride,
        padding="same",
        use_bias=use_bias,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )(x)


@keras.saving.register_keras_serializable("cifarlab")
class Dirac(keras.initializers.VarianceScaling):
    """The identity for as many output channels as there are inputs, uniform numbers for the rest.

    A convolution (H, W, inputs, outputs) that starts so passes its input on, and a deep network
    learns from the first step (Jordan 2024, arXiv:2404.00498, section 3.3). The rest is uniform in
    ``±1 / sqrt(H W inputs)``.
    """

    def __init__(self, seed: int | None = None):
        super().__init__(scale=1 / 3, mode="fan_in", distribution="uniform", seed=seed)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        """A kernel (H, W, inputs, outputs) with H and W odd."""
        height, width, inputs, outputs = shape
        identity = np.zeros(shape, "float32")
        count = min(inputs, outputs)
        identity[height // 2, width // 2, range(count), range(count)] = 1.0
        random = super().__call__(shape, dtype)
        return ops.where(np.arange(outputs) < count, ops.cast(identity, random.dtype), random)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"seed": self.seed}


# A direction of patches with less than this share of the largest one's variance is no more than
# rounding. The least of CIFAR-10's has 6e-5.
VARIES = 1e-6


@keras.saving.register_keras_serializable("cifarlab")
class PatchWhitening(layers.Conv2D):
    """A first convolution whose fixed filters decorrelate the colours of small patches.

    Its kernel, (size, size, C, 2 size^2 C), holds the eigenvectors of the patches' covariance,
    each divided by the root of its eigenvalue, and their negatives, so that an activation after it
    loses nothing. Of a direction in which no patch varies it holds another's in its place. `adapt`
    computes them; the bias is trained.

    Args:
        size: pixels a side of a patch.
        epsilon: added to the eigenvalues, so that noise is not blown up.

    Reference:
        Page 2019, "How to Train Your ResNet 8: Bag of Tricks"; Jordan 2024, arXiv:2404.00498.
    """

    def __init__(self, size: int = 2, epsilon: float = 5e-4, channels: int = 3, **kwargs: Any):
        super().__init__(2 * size * size * channels, size, **kwargs)
        self.size, self.epsilon, self.channels = size, epsilon, channels

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel, which no gradient reaches, and the bias, which is trained."""
        super().build(input_shape)
        self._kernel.trainable = False

    def adapt(self, images: np.ndarray) -> None:
        """Compute the kernel from normalised images float (N, S, S, C)."""
        window = (self.size, self.size)
        patches = np.lib.stride_tricks.sliding_window_view(images, window, axis=(1, 2))
        patches = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, self.size**2 * self.channels)
        patches = patches.astype("float64")  # small eigenvalues are lost in float32's sums
        covariance = patches.T @ patches / len(patches)
        values, vectors = np.linalg.eigh(covariance)
        filters = vectors / np.sqrt(values + self.epsilon)  # a column each
        # Between the colours of grey images nothing varies. A channel that is always 0 would get
        # gradients 300-fold by the normalisation behind it, so another direction is repeated.
        varies = values > VARIES * values[-1]
        filters[:, ~varies] = filters[:, np.resize(np.flatnonzero(varies)[::-1], np.sum(~varies))]
        kernel = np.concatenate([filters, -filters], axis=1)
        self.kernel.assign(kernel.reshape(*window, self.channels, -1))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"size": self.size, "epsilon": self.epsilon, "channels": self.channels}
        inherited = super().get_config()
        return {k: v for k, v in inherited.items() if k not in ("filters", "kernel_size")} | own


# Up to this side the gradient of a kernel is faster as a convolution over the batch.
SMALL_MAP = 7


@keras.saving.register_keras_serializable("cifarlab")
class FastConv2D(layers.Conv2D):
    """Keras's convolution, 3x3 with "same" padding, made faster.

    oneDNN computes a kernel's gradient at a fraction of the speed of a forward convolution when
    the maps are small, up to 4 times slower at 2 x 2. On TensorFlow that gradient is therefore
    written as a forward convolution in which images and channels change places: every input channel
    is an image of N channels, the output's gradient is a kernel of side S.

    Args:
        pooled: 2x2 pooling comes next. It drops the last row and column of a map of odd side, so
            they are not computed: a quarter of a 7 x 7 map. Where they are, for a side not known
            beforehand, pooling gives the same.
    """

    def __init__(self, filters: int, pooled: bool = False, **kwargs: Any):
        kwargs = {k: v for k, v in kwargs.items() if k not in ("kernel_size", "padding")}
        super().__init__(filters, 3, padding="same", **kwargs)
        self.pooled = pooled

    def _known_side(self, shape: tuple[int | None, ...]) -> int | None:
        """Side of square maps, where this is a convolution that can be made faster."""
        plain = (self.strides, self.dilation_rate, self.groups) == ((1, 1), (1, 1), 1)
        return shape[1] if plain and shape[1] == shape[2] else None

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """(N, S, S, C) and (3, 3, C, filters) to (N, S, S, filters), or S - 1 of both sides."""
        side = self._known_side(inputs.shape)
        cut = self.pooled and side is not None and side % 2 == 1
        small = side is not None and side <= SMALL_MAP
        if (cut or small) and keras.backend.backend() == "tensorflow":
            # A copy of the value: the gradient is not told of variables.
            return _convolve(inputs, ops.copy(kernel), cut=cut, swap=small)
        if cut:
            inputs = ops.pad(inputs, ((0, 0), (1, 0), (1, 0), (0, 0)))
            return ops.conv(inputs, kernel, padding="valid", data_format="channels_last")
        return super().convolution_op(inputs, kernel)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(N, S, S, filters), or S - 1 of both sides."""
        shape = super().compute_output_shape(input_shape)
        if not self.pooled or self._known_side(input_shape) is None:
            return shape
        n, height, width, channels = shape
        return n, height - height % 2, width - width % 2, channels

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "pooled": self.pooled}


def _convolve(x: Any, kernel: Any, *, cut: bool, swap: bool) -> Any:
    """3x3 convolution of (N, S, S, C) padded with zeros, on TensorFlow.

    Args:
        cut: without the last row and column of the result.
        swap: compute the kernel's gradient with images and channels in each other's place.
    """
    import tensorflow as tf

    after = 0 if cut else 1
    around = ((0, 0), (1, after), (1, after), (0, 0))

    @tf.custom_gradient
    def convolve(x: Any, kernel: Any) -> Any:
        def gradient(dy: Any) -> tuple[Any, Any]:
            # Padding is written out: TensorFlow's gradients of uneven padding take 50 times longer.
            _, side, _, channels = x.shape
            if cut:
                shape = (tf.shape(x)[0], side + 1, side + 1, channels)
                dx = tf.nn.conv2d_transpose(dy, kernel, shape, 1, "VALID")[:, 1:, 1:]
            else:
                dx = tf.nn.conv2d_transpose(dy, kernel, tf.shape(x), 1, "SAME")
            padded = tf.pad(x, around)
            if not swap:
                of_kernel = tf.raw_ops.Conv2DBackpropFilter(
                    input=padded,
                    filter_sizes=kernel.shape,
                    out_backprop=dy,
                    strides=(1, 1, 1, 1),
                    padding="VALID",
                )
                return dx, of_kernel
            images = tf.transpose(padded, (3, 1, 2, 0))  # (C, S + 2, S + 2, N)
            swapped = tf.nn.conv2d(images, tf.transpose(dy, (1, 2, 0, 3)), 1, "VALID")
            return dx, tf.transpose(swapped, (1, 2, 0, 3))  # from (C, 3, 3, filters)

        return tf.nn.conv2d(x, kernel, 1, around), gradient

    return convolve(x, kernel)


def adapt(model: keras.Model, images: np.ndarray, count: int = 1000) -> None:
    """Let every layer of `model` that computes its weights from data do so.

    Args:
        model: with a layer ``normalize``, as `pixels` makes it.
        images: uint8 (N, S, S, 3), training images; the first `count` are looked at.
    """
    whitening = [layer for layer in model.layers if isinstance(layer, PatchWhitening)]
    for layer in whitening:
        layer.adapt(ops.convert_to_numpy(model.get_layer("normalize")(images[:count])))


@keras.saving.register_keras_serializable("cifarlab")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation, computed by one fused kernel where TensorFlow has it.

    Keras 3 composes the operation from moments and elementwise steps on TensorFlow, in float32.
    The fused kernel trains a small network about 1.5 times faster there and agrees with Keras to
    5e-6. Weights, names and configuration are those of the parent, so the two are
    interchangeable; on other backends, in inference and for other inputs than (N, H, W, C) with the
    channels as the axis this *is* the parent.

    Args:
        momentum: of the moving statistics. Defaults to 0.9 (Keras's 0.99 lags in trainings of few
            steps).
        epsilon: added to the variance. Defaults to 1e-5, the papers' value.

    Reference:
        Ioffe and Szegedy 2015, "Batch Normalization", arXiv:1502.03167.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise (N, H, W, C) by the batch's statistics in training, else by the moving ones."""
        maps = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        fused = keras.backend.backend() == "tensorflow" and maps
        if not (fused and training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma if self.scale else tf.ones(channels),
            offset=self.beta if self.center else tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns Bessel's n / (n - 1) variance; Keras keeps the plain one.
        count = ops.cast(ops.size(inputs) // channels, "float32")
        variance = variance * ((count - 1.0) / count)
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
        self.moving_variance.assign(
            self.moving_variance * self.momentum + variance * (1.0 - self.momentum)
        )
        return outputs
