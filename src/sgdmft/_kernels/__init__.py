"""Compiled loops on plain arrays. Nothing here knows models, algorithms or results."""
