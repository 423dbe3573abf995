"""What goes on in a model while it runs.

Contents
    taps     hooks: what passes through modules, read and changed
    probe    what a model does around its output embeddings, measured on a few tokens
    faults   why logits are no distribution
    inputs   the network as a function of one token's embedding
"""
