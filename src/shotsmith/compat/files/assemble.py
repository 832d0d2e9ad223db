"""Several files of Lever-Plus put together: what belongs to one query, and what nothing is learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from shotsmith.compat.files.embeddings import role_of
from shotsmith.compat.files.recognise import QUESTIONS, Source, read_file
from shotsmith.compat.files.records import (
    Accuracy,
    Imported,
    ImportedBeam,
    ImportedQuery,
    ImportedRollout,
    LeftOut,
    Role,
)
from shotsmith.compat.files.rl_data import RlEntry
from shotsmith.data.official import read_official
from shotsmith.diagnosis.evidence import Evidence
from shotsmith.embeddings.embedded import Floats
from shotsmith.errors import DataError, InputError
from shotsmith.progress import Progress, Silent
from shotsmith.records import Example

_Found = TypeVar("_Found", bound=ImportedRollout | ImportedBeam)
_OUTSIDE: LeftOut = "out_of_range"


def read_files(files: Iterable[Path], form: str | None = None, progress: Progress | None = None) -> list[Source]:
    """Read each. Raises DataError or InputError at the first fault."""
    return read_readable(files, form, progress, at_most=0)[0]


def read_readable(
    files: Iterable[Path], form: str | None = None, progress: Progress | None = None, at_most: int | None = None
) -> tuple[list[Source], list[InputError]]:
    """Read each; those that cannot be read are given back as their errors.

    Raises the last of these errors where no file can be read, or more than `at_most` cannot.
    """
    sources: list[Source] = []
    unreadable: list[InputError] = []
    files = list(files)
    with (progress or Silent()).task("read", len(files), "files") as advance:
        for file in files:
            try:
                sources.append(read_file(file, form))
            except InputError as error:
                unreadable.append(error)
                if len(unreadable) == len(files) or (at_most is not None and len(unreadable) > at_most):
                    raise
            advance(1)
    return sources, unreadable


def read_examples(sources: Iterable[Source], images: Path | None = None) -> tuple[Example, ...]:
    """The train split by idx, from the questions and annotations among the sources; empty where there are none.

    Raises InputError where there is not one questions file with its annotations or one merged file.
    """
    files: dict[str, Path] = {}
    for source in sources:
        if source.format in QUESTIONS:
            if source.format in files:
                problem = f"is a second file of {source.format}, beside {files[source.format]}: idx counts in one split"
                raise InputError(problem, file=source.file)
            files[source.format] = source.file
    if not files:
        return ()
    if "merged" in files and len(files) > 1:
        raise InputError("holds questions and annotations; leave out the others", file=files["merged"])
    if "merged" in files:
        return tuple(read_official(files["merged"], None, images))
    for present, absent in (("questions", "annotations"), ("annotations", "questions")):
        if absent not in files:
            raise InputError(f"has no file of {absent} beside it", file=files[present])
    return tuple(read_official(files["questions"], files["annotations"], images))


def assemble(sources: Sequence[Source], examples: tuple[Example, ...] = ()) -> Imported:
    """Everything together, each list in the order of the files and of their rows; queries by idx.

    Raises DataError where two files speak of the same query.
    """
    entries: list[RlEntry] = _all_of(sources, "rl")
    anchors: list[ImportedQuery] = _all_of(sources, "anchors")
    candidates: list[ImportedQuery] = _all_of(sources, "candidates")
    embeddings = dict(_embeddings(sources))
    imported = Imported(
        examples=examples,
        queries=tuple(_queries(sources, entries, anchors, candidates)),
        rollouts=tuple(rollout for entry in entries for rollout in entry.rollouts),
        beams=tuple(_beams(sources)),
        embeddings=embeddings,
        accuracies=tuple(cast("list[Accuracy]", _all_of(sources, "metrics"))),
        epochs=tuple(_epochs(sources)),
    )
    return replace(
        imported,
        rollouts=tuple(_within(imported.rollouts, imported.rows)),
        beams=tuple(_within(imported.beams, imported.rows)),
    )


def _all_of(sources: Iterable[Source], form: str) -> list[Any]:
    return [each for source in sources if source.format == form for each in cast("list[Any]", source.content)]


def _queries(
    sources: Sequence[Source],
    entries: Iterable[RlEntry],
    anchors: Iterable[ImportedQuery],
    candidates: Iterable[ImportedQuery],
) -> Iterator[ImportedQuery]:
    """One record a query: what RL data say goes before a sampler's cache."""
    _refuse_twice(sources, "rl", [entry.query.query for entry in entries])
    _refuse_twice(sources, "candidates", [cached.query for cached in candidates])
    found = {anchor.query: anchor for anchor in anchors}
    found |= {cached.query: cached for cached in candidates}
    for entry in entries:
        query = entry.query
        cached = found.get(query.query)
        found[query.query] = replace(query, pool=cached.pool) if cached and query.pool is None else query
    return (found[number] for number in sorted(found))


def _beams(sources: Sequence[Source]) -> Iterator[ImportedBeam]:
    first: dict[int, Path] = {}
    for source in sources:
        for beam in cast("list[ImportedBeam]", source.content) if source.format == "beam" else ():
            if first.setdefault(beam.query, source.file) != source.file:
                raise DataError(f"stands in {first[beam.query]} already", file=source.file, row=beam.query)
            yield beam


def _refuse_twice(sources: Iterable[Source], form: str, queries: Sequence[int]) -> None:
    seen: set[int] = set()
    for query in queries:
        if query in seen:
            files = " and ".join(str(source.file) for source in sources if source.format == form)
            raise DataError("stands in more than one file", file=files, row=query)
        seen.add(query)


def _embeddings(sources: Iterable[Source]) -> Iterator[tuple[Role, Floats]]:
    first: dict[Role, Path] = {}
    for source in sources:
        if source.format == "embeddings":
            role = role_of(source.file)
            if role in first:
                raise InputError(f"is a second file of {role} embeddings, beside {first[role]}", file=source.file)
            first[role] = source.file
            yield role, cast("Floats", source.content)


def _epochs(sources: Iterable[Source]) -> Iterator[dict[str, object]]:
    for source in sources:
        if source.format == "log":
            for row in cast("Evidence", source.content).epochs:
                yield {"log": source.file.name, **row}


def _within(found: Iterable[_Found], rows: int | None) -> Iterator[_Found]:
    """Marks those that point outside the train split."""
    for each in found:
        outside = rows is not None and max((each.query, *each.sequence)) >= rows
        yield replace(each, left_out=_OUTSIDE) if outside and each.left_out is None else each
