"""NEAT: networks evolved with neat-python, as graphs and as layers."""

from interp.neat.genome import NEATGenome

__all__ = ["NEATGenome"]
