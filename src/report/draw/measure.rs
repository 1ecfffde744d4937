//! How wide text may get in a picture. Which font a viewer takes is not known; each character counts as wide as
//! in the widest of those that it may be, so that nothing overlaps.

use crate::report::style::words;
use unicode_width::UnicodeWidthChar;

/// Thousandths of the font size, from U+0020 to U+007E: the larger of DejaVu Sans Bold and Inter SemiBold.
const WIDE: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 543, 838, 380, 466, 380, 379, 696, 696, 696, 696, 696, 696, 696,
    696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 744, 830, 683, 683, 821, 837, 372, 561, 775, 637, 995,
    837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 379, 457, 838, 500, 500, 675, 716, 593, 716,
    678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712,
    365, 712, 838,
];

/// What regular text is to semi-bold text, in thousandths.
const REGULAR: usize = 925;

/// Pixels of regular `text` at `size` pixels.
pub(super) fn regular(text: &str, size: usize) -> usize {
    bold(text, size) * REGULAR / 1000 + 1
}

/// Pixels of semi-bold `text` at `size` pixels.
pub(super) fn bold(text: &str, size: usize) -> usize {
    let thousandths: usize = text.chars().map(advance).sum();
    (thousandths * size).div_ceil(1000)
}

fn advance(c: char) -> usize {
    let ascii = (c as usize).checked_sub(0x20).and_then(|at| WIDE.get(at));
    match (ascii, c.width()) {
        (Some(wide), _) => usize::from(*wide),
        (None, Some(0) | None) => 0,
        (None, Some(1)) => 840,
        (None, Some(_)) => 1040,
    }
}

/// `text` broken at spaces, numbers not from their units, into lines of at most `room` pixels at `size`; words that are longer are broken.
pub(super) fn wrap(text: &str, room: usize, size: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    let gap = bold(" ", size);
    for word in &words(text) {
        let wide = bold(word, size);
        let Some(line) = lines.last_mut() else { break };
        if used > 0 && used + gap + wide <= room {
            line.push(' ');
            line.push_str(word);
            used += gap + wide;
            continue;
        }
        if used > 0 {
            lines.push(String::new());
        }
        used = broken(word, room, size, &mut lines);
    }
    lines
}

/// Adds a word that may be too long for one line; gives the pixels of its last line.
fn broken(word: &str, room: usize, size: usize, lines: &mut Vec<String>) -> usize {
    let mut used = 0;
    for c in word.chars() {
        let wide = (advance(c) * size).div_ceil(1000);
        if used > 0 && used + wide > room {
            let last = lines.last_mut();
            let rest = last.map_or_else(String::new, |line| {
                let cut = line.rfind(['-', '/', ':', '@', '.']).filter(|at| at + 1 < line.len() && 2 * at > line.len());
                cut.map_or_else(String::new, |at| line.split_off(at + 1))
            });
            used = bold(&rest, size);
            lines.push(rest);
        }
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
        used += wide;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_room() {
        for text in [
            "407 Proxy Authentication Required [PCMU + video] (x12)",
            "[2001:db8:1234:5678:9abc:def0:1234:5678]:5060",
            "漢字漢字 ÄÖ",
            "",
        ] {
            for room in [40, 90, 200] {
                let lines = wrap(text, room, 13);
                assert!(lines.iter().all(|line| bold(line, 13) <= room), "{lines:?}");
                assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            }
        }
    }
}
