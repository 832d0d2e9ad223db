"""How long a data set of VQAv2's size takes to open, and how much memory.

Writes a questions file and an annotations file with 443,757 questions over 82,783 images (their folder holds empty
files: opening reads no picture), then opens them in a process of its own, once by the reader and once as plain JSON,
which is what any reader that loads the files whole needs at least.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

QUESTIONS, IMAGES, ANSWERS = 443_757, 82_783, 10
WORDS = (
    "what color is the cat man holding a red kite near of how many people are wearing this hat where does it".split()
)
NAMES = [f"answer {number}" for number in range(3000)] + ["yes", "no"] * 1500


def main() -> None:
    """Run the benchmark, or one side of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON in the last line")
    parser.add_argument("--side", choices=["reader", "json"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(open_files(arguments.side, *paths_in(arguments.folder))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments.questions)
        command = [sys.executable, __file__, "--folder", name, "--side"]
        sides = {
            side: json.loads(subprocess.run([*command, side], check=True, capture_output=True, text=True).stdout)
            for side in ("reader", "json")
        }
        megabytes = sum(file.stat().st_size for file in paths_in(folder)[:2]) / 1e6
    reader, plain = sides["reader"], sides["json"]
    figures = {
        "questions": reader["questions"],
        "file_megabytes": round(megabytes, 1),
        "seconds": round(reader["seconds"], 2),
        "peak_megabytes": round(reader["megabytes"], 1),
        "json_seconds": round(plain["seconds"], 2),
        "json_peak_megabytes": round(plain["megabytes"], 1),
    }
    equal = reader["questions"] == plain["questions"] == arguments.questions and reader["last"] == plain["last"]
    if arguments.json:
        print(json.dumps({"figures": figures, "equal": equal}))
    else:
        print("\n".join(f"{name:20} {value}" for name, value in figures.items()), f"\nequal                {equal}")


def open_files(side: str, questions: Path, annotations: Path, images: Path) -> dict[str, object]:
    """Open the files one way: seconds, peak memory of the process, and the last example for comparison."""
    from shotsmith.data.official import read_official

    started = time.perf_counter()
    if side == "reader":
        examples = read_official(questions, annotations, images)
        count, last = len(examples), [examples[-1].question, list(examples[-1].answers)]
    else:
        asked = json.loads(questions.read_text())["questions"]
        answered = json.loads(annotations.read_text())["annotations"]
        count, last = len(asked), [asked[-1]["question"], [one["answer"] for one in answered[-1]["answers"]]]
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"questions": count, "seconds": seconds, "megabytes": peak, "last": last}


def paths_in(folder: Path) -> tuple[Path, Path, Path]:
    """Questions, annotations, images."""
    names = ("v2_OpenEnded_mscoco_train2014_questions.json", "v2_mscoco_train2014_annotations.json", "train2014")
    first, second, third = (folder / name for name in names)
    return first, second, third


def write(folder: Path, count: int) -> None:
    """The two files as the official ones are written: one line, in the official order of keys."""
    questions, annotations, images = paths_in(folder)
    images.mkdir()
    for image in range(min(count, IMAGES)):
        (images / f"COCO_train2014_{image + 1:012d}.jpg").touch()
    draws = random.Random(0)
    _write(questions, {"info": {"version": "2.0"}, "data_subtype": "train2014"}, "questions", _questions(count, draws))
    _write(annotations, {"info": {"version": "2.0"}, "data_subtype": "train2014"}, "annotations", _annotations(count))


def _write(file: Path, head: dict[str, object], key: str, rows: Iterator[dict[str, object]]) -> None:
    with file.open("w") as out:
        out.write(json.dumps(head)[:-1] + f', "{key}": [')
        for number, row in enumerate(rows):
            out.write((", " if number else "") + json.dumps(row))
        out.write("]}")


def _questions(count: int, draws: random.Random) -> Iterator[dict[str, object]]:
    for number in range(count):
        text = " ".join(draws.choices(WORDS, k=6)) + "?"
        yield {"image_id": 1 + number % IMAGES, "question": text, "question_id": 1000 * number}


def _annotations(count: int) -> Iterator[dict[str, object]]:
    draws = random.Random(1)
    for number in range(count):
        given = draws.choices(NAMES, k=ANSWERS)
        yield {
            "question_type": "what is",
            "multiple_choice_answer": given[0],
            "answers": [
                {"answer": answer, "answer_confidence": "yes", "answer_id": place + 1}
                for place, answer in enumerate(given)
            ],
            "image_id": 1 + number % IMAGES,
            "answer_type": "other",
            "question_id": 1000 * number,
        }


if __name__ == "__main__":
    main()
