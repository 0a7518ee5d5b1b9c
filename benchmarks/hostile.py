"""The cases of ``benchmarks/fuzz.py``: for each kind a function that fills a folder and says which commands open it.

The same random numbers make the same case. A command is a list of words behind ``nasctl``.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SEARCH = (
    "search --space vgg --strategy random --max-params 6k --trials 2 --epochs 1 --confirm 1 --confirm-epochs 1 "
    "--workers 1 --device cpu --quiet --no-floor --run r"
)
BLOCK, BOMB = bytes(1 << 24), 180
TEXTS = (
    "", " ", "-", "--", "-1", "0", "1e999", "nan", "inf", "-inf", "NaN", "null", "true", "1" * 5000, "9" * 400,
    "1e-400",
    "../..", "/dev/zero", "/dev/null", "/proc/self/mem", "/", ".", "~nouser", "~", "x" * 300, "x" * 70_000, "a\nb",
    "\t",
    "[/x]", "[red]x", "\x1b[31mx", "\u202ex", "$x$", "é", "\udcff", "%s%n", "{x}", "a,b,,c", "1,2;3", "a=b", "=",
    "*", "[", "(((", "\\", "digits", "resnet", "best", "r", "r:1", "r:", ":", "1", "2k", "3.5", "50kB", "1h", "25d",
    "auto",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 10**400, 1.5, 1e308, -0.0, "", "x", "x" * 100_000, "../../x",
    "/etc/passwd", "\x1b[31m[/x]\u202e", "1", [], [None], [[]], list(range(1000)), {}, {"x": None}, {"": {}}, "nan",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Case: what was made, in words; the commands that open it; and what ``status`` must list all the same."""

    text: str
    commands: Sequence[Sequence[str]]
    must_list: str | None = None


class Stock:
    """Stock of real and sound things that cases are made from; each is made once, when the first case needs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def run(self) -> Path:
        """A finished search."""
        self._nasctl(*SEARCH.split())
        return self.folder / "runs" / "r"

    @cached_property
    def model(self) -> Path:
        """The exported folder of its winner."""
        assert self.run.is_dir()
        self._nasctl("export", "--best", "--out", "model", "--run", "r")
        return self.folder / "model"

    @cached_property
    def bomb(self) -> tuple[bytes, int]:
        """Three billion zeros by deflate, and their checksum."""
        checksum = 0
        for _ in range(BOMB):
            checksum = zlib.crc32(BLOCK, checksum)
        return deflated(BOMB), checksum

    def _nasctl(self, *words: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "nas.cli", *words]
        where = {"NASCTL_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, **where}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def deflated(blocks: int) -> bytes:
    """So many blocks of zeros by deflate: all are packed alike, so one is."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    one = packer.compress(BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    return one * blocks + zlib.compressobj(1, zlib.DEFLATED, -15).flush()


Maker = Callable[[random.Random, Path, Stock], Case]
KINDS: dict[str, Maker] = {}


def kind(name: str) -> Callable[[Maker], Maker]:
    """Register the maker of the cases called ``name``."""

    def register(maker: Maker) -> Maker:
        KINDS[name] = maker
        return maker

    return register


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file of a small folder by its name."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


@kind("words")
def words(rng: random.Random, place: Path, stock: Stock) -> Case:
    """Command lines: any flags of a command, with values that nobody meant."""
    import typer

    from nas.cli.app import app

    program: Any = typer.main.get_command(app)
    name = rng.choice(["search", "train", "resume", "config", "status", "trials", "show", "space", "data", "export",
                       "predict", "evaluate", "analyze", "report", "compare", "rm", "lr-find"])  # fmt: skip
    line = [name]
    for _ in range(rng.randint(0, 4)):
        param = rng.choice(program.commands[name].params)
        value = rng.choice(TEXTS)
        if param.opts[-1] in ("--device", "--workers", "--watch", "--trust-plugin"):
            continue
        line += [value] if not param.opts[0].startswith("-") else [param.opts[0]]
        if param.opts[0].startswith("-") and not getattr(param, "is_flag", False):
            line.append(value)
    line += ["--dry-run"] * (name in ("search", "train")) + ["--no-timing"] * (name == "space")
    line = [word.replace("\0", "") for word in line]
    if name == "search" and "--space" not in line:
        line += ["--space", rng.choice(["vgg", "resnet", "cell"])]
    return Case("command line", [line])


