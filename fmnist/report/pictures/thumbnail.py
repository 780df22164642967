"""An image of the dataset, as the report shows it."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["thumbnail"]


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Return an image of the dataset as a PNG of its own size: dark on white, as the tutorial shows them."""
    from matplotlib.image import imsave

    out = io.BytesIO()
    metadata: Any = {"Software": None}
    imsave(out, np.repeat(255 - image[..., np.newaxis], 3, axis=-1), format="png", metadata=metadata)
    return out.getvalue()
