"""Domain-specific preferences (Cheng et al. 2023, arXiv 2309.03126): raw answers by domain, and text-score lists."""

from __future__ import annotations

from collections.abc import Sequence

from rewardsmith.preferences.formats.base import (
    BadRow,
    Draft,
    Format,
    RowData,
    as_list,
    as_number,
    as_text,
    has_type,
    having,
    optional_label,
    present,
    rest,
    text,
    user_turn,
)
from rewardsmith.preferences.formats.dialogues import fork, parse_transcript
from rewardsmith.preferences.record import GENERAL, PLAIN, Response, content_hash


class Dsp(Format):
    """One row becomes one preference for each domain but `normal`: its own response 1.0, all others 0.0."""

    name = "dsp"
    description = "raw DSP: query, responses by domain; one preference for each domain"
    fields = ("query", "responses")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        if has_type(having(rows, *self.fields), "responses", dict):
            return "rows have 'query' and 'responses' by domain"
        return None

    def parse(self, row: RowData) -> list[Draft]:
        query, by_domain = text(row, "query"), present(row, "responses")
        if not isinstance(by_domain, dict):
            raise BadRow("responses", "must be an object of responses by domain")
        # Parquet fills a domain that one row lacks with null
        given = {name: as_text(value, f"responses.{name}") for name, value in by_domain.items() if value is not None}
        domains = [name for name in given if name != PLAIN]
        if not domains:
            raise BadRow("responses", f"names no domain besides '{PLAIN}'")
        names, responses = list(given), list[Response](given.values())
        key = optional_label(row, ["id"]) or content_hash(query, given)
        return [
            Draft(
                prompt=user_turn(query),
                responses=responses,
                scores=[float(name == domain) for name in names],
                domain=domain,
                response_names=names,
                metadata=rest(row, *self.fields, "id"),
                id=f"{key}-{domain}",
            )
            for domain in domains
        ]


class DspTextScore(Format):
    name = "dsp-text-score"
    description = "DSP text-score: lists 'text' (whole transcripts) and 'score'"
    fields = ("text", "score")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        found = having(rows, *self.fields)
        if has_type(found, "text", list) and has_type(found, "score", list):
            return "rows have the lists 'text' and 'score'"
        return None

    def parse(self, row: RowData) -> list[Draft]:
        texts = [as_text(value, "text") for value in as_list(present(row, "text"), "text")]
        scores = [as_number(value, "score") for value in as_list(present(row, "score"), "score")]
        if len(texts) != len(scores):
            raise BadRow("score", f"has {len(scores)} entries for {len(texts)} texts")
        if len(texts) < 2:
            raise BadRow("text", f"has {len(texts)} entries; a preference needs two responses or more")
        prompt, responses = fork([parse_transcript(value, "text") for value in texts], "text")
        return [
            Draft(
                prompt=prompt,
                responses=responses,
                scores=scores,
                domain=optional_label(row, ["domain"]) or GENERAL,
                annotator=optional_label(row, ["annotator"]),
                metadata=rest(row, *self.fields, "id", "domain", "annotator"),
                id=optional_label(row, ["id"]),
            )
        ]
