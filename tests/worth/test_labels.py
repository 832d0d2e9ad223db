"""Labels that are likely wrong: planted ones are found, right ones are left alone, and where nothing can be said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded
from shotsmith.worth.consensus import Answers, joint_features, look_features
from shotsmith.worth.labels import Labels, judge_labels

CLASSES = 6


@dataclass
class Planted:
    """A bank in which some labels are wrong: images show a class and a source, with noise."""

    embedded: Embedded
    answers: list[str]
    wrong: npt.NDArray[np.bool_]

    def judge(self, copies: npt.NDArray[np.int64] | None = None) -> Labels | None:
        groups = np.arange(len(self.answers))
        joint, look = joint_features(self.embedded, groups), look_features(self.embedded, groups)
        none = np.zeros((len(self.answers), 2), dtype=np.int64)
        return judge_labels(joint, look, self.answers, self.embedded.questions, none if copies is None else copies)


def planted(chance: tuple[float, float], noise: float = 0.15, count: int = 600, seed: int = 0) -> Planted:
    """`chance`: how often labels of each of two sources are wrong; a quarter of the bank is of the second."""
    rng = np.random.default_rng(seed)
    classes, source = rng.integers(CLASSES, size=count), (rng.random(count) < 0.25).astype(int)
    images = np.zeros((count, 16), np.float32)
    images[np.arange(count), classes] = 1
    images[np.arange(count), CLASSES + source] = 1
    images += noise * rng.normal(size=images.shape).astype(np.float32)
    questions = np.tile(np.eye(1, 4, dtype=np.float32), (count, 1))
    wrong = rng.random(count) < np.array(chance)[source]
    given = np.where(wrong, (classes + rng.integers(1, CLASSES, size=count)) % CLASSES, classes)
    unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    return Planted(Embedded(unit, questions), [f"answer {one}" for one in given], wrong)


def test_labels_of_a_careless_source_are_found_though_nothing_names_it() -> None:
    bank = planted((0.0, 0.9))
    found = bank.judge()
    assert found is not None
    accused = found.wrong >= 0.5
    assert bank.wrong[accused].mean() > 0.9 and accused[bank.wrong].mean() > 0.9
    assert abs(found.wrong.sum() - bank.wrong.sum()) < 0.2 * bank.wrong.sum()
    assert found.prior[bank.wrong].mean() > 0.6 > 0.2 > found.prior[~bank.wrong].mean()


def test_scattered_wrong_labels_are_found_without_a_source() -> None:
    bank = planted((0.08, 0.08))
    found = bank.judge()
    assert found is not None
    order = np.argsort(-found.wrong)
    assert bank.wrong[order[:20]].mean() > 0.9
    assert bank.wrong[found.wrong >= 0.5].mean() > 0.8


def test_right_labels_are_hardly_accused() -> None:
    found = planted((0.0, 0.0)).judge()
    assert found is not None and (found.wrong >= 0.5).mean() < 0.01


def test_what_similar_examples_say_is_the_right_answer() -> None:
    bank = planted((0.0, 0.9))
    found = bank.judge()
    clean = planted((0.0, 0.0))
    assert (
        found is not None
        and (np.array(found.suggested)[bank.wrong] == np.array(clean.answers)[bank.wrong]).mean() > 0.9
    )


def test_copied_answers_that_were_wrong_speak_against_a_label_and_right_ones_for_it() -> None:
    bank = planted((0.2, 0.2), noise=0.5)
    copies = np.zeros((len(bank.answers), 2), dtype=np.int64)
    copies[bank.wrong, 1] = 4
    copies[~bank.wrong, 0] = 4
    before, after = bank.judge(), bank.judge(copies)
    assert before is not None and after is not None
    assert (after.copies[bank.wrong] > 0).all() and (after.copies[~bank.wrong] < 0).all()
    missed = [((one.wrong >= 0.5) != bank.wrong).mean() for one in (before, after)]
    assert missed[1] < missed[0]


def test_nothing_is_said_of_captions_or_of_a_handful_of_entries() -> None:
    bank = planted((0.0, 0.5))
    bank.answers = [f"caption {number}" for number in range(len(bank.answers))]
    assert bank.judge() is None
    assert planted((0.0, 0.5), count=50).judge() is None


def test_texts_without_images_are_judged() -> None:
    bank = planted((0.1, 0.1))
    bank.embedded = Embedded(np.zeros((len(bank.answers), 0), np.float32), bank.embedded.images)
    found = bank.judge()
    assert found is not None and bank.wrong[np.argsort(-found.wrong)[:20]].mean() > 0.9


def test_the_same_bank_is_judged_the_same() -> None:
    one, other = planted((0.0, 0.9)).judge(), planted((0.0, 0.9)).judge()
    assert one is not None and other is not None and (one.wrong == other.wrong).all()


def test_answers_that_differ_in_spelling_alone_are_the_same() -> None:
    known = Answers(["Two dogs.", "two dogs", "a cat", "cats"])
    assert known.numbers[0] == known.numbers[1] >= 0 and known.numbers[2] == known.numbers[3] == -1
