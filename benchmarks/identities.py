"""Make a set of synthetic identities to verify: a folder of drawn faces for each, drawn by numpy and Pillow alone.

    .venv/bin/python benchmarks/identities.py ~/data/identities --identities 240 --images 20

An identity is about thirty numbers and colours: the shape of head, eyes, brows, nose, mouth, ears, hair, beard and
glasses. Every image of it has another pose (turn, tilt, size, place), expression, light, background, blur and noise.
``--sheet FILE.png`` draws a contact sheet: a row an identity. The same seed makes the same images.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CANVAS = 192  # pixels that a face is drawn with, before it is shrunk
Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Identity:
    """The features of a face, which all its images share; lengths in half widths of the average head."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    width: float
    height: float
    jaw: float  # width of the jaw by that of the head
    eye_distance: float
    eye_height: float
    eye_width: float
    eye_opening: float
    eye_slant: float
    brow_height: float
    brow_width: float
    brow_slant: float
    nose_length: float
    nose_width: float
    mouth_height: float
    mouth_width: float
    lip_width: float
    ear_size: float
    hairline: float
    hair_length: float
    parting: float
    beard: float  # 0 none, to 1
    glasses: bool
    mole: Point | None

    @classmethod
    def sampled(cls, rng: np.random.Generator) -> Identity:
        """A face at random."""

        def near(middle: float, spread: float) -> float:
            return float(middle + spread * rng.uniform(-1, 1))

        tone = rng.uniform(0, 1)
        dark, light = np.array([96, 62, 44]), np.array([244, 212, 188])
        skin = dark + tone * (light - dark) + rng.uniform(-10, 10, 3)
        hairs = np.array([[24, 20, 18], [72, 46, 30], [120, 84, 48], [198, 164, 100], [150, 66, 38], [150, 150, 152]])
        irises = np.array([[62, 40, 26], [106, 76, 40], [74, 104, 70], [70, 110, 150], [110, 120, 128]])
        return cls(
            skin=_colour(skin),
            hair=_colour(hairs[rng.integers(len(hairs))] + rng.uniform(-14, 14, 3)),
            iris=_colour(irises[rng.integers(len(irises))] + rng.uniform(-10, 10, 3)),
            lips=_colour(skin * rng.uniform(0.6, 0.9) + np.array([near(34, 26), 0, 6])),
            width=near(0.95, 0.15), height=near(1.28, 0.16), jaw=near(0.72, 0.2),
            eye_distance=near(0.42, 0.09), eye_height=near(-0.12, 0.09), eye_width=near(0.2, 0.05),
            eye_opening=near(0.1, 0.04), eye_slant=near(0, 0.06),
            brow_height=near(0.22, 0.07), brow_width=near(0.055, 0.035), brow_slant=near(0, 0.09),
            nose_length=near(0.46, 0.12), nose_width=near(0.15, 0.07),
            mouth_height=near(0.72, 0.08), mouth_width=near(0.34, 0.11), lip_width=near(0.075, 0.04),
            ear_size=near(0.2, 0.09), hairline=near(-0.72, 0.24), hair_length=near(0.4, 0.9), parting=near(0, 0.6),
            beard=float(rng.uniform(0.4, 1)) if rng.random() < 0.3 else 0.0, glasses=bool(rng.random() < 0.25),
            mole=(near(0, 0.55), near(0.3, 0.4)) if rng.random() < 0.3 else None,
        )  # fmt: skip


