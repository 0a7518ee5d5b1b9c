"""TrivialAugment Wide (Müller and Hutter 2021): one operation an image, of a strength of its own, both sampled evenly.

The operations and their strengths are those of torchvision's ``TrivialAugmentWide``, on bytes, without a fill: what
comes in from outside is black. They are ``OPERATIONS``, each on a batch with a strength for every image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 31  # of the strength: from 0 to 30
STRONGEST = 0.99  # of shears, and by which brightness and the like become more or less than 1
TURN = 135.0  # degrees

# Pixels from 0 to 255 as bytes (N, C, H, W), and the strength of each image (N,), from -30 to 30: the changed images.
Operation = Callable[[Tensor, Tensor], Tensor]


def trivial_augment(images_NCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Each image changed by one of ``OPERATIONS``. Pixels from 0 to 255 of any type in, bytes out.

    Every operation gets an equal part of the batch, in random order, so that none is computed for images that do not
    have it; the few images that are left over are changed by all, and one of the results is sampled.
    """
    n, device = len(images_NCHW), generator.device
    order_N = torch.randperm(n, generator=generator, device=device)
    level_N = torch.randint(LEVELS, (n,), generator=generator, device=device)
    strength_N = torch.where(torch.randint(2, (n,), generator=generator, device=device).bool(), level_N, -level_N)
    pixels = images_NCHW.to(torch.uint8)[order_N]
    each, left = divmod(n, len(OPERATIONS))
    changed: list[Tensor] = []
    if each:
        parts = zip(OPERATIONS.values(), torch.split(pixels, each), torch.split(strength_N, each), strict=False)
        changed += [operation(*part) for operation, *part in parts]
    if left:
        results = torch.stack([operation(pixels[-left:], strength_N[-left:]) for operation in OPERATIONS.values()])
        sampled_L = torch.randint(len(OPERATIONS), (left,), generator=generator, device=device)
        changed.append(results[sampled_L, torch.arange(left, device=device)])
    return torch.empty_like(pixels).index_copy_(0, order_N, torch.cat(changed))