def toml_of(value: Any) -> str:
    """TOML for nearly anything; at times not TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {toml_of(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return "null" if value is None else json.dumps(value)


@kind("settings")
def settings(rng: random.Random, place: Path, stock: Stock) -> Case:
    """A settings file: keys with values of other types, damaged TOML, or no file at all."""
    import typer

    from nas.cli.app import app

    program: Any = typer.main.get_command(app)
    file = place / "here" / "s.toml"
    keys = [opt[2:] for param in program.commands["search"].params for opt in param.opts if opt.startswith("--")]
    line = ["search", "--space", "vgg", "--dry-run", "--config", "s.toml"]
    lines = []
    for _ in range(rng.randint(1, 4)):
        key = rng.choice([*keys, "x", "", '"a b"', "a.b", "data.source", "[table]"])
        value = rng.choice(
            [*map(toml_of, VALUES), *map(json.dumps, TEXTS), "1979-05-27", "nan", "inf", "0x" + "f" * 600]
        )
        lines.append(f"{key} = {value}")
    what = rng.randrange(12)
    if what == 0:
        file.write_bytes(rng.randbytes(200))
    elif what == 1:
        file.write_text("x = " + rng.choice(["[", "{a=", '"']) * rng.choice([10, 5000, 200_000]))
    elif what == 2:
        odd_file(rng, file)
    elif what == 3:
        file.write_bytes(b"\xef\xbb\xbfepochs = 1\n" + rng.choice([b"", b"\0", b"\xff\xfe"]))
    elif what == 4:
        file.write_text(".".join(["a"] * 3000) + " = 1\n")
    else:
        file.write_text("\n".join(lines), errors="surrogatepass")
    return Case(f"settings {what}", [line])


def odd_file(rng: random.Random, path: Path) -> str:
    """Something at ``path`` that is no ordinary file."""
    what = rng.choice(["pipe", "socket", "zero", "loop", "folder", "nowhere", "closed", "tty"])
    if what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        with closing(socket.socket(socket.AF_UNIX)) as made:
            here = Path.cwd()
            os.chdir(path.parent)  # their paths are short
            made.bind(path.name)
            os.chdir(here)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to({"zero": "/dev/zero", "loop": path.name, "nowhere": "missing", "closed": "/proc/1/mem",
                         "tty": "/dev/full"}[what])  # fmt: skip
    return what


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every value of a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, one in inner for place in places_in(one, (*path, key))]


def changed(rng: random.Random, text: str) -> str:
    """A JSON document with one field removed, renamed, or given another value."""
    document = json.loads(text)
    places = places_in(document)
    if not places:
        return rng.choice(["", "[]", "null", "{", "[" * 100_000, '"x"'])
    *above, last = rng.choice(places)
    holder = document
    for key in above:
        holder = holder[key]
    what = rng.randrange(5)
    if what == 0:
        del holder[last]
    elif what == 1 and isinstance(holder, dict):
        holder[rng.choice(["", "x", f"{last} ", "__class__"])] = holder.pop(last)
    elif what == 2 and isinstance(holder[last], (int, float)):
        holder[last] = rng.choice([-1, 0, 1, 2, 10**12, -(10**12), 1e300, 0.5, 10**30])
    elif what == 3:
        return text.replace(
            json.dumps(holder[last]), rng.choice(["NaN", "Infinity", "1e999", "9" * 5000, "[" * 50_000]), 1
        )
    else:
        holder[last] = rng.choice(VALUES)
    return json.dumps(document)


SCHEMAS = (
    "DROP TABLE events",
    "ALTER TABLE events RENAME TO kept; CREATE VIEW events AS SELECT * FROM kept",
    "ALTER TABLE events RENAME TO kept; CREATE VIEW events AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 "
    "FROM c) SELECT x AS number, 'note' AS kind, '{\"text\": \"x\"}' AS body, 0.0 AS elapsed, 0.0 AS time, NULL AS "
    "history FROM c",
    "ALTER TABLE events RENAME TO kept; CREATE VIEW events AS SELECT number, kind, body, elapsed, time, "
    "zeroblob(1000000000) AS history FROM kept",
    "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events WHERE number > 1; END",
    "CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'no'); END",
    "ALTER TABLE events DROP COLUMN history", "ALTER TABLE events DROP COLUMN elapsed",
    "ALTER TABLE events ADD COLUMN more TEXT", "ALTER TABLE events RENAME COLUMN body TO text",
    "ALTER TABLE events RENAME TO kept; CREATE TABLE events (number TEXT, kind BLOB, body BLOB, elapsed TEXT, time "
    "TEXT, history BLOB); INSERT INTO events SELECT * FROM kept",
    "CREATE TABLE other (x); INSERT INTO other VALUES (1)",
    "CREATE INDEX i ON events (abs(length(body)))",
    "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql='CREATE TABLE events (number'",
    "PRAGMA writable_schema=ON; UPDATE sqlite_master SET rootpage=99999",
    "PRAGMA user_version=77", "PRAGMA application_id=99; PRAGMA user_version=-1",
)  # fmt: skip
ROWS = (
    "DELETE FROM events WHERE number={n}", "DELETE FROM events WHERE number>{n}",
    "DELETE FROM events WHERE number<={n}",
    "DELETE FROM events", "UPDATE events SET number=number+1000 WHERE number={n}", "UPDATE events SET number=-number",
    "UPDATE events SET number=9223372036854775807 WHERE number={n}",
    "INSERT INTO events (kind, body, elapsed, time, history) "
    "SELECT kind, body, elapsed, time, history FROM events WHERE "
    "number={n}", "UPDATE events SET kind='x' WHERE number={n}", "UPDATE events SET kind='' WHERE number={n}",
    "UPDATE events SET kind=(SELECT kind FROM events WHERE number={m}) WHERE number={n}",
    "UPDATE events SET kind=x'ff00' WHERE number={n}", "UPDATE events SET body=x'ff00fe' WHERE number={n}",
    "UPDATE events SET body=(SELECT body FROM events WHERE number={m}) WHERE number={n}",
    "UPDATE events SET body='' WHERE number={n}", "UPDATE events SET body='[]' WHERE number={n}",
    "UPDATE events SET body='null' WHERE number={n}", "UPDATE events SET body=7 WHERE number={n}",
    "UPDATE events SET elapsed='x' WHERE number={n}", "UPDATE events SET elapsed=9e999 WHERE number={n}",
    "UPDATE events SET elapsed=-1e300", "UPDATE events SET elapsed=x'00' WHERE number={n}",
    "UPDATE events SET time='x' WHERE number={n}", "UPDATE events SET time=1e300", "UPDATE events SET time=-9e999",
    "UPDATE events SET history='x'", "UPDATE events SET history='null'", "UPDATE events SET history='{{}}'",
    "UPDATE events SET history='[[]]'", "UPDATE events SET history=NULL",
    "UPDATE events SET history='[{{\"epoch\": null}}]'",
    "UPDATE events SET history=x'ff' WHERE kind='result'", "UPDATE events SET history=7 WHERE kind='result'",
)  # fmt: skip


def damage(rng: random.Random, log: Path) -> str:
    """Damage a log in one way; which."""
    what = rng.choices(["json", "rows", "schema", "bytes", "file"], [5, 3, 2, 2, 1])[0]
    if what == "bytes":
        content = bytearray(log.read_bytes())
        for _ in range(rng.choice([1, 3, 30])):
            place = rng.randrange(rng.choice([100, len(content)]))
            content[place] = rng.randrange(256)
        log.write_bytes(content[: rng.choice([len(content)] * 3 + [rng.randrange(len(content))])])
        return what
    if what == "file":
        log.unlink()
        return f"file: {odd_file(rng, log)}"
    with closing(sqlite3.connect(log, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        numbers = [number for (number,) in database.execute("SELECT number FROM events")]
        number, other = rng.choice(numbers), rng.choice(numbers)
        if what == "json":
            column = rng.choice(["body", "body", "body", "history"])
            ((kind, text),) = database.execute(f"SELECT kind, {column} FROM events WHERE number=?", (number,))
            text = changed(rng, text or "[]")
            database.execute(f"UPDATE events SET {column}=? WHERE number=?", (text, number))
            return f"json of {kind}"
        statement = rng.choice(SCHEMAS if what == "schema" else ROWS)
        if what == "rows":
            statement = statement.format(n=number, m=other)
        with suppress(sqlite3.Error):
            database.executescript(statement)
    return f"{what}: {statement[:60]}"


READERS = ("status", "status r", "trials r", "trials r --json", "show --run r", "show r:1 --json",
    "report r --out out.html",
           "config r", "compare r good", "status r --json", "trials r --csv", "resume", "resume r",
           "space --arch r:1 --no-timing", "train r --dry-run --epochs 1",
           "search --space vgg --learn-from r --dry-run",
           "rm r", "lr-find --arch r:1 --data nothing")  # fmt: skip


@kind("logs")
def logs(rng: random.Random, place: Path, stock: Stock) -> Case:
    """A run whose log was damaged, or made to do harm, beside one that is sound."""
    runs = place / "here" / "runs"
    for name in ("r", "good"):
        shutil.copytree(stock.run, runs / name)
    text = damage(rng, runs / "r" / "log.sqlite")
    if rng.randrange(12) == 0:
        (runs / "r" / "log.sqlite-wal").write_bytes(rng.choice([b"x", rng.randbytes(5000)]))
    chosen = [line.split() for line in ["status", *rng.sample(READERS, 2)]]
    return Case(text, chosen, must_list="good")


@kind("archives")
def archives(rng: random.Random, place: Path, stock: Stock) -> Case:
    """A zip or tar whose members climb out, are links or devices, explode, clash, or are damaged."""
    here = place / "here"
    outside = str(place / "outside" / "precious")
    odd = rng.choice(["../evil.png", "a/../../evil.png", outside, "a\\..\\..\\evil.png", "C:\\x.png",
        "a/" * 2000 + "x.png",
                      "x" * 300 + ".png", "a", "a/0.png/x.png", "\udcff.png", "\x1b[31m.png", "a/.png", "", "/", ".",
                      "a//b.png", "./a/1.png", "con", "a\n.png", "a/0.png"])  # fmt: skip
    name = rng.choice(["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.xz", "x.tar.bz2"])
    path, text = here / name, repr(odd)[:40]
    images = {f"{one}/{number}.png": png(rng) for one in "ab" for number in range(6)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, of names that come twice
        text = make_zip(rng, path, images, odd, stock) if name == "x.zip" else make_tar(rng, path, images, odd)
    if rng.randrange(4) == 0:
        content = bytearray(path.read_bytes()) or bytearray(b"x")
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        text += ", damaged"
    line = ["data", name, *rng.choice([[], [], ["--skip-broken"], ["--json"]])]
    return Case(f"{name} {text}", [line])


def make_zip(rng: random.Random, path: Path, images: dict[str, bytes], odd: str, stock: Stock) -> str:
    """A zip with something odd in it; what."""
    what = rng.choice(["name", "name", "link", "locked", "method", "bomb", "sizes", "empty", "many"])
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in images.items() if what != "empty" else ():
            packed.writestr(name, content)
        if what == "name":
            with suppress(UnicodeEncodeError):
                packed.writestr(zipfile.ZipInfo(odd), png(rng))
        if what == "link":
            info = zipfile.ZipInfo("a/link.png")
            info.external_attr = (rng.choice([stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR]) | 0o777) << 16
            packed.writestr(info, "../../outside/precious")
        if what == "many":
            for number in range(3000):
                packed.writestr(f"a/{number}.txt", b"")
    content = bytearray(path.read_bytes())
    if what in ("locked", "method", "sizes"):
        place = content.rindex(b"PK\1\2")
        struct.pack_into(
            "<H", content, place + {"locked": 8, "method": 10, "sizes": 24}[what], {"locked": 1}.get(what, 99)
        )
        path.write_bytes(content)
    if what == "bomb":
        explode(path, "a/bomb.png", stock)
    return what


def explode(path: Path, name: str, stock: Stock) -> None:
    """A zip whose one member, 3 GB of zeros, says so."""
    size, (raw, crc) = BOMB << 24, stock.bomb
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, crc, len(raw), size, len(name), 0)
    local = b"PK\3\4" + common + name.encode()
    central = b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(raw), 0)
    path.write_bytes(local + raw + central + end)


def make_tar(rng: random.Random, path: Path, images: dict[str, bytes], odd: str) -> str:
    """A tar with something odd in it; what."""
    what = rng.choice(["name", "name", "symlink", "hardlink", "device", "pipe", "size", "empty", "sparse", "header"])
    end = path.name.rpartition(".")[2].replace("tgz", "gz")
    with tarfile.open(
        path, f"w:{end if end != 'tar' else ''}", format=rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    ) as tar:
        for name, content in images.items() if what != "empty" else ():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo(odd if what == "name" else "a/odd.png")
        info.type = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE,
                     "pipe": tarfile.FIFOTYPE, "sparse": tarfile.GNUTYPE_SPARSE}.get(what, tarfile.REGTYPE)  # fmt: skip
        info.linkname = rng.choice(["../../outside/precious", "/etc/passwd", "a/odd.png", ""])
        if what != "empty":
            with suppress(ValueError, UnicodeError):
                tar.addfile(info)
        if what in ("size", "header"):
            info = tarfile.TarInfo("a/last.png")
            info.size = rng.choice([1 << 33, 1 << 20, 1 << 62])
            assert tar.fileobj is not None
            with suppress(ValueError):
                tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT) if what == "size" else rng.randbytes(512))
    return what


def png(rng: random.Random, size: tuple[int, int] = (8, 8)) -> bytes:
    """A small grey picture that is like no other."""
    content = io.BytesIO()
    Image.frombytes("L", size, rng.randbytes(size[0] * size[1])).save(content, "PNG")
    return content.getvalue()


@kind("npz")
def npz(rng: random.Random, place: Path, stock: Stock) -> Case:  # noqa: C901 - a branch for each kind of harm
    """An .npz file that explodes, is locked, or holds arrays of other kinds and shapes."""
    path = place / "here" / "x.npz"
    numbers = np.random.default_rng(rng.randrange(2**32))
    arrays: dict[str, Any] = {"images": numbers.integers(0, 256, (24, 8, 8), np.uint8), "labels": np.arange(24) % 3}
    what = rng.choice(["array", "array", "array", "array", "header", "bomb", "locked", "method", "npy", "pickle", "odd",
                       "damaged", "names"])  # fmt: skip
    name = rng.choice(["images", "labels", "test_images", "test_labels", "class_names", "synthetic"])
    if what == "array":
        arrays[name] = odd_array(rng, numbers)
    if what == "pickle":
        arrays[name] = np.array([print, {}], dtype=object)
    if what == "names":
        arrays |= {rng.choice(["../x", "x" * 300, "images.npy", "", "IMAGES", "/etc/x"]): arrays["images"]}
    if what == "npy":
        with path.open("wb") as file:
            np.save(file, arrays["images"])
    elif what == "odd":
        what += " " + odd_file(rng, path)
    else:
        with path.open("wb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (np.savez_compressed if rng.randrange(2) else np.savez)(file, **arrays)
    if what == "header":
        shape = rng.choice(["(1099511627776, 8, 8)", "(-1, 8, 8)", "('x',)", "5", "(24,8,8", "(9,)*9", "(0, 0, 0)",
            "(" * 900,
                            "(24.0, 8, 8)", "(1,)", "(True, 8)"])  # fmt: skip
        dtype = rng.choice(
            ["'|u1'", "'<f8'", "'|O'", "'x'", "[('a', '|u1')]", "None", "'<U1000000'", "'|V9'", "'<M8[s]'"]
        )
        text = f"{{'descr': {dtype}, 'fortran_order': {rng.choice(['False', 'True', '7'])}, 'shape': {shape}, }}\n"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(
                f"{rng.choice(['images', 'labels'])}.npy",
                b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode(),
            )
            packed.writestr("labels.npy", rng.choice([b"", b"x", b"\x93NUMPY\x03\x00\xff\xff\xff\x7f"]))
    if what == "bomb":
        explode(path, "images.npy", stock)
    if what in ("locked", "method"):
        content = bytearray(path.read_bytes())
        for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            struct.pack_into(
                "<H", content, content.index(mark) + at + 2 * (what == "method"), 1 if what == "locked" else 97
            )
        path.write_bytes(content)
    if what == "damaged":
        content = bytearray(path.read_bytes())
        for _ in range(rng.randint(1, 20)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
    return Case(f"npz {what} {name}", [["data", "x.npz", *rng.choice([[], [], ["--json"], ["--grey"]])]])


def odd_array(rng: random.Random, numbers: np.random.Generator) -> Any:
    """An array that is no set of images, nor labels."""
    shape = rng.choice([(), (0,), (24,), (24, 1), (24, 3), (1, 8, 8), (24, 8, 8), (24, 8, 8, 3), (24, 3, 8, 8), (24,
        0, 8),
                        (24, 8, 8, 7), (2,) * 7, (0, 8, 8), (24, 1, 1), (23, 8, 8)])  # fmt: skip
    dtype = rng.choice(["u1", "i1", "i8", "u8", "f2", "f4", "f8", "c16", "?", "S3", "U3", "M8[s]", "m8[s]", "V4",
                        [("a", "u1"), ("b", "f4")]])  # fmt: skip
    values = numbers.integers(0, 256, (*shape, 16), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = (
            values[..., 0].astype(dtype)
            if dtype not in ("f4", "f8")
            else values.astype("f8")[..., 0].astype(dtype) / 0.0
        )
        if dtype in ("i8", "u8") and rng.randrange(2):
            made = made + np.asarray(2**62, dtype)
    return made


@kind("images")
def images(rng: random.Random, place: Path, stock: Stock) -> Case:  # noqa: C901 - a branch for each kind of harm
    """A folder of pictures with something in it that is truncated, absurdly large, endless, or a circle."""
    data = place / "here" / "photos"
    for name in "abc":
        (data / name).mkdir(parents=True)
        for number in range(7):
            (data / name / f"{number}.png").write_bytes(png(rng))
    odd = data / "a" / rng.choice(["odd.png", "odd.jpg", "odd", "odd.gif", "odd.tif"])
    what = rng.choice(["special", "special", "damaged", "damaged", "huge", "huge", "frames", "deep", "circle",
        "long", "text",
                       "modes"])  # fmt: skip
    if what == "special":
        what += " " + odd_file(rng, odd)
    elif what == "damaged":
        content = bytearray(photo(rng))
        for _ in range(rng.choice([0, 1, 10])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        odd.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
    elif what == "huge":
        what += " " + huge(rng, odd)
    elif what == "frames":
        frames = [Image.frombytes("L", (16, 16), rng.randbytes(256)) for _ in range(rng.choice([2, 300]))]
        frames[0].save(odd, rng.choice(["GIF", "TIFF", "WEBP", "PNG"]), save_all=True, append_images=frames[1:])
    elif what == "deep":
        here, depth = os.open(data, os.O_RDONLY), rng.choice([200, 990])
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("1.png", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
    elif what == "circle":
        odd.symlink_to(rng.choice([".", "..", "../..", "/", "../b", odd.name, "../b/1.png"]))
    elif what == "long":
        odd.with_name("x" * 250 + ".png").write_bytes(png(rng))
    elif what == "text":
        odd.write_text(
            rng.choice(["<svg>", "%PDF-1.7", "P2 9999999 9999999 255\n", "P5 99999 1 65535\n", "#!/bin/sh", "\0" * 9])
        )
    else:
        mode = rng.choice(["1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I;16", "I", "F", "YCbCr", "LAB"])
        form = rng.choice(["PNG", "TIFF", "JPEG", "GIF", "BMP", "ICO", "PPM", "JPEG2000", "WEBP", "TGA", "PCX", "SGI"])
        with suppress(OSError, ValueError, KeyError):
            Image.new(mode, rng.choice([(1, 1), (8, 8), (1, 3000), (700, 2)])).save(odd, form)
    line = [
        "data",
        "photos",
        *rng.choice([[], ["--skip-broken"], ["--image-size", "8x8"], ["--skip-broken", "--image-size", "8"]]),
    ]
    return Case(f"images {what}", [line])


def photo(rng: random.Random) -> bytes:
    """A small picture of any common format."""
    content = io.BytesIO()
    image = Image.frombytes("RGB", (32, 32), rng.randbytes(3072))
    image.save(
        content, rng.choice(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "ICO", "JPEG2000", "PCX", "TGA"])
    )
    return content.getvalue()


def huge(rng: random.Random, path: Path) -> str:
    """A small file that says it holds very many pixels, and at times holds them."""
    width, height, mode = rng.choice([(60_000, 60_000, 0), (13_000, 13_000, 6), (13_000, 13_000, 0), (2**31 - 1, 1,
        0), (9_400, 9_400, 6),
                                      (170_000_000, 1, 2), (0, 0, 0)])  # fmt: skip
    row = (width * {0: 1, 2: 3, 6: 4}[mode]) + 1
    body = b""
    if 0 < row * height < 800_000_000:
        blocks = -(-row * height // len(BLOCK))
        checksum = 1
        for _ in range(blocks):
            checksum = zlib.adler32(BLOCK, checksum)
        body = b"\x78\x01" + deflated(blocks) + struct.pack(">I", checksum)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return f"{width}x{height} of type {mode}"


@kind("names")
def names(rng: random.Random, place: Path, stock: Stock) -> Case:
    """Classes, files and runs with names that are no text, too long, or that terminals and markup take for commands."""
    data = place / "here" / "photos"
    odd = rng.choice(
        [text for text in TEXTS if text not in ("", ".", "..", "/") and len(text) < 250 and "/" not in text]
    )
    for name in ("a", odd):
        (data / name).mkdir(parents=True, exist_ok=True)
        for number in range(7):
            (data / name / f"{number}.png").write_bytes(png(rng))
    (data / "a" / f"{odd}.png").write_bytes(rng.choice([png(rng), b"x"]))
    source = rng.choice(["photos", f"photos/{odd}", "./photos"])
    lines = [
        ["data", source], ["data", "photos", "--json", "--skip-broken"], ["status", "--run", odd], ["show", odd],
        ["data", "photos", "--skip-broken", "--plot", "out.png"], ["data", "photos", "--skip-broken", "--write",
        "out.npz"],
        ["search", "--space", "vgg", "--data", "photos", "--skip-broken", "--run", odd, "--dry-run"], ["report", odd],
    ]  # fmt: skip
    return Case(f"name {odd!r:.40}", rng.sample(lines, 2))


@kind("model")
def model(rng: random.Random, place: Path, stock: Stock) -> Case:  # noqa: C901 - a branch for each kind of harm
    """An exported folder, or the weights of a run, with a file that was changed."""
    here = place / "here"
    shutil.copytree(stock.model, here / "model")
    shutil.copytree(stock.run, here / "runs" / "r")
    for name in "012":
        (here / "photos" / name).mkdir(parents=True)
        for number in range(4):
            (here / "photos" / name / f"{number}.png").write_bytes(png(rng))
    of_run = sorted((here / "runs" / "r" / "weights").iterdir())
    file = rng.choice([*(here / "model" / name for name in ("weights.safetensors", "model.json", "model.json",
        "model.json",
                       "model.onnx", "trained_on.npy")), *of_run, here / "runs" / "r" / "analysis"])  # fmt: skip
    lines = [["predict", "model", "photos/0/1.png"], ["evaluate", "model", "--data", "photos"]]
    if file.name == "weights.safetensors":
        lines = [["analyze", "model", "--data", "photos", "--out", "out"]]
    text = file.name
    if file.is_dir():
        inner = sorted(path for path in file.rglob("*") if path.suffix == ".json")
        inner[0].write_text(changed(rng, inner[0].read_text()), errors="surrogatepass")
        lines = [["report", "r", "--out", "out.html"]]
    elif file.suffix == ".safetensors":
        text += " " + change_weights(rng, file)
    elif file.suffix == ".json" and rng.randrange(8):
        file.write_text(changed(rng, file.read_text()), errors="surrogatepass")
    elif file.suffix == ".npy" and rng.randrange(2):
        np.save(file, np.array([print], dtype=object) if rng.randrange(2) else odd_array(rng, np.random.default_rng(0)))
    elif rng.randrange(3):
        content = bytearray(file.read_bytes())
        for _ in range(rng.randint(1, 40)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        file.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
    else:
        file.unlink()
        text += " " + odd_file(rng, file)
    if file in of_run:
        lines = [["analyze", "r", "--out", "out"], ["analyze", f"r:{file.stem}", "--out", "out2"]]
    return Case(f"model {text}", lines)


def change_weights(rng: random.Random, file: Path) -> str:
    """Change a file of weights; how."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save

    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata() or {})
    state = load_file(file)
    name = rng.choice(sorted(state))
    what = rng.choice(
        ["missing", "surplus", "shape", "nan", "dtype", "normalization", "normalization", "bytes", "header"]
    )
    if what == "missing":
        del state[name]
    elif what == "surplus":
        state["x" * rng.choice([1, 5000])] = torch.zeros(rng.choice([1, 1000]))
    elif what == "shape":
        state[name] = torch.zeros(rng.choice([(0,), (1,), (7, 7), (1, 2, 3, 4, 5)]))
    elif what == "nan":
        state[name] = torch.full_like(state[name].float(), rng.choice([float("nan"), float("inf"), 1e38]))
    elif what == "dtype":
        state[name] = state[name].to(
            rng.choice([torch.int8, torch.bool, torch.float64, torch.float16, torch.complex64])
        )
    elif what == "normalization":
        metadata["normalization"] = rng.choice([
            '{"mean": [NaN], "std": [1]}', '{"mean": [0.5], "std": [0]}', '{"mean": [0.5, 0.5], "std": [1, 1]}',
            '{"mean": [], "std": []}', '{"mean": ["x"], "std": ["y"]}', "{}", "[]", "null", "", "[" * 100_000,
            '{"mean": 1, "std": 2}', '{"mean": [1e300], "std": [1e-300]}', '{"mean": [null], "std": [null]}',
            '{"mean": [0.1], "std": [-1]}', '{"mean": "1", "std": "1"}',
        ])  # fmt: skip
    content = bytearray(save(state, metadata))
    if what == "bytes":
        content = content[: rng.randrange(len(content))]
    if what == "header":
        content[rng.randrange(200)] = rng.randrange(256)
        struct.pack_into("<Q", content, 0, rng.choice([0, 2**63, len(content), 5]))
    file.write_bytes(content)
    return what


