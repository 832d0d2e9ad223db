"""Sentences in which a number decides between singular and plural."""

from __future__ import annotations

import string


class Counting(string.Formatter):
    """`str.format` with one addition: '{count:query|queries}' is 'query' where count is 1 and 'queries' elsewhere."""

    def format_field(self, value: object, format_spec: str) -> str:
        """The formatted value, or the word that fits it."""
        if "|" not in format_spec:
            return str(super().format_field(value, format_spec))
        one, several = format_spec.split("|")
        return one if value == 1 else several


COUNTING = Counting()
