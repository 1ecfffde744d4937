//! What somebody may have meant who wrote a word that .flow files do not know.

/// The word of `known` that `found` is most likely to be: a slip or two away, depending on its length, or the same in
/// other letters. Of equals the first.
pub(super) fn nearest<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// Longer words are none of ours.
    const LONGEST: usize = 32;
    let length = found.chars().count();
    if length > LONGEST {
        return None;
    }
    let found = found.to_lowercase();
    let slips = |word: &str| strsim::osa_distance(&found, &word.to_lowercase());
    let near = known.into_iter().map(|word| (slips(word), word)).filter(|(slips, _)| *slips <= length / 3);
    near.min_by_key(|(slips, _)| *slips).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const WORDS: [&str; 4] = ["answered", "hold", "re-INVITE", "info"];

    #[test]
    fn a_slip_is_forgiven_and_another_word_is_not() {
        for (found, meant) in [
            ("anwsered", Some("answered")),
            ("hodl", Some("hold")),
            ("RE-invite", Some("re-INVITE")),
            ("reinvite", Some("re-INVITE")),
            ("x", None),
            ("sleeping", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, WORDS), meant, "{found}");
        }
        assert_eq!(nearest(&"answered".repeat(1000), WORDS), None);
    }
}
