"""The default recipe, and a minute one for tests."""

from cifarlab.recipes.recipe import Augmentation, EarlyStopping, Plateau, Recipe

quick = Recipe(
    name="quick",
    summary="The default: the best accuracy within five minutes on two CPU cores",
    model="airbench_cnn",
    model_options={"stem": 24, "widths": (48, 96, 192)},
    pixels="standard",
    labels="one-hot",
    label_smoothing=0.1,
    augmentation=Augmentation(flip=True, shift=0.0625),
    epochs=5,
    batch_size=250,
    optimizer="sgd",
    learning_rate=0.5,
    momentum=0.85,
    weight_decay=5e-4,
    schedule="triangle",
    warmup=0.2,
    final_rate=0.01,
)

debug = Recipe(
    name="debug",
    summary="Seconds, for tests: every feature of the engine at the smallest size",
    model="plain_cnn",
    model_options={
        "blocks": ((4,), (8,)),
        "block_dropout": (0.0, 0.1),
        "dense": (16,),
        "batch_norm": True,
        "l2": 1e-4,
    },
    image_size=16,
    pixels="standard",
    labels="one-hot",
    validation=0.2,
    augmentation=Augmentation(flip=True, shift=0.1),
    epochs=3,
    batch_size=32,
    learning_rate=3e-3,
    plateau=Plateau(factor=0.5, patience=1),
    early_stopping=EarlyStopping(patience=3),
)