def identity(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    return x_NCHW


def shear_x(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """Rows move the further, the lower they are, up to their distance from the upper border."""
    slope_N = _share(strength_N) * STRONGEST
    return _moved(x_NCHW, lambda x, y: (x + slope_N * (y + x_NCHW.shape[2] / 2), y))


def shear_y(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """Columns move the further, the more to the right they are."""
    slope_N = _share(strength_N) * STRONGEST
    return _moved(x_NCHW, lambda x, y: (x, y + slope_N * (x + x_NCHW.shape[3] / 2)))


def translate_x(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """By up to the whole width: 32 pixels of 32."""
    by_N = (_column(strength_N) * x_NCHW.shape[3] / (LEVELS - 1)).trunc()
    return _moved(x_NCHW, lambda x, y: (x - by_N, y))


def translate_y(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    by_N = (_column(strength_N) * x_NCHW.shape[2] / (LEVELS - 1)).trunc()
    return _moved(x_NCHW, lambda x, y: (x, y - by_N))


def rotate(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """About the centre, counter-clockwise for positive strengths."""
    angle_N = torch.deg2rad(_share(strength_N) * TURN)
    cos_N, sin_N = angle_N.cos(), angle_N.sin()
    return _moved(x_NCHW, lambda x, y: (cos_N * x - sin_N * y, sin_N * x + cos_N * y))


def brightness(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    return _blended(x_NCHW, torch.zeros((), device=x_NCHW.device), strength_N)


def color(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """The distance of each pixel from its grey; images of one channel have none."""
    return x_NCHW if x_NCHW.shape[1] == 1 else _blended(x_NCHW, _grey(x_NCHW), strength_N)


def contrast(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """The distance of each pixel from the mean grey of its image."""
    return _blended(x_NCHW, _grey(x_NCHW).mean((1, 2, 3), keepdim=True), strength_N)


def sharpness(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """The distance of each pixel from its mean with its neighbours; the border stays as it is."""
    channels, height, width = x_NCHW.shape[1:]
    if min(height, width) <= 2:
        return x_NCHW
    kernel = torch.ones(3, 3, device=x_NCHW.device)
    kernel[1, 1] = 5
    smooth_NCHW = x_NCHW.float()
    inner = F.conv2d(smooth_NCHW, (kernel / 13).expand(channels, 1, 3, 3), groups=channels).round()
    smooth_NCHW[:, :, 1:-1, 1:-1] = inner
    return _blended(x_NCHW, smooth_NCHW, strength_N)


def posterize(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """Without its lowest bits, up to six of the eight."""
    bits_N = (_share(strength_N).abs() * 6).round().to(torch.uint8)
    return (x_NCHW >> bits_N) << bits_N


def solarize(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """Pixels from a threshold on are inverted: from 255 down to 0."""
    from_N = 255 - _column(strength_N).abs() * (255 / (LEVELS - 1))
    return torch.where(x_NCHW >= from_N, 255 - x_NCHW, x_NCHW)


def auto_contrast(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """Each channel stretched to 0 to 255; of one value, it stays as it is."""
    low = x_NCHW.amin((2, 3), keepdim=True).float()
    high = x_NCHW.amax((2, 3), keepdim=True).float()
    stretched = ((x_NCHW - low) * (255 / (high - low).clamp(min=1))).clamp(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, x_NCHW)


def equalize(x_NCHW: Tensor, strength_N: Tensor) -> Tensor:
    """Each channel by its cumulated histogram, as PIL does: values become about equally frequent."""
    n, channels, height, width = x_NCHW.shape
    value_KP = x_NCHW.reshape(n * channels, -1).long()
    counts = torch.zeros(n * channels, 256, dtype=torch.int64, device=x_NCHW.device)
    counts.scatter_add_(1, value_KP, torch.ones_like(value_KP))
    of_highest = counts.gather(1, value_KP.amax(1, keepdim=True))
    step = (height * width - of_highest) // 255
    table = ((counts.cumsum(1) - counts + step // 2) // step.clamp(min=1)).clamp(0, 255)
    equal_KP = torch.where(step > 0, table.gather(1, value_KP), value_KP)
    return equal_KP.to(torch.uint8).view_as(x_NCHW)


OPERATIONS: dict[str, Operation] = {
    "identity": identity, "shear x": shear_x, "shear y": shear_y, "translate x": translate_x,
    "translate y": translate_y, "rotate": rotate, "brightness": brightness, "color": color, "contrast": contrast,
    "sharpness": sharpness, "posterize": posterize, "solarize": solarize, "auto contrast": auto_contrast,
    "equalize": equalize,
}  # fmt: skip


def _column(strength_N: Tensor) -> Tensor:
    """A number an image, to go with its pixels."""
    return strength_N.float().view(-1, 1, 1, 1)


def _share(strength_N: Tensor) -> Tensor:
    return _column(strength_N) / (LEVELS - 1)


def _grey(x_NCHW: Tensor) -> Tensor:
    """One channel (N, 1, H, W), whole numbers as float: luma of colours, else the mean of the channels."""
    if x_NCHW.shape[1] != 3:
        return x_NCHW.float().mean(1, keepdim=True).trunc()
    red, green, blue = x_NCHW.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).trunc().unsqueeze(1)


def _blended(x_NCHW: Tensor, other: Tensor, strength_N: Tensor) -> Tensor:
    """``f x + (1 - f) other``, f from 0.01 to 1.99."""
    factor_N = 1 + STRONGEST * _share(strength_N)
    return (factor_N * x_NCHW + (1 - factor_N) * other).clamp(0, 255).to(torch.uint8)


def _moved(x_NCHW: Tensor, source: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Each pixel is the nearest one to where ``source`` says that it comes from, or 0 where that lies outside.

    Both places are counted from the centre of the image, to the right and down.
    """
    n, channels, height, width = x_NCHW.shape
    down, right = (size / 2 - 0.5 for size in (height, width))
    y = torch.arange(height, device=x_NCHW.device).view(-1, 1) - down
    x = torch.arange(width, device=x_NCHW.device) - right
    from_x, from_y = source(x, y)
    column, row = ((place + middle).round() for place, middle in ((from_x, right), (from_y, down)))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixel = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
    pixel_NP = pixel.expand(n, 1, height, width).reshape(n, 1, -1).expand(-1, channels, -1)
    return x_NCHW.reshape(n, channels, -1).gather(2, pixel_NP).view_as(x_NCHW) * inside
