"""`embed`, `pools`, `collect`, `train`: the beginning of `shotsmith run`, up to one stage."""

from __future__ import annotations

from shotsmith.cli.options import Json, Out, Overrides, Quiet, RecipeFile
from shotsmith.cli.run import go


def embed(
    recipe: RecipeFile, overrides: Overrides = None, out: Out = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Make the data and the embeddings of all examples.

    Example: shotsmith embed recipes/demo.yaml
    """
    go(recipe, overrides, out, until="embed", as_json=as_json, quiet=quiet)


def pools(
    recipe: RecipeFile, overrides: Overrides = None, out: Out = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Do what `embed` does, and draw the pool of every query, where the recipe has pools.

    Example: shotsmith pools recipes/demo.yaml --set pools.sampler=image_similar --out runs/similar
    """
    go(recipe, overrides, out, until="pools", as_json=as_json, quiet=quiet)


def collect(
    recipe: RecipeFile, overrides: Overrides = None, out: Out = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Do what `pools` does, and the beam search whose sequences the supervised policy learns from.

    Example: shotsmith collect recipes/demo.yaml
    """
    go(recipe, overrides, out, until="beam", as_json=as_json, quiet=quiet)


def train(
    recipe: RecipeFile, overrides: Overrides = None, out: Out = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Do what `collect` does, and train: supervised, RCE, GRPO, for every seed.

    Example: shotsmith train recipes/demo.yaml --set grpo.epochs=20 --out runs/longer
    """
    go(recipe, overrides, out, until="train", as_json=as_json, quiet=quiet)
