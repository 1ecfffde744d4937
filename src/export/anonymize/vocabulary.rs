//! Words that belong to the protocols and to nobody, as `vocabulary.txt` has them: everything else is renamed.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Sections of the text, each sorted.
static SECTIONS: LazyLock<HashMap<&'static str, Vec<&'static [u8]>>> = LazyLock::new(|| {
    let mut sections: HashMap<&str, Vec<&[u8]>> = HashMap::new();
    let mut section: &mut Vec<&[u8]> = &mut Vec::new();
    for line in include_str!("vocabulary.txt").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = sections.entry(name).or_default(),
            None => section.extend(line.split_whitespace().map(str::as_bytes)),
        }
    }
    for words in sections.values_mut() {
        words.sort_unstable();
    }
    sections
});

/// What may be kept of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vocabulary {
    /// Nothing but words for nobody.
    Nobody,
    /// Of headers.
    Words,
    /// Of phrases for people.
    Phrases,
    /// Of User-Agent and Server; short numbers are versions.
    Products,
    /// Of addresses in session descriptions; numbers are ports.
    Addresses,
}

impl Vocabulary {
    /// Whether `word` belongs to nobody here.
    pub(super) fn has(self, word: &[u8]) -> bool {
        is_in("nobody", word)
            || match self {
                Self::Nobody => false,
                Self::Words => is_in("words", word),
                Self::Phrases => is_in("phrases", word) || is_in("words", word),
                Self::Products => is_in("products", word) || is_version(word),
                Self::Addresses => {
                    word.iter().all(u8::is_ascii_digit) || is_in("addresses", word) || is_in("words", word)
                }
            }
    }
}

/// "18" or "v1"; serial numbers have more digits.
fn is_version(word: &[u8]) -> bool {
    let number = word.strip_prefix(b"v").or(word.strip_prefix(b"V")).unwrap_or(word);
    number.len() <= 3 && number.iter().all(u8::is_ascii_digit)
}

pub(super) fn is_scheme(word: &[u8]) -> bool {
    is_in("schemes", word)
}

pub(super) fn is_parameter(name: &[u8]) -> bool {
    is_in("parameters", name)
}

/// Whether the value of a parameter belongs to the protocol too.
pub(super) fn keeps_value(name: &[u8]) -> bool {
    is_in("kept-values", name)
}

/// Whether a word of such a value belongs to the protocol.
pub(super) fn is_value(word: &[u8]) -> bool {
    /// Times and counts have up to 32 bits.
    const DIGITS: usize = 10;
    is_in("values", word) || (word.len() <= DIGITS && word.iter().all(u8::is_ascii_digit))
}

pub(super) fn is_secret(name: &[u8]) -> bool {
    is_in("secret-values", name)
}

pub(super) fn is_public_header(name: &[u8]) -> bool {
    is_in("public-headers", name)
}

pub(super) fn is_public_attribute(name: &[u8]) -> bool {
    is_in("public-attributes", name)
}

pub(super) fn is_address_attribute(name: &[u8]) -> bool {
    is_in("address-attributes", name)
}

fn is_in(section: &str, word: &[u8]) -> bool {
    /// No word of the vocabulary is longer.
    const LONGEST: usize = 32;
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..word.len()) else {
        return false;
    };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    SECTIONS.get(section).is_some_and(|words| words.binary_search(&&*lower).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_that_is_asked_for_has_words_in_small_letters() {
        let asked = [
            "addresses",
            "address-attributes",
            "kept-values",
            "nobody",
            "parameters",
            "phrases",
            "products",
            "public-attributes",
            "public-headers",
            "schemes",
            "secret-values",
            "values",
            "words",
        ];
        assert_eq!(SECTIONS.len(), asked.len());
        for section in asked {
            let words = &SECTIONS[section];
            assert!(!words.is_empty() && words.iter().all(|word| is_in(section, word)), "{section}");
        }
    }

    #[test]
    fn parameters_with_kept_or_secret_values_are_parameters() {
        for section in ["kept-values", "secret-values"] {
            assert!(SECTIONS[section].iter().all(|name| is_parameter(name)), "{section}");
        }
    }
}
