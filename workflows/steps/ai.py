"""ai: asks a language model. The mock answers without a provider, always the same; so it does where no key is set."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from typing import Any

from django.conf import settings
from pydantic import Field, ValidationInfo, field_validator

from workflows.errors import AddressRefused, InputError, WorkflowStepError
from workflows.outgoing.addresses import check_url
from workflows.steps import base
from workflows.steps.language import shape
from workflows.steps.language.endpoint import MOCK, Endpoint, endpoint, split
from workflows.steps.language.question import MOST_TEXT, Question, as_words, with_data
from workflows.steps.secret_name import SecretName
from workflows.values import parse

MOST_PROMPT = 400_000  # characters, with all that its expressions bring in
TOPIC = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "enum": ["question", "complaint", "order", "other"]},
        "reason": {"type": "string", "description": "Why, in one sentence."},
    },
    "required": ["topic", "reason"],
}
ORDER = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "description": "Who it is from."},
        "date": {"type": ["string", "null"], "description": "As 2026-11-24; null where there is none."},
        "total": {"type": ["number", "null"], "description": "Without its currency."},
    },
    "required": ["customer", "date", "total"],
}
KEY = re.compile(r"[\x21-\x7e]+")  # what a header can carry
INSTALL = "make ai"


class Config(base.Config):
    model: str = Field(
        MOCK,
        max_length=200,
        description="“mock” answers without a provider and costs nothing. Others are a provider and its model: "
        "openai:gpt-5-mini, anthropic:claude-haiku-4-5, openai-compatible:llama3.2.",
    )
    prompt: str = Field("", max_length=MOST_PROMPT, description="What to ask.")
    system: str = Field(
        "",
        max_length=MOST_PROMPT,
        title="Instructions",
        description="Who the model is, how it answers, what it never does. Providers call it the system prompt.",
    )
    send_data: bool = Field(
        True, title="Send the data along", description="All data of this step goes below the prompt, as JSON."
    )
    output_schema: dict[str, Any] | None = Field(
        None,
        title="Fields of the answer",
        description="A JSON Schema; the answer is then an object that fits it, under ai_output. Empty: any text.",
        json_schema_extra={
            "look": "json",
            "example": '{"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}',
        },
    )
    key: SecretName = Field(
        "", title="Secret with the key", description="Empty: the key that this installation has for the provider."
    )
    base_url: str = Field(
        "",
        max_length=500,
        validate_default=True,
        title="Server address",
        description="Of a server of your own that speaks like the provider, such as Ollama. Empty: the provider's own.",
        json_schema_extra={"look": "text", "example": "http://localhost:11434/v1"},
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="0 for the most likely words, more for other ones. Empty: as the model has it."
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        title="Longest answer",
        description="In tokens, which are about three quarters of a word. Empty: as the model has it.",
    )
    ask_again: int = Field(
        2, ge=0, le=10, title="Ask again", description="How often, where an answer does not fit its fields."
    )
    timeout_s: float = Field(
        120, gt=0, le=3_600, title="Time limit", description="Seconds for the whole answer, asking again included."
    )

    @field_validator("output_schema", mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        """It may come as text, out of an expression."""
        if isinstance(given, str) and given.strip():
            try:
                given = parse(given)
            except InputError as error:
                raise ValueError(f"Fields of the answer: {error.message}") from None
        if given in (None, "", {}):
            return None
        if wrong := shape.refusal(given):
            raise ValueError(f"Fields of the answer {wrong}.")
        return given

    @field_validator("model")
    @classmethod
    def _named(cls, model: str) -> str:
        if model != MOCK:
            split(model)
        return model

    @field_validator("base_url")
    @classmethod
    def _found(cls, base_url: str, others: ValidationInfo) -> str:
        try:
            url = str(check_url(base_url)) if base_url else ""
            if "model" in others.data:
                endpoint(others.data["model"], url)
        except (AddressRefused, ValueError) as error:
            raise ValueError(f"Server address: {error}") from None
        return url


class AI(base.Step[Config]):
    kind, label, icon = "ai", "AI", "ai"
    help = "Asks a language model about the data. The mock needs no key."
    also = "llm gpt claude openai anthropic chat prompt agent translate write"
    spends = True
    presets = (
        base.Preset("Summarise", {"prompt": "Summarise the data in three short sentences.", "temperature": 0.3}),
        base.Preset(
            "Classify", {"prompt": "Which topic fits the data best?", "output_schema": TOPIC, "temperature": 0}
        ),
        base.Preset(
            "Extract fields",
            {"prompt": "Read these fields out of the data.", "output_schema": ORDER, "temperature": 0},
        ),
    )
    group, page = "Reach out", "ai.md"
    gives = '`{"ai_response", "processed_data"}`, and `ai_output` where `output_schema` is set'
    example = {"prompt": "Sum it up in one sentence."}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done | base.Pause:
        found = endpoint(self.config.model, self.config.base_url)
        if found is None:
            return self._mock(ctx)
        key = await self._key(ctx, found)
        if key is None and found.is_own:
            ctx.log(
                f"No key is set for {found.provider}, so the mock answers. Choose a secret that has it, or set "
                f"{found.provider.upper()}_API_KEY for the installation.",
                "warning",
            )
            return self._mock(ctx)
        if ctx.tokens_left is not None and ctx.tokens_left <= 0:
            return base.Pause("The token budget is spent.")
        return await self._ask(ctx, found, key)

    async def _key(self, ctx: base.StepContext, found: Endpoint) -> str | None:
        """The secret, if one is named; else the installation's, which goes to the provider's own address alone."""
        if self.config.key:
            key = (await ctx.secret(self.config.key, found.host)).strip()
            if not KEY.fullmatch(key):
                text = f"The secret “{self.config.key}” is no key: one has letters, digits and signs, and no spaces."
                raise WorkflowStepError(text, is_permanent=True)
            return key
        return settings.AI_KEYS.get(found.provider) or None if found.is_own else None

    async def _ask(self, ctx: base.StepContext, found: Endpoint, key: str | None) -> base.Done:
        question = self._question(ctx)
        asking = await asyncio.to_thread(_asking)
        ctx.log(f"Asking {found.name} at {found.host}: {_short(self.config.prompt)}")
        answer = await asking.ask(
            question, found, key=key, log=ctx.log, tokens_left=ctx.tokens_left, hide=ctx.hide, pieces=ctx.pieces
        )
        ctx.log(f"Answered: {as_words(answer.usage)}")
        return base.Done(self._output(ctx, answer.text, answer.value), usage=answer.usage)

    def _question(self, ctx: base.StepContext) -> Question:
        config = self.config
        prompt = with_data(config.prompt, ctx.data if config.send_data else {})
        if not prompt.strip():
            raise WorkflowStepError("There is nothing to ask: the prompt is empty, and no data goes along.")
        if len(prompt) > MOST_TEXT:
            raise WorkflowStepError(
                f"The question has {len(prompt):,} characters; the most is {MOST_TEXT:,}. Send less data along.",
                is_permanent=True,
            )
        asked = (config.system, config.temperature, config.max_tokens, config.timeout_s, config.output_schema)
        return Question(prompt, *asked, config.ask_again)

    def _mock(self, ctx: base.StepContext) -> base.Done:
        ctx.log(f"Asking {MOCK}: {_short(self.config.prompt)}")
        value = shape.example(self.config.output_schema) if self.config.output_schema else None
        answer = _mock_answer(self.config.prompt, ctx.data) if value is None else json.dumps(value, ensure_ascii=False)
        ctx.log(f"Answer: {answer[:200]}")
        return base.Done(self._output(ctx, answer, value))

    def _output(self, ctx: base.StepContext, text: str, value: Any) -> dict[str, Any]:
        output = {"ai_response": text, "processed_data": dict(ctx.data)}
        return output if self.config.output_schema is None else {**output, "ai_output": value}

    @classmethod
    def effects_of(cls, data: Any) -> base.Effects:
        """A real model is told of the data, and costs money."""
        return "none" if data.get("model", MOCK) == MOCK else "outside"


def _asking() -> Any:
    """In a thread: 100 MB and two seconds, once in a process, and only where a real model is asked."""
    try:
        asking = importlib.import_module("workflows.steps.language.asking")
    except ModuleNotFoundError as error:
        raise WorkflowStepError(
            f"A real language model needs more packages than are installed here ({error.name} is missing). "
            f"Whoever runs this installation adds them by “{INSTALL}”, and starts it again.",
            is_permanent=True,
        ) from None
    asking.load()
    return asking


def _short(prompt: str) -> str:
    return prompt[:200] or "(no prompt)"


def _mock_answer(prompt: str, data: Any) -> str:
    return f"[mock] Answer to “{prompt or 'no prompt'}” about {', '.join(data) or 'no data'}."
