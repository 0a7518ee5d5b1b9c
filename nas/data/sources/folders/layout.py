"""Detection of the class and split of each folder, from names and from where images lie.

What cannot be told for sure is asked: DataError with the ways to answer. What is passed over is named in remarks.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from nas.data.sources.archive import SUFFIXES as ARCHIVES
from nas.data.sources.base import TEST, TRAIN
from nas.data.sources.folder_names import is_unlabelled
from nas.data.sources.folders.class_names import check_alike
from nas.data.sources.folders.masks import check_folders
from nas.data.sources.folders.other_layouts import other_layout
from nas.data.sources.folders.reading import ClassFolder, Layout, Level, Reading, only_folder, shortened
from nas.data.sources.folders.split_folders import named_splits, splits_in
from nas.data.sources.folders.table_beside import refuse_table_beside
from nas.data.sources.tree import File, Node, Tree, is_picture, may_be_image
from nas.errors import DataError
from nas.units import counted

# A file of a well-known set as its authors pack it: what to type instead.
_KNOWN = {"data_batch_1": "cifar10", "train_X.bin": "stl10", "train_32x32.mat": "svhn",
          **dict.fromkeys(["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"], "mnist")}  # fmt: skip
_FEW_GROUPS = 4  # of a class, from which on splits can be made of groups: one for each
_PACKED = (*ARCHIVES, ".7z", ".rar", ".npz")


def understand(tree: Tree, level: Level = None) -> Layout:
    """The classes of a folder. DataError if there are none, or if it cannot be told which they are.

    ``level`` is how many folders below the data folder, or below a split's, those of the classes are; "leaf": those
    that hold the images.
    """
    reading = Reading(tree, level)
    _refuse_nothing(tree)
    _tell_left_out(reading)
    layout = None if level else other_layout(reading)
    if layout is None:
        if not (level or tree.patterns.match or tree.patterns.ignore):
            refuse_table_beside(tree.root)
        layout = _class_folders(reading)
    if not tree.patterns.take_all:
        check_alike(layout.classes)
    return layout


def _class_folders(reading: Reading) -> Layout:
    base = reading.tree.root
    passed, is_plain = [base], not (reading.level or reading.tree.patterns.match or reading.tree.patterns.ignore)
    splits = splits_in(reading, base)
    while not splits and (only := only_folder(base)):
        reading.tell_folders_beside(base, [only], "the one that holds images")
        base = only
        passed.append(base)
        if is_plain:
            refuse_table_beside(base)
        splits = splits_in(reading, base)
    if base is not reading.tree.root:
        reading.remarks.append(f"The data lie in {reading.shown(base)}, the only folder")
    if splits:
        reading.tell_folders_beside(base, [split for _, split in splits], "the splits")
    starts = list(_starts(reading, splits, passed) if splits else [(TRAIN, base)])
    if not splits and not reading.level:
        _refuse_several_sets(base)
    if not reading.tree.patterns.take_all:
        check_folders([start for _, start in starts], reading.tree.patterns)
    chosen = reading.level or _level(reading, [start for _, start in starts])
    classes = [each for part, start in starts for each in _classes(reading, part, start, chosen)]
    for node in passed:
        reading.tell_files_beside(node)
    if splits:
        _refuse_one_class(classes, {part: split for part, split in splits})
    if len({each.class_name for each in classes if any(is_picture(file.name) for file in each.files)}) == 1:
        reading.remarks.extend(filter(None, [reading.labels_elsewhere()]))
    return Layout(classes, tuple(dict.fromkeys(reading.remarks)))


def _starts(reading: Reading, splits: Sequence[tuple[int, Node]], passed: list[Node]) -> Iterator[tuple[int, Node]]:
    """Each split's folder, or the one below that lies alone in it, as in ``train/train/CLASS``."""
    for part, node in splits:
        passed.append(node)
        if node.is_empty:
            reading.remarks.append(f"{reading.shown(node)} holds no images and is ignored")
        while only := only_folder(node, is_split=True):
            node = only
            passed.append(node)
        yield part, node


