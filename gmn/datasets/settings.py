"""The settings of ingest."""

from pydantic import Field

from gmn.audio.fingerprint import SAMPLE_RATES
from gmn.config import Config
from gmn.datasets.labels import LabelsConfig
from gmn.datasets.splits import SplitConfig


class IngestSettings(Config):
    """What ingest does with the audio."""

    sample_rate: int = Field(16000, ge=SAMPLE_RATES[0], le=SAMPLE_RATES[1])
    """Rate of the stored audio, in Hz; fingerprints need 4,000 to 96,000."""
    segment_seconds: float = Field(6.0, gt=0, le=600)
    """Length of a segment; a track's last one may be shorter."""
    labels: LabelsConfig = LabelsConfig()
    """Where labels come from."""
    split: SplitConfig = SplitConfig()
    """How tracks are split."""

    @property
    def segment_samples(self) -> int:
        """Length of a segment."""
        return max(1, round(self.segment_seconds * self.sample_rate))


class IngestConfig(IngestSettings):
    """Turn a source of audio into a dataset."""

    source: str
    """The folder, or any address that pyarrow.fs opens; its audio files are found by their suffix, at any depth."""
    output: str
    """The dataset to write."""
    update: bool = False
    """Add what is new or has changed in the source to a dataset that is whole, and try again what could not be read;
    what it had keeps its split."""
    strict: bool = False
    """End with exit code 3, once the dataset is written and told about, where a file was rejected."""
