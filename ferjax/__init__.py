"""ferjax: train, compare and explain facial-expression classifiers with JAX and Flax."""

__version__ = "0.1.0"
