"""cifarlab: small-image classifiers, trained fast, measured honestly, ready to use.

    import cifarlab

    data = cifarlab.load_dataset("cifar10")
    run = cifarlab.train(data, recipe="quick")
    print(cifarlab.evaluate(run).accuracy)
    cifarlab.load_predictor(run)("photo.jpg")

Importing the package imports no Keras: each name below is loaded when it is first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `_HOME` says, in the form that editors and type checkers read
    from cifarlab.answers import evaluate_predictions
    from cifarlab.audit import Audit, audit
    from cifarlab.compare import Comparison, compare
    from cifarlab.data import Dataset, Split, load_dataset, one_hot
    from cifarlab.errors import CifarlabError
    from cifarlab.evaluate import evaluate
    from cifarlab.evaluation import Evaluation
    from cifarlab.explain import class_activation_map
    from cifarlab.explore import explore
    from cifarlab.export import Export, export
    from cifarlab.ladder import climb
    from cifarlab.models import create_model, list_models
    from cifarlab.occlusion import occlusion_map
    from cifarlab.predict import Predictor, load_predictor
    from cifarlab.recipes import Recipe, get_recipe, recipe_names
    from cifarlab.report import write_report
    from cifarlab.reproduce import Receipt, reproduce
    from cifarlab.robustness import measure_robustness
    from cifarlab.run import Run
    from cifarlab.train import train

__version__ = "0.1.0"

__all__ = [
    "Audit",
    "CifarlabError",
    "Comparison",
    "Dataset",
    "Evaluation",
    "Export",
    "Predictor",
    "Receipt",
    "Recipe",
    "Run",
    "Split",
    "__version__",
    "audit",
    "class_activation_map",
    "climb",
    "compare",
    "create_model",
    "evaluate",
    "evaluate_predictions",
    "explore",
    "export",
    "get_recipe",
    "list_models",
    "load_dataset",
    "load_predictor",
    "measure_robustness",
    "occlusion_map",
    "one_hot",
    "recipe_names",
    "reproduce",
    "train",
    "write_report",
]

# name -> the module of this package that holds it
_HOME = {
    "Audit": "audit",
    "CifarlabError": "errors",
    "Comparison": "compare",
    "Dataset": "data",
    "Evaluation": "evaluation",
    "Export": "export",
    "Predictor": "predict",
    "Receipt": "reproduce",
    "Recipe": "recipes",
    "Run": "run",
    "Split": "data",
    "audit": "audit",
    "class_activation_map": "explain",
    "climb": "ladder",
    "compare": "compare",
    "create_model": "models",
    "evaluate": "evaluate",
    "evaluate_predictions": "answers",
    "explore": "explore",
    "export": "export",
    "get_recipe": "recipes",
    "list_models": "models",
    "load_dataset": "data",
    "load_predictor": "predict",
    "measure_robustness": "robustness",
    "occlusion_map": "occlusion",
    "one_hot": "data",
    "recipe_names": "recipes",
    "reproduce": "reproduce",
    "train": "train",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cifarlab' has no attribute {name!r}")
    from cifarlab import backend

    # Without TensorFlow's notices, but with every package: who imports us may go on to use it.
    module = backend.import_quietly(f"cifarlab.{_HOME[name]}", without=frozenset())
    value = getattr(module, name)
    globals()[name] = value  # the next look-up finds it at once
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps ``cifarlab.train`` the function although a module has the same name.

    Importing a submodule binds it to its package under its own name, whoever imports it and
    whenever. Where a public function has that name, the function is bound in the module's stead;
    the module is reached by ``from cifarlab.train import …`` as ever.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
