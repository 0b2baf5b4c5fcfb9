"""Foreign models: the ONNX graph of another library becomes a model file that keeps the contract."""
