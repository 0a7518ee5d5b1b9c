"""Where images come from, a file each: bundled digits, folders, .npz files, torchvision's sets."""