@kind("cache")
def cache(rng: random.Random, place: Path, stock: Stock) -> Case:
    """A cache of decoded images in which a file was changed: it is made anew, or refused by name."""
    root = place / "home" / "cache"
    shutil.copytree(stock.folder / "cache", root) if stock.run.exists() else None
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")
    file = rng.choice(files)
    text = f"cache {file.relative_to(root).parts[0]} {file.suffix}"
    what = rng.randrange(5)
    if what == 0:
        file.unlink()
        text += f" {odd_file(rng, file)}"
    elif what == 1:
        file.write_bytes(rng.choice([b"", b"x", b"null", b"[]", b"{}", rng.randbytes(999)]))
    elif file.suffix == ".json":
        first, between, rest = file.read_text().partition("\n")
        body = rest if between and rest else first
        with suppress(ValueError):
            body = changed(rng, body)
        crc = f"{zlib.crc32(body.encode(errors='surrogatepass'))}\n" if between and rest else ""
        file.write_text(crc + body, errors="surrogatepass")
    elif file.suffix == ".npy" and what == 2:
        np.save(file, odd_array(rng, np.random.default_rng(0)), allow_pickle=False)
        for seal in file.parent.glob("decoded.json"):
            sealed = json.loads(seal.read_text())
            if file.name in sealed["files"]:
                sealed["files"][file.name] = [file.stat().st_size, zlib.crc32(file.read_bytes())]
                seal.write_text(json.dumps(sealed))
    else:
        content = bytearray(file.read_bytes()) or bytearray(b"x")
        content[rng.randrange(len(content))] ^= 255
        file.write_bytes(content)
    return Case(
        text,
        [["data", "digits"], rng.choice([["cache"], ["search", "--space", "vgg", "--dry-run"], ["cache", "--clean"]])],
    )
