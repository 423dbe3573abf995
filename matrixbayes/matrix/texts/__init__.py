"""Texts as strings: tokenizers, vocabularies counted from text, scores by words.

Contents
    tokenizers    what a tokenizer of any make gives for a line
    reading       strings to documents, with the tokens of a vocabulary
    counting      the vocabulary of a text, and its documents
    words         questions by words, as users of nltk ask them
"""
