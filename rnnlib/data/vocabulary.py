"""Text to ids and back: characters, words or subwords behind one small interface.

A vocabulary is built from training text only: what it has not seen there is UNK, as it will be in use. Ids are laid out
alike in all three: PAD is 0, UNK is 1, then BOS and EOS if they were asked for, then the tokens. These special ids
never come out of a text, whatever is written in it; `encode` adds BOS and EOS where told to, padding adds PAD.
Embeddings do not come in here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.data.libraries import optional

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # what `decode` writes for UNK
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")  # a word with its apostrophes, or one mark of punctuation


class Vocabulary:
    """What characters, words and subwords have in common. Make one with `build` of a class below, or with `load`.

    Attributes:
        tokens: every token by its id, the special ones first.
        pad, unk: the ids of PAD and UNK, 0 and 1.
    """

    kind: ClassVar[str]
    pad, unk = 0, 1

    def __init__(self, tokens: Sequence[str], bos_eos: bool) -> None:
        self.special = (PAD, UNK, BOS, EOS) if bos_eos else (PAD, UNK)
        self.tokens = (*self.special, *tokens)

    def __len__(self) -> int:
        """How many ids there are, the special ones included: V of an embedding."""
        return len(self.tokens)

    @property
    def bos(self) -> int:
        """The id of BOS, the beginning of a sequence.

        Raises:
            ValueError: the vocabulary was built without it.
        """
        return self._special_id(BOS)

    @property
    def eos(self) -> int:
        """The id of EOS, the end of a sequence.

        Raises:
            ValueError: the vocabulary was built without it.
        """
        return self._special_id(EOS)

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> np.ndarray:
        """The ids of a text.

        Args:
            text: any text; what is not in the vocabulary becomes UNK.
            bos, eos: put BOS before or EOS after it.

        Returns:
            (T,), int64.

        Raises:
            TypeError: text is not a str.
            ValueError: BOS or EOS is asked for and the vocabulary was built without them.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}: expected a str; encode several texts one by one")
        before, after = [self.bos] if bos else [], [self.eos] if eos else []
        return np.array([*before, *self._ids(text), *after], np.int64)

    def decode(self, ids: ArrayLike) -> str:
        """The text of some ids; PAD, BOS and EOS write nothing, UNK writes the replacement character.

        Args:
            ids: (T,), whole numbers from 0 to V - 1.

        Returns:
            The text.

        Raises:
            TypeError: the ids are not whole numbers.
            ValueError: they are not one sequence, or one is no id of this vocabulary.
        """
        ids = np.asarray(ids)
        if ids.size == 0:
            return ""
        if ids.dtype.kind not in "iu":
            raise TypeError(f"ids have dtype {ids.dtype}: expected whole numbers; from logits, take argmax(axis=-1)")
        if ids.ndim != 1:
            raise ValueError(f"ids have shape {ids.shape}: expected (T,); column n of a batch (T, N) is ids[:, n]")
        if ids.min() < 0 or ids.max() >= len(self):
            raise ValueError(
                f"ids run from {ids.min()} to {ids.max()}: each must lie in 0 to V - 1 = {len(self) - 1}; "
                "do they come from another vocabulary?"
            )
        return self._text([i for i in ids.tolist() if i == self.unk or i >= len(self.special)])

    def pieces(self, text: str) -> list[str]:
        """A text as this vocabulary sees it: what each of its ids says on its own."""
        return [self.decode([i]) for i in self.encode(text)]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the vocabulary to a JSON file, from which `load` restores it exactly."""
        content = {"kind": self.kind, "bos_eos": BOS in self.special, **self._content()}
        Path(path).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    def _special_id(self, token: str) -> int:
        if token not in self.special:
            raise ValueError(f"this vocabulary has no {token}: build it with bos_eos=True")
        return self.special.index(token)

    def _ids(self, text: str) -> list[int]:
        raise NotImplementedError

    def _text(self, ids: list[int]) -> str:
        raise NotImplementedError

    def _content(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def _restore(cls, content: dict[str, Any]) -> Self:
        raise NotImplementedError


class Listed(Vocabulary):
    """A vocabulary that lists its tokens and looks them up."""

    def __init__(self, tokens: Sequence[str], bos_eos: bool = False) -> None:
        super().__init__(tokens, bos_eos)
        self._id = {token: i for i, token in enumerate(self.tokens)}  # no text splits into a special token

    @classmethod
    def build(
        cls, texts: str | Iterable[str], *, min_count: int = 1, max_size: int | None = None, bos_eos: bool = False
    ) -> Self:
        """Collect the tokens of the training texts: the most frequent first, equally frequent ones in code point order.

        Args:
            texts: the training text, or several. Never validation or test text.
            min_count: rarer tokens are left out, and so become UNK.
            max_size: the largest V, special tokens included; the rarest tokens are left out.
            bos_eos: have ids for BOS and EOS.

        Raises:
            TypeError: a text is not a str.
            ValueError: no token is left.
        """
        counts = Counter(chain.from_iterable(map(cls.split, texts_of(texts))))
        ranked = sorted((token for token, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
        room = len(ranked) if max_size is None else max(0, max_size - (4 if bos_eos else 2))
        if not ranked[:room]:
            raise ValueError(
                f"no token is left of {len(counts)} different ones in the texts with min_count = {min_count} and "
                f"max_size = {max_size}: give more text or more room"
            )
        return cls(ranked[:room], bos_eos)

    @staticmethod
    def split(text: str) -> list[str]:
        """The tokens of a text, known or not."""
        raise NotImplementedError

    def _ids(self, text: str) -> list[int]:
        return [self._id.get(token, self.unk) for token in self.split(text)]

    def _said(self, ids: list[int]) -> list[str]:
        return [UNKNOWN if i == self.unk else self.tokens[i] for i in ids]

    def _content(self) -> dict[str, Any]:
        return {"tokens": self.tokens[len(self.special) :]}

    @classmethod
    def _restore(cls, content: dict[str, Any]) -> Self:
        return cls(content["tokens"], content["bos_eos"])


class Characters(Listed):
    """One token for each character (Unicode code point). `decode(encode(text)) == text` if all characters are known."""

    kind = "characters"

    @staticmethod
    def split(text: str) -> list[str]:
        """The characters of a text."""
        return list(text)

    def _text(self, ids: list[int]) -> str:
        return "".join(self._said(ids))


class Words(Listed):
    """One token for each word or mark of punctuation. White space is not kept: `decode` puts a space between tokens."""

    kind = "words"

    @staticmethod
    def split(text: str) -> list[str]:
        """The words and marks of a text: don't is one word, Stop! is two tokens."""
        return WORD.findall(text)

    def _text(self, ids: list[int]) -> str:
        return " ".join(self._said(ids))


