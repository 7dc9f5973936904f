"""Language: texts, tagged sentences, vocabularies and word vectors.

Enter at `data.language.text` and `data.language.tagging`.
May import `data.store` and `data.errors`.
"""
