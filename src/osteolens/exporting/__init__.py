"""A trained model as TorchScript and ONNX files, each compared with the model it came from."""
