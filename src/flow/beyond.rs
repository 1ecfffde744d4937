//! The flows beyond RFC 3665: extensions and services. Where several fit a call equally well, an earlier one wins.

/// Texts of the flows, by name.
pub static BEYOND: &[(&str, &str)] = &[];
