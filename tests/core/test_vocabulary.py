"""Text to ids and back: what survives the round trip, what becomes UNK, and what never does."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.data.vocabulary import UNKNOWN, Characters, Subwords, Vocabulary, Words, load

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)
TEXT = "the cat sat on the mat. The dog didn't!\n" * 3


@pytest.fixture(scope="module")
def subwords():
    pytest.importorskip("tokenizers")
    return Subwords.build(TEXT, max_size=280, bos_eos=True)


@SETTINGS
@given(st.text(min_size=1))
def test_characters_of_a_known_alphabet_survive_the_round_trip(text):
    vocabulary = Characters.build(text, bos_eos=True)
    assert vocabulary.decode(vocabulary.encode(text, bos=True, eos=True)) == text
    assert len(vocabulary) == 4 + len(set(text))


@SETTINGS
@given(st.text())
def test_any_text_survives_the_round_trip_through_subwords(subwords, text):
    ids = subwords.encode(text)
    assert subwords.decode(ids) == text
    assert not ids.size or ids.min() >= 4  # PAD, UNK, BOS and EOS never come out of a text


@pytest.mark.parametrize("text", ["<pad>", "a<unk>b", "<bos><eos>", "Ġ", "naïve 🎉", "  two\tspaces\r\n"])
def test_a_text_that_spells_a_special_token_is_only_text(subwords, text):
    assert subwords.decode(subwords.encode(text)) == text
    for vocabulary in (Characters.build(text, bos_eos=True), Words.build(TEXT + text, bos_eos=True), subwords):
        assert not set(vocabulary.encode(text).tolist()) & {0, 1, 2, 3}


@pytest.mark.parametrize("make", [Characters.build, Words.build, lambda t, **k: Subwords.build(t, max_size=270, **k)])
def test_special_ids_are_laid_out_alike_and_only_asked_for_ones_exist(make):
    pytest.importorskip("tokenizers")
    plain, marked = make(TEXT), make(TEXT, bos_eos=True)
    assert plain.tokens[:2] == ("<pad>", "<unk>")
    assert (plain.pad, plain.unk, marked.bos, marked.eos) == (0, 1, 2, 3)
    assert marked.tokens[:4] == ("<pad>", "<unk>", "<bos>", "<eos>")
    assert marked.encode("the", bos=True)[0] == 2
    assert marked.encode("the", eos=True)[-1] == 3
    assert marked.decode([2, *marked.encode("the"), 3, 0, 0]) == "the"
    assert marked.encode("the").dtype == np.int64
    with pytest.raises(ValueError, match="build it with bos_eos=True"):
        plain.encode("the", bos=True)
    with pytest.raises(ValueError, match="build it with bos_eos=True"):
        plain.encode("the", eos=True)


def test_what_training_text_does_not_hold_is_unknown():
    characters, words = Characters.build("abc"), Words.build("a cat, a dog")
    assert characters.encode("abz").tolist()[2] == words.encode("zebra").tolist()[0] == 1
    assert characters.decode(characters.encode("abz")) == "ab" + UNKNOWN
    assert words.decode(words.encode("a zebra, a dog")) == f"a {UNKNOWN} , a dog"
    assert words.pieces("a zebra") == ["a", UNKNOWN]


def test_an_unknown_id_among_subwords_is_written_where_it_stands(subwords):
    ids = [*subwords.encode("the "), subwords.unk, *subwords.encode(" mat")]
    assert subwords.decode(ids) == f"the {UNKNOWN} mat"


def test_words_keep_their_apostrophes_and_leave_punctuation():
    assert Words.split("Don't stop! naïve_x, 3.5") == ["Don't", "stop", "!", "naïve_x", ",", "3", ".", "5"]


def test_rare_words_are_left_out_by_count_and_by_size():
    text = ["b b b a a c c d", "b"]
    assert Words.build(text).tokens[2:] == ("b", "a", "c", "d")  # by frequency, then in code point order
    assert Words.build(text, min_count=2).tokens[2:] == ("b", "a", "c")
    assert Words.build(text, min_count=2, max_size=4).tokens[2:] == ("b", "a")
    assert len(Words.build(text, max_size=6, bos_eos=True)) == 6


def test_one_text_is_not_taken_for_many():
    assert Words.build("a cat").tokens == Words.build(["a cat"]).tokens == Words.build(iter(["a", "cat"])).tokens


def test_the_same_text_always_gives_the_same_subwords(subwords):
    again = Subwords.build([TEXT], max_size=280, bos_eos=True)
    assert again.tokens == subwords.tokens
    assert len(subwords) <= 280
    assert len(subwords.encode("the cat")) < len("the cat")
    assert "".join(subwords.pieces("the cat")) == "the cat"


@pytest.mark.parametrize("bos_eos", [False, True])
def test_the_first_merges_are_what_a_smaller_vocabulary_learns(bos_eos):
    special = 4 if bos_eos else 2
    large = Subwords.build(TEXT, max_size=special + 276, bos_eos=bos_eos)
    for merges in (0, 7, 20):
        small = Subwords.build(TEXT, max_size=special + 256 + merges, bos_eos=bos_eos)
        first = large.first(merges)
        assert (first.special, first.tokens) == (small.special, small.tokens)
        np.testing.assert_array_equal(first.encode(TEXT), small.encode(TEXT))
    assert len(large.first(20).encode(TEXT)) < len(large.first(0).encode(TEXT))


@pytest.mark.parametrize("kind", [Characters, Words, Subwords])
@pytest.mark.parametrize("bos_eos", [False, True])
def test_a_saved_vocabulary_comes_back_the_same(kind, bos_eos, tmp_path):
    pytest.importorskip("tokenizers")
    built = kind.build(TEXT + "é", bos_eos=bos_eos, **({"max_size": 270} if kind is Subwords else {}))
    built.save(tmp_path / "vocabulary.json")
    restored = load(tmp_path / "vocabulary.json")
    assert type(restored) is kind
    assert restored.tokens == built.tokens
    assert restored.special == built.special
    assert restored.encode("the mat é zzz").tolist() == built.encode("the mat é zzz").tolist()


@pytest.mark.parametrize("content", ["[1]", "not JSON", "{}", json.dumps({"kind": "runes", "bos_eos": False})])
def test_a_file_that_holds_no_vocabulary_is_named(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match="holds no vocabulary"):
        load(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda v: v.encode(["ab"]), TypeError, "text is a list: expected a str"),
        (lambda v: v.decode([0.5]), TypeError, r"argmax\(axis=-1\)"),
        (lambda v: v.decode([[2, 3]]), ValueError, r"expected \(T,\)"),
        (lambda v: v.decode([5]), ValueError, "each must lie in 0 to V - 1 = 4"),
        (lambda v: v.decode([-1]), ValueError, "each must lie in 0 to V - 1 = 4"),
        (lambda v: v.build([b"ab"]), TypeError, "a text is a bytes"),
        (lambda v: v.build(""), ValueError, "no token is left"),
        (lambda v: v.build("ab", max_size=2), ValueError, "no token is left"),
    ],
)
def test_a_wrong_argument_is_explained(call, error, says):
    with pytest.raises(error, match=says):
        call(Characters.build("abc"))


def test_subwords_need_room_for_the_bytes():
    with pytest.raises(ValueError, match="256 bytes and the special tokens need 260"):
        Subwords.build(TEXT, max_size=259, bos_eos=True)


def test_subwords_without_their_library_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "rnn-notebooks\[data\]"'):
        Subwords.build(TEXT, max_size=300)


def test_no_ids_are_an_empty_text():
    vocabulary: Vocabulary = Characters.build("abc")
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode(vocabulary.encode("")) == ""
