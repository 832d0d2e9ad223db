import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shotsmith.builtin.processor import load_processor
from shotsmith.errors import DataError, InputError
from shotsmith.vlms.qwen.vision import VisionEncoder
from shotsmith.vlms.vision_cache import VisionCache
from shotsmith.vlms.work import Work


@pytest.fixture
def model(vlm):
    return vlm._decoder._model


@pytest.fixture
def image_processor(vlm):
    return vlm._prompts._processor.image_processor


@pytest.fixture
def encoder(model, image_processor):
    return VisionEncoder(model, image_processor, Work())


def counting(encoder, monkeypatch):
    """How often features are computed."""
    computed = []
    compute = encoder._compute
    monkeypatch.setattr(
        encoder,
        "_compute",
        lambda images, shown: computed.extend(image.name for image in images.values()) or compute(images, shown),
    )
    return computed


@torch.inference_mode()
def test_features_are_those_of_the_model_given_all_images_together(encoder, model, image_processor, examples):
    images = [example.image for example in examples]
    inputs = image_processor(images=[Image.open(image).convert("RGB") for image in images], return_tensors="pt")
    expected = model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
    for encoded, wanted, grid in zip(encoder.encode(images), expected, inputs["image_grid_thw"].tolist(), strict=True):
        torch.testing.assert_close(encoded.features, wanted, atol=1e-5, rtol=1e-5)
        assert [encoded.rows * 2, encoded.columns * 2] == grid[1:]


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Images of several sizes, of noise."""
    draws = np.random.default_rng(3)
    paths = []
    for number, (width, height) in enumerate([(56, 56), (112, 56), (84, 140), (56, 56), (224, 196), (28, 56)] * 3):
        paths.append(tmp_path_factory.mktemp("noise") / f"{number}.png")
        Image.fromarray(draws.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(paths[-1])
    return paths


@given(data=st.data())
@settings(max_examples=25)
def test_features_do_not_depend_on_their_neighbours_to_the_last_bit(vlm, noise, data):
    """However images come together, on this machine's CPU: what a resumed run rests on."""
    model, image_processor = vlm._decoder._model, vlm._prompts._processor.image_processor
    images = data.draw(st.lists(st.sampled_from(noise), min_size=2, unique=True))
    encoder = VisionEncoder(model, image_processor, Work())
    encoder._pass_tokens = data.draw(st.integers(0, 400))
    for image, encoded in zip(images, encoder.encode(images), strict=True):
        alone = VisionEncoder(model, image_processor, Work()).encode([image])[0]
        assert torch.equal(alone.features, encoded.features)


def test_small_images_pass_the_tower_together_as_far_as_their_tokens_go(encoder, noise, monkeypatch):
    sizes = []
    compute = encoder._compute
    monkeypatch.setattr(encoder, "_compute", lambda images, shown: sizes.append(len(images)) or compute(images, shown))
    encoder._pass_tokens = 40
    encoder.encode(noise)
    counts = [encoder.tokens(image) for image in noise]
    start = 0
    for size in sizes:
        assert size == 1 or sum(counts[start : start + size]) <= 40
        assert start + size == len(noise) or sum(counts[start : start + size + 1]) > 40
        start += size
    assert start == len(noise)
    assert max(sizes) > 1


def test_what_is_kept_of_an_image_is_no_part_of_what_others_take(encoder, noise):
    for encoded in encoder.encode(noise):
        assert encoded.features.untyped_storage().nbytes() == encoded.features.nbytes


def test_tokens_are_told_from_the_header_as_they_come_out(encoder, examples):
    for example in examples:
        (encoded,) = encoder.encode([example.image])
        assert encoder.tokens(example.image) == len(encoded.features) == encoded.rows * encoded.columns


def test_a_turned_photograph_counts_as_it_is_shown(encoder, tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 120), "red").save(path, exif=exif)
    (encoded,) = encoder.encode([path])
    assert encoded.columns > encoded.rows
    assert encoder.tokens(path) == len(encoded.features)


