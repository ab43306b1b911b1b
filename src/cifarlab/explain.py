"""Why: which parts of an image a prediction rests on.

Two answers that fail in different ways. The class-activation map asks the model's last feature
maps where the evidence for a class lies; the occlusion map asks nothing of the model but its
answers, and sees what is lost when a part of the image is covered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.engine import feature_gradients, predict_logits
from cifarlab.errors import CifarlabError, UsageError
from cifarlab.metrics import softmax
from cifarlab.models.features import activates
from cifarlab.run import Run

BATCH_SIZE = 256
MAPPED = 12  # of a run's worst mistakes: those whose maps it keeps

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in an image the evidence for one class is.

    Attributes:
        class_index: the class that is explained.
        activation: float32 (S, S) in [0, 1], as `class_activation_map` gives it; None for a model
            whose layers cannot be looked at.
        occlusion: float32 (S, S) in [-1, 1], as `occlusion_map` gives it.
    """

    class_index: int
    activation: NDArray[np.float32] | None
    occlusion: NDArray[np.float32]


def explain(
    image: NDArray[np.uint8], call: Logits, model: keras.Model | None, class_index: int
) -> Explanation:
    """Both maps of one image and one class.

    Args:
        image: uint8 (S, S, 3), as the model sees it.
        call: images uint8 (N, S, S, 3) -> logits (N, C).
        model: the Keras model behind `call`, or None where there is none.
        class_index: in [0, C).

    Raises:
        CifarlabError: the model has no feature maps.
        UsageError: the class is out of range.

    Example:
        >>> bright = lambda images: images.mean(axis=(1, 2))[:, :2] * [1, -1]
        >>> found = explain(np.full((8, 8, 3), 9, np.uint8), bright, None, class_index=0)
        >>> found.activation is None, found.occlusion.shape  # even grey: nothing to cover it with
        (True, (8, 8))
    """
    activation = None
    if model is not None:
        activation = class_activation_map(model, image[None], class_index)[0]
    return Explanation(class_index, activation, occlusion_map(call, image, class_index))


def class_activation_map(
    model: keras.Model, images: NDArray[np.uint8], classes: ArrayLike | None = None
) -> NDArray[np.float32]:
    """Where the feature maps hold evidence for a class: HiResCAM.

    Each feature of `feature_layer`, times the gradient of the class's logit with respect to it,
    added up over the channels; what speaks against the class is cut off, the rest stretched to the
    image's size and divided by its highest value. Where the network is linear by pieces from there
    on, these products add up to the logit but for the biases, so that each place shows its share.
    Grad-CAM averages the gradient over the places first: the same map for average pooling and a
    linear head, where both are CAM, but wrong behind a maximum, whose gradient one place has.

    Args:
        model: a functional Keras model, pixels in [0, 255] to logits, such as `Run.load_model`
            gives.
        images: uint8 (N, S, S, 3).
        classes: the class to explain, int or int (N,); each image's own prediction by default.

    Returns:
        float32 (N, S, S) in [0, 1]; zero everywhere where nothing speaks for the class.

    Raises:
        CifarlabError: the model has no feature maps.
        UsageError: a class is out of range.

    References:
        Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM", arXiv:2011.08891. Selvaraju et
        al. 2017, "Grad-CAM", arXiv:1610.02391. Zhou et al. 2016, "Learning Deep Features for
        Discriminative Localization", arXiv:1512.04150.

    Example:
        >>> from cifarlab import create_model
        >>> model = create_model("resnet20", num_classes=10)
        >>> class_activation_map(model, np.zeros((2, 32, 32, 3), np.uint8)).shape
        (2, 32, 32)
    """
    layer, num_classes = feature_layer(model), model.output_shape[-1]
    maps = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        if classes is None:
            chosen = np.asarray(model(batch.astype("float32"), training=False)).argmax(axis=1)
        else:
            every = np.broadcast_to(np.asarray(classes), len(images))
            chosen = _checked_classes(every[start : start + BATCH_SIZE], num_classes)
        features, gradients = feature_gradients(model, layer, batch, chosen)
        maps.append(np.maximum((features * gradients).sum(axis=-1), 0))
    evidence = np.concatenate(maps).astype(np.float32)
    stretched = stretch(evidence, images.shape[1])
    highest = stretched.max(axis=(1, 2), keepdims=True)
    return np.divide(stretched, highest, out=np.zeros_like(stretched), where=highest > 0)


def keep_maps(run: Run, split: str) -> int:
    """Keep the class-activation maps of a run's worst mistakes on a split, for its report.

    They are added to the predictions of `split`: ``map_place`` int64 (K,), which of the shown
    images they are of, and ``maps`` uint8 (K, 2, S, S), 255 times the map of what the image was
    called, then of its label.

    Returns:
        K, at most `MAPPED`; 0 where the split is not evaluated, nothing was wrong, or the model has
        no feature maps.

    Raises:
        RunError: the run is damaged.
    """
    if not (run.path / f"predictions-{split}.npz").exists():
        return 0
    kept = run.predictions(split)
    places = np.flatnonzero(kept["shown_kind"] == "worst")[:MAPPED]
    rows, images = kept["shown_index"][places], kept["shown_images"][places]
    model = run.load_model()
    try:
        feature_layer(model)
    except CifarlabError:
        return 0
    if len(places):
        of = (kept["logits"][rows].argmax(axis=1), kept["labels"][rows])
        maps = np.stack([class_activation_map(model, images, classes) for classes in of], axis=1)
        kept |= {"map_place": places, "maps": np.rint(255 * maps).astype(np.uint8)}
        run.write_predictions(split, **kept)
    return len(places)


