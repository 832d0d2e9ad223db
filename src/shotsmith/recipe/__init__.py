"""The recipe: a whole experiment as typed settings, read from YAML. Every setting has a default and an effect.

No torch here: a recipe is checked in milliseconds, before anything heavy is loaded.
"""

from shotsmith.recipe.base import Count, Settings, Shots
from shotsmith.recipe.data import (
    BankSettings,
    CaptionsSettings,
    DataSettings,
    HubSettings,
    OkvqaSettings,
    ReaderSettings,
    TableColumns,
    TableSettings,
    TextsSettings,
    WorldSettings,
)
from shotsmith.recipe.encoder import EncoderSettings, PrecomputedSettings, Side
from shotsmith.recipe.evaluation import EvaluationSettings
from shotsmith.recipe.experiment import Recipe
from shotsmith.recipe.grpo import AdvantageSettings, GrpoSettings, KlSettings, ReferenceSettings, SamplingSettings
from shotsmith.recipe.models import BeamSettings, VLMSettings
from shotsmith.recipe.policy import PRESETS, PolicySettings
from shotsmith.recipe.pools import PoolSettings
from shotsmith.recipe.read import dump_recipe, load_recipe, parse_recipe
from shotsmith.recipe.rewards import RewardSettings
from shotsmith.recipe.training import (
    CurriculumSettings,
    OptimizerSettings,
    RceSettings,
    RolloutSettings,
    SupervisedSettings,
)

__all__ = [
    "PRESETS",
    "AdvantageSettings",
    "BankSettings",
    "BeamSettings",
    "CaptionsSettings",
    "Count",
    "CurriculumSettings",
    "DataSettings",
    "EncoderSettings",
    "EvaluationSettings",
    "GrpoSettings",
    "HubSettings",
    "KlSettings",
    "OkvqaSettings",
    "OptimizerSettings",
    "PolicySettings",
    "PoolSettings",
    "PrecomputedSettings",
    "RceSettings",
    "ReaderSettings",
    "Recipe",
    "ReferenceSettings",
    "RewardSettings",
    "RolloutSettings",
    "SamplingSettings",
    "Settings",
    "Shots",
    "Side",
    "SupervisedSettings",
    "TableColumns",
    "TableSettings",
    "TextsSettings",
    "VLMSettings",
    "WorldSettings",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
]
