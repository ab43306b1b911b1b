"""Architectures side by side: one recipe, six networks of about the same cost.

Forty million multiply-adds an image forward, the size of ResNet-20, to which the others are
scaled (LeNet-5 costs a sixtieth and is what it is); the same data, augmentation, optimizer, rates
and ten epochs for all. So the comparison is of shapes at a budget, not of what each can reach:
each paper's own training is longer and made for its network.

``cifarlab compare`` of the runs says which differ; docs/architectures.md has the table.
"""

from dataclasses import replace

from cifarlab.recipes.recipe import Augmentation, Recipe

resnet20_short = Recipe(
    name="resnet20_short",
    summary="ResNet-20 in ten epochs: architectures side by side",
    model="resnet20",
    pixels="standard",
    labels="one-hot",
    augmentation=Augmentation(flip=True, shift=0.125),
    epochs=10,
    batch_size=128,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.05,
    schedule="triangle",
    warmup=0.2,
    final_rate=0.0,
)

lenet_short = replace(
    resnet20_short,
    name="lenet_short",
    summary="LeNet-5 (1998) as resnet20_short is trained",
    model="lenet5",
)

vgg_short = replace(
    resnet20_short,
    name="vgg_short",
    summary="VGG-11 with half of its channels, as resnet20_short is trained",
    model="vgg",
    model_options={"depth": 11, "width": 0.5},
)

wide_resnet_short = replace(
    resnet20_short,
    name="wide_resnet_short",
    summary="A wide ResNet of ten layers, as resnet20_short is trained",
    model="wide_resnet",
    model_options={"depth": 10, "width": 2},
)

convmixer_short = replace(
    resnet20_short,
    name="convmixer_short",
    summary="ConvMixer-128/8 on patches of two pixels, as resnet20_short is trained",
    model="convmixer",
    model_options={"width": 128, "depth": 8, "kernel": 5, "patch": 2},
)

mobilenet_short = replace(
    resnet20_short,
    name="mobilenet_short",
    summary="MobileNet with half of its channels, as resnet20_short is trained",
    model="mobilenet",
    model_options={"width": 0.5},
)

# He et al. 2015 train for 64,000 steps of 128 images, 182 epochs of 45,000, at a rate of 0.1 that
# falls to a tenth after a half and again after three quarters, and reach 91.25 %. Their L2 of 1e-4
# adds up in a momentum of 0.9 to ten times as much as a decay beside it (Loshchilov and Hutter
# 2019, arXiv:1711.05101, proposition 2), hence 1e-3. Differences: Nesterov's look-ahead; images are
# moved over their reflection rather than over black; the mean is taken off a channel, not a pixel.
resnet20_paper = replace(
    resnet20_short,
    name="resnet20_paper",
    summary="For a GPU: ResNet-20 as its paper trains it, 91.25 % there (not measured yet)",
    epochs=182,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=1e-3,
    schedule="steps",
    warmup=0.0,
    final_rate=0.01,
)
