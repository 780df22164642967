"""The functions on a few images: all that they save, in a process that a disturbance has reached before.

``python few.py FOLDER CODE`` runs the code, and then the functions.
"""

import contextlib
import functools
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fmnist
from fmnist.steps.dataset import Split
from fmnist.steps.errors import FmnistError

__all__ = ["REFUSED", "disturbed"]

#: How a process ends in which fmnist refused to work, and one in which something else went wrong.
REFUSED, FAILED = 3, 70


@functools.cache
def data() -> tuple[Split, Split]:
    """Return a few images to train on, and a few to test on."""
    train, test = fmnist.load("train"), fmnist.load("test")
    return Split(train.images[:400], train.labels[:400]), Split(test.images[:200], test.labels[:200])


def save(folder: Path) -> None:
    """Train, test and count, and save what comes of it."""
    images, others = data()
    trained = fmnist.train(fmnist.Settings(epochs=1), images)
    tested = fmnist.test(trained.model, others)
    fmnist.save(folder, trained, tested, fmnist.confusion_matrix(tested.labels))


def disturbed(code: str, folder: Path) -> int:
    """Run `code`, then the functions, into `folder`; return how the process ends.

    The code may enter contexts with `enter`, and define how the functions are called: `call(work)`.
    """
    with contextlib.ExitStack() as contexts:
        scope: dict[str, Any] = {"enter": contexts.enter_context, "call": lambda work: work(), "folder": folder.parent}
        try:
            exec(code, scope)  # noqa: S102 - of the catalogue
            call: Callable[[Callable[[], None]], None] = scope["call"]
            call(lambda: save(folder))
        except (FmnistError, OSError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - as a program says it
            return REFUSED
        except BaseException:  # noqa: BLE001 - whatever it is, it is no refusal
            traceback.print_exc()
            return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(disturbed(sys.argv[2], Path(sys.argv[1]).absolute()))
