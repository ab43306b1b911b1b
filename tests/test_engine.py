"""The loop and its compiled steps, against arithmetic by hand and against each other."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cifarlab.augment import Augment
from cifarlab.engine import Loop, Memory, Program, Progress, forward, predict_logits
from cifarlab.engine.checkpoint import save_checkpoint
from cifarlab.engine.loop import make_steps
from cifarlab.engine.program import Epoch, Sums, epoch_keys, epoch_mirrored, epoch_order, plan_epoch
from cifarlab.errors import TrainingError
from cifarlab.models import create_model
from cifarlab.recipes import Augmentation


def pixels_and_labels(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Images whose red channel tells the class."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = random.integers(0, 60, (count, 8, 8, 3), dtype=np.uint8)
    images[..., 0] += (labels * 180).astype(np.uint8)[:, None, None]
    return images, labels


def make_program(
    *, optimizer: Any = None, augmentation: Augmentation | None = None, batch_size: int = 6
) -> Program:
    """A small network with every kind of random layer."""
    keras.utils.set_random_seed(0)
    images, labels = pixels_and_labels()
    model = create_model(
        "plain_cnn",
        num_classes=2,
        image_size=8,
        blocks=((4,),),
        block_dropout=(0.2,),
        dense=(8,),
        batch_norm=True,
        l2=1e-3,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    augment = Augment(augmentation or Augmentation(flip=True, shift=0.125))
    return Program(model, augment, loss, images, labels, batch_size, "float32")


def make_loop(tmp_path: Path, program: Program, **changes: Any) -> Loop:
    arguments: dict[str, Any] = {
        "seed": 3,
        "epochs": 2,
        "validate": None,
        "callbacks": [],
        "checkpoint": tmp_path / "checkpoint.safetensors",
        "on_epoch": lambda history: None,
    }
    return Loop(program=program, **{**arguments, **changes})


def weights(program: Program) -> list[np.ndarray]:
    return [np.array(w) for w in program.model.get_weights()]


def test_order_visits_every_image_once_and_fills_the_last_batch_from_the_first() -> None:
    order = epoch_order(seed=1, epoch=2, count=10, batch_size=4)
    assert order.dtype == np.int32
    assert sorted(order[:10]) == list(range(10))
    assert order[10:].tolist() == order[:2].tolist()


def test_order_and_keys_change_with_seed_and_epoch_and_with_nothing_else() -> None:
    def drawn(seed: int, epoch: int) -> tuple:
        return (
            tuple(epoch_order(seed, epoch, 50, 50)),
            tuple(epoch_keys(seed, epoch, 4)),
        )

    assert drawn(0, 0) == drawn(0, 0)
    assert len({drawn(seed, epoch) for seed in range(5) for epoch in range(5)}) == 25
    assert len(set(epoch_keys(0, 0, 100))) == 100  # no two layers draw alike


def test_one_step_is_the_arithmetic_of_softmax_regression() -> None:
    """Gradient descent on a linear model: W -= rate * x'(p - y) / n."""
    images, labels = pixels_and_labels(4)
    inputs = keras.Input((8, 8, 3))
    logits = keras.layers.Dense(2, kernel_initializer="zeros")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-4), loss)
    model.optimizer.build(model.trainable_variables)
    program = Program(model, Augment(Augmentation()), loss, images, labels, 4, "float32")
    steps = make_steps(program)
    steps.start_epoch(
        Epoch(np.arange(4, dtype=np.int32), np.zeros(4, bool), epoch_keys(0, 0, 1), 8)
    )
    sums = steps.run(0, 1, Sums())
    x = images.reshape(4, -1).astype("float64")
    error = 0.5 - np.eye(2)[labels]  # p - y where every probability is 1/2
    kernel, bias = model.get_weights()
    # float32 sums of 4 products of up to 240: relative 1e-6 of the largest entry
    np.testing.assert_allclose(kernel, -1e-4 * x.T @ error / 4, atol=1e-8, rtol=1e-5)
    np.testing.assert_allclose(bias, -1e-4 * error.mean(axis=0), atol=1e-10)
    assert sums.loss == pytest.approx(np.log(2), rel=1e-6)
    assert sums.correct == 2  # ties go to the first class
    assert sums.bad_step == -1


def test_cutting_an_epoch_into_calls_leaves_no_trace() -> None:
    whole, cut = make_program(), make_program()
    results = []
    for program, cuts in ((whole, (0, 4)), (cut, (0, 1, 3, 4))):
        program.model.optimizer.build(program.model.trainable_variables)
        steps = make_steps(program)
        steps.start_epoch(plan_epoch(program, seed=0, epoch=0, epochs=1))
        sums = Sums()
        for start, stop in pairwise(cuts):
            sums = steps.run(start, stop, sums)
        results.append((sums, weights(program)))
    assert results[0][0] == results[1][0]
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert a.tobytes() == b.tobytes()


