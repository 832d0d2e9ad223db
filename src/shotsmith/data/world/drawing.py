"""Pictures of artefacts: one shape of one colour on a background, photographed recently or long ago."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SIZE = 56
"""Pixels a side of a finished picture."""
_SCALE = 3
"""Shapes are drawn this much larger and scaled down, so that edges are smooth."""

BACKGROUNDS = ("plain", "stripes", "diagonals", "fade")
BACKDROPS = {
    "white": (240, 240, 240),
    "pink": (240, 190, 205),
    "cream": (240, 230, 195),
    "mint": (190, 235, 205),
    "sky": (190, 215, 245),
    "lilac": (215, 195, 240),
    "grey": (175, 175, 175),
    "sand": (215, 190, 150),
}
_PAINT = {
    "red": (215, 35, 35),
    "green": (40, 150, 60),
    "blue": (40, 70, 215),
    "yellow": (240, 215, 30),
    "purple": (140, 50, 170),
    "orange": (245, 130, 20),
    "cyan": (30, 200, 215),
    "black": (25, 25, 25),
}
_FRAME = (250, 248, 240)
_FRAME_PIXELS = np.pad(np.zeros((SIZE - 8, SIZE - 8), dtype=bool), 4, constant_values=True)

Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows."""

    shape: str
    colour: str
    old: bool
    """An old print: a pale frame around the picture."""
    background: str
    backdrop: str

    @property
    def caption(self) -> str:
        """The picture in words."""
        age = "an old photo" if self.old else "a photo"
        return f"{age} of a {self.colour} {self.shape} on {self.backdrop} {self.background}"


def random_scene(rng: np.random.Generator, shape: str, colour: str, old: bool) -> Scene:
    """A scene of this artefact with a background drawn at random."""
    background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    return Scene(shape, colour, old, background, list(BACKDROPS)[int(rng.integers(len(BACKDROPS)))])


def draw(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Render a scene: position, size, tint and grain vary with `rng`. RGB, SIZE x SIZE pixels."""
    picture = _background(scene, rng)
    paint = np.array(_PAINT[scene.colour]) + rng.normal(0, 10, 3)
    picture += _stencil(scene.shape, rng)[..., None] * (np.clip(paint, 0, 255) - picture)
    if scene.old:
        picture[_FRAME_PIXELS] = _FRAME
    picture += rng.normal(0, 4, picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _background(scene: Scene, rng: np.random.Generator) -> Pixels:
    base = np.array(BACKDROPS[scene.backdrop]) + rng.normal(0, 6, 3)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    pitch = int(rng.integers(4, 10))
    pattern = {
        "plain": np.zeros((SIZE, SIZE)),
        "stripes": (x // pitch) % 2,
        "diagonals": ((x + y) // pitch) % 2,
        "fade": y / SIZE,
    }[scene.background]
    return np.asarray(base - 35.0 * pattern[..., None])


def _stencil(shape: str, rng: np.random.Generator) -> Pixels:
    """How much of each pixel the shape covers: [SIZE, SIZE], 0 to 1."""
    side = SIZE * _SCALE
    canvas = Image.new("L", (side, side))
    x, y = (side / 2 + rng.uniform(-0.1, 0.1) * side for _ in range(2))
    _draw_shape(ImageDraw.Draw(canvas), shape, x, y, side * rng.uniform(0.26, 0.36))
    return np.asarray(canvas.reduce(_SCALE)) / 255.0


def _draw_shape(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: float) -> None:
    paint = 255
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=paint)
    elif shape == "square":
        pen.rectangle((x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r), fill=paint)
    elif shape == "triangle":
        pen.polygon(_ring_of_points(x, y, r, 3), fill=paint)
    elif shape == "star":
        pen.polygon(_ring_of_points(x, y, r, 10, (1.1, 0.42)), fill=paint)
    elif shape == "cross":
        pen.rectangle((x - 0.3 * r, y - r, x + 0.3 * r, y + r), fill=paint)
        pen.rectangle((x - r, y - 0.3 * r, x + r, y + 0.3 * r), fill=paint)
    elif shape == "diamond":
        pen.polygon([(x, y - 1.1 * r), (x + 0.65 * r, y), (x, y + 1.1 * r), (x - 0.65 * r, y)], fill=paint)
    elif shape == "ring":
        pen.ellipse((x - r, y - r, x + r, y + r), outline=paint, width=int(0.35 * r))
    elif shape == "arrow":
        head, shaft = 0.8 * r, 0.25 * r
        pen.polygon(
            [
                (x - r, y - shaft),
                (x, y - shaft),
                (x, y - head),
                (x + r, y),
                (x, y + head),
                (x, y + shaft),
                (x - r, y + shaft),
            ],
            fill=paint,
        )


def _ring_of_points(
    x: float, y: float, r: float, count: int, radii: tuple[float, ...] = (1.0,)
) -> list[tuple[float, float]]:
    return [
        (
            x + radii[i % len(radii)] * r * math.sin(2 * math.pi * i / count),
            y - radii[i % len(radii)] * r * math.cos(2 * math.pi * i / count),
        )
        for i in range(count)
    ]
