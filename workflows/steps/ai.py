"""ai: asks a language model. Without a provider it answers by a deterministic mock that names its prompt."""

from typing import Any

from pydantic import Field

from workflows.steps import base


class Config(base.Config):
    prompt: str = Field("", max_length=20_000, description="What to ask; the data of the step goes along.")
    model: str = Field("mock", max_length=100, description="“mock” answers without a provider, always the same.")


class AI(base.Step[Config]):
    kind, label, icon = "ai", "AI", "ai"
    help = "Asks a language model about the data. The mock needs no key."
    group, gives = "Reach out", "`{\"ai_response\", \"processed_data\"}`"
    example = {"prompt": "Sum it up in one sentence."}
    Config = Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log(f"Asking {self.config.model}: {self.config.prompt[:200] or '(no prompt)'}")
        answer = _mock_answer(self.config.prompt, ctx.data)
        ctx.log(f"Answer: {answer[:200]}")
        return base.Done({"ai_response": answer, "processed_data": dict(ctx.data)})


def _mock_answer(prompt: str, data: Any) -> str:
    return f"[mock] Answer to “{prompt or 'no prompt'}” about {', '.join(data) or 'no data'}."
