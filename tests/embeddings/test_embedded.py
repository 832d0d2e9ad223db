"""What policies see of image and question."""

from __future__ import annotations

import numpy as np
from small_tasks import random_embeddings

from shotsmith.embeddings.embedded import Embedded


def test_side_by_side_keeps_both():
    both = random_embeddings(5, seed=0)
    assert both.joined.shape == (5, both.images.shape[1] + both.questions.shape[1])
    assert np.array_equal(both.joined[:, : both.images.shape[1]], both.images)


def test_the_mean_has_the_direction_of_the_mean_and_unit_length():
    both = random_embeddings(5, seed=0)
    mean = Embedded(both.images, both.questions, averaged=True).joined
    expected = (both.images + both.questions) / 2
    assert mean.dtype == np.float32
    assert np.allclose(np.linalg.norm(mean, axis=1), 1, atol=1e-6)
    assert np.allclose(mean * np.linalg.norm(expected, axis=1, keepdims=True), expected, atol=1e-6)


def test_rows_are_averaged_like_the_whole():
    both = random_embeddings(5, seed=0)
    whole = Embedded(both.images, both.questions, averaged=True)
    assert np.array_equal(whole.rows(np.array([3, 1])).joined, whole.joined[[3, 1]])


def test_opposite_embeddings_have_no_direction_and_give_no_nan():
    one = np.array([[1.0, 0.0]], dtype=np.float32)
    assert np.array_equal(Embedded(one, -one, averaged=True).joined, np.zeros((1, 2), dtype=np.float32))


def test_without_images_the_question_is_all():
    questions = random_embeddings(3, seed=0).questions
    assert np.array_equal(Embedded(questions[:, :0], questions, averaged=True).joined, questions)
