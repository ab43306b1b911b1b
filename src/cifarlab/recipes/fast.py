"""Recipes made for speed: whitened patches, Muon, and images that are small at first.

Most of what they do is Jordan's (2024, arXiv:2404.00498, and the later airbench94_muon); what is
ours is small batches, which cost nothing on a CPU, and that early epochs see small images. What
each is worth, and what was worth nothing, is in ``records/fast94`` and ``records/quick``.
"""

from dataclasses import replace

from cifarlab.recipes.recipe import Augmentation, Recipe

# 90.2 % ± 0.8 on test (n = 3), 166 seconds from the command to the report on two cores of a Zen 4
# in bfloat16; 1.2 points of them by visiting hard images more often: records/quick.
quick = Recipe(
    name="quick",
    summary="The default: the best accuracy within three minutes on two CPU cores",
    model="airbench_cnn",
    model_options={"widths": (64, 192, 256), "activation": "relu"},
    pixels="standard",
    labels="one-hot",
    label_smoothing=0.2,
    validation=0.02,
    augmentation=Augmentation(flip=True, alternate=True, crop=28),
    sizes=(16, 20, 20, 28),
    hard=(1.0, 0.7, 0.5, 0.5),
    tta="flip",
    epochs=4,
    least_steps=390,  # CIFAR-10's 49,000 images are 392
    batch_size=500,
    least_batch=128,
    optimizer="muon",
    learning_rate=0.16,
    momentum=0.6,
    weight_decay=2e-6,
    bias_rate=0.053,
    head_rate=0.67,
    schedule="triangle",
    final_rate=0.0,
)

# One look at each image, as a thumbnail.
sprint = replace(
    quick,
    name="sprint",
    summary="More than 70 % in one epoch of seconds: thumbnails of 16 pixels",
    image_size=16,
    sizes=(),
    hard=(),
    augmentation=Augmentation(flip=True, alternate=True),
    model_options={
        "widths": (24, 64, 96),
        "activation": "relu",
        "whiten_bias": False,
        "norm_momentum": 0.6,
    },
    epochs=1,
    least_steps=190,
    batch_size=250,
    learning_rate=0.12,
)

# Whole images to the border and two pixels beyond, at their full size in the end. Two epochs visit
# the harder half of the images twice. 94.1 % on test: records/fast94.
fast94 = replace(
    quick,
    name="fast94",
    summary="94 % on two CPU cores in a quarter of an hour: wider, whole images, for longer",
    model_options={
        "widths": (64, 256, 256),
        "activation": "gelu",
        "whiten_bias": False,
        "norm_momentum": 0.9,
    },
    augmentation=Augmentation(flip=True, alternate=True, shift=0.0625),
    sizes=(20, 24, 24, 24, 32, 32, 32, 32, 32, 32),
    hard=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0),
    tta="selective",
    epochs=10,
    learning_rate=0.1,
)

# Trained on bad pictures as well, for pictures that are not CIFAR-10's: the bundled model.
robust = replace(
    fast94,
    name="robust",
    summary="An hour on two CPU cores: images with noise, blur and low contrast as well",
    model_options={**fast94.model_options, "widths": (96, 256, 256), "activation": "silu"},
    augmentation=Augmentation(
        flip=True, alternate=True, shift=0.125, brightness=0.1, contrast=0.6, blur=0.8, noise=0.07
    ),
    sizes=(20, 24, 24, 24, 32, 32, 32, 32, 32, 32),
    hard=(),
    tta="flip",
    epochs=30,
)

# The shape, augmentation and length of airbench96 (Jordan 2024), trained by Muon.
fast96 = replace(
    fast94,
    name="fast96",
    summary="For a GPU, aimed at 96 %: a wider, deeper fast94 for longer (not measured yet)",
    model_options={**fast94.model_options, "widths": (128, 384, 512), "depth": 3},
    augmentation=Augmentation(flip=True, alternate=True, shift=0.125, cutout=12),
    sizes=(24, 28, 32, 32),
    hard=(),
    tta="shift",
    epochs=32,
)

best = replace(
    fast96,
    name="best",
    summary="For a GPU, the highest accuracy in about 20 minutes (not measured yet)",
    model_options={**fast96.model_options, "widths": (256, 768, 1024)},
    epochs=120,
)
