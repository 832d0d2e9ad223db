import os
import threading

import pytest
import torch

from shotsmith.vlms.vision_cache import VisionCache


def features(number=0, dtype=torch.float32):
    return torch.full((2, 3, 16), number + 0.1).to(dtype)


def named(number=0, dtype=torch.float32):
    return {"features": features(number, dtype)}


def content(number):
    return f"{number:064x}"


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size(folder):
    return sum(path.stat().st_size for path in files(folder))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_was_put_is_got_bit_by_bit(tmp_path, dtype):
    cache = VisionCache(tmp_path, 10**6, "model")
    cache.put(content(1), named(7, dtype))
    found = cache.get(content(1))["features"]
    assert found.dtype == dtype and torch.equal(found, features(7, dtype))
    assert cache.get(content(2)) is None


def test_several_tensors_of_an_image_are_kept_by_name(tmp_path):
    cache = VisionCache(tmp_path, 10**6, "model")
    several = {"pooler_output[]": features(1), "001": features(2, torch.bfloat16), "000": torch.ones(5)}
    cache.put(content(1), several)
    found = cache.get(content(1))
    assert found.keys() == several.keys()
    assert all(torch.equal(found[name], several[name]) for name in several)


def test_models_do_not_see_each_other_s_features(tmp_path):
    VisionCache(tmp_path, 10**6, "one").put(content(1), named(1))
    assert VisionCache(tmp_path, 10**6, "other").get(content(1)) is None
    assert VisionCache(tmp_path, 10**6, "one").get(content(1)) is not None


@pytest.mark.parametrize("damage", ["torn", "empty", "zeros", "bit"])
def test_a_spoilt_file_is_not_there_and_is_put_anew(tmp_path, damage):
    cache = VisionCache(tmp_path, 10**6, "model")
    cache.put(content(1), named())
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    spoilt = {
        "torn": whole[:-9],
        "empty": b"",
        "zeros": bytes(len(whole)),
        "bit": whole[:-1] + bytes([whole[-1] ^ 1]),
    }
    file.write_bytes(spoilt[damage])
    assert cache.get(content(1)) is None
    cache.put(content(1), named())
    assert torch.equal(cache.get(content(1))["features"], features())


def test_the_folder_is_bounded_and_the_least_recently_used_goes_first(tmp_path):
    VisionCache(tmp_path, 10**6, "model").put(content(0), named())
    one = size(tmp_path)
    cache = VisionCache(tmp_path, 10 * one, "model")
    for number in range(40):
        cache.put(content(number), named(number))
        os.utime(cache._path(content(number)), (number, number))
        if number >= 3:
            assert cache.get(content(3)) is not None, "it is in use"
        assert size(tmp_path) <= 10 * one
    assert cache.get(content(39)) is not None
    assert cache.get(content(20)) is None


def test_other_models_files_and_what_a_killed_process_left_count_and_go(tmp_path):
    old = VisionCache(tmp_path, 10**6, "old")
    old.put(content(0), named())
    (file,) = files(tmp_path)
    left = file.with_name(f".{file.name}.abc")
    left.write_bytes(bytes(5000))
    unfinished = file.with_name(f".{file.name}.def")
    unfinished.write_bytes(bytes(5000))
    foreign = tmp_path / "mine.txt"
    foreign.write_bytes(bytes(5000))
    for path in (file, left):
        os.utime(path, (1, 1))
    VisionCache(tmp_path, 2 * file.stat().st_size, "new").put(content(1), named())
    assert not file.exists() and not left.exists()
    assert unfinished.exists(), "another process may be writing it"
    assert foreign.exists(), "what is not the cache's is left alone"


def test_many_writers_and_readers_of_a_small_folder_get_whole_features_or_none(tmp_path):
    faults, finished = [], []

    def work(seed):
        cache = VisionCache(tmp_path, 2000, "model")
        for step in range(60):
            number = (seed + step) % 7
            found = cache.get(content(number))
            if found is None:
                cache.put(content(number), named(number))
            elif not torch.equal(found["features"], features(number)):
                faults.append(number)
        finished.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and sorted(finished) == list(range(6))
    assert files(tmp_path)
