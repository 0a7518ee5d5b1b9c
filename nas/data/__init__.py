"""Images in, uint8 splits out: sources, the decoded cache, splits, and oversampled sets on the disk.

Augmentation and normalization are part of a training and do not belong here. Importing this package loads numpy and
pydantic only; Pillow, scikit-learn and torchvision are loaded when a set is decoded for the first time.
"""

from nas.config.data import DataConfig
from nas.data.dataset import DataReport, Dataset, Split
from nas.data.loading import describe_data, open_data

__all__ = ["DataConfig", "DataReport", "Dataset", "Split", "describe_data", "open_data"]
