"""Folders of class folders and CSV files: what is read, what is refused, what is sealed off."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab.data import Dataset, load_dataset
from cifarlab.data.find import find_images
from cifarlab.errors import DataError

GOLDEN = ["cat/0.png", "cat/8.png", "dog/5.png", "dog/7.png"]  # of ten images each of cats and dogs


def paint(path: Path, shade: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
    """Write a grey image of ``size`` (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade,) * 3).save(path)
    return path


def classes(root: Path, *names: str, images: int = 10) -> Path:
    """Class folders; an image's shade tells its class and number: 40 * class + number."""
    for label, name in enumerate(names):
        for number in range(images):
            paint(root / name / f"{number}.png", 40 * label + number)
    return root


def load(path: Path, **options) -> Dataset:
    return load_dataset(path, **{"image_size": 8, **options})


def shades(split) -> list[int]:
    return sorted(split.images[:, 0, 0, 0].tolist())


def test_classes_without_splits_have_a_test_split_sealed_off(tmp_path: Path) -> None:
    root = classes(tmp_path / "pets", "dog", "cat")
    data = load(root)
    assert data.class_names == ("cat", "dog")
    assert (data.name, data.source, data.fit) == ("pets", str(root), "crop")
    assert (len(data.train), data.test_size, data.validation) == (16, 4, None)
    test = data.open_test()
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert sorted(shades(data.train) + shades(test)) == [*range(10), *range(40, 50)]
    np.testing.assert_array_equal(data.train.labels == 0, data.train.images[:, 0, 0, 0] >= 40)
    assert "no test split was given: 4 images (20% of each class" in data.notes[0]


def test_the_sealed_test_never_changes(tmp_path: Path) -> None:
    """The same files on every machine, and hardly others when images are added."""
    root = classes(tmp_path / "pets", "cat", "dog")
    assert load(root).open_test().names.tolist() == GOLDEN
    paint(root / "cat" / "new.png", 99)
    paint(root / "bird" / "1.png", 100)
    paint(root / "bird" / "2.png", 101)
    kept = {name for name in load(root).open_test().names.tolist() if name[:4] != "bird"}
    assert set(GOLDEN) <= kept


def test_labels_are_those_of_the_folders_names(tmp_path: Path) -> None:
    """Over splits too, whatever the order of the folders on the disk."""
    for split, names in (("train", "abc"), ("valid", "cab"), ("TEST", "bca")):
        for name in names:
            for number in range(2):
                paint(tmp_path / split / name / f"{number}.png", "abc".index(name))
    data = load(tmp_path)
    assert data.validation is not None
    for split in (data.train, data.validation, data.open_test()):
        assert split.images[:, 0, 0, 0].tolist() == split.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.notes == ()


def test_class_names_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert load(classes(tmp_path, "10", "9", "1")).class_names == ("1", "9", "10")


def test_a_class_of_trains_is_no_split(tmp_path: Path) -> None:
    assert load(classes(tmp_path, "train", "bus", "test")).class_names == ("bus", "test", "train")


def test_images_in_folders_below_and_other_files(tmp_path: Path) -> None:
    root = classes(tmp_path / "pets", "cat", "dog", images=3)
    paint(root / "cat" / "more" / "deep" / "3.JPG")
    for hidden in (".DS_Store", "cat/.hidden.png", "cat/._1.png", ".git/x.png", "__MACOSX/1.png"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_text("no image")
    (root / "dog" / "notes.txt").write_text("good dogs")
    data = load(root)
    assert len(data.train) + data.test_size == 7
    assert data.notes[0] == "1 file(s) that are no images were left out, such as dog/notes.txt"
    (root / "cat" / "round").symlink_to(root / "cat", target_is_directory=True)
    note, _ = load(root).notes
    assert note == "2 file(s) that are no images were left out, such as cat/round"


def test_images_are_fitted_and_their_sizes_kept(tmp_path: Path) -> None:
    root = classes(tmp_path, "a", "b", images=2)
    paint(root / "a" / "0.png", size=(30, 20))
    for fit in ("crop", "stretch", "pad"):
        data = load(root, fit=fit, image_size=12)
        assert (data.image_size, data.fit) == (12, fit)
        splits = (data.train, data.open_test())
        sizes = {
            str(name): size.tolist()
            for split in splits
            for name, size in zip(split.names, split.original_sizes, strict=True)
        }
        assert sizes.pop("a/0.png") == [20, 30]
        assert list(sizes.values()) == [[8, 8]] * 3


def build(root: Path, *folders: str) -> None:
    root.mkdir()
    for folder in folders:
        (root / folder).mkdir(parents=True)
        if folder != "empty":
            paint(root / folder / "1.png")
            paint(root / folder / "2.png")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ([], r"has no class folders with images; put"),
        (["a"], r"has one class only \('a'\); a classifier needs two or more"),
        (["a", "b", "empty"], r"empty has no images; add some, or remove the folder"),
        (["test/a", "test/b"], r"has test/ but no train/"),
        (
            ["train/a", "train/b", "val/a", "val/b", "valid/a"],
            r"two validation splits, val/ and",
        ),
        (["train/a", "train/b", "test/a", "test/c"], r"class 'c' is in test but not in train"),
        (["train/a", "train/b", "test/a"], r"class 'b' is in train alone; add .* to test"),
    ],
)
def test_a_folder_that_cannot_be_learned_from(tmp_path: Path, folders: list, message: str) -> None:
    build(tmp_path / "root", *folders)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "root")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_may_have_a_name_that_is_no_text_but_a_class_may_not(tmp_path: Path) -> None:
    root, odd = classes(tmp_path / "pets", "cat", "dog"), os.fsdecode(b"caf\xe9")
    paint(root / "cat" / f"{odd}.png")
    assert len(load(root).train) + load(root).test_size == 21
    (root / "cat").rename(root / odd)
    with pytest.raises(DataError, match=r"the folder 'caf\\udce9' has no name in UTF-8"):
        load(root)


