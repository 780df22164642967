"""Where every picture is drawn: matplotlib's own defaults, no display, and neither date nor version in the file."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from fmnist.steps.errors import DeterminismError
from fmnist.steps.files import default

__all__ = ["OWN", "Kind", "import_matplotlib", "render"]

#: The font, by its name: matplotlib's defaults name it in a list that they share with rcParams, which users change.
OWN = "DejaVu Sans"

FREETYPE, BACKEND = "FREETYPE_PROPERTIES", "MPLBACKEND"

Kind = Literal["png", "svg"]


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back: in the import of a library in C++ it would end Python without a word of its own."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def render(
    draw: Callable[[Any], None],
    kind: Kind = "png",
    *,
    style: Mapping[str, Any] | None = None,
    facecolor: str = "auto",
    **figure: Any,
) -> bytes:
    """Return the file of a picture that `draw` draws on a `matplotlib.figure.Figure`, the same bytes each time.

    `style` adds to matplotlib's default rcParams, and `figure` goes to the Figure: its size in inches, dpi and layout.
    """
    mpl = import_matplotlib()
    from PIL import ImageFile

    out = io.BytesIO()
    settings: Any = {**mpl.rcParamsDefault, "font.family": OWN, **(style or {})}
    metadata: Any = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with mpl.rc_context(settings), default(ImageFile, "MAXBLOCK", 65_536):
        drawn = _figure(kind, figure)
        draw(drawn)
        drawn.savefig(out, format=kind, metadata=metadata, facecolor=facecolor)
    return out.getvalue()


@_uninterrupted()
def import_matplotlib() -> Any:
    """Import matplotlib, whatever the environment says of fonts and backends, and return it; Keras imports it too.

    Raises
    ------
    DeterminismError
        If it was imported before, and may draw other letters.
    """
    fonts = os.environ.pop(FREETYPE, None)
    if fonts and "matplotlib.ft2font" in sys.modules:
        os.environ[FREETYPE] = fonts
        raise DeterminismError(
            f"the environment variable {FREETYPE}: expected None, got {fonts!r}, with which matplotlib may draw other "
            "letters. Unset it before Python starts, or call fmnist.run(), which uses processes of its own."
        )
    backend = None if "matplotlib" in sys.modules else os.environ.pop(BACKEND, None)
    import matplotlib as mpl
    from matplotlib import ft2font  # noqa: F401 - it reads the variable

    if backend is not None:
        os.environ[BACKEND] = backend
        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = backend  # where the user's own pictures go
    return mpl


@_uninterrupted()
def _figure(kind: Kind, settings: Mapping[str, Any]) -> Any:
    """Return a new Figure, which is written as such a file by matplotlib's own class, not by what is registered."""
    from matplotlib.figure import Figure

    if kind == "png":
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        return FigureCanvasAgg(Figure(**settings)).figure
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    return FigureCanvasSVG(Figure(**settings)).figure
