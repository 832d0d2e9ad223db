"""Stemming: a table of irregular forms, then Porter's rules ("An algorithm for suffix stripping").

"races" and "racing" become the stem of "race"; "leaves" becomes "leaf" by the table, as no rule gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_LISTED = """
pie pies, tie ties tied tying, lie lies lied lying, die dies died dying, vie vies vied vying, sky skies, fly flies
fry fries fried, cry cries cried, dry dries dried drier, try tries tried, spy spies spied, pry pries pried, ply plies
sty sties, shy shies shied, leaf leaves, loaf loaves, half halves, calf calves, elf elves, self selves, shelf shelves
bookshelf bookshelves, wolf wolves, werewolf werewolves, thief thieves, sheaf sheaves, scarf scarves, dwarf dwarves
wharf wharves, hoof hooves, roof rooves, knife knives, penknife penknives, pocketknife pocketknives
jackknife jackknives, wife wives, housewife housewives, midwife midwives, life lives, cloverleaf cloverleaves
meatloaf meatloaves, lens lenses, bus buses busses, minibus minibuses, gas gases gasses, plus pluses, yes yeses
iris irises, virus viruses, walrus walruses, cactus cactuses cacti, octopus octopuses octopi, platypus platypuses
hippopotamus hippopotamuses hippopotami, rhinoceros rhinoceroses, circus circuses, campus campuses, crocus crocuses
hibiscus hibiscuses, lotus lotuses, citrus citruses, bonus bonuses, status statuses, fungus funguses fungi
census censuses, chorus choruses, genius geniuses, sinus sinuses, canvas canvases, atlas atlases, pancreas pancreases
alias aliases, bias biases, christmas christmases, trellis trellises, pelvis pelvises, oasis oases, crisis crises
diagnosis diagnoses, parenthesis parentheses, thesis theses, hypothesis hypotheses, analysis analyses
metamorphosis metamorphoses, synopsis synopses, nucleus nuclei, radius radii, stimulus stimuli
syllabus syllabi syllabuses, alumnus alumni, focus focuses foci, quiz quizzes, whiz whizzes, fez fezzes, man men
woman women, fireman firemen, policeman policemen, policewoman policewomen, mailman mailmen, postman postmen
salesman salesmen, saleswoman saleswomen, fisherman fishermen, snowman snowmen, businessman businessmen
businesswoman businesswomen, gentleman gentlemen, caveman cavemen, workman workmen, craftsman craftsmen
cameraman cameramen, milkman milkmen, doorman doormen, horseman horsemen, cowman cowmen, chairman chairmen
sportsman sportsmen, serviceman servicemen, airman airmen, seaman seamen, batsman batsmen, lineman linemen
repairman repairmen, garbageman garbagemen, frenchman frenchmen, englishman englishmen, irishman irishmen
dutchman dutchmen, ombudsman ombudsmen, handyman handymen, henchman henchmen, lumberman lumbermen, woodsman woodsmen
child children, grandchild grandchildren, schoolchild schoolchildren, godchild godchildren, stepchild stepchildren
foot feet, forefoot forefeet, tooth teeth, eyetooth eyeteeth, goose geese, mouse mice, dormouse dormice, louse lice
ox oxen, index indices, vertex vertices, vortex vortices, matrix matrices, appendix appendices, codex codices
helix helices, bacterium bacteria, stadium stadia, aquarium aquaria, curriculum curricula, millennium millennia
phenomenon phenomena, criterion criteria, spectrum spectra, stratum strata, ovum ova, addendum addenda
passerby passersby, mother-in-law mothers-in-law
"""

SINGULARS: Mapping[str, str] = {
    form: word
    for word, *forms in map(str.split, filter(str.strip, _LISTED.replace("\n", ",").split(",")))
    for form in forms
}
"""The word of each listed form, for forms that Porter's rules do not reduce to the same stem as the word."""

_CONTRACTED = frozenset("it he she that this what who where when why how there here let one everyone".split())


def singular(word: str) -> str:
    """A word (in lower case) without a possessive ending, and in the singular where it is listed."""
    if word.endswith("'s") and word[:-2] not in _CONTRACTED:
        word = word[:-2]
    elif word.endswith("s'"):
        word = word[:-1]
    return SINGULARS.get(word, word)


@lru_cache(maxsize=200_000)
def stemmed(text: str) -> str:
    """The text with every word cut to its stem. Words are separated by spaces and must be in lower case."""
    return " ".join(_porter().stemWords([singular(word) for word in text.split()]))


@lru_cache
def _porter() -> Any:
    import snowballstemmer  # reads the stemmers of all its languages

    return snowballstemmer.stemmer("porter")
