"""A run's model as an ONNX graph that is asked without torch, and the folders that carry it.

`graph.py` writes graphs, `heads/` and `encoders/` say what each kind becomes in one, `extractors/`
what reads records by an encoder from elsewhere, whose network `traced.py` follows; `network.py`
puts a model together, `parity.py` holds it against the run's own, `bundle.py` writes folders.
"""
