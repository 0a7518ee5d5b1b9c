"""A folder of images: which folders are splits, which are classes, and what is asked where that is in doubt."""
