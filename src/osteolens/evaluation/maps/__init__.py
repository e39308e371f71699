"""Checks of heat maps: does the answer depend on what they mark, and the map on what the model has learnt?"""
