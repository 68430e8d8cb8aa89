"""From a function in JAX to an ONNX model."""
