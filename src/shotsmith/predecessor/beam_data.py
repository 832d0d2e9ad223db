"""Beam data: with `beams` and `full_sequence`, or as Lever-LM left it, with `id_list` and `score_list` alone.

Its search puts a new demonstration to the left of those before it (`construct_order:left`) and scores the prompt in
that very order. Its filter may have sorted `id_list` and `score_list` anew, or left some sequences out of them, which
`beams` still has in the order of the search. So a row of `id_list` is the prompt from its first demonstration, which
was chosen last, to the query, and the order shown is the row without its last number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shotsmith.data.rows import Row
from shotsmith.predecessor.fields import LONGEST, as_entry, indices, keyed, listed, number, whole
from shotsmith.predecessor.records import ImportedBeam


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
        shown = indices(row, sequence, field, LONGEST + 1)
        if not shown or shown[-1] != query:
            raise row.fault(f"does not end with the query {query}", field)
        if shots is not None and len(shown) > shots + 1:
            raise row.fault(f"shows {len(shown) - 1} demonstrations, and few_shot_num is {shots}", field)
        if full is not None and shown not in full:
            raise row.fault("differs from the sequence in id_list", f"beams[{place}].full_sequence")
        demonstrations = shown[:-1]
        repeated = len(set(demonstrations)) < len(demonstrations)
        found = number(row, score, f"score_list[{place}]")
        searched = None if full is None else place if full[place] == shown else full.index(shown)
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
