"""convert: reads or writes a format: JSON, CSV, spreadsheets, XML, HTML, Markdown, feeds, lines, packed files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from workflows.comparison import said
from workflows.errors import WorkflowStepError
from workflows.steps import base
from workflows.steps.due import SaveAs
from workflows.transform import formats
from workflows.transform.bytes import ENCODINGS, Encoding
from workflows.transform.formats import DO, FILE_ONLY, Do, Options, converted
from workflows.transform.markup import NAME, SELECTOR, Selected, require_selector
from workflows.transform.places import AnyPlace
from workflows.transform.source import at
from workflows.transform.tables import Delimiter, Ragged
from workflows.transform.thread import Stop, in_thread
from workflows.transform.wrong import setting

LONGEST = 900_000
TABLES = ["csv_read", "csv_write", "xlsx_read", "xlsx_write"]
TEXTS = [
    *("json_read", "jsonl_read", "csv_read", "xml_read", "html_read", "html_text", "html_markdown", "markdown_html"),
    *("lines_read", "file_read", "json_write", "jsonl_write", "csv_write", "xml_write", "lines_write", "file_write"),
]


def _when(*of: str, **more: Any) -> dict[str, Any]:
    return {"when": {"do": list(of)}, **more}


class Config(base.Config):
    do: Do = Field("json_read", title="Do", description="What is made of what.", json_schema_extra={"words": DO})
    field: AnyPlace = Field(
        "",
        title="From the field",
        description="Where the text, list or file stands in the data, such as response.body.",
        json_schema_extra={"example": "response.body"},
    )
    value: Any = Field(
        None,
        title="Or from the value",
        description="Instead of a field: text, or an expression such as {{ steps.fetch.output.body }}.",
        json_schema_extra={"look": "text", "example": "{{ steps.fetch.output.body }}"},
    )
    each: str = Field(
        "",
        title="For each element",
        max_length=SELECTOR,
        description="A CSS selector, such as .product: gives a list with the fields of each. Empty: of the page.",
        json_schema_extra=_when("html_read", example=".product"),
    )
    fields: Annotated[list[Selected], Field(max_length=100)] = Field(
        [],
        title="Fields to take out",
        description="Each with the CSS selector of its place, such as h1 or a.next.",
        validate_default=True,
        json_schema_extra=_when("html_read"),
    )
    delimiter: Delimiter = Field(
        "auto",
        title="Between columns",
        description="Such as a semicolon.",
        json_schema_extra=_when(
            "csv_read",
            "csv_write",
            words={
                "auto": "what the first line has (when writing: a comma)",
                "comma": "a comma",
                "semicolon": "a semicolon",
                "tab": "a tab",
                "pipe": "a bar |",
            },
        ),
    )
    header: bool = Field(
        True,
        title="The first row has the names of the columns",
        description="Else they are called column_1, column_2 and so on.",
        json_schema_extra=_when(*TABLES),
    )
    ragged: Ragged = Field(
        "fill",
        title="Rows with other numbers of columns",
        description="Missing cells are null; further ones are called column_5.",
        json_schema_extra=_when("csv_read", words={"fill": "are taken as far as they go", "fail": "stop the step"}),
    )
    numbers: bool = Field(
        False,
        title="Read numbers as numbers",
        description="007 and telephone numbers stay text.",
        json_schema_extra=_when("csv_read"),
    )
    columns: list[str] = Field(
        [],
        title="Columns",
        description="In this order, such as id and name. Empty: every field that a row has.",
        max_length=1_000,
        json_schema_extra=_when("csv_write", "xlsx_write", example="id\nname"),
    )
    guard: bool = Field(
        True,
        title="Text that looks like a formula stays text",
        description="A cell such as =1+1 is not run by the program that opens the file.",
        json_schema_extra=_when("csv_write", "xlsx_write"),
    )
    sheet: str = Field(
        "",
        title="Sheet",
        description="Such as Orders. Empty: the first.",
        max_length=100,
        json_schema_extra=_when("xlsx_read", "xlsx_write", example="Orders"),
    )
    root: str = Field(
        "root",
        max_length=100,
        title="Outermost element",
        description="Such as orders.",
        json_schema_extra=_when("xml_write"),
    )
    pretty: bool = Field(
        False, title="On several lines, for people", description="Else on one.", json_schema_extra=_when("json_write")
    )
    encoding: Encoding = Field(
        "auto",
        title="Encoding of the file",
        description="For files, such as UTF-8.",
        json_schema_extra=_when(*TEXTS, words=ENCODINGS),
    )
    file: str = Field(
        "",
        title="Save as a file",
        description="Its path in the workflow's files, such as reports/orders.csv (for zip → files: a folder). "
        "Empty: the result stays in the data, where it can.",
        max_length=300,
        validate_default=True,
        json_schema_extra={"example": "reports/orders.csv"},
    )
    save_as: SaveAs = Field("result", description="The name that the result gets in the data.")

    @field_validator("value")
    @classmethod
    def _long_text_stands_in_a_field(cls, value: Any) -> Any:
        if isinstance(value, str) and len(value) > LONGEST:
            raise setting(f"expected at most {LONGEST:,} characters; longer text is named above, by its field")
        return value

    @field_validator("each")
    @classmethod
    def _each_is_a_selector(cls, each: str, known: ValidationInfo) -> str:
        return require_selector(each) if known.data.get("do") == "html_read" else each

    @field_validator("fields")
    @classmethod
    def _something_is_taken(cls, fields: list[Selected], known: ValidationInfo) -> list[Selected]:
        if known.data.get("do") == "html_read" and not fields:
            raise setting("add at least one")
        return fields

    @field_validator("root")
    @classmethod
    def _root_is_a_name(cls, root: str) -> str:
        if not NAME.fullmatch(root):
            raise setting(f"expected the name of an element such as orders; it is “{root[:60]}”")
        return root

    @field_validator("file")
    @classmethod
    def _some_results_are_files(cls, file: str, known: ValidationInfo) -> str:
        if known.data.get("do") in FILE_ONLY and not file.strip():
            raise setting("expected a path such as reports/orders.xlsx: this can only be kept as a file")
        return file.strip()


class Convert(base.Step[Config]):
    kind, label, icon = "convert", "Read or write a format", "convert"
    group, page, gives = "Data", "transform.md", "the data and the result, or the file that it was saved as"
    help = "Between data and JSON, CSV, spreadsheets, XML, HTML, Markdown, RSS, text lines and zip files."
    also = "parse encode decode serialise extract import export transform unzip"
    group, page, gives = "Data", "transform.md", "the data, with the result as `save_as` says"
    example = {
        "do": "csv_read",
        "value": "name,price\nRye bread,4.20\nPretzel,0.90",
        "numbers": True,
        "save_as": "products",
    }
    presets = (
        base.Preset("JSON", {"do": "json_read"}),
        base.Preset("CSV", {"do": "csv_read"}, "table"),
        base.Preset("XML", {"do": "xml_read"}),
        base.Preset("HTML extract", {"do": "html_read", "fields": [{"name": "title", "selector": "h1"}]}, "scrape css"),
        base.Preset("Markdown", {"do": "markdown_html"}),
        base.Preset("RSS feed", {"do": "feed_read"}, "atom news"),
        base.Preset("Spreadsheet", {"do": "xlsx_read"}, "excel xlsx table"),
        base.Preset("Convert to file", {"do": "csv_write", "file": "rows.csv"}),
        base.Preset("Extract from file", {"do": "file_read"}),
    )
    Config = Config

    @classmethod
    def effects_of(cls, data: Mapping[str, Any]) -> base.Effects:
        return "outside" if data.get("file") else "none"

    async def run(self, ctx: base.StepContext) -> base.Done:
        made = await in_thread(lambda stop: self._converted(ctx, stop))
        ctx.log(f"{DO[self.config.do]}: {_said(made)}")
        return base.Done({**ctx.data, self.config.save_as: made})

    def _converted(self, ctx: base.StepContext, stop: Stop) -> Any:
        config = self.config
        names = Options.__dataclass_fields__.keys() - {"columns", "fields"}
        options = Options(
            **{name: getattr(config, name) for name in names},
            columns=tuple(config.columns),
            fields=tuple(config.fields),
        )
        try:
            return converted(config.do, self._source(ctx), options, ctx.files, stop)
        except WorkflowStepError as error:
            raise WorkflowStepError(
                f"{DO[config.do]}, from {f'“{config.field}”' if config.field else 'the value'}: {error.message}",
                {**error.details, "field": config.field},
                is_permanent=error.is_permanent,
                retry_after_s=error.retry_after_s,
            ) from None

    def _source(self, ctx: base.StepContext) -> Any:
        """The value counts where there is one. Without a field, also one that is nothing, as an expression may give."""
        config = self.config
        if config.value not in (None, "") or ("value" in config.model_fields_set and not config.field):
            return config.value
        if not config.field:
            raise WorkflowStepError("Name the field that is read, or give a value.", is_permanent=True)
        return at(ctx.data, config.field)


def _said(made: Any) -> str:
    return f"saved as “{made['file']}”" if formats.is_file(made) else said(made)
