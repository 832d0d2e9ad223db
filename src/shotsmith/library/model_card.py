"""The model card of a saved selector: a README.md whose front matter the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from shotsmith.library.card import Accuracy, Card

README = "README.md"
"""Not among the files whose digests the card holds: whoever owns a repository may edit its page."""
_TAGS = ["shotsmith", "in-context-learning", "demonstration-selection", "vision-language-model"]


def model_card(card: Card) -> str:
    """The page of a selector: what it is, what it was measured to do, how it is used, and what it cannot do."""
    front = yaml.safe_dump(_front_matter(card), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {card.name}\n\n{_summary(card)}",
        f"## What it was made for\n\n{_made_for(card)}",
        f"## Results\n\n{_results(card)}",
        f"## Use\n\n{_USE}",
        f"## Limits\n\n{_limits(card)}",
        f"## Licence\n\nThe weights are licensed under {card.licence}. The examples of the bank keep the licence of "
        "the data they come from.",
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(card: Card) -> dict[str, Any]:
    front: dict[str, Any] = {"library_name": "shotsmith", "license": card.licence, "tags": _TAGS}
    if card.vlm is not None and _is_on_the_hub(card.vlm.path):
        front["base_model"] = card.vlm.path
    dataset = (card.data.get("hub") or {}).get("dataset")
    if isinstance(dataset, str) and _is_on_the_hub(dataset):
        front["datasets"] = [dataset]
    return front


def _is_on_the_hub(name: str) -> bool:
    """Whether a name has the form owner/name and is no folder of this machine."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _summary(card: Card) -> str:
    kind = "A trained selector" if card.selector == "policy" else f"The training-free selector '{card.selector}'"
    return (
        f"{kind} of few-shot demonstrations: for a query (a question, usually about an image) it retrieves from a "
        "bank of examples with known answers the ones to show a vision-language model, in the order to show them. "
        f"Written by [Shotsmith](https://pypi.org/project/shotsmith/) {card.version}."
    )


def _made_for(card: Card) -> str:
    vlm = card.vlm
    rows = [("encoder", f"`{card.encoder.named}` ({card.encoder_identity})")]
    if vlm is not None:
        model = vlm.path if vlm.server is None else vlm.server.model or "the model of a server"
        model = model if vlm.backend is None else vlm.backend.name
        rows += [
            ("VLM", f"`{model}`" + (f" ({card.vlm_identity})" if card.vlm_identity else "")),
            ("prompt", f"template `{vlm.prompt.template}`, layout `{vlm.prompt.layout}`"),
            ("decoding", f"at most {vlm.max_new_tokens} new tokens, {vlm.num_beams} beam(s)"),
        ]
    if card.selector == "policy":
        rows.append(("demonstrations", f"trained to choose {', '.join(map(str, card.shots))}"))
    if card.bank is not None:
        rows.append(("bank", f"{card.bank.size} examples, SHA-256 `{card.bank.digest}`"))
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    if not card.data:
        return table
    return f"{table}\n\nData:\n\n```yaml\n{yaml.safe_dump(card.data, sort_keys=False, allow_unicode=True)}```"


def _results(card: Card) -> str:
    if not card.results:
        return "It has not been evaluated."
    metric = card.results[0].metric
    rows = [row for row in card.results if row.metric == metric]
    names = list(dict.fromkeys(row.selector for row in rows))
    own = [name for name in names if name != card.best_free]
    names = [*own, *(name for name in names if name == card.best_free)]
    cells = {(row.selector, row.shots): row for row in rows}
    shots = sorted({row.shots for row in rows}, key=lambda number: (number == "mean", number))
    lines = [
        "| demonstrations | " + " | ".join(name + _role(name, card) for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
        *(f"| {number} | " + " | ".join(_cell(cells.get((name, number))) for name in names) + " |" for number in shots),
    ]
    count = max(row.n for row in rows)
    return (
        f"`{metric}` times 100 on {count} held-out test queries, with intervals over the queries. The best free "
        "selector is the training-free one with the highest accuracy on validation queries.\n\n" + "\n".join(lines)
    )


def _role(name: str, card: Card) -> str:
    return " (best free selector)" if name == card.best_free else ""


def _cell(row: Accuracy | None) -> str:
    return "-" if row is None else f"{row.accuracy:.1f} ({row.low:.1f} to {row.high:.1f})"


_USE = """```py
import shotsmith

selector = shotsmith.Selector.from_pretrained("OWNER/NAME")
chosen = selector.select(image="a.jpg", question="What is it for?", shots=4)
chosen.messages()
```

`selector.index(...)` gives it another bank, for example your own copy of the data with its images."""


def _limits(card: Card) -> str:
    return "\n".join(f"- {line}" for line in _limits_of(card))


def _limits_of(card: Card) -> Iterator[str]:
    yield "It chooses by embeddings of its encoder; another encoder is refused."
    if card.selector == "policy":
        yield (
            "It was trained on the answers of the VLM and the prompt above. With another VLM, prompt, bank or kind of "
            "question its accuracy has to be measured anew."
        )
    yield "What the bank's answers say is shown as it stands: errors and biases of the bank reach the VLM."
    yield "Images of the bank are included only if there is a folder `images`."
    if card.unfamiliar_below is not None:
        yield (
            "Queries unlike the training queries are flagged (highest cosine with one of them below "
            f"{card.unfamiliar_below:.3f})."
        )