class _Pen:
    """Draws a face that is turned by ``yaw``: what lies in the middle of it is nearer, and moves further."""

    def __init__(self, image: Image.Image, scale: float, yaw: float, pitch: float) -> None:
        self.draw, self.scale, self.yaw, self.pitch = ImageDraw.Draw(image), scale, yaw, pitch

    def at(self, x: float, y: float) -> Point:
        depth = math.sqrt(max(0.0, 1 - min(1.0, x * x + 0.4 * y * y)))
        turned = x * math.cos(self.yaw) + depth * math.sin(self.yaw)
        nodded = y + 0.5 * depth * math.sin(self.pitch)
        return CANVAS / 2 + self.scale * turned, CANVAS / 2 + self.scale * nodded

    def ellipse(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        angles = np.linspace(0, 2 * math.pi, 40)
        self.polygon([(x + across * math.cos(a), y + down * math.sin(a)) for a in angles], colour)

    def polygon(self, points: list[Point], colour: Colour) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        self.draw.line(
            [self.at(*point) for point in points], fill=colour, width=max(1, round(self.scale * width)), joint="curve"
        )


def draw(face: Identity, rng: np.random.Generator, size: int) -> Image.Image:
    """One image of an identity, ``size`` pixels a side, in colour."""
    ground = Image.new("RGB", (CANVAS, CANVAS), _colour(rng.uniform(20, 235, 3)))
    brush = ImageDraw.Draw(ground)
    for _ in range(rng.integers(0, 4)):
        x, y, w, h = rng.uniform(-0.3, 1, 2).tolist() + rng.uniform(0.2, 0.9, 2).tolist()
        corners = [CANVAS * x, CANVAS * y, CANVAS * (x + w), CANVAS * (y + h)]
        brush.rectangle(corners, fill=_colour(rng.uniform(20, 235, 3)))
    pen = _Pen(ground, CANVAS * rng.uniform(0.27, 0.34), rng.uniform(-0.45, 0.45), rng.uniform(-0.25, 0.25))
    _face(
        pen, face, smile=rng.uniform(-0.06, 0.1), gape=max(0.0, rng.uniform(-0.1, 0.1)), gaze=rng.uniform(-0.05, 0.05)
    )
    shift = CANVAS * rng.uniform(-0.05, 0.05, 2)
    turned = ground.rotate(
        rng.uniform(-14, 14),
        Image.Resampling.BILINEAR,
        translate=(shift[0], shift[1]),
        fillcolor=ground.getpixel((0, 0)),
    )
    if (blur := rng.uniform(-0.6, 1.6)) > 0:
        turned = turned.filter(ImageFilter.GaussianBlur(blur))
    pixels = np.asarray(turned.resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
    return Image.fromarray((255 * _lit(pixels, rng)).round().astype(np.uint8))


def _face(pen: _Pen, face: Identity, *, smile: float, gape: float, gaze: float) -> None:
    shade = _times(face.skin, 0.8)
    top, bottom = -face.height * 0.82, face.height
    if face.hair_length > 0:
        pen.polygon(_oval(face.width * 1.16, top * 1.16, face.hair_length + 0.3), face.hair)
    for side in (-1, 1):
        pen.ellipse(side * face.width * 0.98, 0.05, face.ear_size * 0.5, face.ear_size, shade)
    outline = _head(face, top, bottom)
    pen.polygon(outline, face.skin)
    if face.beard:
        low = [(x, max(y, 0.42 + 0.5 * abs(x) * (1 - face.beard))) for x, y in outline if y > 0]
        pen.polygon(low, _mixed(face.skin, face.hair, face.beard))
    pen.polygon([(x, min(y, face.hairline + 0.35 * (x - face.parting) ** 2)) for x, y in outline if y < 0.2], face.hair)
    for side in (-1, 1):
        x, y = side * face.eye_distance, face.eye_height
        lift = side * face.eye_slant
        pen.ellipse(x, y + lift, face.eye_width, face.eye_opening, (242, 240, 236))
        pen.ellipse(x + gaze, y + lift, face.eye_opening * 0.95, face.eye_opening * 0.95, face.iris)
        pen.ellipse(x + gaze, y + lift, face.eye_opening * 0.4, face.eye_opening * 0.4, (12, 12, 14))
        inner, outer = x - side * face.eye_width * 1.2, x + side * face.eye_width * 1.3
        brow = y - face.brow_height
        pen.line([(inner, brow + face.brow_slant), (x, brow - 0.03), (outer, brow - face.brow_slant)], face.brow_width,
                 _times(face.hair, 0.85))  # fmt: skip
        if face.glasses:
            angles = np.linspace(0, 2 * math.pi, 30)
            ring = [(x + 0.27 * math.cos(a), y + 0.02 + 0.2 * math.sin(a)) for a in angles]
            pen.line(ring, 0.045, (30, 30, 36))
    if face.glasses:
        pen.line([(-face.eye_distance + 0.27, face.eye_height), (face.eye_distance - 0.27, face.eye_height)], 0.045,
                 (30, 30, 36))  # fmt: skip
    tip = face.eye_height + face.nose_length
    pen.polygon([(-0.04, face.eye_height), (0.04, face.eye_height), (face.nose_width, tip), (-face.nose_width, tip)],
                _times(face.skin, 0.92))  # fmt: skip
    pen.line([(-face.nose_width, tip - 0.04), (0, tip + 0.03), (face.nose_width, tip - 0.04)], 0.05, shade)
    mouth = max(face.mouth_height, tip + 0.16)
    corners = np.linspace(-1, 1, 13)
    upper = [(face.mouth_width * t, mouth - smile * t * t - face.lip_width * (1 - t * t)) for t in corners]
    lower = [(face.mouth_width * t, mouth - smile * t * t + (face.lip_width + gape) * (1 - t * t)) for t in corners]
    pen.polygon(upper + lower[::-1], face.lips)
    pen.line([(x, (a + b) / 2) for (x, a), (_, b) in zip(upper, lower, strict=True)], 0.03, _times(face.lips, 0.5))
    if face.mole:
        pen.ellipse(*face.mole, 0.045, 0.045, (58, 38, 30))


def _head(face: Identity, top: float, bottom: float) -> list[Point]:
    points = []
    for angle in np.linspace(0, 2 * math.pi, 72):
        x, y = math.cos(angle), math.sin(angle)
        narrow = 1 - (1 - face.jaw) * max(0.0, y) ** 1.5 if y > 0 else 1.0
        points.append((face.width * x * narrow, (bottom if y > 0 else -top) * y))
    return points


def _oval(across: float, top: float, bottom: float) -> list[Point]:
    angles = np.linspace(0, 2 * math.pi, 60)
    return [(across * math.cos(a), (bottom if math.sin(a) > 0 else -top) * math.sin(a)) for a in angles]


def _lit(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels (H, W, 3) from 0 to 1 under light from a side, of another colour and strength, with noise."""
    height, width, _ = pixels.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.45)
    field = 1 + slope * (math.cos(angle) * x + math.sin(angle) * y)
    light = rng.uniform(0.6, 1.25) * rng.uniform(0.92, 1.08, 3)
    lit = np.clip(pixels * field[..., None] * light, 0, 1) ** rng.uniform(0.8, 1.25)
    return np.clip(lit + rng.normal(0, rng.uniform(0.005, 0.04), lit.shape), 0, 1)


def _colour(numbers: np.ndarray) -> Colour:
    red, green, blue = np.clip(numbers, 0, 255).round().astype(int).tolist()
    return red, green, blue


def _times(colour: Colour, factor: float) -> Colour:
    return _colour(np.array(colour) * factor)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    return _colour((1 - 0.6 * share) * np.array(one) + 0.6 * share * np.array(other))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a set of synthetic identities.")
    parser.add_argument("folder", type=Path, help="new folder")
    parser.add_argument("--identities", type=int, default=240, help="[default: 240]")
    parser.add_argument("--images", type=int, default=20, help="of each [default: 20]")
    parser.add_argument("--size", type=int, default=32, help="pixels a side [default: 32]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="also draw a contact sheet of some to this PNG file")
    asked = parser.parse_args()
    if asked.folder.exists():
        parser.error(f"{asked.folder} exists: name a new folder")
    rows = []
    for number in range(asked.identities):
        rng = np.random.default_rng([asked.seed, number])
        face = Identity.sampled(rng)
        images = [draw(face, rng, asked.size) for _ in range(asked.images)]
        place = asked.folder / f"id{number:04}"
        place.mkdir(parents=True)
        for index, image in enumerate(images):
            image.save(place / f"{index:03}.png")
        rows += [images[:10]] * (number < 10)
    if asked.sheet:
        side = asked.size
        sheet = Image.new("RGB", (side * 10, side * len(rows)))
        for y, row in enumerate(rows):
            for x, image in enumerate(row):
                sheet.paste(image, (x * side, y * side))
        sheet.resize((sheet.width * 3, sheet.height * 3), Image.Resampling.NEAREST).save(asked.sheet)
    print(f"{asked.identities} identities of {asked.images} images in {asked.folder}")


if __name__ == "__main__":
    main()
