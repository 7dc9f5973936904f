"""Train flair's BiLSTM-CRF tagger without pretrained vectors, to compare with the results of `benchmarks.tagging`.

``python -m benchmarks.programs.tag_flair FOLDER SEED EPOCHS`` needs flair (0.15.1 was used), which is not part of
``make bench``: it depends on transformers, so install it in a separate environment. Vectors of 100 numbers for words
that occur twice, flair's own character LSTM, 100 units in each direction, and the training flair proposes: SGD from
0.1, halved after three epochs without a better dev F1. Reads ``train.conll``, ``dev.conll`` and ``test.conll``; prints
JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import flair
from flair.data import Dictionary
from flair.datasets import ColumnCorpus
from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer


def main() -> None:
    """Run the program; see the module."""
    folder = Path(sys.argv[1])
    seed = int(sys.argv[2])
    epochs = int(sys.argv[3])
    flair.set_seed(seed)
    files = {f"{part}_file": f"{part}.conll" for part in ("train", "dev", "test")}
    corpus = ColumnCorpus(folder, {0: "text", 1: "ner"}, column_delimiter="\t", **files)
    characters = Dictionary()
    for sentence in corpus.train:
        for word in sentence:
            for letter in word.text:
                characters.add_item(letter)
    words = OneHotEmbeddings.from_corpus(corpus, field="text", embedding_length=100, min_freq=2)
    tagger = SequenceTagger(
        hidden_size=100,
        embeddings=StackedEmbeddings([words, CharacterEmbeddings(path_to_char_dict=characters)]),
        tag_dictionary=corpus.make_label_dictionary("ner", add_unk=False),
        tag_type="ner",
    )
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        result = ModelTrainer(tagger, corpus).train(
            output, learning_rate=0.1, mini_batch_size=32, max_epochs=epochs, patience=3, embeddings_storage_mode="none"
        )
    print(json.dumps({"seed": seed, "test_f1": result["test_score"], "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
