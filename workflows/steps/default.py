"""default: hands its data on. It stands in for a kind that this installation does not know."""

from workflows.steps import base


class Default(base.Step[base.Config]):
    kind, label, icon = "default", "Pass on", "default"
    is_instant = True
    help = "Hands the data on unchanged."
    also = "noop nothing"
    group, gives = "Data", "the data"

    async def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log("Data passed on unchanged")
        return base.Done(ctx.data)


class Unknown(Default):
    """Met only in versions that were published when their kind was still installed."""

    def __init__(self, config: base.Config, name: str) -> None:
        super().__init__(config)
        self.name = name

    async def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log(f"This installation has no step kind “{self.name}”: data passed on unchanged", "warning")
        return base.Done(ctx.data)
