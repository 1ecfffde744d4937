//! Drawings of a ladder.

mod text;

pub use text::text;
