"""Measurements of an exchange that the bench starts itself, over FIX from the outside."""
