import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.data import outline, predefined, read

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    def write(files):
        for place, (size, mode, value) in files.items():
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, size[::-1], value).save(tmp_path / place)
        return tmp_path

    return write


GREY = ((4, 6), "L", 51)
PAIR = {"cat/1.png": GREY, "dog/1.png": GREY, "dog/2.png": GREY}


def test_the_folder_is_the_class_and_the_path_the_id(folder):
    data = read(folder(PAIR))
    assert data.x.shape == (3, 1, 4, 6)
    torch.testing.assert_close(data.x, torch.full((3, 1, 4, 6), 0.2))
    assert (data.y.tolist(), data.classes) == ([0, 1, 1], ("cat", "dog"))
    assert data.ids == ("cat/1.png", "dog/1.png", "dog/2.png")
    assert data.bounds == (0.0, 1.0)


def test_grey_and_colour_pictures_together_are_colour(folder):
    data = read(folder({**PAIR, "cat/2.png": ((4, 6), "RGB", (255, 0, 51))}))
    assert data.x.shape == (4, 3, 4, 6)
    torch.testing.assert_close(data.x[:2, :, 0, 0], torch.tensor([[0.2, 0.2, 0.2], [1.0, 0.0, 0.2]]))
    assert read(folder({}), colour=False).x.shape == (4, 1, 4, 6)
    assert read(folder({}), colour=True).x.shape == (4, 3, 4, 6)


def test_pictures_of_different_sizes_need_a_size(folder):
    path = folder({**PAIR, "cat/2.png": ((8, 5), "L", 51)})
    with pytest.raises(
        DataError, match=r"2 sizes: 4 x 6 \(3\), 8 x 5 \(1\) .*Say size=\(4, 6\) \(--size 4 6\) to resize"
    ):
        read(path)
    assert read(path, size=(3, 7)).x.shape == (4, 1, 3, 7)


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / name / "1.jpg", exif=exif)
    assert read(tmp_path).x.shape == (2, 1, 6, 4)


def test_train_and_test_folders_are_a_predefined_split(folder):
    files = {f"{part}/{name}": GREY for part in ("train", "val", "test") for name in PAIR}
    data = read(folder(files))
    assert data.classes == ("cat", "dog")
    assert [len(part) for part in next(predefined(data))] == [3, 3, 3]


def test_pictures_of_no_class_are_to_be_predicted(folder):
    data = read(folder({"a.png": GREY, "b.PNG": GREY}))
    assert not data.labelled
    assert data.ids == ("a.png", "b.PNG")


def test_the_classes_of_a_trained_model_are_kept(folder):
    path = folder({"dog/1.png": GREY})
    assert read(path, classes=("cat", "dog")).y.tolist() == [1]
    with pytest.raises(DataError, match="images of one class only, 'dog'"):
        read(path)
    with pytest.raises(DataError, match="folder 'dog' in .* is a class that is not among those given"):
        read(path, classes=("cat", "fox"))


def test_a_corrupt_picture_is_named(folder):
    path = folder(PAIR)
    whole = (path / "dog/2.png").read_bytes()
    for content in (b"not a picture", whole[:50], b""):
        (path / "dog/2.png").write_bytes(content)
        with pytest.raises(
            DataError, match=r"image .*dog/2\.png cannot be read: .*Repair it, or move it out of the folder"
        ):
            read(path)


def test_deep_pictures_are_refused(folder):
    path = folder({**PAIR, "cat/2.png": ((4, 6), "I;16", 999)})
    with pytest.raises(DataError, match=r"cat/2.png has more than 8 bits per pixel \(mode I;16\)"):
        read(path)


def test_empty_folders_and_loose_pictures(folder, tmp_path):
    with pytest.raises(DataError, match="holds no images. Put those of each class into a folder of its own"):
        read(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").touch()
    with pytest.raises(
        DataError, match=r"The folder .*cat is a class, .* holds no images \(known endings: .png"
    ):
        read(tmp_path)
    path = folder({**PAIR, "loose.png": GREY})
    with pytest.raises(
        DataError, match=r"holds both folders and 1 images, such as loose.png, which are of no class"
    ):
        read(path)


def test_images_in_deeper_folders_are_counted_and_never_to_be_deleted(folder):
    files = {
        f"animals/{name}/{i}.png": GREY for name, count in (("cat", 3), ("dog", 2)) for i in range(count)
    }
    path = folder(files)
    with pytest.raises(
        DataError,
        match=r"animals is a class, .* its 5 images lie deeper, in 2 folders such as .*animals/cat \(3\)\. If the "
        r"folders within it are the classes, pass .*/animals; .*labels=FILE",
    ) as caught:
        read(path)
    assert "delete" not in str(caught.value).lower()
    assert read(path / "animals").classes == ("cat", "dog")


HIDDEN = {  # an image whose left half shows (red, or grey 51), and whose right half hides another colour
    "RGBA": np.array([[[255, 0, 0, 255], [0, 0, 255, 0]]], np.uint8),
    "LA": np.array([[[51, 255], [200, 0]]], np.uint8),
}


@pytest.mark.parametrize("colour", [None, True, False])
@pytest.mark.parametrize(("background", "shade"), [(None, 1.0), ("black", 0.0), ("#333333", 0.2)])
@pytest.mark.parametrize("mode", HIDDEN)
def test_what_is_transparent_is_the_background(tmp_path, mode, background, shade, colour):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(HIDDEN[mode], mode).save(tmp_path / name / "1.png")
    data = read(tmp_path, background=background, colour=colour)
    grey = mode == "LA" if colour is None else not colour
    shown = [0.2] if mode == "LA" else [76 / 255] if grey else [1.0, 0.0, 0.0]
    want = torch.tensor([shown * (3 if mode == "LA" and not grey else 1), [shade] * (1 if grey else 3)]).T
    torch.testing.assert_close(data.x[0, :, 0], want)
    laid = f"2 of 2 images are transparent in part: laid over {background or 'white'}."
    assert data.notes == (laid,)
    assert f"note: {laid}" in outline(data)


def test_transparency_of_palettes_and_of_single_colours_counts(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "a" / "1.png", transparency=1)
    Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)).save(
        tmp_path / "b" / "1.png", transparency=(0, 0, 255)
    )
    data = read(tmp_path)
    want = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]).T
    for row in data.x:
        torch.testing.assert_close(row[:, 0], want)


def test_alpha_that_hides_nothing_is_no_transparency(folder):
    data = read(folder({name: ((4, 6), "RGBA", (255, 0, 51, 255)) for name in PAIR}))
    torch.testing.assert_close(data.x[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    assert data.notes == ()


def test_backgrounds_and_sizes_that_cannot_be_are_refused(folder):
    path = folder(PAIR)
    with pytest.raises(DataError, match="background must be a colour as CSS names it.* got 'whyte'"):
        read(path, background="whyte")
    for size in ((0, 4), (4, -1), (4, 10**6)):
        with pytest.raises(
            DataError, match="size must be height and width in pixels, from 1 to 20,000 each; got"
        ):
            read(path, size=size)
