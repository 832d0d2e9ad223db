"""A word and its other forms have one stem, also where no rule brings them together; different words keep theirs."""

from __future__ import annotations

import pytest

from shotsmith.metrics.stemming import SINGULARS, stemmed
from shotsmith.metrics.vqa import vqa_accuracy_stemmed

FORMS = (
    "pie pies, tie ties tying, die dies dying, lie lies, sky skies, fly flies flying, fry fries fried frying, "
    "spy spies, leaf leaves, loaf loaves, knife knives, shelf shelves, scarf scarves, wolf wolves, half halves, "
    "lens lenses, bus buses, gas gases, cactus cacti cactuses, octopus octopuses octopi, walrus walruses, "
    "quiz quizzes, man men man's men's, woman women women's, fireman firemen firemen's, child children children's, "
    "kid kids kids', "
    "foot feet, tooth teeth, goose geese, mouse mice, ox oxen, race races racing, surf surfing, pony ponies, "
    "cookie cookies, tomato tomatoes, box boxes, dish dishes, glass glasses, horse horses horse's, ski skis skiing, "
    "roof roofs, chief chiefs, glove gloves, olive olives, wave waves, hero heroes, shoe shoes, puppy puppies"
)
APART = (
    "ski sky, pi pie, man woman, bus bush, leaf leave, gas gate, ox axe, men menu, specimen man, omen man, "
    "tie tyre, fly flow, goose grease, mice ice, child chill, foot food, it's it"
)


@pytest.mark.parametrize("entry", [entry.split() for entry in FORMS.split(", ")], ids=lambda entry: entry[0])
def test_all_forms_of_a_word_have_one_stem(entry: list[str]) -> None:
    assert len({stemmed(form) for form in entry}) == 1


def test_every_form_in_the_table_has_the_stem_of_its_word_and_needs_the_table() -> None:
    assert {form for form, word in SINGULARS.items() if stemmed(form) != stemmed(word)} == set()
    assert all(word not in SINGULARS for word in SINGULARS.values())


@pytest.mark.parametrize("words", [entry.split()[:2] for entry in APART.split(", ")], ids=lambda words: words[0])
def test_different_words_keep_different_stems(words: list[str]) -> None:
    assert stemmed(words[0]) != stemmed(words[1])


@pytest.mark.parametrize(
    ("prediction", "answer"),
    [("pies", "pie"), ("leaves", "leaf"), ("men's room", "man room"), ("neck ties", "neck tie"), ("lens", "lenses")],
)
def test_a_prediction_agrees_with_released_stems(prediction: str, answer: str) -> None:
    assert vqa_accuracy_stemmed(prediction, [answer] * 10) == 1.0
