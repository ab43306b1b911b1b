"""A minute recipe for tests."""

from cifarlab.recipes.recipe import Augmentation, EarlyStopping, Plateau, Recipe

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
