"""How plates and curves look: terminal, SVG, one printed page.

Rules of the room:
- Frozen values of `readerd.assay.result` in, text or renderables out: no I/O, no clock, no state.
- Same input, same bytes. Missing is a word with its reason, never NaN, never an empty cell.
- Numbers are rounded in `rounding.py`, worded in `words.py`, nowhere else.
- What a picture shows is decided once (`scene.py`, `plate_picture.py`) for text and SVG alike.
- Texts from outside pass `words.printable` and, on a page, `xml.py`; rich lives in `terminal*.py`.
"""
