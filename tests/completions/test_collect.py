from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import InputError, VLMError
from shotsmith.records import Completion, Example, Failure, Request


class Killed(BaseException):
    """Stands for kill -9: nothing in the product may catch it."""


class FakeVLM:
    """Answers from the request alone, and remembers every batch."""

    identity = "fake"

    def __init__(self, batch_tokens=100, *, kill_at=None, failing=(), recovers=False):
        self.batch_tokens = batch_tokens
        self.batches = []
        self._kill_at = kill_at
        self._failing = set(failing)
        self._recovers = recovers

    def length(self, request):
        return 5 + len(request.query.question) + 10 * len(request.demonstrations)

    def complete(self, requests):
        if len(self.batches) == self._kill_at:
            raise Killed
        self.batches.append(list(requests))
        results = [self._answer(request) for request in requests]
        if self._recovers:
            self._failing.clear()
        return results

    def _answer(self, request):
        if request.query.question in self._failing:
            return Failure("will not")
        # Like a real one, it gives a value that depends on the batch: resumed runs must ask for the same batches.
        value = -float(len(self.batches) * 1000 + len(self.batches[-1]))
        text = f"about {request.query.question}" if request.text else None
        return Completion(text, {answer: value - len(answer) for answer in request.answers})

    @property
    def prompts(self):
        return [request for batch in self.batches for request in batch]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "image.png"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


def example(image, question, answer="a"):
    return Example(0, () if image is None else (image,), 0, question, (answer,))


def requests_for(image, questions, shots=0, **options):
    shown = tuple(example(image, f"shown {number}") for number in range(shots))
    return [Request(example(image, question), shown, **options) for question in questions]


def test_answers_come_in_the_order_of_the_requests(image, store):
    requests = requests_for(image, ["long question", "short", "middling"])
    texts = [completion.text for completion in Collector(store, FakeVLM()).ask(requests, "a")]
    assert texts == ["about long question", "about short", "about middling"]


def test_equal_prompts_are_asked_once_with_all_that_is_wanted_of_them(image, store):
    vlm = FakeVLM()
    question = example(image, "q")
    requests = [
        Request(question, answers=("x",), text=False),
        Request(question),
        Request(question, answers=("y", "x"), text=False),
    ]
    completions = Collector(store, vlm).ask(requests, "a")
    (asked,) = vlm.prompts
    assert set(asked.answers) == {"x", "y"} and len(asked.answers) == 2 and asked.text
    assert [completion.text for completion in completions] == [None, "about q", None]
    assert [set(completion.log_probs) for completion in completions] == [{"x"}, set(), {"x", "y"}]


def test_nothing_stored_is_asked_again_not_even_by_another_process(image, tmp_path):
    requests = requests_for(image, "abcdef", answers=("x",))
    with Store.open(tmp_path / "store") as store:
        first = Collector(store, FakeVLM()).ask(requests, "a")
    silent = FakeVLM(kill_at=0)
    with Store.open(tmp_path / "store") as store:
        assert Collector(store, silent).ask(requests, "b") == first
        assert (store.count("a"), store.count("b")) == (6, 0)


def test_only_missing_parts_are_asked_for_and_paid_by_who_asks(image, store):
    Collector(store, FakeVLM()).ask(requests_for(image, "ab", answers=("x",)), "first")
    vlm = FakeVLM()
    completions = Collector(store, vlm).ask(requests_for(image, "ab", answers=("x", "y")), "second")
    assert [(request.text, request.answers) for request in vlm.prompts] == [(False, ("y",))] * 2
    assert all(completion.text and set(completion.log_probs) == {"x", "y"} for completion in completions)
    assert (store.count("first"), store.count("second")) == (2, 2)


def test_a_request_gets_what_it_asked_for_and_no_more(image, store):
    collector = Collector(store, FakeVLM())
    collector.ask(requests_for(image, "a", answers=("x", "y")), "a")
    (completion,) = collector.ask(requests_for(image, "a", answers=("y",), text=False), "a")
    assert completion.text is None and set(completion.log_probs) == {"y"}


def test_another_vlm_s_completions_are_not_taken(image, store):
    Collector(store, FakeVLM()).ask(requests_for(image, "ab"), "a")
    other = FakeVLM()
    other.identity = "other"
    Collector(store, other).ask(requests_for(image, "ab"), "a")
    assert len(other.prompts) == 2


@given(
    lengths=st.lists(st.integers(1, 120), min_size=1, max_size=40),
    budget=st.integers(20, 400),
)
@settings(max_examples=40, deadline=None)
def test_batches_are_full_within_the_budget_and_shortest_first(image, tmp_path_factory, lengths, budget):
    vlm = FakeVLM(budget)
    questions = [f"{number:03d}" + "x" * length for number, length in enumerate(lengths)]
    with Store.open(tmp_path_factory.mktemp("stores") / "store") as store:
        Collector(store, vlm).ask(requests_for(image, questions), "a")
    assert sorted(request.query.question for request in vlm.prompts) == sorted(questions)
    asked = [vlm.length(request) for request in vlm.prompts]
    assert asked == sorted(asked)
    for batch, following in zip(vlm.batches, [*vlm.batches[1:], None], strict=True):
        assert len(batch) == 1 or len(batch) * max(map(vlm.length, batch)) <= budget
        if following is not None:
            assert (len(batch) + 1) * vlm.length(following[0]) > budget


