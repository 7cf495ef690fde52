"""Welltuned: fine-tune encoders for text classification, and say which method really won."""
