"""Archives: opened without unpacking by hand, and never to the harm of what lies outside."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import DataConfig, open_data
from nas.data.sources import archive as archives
from nas.data.sources import tree
from nas.errors import DataError


def png(grey: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), grey, dtype=np.uint8)).save(file, format="PNG")
    return file.getvalue()


FILES = {f"{name}/{number}.png": png(20 * number + (name == "b")) for name in "ab" for number in range(6)}


def pack(path: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(prefix + name, content)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w:xz" if path.suffix == ".xz" else "w") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def config(path: Path, **changes: Any) -> DataConfig:
    return DataConfig(source=str(path), cache_dir=str(path.parent / "cache"), **changes)


def error_of(path: Path, **changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        open_data(config(path, **changes))
    (message,) = caught.value.messages
    unpacked = path.parent / "cache" / "unpacked"
    assert not [left for left in unpacked.glob("*") if left.name not in ("known",) and left.name.startswith(".tmp")]
    return message


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz", "set.tar.xz"])
@pytest.mark.parametrize("prefix", ["", "./", "photos/of us/"])
def test_class_folders_in_an_archive(tmp_path: Path, name: str, prefix: str) -> None:
    junk = {"__MACOSX/._a.png": b"x", ".DS_Store": b"x", "a/.hidden/x.png": b"x"}
    opened = open_data(config(pack(tmp_path / name, {**FILES, **junk}, prefix)))
    assert opened.name == "set" and opened.classes == ("a", "b")
    assert sum(map(sum, opened.counts.values())) == 12
    split = opened.split("train")
    assert (split.images[:, 0, 0, 0] % 20 == split.labels).all()


def test_unpacked_once_and_again_for_another_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "set.zip", FILES)
    first = open_data(config(path))
    with monkeypatch.context() as patched:
        patched.setattr(archives.Archive, "_unpack", None)  # would fail
        assert open_data(config(path)).key == first.key
        (tmp_path / "other").mkdir()
        moved = Path(shutil.copy(path, tmp_path / "renamed.zip"))
        assert open_data(config(moved)).key == first.key
    pack(path, {**FILES, "b/9.png": png(9)})
    assert open_data(config(path)).key != first.key
    shutil.rmtree(tmp_path / "cache" / "unpacked")
    pack(path, FILES)
    assert open_data(config(path)).key == first.key


def test_a_label_file_in_an_archive(tmp_path: Path) -> None:
    lines = "".join(f"{name.replace('/', '_')},{name[0]},p{name[2]}\n" for name in FILES)
    files = {f"images/{name.replace('/', '_')}": content for name, content in FILES.items()}
    path = pack(tmp_path / "set.zip", {**files, "labels.csv": f"path,label,who\n{lines}".encode()}, "top/")
    opened = open_data(config(path, group="who"))
    assert opened.name == "set" and opened.classes == ("a", "b") and "by column 'who'" in opened.remarks[0]


@pytest.mark.parametrize(
    "name", ["../../outside.png", "/tmp/outside.png", "a/../../outside.png", "C:/x.png", "..\\x.png"]
)
@pytest.mark.parametrize("kind", ["set.zip", "set.tar"])
def test_nothing_is_written_outside(tmp_path: Path, name: str, kind: str) -> None:
    if "\\" in name and kind == "set.tar":
        return  # a name like any other there
    before = sorted(tmp_path.parent.glob("*"))
    message = error_of(pack(tmp_path / kind, {**FILES, name: b"x"}))
    assert "leads outside the archive" in message
    assert not list(tmp_path.rglob("outside.png")) and sorted(tmp_path.parent.glob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    path = pack(tmp_path / "set.tar", FILES)
    with tarfile.open(path, "a") as packed:
        info = tarfile.TarInfo("a/link.png")
        info.type, info.linkname = kind, "/etc/passwd"
        packed.addfile(info)
    message = error_of(path)
    assert "'a/link.png', which is a link or a device" in message and "--dereference" in message


def test_links_in_a_zip(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", FILES)
    with zipfile.ZipFile(path, "a") as packed:
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    assert "which is a link or a device" in error_of(path)


@pytest.mark.parametrize("kind", ["set.zip", "set.tar.gz"])
def test_bombs(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_ALWAYS_FINE", 1 << 16)
    message = error_of(pack(tmp_path / kind, {"a/0.bmp": bytes(4_000_000), **FILES}))
    assert "unpacks to at least 4,000,000 bytes" in message and "unpack it by hand" in message
    monkeypatch.setattr(archives, "_MOST_FILES", 5)
    assert "in 6 files" in error_of(pack(tmp_path / kind, FILES))


def test_a_member_larger_than_it_says(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", {**FILES, "c/0.png": bytes(range(256)) * 40})
    content = path.read_bytes()
    size = (10_240).to_bytes(4, "little")
    assert content.count(size) >= 1
    path.write_bytes(content.replace(size, (16).to_bytes(4, "little")))
    message = error_of(path)
    assert "cannot be unpacked" in message or "larger than it says" in message


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(zipfile.ZipInfo(""), b"x")
    with pytest.raises(DataError, match="holds a file without a name"):
        open_data(DataConfig(source=str(tmp_path / "x.zip"), cache_dir=str(tmp_path / "cache")))


def test_damaged_archives(tmp_path: Path) -> None:
    for name in ("set.zip", "set.tar.gz", "set.tar"):
        whole = pack(tmp_path / name, FILES).read_bytes()
        for content in (b"", b"neither", whole[: len(whole) // 2]):
            (tmp_path / name).write_bytes(content)
            assert f"{name} cannot be unpacked" in error_of(tmp_path / name)
    path = pack(tmp_path / "clash.zip", {"a": b"x", "a/0.png": png(0)})
    assert "cannot be unpacked" in error_of(path)


def test_what_is_said_of_the_content_names_the_archive(tmp_path: Path) -> None:
    message = error_of(pack(tmp_path / "set.zip", {"1.png": png(1), "2.png": png(2)}))
    assert "unpacked" not in message.replace("unpack it", "") and str(tmp_path / "set.zip") in message


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("set.zip", b"", "it is empty"),
        ("set.zip", b"\n<!DOCTYPE html><title>Sign in</title>", "it is a web page, perhaps a login page"),
        ("set.tar.gz", b"<html>", "it is a web page"),
        ("set.zip", b"Rar!\x1a\x07", "it is an archive of the kind RAR, which is not opened here"),
        ("set.tar", b"neither", "it is not an archive of a known kind"),
    ],
)
def test_what_is_no_archive_is_said_in_one_sentence(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    message = error_of(tmp_path / name)
    assert f"{name} cannot be unpacked: {what}" in message and "\n" not in message


def test_a_zip_that_is_cut_short(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", FILES)
    path.write_bytes(path.read_bytes()[:-100])
    assert "it is cut short: the list of files at its end is missing. Get it again" in error_of(path)


def test_a_zip_with_a_password(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", FILES)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "is protected by a password. Unpack it by hand" in error_of(path)


def test_an_archive_of_archives_and_one_of_nothing(tmp_path: Path) -> None:
    inner = pack(tmp_path / "set.zip", FILES).read_bytes()
    outer = pack(tmp_path / "outer.zip", {"all/train.zip": inner, "all/test.tar.gz": inner, "all/readme.txt": b"x"})
    message = error_of(outer)
    assert "holds no images but 2 archives: all/train.zip, all/test.tar.gz. Unpack it by hand" in message
    assert "holds no files" in error_of(pack(tmp_path / "nothing.zip", {}))


def test_a_zip_called_tar(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", FILES).rename(tmp_path / "set.tar")
    assert open_data(config(path)).classes == ("a", "b")


@pytest.mark.parametrize("harm", ["deleted", "truncated", "added", "unmarked"])
def test_what_was_unpacked_is_checked(tmp_path: Path, harm: str) -> None:
    path = pack(tmp_path / "set.zip", FILES)
    key = open_data(config(path)).key
    (one,) = (tmp_path / "cache" / "unpacked").glob("*/a/0.png")
    if harm == "deleted":
        one.unlink()
    elif harm == "truncated":
        one.write_bytes(one.read_bytes()[:-4])
    elif harm == "added":
        (one.parent / "9.png").write_bytes(one.read_bytes())
    else:
        (one.parent.parent / ".nasctl-unpacked").unlink()
    assert open_data(config(path)).key == key
    assert one.read_bytes() == FILES["a/0.png"] and not (one.parent / "9.png").exists()
    assert (one.parent.parent / ".nasctl-unpacked").exists()


def test_hidden_images_in_an_archive_are_told(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", {".cache/0.png": png(1), "__MACOSX/a/._0.png": b"x", **FILES})
    for _ in range(2):  # when it is unpacked, and later
        assert open_data(config(path)).remarks[0] == "1 hidden image in the archive left out: .cache/0.png"


def test_advice_about_what_is_in_an_archive(tmp_path: Path) -> None:
    files = {f"{folder}/{name[2:]}": content for name, content in FILES.items() for folder in ("train/x", "test/x")}
    files |= {f"test/y/{number}.png": png(number) for number in range(6)}
    message = error_of(pack(tmp_path / "set.zip", files))
    assert "set.zip/test. (Unpack the archive by hand for that.)" in message


def test_remarks_are_of_the_archive_and_not_of_where_it_was_unpacked(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", FILES | {"labels.csv": b"a,b"})
    wanted = config(path).model_copy(update={"cache_dir": str(tmp_path / "my cache")})
    for _ in range(2):
        remark = open_data(wanted).remarks[0]
        assert remark.endswith(f"name it: --data '{path}/labels.csv' (Unpack the archive by hand for that.)")
