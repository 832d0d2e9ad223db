"""A CLIP folder with random weights, made in a moment."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

WORDS = "what is this where from colour shape the a ?".split()


def write_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Save model, image processor and tokenizer in `folder`."""
    vocabulary = {word: row for row, word in enumerate(["<pad>", "<unk>", "<unused>", "<bos>", "<eos>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 3), ("<eos>", 4)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}).save_pretrained(folder)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(seed)
    CLIPModel(
        CLIPConfig(
            text_config=layers
            | {
                "vocab_size": len(vocabulary),
                "max_position_embeddings": 8,
                "bos_token_id": 3,
                "eos_token_id": 4,
                "pad_token_id": 0,
            },
            vision_config=layers | {"image_size": 8, "patch_size": 4},
            projection_dim=12,
        )
    ).save_pretrained(folder)
    return folder
