"""Beam data and sampler caches: the sequences a search found for each query, and the candidates it chose from.

Beam data have `beams` and `full_sequence`, or, as Lever-LM left them, `id_list` and `score_list` alone. The search puts
a new demonstration to the left of those before it (`construct_order:left`) and scores the prompt in that very order.
Its filter may have sorted `id_list` and `score_list` anew, or left some sequences out of them, which `beams` still has
in the order of the search. So a row of `id_list` is the prompt from its first demonstration, which was chosen last, to
the query, and the order shown is the row without its last number.

Sampler caches are the anchors `[idx, ...]`, and the candidates `{"<anchor idx>": [64 idx]}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shotsmith.compat.files.fields import LONGEST, Entry, as_entry, indices, keyed, listed, number, whole
from shotsmith.compat.files.records import ImportedBeam, ImportedQuery
from shotsmith.data.rows import Row, shown
from shotsmith.errors import DataError


def read_beam_data(file: Path, value: object) -> list[ImportedBeam]:
    """Every sequence with its score, in the file's order. Raises DataError naming file, query and field."""
    return [
        beam for query, entry in keyed(file, value, "beam data") for beam in _beams(as_entry(file, query, entry), query)
    ]


def _beams(row: Row, query: int) -> Iterator[ImportedBeam]:
    sequences, scores = listed(row, "id_list"), listed(row, "score_list")
    if len(sequences) != len(scores):
        raise row.fault(f"holds {len(scores)} scores for {len(sequences)} sequences", "score_list")
    shots = None
    if row.fields.get("few_shot_num") is not None:
        shots = whole(row, row.fields["few_shot_num"], "few_shot_num", LONGEST)
    full = _full_sequences(row, len(sequences)) if "beams" in row.fields else None
    for place, (sequence, score) in enumerate(zip(sequences, scores, strict=True)):
        field = f"id_list[{place}]"
        placed = indices(row, sequence, field, LONGEST + 1)
        if not placed or placed[-1] != query:
            raise row.fault(f"does not end with the query {query}", field)
        if shots is not None and len(placed) > shots + 1:
            raise row.fault(f"shows {len(placed) - 1} demonstrations, and few_shot_num is {shots}", field)
        if full is not None and placed not in full:
            raise row.fault("differs from the sequence in id_list", f"beams[{place}].full_sequence")
        demonstrations = placed[:-1]
        repeated = len(set(demonstrations)) < len(demonstrations)
        found = number(row, score, f"score_list[{place}]")
        searched = None if full is None else place if full[place] == placed else full.index(placed)
        yield ImportedBeam(query, demonstrations, found, "repeated" if repeated else None, searched)


def _full_sequences(row: Row, count: int) -> list[tuple[int, ...]]:
    beams = listed(row, "beams")
    if len(beams) < count:
        raise row.fault(f"holds {len(beams)} beams for {count} sequences", "beams")
    return [_full_sequence(row, beam, f"beams[{place}]") for place, beam in enumerate(beams)]


def _full_sequence(row: Row, beam: object, field: str) -> tuple[int, ...]:
    if not isinstance(beam, dict):
        raise row.fault("is not an object", field)
    inner = Row(row.file, row.number, {f"{field}.{name}": value for name, value in beam.items()})
    for place, shot in enumerate(listed(inner, f"{field}.shots")):
        name = f"{field}.shots[{place}]"
        if not isinstance(shot, dict):
            raise row.fault("is not an object", name)
        whole(row, shot.get("id"), f"{name}.id")
        number(row, shot.get("score"), f"{name}.score")
    number(inner, inner.present(f"{field}.final_score"), f"{field}.final_score")
    return indices(row, inner.present(f"{field}.full_sequence"), f"{field}.full_sequence", LONGEST + 1)


def read_candidates(file: Path, value: object) -> list[ImportedQuery]:
    """The pool of every anchor, in the file's order. Raises DataError naming file, anchor and place."""
    return [
        ImportedQuery(query, pool=indices(Entry(file, query, {}), pool, "candidates", longest=None))
        for query, pool in keyed(file, value, "a cache of candidates")
    ]


def read_anchors(file: Path, value: object) -> list[ImportedQuery]:
    """The queries that were sampled. Raises DataError naming file and place."""
    if not isinstance(value, list):
        raise DataError(f"is not a list of anchors: {shown(value)}", file=file)
    anchors = indices(Entry(file, 0, {}, "anchors"), value, "anchors", longest=None)
    return [ImportedQuery(query) for query in anchors]
