"""Muon: momentum whose direction is orthogonalised, for the kernels of convolutions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# The quintic iteration that pushes singular values fastest from near 0 towards 1 (Jordan et al.
# 2024, "Muon", kellerjordan.github.io/posts/muon); they end between 0.7 and 1.2, not at 1, which
# trains as well.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
OTHER_MOMENTUM = 0.85  # of all but the convolutions


def orthogonalize(matrix: Any, steps: int = 3) -> Any:
    """The nearest matrix to float32 `matrix` (M, N) whose singular values are about 1.

    Newton-Schulz: ``X <- a X + b X X'X + c X (X'X)(X'X)``, on the smaller of the two sides.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] >= matrix.shape[1]
    x = matrix if tall else ops.transpose(matrix)
    x = x / (ops.norm(x) + 1e-7)  # no singular value above 1, where the iteration would diverge
    for _ in range(steps):
        gram = ops.matmul(ops.transpose(x), x)
        x = a * x + ops.matmul(x, b * gram + c * ops.matmul(gram, gram))
    return x if tall else ops.transpose(x)


@keras.saving.register_keras_serializable("cifarlab")
class Muon(keras.optimizers.Optimizer):
    """Muon for the kernels of convolutions, Nesterov's momentum for all else.

    A kernel ``W``, as a matrix of one column an output channel, is kept at the norm
    ``sqrt(outputs)``, so that the learning rate is the angle of a step::

        m <- momentum m + g
        W <- W sqrt(outputs) / |W| - rate orthogonalize(g + momentum m)

    Vectors (biases, normalisation) and matrices (the head) have learning rates of their own, and
    are the only ones with weight decay::

        g <- g + decay / (ratio peak) w
        m <- 0.85 m + g
        w <- w - ratio rate (g + 0.85 m)

    Args:
        learning_rate: of the convolutions' kernels, a number or a schedule.
        momentum: of the convolutions' kernels.
        bias_ratio: learning rate of vectors over `learning_rate`.
        head_ratio: learning rate of matrices over `learning_rate`.
        weight_decay: fraction taken off vectors and matrices a step at the peak rate, before
            momentum.
        peak: highest value of `learning_rate`.

    Reference:
        Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". Differences
        from Keras's Muon: kernels of convolutions, which that one leaves to AdamW, are the ones
        orthogonalised; their norm is fixed.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.6,
        bias_ratio: float = 1.0,
        head_ratio: float = 1.0,
        weight_decay: float = 0.0,
        peak: float = 1.0,
        name: str = "muon",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum, self.decay, self.peak = momentum, weight_decay, peak
        self.bias_ratio, self.head_ratio = bias_ratio, head_ratio

    def build(self, variables: list[Any]) -> None:
        """Make room for the momentum of each variable."""
        if self.built:
            return
        super().build(variables)
        self.momenta = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable by the rule for its number of dimensions."""
        memory = self.momenta[self._get_variable_index(variable)]
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if len(variable.shape) == 4:
            step = self._remember(memory, gradient, self.momentum)
            flat = (-1, variable.shape[-1])
            direction = ops.reshape(orthogonalize(ops.reshape(step, flat)), variable.shape)
            norm = ops.norm(ops.reshape(variable, (-1,)))
            scale = variable.shape[-1] ** 0.5 / (norm + 1e-7)
            self.assign(variable, variable * scale - rate * direction)
        else:
            ratio = self.bias_ratio if len(variable.shape) == 1 else self.head_ratio
            if self.decay:
                gradient = gradient + self.decay / (ratio * self.peak) * variable
            step = self._remember(memory, gradient, OTHER_MOMENTUM)
            self.assign_sub(variable, ratio * rate * step)

    def _remember(self, memory: Any, gradient: Any, momentum: float) -> Any:
        """Nesterov's look-ahead direction, after adding `gradient` to `memory`."""
        self.assign(memory, momentum * memory + gradient)
        return gradient + momentum * memory

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "bias_ratio": self.bias_ratio,
            "head_ratio": self.head_ratio,
            "weight_decay": self.decay,
            "peak": self.peak,
        }
