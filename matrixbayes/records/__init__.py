"""Rows from records: what servers, APIs and evaluators wrote down of a model they ran.

Contents
"""