def test_a_class_of_one_image_cannot_be_split(tmp_path: Path) -> None:
    root = classes(tmp_path, "a", "b")
    paint(root / "rare" / "1.png")
    with pytest.raises(DataError, match="class 'rare' has one image; a class needs two or more"):
        load(root)


def test_loose_images_are_told_where_to_go(tmp_path: Path) -> None:
    paint(tmp_path / "1.png")
    with pytest.raises(DataError, match="has images but no class folders; put the images of each"):
        load(tmp_path)


def test_folders_beside_splits_are_noted(tmp_path: Path) -> None:
    for split in ("train", "test"):
        classes(tmp_path / split, "a", "b")
    classes(tmp_path, "extra")
    assert load(tmp_path).notes == ("folders beside the splits were left out: extra",)


def test_unreadable_images_are_named(tmp_path: Path) -> None:
    root = classes(tmp_path, "a", "b", images=3)
    (root / "a" / "1.jpg").write_text("I am a text file")
    content = (root / "b" / "1.png").read_bytes()
    (root / "b" / "1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a/1\.jpg: it is not a .*; or remove it") as caught:
        load(root)
    (root / "a" / "1.jpg").unlink()
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"b/1\.png: the image is damaged or cut off"):
        load(root)


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = classes(tmp_path / "pets", "cat", "dog")
    paint(root / "cat" / "closed" / "0.png")
    scandir = os.scandir

    def refuse(path):  # as to a user who is not root
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot read .*closed: Permission denied"):
        load(root)
    assert find_images([root / "cat"])[-1] == root / "cat" / "closed"  # for prediction to say so


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    root = classes(tmp_path / "one", "a", "b")
    copy = Path(shutil.copytree(root, tmp_path / "two" / "other"))
    assert load(root).fingerprint == load(copy).fingerprint
    paint(copy / "a" / "0.png", 200)
    assert load(root).fingerprint != load(copy).fingerprint


def write_table(root: Path, text: str, encoding: str = "utf-8") -> Path:
    path = root / "images.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_table_with_splits(tmp_path: Path) -> None:
    classes(tmp_path / "pictures", "x", "y", images=3)
    path = write_table(
        tmp_path,
        "split,Path, label\n"
        "train,pictures/x/0.png,cat\n"
        ",./pictures/y/0.png,dog\n"
        "Validation,pictures/x/1.png,cat\nval,pictures/y/1.png,dog\n"
        "test,pictures/x/2.png,cat\ntest,pictures/y/2.png,dog,,\n",
        encoding="utf-8-sig",
    )
    data = load(path)
    assert (data.name, data.source, data.class_names) == ("images", str(path), ("cat", "dog"))
    assert data.validation is not None
    assert (shades(data.train), shades(data.validation)) == ([0, 40], [1, 41])
    assert shades(data.open_test()) == [2, 42]
    assert data.train.labels.tolist() == [0, 1]
    assert data.train.names.tolist() == ["pictures/x/0.png", "pictures/y/0.png"]


def test_a_table_and_its_folder_hold_out_alike(tmp_path: Path) -> None:
    root = classes(tmp_path / "pets", "cat", "dog")
    rows = [f"{name}/{i}.png,{name}" for name in ("dog", "cat") for i in range(10)]
    table = load(write_table(root, "path,label\n" + "\n".join(rows)))
    assert table.open_test().names.tolist() == GOLDEN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'path' in its first line"),
        ("path,class\na.png,cat\n", "has no column 'label'"),
        ("path,label\n", "has no images to train on"),
        ("path,label\na.png\n", "line 2: it needs a path and a label"),
        ("path,label\na.png,cat,test\n", "line 2: it has more values than the"),
        ("path,label,split\na.png,cat,dev\n", "line 2: unknown split 'dev'; a split is train, val"),
        ("path,label\na.png,cat\n./a.png,dog\n", r"line 3: a\.png was on line 2 already"),
        ("path,label\na.png,cat\nb.png,cat\n", "has one class only"),
        ('path,label\n"a.png,cat\n', "is no CSV file in UTF-8"),
        (
            "path,label\na1.png,a\na2.png,a\nb1.png,b\nb2.png,b\n",
            r"a2\.png: there is no such file.*remove it from the dataset \(1 more cannot be read\)",
        ),
    ],
)
def test_a_table_that_is_wrong_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(write_table(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no CSV file in UTF-8"):
        load(write_table(tmp_path, "path,label\ncaf\u00e9.png,cat\n", encoding="latin-1"))
