"""The network of the study ``faces`` at its full size: its layers, and one training step with memory and time.

    .venv/bin/python benchmarks/faces.py step                  # 128 images of 3x224x224, 7,000 classes, 16 at a time
    .venv/bin/python benchmarks/faces.py step --at-once 128    # together, where the memory is there
    .venv/bin/python benchmarks/faces.py layers                # shape, parameters and memory of each layer

A step is what training does: the recipe's augmentation, the loss with label smoothing, gradients, SGD. Where images go
through ``--at-once``, gradients are summed, and batch normalization sees so many at a time.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
import torch.nn.functional as F
from hardware import hardware

from baselines import FixedNetwork, build_network, get_network
from baselines.counting import layer_counts
from nas.config import Recipe
from nas.training.augmentation import augment

NETWORK = FixedNetwork("biased-resnet50")
SHAPE, CLASSES = (3, 224, 224), 7_000
MEAN, STD = (0.5116, 0.4026, 0.3519), (0.3073, 0.2697, 0.2587)  # published with the network
MIB = 1 << 20


def step(batch: int, at_once: int, device: str, *, mixed: bool) -> None:
    """One step; prints the loss, seconds and memory."""
    recipe = Recipe(**get_network(NETWORK.name).recipe)
    torch.manual_seed(0)
    model = build_network(NETWORK, SHAPE, CLASSES).to(device).train()
    params = sum(parameter.numel() for parameter in model.parameters())
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    generator = torch.Generator(device).manual_seed(0)
    normal = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    images = torch.randint(0, 256, (batch, *SHAPE), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (batch,))
    before, started, total = _memory(device), time.perf_counter(), 0.0
    for pixels, wanted in zip(images.split(at_once), labels.split(at_once), strict=True):
        view = augment(pixels.to(device), recipe, generator, normal)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
            logits = model(view)
        loss = F.cross_entropy(logits.float(), wanted.to(device), label_smoothing=recipe.label_smoothing)
        (loss * (len(pixels) / batch)).backward()
        total += loss.item() * len(pixels) / batch
    optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    precision = "bfloat16 autocast" if mixed else "float32"
    print(f"{hardware()}; {torch.get_num_threads()} threads, {device}, {precision}")
    shape, chance = "x".join(map(str, SHAPE)), torch.tensor(float(CLASSES)).log().item()
    print(f"{params:,} parameters; {batch} images of {shape}, {at_once} at a time: {seconds:.1f} s")
    print(f"loss {total:.3f}, that of guessing {chance:.3f}")
    print(f"peak memory {_memory(device) / MIB:,.0f} MiB, {before / MIB:,.0f} MiB of it before the step")


def layers() -> None:
    """A line a layer, and sums."""
    found = layer_counts(NETWORK, SHAPE, CLASSES)
    for layer in found:
        shape = "x".join(map(str, layer.output))
        print(f"{layer.name:24} {layer.kind:12} {shape:>14} {layer.params:>11,} {layer.num_bytes / MIB:8.2f} MiB")
    params, outputs = sum(layer.params for layer in found), sum(layer.num_bytes for layer in found)
    print(
        f"{params:,} parameters, {4 * params / MIB:.2f} MiB; outputs, forward and backward, {2 * outputs / MIB:.2f} MiB"
    )


def _memory(device: str) -> int:
    """The most bytes that were held so far."""
    if device != "cpu":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="The network of the study faces at full size.")
    parser.add_argument("what", choices=["step", "layers"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--float32", action="store_true", help="no mixed precision")
    asked = parser.parse_args()
    if asked.what == "layers":
        layers()
    else:
        step(asked.batch, asked.at_once, asked.device, mixed=not asked.float32)


if __name__ == "__main__":
    main()
