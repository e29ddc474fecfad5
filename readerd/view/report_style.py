"""The report's style sheet: one layout for screen and paper, in millimetres.

The sheet is whatever the printer holds: A4 (210 x 297 mm, ISO 216) or Letter (215.9 x 279.4 mm),
which is wider and shorter, so there everything is drawn a little smaller.
"""

from readerd.view.palette import BAD, GOOD, INK, QUIET, RULE, WARN

# Printers need about this much.
_MARGIN_MM = 7

STYLE = f"""
@page {{ margin: {_MARGIN_MM}mm;
  @bottom-left {{ content: NAME; font: 6pt Arial, sans-serif; color: {QUIET} }}
  @bottom-right {{ content: "page " counter(page) " of " counter(pages);
    font: 6pt Arial, sans-serif; color: {QUIET} }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; color: {INK}; background: #fff; font: 7pt/1.14 Arial, 'Liberation Sans',
  Helvetica, sans-serif }}
main {{ width: 194mm; margin: 0 auto }}
h1 {{ font-size: 13pt; margin: 0; line-height: 1.12; overflow-wrap: anywhere }}
h2 {{ font-size: 8pt; margin: 1mm 0 .4mm; break-after: avoid }}
p {{ margin: .4mm 0; overflow-wrap: anywhere }}
sup {{ font-size: .8em; line-height: 0; vertical-align: baseline; position: relative; top: -.35em }}
header {{ display: flex; justify-content: space-between; gap: 6mm; align-items: flex-start }}
.badge {{ font-size: 12pt; font-weight: 700; padding: 1mm 4mm; border: .6mm solid;
  white-space: nowrap; border-radius: 1.2mm }}
.pass {{ color: {GOOD} }}
.warn, .flag {{ color: {WARN} }}
.fail {{ color: {BAD} }}
.none {{ color: {QUIET} }}
.why {{ margin: .6mm 0 0; overflow-wrap: anywhere }}
.why li {{ display: inline }}
.why li + li:not(:nth-child(2))::before {{ content: " · " }}
.why li:first-child {{ display: block; font-size: 8.6pt; font-weight: 600 }}
ul {{ margin: 0; padding: 0; list-style: none }}
dl {{ margin: 1.2mm 0 0; display: flex; flex-wrap: wrap; gap: .5mm 5mm; padding: .7mm 0;
  border-top: .2mm solid {RULE}; border-bottom: .2mm solid {RULE} }}
dl div {{ min-width: 0 }}
dt {{ color: {QUIET}; font-size: 6pt }}
dd {{ margin: 0; overflow-wrap: anywhere }}
.row {{ display: grid; gap: 4mm; align-items: start }}
.curve {{ grid-template-columns: 97mm minmax(0, 1fr) }}
.plates {{ grid-template-columns: repeat(3, minmax(0, 1fr)) }}
.plates {{ margin-top: 1mm }}
.large, .checks {{ grid-template-columns: repeat(2, minmax(0, 1fr)) }}
.large svg:last-child {{ grid-column: 1 / -1; width: 66%; margin: 0 auto }}
.checks {{ margin-top: 1mm; gap: 2mm }}
.three {{ gap: 3mm; font-size: 6.7pt; grid-template-columns: 58.5mm 58.5mm minmax(0, 1fr) }}
.curve p {{ font-size: 6.6pt }}
svg {{ width: 100%; height: auto; display: block; break-inside: avoid }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
caption, .heard {{ position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap }}
th, td {{ text-align: right; padding: .05mm .7mm; white-space: nowrap; vertical-align: top }}
thead th {{ font-weight: 600; color: {QUIET}; font-size: 6.2pt; line-height: 1.05;
  white-space: normal; border-bottom: .25mm solid {INK}; vertical-align: bottom }}
tbody th {{ font-weight: 400 }}
tbody th, td {{ border-bottom: .1mm solid {RULE} }}
th.l, td.l {{ text-align: left }}
td.w {{ white-space: normal; overflow-wrap: anywhere }}
td.b {{ white-space: normal }}
td.v {{ font-weight: 700 }}
tr {{ break-inside: avoid }}
.quiet {{ color: {QUIET} }}
footer {{ margin-top: 1.2mm; border-top: .2mm solid {RULE}; padding-top: .6mm; color: {QUIET};
  font-size: 5.8pt; overflow-wrap: anywhere; display: grid; gap: 6mm; align-items: end;
  grid-template-columns: minmax(0, 1fr) 84mm; break-inside: avoid }}
.sign div {{ display: grid; grid-template-columns: 3fr 2fr 3fr; gap: 2mm; margin-top: 3.2mm }}
.sign span {{ border-top: .2mm solid {INK}; padding-top: .3mm; color: {INK} }}
@media screen {{
  body {{ background: #eef0f3; padding: 6mm }}
  main {{ background: #fff; padding: {_MARGIN_MM}mm; width: 210mm; zoom: 1.3;
    box-shadow: 0 1px 6px rgb(0 0 0 / .18) }}
}}
@media screen and (prefers-color-scheme: dark) {{ body {{ background: #2b313b }} }}
@media screen and (max-width: 1050px) {{ main {{ zoom: 1 }} }}
@media screen and (max-width: 820px) {{
  body {{ padding: 0; font-size: 9pt }}
  main {{ width: auto; padding: 3mm; box-shadow: none }}
  header {{ flex-wrap: wrap-reverse }}
  .curve, .plates, .three, .large, footer {{ grid-template-columns: minmax(0, 1fr) }}
  .curve > div, .three, .two, .scroll {{ overflow-x: auto }}
  thead th, dt, footer {{ font-size: 8pt }}
}}
/* a browser repeats the head of a table in each column on paper, but not on the screen */
@media print {{ .two {{ columns: 2; column-gap: 4mm }} }}
@media print and (min-aspect-ratio: 73/100) {{ main {{ zoom: .945 }} }}
@media print {{ body {{ -webkit-print-color-adjust: exact; print-color-adjust: exact }} }}
"""


def css_string(text: str) -> str:
    """A text as a quoted string of a style sheet: whatever is not a plain letter is escaped."""
    plain = (sign if sign.isascii() and sign.isalnum() else f"\\{ord(sign):x} " for sign in text)
    return f'"{"".join(plain)}"'