def feature_layer(model: keras.Model) -> str:
    """The layer whose maps `class_activation_map` reads.

    The last activation whose map, (N, h, w, C), is no coarser than an eighth of the image's side;
    without one the last layer with a map of 2 x 2 or more.

    Raises:
        CifarlabError: there is none.

    Example:
        >>> from cifarlab import create_model
        >>> feature_layer(create_model("tutorial_cnn", num_classes=10))
        'conv3'
    """
    side = model.input_shape[1] or 0
    maps = [layer for layer in model.layers[1:] if _side(layer) >= 2]  # the first is the input
    fine = [each for each in maps if activates(each) and 8 * _side(each) >= side]
    if not maps:
        raise CifarlabError(
            f"{model.name} has no feature maps to explain by; occlusion_map works with any model"
        )
    return (fine or maps)[-1].name


def stretch(maps: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Maps (N, h, w) enlarged to (N, side, side), linearly between the centres of their cells.

    Example:
        >>> stretch(np.array([[[0.0, 4.0], [0.0, 4.0]]], np.float32), 4)[0, 0].tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    rows, columns = (_interpolation(side, cells) for cells in maps.shape[1:])
    return (rows @ maps @ columns.T).astype(np.float32)


def occlusion_map(
    call: Logits,
    image: NDArray[np.uint8],
    class_index: int,
    patch: int | None = None,
    stride: int | None = None,
) -> NDArray[np.float32]:
    """How much of a class's probability is lost where a patch covers the image.

    A square in the image's mean colour slides over it and beyond its borders, so that every pixel
    is covered; a pixel's value is the mean, over the squares that cover it, of the probability
    without minus the probability with the square. Needs no model, only its answers.

    Args:
        call: images uint8 (N, S, S, 3) -> logits (N, C).
        image: uint8 (S, S, 3).
        class_index: in [0, C).
        patch: the square's side in pixels; a quarter of the image by default.
        stride: pixels from one square to the next, at most `patch`; a quarter of it by default.

    Returns:
        float32 (S, S) in [-1, 1]: positive where the image speaks for the class, negative where
        covering it makes the class more probable.

    Raises:
        UsageError: patch, stride or class is out of range.

    Reference:
        Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks",
        arXiv:1311.2901, section 4.2.

    Example:
        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> image[:4, :4] = 255  # what the model looks at
        >>> corner = lambda images: images[:, 0, 0, :2] / 64 * [1.0, 0.0]
        >>> found = occlusion_map(corner, image, class_index=0, patch=4, stride=4)
        >>> bool(found[0, 0] > 0.2), float(found[7, 7])
        (True, 0.0)
    """
    side = image.shape[0]
    patch = max(side // 4, 1) if patch is None else patch
    stride = max(patch // 4, 1) if stride is None else stride
    if not 1 <= stride <= patch <= side:
        raise UsageError(
            f"1 <= stride <= patch <= {side}, the image's side. Received: {stride}, {patch}"
        )
    starts = np.arange(stride - patch, side, stride)
    place = np.arange(side)
    inside = (starts[:, None] <= place) & (place < starts[:, None] + patch)  # (P, S)
    masks = (inside[:, None, :, None] & inside[None, :, None, :]).reshape(-1, side, side)
    colour = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    covered = np.where(masks[..., None], colour, image)
    probabilities = softmax(predict_logits(call, np.concatenate([image[None], covered])))
    _checked_classes(np.array([class_index]), probabilities.shape[1])
    lost = probabilities[0, class_index] - probabilities[1:, class_index]
    weights = masks.reshape(len(masks), -1).astype(np.float64)
    return (lost @ weights / weights.sum(axis=0)).reshape(side, side).astype(np.float32)


def _side(layer: keras.Layer) -> int:
    """The side of the map that a layer gives; 0 where it gives none."""
    shape = layer.output.shape
    return (shape[1] or 0) if len(shape) == 4 else 0


def _interpolation(side: int, cells: int) -> NDArray[np.float32]:
    """(side, cells): linear interpolation between the centres of cells, constant at the rim."""
    places = np.clip((np.arange(side) + 0.5) * cells / side - 0.5, 0, cells - 1)
    distance = np.abs(places[:, None] - np.arange(cells))
    return np.maximum(1 - distance, 0).astype(np.float32)


def _checked_classes(classes: NDArray, num_classes: int) -> NDArray:
    if classes.min() < 0 or classes.max() >= num_classes:
        raise UsageError(
            f"a class is 0 to {num_classes - 1}. Received: {classes.min()} to {classes.max()}"
        )
    return classes
