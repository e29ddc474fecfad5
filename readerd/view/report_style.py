"""The report's style sheet: one layout for screen and paper, an A4 sheet in millimetres."""

from readerd.view.palette import BAD, GOOD, INK, QUIET, RULE

# A4 is 210 x 297 mm (ISO 216); printers need about 8 mm of margin.
_MARGIN_MM = 8

STYLE = f"""
@page {{ size: A4 portrait; margin: {_MARGIN_MM}mm }}
* {{ box-sizing: border-box }}
body {{ margin: 0; color: {INK}; background: #fff; font: 7.1pt/1.2 Arial, 'Liberation Sans',
  Helvetica, sans-serif }}
main {{ width: 194mm; margin: 0 auto }}
h1 {{ font-size: 14pt; margin: 0; line-height: 1.15 }}
h2 {{ font-size: 8.2pt; margin: 1.6mm 0 .6mm }}
p {{ margin: .4mm 0 }}
header {{ display: flex; justify-content: space-between; gap: 6mm; align-items: flex-start }}
.badge {{ font-size: 12pt; font-weight: 700; padding: 1mm 4mm; border: .6mm solid;
  white-space: nowrap; border-radius: 1.2mm }}
.pass {{ color: {GOOD} }}
.warn {{ color: #8a5a00 }}
.fail {{ color: {BAD} }}
.none {{ color: {QUIET} }}
.why {{ font-size: 8.6pt; margin: 1mm 0 0 }}
.why li:first-child {{ font-weight: 600 }}
ul {{ margin: 0; padding: 0; list-style: none }}
dl {{ margin: 1.4mm 0 0; display: flex; flex-wrap: wrap; gap: .6mm 6mm; padding: 1mm 0;
  border-top: .2mm solid {RULE}; border-bottom: .2mm solid {RULE} }}
dl div {{ min-width: 0 }}
dt {{ color: {QUIET}; font-size: 6.2pt }}
dd {{ margin: 0; overflow-wrap: anywhere }}
.row {{ display: grid; gap: 4mm; align-items: start }}
.curve {{ grid-template-columns: 100mm minmax(0, 1fr) }}
.plates, .three {{ grid-template-columns: repeat(3, minmax(0, 1fr)) }}
.plates {{ margin-top: 1mm }}
.checks {{ margin-top: 1.5mm; gap: 2mm }}
.checks, .two {{ grid-template-columns: repeat(2, minmax(0, 1fr)) }}
svg {{ width: 100%; height: auto; display: block }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th {{ font-weight: 600; color: {QUIET}; font-size: 6.4pt; text-align: right; white-space: nowrap;
  border-bottom: .25mm solid {INK}; padding: .2mm 1mm }}
td {{ text-align: right; padding: .1mm 1mm; white-space: nowrap;
  border-bottom: .1mm solid {RULE} }}
th.l, td.l {{ text-align: left }}
td.w {{ white-space: normal; overflow-wrap: anywhere }}
td.v {{ font-weight: 700 }}
tr {{ break-inside: avoid }}
.quiet {{ color: {QUIET} }}
footer {{ margin-top: 1.4mm; border-top: .2mm solid {RULE}; padding-top: .6mm; color: {QUIET};
  font-size: 5.8pt; overflow-wrap: anywhere }}
@media screen {{
  body {{ background: #eef0f3; padding: 6mm }}
  main {{ background: #fff; padding: {_MARGIN_MM}mm; width: 210mm; zoom: 1.3;
    box-shadow: 0 1px 6px rgb(0 0 0 / .18) }}
}}
@media print {{ body {{ -webkit-print-color-adjust: exact; print-color-adjust: exact }} }}
"""
