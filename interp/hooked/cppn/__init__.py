"""A compositional pattern-producing network (CPPN), which draws an image from coordinates as in Picbreeder.

Its `config`, the `model`, its `activation_functions`, the `plane` of coordinates and the `colour` of its outputs.
"""