@given(count=st.integers(1, 30), budget=st.integers(30, 200), kill_at=st.integers(0, 12), order=st.randoms())
@settings(max_examples=40, deadline=None)
def test_after_a_kill_the_remaining_batches_are_those_of_an_uninterrupted_run(
    image, tmp_path_factory, count, budget, kill_at, order
):
    questions = [f"{number}" * (1 + number % 5) for number in range(count)]
    requests = requests_for(image, questions, answers=("x",))
    folder = tmp_path_factory.mktemp("stores")
    whole = FakeVLM(budget)
    with Store.open(folder / "whole") as store:
        Collector(store, whole).ask(requests, "a")
    killed = FakeVLM(budget, kill_at=kill_at)
    with Store.open(folder / "killed") as store:
        try:
            Collector(store, killed).ask(requests, "a")
        except Killed:
            assert store.count("a") == sum(map(len, killed.batches))
    resumed = FakeVLM(budget)
    order.shuffle(requests)
    with Store.open(folder / "killed") as store:
        Collector(store, resumed).ask(requests, "a")
        assert store.count("a") == count
    assert killed.batches + resumed.batches == whole.batches


def test_a_batch_is_stored_before_the_next_is_asked(image, store):
    class Watching(FakeVLM):
        def complete(self, requests):
            stored.append(store.count())
            return super().complete(requests)

    stored = []
    vlm = Watching(batch_tokens=20)
    Collector(store, vlm).ask(requests_for(image, "abcdefg"), "a")
    assert stored == [sum(map(len, vlm.batches[:number])) for number in range(len(vlm.batches))]
    assert len(stored) > 2


def test_a_failure_is_asked_again_once_and_then_returned_and_counted(image, store):
    vlm = FakeVLM(failing="b")
    completions = Collector(store, vlm).ask(requests_for(image, "abc"), "a")
    assert [type(completion) for completion in completions] == [Completion, Failure, Completion]
    assert [request.query.question for request in vlm.prompts].count("b") == 2
    assert store.failures() == {"will not": 2}
    assert store.count("a") == 2


def test_a_failure_that_recovers_is_a_completion(image, store):
    completions = Collector(store, FakeVLM(failing="b", recovers=True)).ask(requests_for(image, "abc"), "a")
    assert all(isinstance(completion, Completion) for completion in completions)
    assert store.failures() == {}


def test_a_failure_does_not_hide_what_is_stored(image, store):
    Collector(store, FakeVLM()).ask(requests_for(image, "b"), "a")
    both = requests_for(image, "b") + requests_for(image, "b", answers=("x",))
    text_only, failed = Collector(store, FakeVLM(failing="b")).ask(both, "a")
    assert text_only == Completion("about b") and isinstance(failed, Failure)


def test_failed_prompts_are_asked_again_by_the_next_run(image, store):
    Collector(store, FakeVLM(failing="b")).ask(requests_for(image, "abc"), "a")
    vlm = FakeVLM()
    completions = Collector(store, vlm).ask(requests_for(image, "abc"), "a")
    assert [request.query.question for request in vlm.prompts] == ["b"]
    assert all(isinstance(completion, Completion) for completion in completions)


def test_what_was_answered_before_the_vlm_gave_up_stays(image, store):
    class Tired(FakeVLM):
        def complete(self, requests):
            if len(self.batches) == 2:
                raise VLMError("no more")
            return super().complete(requests)

    vlm = Tired(batch_tokens=20)
    with pytest.raises(VLMError):
        Collector(store, vlm).ask(requests_for(image, "abcdefg"), "a")
    assert store.count() == sum(map(len, vlm.batches)) > 0


def test_progress_counts_prompts_that_are_asked(image, store):
    class Listening:
        def __init__(self):
            self.tasks = []

        @contextmanager
        def task(self, label, total, unit="it"):
            advances = []
            self.tasks.append((label, total, advances))
            yield advances.append

        def epoch(self, metrics):
            raise AssertionError

    listening = Listening()
    collector = Collector(store, FakeVLM(batch_tokens=20), listening)
    collector.ask(requests_for(image, "ab"), "a")
    collector.ask(requests_for(image, "abcdefg"), "beam")
    collector.ask(requests_for(image, "abcdefg"), "nothing left")
    assert [(label, total, sum(advances)) for label, total, advances in listening.tasks] == [
        ("a", 2, 2),
        ("beam", 5, 5),
    ]
    assert len(listening.tasks[1][2]) > 1


def test_nothing_wanted_is_nothing_asked(image, store):
    assert Collector(store, FakeVLM(kill_at=0)).ask([], "a") == []
    assert Collector(store, FakeVLM(kill_at=0)).ask(requests_for(image, "a", text=False), "a") == [Completion(None)]


class BoundedVLM(FakeVLM):
    """Its context holds prompts of so many tokens."""

    most_tokens = 40


def test_a_prompt_that_exceeds_the_context_is_an_error_before_anything_is_asked(store, image):
    vlm = BoundedVLM()
    fitting, longer = requests_for(image, ["one", "two"], shots=3), requests_for(image, ["many"], shots=4)
    with pytest.raises(InputError, match=r"with 4 demonstrations has 49 tokens.*max_tokens=40") as caught:
        Collector(store, vlm).ask([*fitting, *longer], "here")
    assert caught.value.field == "vlm.prompt.max_tokens"
    assert not vlm.batches and not store.count()
    assert all(isinstance(one, Completion) for one in Collector(store, vlm).ask(fitting, "here"))
