"""Records into a model's arrays with NumPy alone, one by one.

What an exported model is asked with: each exported folder holds a copy of these files, so they
import nothing of Leaven but each other, `data/files.py`, `data/pictures.py` and `data/sounds.py`,
which are copied with them where they are needed. A record becomes here the same to the bit as it
does in a `Dataset` (`tests/data/test_portable.py` holds the two against each other).
"""
