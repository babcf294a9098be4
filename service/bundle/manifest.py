"""The manifest of a bundle: what was fitted, from what, and the digest of every file beside it."""

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 2
"""Version of the bundle's layout; a reader refuses any other. 2: the scorer gives Fourier features."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderSettings(_Section):
    """How text becomes vectors; read from the encoder's own files."""

    id: str = Field(description="Name the operator gave: a hub id or a directory's name.")
    revision: str = Field(description="Commit of the hub, or the first 12 digits of the weights' sha256.")
    source: str = Field(description="built: graph written from the weights; exported: by torch's exporter.")
    dimension: int = Field(gt=0, description="Length of a vector.")
    max_length: int = Field(gt=2, description="Most tokens read, special tokens included.")
    pooling: str = Field(description="How token vectors become one vector.")
    prompt: str = Field("", description="Put before every text, as the encoder's files ask.")
    lower_case: bool = Field(False, description="Lower-case the text before the tokenizer.")


class Counts(_Section):
    """Rows of the fine-tuning set, and where they went."""

    rows: int = Field(description="Rows read.")
    empty: int = Field(description="Rows without text, left out.")
    unlabelled: int = Field(description="Rows without a label where labels were asked for.")
    distinct: int = Field(description="Different texts.")
    clusters: int = Field(description="Clusters of near duplicates.")
    groups: int = Field(description="Different values of the group field; 0 without one.")
    reference: int = Field(description="Reference rows, near duplicates removed.")
    calibration: int = Field(description="Calibration rows, repeats kept.")
    calibration_effective: float = Field(description="Independent rows the calibration rows are worth.")
    left_out: int = Field(description="Rows beyond the limits of reference and calibration, chosen by seed.")


class Settings(_Section):
    """What was asked for and which rules applied."""

    text: str = Field(description="How the text was found in a row.")
    label: str | None = Field(description="Label field.")
    group: str | None = Field(description="Group field.")
    seed: int
    reference_max: int
    calibration_from: str = Field(description="split: held out from the set; files: given apart.")
    neighbours: int = Field(description="k of the nearest-neighbour distance.")
    density_weight: float = Field(description="Weight of the local density.")
    head: str = Field(description="labels, topics or none: what the linear heads were trained on.")
    heads: int = Field(default=1, description="Number of heads.")
    head_weight: float = Field(description="Weight of the heads together against 1 - weight for the distance, both standardised.")
    head_density_weight: float = Field(default=0.0, description="Weight of the neighbours' largest logits, subtracted from the head's.")


class Extraction(_Section):
    """What the rows were like when they were read; production is held against it before anything is learned."""

    languages: dict[str, float] = Field(description="Share of texts by language, as service.language guesses it.")
    lengths: list[float] = Field(description="Share of rows by number of tokens, in the bins of a sketch.")


class Manifest(_Section):
    """Everything in manifest.json."""

    schema_version: int = Field(alias="schema")
    encoder: EncoderSettings
    encoder_digest: str
    counts: Counts
    settings: Settings
    truncated: float = Field(ge=0, le=1, description="Share of rows cut at max_length.")
    scripts: dict[str, float] = Field(description="Share of rows by writing system, a light guess at language.")
    extraction: Extraction | None = Field(None, description="Languages and lengths of the rows; bundles made before it have none.")
    topics: int = Field(ge=0, description="Number of topics.")
    nulls: dict[str, float] = Field(description="PAC bounds of the shares 'strange' and 'far' under no change.")
    delta: float = Field(description="Chance, over the calibration draw, that any of the bounds does not hold.")
    warnings: list[str] = Field(default_factory=list, description="What the operator should know before relying on it.")
    files: dict[str, str] = Field(description="File name -> sha256.")

    def rewritten(self, **changes: object) -> "Manifest":
        """A copy with some fields replaced."""
        return self.model_copy(update=dict(changes))
