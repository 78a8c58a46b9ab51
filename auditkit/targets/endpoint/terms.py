"""On what terms an endpoint is asked: how fast, how often again, and for how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What decides the evidence, and so is part of the plan.

    Attributes:
        base_path: What stands before ``/chat/completions`` on this host.
        tokenizer: The model's tokenizer on this machine: a folder, or a target as `--target` takes it. With
            it the auditor can ask for the probability of a text; empty for none. A model on an NDIF server
            needs it, with the config.json that its structure is built from; weights need not be there.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    base_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=200)] = "/v1"
    tokenizer: Annotated[str, Field(max_length=4_000)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How fast, how patiently and for how much an endpoint is asked.

    No part of the plan: an audit that ran out of its budget goes on with a larger one.

    Attributes:
        concurrency: Requests under way at once.
        requests_per_minute: 0 for no limit.
        tokens_per_minute: 0 for no limit.
        timeout_s: How long one answer may take, from sending to its last byte.
        attempts: How often a request is sent until it counts as unanswered.
        budget_tokens: Tokens that the whole audit may cost, read and written together; 0 for no limit.
        price_in: Of a million tokens read, in `currency`; the auditor's word, for the estimate and the sum.
        price_out: Of a million tokens written.
        budget_cost: What the whole audit may cost, in `currency`; 0 for no limit.
        currency: Its name.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    tokens_per_minute: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 120.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 6
    budget_tokens: Annotated[int, Field(ge=0, le=10**12)] = 0
    price_in: Annotated[float, Field(ge=0, le=10**6)] = 0.0
    price_out: Annotated[float, Field(ge=0, le=10**6)] = 0.0
    budget_cost: Annotated[float, Field(ge=0, le=10**9)] = 0.0
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