def _refuse_nothing(tree: Tree) -> None:
    """DataError where patterns leave no file, or where there are archives or arrays instead of images."""
    if tree.root.num_files == 0 and tree.ignored and not tree.unmatched:
        raise DataError(f"--ignore leaves nothing in {tree.root.path}. Ignore less.")
    if tree.root.num_files == 0 and tree.unmatched:
        kinds = (f"{suffix or 'no suffix'} ({number:,})" for suffix, number in tree.unmatched.most_common())
        raise DataError(
            f"--match and --ignore leave none of the {counted(tree.unmatched.total(), 'file')} in {tree.root.path}. "
            f"The files there are of the kinds {shortened(kinds)}. A pattern is for a file's name, as '*.jpg', "
            "or for its "
            "path, as 'cat/*'."
        )
    files = [file.name for node in tree.root.walk() for file in node.files]
    if known := [name for name in files if name.rpartition("/")[2] in _KNOWN]:
        name = _KNOWN[known[0].rpartition("/")[2]]
        like = ", or fashion-mnist or kmnist," if name == "mnist" else ""
        raise DataError(
            f"{tree.root.path / known[0]} is a file of {name}{like} in its authors' format, which is not "
            "supported. Give the data set by its name:"
            f" --data {name}; it is downloaded once."
        )
    arrays = [name for name in files if name.lower().endswith(".npy")]
    if arrays and not any(is_picture(name) or name.lower().endswith(_PACKED) for name in files):
        raise DataError(
            f"{tree.root.path} holds no images but {shortened(arrays)}. Put the images and their labels into one file "
            "by numpy.savez('data.npz', images=..., labels=...), and give that: --data data.npz."
        )
    packed = [name for name in files if name.lower().endswith(_PACKED)]
    if packed and not any(is_picture(name) or ("/" in name and may_be_image(name)) for name in files):
        first = shlex.quote(str(tree.root.path / packed[0]))
        if len(packed) == 1:
            raise DataError(f"{tree.root.path} holds no images but {packed[0]}. Give that: --data {first}.")
        raise DataError(
            f"{tree.root.path} holds no images but {shortened(packed)}. Unpack each into a folder of its name and give "
            f"the folder of all; if one holds everything, give that: --data {first}."
        )


def _refuse_one_class(classes: Sequence[ClassFolder], splits: dict[int, Node]) -> None:
    """DataError for sets to find anomalies by: what is to be found is not among what is trained on."""
    of = {part: {each.class_name for each in classes if each.part == part and each.files} for part in splits}
    trained, tested = of.get(TRAIN, set()), of.get(TEST, set())
    if len(trained) == 1 and trained < tested:
        raise DataError(
            f"{splits[TRAIN].path} has images of one class alone, {min(trained)!r}, and {splits[TEST].path} of "
            f"{len(tested)}: {shortened(sorted(tested))}. Data sets for anomaly detection (MVTec AD) are like "
            "this; a classifier "
            f"must be trained on every class. Take the test images as the data: --data "
            f"{shlex.quote(str(splits[TEST].path))}."
        )


def _refuse_several_sets(base: Node) -> None:
    """DataError where folders hold folders of splits, and all hold folders."""
    full = base.full
    parted = [each for each in full if _has_splits(each)]
    if len(full) > 1 and parted and not any(each.has_images for each in full):
        which = "each" if len(parted) == len(full) else f"{shortened(f'{each.name}/' for each in parted)}"
        raise DataError(
            f"{base.path} holds several sets, {which} with splits: {shortened(f'{each.name}/' for each in full)}. Give "
            f"one of them: --data {shlex.quote(str(parted[0].path))}. If they are classes, each with all its images: "
            "--class-level 1."
        )


def _has_splits(node: Node) -> bool:
    while len(full := node.full) == 1 and not node.has_images:
        node = full[0]
    named = named_splits(node)
    parts = {part for part, _ in named}
    return TRAIN in parts and len(parts) > 1 and any(folder.full for _, folder in named)


# ---- classes


def _level(reading: Reading, starts: list[Node]) -> Level:
    """Depth of the class folders, where it was not said. DataError if that is a question."""
    tops = [top for start in starts for top in start.full]
    inner = [top.full for top in tops]
    if not any(inner):
        return 1
    below = sum(len(node.files) for top in tops for node in top.walk() if node is not top)
    if any(top.has_images for top in tops):
        if parted := [top for top in tops if TRAIN in {part for part, _ in named_splits(top)} and len(top.full) > 1]:
            flat = [top for top in tops if top.has_images]
            raise DataError(
                f"There are split folders in {shortened(reading.shown(top) for top in parted)}, and images in "
                f"{shortened(reading.shown(top) for top in flat)}. Put those into split folders too, or add "
                "--class-level 1, to take each folder as a class with all that is below it."
            )
        _refuse_copies(reading, tops)
        reading.remarks.append(
            f"{counted(below, 'file')} in folders below the class folders, taken as theirs; for other classes: "
            "--class-level leaf"
        )
        return 1
    if all(len(each) == 1 and each[0].has_images for each in inner) and len(tops) > 1:
        names = {each[0].name for each in inner}
        if len(names) == 1 or all(each[0].name == top.name for each, top in zip(inner, tops, strict=True)):
            return 1  # every class keeps its images in a folder called images, say, or as the class
    raise DataError(_question(reading, starts))


def _refuse_copies(reading: Reading, tops: Sequence[Node]) -> None:
    """DataError where a folder beside the classes holds folders called as they are: the whole set once more."""
    names = {top.name for top in tops}
    copies = [top for top in tops if not top.has_images and {f.name for f in top.full} <= names]
    if copies:
        raise DataError(
            f"{reading.shown(copies[0])} holds folders with the same names as those beside it: "
            f"{shortened(f.name for f in copies[0].full)}. If it is not a class, leave it out: "
            f"{reading.ignoring(copies)}; if it is: --class-level 1."
        )


