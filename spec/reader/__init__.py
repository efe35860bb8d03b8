"""A second reader of everything that Elpis signs or seals: no line of the product, and neither of its crypto libraries.

It stands on `hashlib` and `cryptography`; what those lack (XChaCha20, XSalsa20, secretstream, CBOR) is written out
here, slowly and plainly. It shares no line with the product: two readers that agree on every vector agree on the text.

    python -m spec.reader spec/vectors
"""
