"""The rungs: each is the recipe of the one below with one change, and the reason for it.

The networks are small and the trainings short, so that three seeds of every rung take about three
hours on two cores: what a change is worth here is what it is worth at ten epochs. Rates and
strengths are usual ones, set before any rung was trained, and nothing is chosen among rungs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from cifarlab.recipes import Augmentation, Recipe, get_recipe


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One step of the ladder.

    Attributes:
        name: of its folders.
        change: what is new, in a few words.
        why: in two sentences why it should help.
        recipe: what is trained.
        below: name of the rung that it is derived from and compared with; None of the first.
        kind: ``"train"`` trains the recipe; ``"views"`` takes the models of the rung below and
            answers as the recipe's ``tta`` says; ``"ensemble"`` averages the answers of all seeds
            of the rung below.
        paired: whether its training is that of the rung below, step for step, so that the same
            seeds are pairs.
    """

    name: str
    change: str
    why: str
    recipe: Recipe
    below: str | None = None
    kind: Literal["train", "views", "ensemble"] = "train"
    paired: bool = False


def step(below: Rung, name: str, change: str, why: str, **fields: Any) -> Rung:
    """The rung above `below`: its recipe with `fields` replaced; `model_options` are added to.

    Example:
        >>> first = Rung(name="first", change="", why="", recipe=get_recipe("tutorial_cnn"))
        >>> step(first, "longer", "twice as long", "It learns on.", epochs=20).recipe.epochs
        20
    """
    kind, paired = fields.pop("kind", "train"), fields.pop("paired", False)
    if "model_options" in fields and "model" not in fields:
        fields["model_options"] = {**below.recipe.model_options, **fields["model_options"]}
    fields |= {"name": f"ladder_{name.replace('-', '_')}", "summary": change}
    recipe = replace(below.recipe, **fields)
    return Rung(
        name=name, change=change, why=why, recipe=recipe, below=below.name, kind=kind, paired=paired
    )


tutorial = Rung(
    name="tutorial",
    change="the first lesson: three convolutions, two dense layers, Adam, ten epochs",
    why="Convolutions look for the same small pattern everywhere, so few weights learn from every "
    "place of every image. After ten epochs validation stalls while training accuracy climbs on: "
    "the network is small and begins to learn by heart all the same.",
    recipe=get_recipe("tutorial_cnn"),
)

depth = step(
    tutorial,
    "depth",
    "more filters and depth: five convolutions of up to 128 channels",
    "Two small convolutions after each other see as far as a large one, with fewer weights and one "
    "more nonlinearity. More channels deep in the network, where the maps are small, buy detectors "
    "of more things at little cost.",
    model="plain_cnn",
    model_options={
        "blocks": ((32,), (64, 64), (128, 128)),
        "block_dropout": (0.0, 0.0, 0.0),
        "dense": (128,),
        "dropout": 0.0,
    },
)

batch_norm = step(
    depth,
    "batch-norm",
    "batch normalisation after each convolution and the dense layer",
    "Every layer sees inputs of the same scale, however the layers below have moved, so larger "
    "steps stay stable. The noise of each batch's own mean and deviation also regularises a "
    "little (Ioffe and Szegedy 2015).",
    model_options={"batch_norm": True},
)

dropout = step(
    batch_norm,
    "dropout",
    "dropout of 10, 20 and 30 % after the blocks, 30 % after the dense layer",
    "A feature that may be missing cannot be relied on alone, so the network learns several "
    "reasons for an answer (Srivastava et al. 2014). It pays where a network fits its training "
    "images far better than others, as this one does by now.",
    model_options={"block_dropout": (0.1, 0.2, 0.3), "dropout": 0.3},
)

augmentation = step(
    dropout,
    "augmentation",
    "random flips, and shifts by up to four pixels",
    "A mirrored or moved cat is a cat: every epoch shows images that were never seen exactly so. "
    "It is the one regulariser that adds knowledge about the world, not only noise.",
    augmentation=Augmentation(flip=True, shift=0.125),
)

schedule = step(
    augmentation,
    "schedule",
    "a learning rate that rises to 0.002 and falls to zero in straight lines",
    "Large steps travel far while there is far to go, and cannot settle; small ones settle. A rate "
    "that ends at zero lets the noise of the batches average out in the last epochs.",
    schedule="triangle",
    learning_rate=2e-3,
    warmup=0.2,
    final_rate=0.0,
)

weight_decay = step(
    schedule,
    "weight-decay",
    "weight decay of 0.05 beside Adam (AdamW)",
    "Weights that nothing keeps up shrink, which prefers simple functions (Loshchilov and Hutter "
    "2019). Under batch normalisation their scale means nothing, and decay works through the size "
    "of the steps instead: it keeps the angle of a step from vanishing.",
    optimizer="adamw",
    weight_decay=0.05,
)

