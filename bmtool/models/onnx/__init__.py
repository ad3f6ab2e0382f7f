"""Models as ONNX graphs: written, and run by onnxruntime."""
