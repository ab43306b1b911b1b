"""Corruptions of images at five severities, in the spirit of CIFAR-10-C.

noise.py blur.py weather.py digital.py geometry.py   the corruptions, a short function each
sampling.py                                          what they are made of: warps, filters, clouds
registry.py                                          the names, and `corrupt`

Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", arXiv:1903.12261. The strengths are the published ones for 32-pixel images unless a
docstring says "own"; the code and the textures are ours, so figures on these corruptions are close
to those on the published files, not the same.
"""

from cifarlab.corrupt import blur, digital, geometry, noise, weather  # noqa: F401  (they register)
from cifarlab.corrupt.registry import (
    CORRUPTIONS,
    KINDS,
    SEVERITIES,
    Corruption,
    corrupt,
    corruption_names,
    get_corruption,
)

__all__ = [
    "CORRUPTIONS",
    "KINDS",
    "SEVERITIES",
    "Corruption",
    "corrupt",
    "corruption_names",
    "get_corruption",
]
