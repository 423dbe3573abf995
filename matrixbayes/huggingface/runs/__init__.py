"""How prompts go through a model: in batches that fit, on any device, and on after a stop.

Contents
    batches    prompts run batch by batch, halved where memory runs out
    cache      rows of finished prompts in a folder
"""