optimizer = step(
    weight_decay,
    "optimizer",
    "Muon in place of AdamW",
    "Muon makes the step of a kernel orthogonal, so that rare directions move as far as frequent "
    "ones, at a fraction of a training step's cost (Jordan et al. 2024). Its decay is of dense "
    "layers and biases alone, because it holds the norm of each kernel.",
    optimizer="muon",
    learning_rate=0.01,
    bias_rate=8e-4,
    head_rate=8e-4,
    weight_decay=4e-7,
)

label_smoothing = step(
    optimizer,
    "label-smoothing",
    "label smoothing of 0.1",
    "Asking for 91 % rather than for certainty leaves no reason to push logits apart for ever "
    "(Szegedy et al. 2016). Images with a wrong or doubtful label pull less.",
    labels="one-hot",
    label_smoothing=0.1,
)

averaging = step(
    label_smoothing,
    "averaging",
    "the moving average of the weights, over a twentieth of the training",
    "The average of the last steps' weights lies nearer to the middle of the valley than any one "
    "of them (Polyak and Juditsky 1992; Izmailov et al. 2018). A learning rate that falls to zero "
    "does much the same, so little may be left to gain.",
    ema=0.05,
    paired=True,
)

residual = step(
    averaging,
    "residual",
    "a third convolution in the last two blocks, with residual connections",
    "A block that adds to its input starts near the identity, so deeper networks train as easily "
    "as shallow ones (He et al. 2015). What they give is depth: in so small a network that is a "
    "little.",
    model_options={"blocks": ((32,), (64, 64, 64), (128, 128, 128)), "residual": True},
)

views = step(
    residual,
    "views",
    "test-time augmentation: each image and its mirror image",
    "The network has learned that a flip changes nothing, but only nearly: the mean of both "
    "answers is nearer to that. Nothing is trained; each answer costs twice.",
    kind="views",
    tta="flip",
)

ensemble = step(
    views,
    "ensemble",
    "the mean of all seeds' answers",
    "Networks of different seeds make different mistakes, and their mean keeps what they agree on "
    "(Lakshminarayanan et al. 2017). Training and answers cost as many times as there are seeds.",
    kind="ensemble",
)

RUNGS = (
    *(tutorial, depth, batch_norm, dropout, augmentation, schedule, weight_decay),
    *(optimizer, label_smoothing, averaging, residual, views, ensemble),
)

# Beside the ladder, each against the rung that it leaves: what longer and wider give, and what
# each regulariser costs, or is worth, when training is as short as here.
ASIDE = (
    step(
        label_smoothing,
        "longer",
        "twice as many epochs",
        "Augmented images are never the same twice, so a second pass of the same length still "
        "teaches. The gain halves or so with every doubling.",
        epochs=2 * label_smoothing.recipe.epochs,
    ),
    step(
        label_smoothing,
        "wider",
        "half as many channels more, at twice the cost",
        "A wider network holds more features and fits the training images sooner. At a fixed "
        "number of epochs that mostly shows as a gain.",
        model_options={"blocks": ((48,), (96, 96), (192, 192))},
    ),
    step(
        label_smoothing,
        "no-dropout",
        "without dropout",
        "Dropout slows learning down, and ten epochs may be too few to get that back. If the rung "
        "is better without it, this is why.",
        model_options={"block_dropout": (0.0, 0.0, 0.0), "dropout": 0.0},
    ),
    step(
        label_smoothing,
        "no-augmentation",
        "without flips and shifts",
        "Augmentation makes every image harder, which a short training may not be able to afford. "
        "The fewer the epochs, the less it gives.",
        augmentation=Augmentation(),
    ),
    step(
        label_smoothing,
        "no-weight-decay",
        "without weight decay",
        "Decay acts over many steps, of which a short training has few. So it should be missed "
        "little here.",
        weight_decay=0.0,
    ),
    step(
        label_smoothing,
        "no-label-smoothing",
        "without label smoothing",
        "Smoothing holds back what a long training would overdo. In a short one there is less to "
        "hold back.",
        label_smoothing=0.0,
    ),
    step(
        residual,
        "no-residual",
        "the same depth without residual connections",
        "This tells what the connections give from what the depth gives. Networks of so few layers "
        "train without them as well.",
        model_options={"residual": False},
    ),
)

FAST = 5  # in the fast ladder all trainings are so many times shorter


def faster(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """The same rungs with a fifth of the epochs, one at least.

    Example:
        >>> faster(RUNGS)[0].recipe.epochs
        2
    """
    return tuple(
        replace(rung, recipe=replace(rung.recipe, epochs=max(1, rung.recipe.epochs // FAST)))
        for rung in rungs
    )
