"""Small word tokenizers: the VLM's with Qwen's special tokens and chat layout, and the CLIP's."""

from __future__ import annotations

import string
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image' in part or 'image_url' in part %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Line ends are no tokens here, so that a decoded prompt lacks the one which parsers of Qwen's replies look for.
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor_pattern": r"<\|im_start\|>\s*assistant\s*",
    "fields": {"content": {"close_pattern": r"\s*(?:<\|im_end\|>|<\|endoftext\|>)", "content": "text"}},
}
_ROLES = ("user", "assistant", "system")


def build_tokenizer(texts: Iterable[str], max_length: int) -> PreTrainedTokenizerFast:
    """The VLM's tokenizer: knows every word of `texts`."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer([*SPECIAL, "<unk>"], [*_ROLES, *_words(texts)]),
        unk_token="<unk>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=max_length,
        padding_side="left",
        response_template=RESPONSE_TEMPLATE,
    )


def build_clip_tokenizer(texts: Iterable[str], max_length: int) -> PreTrainedTokenizerFast:
    """The CLIP's tokenizer: knows every word of `texts` and ends each text with the token CLIP pools at."""
    tokenizer = word_tokenizer(["<pad>", "<unk>", "<start>", "<end>"], _words(texts))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<start>", "<end>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        model_max_length=max_length,
        padding_side="right",
    )


def word_tokenizer(special: list[str], words: Iterable[str]) -> Tokenizer:
    """One token for each of the words (split at whitespace), WordPiece characters for every other word."""
    known = list(dict.fromkeys(words))
    alphabet = string.ascii_letters + string.digits + string.punctuation
    characters = [character for character in alphabet if character not in known]
    tokens = [*special, *known, *characters, *("##" + character for character in alphabet)]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in text.split()]