def _question(reading: Reading, starts: list[Node]) -> str:
    levels: list[tuple[str, str, list[str]]] = []
    depth = max((len(trail) for start in starts for trail, _ in _images(start)), default=1)
    for level in range(1, depth + 1):
        trails = {(start.path, trail[:level]) for start in starts for trail, _ in _images(start) if len(trail) >= level}
        names = {trail[-1] for _, trail in trails}
        if len(names) > 1:
            merged = f" of {len(trails):,} folders" if len(trails) > len(names) * len(starts) else ""
            levels.append((str(level), merged, sorted(names)))
    where = shortened(reading.shown(start) for start in starts)
    ways = "".join(
        f"\n  --class-level {level}   {counted(len(names), 'class', 'classes')}{merged}: {shortened(names)}"
        for level, merged, names in levels
    )
    versions = [top for start in starts for top in start.full if len(starts) == 1]
    inner = [folder.name for top in versions for folder in top.full]
    if len(versions) > 1 and len(set(inner)) < len(inner):  # perhaps one set in several versions
        one = shlex.quote(str(versions[0].path))
        ways += f"\n  --data {one}   one of them alone, if each is a version of the whole set"
    return (
        f"In {where} no folder holds images directly: they are in folders further below. Say which folders are the "
        f"classes:{ways}"
    )


def _images(start: Node, trail: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Every folder that holds images, with the names of the folders that lead to it."""
    if trail and start.has_images:
        yield trail, start
    for folder in start.folders:
        yield from _images(folder, (*trail, folder.name))


def _classes(reading: Reading, part: int, start: Node, level: Level) -> Iterator[ClassFolder]:
    """The classes below ``start``, by name; folders of one name are one class."""
    files: dict[str, list[File]] = {}
    above: list[str] = []
    places: Counter[str] = Counter()

    def enter(node: Node, trail: tuple[str, ...]) -> None:
        name = _class_of(node, trail, level)
        if name is None:
            above.extend(file.name for file in node.files if may_be_image(file.name)) if trail else None
        else:
            places[name] += level == "leaf" or len(trail) == level
            files.setdefault(name, []).extend(node.files)
        for folder in node.folders:
            enter(folder, (*trail, folder.name))

    enter(start, ())
    if not files:
        what = f" {level} folders below it" if isinstance(level, int) and level > 1 else ""
        raise DataError(
            f"{start.path} has no class folders{what}. Put the images of each class in a folder of their own, named "
            f"after the class, or give another folder{reading.label_hint(start)}."
        )
    if above:
        reading.remarks.append(f"{counted(len(above), 'image')} above the class folders left out: {shortened(above)}")
    merged = [name for name, number in places.items() if number > 1]
    if merged:
        apart = "--group '([^/]+)/[^/]+/[^/]+$' keeps the images of each place in one split"  # of a patient, say
        hint = f"; {apart}" if min(places[name] for name in merged) >= _FEW_GROUPS else ""
        reading.remarks.append(f"Folders of the same name in several places are one class: {shortened(merged)}{hint}")
    yield from (ClassFolder(part, name, files[name]) for name in sorted(files))


def _class_of(node: Node, trail: tuple[str, ...], level: Level) -> str | None:
    if level == "leaf":
        return trail[-1] if trail and node.has_images else None
    assert level is not None
    return trail[level - 1] if len(trail) >= level else None


# ---- what is passed over


def _tell_left_out(reading: Reading) -> None:
    """Remarks on what is not looked at, wherever it lies."""
    tree, tell = reading.tree, reading.remarks.append
    if not tree.patterns.take_all and (unlabelled := tree.take_out(is_unlabelled)):
        shown = (f"{reading.shown(node)} ({counted(node.num_files, 'file')})" for node in unlabelled)
        tell(f"Folders of images without a class left out: {shortened(shown)}; --match '*' takes them as classes")
    if tree.own:
        tell(f"Output of nasctl left out: {shortened(f'{name}/' for name in tree.own)}")
    if tree.circles:
        tell(f"Links to a folder that contains them, left out: {shortened(tree.circles)}")
    if tree.special:
        tell(f"Pipes, sockets and devices left out: {shortened(tree.special)}")
    if tree.hidden:
        shown = (f"{name} ({counted(number, 'image')})" for name, number in tree.hidden.items())
        tell(f"Hidden files and folders left out: {shortened(shown)}")
    if tree.unmatched:
        tell(f"{counted(tree.unmatched.total(), 'file')} left out by --match and --ignore")
    if idle := [each for each in tree.patterns.ignore if each not in tree.ignored]:
        tell(f"Patterns of --ignore that match nothing: {shortened(idle)}")
