use super::*;
use crate::report::ladder::{Lane, Note, Row};
use crate::report::samples::{self, Sample};
use crate::report::style::Paint;
use std::time::Duration;

fn drawing(name: &str) -> &'static dyn Drawing {
    *DRAWINGS.iter().find(|drawing| drawing.name() == name).unwrap()
}

fn drawn(drawing: &dyn Drawing, sheet: &Sheet<'_>) -> String {
    let mut out = Vec::new();
    drawing.begin("Ladders", &mut out).unwrap();
    drawing.draw(sheet, 0, &mut out).unwrap();
    drawing.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn of_sample(name: &str, sample: &Sample) -> String {
    let report = sample.report();
    drawn(drawing(name), &Sheet::new(&report, sample.analysis.view(0), Style::default()))
}

const MARKUP: &str = "</title><script>alert(1)</script>&\"'`|[x](y) \u{202e}\u{1b}[31m end; #x %% @enduml !include";

fn samples() -> Vec<(&'static str, Sample)> {
    vec![
        ("ack-never", samples::ack_never()),
        ("two-proxies", samples::two_proxies()),
        ("forked", samples::forked()),
        ("wrong-password", samples::wrong_password()),
        ("glare", samples::glare()),
        ("hostile", samples::hostile()),
        ("markup", samples::named(MARKUP)),
    ]
}

/// A ladder of so many lanes, with a message from each to the next, one back over all, and one to itself.
fn wide(lanes: usize) -> Ladder {
    let arrow = |from: usize, to: usize, label: &str, step: usize| {
        let offset = Some(Duration::from_millis(7 * step as u64));
        let (frame, step) = (Some(step as u32 + 1), format!("F{}", step + 1));
        Row::Arrow(Box::new(Arrow {
            from,
            to,
            label: label.to_owned(),
            offset,
            frame,
            step,
            sent: 1,
            ..Arrow::default()
        }))
    };
    let mut rows: Vec<Row> = (1..lanes).map(|to| arrow(to - 1, to, "INVITE", to)).collect();
    rows.push(arrow(lanes - 1, 0, "200 OK (INVITE)", lanes));
    rows.push(arrow(lanes / 2, lanes / 2, "OPTIONS", lanes + 1));
    rows.push(arrow(lanes - 1, lanes / 2, "407 Proxy Authentication Required", lanes + 2));
    if let Row::Arrow(arrow) = &mut rows[0] {
        arrow.notes.push(Note { paint: Paint::Error, finding: Some(0), text: "I01 ack-missing".to_owned() });
    }
    let lane = |n: usize| Lane {
        address: format!("192.0.2.{n}:5060"),
        part: if n == 1 { "caller" } else { "proxy" },
        name: None,
    };
    Ladder {
        call: 1,
        title: "alice calls bob".to_owned(),
        lanes: (1..=lanes).map(lane).collect(),
        rows,
        ..Ladder::default()
    }
}

/// Where words of an SVG stand: left, top, right and bottom edge, as wide as they may get.
fn boxes(svg: &str) -> Vec<([i64; 4], String)> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let number = |node: &roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<i64>().unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    let boxed = |node: roxmltree::Node<'_, '_>| {
        let text: String = node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect();
        let class = node.attribute("class").unwrap_or_default();
        let size = match class {
            "title" => 18,
            _ if class.contains("label") || class.contains("lane") || class.contains("find") => 13,
            _ => 11,
        };
        let wide = measure::regular(&text, size) as i64;
        let (x, y) = (number(&node, "x"), number(&node, "y"));
        let left = match node.attribute("text-anchor") {
            Some("middle") => x - wide / 2,
            Some("end") => x - wide,
            _ => x,
        };
        ([left, y - size as i64 + 2, left + wide, y + 2], text)
    };
    texts.map(boxed).collect()
}

#[test]
fn every_drawing_of_the_same_calls_is_as_it_was() {
    for (name, sample) in samples() {
        for format in ["svg", "html", "mermaid", "plantuml", "markdown", "json"] {
            // The style sheet is the same in all of them.
            let text = of_sample(format, &sample).replace(&style::of_svg(), "/* style */").replace(style::PAGE, "");
            insta::assert_snapshot!(format!("{name}.{format}"), text);
        }
    }
}

#[test]
fn svg_and_html_are_well_formed_whatever_the_call_says() {
    for (name, sample) in samples() {
        for format in ["svg", "html"] {
            let text = of_sample(format, &sample);
            let text = text.strip_prefix("<!DOCTYPE html>\n").unwrap_or(&text);
            roxmltree::Document::parse(text).unwrap_or_else(|why| panic!("{name} {format}: {why}"));
        }
    }
}

