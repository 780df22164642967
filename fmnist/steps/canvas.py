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
    """Return the file of a picture that `draw` draws on a `matplotlib.figure.Figure`, the same bytes each time.

    `style` adds to matplotlib's default rcParams, and `figure` goes to the Figure: its size in inches, dpi and layout.
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
