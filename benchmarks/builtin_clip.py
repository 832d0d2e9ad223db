"""What the built-in CLIP's embeddings of pictures hold: what a linear layer reads from them, and what neighbours share.

    python benchmarks/builtin_clip.py [--encoder builtin] [--pictures 4000] [--json]

Figures, in percent, for shape, colour, age and background: `linear_*` is how often a ridge regression on one half of
the pictures tells the property in the other half, and `nearest_*` how often the most similar picture of the first half
shares it. A selector can learn to use what is linear; similarity search only has what neighbours share. `equal` says
that pictures embedded in two batch sizes give the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from shotsmith.data.world.drawing import Scene, draw, random_scene
from shotsmith.data.world.language import COLOURS, SHAPES
from shotsmith.embeddings.load import load_encoder
from shotsmith.recipe import EncoderSettings

RIDGE = 1e-2


def main() -> None:
    """Draw pictures, embed them, print what is in them."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--encoder", default="builtin", help="folder of an encoder")
    made.add_argument("--pictures", type=int, default=4000)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--json", action="store_true")
    options = made.parse_args()
    rng = np.random.default_rng(options.seed)
    scenes = [_scene(rng) for _ in range(options.pictures)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.png" for number in range(len(scenes))]
        for scene, file in zip(scenes, files, strict=True):
            draw(scene, rng).save(file)
        values = load_encoder(EncoderSettings(path=options.encoder)).embed_images(files)
        again = load_encoder(EncoderSettings(path=options.encoder, batch_size=17)).embed_images(files[:100])
    half = len(scenes) // 2
    nearest = (values[half:] @ values[:half].T).argmax(1)
    figures: dict[str, float] = {}
    for name, told in (
        ("shape", [scene.shape for scene in scenes]),
        ("colour", [scene.colour for scene in scenes]),
        ("age", [str(scene.old) for scene in scenes]),
        ("background", [scene.background for scene in scenes]),
    ):
        _, classes = np.unique(told, return_inverse=True)
        figures[f"linear_{name}"] = 100 * float((_read(values, classes, half) == classes[half:]).mean())
        figures[f"nearest_{name}"] = 100 * float((classes[:half][nearest] == classes[half:]).mean())
    equal = bool(np.allclose(values[:100], again, atol=1e-5))
    if options.json:
        print(json.dumps({"figures": {name: round(value, 1) for name, value in figures.items()}, "equal": equal}))
        return
    for name, value in figures.items():
        print(f"{name:20} {value:5.1f}")


def _scene(rng: np.random.Generator) -> Scene:
    shape, colour = SHAPES[int(rng.integers(len(SHAPES)))], COLOURS[int(rng.integers(len(COLOURS)))]
    return random_scene(rng, shape, colour, bool(rng.random() < 0.5))


def _read(values: np.ndarray, classes: np.ndarray, half: int) -> np.ndarray:
    """The class of each picture of the second half, by ridge regression on the first."""
    x = np.concatenate([values, np.ones((len(values), 1), np.float32)], axis=1)
    wanted = np.eye(int(classes.max()) + 1)[classes[:half]]
    weights = np.linalg.solve(x[:half].T @ x[:half] + RIDGE * np.eye(x.shape[1]), x[:half].T @ wanted)
    return np.asarray((x[half:] @ weights).argmax(1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
