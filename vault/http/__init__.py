"""The faces: words of the wire. Meaning is on the floor below."""