#[test]
fn no_words_of_a_picture_overlap() {
    let mut pictures: Vec<(String, String)> =
        samples().iter().map(|(name, sample)| ((*name).to_owned(), of_sample("svg", sample))).collect();
    pictures.extend([2, 3, 5, 12, 30].map(|lanes| {
        let ladder = wide(lanes);
        (format!("{lanes} lanes"), svg::picture(&ladder, 0..ladder.rows.len(), "", true))
    }));
    for (name, picture) in pictures {
        let boxes = boxes(&picture);
        for (at, (one, text)) in boxes.iter().enumerate() {
            for (other, other_text) in &boxes[at + 1..] {
                let apart = one[2] <= other[0] || other[2] <= one[0] || one[3] <= other[1] || other[3] <= one[1];
                assert!(apart, "{name}: {text} {one:?} and {other_text} {other:?}");
            }
        }
    }
}

#[test]
fn nothing_of_a_hostile_call_becomes_markup_or_steers_a_terminal() {
    let sample = samples::named(MARKUP);
    for drawing in DRAWINGS.iter().filter(|drawing| drawing.name() != "png") {
        let report = sample.report();
        let text = drawn(*drawing, &Sheet::new(&report, sample.analysis.view(0), Style::default()));
        assert!(text.chars().all(|c| c == '\n' || crate::report::escape::is_harmless(c)), "{}", drawing.name());
        if !matches!(drawing.name(), "text" | "json") {
            let outside_fences = text.split("```").step_by(2).collect::<String>();
            assert!(!outside_fences.contains("<script"), "{}: {text}", drawing.name());
        }
        if drawing.name() == "plantuml" {
            assert_eq!(text.matches("@enduml").count(), 1);
            assert!(!text.contains("!include"));
        }
    }
}

#[test]
fn five_thousand_messages_take_ten_times_what_five_hundred_take() {
    let sample = samples::two_proxies();
    let report = sample.report();
    for drawing in DRAWINGS.iter().filter(|drawing| drawing.name() != "png") {
        let size = |rows: usize| {
            let mut sheet = Sheet::new(&report, sample.analysis.view(0), Style::default());
            sheet.ladder.media.clear();
            let row = sheet.ladder.rows[0].clone();
            sheet.ladder.rows = vec![row; rows];
            let mut out = Vec::new();
            (0..drawing.pages(&sheet.ladder)).for_each(|page| drawing.draw(&sheet, page, &mut out).unwrap());
            out.len()
        };
        let (some, many) = (size(500), size(5000));
        assert!(many > 9 * some && many < 11 * some, "{}: {some} and {many} bytes", drawing.name());
    }
}

#[test]
fn lanes_merge_and_wrap_with_the_width_of_the_terminal() {
    for lanes in [2, 3, 5, 12, 30] {
        let mut all = String::new();
        for width in [60, 100, 200] {
            let mut out = Vec::new();
            text(&wide(lanes), Style { width, ..Style::default() }, 0, &mut out).unwrap();
            all.push_str(&String::from_utf8(out).unwrap());
            all.push('\n');
        }
        insta::assert_snapshot!(format!("{lanes}-lanes.text"), all);
    }
}

#[test]
fn twelve_lanes_fit_one_picture() {
    let ladder = wide(12);
    insta::assert_snapshot!(svg::picture(&ladder, 0..ladder.rows.len(), "", true));
}

#[cfg(feature = "png")]
#[test]
fn a_png_is_a_picture_that_is_not_empty() {
    let sample = samples::ack_never();
    let report = sample.report();
    let sheet = Sheet::new(&report, sample.analysis.view(0), Style::default());
    let mut out = Vec::new();
    drawing("png").draw(&sheet, 0, &mut out).unwrap();
    let picture = resvg::tiny_skia::Pixmap::decode_png(&out).unwrap();
    assert!(picture.width() > 1000 && picture.height() > 500);
    // Black, red, green: words, the error, the media.
    let has = |test: fn(u8, u8, u8) -> bool| {
        picture.pixels().iter().any(|pixel| test(pixel.red(), pixel.green(), pixel.blue()))
    };
    assert!(
        has(|r, g, b| r < 60 && g < 60 && b < 60)
            && has(|r, g, b| r > 180 && g < 80 && b < 90)
            && has(|r, g, b| g > 200 && r < 235 && b < 235)
    );
}
