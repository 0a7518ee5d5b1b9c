"""Images in, splits out: where data comes from, its decoded cache, and which image serves which purpose.

Belongs here: everything between what the user names and uint8 arrays. Does not: augmentation, normalization
and oversampling, which are part of a training. Importing this package loads numpy and pydantic only; Pillow,
scikit-learn and torchvision are loaded when a set is decoded for the first time.
"""

from nas.data.config import DataConfig
from nas.data.dataset import DataReport, Dataset, Split
from nas.data.opening import describe_data, open_data

__all__ = ["DataConfig", "DataReport", "Dataset", "Split", "describe_data", "open_data"]
