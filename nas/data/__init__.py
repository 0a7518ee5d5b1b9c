"""Images in, uint8 splits out: sources, the decoded cache, splits, and oversampled sets on the disk.

Augmentation and normalization are part of a training and do not belong here. Importing this package loads numpy and
pydantic only; Pillow, scikit-learn and torchvision are loaded when a set is decoded for the first time.
"""

from typing import TYPE_CHECKING

from nas.config import DataConfig
from nas.data.dataset import DataReport, Dataset, Split
from nas.data.loading import describe_data, open_data
from nas.lazy import lazy

if TYPE_CHECKING:
    from nas.data.oversampling import register_oversampler

__all__ = ["DataConfig", "DataReport", "Dataset", "Split", "describe_data", "open_data", "register_oversampler"]

__getattr__ = lazy(__name__, {"nas.data.oversampling": ["register_oversampler"]})
