"""Another pipeline with fmnist's confusion matrix: a classifier of handwritten digits, by scikit-learn.

    fmnist compile --component confusion-matrix
    python3 examples/digits.py

The first command writes confusion_matrix.yaml, which is all of fmnist that a pipeline needs for the component: it takes
a labels folder of true.txt and predicted.txt, one class number a line, and class_names.txt. The second one compiles
this pipeline, with the component in it, into digits.yaml.
"""

import sys
from pathlib import Path
from typing import Any

from kfp import compiler, components, dsl
from kfp.dsl import Dataset, Output

IMAGE = "python:3.11"


def classify_digits(labels: Output[Dataset]) -> None:
    """Train on three quarters of the digits, and write what is predicted for the last quarter."""
    from pathlib import Path

    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, digits = load_digits(return_X_y=True)
    at = len(digits) * 3 // 4
    model = LogisticRegression(max_iter=1000).fit(images[:at] / 16, digits[:at])
    lines = {
        "true.txt": digits[at:],
        "predicted.txt": model.predict(images[at:] / 16),
        "class_names.txt": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    }
    folder = Path(labels.path)
    folder.mkdir(parents=True)
    for name, values in lines.items():
        (folder / name).write_text("".join(f"{value}\n" for value in values))


def make_pipeline(component: Path, image: str = IMAGE, *, install: bool = True) -> Any:
    """Return the pipeline, with the confusion matrix of the file `component`."""
    requirements = ["scikit-learn==1.9.1"] if install else []
    classify = dsl.component(
        classify_digits, base_image=image, packages_to_install=requirements, install_kfp_package=install
    )
    confusion_matrix = components.load_component_from_file(str(component))

    @dsl.pipeline(name="digits")  # type: ignore[untyped-decorator]
    def digits() -> None:
        classified = classify()
        confusion_matrix(labels=classified.outputs["labels"])

    return digits


if __name__ == "__main__":
    component = Path(sys.argv[1] if len(sys.argv) > 1 else "confusion_matrix.yaml")
    compiler.Compiler().compile(make_pipeline(component), "digits.yaml")
