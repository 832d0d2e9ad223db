"""Settings of the frozen models, and what shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from setting_probes import OTHERS, clustered, models
from setting_probes.data_table import TABLES

PRECOMPUTED = TABLES | {"encoder.precomputed.texts": "{here}/one.npz"}
SERVED = {
    "vlm.server.url": "http://one/v1",
    "vlm.server.model": "one",
    "supervised.epochs": 0,
    "reward.answer_probability": 0.0,
}

BACKED = {
    "vlm.backend.name": "constant",
    "vlm.backend.options": {"answer": "one"},
    "supervised.epochs": 0,
    "reward.answer_probability": 0.0,
}

WORKING = {"vlm.ray.workers": 2}
EMBEDDING = {"encoder.ray.workers": 2}

TABLE: Mapping[str, tuple[Any, ...]] = {
    "vlm.path": ("{here}/vlm", models.vlm),
    "vlm.max_new_tokens": (1, models.vlm),
    "vlm.batch_tokens": (1, models.vlm),
    "vlm.device": ("cuda:99", models.vlm),
    "vlm.dtype": ("bfloat16", models.vlm),
    "vlm.min_new_tokens": (3, models.vlm),
    "vlm.num_beams": (2, models.vlm),
    "vlm.length_penalty": (0.0, models.vlm, {"vlm.num_beams": 2}),
    "vlm.attention": ("eager", models.vlm),
    "vlm.device_map": ("auto", models.placed),
    "vlm.lora": ("{here}/lora", models.adapted),
    "vlm.vision_cache.folder": ("{folder}/elsewhere", models.kept_features),
    "vlm.vision_cache.gigabytes": (0.0, models.kept_features),
    "vlm.prompt.template": ("vqa", models.vlm),
    "vlm.prompt.layout": (OTHERS, models.vlm),
    "vlm.prompt.system": ("Be brief.", models.vlm),
    "vlm.prompt.max_tokens": (40, models.fitted),
    "vlm.prompt.max_images": (2, models.fitted),
    "vlm.prompt.over_budget": (OTHERS, models.fitted, {"vlm.prompt.max_images": 2}),
    "vlm.server.processor": ("builtin", models.counted, SERVED),
    "vlm.server.url": ("http://two/v1", models.served, SERVED),
    "vlm.server.model": ("two", models.served, SERVED),
    "vlm.server.kind": (OTHERS, models.served, SERVED),
    "vlm.server.api_key_env": ("STUB_KEY", models.served, SERVED),
    "vlm.server.concurrency": (2, models.served, SERVED),
    "vlm.server.timeout_seconds": (5.0, models.served, SERVED),
    "vlm.server.retries": (1, models.served, SERVED),
    "vlm.server.reply_megabytes": (3e-5, models.served, SERVED),
    "vlm.server.reply_model": ("two", models.served, SERVED),
    "vlm.backend.name": ("likely", models.backed, BACKED),
    "vlm.backend.options": ({"answer": "two"}, models.backed, BACKED),
    "vlm.backend.processor": ("builtin", models.counted, BACKED),
    "vlm.ray.address": ("127.0.0.1:1", clustered.hired, WORKING),
    "vlm.ray.workers": (3, clustered.hired, WORKING),
    "vlm.ray.cpus_per_worker": (2.0, clustered.hired, WORKING),
    "vlm.ray.gpus_per_worker": (0.5, clustered.hired, WORKING),
    "vlm.ray.servers": (["http://two/v1", "http://three/v1"], clustered.hired, SERVED | WORKING),
    "vlm.ray.max_deaths": (5, clustered.hired, WORKING),
    "vlm.ray.start_seconds": (1.0, clustered.hired, WORKING),
    "encoder.path": ("{here}/clip", models.encoder),
    "encoder.revision": ("old", models.encoder_of_the_hub, {"encoder.path": "owner/clip"}),
    "encoder.image": ("{here}/vision", models.encoder),
    "encoder.image_revision": ("old", models.encoder_of_the_hub, {"encoder.image": "owner/vision"}),
    "encoder.text": ("{here}/sentence", models.encoder),
    "encoder.text_revision": ("old", models.encoder_of_the_hub, {"encoder.text": "owner/sentence"}),
    "encoder.precomputed.texts": ("{here}/other.npz", models.encoder, PRECOMPUTED),
    "encoder.precomputed.images": ("{here}/other.npz", models.encoder, PRECOMPUTED),
    "encoder.precomputed.ids": (
        "{here}/turned.txt",
        models.encoder,
        PRECOMPUTED | {"encoder.precomputed.texts": "{here}/one.npy", "encoder.precomputed.ids": "{here}/ids.txt"},
    ),
    "encoder.batch_size": (7, models.encoder),
    "encoder.device": ("cuda:99", models.placed_encoder),
    "encoder.dtype": ("bfloat16", models.encoder),
    "encoder.ray.address": ("127.0.0.1:1", clustered.embedded, EMBEDDING),
    "encoder.ray.workers": (3, clustered.embedded, EMBEDDING),
    "encoder.ray.cpus_per_worker": (2.0, clustered.embedded, EMBEDDING),
    "encoder.ray.gpus_per_worker": (0.5, clustered.embedded, EMBEDDING),
    "encoder.joined": ("mean", models.seen_by_policies),
}
"""Setting -> (another value, the probe that shows it, and what else must be set for it to matter)."""
