//! Colours and fonts of pictures and pages, for light and dark.

/// What branches of a fork and legs of a call are told apart by; the first is for what needs no telling.
pub(super) const HUES: usize = 6;

/// Of SVG. Without variables and nested rules: not every program that shows SVG knows them; what does not know media
/// queries shows it light.
pub(super) const LIGHT: &str = "\
.bg{fill:#fff}\
text{font-family:Inter,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans','DejaVu Sans',sans-serif;font-size:13px;fill:#1f2328}\
.title{font-size:18px;font-weight:600}\
.fact,.small,.note{font-size:11px;fill:#59636e}\
.col{font-size:11px;fill:#818b98}\
.part{font-size:11px;fill:#59636e}\
.lane{font-weight:600}\
.box{fill:#f6f8fa;stroke:#d1d9e0}\
.life{stroke:#d1d9e0;stroke-width:1.5}\
.halo{stroke:#fff;stroke-width:5;stroke-linejoin:round;paint-order:stroke}\
.shaft{fill:none;stroke:#454c54;stroke-width:1.5}\
.head{fill:#454c54;stroke:#454c54;stroke-linejoin:round}\
.h1 .shaft,.h1 .head{stroke:#0969da}.h1 .head,.h1 .req{fill:#0969da}\
.h2 .shaft,.h2 .head{stroke:#8250df}.h2 .head,.h2 .req{fill:#8250df}\
.h3 .shaft,.h3 .head{stroke:#0e7c7b}.h3 .head,.h3 .req{fill:#0e7c7b}\
.h4 .shaft,.h4 .head{stroke:#bf3989}.h4 .head,.h4 .req{fill:#bf3989}\
.h5 .shaft,.h5 .head{stroke:#9a6700}.h5 .head,.h5 .req{fill:#9a6700}\
.ghost .shaft{stroke-dasharray:5 4}\
.ghost .shaft,.ghost .head{stroke:#818b98}.ghost .head{fill:#fff}\
.error .shaft,.error .head{stroke:#cf222e}.error .head{fill:#cf222e}\
.ghost.error .head{fill:#fff}\
.name{font-weight:500}\
.good .name{fill:#1a7f37}.warning .name{fill:#9a6700}.error .name{fill:#cf222e;font-weight:600}.info .name{fill:#0969da}\
.challenge .name{fill:#8250df}\
.sdp{fill:#0e7c7b}.cred{fill:#8250df}.again{fill:#bc4c00;font-weight:600}\
.req{font-size:11px;font-weight:600;fill:#59636e}\
.n-error{fill:#cf222e}.n-warning{fill:#9a6700}.n-info{fill:#0969da}.n-good{fill:#1a7f37}\
.find{font-size:13px;font-weight:600}\
.t-error{fill:#cf222e;fill-opacity:.07}.t-warning{fill:#bf8700;fill-opacity:.09}.t-info{fill:#0969da;fill-opacity:.06}\
.hit{fill:#fff;fill-opacity:0}\
.band-talk{fill:#1a7f37;fill-opacity:.07}.band-early{fill:#0969da;fill-opacity:.06}.band-hold{fill:#59636e;fill-opacity:.1}\
.bar-talk{fill:#dafbe1;stroke:#4ac26b}.bar-early{fill:#ddf4ff;stroke:#54aeff}.bar-hold{fill:#eaeef2;stroke:#afb8c1}\
.m-talk{fill:#116329}.m-early{fill:#0550ae}.m-hold{fill:#424a53}\
.pause{fill:#fff;fill-opacity:.7}\
.leg{font-size:11px;font-weight:600}\
";

