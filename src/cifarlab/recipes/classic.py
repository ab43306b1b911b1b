"""The recipes of five teaching projects, as their descriptions say them, each as its own value.

Test accuracy with ``cifarlab train cifar10 --recipe NAME`` on two cores of a Zen 4, TensorFlow,
bfloat16; the minutes are upper bounds, since other work ran beside. ``records/NAME/`` has each run,
versions, and what was tried and did not work.

==================  ========  =  =======
recipe              accuracy  n  minutes
==================  ========  =  =======
tutorial_cnn          69.6 %  3      1.5
onehot_cnn            74.7 %  3      3.1
onehot_cnn_deeper     76.1 %  3      6.0
onehot_cnn_dropout    80.0 %  1     15.0
augmented_cnn         84.6 %  1     18.3
plateau_cnn           83.4 %  1     16.6
regularized_cnn       88.3 %  1     24.6
==================  ========  =  =======
"""

from dataclasses import replace

from cifarlab.recipes.recipe import Augmentation, EarlyStopping, Plateau, Recipe

tutorial_cnn = Recipe(
    name="tutorial_cnn",
    summary="The first lesson: three convolutions, two dense layers, Adam, ten epochs",
    model="tutorial_cnn",
    epochs=10,
    batch_size=32,
)

onehot_cnn = Recipe(
    name="onehot_cnn",
    summary="One-hot labels, three convolutions with max pooling, dense with dropout",
    model="plain_cnn",
    model_options={
        "blocks": ((32,), (64,), (64,)),
        "block_dropout": (0.0, 0.0, 0.0),
        "dense": (128,),
        "dropout": 0.3,
    },
    labels="one-hot",
    epochs=12,
    batch_size=64,
    schedule="cosine",
)

# A second convolution in the second block, twice the channels in the third: what does more give?
onehot_cnn_deeper = replace(
    onehot_cnn,
    name="onehot_cnn_deeper",
    summary="onehot_cnn with a fourth convolution and more channels: the effect of depth and width",
    model_options={**onehot_cnn.model_options, "blocks": ((32,), (64, 64), (128,))},
)

# Dropout after each block holds back a network that fits the training images too well; what it
# costs when training is short, it gives back when training is long, hence the epochs.
onehot_cnn_dropout = replace(
    onehot_cnn_deeper,
    name="onehot_cnn_dropout",
    summary="onehot_cnn_deeper with dropout after each block, trained for longer",
    model_options={**onehot_cnn_deeper.model_options, "block_dropout": (0.1, 0.2, 0.2)},
    epochs=30,
)

augmented_cnn = Recipe(
    name="augmented_cnn",
    summary="Rotation, shifts and flips; learning-rate schedule; early stopping on validation loss",
    model="plain_cnn",
    model_options={
        "blocks": ((32, 32), (64, 64), (128, 128)),
        "block_dropout": (0.0, 0.05, 0.1),
        "dense": (256,),
        "dropout": 0.3,
    },
    augmentation=Augmentation(flip=True, shift=0.1, rotation=10.0),
    epochs=28,
    batch_size=64,
    schedule="cosine",
    early_stopping=EarlyStopping(patience=5),
)

plateau_cnn = Recipe(
    name="plateau_cnn",
    summary="Stacked convolutions with dropout; Adam at 0.001, lowered when validation loss stalls",
    model="plain_cnn",
    model_options={
        "blocks": ((32,), (64, 64), (128, 128)),
        "block_dropout": (0.2, 0.3, 0.4),
        "dense": (128,),
        "batch_norm": True,
    },
    labels="one-hot",
    epochs=22,
    batch_size=64,
    plateau=Plateau(factor=0.3, patience=2),
)

regularized_cnn = Recipe(
    name="regularized_cnn",
    summary="Augmentation, dropout, L2 and batch norm; rate lowered on plateau; early stopping",
    model="plain_cnn",
    model_options={
        "blocks": ((32,), (64, 64), (128, 128, 128)),
        "block_dropout": (0.05, 0.1, 0.2),
        "dense": (),
        "batch_norm": True,
        "l2": 1e-4,
    },
    pixels="standard",
    labels="one-hot",
    augmentation=Augmentation(flip=True, shift=0.1),
    epochs=30,
    batch_size=64,
    plateau=Plateau(factor=0.3, patience=2),
    early_stopping=EarlyStopping(patience=6),
)
