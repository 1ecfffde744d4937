//! The SVG as pixels, for whatever cannot show SVG. The font is compiled in: no library and no font of the system
//! decides what it looks like.

use super::svg::picture;
use super::{Drawing, Sheet, style};
use crate::report::ladder::Ladder;
use resvg::{tiny_skia, usvg};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

/// Rows of one picture; many programs refuse pictures of more than some 30,000 pixels a side.
const ROWS: usize = 120;
/// Pixels of the picture for one of SVG: sharp on any screen.
const SCALE: f32 = 2.0;
/// Most pixels of a picture, 160 MB; larger ones get smaller pixels.
const PIXELS: f32 = 40e6;

static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(include_bytes!("font/Inter-Regular-latin.otf").to_vec());
    fonts.load_font_data(include_bytes!("font/Inter-SemiBold-latin.otf").to_vec());
    fonts.set_sans_serif_family("Inter");
    Arc::new(fonts)
});

/// A picture for each page of a call.
#[derive(Debug)]
pub(super) struct Png;

impl Drawing for Png {
    fn name(&self) -> &'static str {
        "png"
    }

    fn help(&self) -> &'static str {
        "a picture in pixels; long ladders take several"
    }

    fn extension(&self) -> &'static str {
        "png"
    }

    fn joins(&self) -> bool {
        false
    }

    fn pages(&self, ladder: &Ladder) -> usize {
        ladder.rows.len().div_ceil(ROWS).max(1)
    }

    fn draw(&self, sheet: &Sheet<'_>, page: usize, out: &mut dyn Write) -> io::Result<()> {
        let rows = page * ROWS..((page + 1) * ROWS).min(sheet.ladder.rows.len());
        let alone = page == 0;
        out.write_all(&pixels(&picture(&sheet.ladder, rows, style::LIGHT, alone))?)
    }
}

fn pixels(svg: &str) -> io::Result<Vec<u8>> {
    let options = usvg::Options { fontdb: FONTS.clone(), font_family: "Inter".to_owned(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(io::Error::other)?;
    let size = tree.size();
    let scale = SCALE.min((PIXELS / (size.width() * size.height())).sqrt());
    let (width, height) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let mut picture = tiny_skia::Pixmap::new(width, height)
        .ok_or_else(|| io::Error::other(format!("no picture can have {width} x {height} pixels")))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut picture.as_mut());
    picture.encode_png().map_err(io::Error::other)
}
