"""An exported ONNX file in a browser: its labels, and how long a face takes."""
