"""Where every picture is drawn: matplotlib's own defaults, no display, and neither date nor version in the file."""

import io
from collections.abc import Callable, Mapping
from typing import Any, Literal

__all__ = ["Kind", "render"]

Kind = Literal["png", "svg"]


def render(
    draw: Callable[[Any], None],
    kind: Kind = "png",
    *,
    style: Mapping[str, Any] | None = None,
    facecolor: str = "auto",
    **figure: Any,
) -> bytes:
    """Return a picture as the bytes of a file, the same bytes each time.

    Parameters
    ----------
    draw : callable
        Draws on the `matplotlib.figure.Figure` that it is called with.
    kind : {"png", "svg"}
        The format.
    style : mapping, optional
        Settings above matplotlib's defaults, as in `matplotlib.rcParams`.
    facecolor : str
        The colour behind everything; "none" for transparent.
    **figure
        What the figure is made with, as its `figsize` in inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    out = io.BytesIO()
    settings: Any = {**mpl.rcParamsDefault, **(style or {})}
    metadata: Any = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with mpl.rc_context(settings):
        canvas = Figure(**figure)
        draw(canvas)
        canvas.savefig(out, format=kind, metadata=metadata, facecolor=facecolor)
    return out.getvalue()
