"""VQA accuracy (arXiv 1505.00468), as the official evaluation computes it.

A prediction earns min(1, matches / 3) from the other annotators, averaged over leaving each annotator out. The
official code normalises answers *only where the annotators disagree*; where all gave the very same text, a prediction
must be that text. Annotators are left out by position: the official code compares records and, where these carry no
`answer_id`, takes equal answers for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from shotsmith.metrics.metric import some
from shotsmith.metrics.stemming import stemmed

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
# The official pattern means "unless between digits", but its look-behind is misspelt and never holds a period back.
_PERIOD = re.compile(r"\.(?!\d)")
# It also passes a flag, re.UNICODE, in the place of the number of substitutions.
_MOST_PERIODS = int(re.UNICODE)
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_ARTICLES = frozenset({"a", "an", "the"})

_PAIRS = """
aint ain't          arent aren't        cant can't              couldve could've    couldnt couldn't
couldn'tve couldn't've                  couldnt've couldn't've  didnt didn't        doesnt doesn't
dont don't          hadnt hadn't        hadnt've hadn't've      hadn'tve hadn't've  hasnt hasn't
havent haven't      hed he'd            hed've he'd've          he'dve he'd've      hes he's
howd how'd          howll how'll        hows how's              isnt isn't          itd it'd
itd've it'd've      it'dve it'd've      itll it'll              maam ma'am          mightnt mightn't
mightnt've mightn't've                  mightn'tve mightn't've  mightve might've    mustnt mustn't
mustve must've      neednt needn't      notve not've            oclock o'clock      oughtnt oughtn't
ow's'at 'ow's'at    'ows'at 'ow's'at    'ow'sat 'ow's'at        shant shan't        shed've she'd've
she'dve she'd've    shouldve should've  shouldnt shouldn't      shouldnt've shouldn't've
shouldn'tve shouldn't've                somebody'd somebodyd    somebodyd've somebody'd've
somebody'dve somebody'd've              somebodyll somebody'll  somebodys somebody's
someoned someone'd  someoned've someone'd've                    someone'dve someone'd've
someonell someone'll                    someones someone's      somethingd something'd
somethingd've something'd've            something'dve something'd've                somethingll something'll
thats that's        thered there'd      thered've there'd've    there'dve there'd've
therere there're    theres there's      theyd they'd            theyd've they'd've  they'dve they'd've
theyll they'll      theyre they're      theyve they've          twas 'twas          wasnt wasn't
wed've we'd've      we'dve we'd've      weve we've              werent weren't      whatll what'll
whatre what're      whats what's        whatve what've          whens when's        whered where'd
wheres where's      whereve where've    whod who'd              whod've who'd've    who'dve who'd've
wholl who'll        whos who's          whove who've            whyll why'll        whyre why're
whys why's          wont won't          wouldve would've        wouldnt wouldn't    wouldnt've wouldn't've
wouldn'tve wouldn't've                  yall y'all              yall'll y'all'll    y'allll y'all'll
yall'd've y'all'd've                    y'alld've y'all'd've    y'all'dve y'all'd've
youd you'd          youd've you'd've    you'dve you'd've        youll you'll        youre you're
youve you've
"""

_WORDS = _PAIRS.split()
CONTRACTIONS: dict[str, str] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
"""The contractions that the official evaluation (vqaEval.py) restores, word for word.

Its oddities are kept: "somebody'd" loses its apostrophe, "lets" is missing. Entries that can never apply are left out:
those that map a word to itself, and those with a capital I (words are lower case when they are looked up).
"""


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """The official accuracy of one prediction, 0 to 1, not rounded. Raises DataError if there are no answers."""
    truths = [_stripped(answer) for answer in answers]
    if len(set(truths)) > 1:
        return vqa_accuracy_normalised(prediction, answers)
    return _agreement(_stripped(prediction), truths)


def vqa_accuracy_normalised(prediction: str, answers: Sequence[str]) -> float:
    """The VQA accuracy with both sides always normalised, as many papers report it, 0 to 1."""
    return _agreement(normalise(prediction), [normalise(answer) for answer in answers])


def vqa_accuracy_stemmed(prediction: str, answers: Sequence[str]) -> float:
    """The accuracy of OK-VQA (arXiv 1906.00067): the VQA accuracy of stems, so that "surfing" and "surf" agree.

    OK-VQA stems the annotators' answers, of which the released annotations hold the outcome (`answer`, beside
    `raw_answer`), and a prediction has to be stemmed likewise. Its stemming is not published in full; here both sides
    are normalised, always, and then cut to their stems (metrics.stemming). Normalising goes first: the stem of "one"
    is no number.
    """
    return _agreement(stemmed(normalise(prediction)), [stemmed(normalise(answer)) for answer in answers])


def best_accuracy(answers: Sequence[str], accuracy: Callable[[str, Sequence[str]], float] = vqa_accuracy) -> float:
    """The highest value of an accuracy that any prediction can reach: 1 only if enough annotators agree."""
    return max(accuracy(answer, answers) for answer in some(answers))


@lru_cache(maxsize=200_000)
def normalise(text: str) -> str:
    """The form of an answer that the official evaluation compares.

    Punctuation and articles removed, lower case, number words as digits, contractions with their apostrophe.
    """
    words = _without_punctuation(_stripped(text)).lower().split()
    digits = (_DIGITS.get(word, word) for word in words)
    return " ".join(CONTRACTIONS.get(word, word) for word in digits if word not in _ARTICLES)


def _agreement(prediction: str, truths: Sequence[str]) -> float:
    matches = some(truths).count(prediction)
    shares = [min(1.0, (matches - (truth == prediction)) / 3) for truth in truths]
    return sum(shares) / len(shares)


def _stripped(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _without_punctuation(text: str) -> str:
    """The text with marks removed that touch a space, and others replaced by a space.

    In a text with a thousands comma all marks are removed.
    """
    has_thousands = _DIGIT_COMMA_DIGIT.search(text) is not None
    outcome = text
    for mark in _MARKS:
        if mark in text:
            goes = has_thousands or f"{mark} " in text or f" {mark}" in text
            outcome = outcome.replace(mark, "" if goes else " ")
    return _PERIOD.sub("", outcome, count=_MOST_PERIODS)
