"""Activations of hooked models at sites.

`capture` keeps them (whole, or streamed through `reducers`), `gradients` differentiates with respect to them, and
`transform` changes them while a block runs; `batches` places inputs where the model is and runs them in pieces.
"""
