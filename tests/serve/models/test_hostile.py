"""Pictures that are made to harm: each is refused in a sentence, and the next request answered."""

from __future__ import annotations

import io
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from PIL import Image

from leaven.core.errors import SettingError
from leaven.evaluate.run import Run
from leaven.serve.models.answering import Settings
from leaven.serve.models.heads import HEAD
from leaven.serve.models.limits import Limits
from tests.serve.models.released import Client, release, served


@pytest.fixture(scope="module")
def client(pictures: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = str(tmp_path_factory.mktemp("hostile") / "leaven.db")
    release(pictures, store)
    limits = Limits(pixels=10_000, all_pixels=20_000)
    with served(store, "digits", settings=Settings(limits=limits)) as made:
        yield made


def sent(client: Client, *files: bytes) -> httpx.Response:
    names = "../../../etc/passwd", "<script>.png"
    told = [("file", (names[i % 2], one, "image/png")) for i, one in enumerate(files)]
    return client.post("/predict", files=told)


def png(side: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("L", (side, side)).save(stream, kind)
    return stream.getvalue()


def chunk(name: bytes, told: bytes) -> bytes:
    return struct.pack(">I", len(told)) + name + told + struct.pack(">I", zlib.crc32(name + told))


def headed(width: int, height: int) -> bytes:
    """A picture whose header promises more than there is."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


def stuffed(name: bytes) -> bytes:
    """A small picture with 100 MB of text in it, which are 100 kB packed."""
    small = png(8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b"a" * 10_000_000) for _ in range(10)) + packer.flush()
    return small[:33] + chunk(name, b"c\0\0" + packed) + small[33:]


HOSTILE = {
    "too many pixels": headed(50_000, 50_000),
    "no pixels": headed(90, 90),
    "nothing wide": headed(0, 5),
    "packed text": stuffed(b"zTXt"),
    "packed profile": stuffed(b"iCCP"),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "html": b"<script>alert(1)</script>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_refused_in_a_sentence(client: Client, name: str):
    answer = sent(client, HOSTILE[name])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Record 1 ")
    assert "<script" not in answer.text
    assert sent(client, png(8)).status_code == 200


def test_many_large_pictures_in_few_bytes_are_refused_before_one_is_decoded(client: Client):
    """Each may be sent alone; together they would keep the model from all others for minutes."""
    one = png(100)
    assert sent(client, one, one).status_code == 200
    asked = client.service.batcher.accepted
    refused = sent(client, *[one] * 3)
    assert refused.status_code == 413
    assert "have 20 000 pixels at most together" in refused.json()["error"]
    assert client.service.batcher.accepted == asked


def test_the_bounds_of_pictures_agree():
    with pytest.raises(SettingError, match="'all_pixels' must be at least `pixels`"):
        Limits(pixels=10, all_pixels=9)


_CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: ",
        _CHUNKED + b"1\r\n{\r\n0\r\nX: ",
        _CHUNKED + b"1;a=",
    ],
    ids=["head", "trailer", "chunk"],
)
def test_a_head_without_end_is_not_kept(client: Client, begin: bytes):
    port = int(str(client.base_url).rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line, suppress(OSError):
        line.sendall(begin)
        sent = 0
        while sent < 100 * HEAD:
            line.sendall(b"a" * 4096)
            sent += 4096
    assert sent < 100 * HEAD, "the server ends the connection"
    assert client.get("/v2/health/live").status_code == 200