def test_each_content_is_computed_once_under_whatever_name(encoder, examples, tmp_path, monkeypatch):
    computed = counting(encoder, monkeypatch)
    copy = tmp_path / "copy.png"
    copy.write_bytes(examples[0].image.read_bytes())
    encoder.encode([examples[0].image, examples[1].image, examples[0].image])
    encoder.encode([copy, examples[1].image])
    assert computed == ["0.png", "1.png"]


def test_a_changed_file_is_computed_anew(encoder, tmp_path):
    path = tmp_path / "image.png"
    Image.new("RGB", (56, 56), "red").save(path)
    (before,) = encoder.encode([path])
    Image.new("RGB", (84, 84), "blue").save(path)
    (after,) = encoder.encode([path])
    assert not torch.equal(before.features[0], after.features[0])


def test_memory_is_bounded_and_the_least_recently_used_goes_first(model, image_processor, tmp_path, monkeypatch):
    images = [tmp_path / f"{number}.png" for number in range(5)]
    for number, image in enumerate(images):
        Image.new("RGB", (56, 56), (50 * number, 0, 0)).save(image)
    (one,) = VisionEncoder(model, image_processor, Work()).encode(images[:1])
    encoder = VisionEncoder(model, image_processor, Work(), limit=3 * one.features.nbytes)
    computed = counting(encoder, monkeypatch)
    for asked in ([0], [1], [2], [0], [3]):
        encoder.encode([images[number] for number in asked])
    assert encoder._bytes == sum(image.features.nbytes for image in encoder._kept.values()) <= encoder._limit
    computed.clear()
    encoder.encode([images[0], images[2], images[3]])
    assert computed == []
    assert len(encoder.encode(images)) == 5, "a batch is whole even where it exceeds the limit"
    assert computed == ["1.png", "4.png"]
    assert len(encoder._kept) == 3


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_file_that_cannot_be_decoded_is_named(encoder, tmp_path, content, examples):
    path = tmp_path / "bad.png"
    path.write_bytes(examples[0].image.read_bytes()[:-60] if content is None else content)
    with pytest.raises(DataError, match=r"bad\.png"):
        encoder.encode([path])
    if content is not None:
        with pytest.raises(DataError, match=r"bad\.png"):
            encoder.tokens(path)


def test_an_absurdly_long_image_is_named(encoder, tmp_path):
    path = tmp_path / "line.png"
    Image.new("RGB", (900, 2), "red").save(path)
    for ask in (encoder.tokens, lambda image: encoder.encode([image])):
        with pytest.raises(DataError, match=r"line\.png"):
            ask(path)


def test_a_missing_image_is_named(encoder, tmp_path):
    with pytest.raises(InputError, match=r"gone\.png"):
        encoder.tokens(tmp_path / "gone.png")


def test_pictures_with_transparency_or_a_palette_are_seen_as_rgb(encoder, tmp_path, folder):
    image = Image.new("RGB", (56, 56), (10, 200, 30))
    image.save(tmp_path / "rgb.png")
    image.quantize(4).save(tmp_path / "palette.png")
    plain, palette = encoder.encode([tmp_path / "rgb.png", tmp_path / "palette.png"])
    assert torch.equal(plain.features, palette.features)
    assert load_processor(folder).image_processor.do_convert_rgb is not False


def test_what_another_process_put_on_disk_is_read_bit_by_bit(model, image_processor, examples, tmp_path, monkeypatch):
    images = [example.image for example in examples]
    first, second = Work(), Work()
    cache = VisionCache(tmp_path, 10**8, "model")
    before = VisionEncoder(model, image_processor, first, cache).encode(images * 2)
    encoder = VisionEncoder(model, image_processor, second, VisionCache(tmp_path, 10**8, "model"))
    computed = counting(encoder, monkeypatch)
    for one, other in zip(before, encoder.encode(images * 2), strict=True):
        assert torch.equal(one.features, other.features)
        assert (one.rows, one.columns, one.content) == (other.rows, other.columns, other.content)
    assert computed == []
    assert (first.images, first.remembered, first.read) == (24, 12, 0)
    assert (second.images, second.remembered, second.read) == (24, 12, 12)
    assert second.vision_hits == 1 and first.vision_hits == 0.5
