"""An ONNX file is a graph: it is read without its weights, its nodes get names and costs, and torch is not needed."""
