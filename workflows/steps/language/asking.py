"""A question to a real model, and its answer, by pydantic-ai. Heavy to import: see the room's own words.

Nothing is tried again here but an answer that does not fit its schema: the engine does the rest, by the step's policy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from django.conf import settings
from genai_prices import calc_price
from openai import AsyncOpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from workflows.errors import InputError, WorkflowStepError
from workflows.outgoing.client import client2
from workflows.steps.base import AsTheyCome, Pieces, Usage
from workflows.steps.language import refusals, shape
from workflows.steps.language.endpoint import ANTHROPIC, OPENAI, Endpoint
from workflows.steps.language.lines import Lines
from workflows.steps.language.question import Answer, Question, added
from workflows.steps.language.wire import STAND_IN, Wire
from workflows.values import parse

MOST_ANSWER = 1_000_000  # characters
SHAPE = "answer"  # what the schema is called where a model is given it
Log = Callable[..., None]
#: A server of one's own knows the older name of the limit; and a stream that just ends was cut.
OF_COMPATIBLE = OpenAIModelProfile(
    openai_chat_supports_max_completion_tokens=False,
    openai_chat_streaming_requires_finish_reason=True,
    supports_json_schema_output=True,
)


async def ask(
    question: Question,
    endpoint: Endpoint,
    *,
    key: str | None,
    log: Log,
    tokens_left: int | None = None,
    hide: Callable[[Any], Any] = lambda told: told,
    pieces: Callable[[], Pieces] = AsTheyCome,
) -> Answer:
    """Raises WorkflowStepError; its details have {"usage"} where an attempt that failed used tokens."""

    def hidden(text: str) -> str:
        return str(hide(text.replace(key, "[key]") if key else text))

    asking = _Asking(question, endpoint, log, tokens_left, hidden, pieces)
    connect_s = min(settings.HTTP_CONNECT_SECONDS, question.timeout_s)
    timeout = httpx2.Timeout(question.timeout_s, connect=connect_s)
    try:
        async with asyncio.timeout(question.timeout_s):
            wire = Wire(client2(), key)
            async with httpx2.AsyncClient(transport=wire, timeout=timeout, trust_env=False) as client:
                return await asking.answer(await asyncio.to_thread(_model, endpoint, client))
    except TimeoutError:
        reason = f"{endpoint.host} did not answer within {question.timeout_s:g} s."
        refused = WorkflowStepError(reason, {"timeout_s": question.timeout_s})
    except Exception as error:
        refused = refusals.refusal(error, endpoint, hidden)
    # Raised from here, so that no library's own words come into the trace: they may repeat the key.
    raise refusals.with_usage(refused, asking.usage)


@dataclass(slots=True)
class _Asking:
    question: Question
    endpoint: Endpoint
    log: Log
    tokens_left: int | None
    hide: refusals.Hide
    pieces: Callable[[], Pieces]
    usage: Usage | None = None
    messages: list[ModelMessage] = field(default_factory=list)

    async def answer(self, model: Model) -> Answer:
        question = self.question
        self.messages.append(ModelRequest([UserPromptPart(question.prompt)], instructions=question.system or None))
        for again in range(question.ask_again + 1):
            response = await self._response(model)
            text = _text(response)
            if question.schema is None:
                return self._answered(response, text)
            value, wrong = _read(question.schema, text)
            if not wrong:
                return self._answered(response, text, value)
            self._ask_again(response, wrong, is_last=again == question.ask_again)
        raise AssertionError("The last question either has its answer or has raised.")

    def _answered(self, response: ModelResponse, text: str, value: Any = None) -> Answer:
        assert self.usage is not None
        text = text.strip()  # many begin or end with a line break, which no condition should have to know
        if not text:
            raise WorkflowStepError(f"{self.endpoint.name} answered with nothing.")
        if response.finish_reason == "length":
            self.log("The answer was cut off: it reached the most tokens that it may have.", "warning")
        return Answer(text, self.usage, value)

    async def _response(self, model: Model) -> ModelResponse:
        stream = model_request_stream(
            model,
            self.messages,
            model_settings=self._settings(),
            model_request_parameters=_parameters(self.question, self.endpoint),
            instrument=False,
        )
        async with stream as response:
            try:
                with Lines(self.log, hidden=self.pieces()) as lines:
                    await _listen(response, lines)
            finally:
                self._count(response)
        answer = response.get()
        if answer.state != "complete" or answer.finish_reason is None:
            raise WorkflowStepError("The answer broke off before its end.")
        if answer.finish_reason == "content_filter":
            raise WorkflowStepError(f"{self.endpoint.name} refused to answer.", is_permanent=True)
        return answer

    def _settings(self) -> ModelSettings:
        wanted = ModelSettings(max_retries=0)
        if self.question.temperature is not None:
            wanted["temperature"] = self.question.temperature
        limits = [limit for limit in (self.question.max_tokens, self._left()) if limit is not None]
        if limits:
            wanted["max_tokens"] = min(limits)
        return wanted

    def _left(self) -> int | None:
        """Of the budget, after what this attempt has used."""
        if self.tokens_left is None:
            return None
        left = self.tokens_left - (self.usage.tokens if self.usage else 0)
        if left <= 0:
            raise WorkflowStepError("The answer did not fit, and the budget of tokens has nothing left to ask again.")
        return left

    def _count(self, response: StreamedResponse) -> None:
        usage = _usage(response.usage, response.model_name or self.endpoint.model, self.endpoint)
        if usage.tokens or response.get().state == "complete":
            self.usage = added(self.usage, usage) if self.usage else usage

    def _ask_again(self, response: ModelResponse, wrong: list[str], is_last: bool) -> None:
        reason = "; ".join(wrong)
        if is_last:
            times = self.question.ask_again + 1
            hint = " It reached the most tokens that it may have." if response.finish_reason == "length" else ""
            raise WorkflowStepError(
                f"The answer did not fit the schema, asked {times} time{'s' if times > 1 else ''}: {reason}.{hint}",
                {"answer": self.hide(_text(response))[:2_000], "problems": wrong},
            )
        self.log(f"The answer does not fit, so it is asked again: {reason}", "warning")
        # Told as words, also where it came by a tool: what a tool was given may not even be JSON.
        told = ModelResponse([TextPart(_text(response) or "(nothing)")])
        self.messages += [told, ModelRequest([UserPromptPart(f"This does not fit: {reason}. Answer again.")])]


def load() -> None:
    """What is imported or read at the first request, so that it happens in this thread."""
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()


async def _listen(response: StreamedResponse, lines: Lines) -> None:
    length = 0
    async for event in response:
        match event:
            case PartStartEvent(part=TextPart(content=said)) | PartDeltaEvent(delta=TextPartDelta(content_delta=said)):
                piece: Any = said
            case (
                PartStartEvent(part=ToolCallPart(args=said)) | PartDeltaEvent(delta=ToolCallPartDelta(args_delta=said))
            ):
                piece = said
            case _:
                continue
        if isinstance(piece, str):
            lines.add(piece)
            length += len(piece)
        if length > MOST_ANSWER:
            raise WorkflowStepError(f"The answer has more than {MOST_ANSWER:,} characters.", is_permanent=True)


def _model(endpoint: Endpoint, client: httpx2.AsyncClient) -> Model:
    """In a thread: the libraries read files when a model is made."""
    if endpoint.provider == ANTHROPIC:
        anthropic = AsyncAnthropic(api_key=STAND_IN, base_url=endpoint.base_url, max_retries=0, http_client=client)
        return AnthropicModel(endpoint.model, provider=AnthropicProvider(anthropic_client=anthropic))
    openai = AsyncOpenAI(api_key=STAND_IN, base_url=endpoint.base_url, max_retries=0, http_client=client)
    if endpoint.provider == OPENAI:
        profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
        return OpenAIChatModel(endpoint.model, provider=OpenAIProvider(openai_client=openai), profile=profile)
    provider = OpenAICompatibleProvider(endpoint.provider, openai_client=openai, profile=OF_COMPATIBLE)
    return OpenAIChatModel(endpoint.model, provider=provider)


def _parameters(question: Question, endpoint: Endpoint) -> ModelRequestParameters:
    """A schema goes as the form of the answer; to Anthropic as a tool that must be used, which all its models know."""
    if question.schema is None:
        return ModelRequestParameters()
    schema = json.loads(json.dumps(question.schema))
    if endpoint.provider == ANTHROPIC:
        tool = ToolDefinition(name=SHAPE, parameters_json_schema=schema, description="The answer.", kind="output")
        return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)
    form = OutputObjectDefinition(json_schema=schema, name=SHAPE)
    return ModelRequestParameters(output_mode="native", output_object=form, allow_text_output=False)


def _text(response: ModelResponse) -> str:
    """Of an answer that came by a tool: what the tool was given."""
    called = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if called:
        return called[0].args_as_json_str() if not isinstance(called[0].args, str) else called[0].args
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def _read(schema: shape.Schema, text: str) -> tuple[Any, list[str]]:
    """The value, and what is wrong with it."""
    try:
        value = parse(_unfenced(text))
    except InputError as error:
        return None, [error.message.rstrip(".")]
    return value, shape.problems(schema, value)


def _unfenced(text: str) -> str:
    """Small models put their JSON between ```json and ```."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") : -3]
    return text


def _usage(used: RequestUsage, model: str, endpoint: Endpoint) -> Usage:
    return Usage(used.input_tokens, used.output_tokens, price(used, model, endpoint), model)


def price(used: RequestUsage, model: str, endpoint: Endpoint) -> float | None:
    """In US dollars, where the provider itself was asked and the list of prices has its model; else nobody knows."""
    if not endpoint.is_own or used.unmeasured_requests or not (used.input_tokens or used.output_tokens):
        return None
    try:
        return float(calc_price(used, model, provider_id=endpoint.provider).total_price)
    except (LookupError, ValueError):
        return None
