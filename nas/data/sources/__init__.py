"""Where images come from, a file each: bundled digits, .npz files, torchvision's sets; ``folders`` and ``tables`` of
labels are packages, of which ``folders`` may import ``tables``. What several need lies here."""