def test_random_layers_depend_on_the_step_not_on_what_ran_before(tmp_path: Path) -> None:
    program = make_program()
    program.model.optimizer.build(program.model.trainable_variables)
    steps = make_steps(program)
    first, second = (plan_epoch(program, seed=0, epoch=epoch, epochs=2) for epoch in (0, 1))
    assert len(program.generators) == 3  # two dropouts and the augmentation
    start = weights(program)
    optimizer = [v.numpy() for v in program.model.optimizer.variables]
    losses = []
    for _ in range(2):  # the same step from the same weights twice
        program.model.set_weights(start)
        for variable, value in zip(program.model.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        steps.start_epoch(first)
        losses.append(steps.run(2, 3, Sums()).loss)
    program.model.set_weights(start)
    steps.start_epoch(replace(first, keys=second.keys))
    assert losses[0] == losses[1]
    assert steps.run(2, 3, Sums()).loss != losses[0]  # other keys, other dropout


def test_flips_alternate_and_half_of_the_images_begin_mirrored() -> None:
    epochs = [epoch_mirrored(seed=5, epoch=epoch, count=1000) for epoch in range(4)]
    assert (epochs[0] ^ epochs[1]).all()
    assert (epochs[0] == epochs[2]).all()
    assert 420 < epochs[0].sum() < 580  # five standard deviations of a fair coin
    assert (epoch_mirrored(seed=6, epoch=0, count=1000) != epochs[0]).any()
    program = make_program()
    plan = plan_epoch(program, seed=5, epoch=1, epochs=2)
    assert (plan.mirrored == epoch_mirrored(5, 1, len(program.images))[plan.order]).all()


def test_hard_epochs_visit_the_images_of_the_highest_losses_and_mirror_them_in_turn() -> None:
    program = make_program()
    count, batch = len(program.images), program.batch_size
    program = replace(program, hard=(1.0, 0.4, 0.6), memory=Memory(count))
    losses = np.random.default_rng(0).permutation(count).astype("float32")
    program.memory.ranking.assign(losses)
    plain = replace(program, hard=(), memory=None)
    first, second = (plan_epoch(program, seed=0, epoch=e, epochs=3) for e in (0, 1))
    assert (first.order == plan_epoch(plain, seed=0, epoch=0, epochs=3).order).all()
    hardest = program.hardest(1, 3)
    assert hardest == batch * -(-round(0.4 * count) // batch)  # whole batches
    expected = np.argsort(-losses)[:hardest]
    assert len(second.order) == program.steps * batch
    for start in range(0, len(second.order) - hardest + 1, hardest):
        assert sorted(second.order[start : start + hardest]) == sorted(expected)
    for image in expected:
        turns = second.mirrored[second.order == image]
        assert (turns[:-1] != turns[1:]).all()


def test_losses_are_remembered_where_a_recipe_asks() -> None:
    program = make_program()
    program = replace(program, hard=(1.0, 0.5), memory=Memory(len(program.images)))
    program.model.optimizer.build(program.model.trainable_variables)
    steps = make_steps(program)
    plan = plan_epoch(program, seed=0, epoch=0, epochs=2)
    steps.start_epoch(plan)
    sums = steps.run(0, 1, Sums())
    losses = keras.ops.convert_to_numpy(program.memory.losses)
    seen = plan.order[: program.batch_size]
    assert losses[seen].mean() == pytest.approx(sums.loss, rel=1e-5)
    assert (np.delete(losses, seen) == 0).all()


def test_sizes_take_equal_shares_of_the_epochs() -> None:
    program = make_program()
    assert [program.size(epoch, 3) for epoch in range(3)] == [8, 8, 8]
    several = replace(program, sizes=(4, 6, 8))
    assert [several.size(epoch, 6) for epoch in range(6)] == [4, 4, 6, 6, 8, 8]
    assert [several.size(epoch, 2) for epoch in range(2)] == [4, 6]
    assert plan_epoch(several, seed=0, epoch=2, epochs=3).size == 8
    assert [several.whole_size(epoch, 3) for epoch in range(3)] == [4, 6, 8]
    # A crop of 6 of 8 pixels at 6 pixels: whole images are seen at that scale at 8.
    assert [replace(several, crop=6).whole_size(epoch, 3) for epoch in range(3)] == [5, 8, 11]


def test_a_model_of_any_size_trains_on_images_of_each(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    images, labels = pixels_and_labels()
    model = create_model("airbench_cnn", num_classes=2, image_size=None, widths=(4, 4))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    augment = Augment(Augmentation(flip=True, alternate=True))
    program = Program(model, augment, loss, images, labels, 6, "float32", sizes=(6, 8))
    seen: list[int] = []

    def validate(size: int) -> tuple[float, float]:
        seen.append(size)
        return 1.0, 0.5

    progress = make_loop(tmp_path, program, epochs=6, validate=validate).run()
    assert seen == [6, 6, 6, 8, 8, 8]
    assert progress.history[-1]["accuracy"] > 0.9
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]


def test_training_learns_and_reports_history(tmp_path: Path) -> None:
    program, told = make_program(), []
    loop = make_loop(tmp_path, program, epochs=12, on_epoch=lambda h: told.append(len(h)))
    progress = loop.run()
    assert told == list(range(1, 13))
    assert progress.epoch == 12
    assert progress.history[-1]["loss"] < 0.5 * progress.history[0]["loss"]
    assert progress.history[-1]["accuracy"] > 0.9
    assert set(progress.history[0]) == {"epoch", "seconds", "learning_rate", "loss", "accuracy"}
    assert loop.seconds["compile"] > 0


def test_seconds_before_a_stop_count_those_of_the_epoch_begun_too(tmp_path: Path) -> None:
    program = make_program()
    program.model.optimizer.build(program.model.trainable_variables)
    progress = Progress(epoch=1, step=2, seconds=1000.0, history=[{"epoch": 1, "seconds": 5000.0}])
    loop = make_loop(tmp_path, program)
    save_checkpoint(loop.checkpoint, program, [], progress)
    assert [row["epoch"] for row in loop.run().history] == [1, 2]
    assert 6000 < loop.seconds["train"] < 6300


@pytest.mark.parametrize(
    ("poisoned", "named"),
    [(1, "the loss is not finite at step 3 of epoch 1"), (3, "weights .* after epoch 1")],
)
def test_what_is_not_finite_stops_and_is_named(tmp_path: Path, poisoned: int, named: str) -> None:
    program = make_program()  # of four steps

    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == poisoned:
                self.model.set_weights([w * np.nan for w in self.model.get_weights()])

    with pytest.raises(TrainingError, match=named):
        make_loop(tmp_path, program, callbacks=[Poison()]).run()


def test_keras_callbacks_see_what_fit_would_show_them(tmp_path: Path) -> None:
    seen: list[tuple] = []

    class Witness(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            seen.append(("begin", self.params["epochs"], self.params["steps"]))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("batch", batch, sorted(logs)))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(("epoch", epoch, sorted(logs)))

        def on_train_end(self, logs: Any = None) -> None:
            seen.append(("end",))

    loop = make_loop(
        tmp_path, make_program(), epochs=1, callbacks=[Witness()], validate=lambda size: (1.0, 0.5)
    )
    loop.run()
    figures = ["accuracy", "loss"]
    batches = [("batch", batch, figures) for batch in range(4)]
    epoch = ("epoch", 0, [*figures, "val_accuracy", "val_loss"])
    assert seen == [("begin", 1, 4), *batches, epoch, ("end",)]


def test_a_lambda_callback_hears_of_every_step(tmp_path: Path) -> None:
    heard: list[int] = []

    def hear(batch: int, logs: Any) -> None:
        heard.append(batch)

    told = keras.callbacks.LambdaCallback(on_train_batch_end=hear)
    make_loop(tmp_path, make_program(batch_size=1), epochs=1, callbacks=[told]).run()
    assert heard == list(range(24))


def test_plateau_lowers_the_rate_and_early_stopping_restores_the_best(tmp_path: Path) -> None:
    losses = iter([1.0, 0.5, 0.7, 0.8, 0.9, 0.9])
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    kept: list[list[np.ndarray]] = []
    program = make_program()

    def validate(size: int) -> tuple[float, float]:
        kept.append(weights(program))
        return next(losses), 0.5

    loop = make_loop(tmp_path, program, epochs=6, validate=validate, callbacks=[plateau, stopping])
    progress = loop.run()
    assert len(progress.history) == 5  # best at epoch 2, patience 3
    rates = [round(row["learning_rate"], 5) for row in progress.history]
    assert rates == [0.01, 0.01, 0.01, 0.005, 0.0025]
    for now, best in zip(weights(program), kept[1], strict=True):
        assert now.tobytes() == best.tobytes()


def test_accuracy_can_be_watched(tmp_path: Path) -> None:
    """Keras asks the compiled metrics whether more accuracy is better."""
    accuracies = iter([0.1, 0.5, 0.4, 0.3])
    stopping = keras.callbacks.EarlyStopping("val_accuracy", patience=1)
    loop = make_loop(
        tmp_path,
        make_program(),
        epochs=4,
        callbacks=[stopping],
        validate=lambda size: (1.0, next(accuracies)),
    )
    assert len(loop.run().history) == 3


def test_inference_fills_up_the_last_batch_and_gives_nothing_more() -> None:
    program = make_program()
    call = forward(program.model)
    images = program.images
    together = call(images)
    assert together.shape == (24, 2)
    assert together.dtype == np.float32
    # One more batch size changes the order of float32 sums: 1e-5 of logits near 1.
    np.testing.assert_allclose(predict_logits(call, images, batch_size=7), together, atol=1e-5)


def test_inference_follows_the_weights() -> None:
    program = make_program()
    call = forward(program.model)
    before = call(program.images)
    program.model.set_weights([w + 0.5 for w in program.model.get_weights()])
    assert not np.allclose(call(program.images), before)