/// What differs in the dark.
pub(super) const DARK: &str = "\
.bg{fill:#0d1117}text{fill:#e6edf3}.fact,.small,.note,.part{fill:#9198a1}.col{fill:#7d8590}\
.box{fill:#151b23;stroke:#3d444d}.life{stroke:#3d444d}.halo{stroke:#0d1117}\
.shaft,.head{stroke:#b1bac4}.head{fill:#b1bac4}\
.h1 .shaft,.h1 .head{stroke:#4493f8}.h1 .head,.h1 .req{fill:#4493f8}\
.h2 .shaft,.h2 .head{stroke:#ab7df8}.h2 .head,.h2 .req{fill:#ab7df8}\
.h3 .shaft,.h3 .head{stroke:#39c5bb}.h3 .head,.h3 .req{fill:#39c5bb}\
.h4 .shaft,.h4 .head{stroke:#f778ba}.h4 .head,.h4 .req{fill:#f778ba}\
.h5 .shaft,.h5 .head{stroke:#d29922}.h5 .head,.h5 .req{fill:#d29922}\
.ghost .shaft,.ghost .head{stroke:#7d8590}.ghost .head{fill:#0d1117}\
.error .shaft,.error .head{stroke:#ff7b72}.error .head{fill:#ff7b72}.ghost.error .head{fill:#0d1117}\
.good .name{fill:#3fb950}.warning .name{fill:#d29922}.error .name{fill:#ff7b72}.info .name{fill:#4493f8}\
.challenge .name{fill:#ab7df8}\
.sdp{fill:#39c5bb}.cred{fill:#ab7df8}.again{fill:#f0883e}.req{fill:#9198a1}\
.n-error{fill:#ff7b72}.n-warning{fill:#d29922}.n-info{fill:#4493f8}.n-good{fill:#3fb950}\
.t-error{fill:#f85149;fill-opacity:.14}.t-warning{fill:#bb8009;fill-opacity:.16}.t-info{fill:#388bfd;fill-opacity:.12}\
.band-talk{fill:#2ea043;fill-opacity:.13}.band-early{fill:#388bfd;fill-opacity:.12}.band-hold{fill:#6e7681;fill-opacity:.18}\
.bar-talk{fill:#12261e;stroke:#238636}.bar-early{fill:#121d2f;stroke:#1f6feb}.bar-hold{fill:#212830;stroke:#656c76}\
.m-talk{fill:#56d364}.m-early{fill:#79c0ff}.m-hold{fill:#b1bac4}\
.pause{fill:#0d1117}\
";

/// Of HTML pages.
pub(super) const PAGE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:15px/1.5 Inter,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;color:#1f2328;background:#fff}\
main{padding:24px}h1{font-size:24px}h2{font-size:19px;margin:0 0 4px}\
section{margin:0 0 40px}ul.facts{margin:0 0 12px;padding:0;list-style:none;color:#59636e;font-size:13px}\
ul.facts li{display:inline}ul.facts li+li::before{content:' \\00b7  '}\
.scroll{overflow-x:auto}.scroll svg{display:block;max-width:none}\
ul.found{padding:0;list-style:none;max-width:70em}ul.found li{margin:8px 0;padding:8px 12px;border-left:4px solid #818b98;background:#f6f8fa}\
ul.found li.error{border-color:#cf222e}ul.found li.warning{border-color:#bf8700}ul.found li.info{border-color:#0969da}\
table{border-collapse:collapse;font-size:14px}td,th{padding:6px 12px;border-bottom:1px solid #d1d9e0;text-align:left}\
a{color:#0969da}\
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}ul.facts{color:#9198a1}ul.found li{background:#151b23}td,th{border-color:#3d444d}a{color:#4493f8}}\
@media print{main{padding:0}section{break-before:page}section:first-of-type{break-before:auto}.scroll{overflow:visible}.scroll svg{max-width:100%;height:auto;break-inside:avoid}}\
";

/// The style of SVG: light, dark where the viewer wants it, light on paper.
pub(super) fn of_svg() -> String {
    format!("{LIGHT}@media screen and (prefers-color-scheme:dark){{{DARK}}}")
}
