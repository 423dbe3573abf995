"""Logs of Inspect AI, and documents of lm-evaluation-harness."""

from __future__ import annotations

import copy
import json
import sys
import zipfile
import zlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from records.shown import DATA, listed, load

import matrixbayes as mb
from matrixbayes.records import inspect_ai

LOG = DATA / "inspect_log.json"
(SAMPLES,) = DATA.glob("samples_toy_*.jsonl")


# --- Inspect AI


def test_inspect() -> None:
    rows = mb.from_inspect(LOG)
    assert [listed(rows, i) for i in range(2)] == [
        {"yes": -0.5, "no": -1.5},
        {"no": -0.25, "yes": -2.0},
    ]
    assert rows.meta["target"] == ["yes", "yes"]
    assert rows.meta["model"] == "gpt-4.1"
    assert rows.meta["prompt"] == [0, 1]  # a tool was called by the second sample: it has no row


def test_samples_outputs_objects_and_zips_are_read_alike(tmp_path: Path) -> None:
    log = load(LOG.name)
    path = tmp_path / "2026-01-01_toy.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({**log, "samples": None}))
        for sample in log["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    whole = mb.from_inspect(log)
    outputs = [sample["output"] for sample in log["samples"]]
    objects = json.loads(json.dumps(log), object_hook=lambda d: SimpleNamespace(**d))
    for source in (path, [str(path)], log["samples"], iter(log["samples"]), objects, outputs):
        rows = mb.from_inspect(source)
        assert np.array_equal(rows.log_probs, whole.log_probs)
        assert rows.tokens == whole.tokens
    assert mb.from_inspect([path, LOG]).meta["prompt"] == [0, 1, 2, 3]


def test_inspects_prompt_lists_the_others_beside_its_own_token() -> None:
    log = load(LOG.name)
    rows = mb.from_inspect(log["samples"][0], prompt=True)
    assert listed(rows, 0) == {" this": -0.5, " it": -4.0}
    assert rows[0].cap == min(-0.5, rows[0].rest)
    assert listed(rows, 1) == {"?": -0.25}
    assert rows[1].cap == rows[1].rest
    with pytest.raises(ValueError, match="prompt_logprobs=20"):
        mb.from_inspect(log["samples"][2], prompt=True)


def test_what_is_no_log_of_inspect(tmp_path: Path) -> None:
    log = load(LOG.name)
    log["samples"][0]["output"]["choices"][0]["logprobs"] = None
    with pytest.raises(ValueError, match="logprobs=True, top_logprobs=20"):
        mb.from_inspect(log)
    with pytest.raises(ValueError, match="no log with samples"):
        mb.from_inspect({"version": 2, "samples": None})
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples/1_epoch_1.json", '{"id": 1')
    with pytest.raises(ValueError, match=r"samples/1_epoch_1\.json is not complete JSON"):
        mb.from_inspect(path)


def test_logs_that_are_compressed_with_zstandard(tmp_path: Path) -> None:
    log, path, pack = load(LOG.name), tmp_path / "a.eval", None
    for name in ("zstandard", "compression.zstd"):  # which Python has from 3.14 on
        with suppress(ImportError):
            pack = import_module(name).compress
    data = json.dumps(log["samples"][0]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples/1_epoch_1.json", pack(data) if pack else data)
    raw = bytearray(path.read_bytes())
    for magic, start in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        place = raw.index(magic) + start
        raw[place + 8 : place + 10] = (93).to_bytes(2, "little")  # its method
        raw[place + 14 : place + 18] = zlib.crc32(data).to_bytes(4, "little")
        raw[place + 22 : place + 26] = len(data).to_bytes(4, "little")
    path.write_bytes(raw)
    if pack is None:
        with pytest.raises(ValueError, match="install zstandard"):
            mb.from_inspect(path)
    else:
        assert listed(mb.from_inspect(path), 0) == {"yes": -0.5, "no": -1.5}
        raw[60:70] = b"0" * 10
        path.write_bytes(raw)
        with pytest.raises(ValueError, match="damaged"):
            mb.from_inspect(path)


class Stored:
    """What zstandard has, of members that are stored as they are."""

    ZstdError = ValueError

    class ZstdDecompressor:
        def stream_reader(self, source: Any, read_across_frames: bool) -> Any:
            assert read_across_frames  # a log may be of several
            return SimpleNamespace(read=lambda most: self.unpacked(source.read(most)))

        def unpacked(self, data: bytes) -> bytes:
            if data[:1] != b"{":
                raise Stored.ZstdError("no frame")
            return data


def test_a_member_is_found_where_its_name_and_extra_field_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zstandard's own part by a stand-in, which needs no package."""
    log, path = load(LOG.name), tmp_path / "a.eval"
    member = zipfile.ZipInfo("samples/1_epoch_1.json")
    member.extra = b"\x01\x99\x04\x00more"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, json.dumps(log["samples"][0]))
    raw = path.read_bytes()
    monkeypatch.setitem(sys.modules, "zstandard", Stored)
    monkeypatch.delattr(zipfile, "ZIP_ZSTANDARD", raising=False)
    monkeypatch.setattr(inspect_ai, "ZSTANDARD", zipfile.ZIP_STORED)
    assert listed(mb.from_inspect(path), 0) == {"yes": -0.5, "no": -1.5}
    path.write_bytes(raw.replace(b'more{"', b'more["'))
    with pytest.raises(ValueError, match=r"1_epoch_1\.json is damaged: no frame"):
        mb.from_inspect(path)


def test_members_that_unpack_to_more_than_a_log_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1_epoch_1.json", b"{}")
    raw = bytearray(path.read_bytes())
    place = raw.index(b"PK\x01\x02") + 24  # the size that it says it has
    raw[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="unpacks to 4,294,967,294 bytes: unpack it by hand"):
        mb.from_inspect(path)


# --- lm-evaluation-harness


def document(choices: Any, numbers: Any, **more: Any) -> dict[str, Any]:
    arguments = {
        f"gen_args_{i}": {"arg_0": "Q:", "arg_1": choice} for i, choice in enumerate(choices)
    }
    resps = [[[str(number), "False"]] for number in numbers]
    return {"doc_id": 0, "target": "0", "arguments": arguments, "resps": resps, **more}


def test_lm_eval() -> None:
    rows = mb.from_lm_eval(SAMPLES)
    assert rows.tokens == (" A", " B", " C", "<other>")
    assert [listed(rows, i) for i in range(2)] == [
        {" A": -0.5, " B": -2.0, " C": -3.25},
        {" A": -4.0, " B": -0.25, " C": -2.5},
    ]
    np.testing.assert_allclose(rows.rest[0], np.log(1 - np.exp([-0.5, -2.0, -3.25]).sum()))
    assert rows.meta["target"] == ["0", "1"]
    assert rows.meta["prompt"] == [0, 1]
    shares = mb.from_lm_eval(SAMPLES, normalize=True)
    assert shares.tokens == (" A", " B", " C")
    assert (shares.rest == -np.inf).all()
    whole = shares.group([" A", " B", " C"]).probs()
    expected = np.exp([[-0.5, -2.0, -3.25], [-4.0, -0.25, -2.5]])
    np.testing.assert_allclose(whole, expected / expected.sum(axis=1, keepdims=True))
    answers = mb.from_lm_eval([SAMPLES, SAMPLES], vocab={"vowel": " A", "other": [" B", " C"]})
    assert answers.shape == (4, 3)


def test_numbers_and_requests_in_other_versions() -> None:
    old = {
        "doc_id": 3,
        "arguments": [["Q:", " A"], ["Q:", " B"]],
        "resps": [[-0.5, False], [-2, True]],
    }
    assert listed(mb.from_lm_eval(old), 0) == {" A": -0.5, " B": -2.0}
    many = document([f" {i:02}" for i in range(12)], [-3.0 - 0.125 * i for i in range(12)])
    assert list(listed(mb.from_lm_eval(many), 0).values()) == [-3.0 - 0.125 * i for i in range(12)]
    zero = document([" A", " B", " C"], [-0.5, "-inf", -1.0])
    assert listed(mb.from_lm_eval(zero), 0) == {" A": -0.5, " C": -1.0}


def test_what_simple_evaluate_returned_and_requests_with_images() -> None:
    made = [document([" A", " B"], [-0.5, -2.0]), document([" A", " B"], [-1.5, -0.5])]
    whole = mb.from_lm_eval(made)
    results = {"results": {"toy": {"acc": 1.0}}, "samples": {"toy": made[:1], "more": made[1:]}}
    images = copy.deepcopy(made)
    for each in images:
        for request in each["arguments"].values():
            request["arg_2"] = {"visual": []}
    for source in (results, results["samples"], images):
        rows = mb.from_lm_eval(source)
        assert np.array_equal(rows.log_probs, whole.log_probs)
        assert rows.tokens == whole.tokens


def test_answers_that_are_none_of_the_choices() -> None:
    made = document([" A", " B"], [-0.5, -2.0])
    with pytest.raises(ValueError, match="'A' is not a token of the choices"):
        mb.from_lm_eval(made, vocab={"first": "A", "second": [" B"]})
    with pytest.raises(ValueError, match="'A'"):
        mb.from_lm_eval(made, vocab=["A"])
    made["filtered_resps"] = [each[0] for each in made.pop("resps")]
    assert listed(mb.from_lm_eval(made), 0) == {" A": -0.5, " B": -2.0}


def test_masses_of_sixteen_bits() -> None:
    numbers = [-0.88671875, -1.234375, -1.7109375, -2.109375]  # bfloat16: the mass is 1.005
    rows = mb.from_lm_eval(document([" A", " B", " C", " D"], numbers))
    assert np.exp(rows.rest[0]) < 1e-7


def test_choices_that_differ_are_letters() -> None:
    rows = mb.from_lm_eval(
        [document([" cat", " dog"], [-0.5, -2.0]), document([" 1", " 2", " 3"], [-1.5, -2.0, -3.0])]
    )
    assert rows.tokens == ("A", "B", "C", "<other>")
    assert listed(rows, 0) == {"A": -0.5, "B": -2.0}
    shares = mb.from_lm_eval(
        [
            document([" cat", " dog"], [-0.5, -2.0]),
            document([" 1", " 2", " 3"], [-9.0, -8.0, -7.0]),
        ],
        normalize=True,
    )
    np.testing.assert_allclose(
        np.exp(shares[1].log_probs), np.exp([-9, -8, -7]) / np.exp([-9, -8, -7]).sum()
    )
    assert shares[0].rest == -np.inf


def test_choices_that_do_not_exclude_each_other() -> None:
    with pytest.warns(UserWarning, match=r"in 1 of 2 documents .* ' A' of ' A lot'"):
        mb.from_lm_eval(
            [document([" A", " A lot"], [-1.5, -2.0]), document([" A", " B"], [-1.5, -2.0])]
        )
    half = [document([" A", " B"], [-0.5, -0.5])]
    with pytest.raises(ValueError, match=r"record 0.*mass 1\.2.*normalize=True"):
        mb.from_lm_eval(half)
    assert np.exp(mb.from_lm_eval(half, normalize=True).log_probs).tolist() == [0.5, 0.5]


def test_numbers_without_the_context_are_left_out() -> None:
    """Of acc_mutual_info; where contexts differ each number is of another distribution."""
    made = document([" A", " B"], [-0.5, -2.0])
    for i, choice in enumerate((" A", " B")):
        made["arguments"][f"gen_args_{2 + i}"] = {"arg_0": "", "arg_1": choice}
        made["resps"].append([["-9.0", "False"]])
    assert listed(mb.from_lm_eval(made), 0) == {" A": -0.5, " B": -2.0}
    made["arguments"]["gen_args_1"]["arg_0"] = "Another"
    with pytest.raises(ValueError, match="different contexts"):
        mb.from_lm_eval(made)


def test_what_is_no_document_with_choices() -> None:
    good = document([" A", " B"], [-0.5, -2.0])
    with pytest.raises(ValueError, match="--log_samples"):
        mb.from_lm_eval([good, {"doc_id": 1}])
    generated = document([" A"], [-0.5])
    generated["arguments"]["gen_args_0"]["arg_1"] = {"until": ["\n"]}
    rolling = {**document([" A"], [-0.5]), "arguments": {"gen_args_0": {"arg_0": "text"}}}
    for wrong in (generated, rolling):
        with pytest.raises(ValueError, match="record 1: this task has no choices"):
            mb.from_lm_eval([good, wrong])
    with pytest.raises(ValueError, match="one continuation"):
        mb.from_lm_eval(document([" A"], [-0.5]))
    with pytest.raises(ValueError, match="no choices"):
        mb.from_lm_eval(document([], []))
    with pytest.raises(ValueError, match="2 requests have 1 answers"):
        mb.from_lm_eval({**good, "resps": [[["-0.5", "False"]]]})
    for number in ("NaN", "0.5", "None", "much"):
        with pytest.raises(ValueError, match="is no log-probability"):
            mb.from_lm_eval(document([" A", " B"], [-0.5, number]))
    with pytest.raises(ValueError, match="no document"):
        mb.from_lm_eval([])
    cut = SAMPLES.read_text("utf-8")[:-40]
    with pytest.raises(ValueError, match="line 3 is not complete JSON"):
        mb.from_lm_eval(cut)
    twice = copy.deepcopy(good)
    assert len(mb.from_lm_eval([good, twice])) == 2  # of two files
