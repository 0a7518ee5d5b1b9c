"""Files of ImageNet weights, of torchvision's networks. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

FROM = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class ImageNetWeights:
    """File of ImageNet weights of one of torchvision's networks: the function in ``torchvision.models`` that builds it,
    the ``address`` it is downloaded from, whose name has the first digits of its SHA-256, and its last layer, which a
    network of other classes has anew. ``least_side``: of the images that it can take, in pixels.
    ``resized``: here images are brought to the size that the network was made for."""

    builder: str
    address: str
    head: str
    least_side: int = 1
    resized: bool = True

    @property
    def digest(self) -> str:
        """First digits of the SHA-256 of the file."""
        return self.address.rsplit("-", 1)[-1].partition(".")[0]


DENSENET121 = ImageNetWeights("densenet121", f"{FROM}/densenet121-a639ec97.pth", "classifier", least_side=32)
RESNET18 = ImageNetWeights("resnet18", f"{FROM}/resnet18-f37072fd.pth", "fc")
RESNET50 = ImageNetWeights("resnet50", f"{FROM}/resnet50-11ad3fa6.pth", "fc")
VGG19 = ImageNetWeights("vgg19", f"{FROM}/vgg19-dcbb9e9d.pth", "classifier", resized=False)
