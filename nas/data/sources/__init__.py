"""Sources of images, a file each: bundled digits, .npz files, torchvision's sets. The packages ``folders`` and
``tables`` (label files) are here, of which ``folders`` may import ``tables``, and what several sources share."""
