"""CIFAR-10 in every official form, whole, damaged and forged."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cifar_files import (
    binary_files,
    make_official,
    python2_batch,
    python_files,
    small_records,
    write_archive,
    write_folder,
)
from cifarlab.data import cifar, load_dataset
from cifarlab.errors import DataError

RECORDS = small_records()
REAL_FINGERPRINT = "sha256:c17474d5b84595e2f9d907598000887095a4a1a2610157c4a0a14dee4095425d"


def assert_is_records(data) -> None:
    train = np.concatenate([RECORDS[batch] for batch in cifar.BATCHES[:5]])
    assert data.train.labels.tolist() == train[:, 0].tolist()
    np.testing.assert_array_equal(
        data.train.images, train[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(data.open_test().labels, RECORDS["test_batch"][:, 0])


def test_the_real_data_is_read_whole(real_data: Path) -> None:
    data = load_dataset("cifar10")
    assert data.train.images.shape == (50_000, 32, 32, 3)
    assert np.bincount(data.train.labels).tolist() == [5_000] * 10
    assert np.bincount(data.open_test().labels).tolist() == [1_000] * 10
    assert data.class_names == cifar.CLASS_NAMES
    means = data.train.images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.49140, 0.48216, 0.44653], atol=1e-5)
    assert data.fingerprint == REAL_FINGERPRINT
    assert load_dataset(real_data / "cifar-10-batches-bin").name == "cifar10"


@pytest.mark.parametrize(
    "files",
    [
        binary_files(RECORDS),
        python_files(RECORDS, protocol=2),
        python_files(RECORDS, protocol=5),
        {batch: python2_batch(rows) for batch, rows in RECORDS.items()},
    ],
    ids=["binary", "python, protocol 2", "python, protocol 5", "python 2"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_every_form_gives_the_same_data(tmp_path: Path, files: dict, packed: bool) -> None:
    write = write_archive if packed else write_folder
    data = load_dataset(write(tmp_path / "mine.tar.gz", files))
    assert_is_records(data)
    assert data.name == "mine"
    assert "not the official data" in data.notes[0]


def test_a_plain_tar_and_one_without_a_folder_inside_are_read(tmp_path: Path) -> None:
    packed = write_archive(tmp_path / "a.tgz", binary_files(RECORDS), inside="")
    import gzip

    (tmp_path / "a.tar").write_bytes(gzip.decompress(packed.read_bytes()))
    assert_is_records(load_dataset(packed))
    assert_is_records(load_dataset(tmp_path / "a.tar"))


def test_class_names_come_from_the_meta_file(tmp_path: Path) -> None:
    files = binary_files(RECORDS) | {"batches.meta.txt": "\n".join("abcdefghij").encode()}
    assert load_dataset(write_folder(tmp_path / "a", files)).class_names == tuple("abcdefghij")
    files["batches.meta.txt"] = b"cat\ndog\n"
    with pytest.raises(DataError, match=r"batches\.meta\.txt has 2 class names"):
        load_dataset(write_folder(tmp_path / "b", files))


def test_other_sizes_are_resized_and_remember_theirs(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine", binary_files(RECORDS))
    train = load_dataset(folder, image_size=16).train
    assert train.images.shape == (100, 16, 16, 3)
    assert train.original_sizes is not None
    assert train.original_sizes.tolist() == [[32, 32]] * 100
    # antialiased: noise shrunk by two loses much of its deviation, which dropping pixels would keep
    assert train.images.std() < 0.7 * load_dataset(folder).train.images.std()


def test_a_partial_folder_names_what_is_missing(tmp_path: Path) -> None:
    files = binary_files(RECORDS)
    del files["data_batch_3.bin"], files["test_batch.bin"]
    with pytest.raises(DataError, match=r"no data_batch_3\.bin and no test_batch\.bin"):
        load_dataset(write_folder(tmp_path / "a", files))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RECORDS["data_batch_2"].tobytes()[:-1], "no whole number of 3,073-byte records"),
        (b"", "is empty"),
        (b"\x0a" + bytes(3072), "has the label 10"),
    ],
)
def test_a_damaged_binary_batch_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    files = binary_files(RECORDS) | {"data_batch_2.bin": content}
    with pytest.raises(DataError, match=rf"data_batch_2\.bin .*{message}"):
        load_dataset(write_folder(tmp_path / "a", files))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.999])
def test_a_truncated_archive_is_refused(tmp_path: Path, keep: float) -> None:
    path = write_archive(tmp_path / "cifar-10-binary.tar.gz", binary_files(RECORDS))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is damaged or cut off.*again"):
        load_dataset(path)


def test_a_flipped_bit_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar.gz", binary_files(RECORDS))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or cut off"):
        load_dataset(path)


def test_what_is_called_official_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_official(monkeypatch, RECORDS)
    changed = RECORDS | {"data_batch_4": RECORDS["data_batch_4"][::-1]}
    for form in (binary_files, python_files):
        files = form(changed)
        folder = write_folder(tmp_path / form.__name__ / "cifar-10-batches-py", files)
        with pytest.raises(DataError, match=r"data_batch_4 is not the official .* SHA-256"):
            load_dataset(folder)
        own = folder.rename(folder.with_name("mine"))
        assert load_dataset(own).name == "mine"
    smaller = write_folder(tmp_path / "b" / "cifar-10-batches-bin", binary_files(small_records(10)))
    assert len(load_dataset(smaller).train) == 50


def test_only_plain_members_in_their_place_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    forged = np.zeros((20, 3073), np.uint8).tobytes()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in binary_files(RECORDS).items():
            for place in (f"../{name}", f"/{name}", f"a/b/{name}"):
                member = tarfile.TarInfo(place)
                member.size = len(forged)
                archive.addfile(member, io.BytesIO(forged))
            link = tarfile.TarInfo(f"links/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert_is_records(load_dataset(path))
    assert sorted(tmp_path.iterdir()) == [path]  # nothing was extracted


def test_an_archive_that_holds_a_batch_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for folder in ("a", "b"):
            archive.addfile(tarfile.TarInfo(f"{folder}/test_batch"), io.BytesIO())
    with pytest.raises(DataError, match="holds test_batch twice"):
        load_dataset(path)


def test_what_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    member = tarfile.TarInfo("a/data_batch_1.bin")
    member.size = 2**40
    path.write_bytes(member.tobuf())
    with pytest.raises(DataError, match="this is not it"):
        load_dataset(path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no CIFAR-10 batches"):
        load_dataset(write_archive(tmp_path / "a.tar.gz", {"train": b"", "test": b""}))


@pytest.mark.filterwarnings("error")
def test_python_2_batches_are_read_without_a_warning_of_numpy(tmp_path: Path) -> None:
    files = {batch: python2_batch(rows) for batch, rows in RECORDS.items()}
    assert_is_records(load_dataset(write_folder(tmp_path / "a", files)))


class Runs:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("file", ["data_batch_1", "batches.meta"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_runs_code_runs_none(tmp_path: Path, file: str, protocol: int) -> None:
    trace = tmp_path / "trace"
    files = python_files(RECORDS) | {file: pickle.dumps({"data": Runs(trace)}, protocol)}
    with pytest.raises(DataError, match=rf"{file} is refused: it asks to run '[\w.]+'") as caught:
        load_dataset(write_folder(tmp_path / "a", files))
    assert not trace.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02}q", "is damaged"),
        (b"not a pickle", "is damaged"),
        (pickle.dumps([1, 2]), "holds no mapping"),
        (pickle.dumps({"data": np.zeros((1, 3072)), "labels": [1]}), "is damaged"),
        (pickle.dumps({"labels": [1]}), "has no uint8 array 'data'"),
        (pickle.dumps({"data": np.zeros((1, 3071), np.uint8), "labels": [1]}), "3071 bytes"),
        (
            pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}),
            "one label for each",
        ),
        (
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}),
            "labels other than",
        ),
        (
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]}),
            "labels other than",
        ),
        (pickle.dumps({"data": np.array([[{}]]), "labels": [1]}), "is damaged"),
        (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft\x85R.", "is damaged"),
        (b"\x80\x02cnumpy\ndtype\n(U\x01OtR.", "is damaged"),
        (b"\x80\x02}r\xff\xff\xff\x3f.", "instruction LONG_BINPUT '1073741823'"),
        (b"(ios\nsystem\n.", "instruction INST 'os system'"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
    ],
)
def test_a_damaged_pickle_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    files = python_files(RECORDS) | {"data_batch_2": content}
    with pytest.raises(DataError, match=f"data_batch_2 .*{message}"):
        load_dataset(write_folder(tmp_path / "a", files))
