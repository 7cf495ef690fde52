"""Finished runs behind HTTP.

The way of a request::

    bytes -> gate (key, room) -> questions, one or many -> tickets in a line -> batches by length -> answers -> JSON

One thread computes for all models, so that the arithmetic has one pool of threads and nothing is oversubscribed.
"""