class Subwords(Vocabulary):
    """Byte-level BPE: frequent strings of bytes are tokens, rare words are spelled. `decode(encode(text)) == text`.

    No text is ever UNK, since all 256 bytes are tokens. In `tokens` each byte is written as one printable character,
    a space as Ġ.

    Reference:
        Sennrich, Haddow, Birch (2016), Neural machine translation of rare words with subword units. Radford et al.
        (2019), Language models are unsupervised multitask learners: bytes instead of characters.
    """

    kind = "subwords"

    def __init__(self, tokenizer: Any, bos_eos: bool = False) -> None:
        ids = tokenizer.get_vocab()
        super().__init__(sorted(ids, key=ids.__getitem__), bos_eos)
        self._tokenizer = tokenizer  # knows no special token: its ids are ours less len(special)

    @classmethod
    def build(cls, texts: str | Iterable[str], *, max_size: int, min_count: int = 2, bos_eos: bool = False) -> Self:
        """Learn the merges from the training texts; the same texts give the same vocabulary.

        Args:
            texts: the training text, or several. Never validation or test text.
            max_size: the largest V, the special tokens and the 256 bytes included.
            min_count: a pair that occurs less often is not merged.
            bos_eos: have ids for BOS and EOS.

        Raises:
            ImportError: the library tokenizers is not installed; the message names the extra.
            TypeError: a text is not a str.
            ValueError: max_size has no room for the bytes.
        """
        room = max_size - (4 if bos_eos else 2)
        if room < 256:
            raise ValueError(
                f"max_size is {max_size}: 256 bytes and the special tokens need {max_size - room + 256}, merges more"
            )
        library = optional("tokenizers", "subwords")
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=room,
            min_frequency=min_count,
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts_of(texts), trainer)
        return cls(tokenizer, bos_eos)

    def first(self, merges: int) -> Self:
        """The same vocabulary with only its first merges: what a smaller `max_size` would have learned."""
        tokenizer = self._content()["tokenizer"]
        model = tokenizer["model"]
        kept = sorted(model["vocab"], key=model["vocab"].__getitem__)[: 256 + merges]
        model["vocab"], model["merges"] = {token: i for i, token in enumerate(kept)}, model["merges"][:merges]
        return self._restore({"tokenizer": tokenizer, "bos_eos": BOS in self.special})

    def _ids(self, text: str) -> list[int]:
        return [i + len(self.special) for i in self._tokenizer.encode(text, add_special_tokens=False).ids]

    def _text(self, ids: list[int]) -> str:
        runs: list[list[int]] = [[]]
        for i in ids:
            if i == self.unk:
                runs.append([])
            else:
                runs[-1].append(i - len(self.special))
        return UNKNOWN.join(self._tokenizer.decode(run, skip_special_tokens=False) for run in runs)

    def _content(self) -> dict[str, Any]:
        return {"tokenizer": json.loads(self._tokenizer.to_str())}

    @classmethod
    def _restore(cls, content: dict[str, Any]) -> Self:
        library = optional("tokenizers", "subwords")
        return cls(library.Tokenizer.from_str(json.dumps(content["tokenizer"])), content["bos_eos"])


KINDS: tuple[type[Vocabulary], ...] = (Characters, Words, Subwords)


def load(path: str | PathLike[str]) -> Vocabulary:
    """Read a vocabulary that `Vocabulary.save` wrote.

    Raises:
        ImportError: it holds subwords and the library tokenizers is not installed.
        ValueError: the file holds no vocabulary.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        (cls,) = (cls for cls in KINDS if cls.kind == content["kind"])
        return cls._restore(content)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no vocabulary: expected what Vocabulary.save writes") from error


def texts_of(texts: str | Iterable[str]) -> list[str]:
    """One text or several, as a list.

    Raises:
        TypeError: a text is not a str.
    """
    listed = [texts] if isinstance(texts, str) else list(texts)
    for text in listed:
        if not isinstance(text, str):
            raise TypeError(f"a text is a {type(text).__name__}: expected a str, or several; read files as text first")
    return listed
