"""Pictures as SVG text: one code for the page, the printed report and the file on disk.

No script, no style sheet, no outside resource, no third-party library; the same input gives the
same bytes. Meaning never hangs on colour alone, so a black-and-white print loses nothing.
"""

from readerd.view.svg_checks import RECOVERY_LIMITS_PCT, recovery_svg, residual_svg
from readerd.view.svg_curve import curve_svg
from readerd.view.svg_plate import plate_svg

__all__ = ["RECOVERY_LIMITS_PCT", "curve_svg", "plate_svg", "recovery_svg", "residual_svg"]
