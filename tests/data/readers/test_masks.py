import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.data import DataSet, read, read_masks
from rightreasons.priors import Mask

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("pandas")

DATA = DataSet("d", torch.zeros(3, 2, 4, 6), torch.zeros(3), ids=("cat/1.png", "cat/2.jpg", "dog/1.png"))
HEADER = "id,left,top,right,bottom\n"


@pytest.fixture
def boxes(tmp_path):
    def write(lines, header=HEADER):
        (tmp_path / "boxes.csv").write_text(header + lines)
        return tmp_path / "boxes.csv"

    return write


def test_boxes_are_filled_and_add_up(boxes):
    masks = read_masks(boxes("dog/1.png,1,0,3,2\ndog/1.png,5,3,6,4\n"), DATA)
    expected = torch.zeros(3, 1, 4, 6)
    expected[2, 0, 0:2, 1:3] = 1
    expected[2, 0, 3, 5] = 1
    assert torch.equal(masks, expected)


def test_outside_turns_rows_with_a_belief_only(boxes):
    masks = read_masks(boxes("dog/1.png,1,0,3,2\n"), DATA, outside=True)
    assert not masks[:2].any()
    assert int(masks[2].sum()) == 4 * 6 - 4


def test_boxes_are_scaled_from_the_pictures_they_were_drawn_on(boxes):
    masks = read_masks(boxes("cat/1.png,20,0,60,40\ncat/2.jpg,1,1,2,2\n"), DATA, of=(80, 120))
    assert torch.equal(masks[0, 0].nonzero().amax(0), torch.tensor([1, 2]))
    assert int(masks[0].sum()) == 2 * 2
    assert int(masks[1].sum()) == 1  # a speck is still one pixel


def test_pictures_are_found_by_id_with_any_ending(tmp_path):
    (tmp_path / "cat").mkdir()
    half = np.zeros((8, 12), np.uint8)
    half[:, 6:] = 255
    Image.fromarray(half).save(tmp_path / "cat" / "2.png")
    masks = read_masks(tmp_path, DATA)
    expected = torch.zeros(3, 1, 4, 6)
    expected[1, 0, :, 3:] = 1
    assert torch.equal(masks, expected)


def test_masks_are_turned_as_their_image_and_transparency_is_outside(tmp_path):
    (tmp_path / "cat").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright: the first row is the right column
    top = np.zeros((6, 4), np.uint8)
    top[:2] = 255
    Image.fromarray(top).save(tmp_path / "cat" / "1.png", exif=exif)
    clear = np.full((4, 6, 2), 255, np.uint8)
    clear[:, 3:, 1] = 0
    Image.fromarray(clear, "LA").save(tmp_path / "cat" / "2.png")
    (tmp_path / "dog").mkdir()
    Image.fromarray((np.arange(24) < 6).astype(np.uint8).reshape(4, 6)).save(tmp_path / "dog" / "1.png")
    masks = read_masks(tmp_path, DATA)
    expected = torch.zeros(3, 1, 4, 6)
    expected[0, 0, :, 4:] = 1
    expected[1, 0, :, :3] = 1
    expected[2, 0, 0] = 1
    assert torch.equal(masks, expected)


def test_arrays_have_the_shape_of_the_inputs(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((3, 1, 4, 6), bool))
    assert read_masks(tmp_path / "m.npy", DATA).shape == (3, 1, 4, 6)
    np.save(tmp_path / "m.npy", np.ones((1, 1, 4, 6)))
    with pytest.raises(
        DataError, match=r"shape of the inputs \(3, 2, 4, 6\), 1 where shared, got float64 of \(1, 1"
    ):
        read_masks(tmp_path / "m.npy", DATA)
    np.save(tmp_path / "m.npy", np.full((3, 2, 4, 6), 255))
    with pytest.raises(DataError, match="numbers from 0 to 1"):
        read_masks(tmp_path / "m.npy", DATA)
    (tmp_path / "m.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match="cannot be read as a NumPy file"):
        read_masks(tmp_path / "m.npy", DATA)


def test_they_are_guidance_of_the_mask_prior(boxes):
    maps = torch.randn(3, 2, 4, 6)
    masks = read_masks(boxes("dog/1.png,1,0,3,2\n"), DATA)
    torch.testing.assert_close(Mask()(maps, masks), maps[2, :, 0:2, 1:3].square().sum() / 3)


def test_ids_of_an_image_folder_are_what_boxes_name(tmp_path, boxes):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4)).save(tmp_path / "pictures" / name)
    data = read(tmp_path / "pictures")
    assert read_masks(boxes("b/1.png,0,0,1,1\n"), data)[:, 0, 0, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("lines", "header", "match"),
    [
        ("dog/2.png,1,0,3,2\n", HEADER, "id 'dog/2.png' in row 1 is no row of 'd'. Did you mean 'dog/1.png'"),
        (
            "dog/1.png,3,0,3,2\n",
            HEADER,
            "box in row 1, left 3, top 0, right 3, bottom 2, is empty or beyond a picture",
        ),
        ("cat/1.png,0,0,1,1\ndog/1.png,0,0,7,2\n", HEADER, "box in row 2, .*of 4 x 6 .*say of="),
        ("dog/1.png,a,0,3,2\n", HEADER, "box in row 1 has a corner that is no number"),
        ("dog/1.png,1,0,3\n", "id,left,top,right\n", "no column 'bottom'"),
        ("", HEADER, "no mask for any of the 3 rows"),
        ("", "", "cannot be read as CSV"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(boxes, lines, header, match):
    with pytest.raises(DataError, match=match):
        read_masks(boxes(lines, header), DATA)


def test_masks_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match="no mask for any of the 3 rows of 'd': are they named like its ids"):
        read_masks(tmp_path, DATA)
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"The image .*dog/1\.png cannot be read"):
        read_masks(tmp_path, DATA)
    with pytest.raises(
        DataError, match="must be a folder of masks, a .csv file of boxes or an .npy file, and exist"
    ):
        read_masks(tmp_path / "nowhere", DATA)
    with pytest.raises(DataError, match=r"for pictures \(N, channels, H, W\) with ids, got DataSet\('t'"):
        read_masks(tmp_path, DataSet("t", torch.zeros(3, 2), torch.zeros(3)))
