"""What tokens cost: prices from a file that people may edit, and estimates before anything is asked."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rewardsmith.collection.requests import Request
from rewardsmith.errors import DataError
from rewardsmith.files import read_yaml

SHIPPED = Path(__file__).parent / "prices.yaml"
CHARACTERS_PER_TOKEN = 4.0
"""A rule of thumb for English and most tokenizers, for a server whose tokenizer is not at hand."""
TOKENS_PER_MESSAGE = 8
"""Role marks and the like, about."""


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Dollars for so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


FREE = Price(input=0, output=0)


def load_prices(path: Path | None) -> dict[str, Price]:
    """Prices by model. Raises DataError for a file that is none."""
    source = path or SHIPPED
    try:
        return TypeAdapter(dict[str, Price]).validate_python(read_yaml(source))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{source}: {where}: {first['msg']}; write prices as: model: {{input: 1.0, output: 2.0}}"
        ) from (error)


def estimated_prompt_tokens(request: Request) -> int:
    """About how many tokens are sent."""
    return sum(round(len(m.content) / CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE for m in request.messages)


def most_it_can_cost(request: Request, price: Price) -> float:
    """Dollars if every byte of the prompt is a token (none is less) and the answer is as long as allowed."""
    sent = sum(len(m.content.encode("utf-8", "replace")) + TOKENS_PER_MESSAGE for m in request.messages)
    return price.of(sent, request.sampling.max_tokens)
