//! What serde tells of a value, written as JSON: what is rare, beside the calls, messages and findings that are written field
//! by field.
//!
//! Our own, and not that of serde_json: the names of fields are constants that need no escapes, strings are looked at many
//! bytes at once, and everything goes to memory. With that of serde_json JSON costs twice as much (docs/performance.md).

use super::json_layout::{BLOCK, Writer};
use serde::ser::{
    Error, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct,
    Serializer,
};
use serde_json::ser::{CompactFormatter, Formatter};
use std::fmt::{self, Display};
use std::io;

/// Why a value could not be written.
#[derive(Debug)]
pub(super) struct Failed(io::Error);

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl Error for Failed {
    fn custom<T: Display>(why: T) -> Self {
        Self(io::Error::other(why.to_string()))
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl From<Failed> for io::Error {
    fn from(Failed(error): Failed) -> Self {
        error
    }
}

/// A list or an object that is open.
pub(super) struct Open<'w, 'o> {
    writer: &'w mut Writer<'o>,
    first: bool,
}

impl Open<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.writer.separate(std::mem::take(&mut self.first));
        value.serialize(&mut *self.writer)?;
        Ok(self.writer.hand_on(BLOCK)?)
    }
}

macro_rules! numbers {
    ($($method:ident $write:ident $type:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<(), Failed> {
            Ok(CompactFormatter.$write(self.text(), value)?)
        }
    )*};
}

impl<'w, 'o> Serializer for &'w mut Writer<'o> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Open<'w, 'o>;
    type SerializeTuple = Open<'w, 'o>;
    type SerializeTupleStruct = Open<'w, 'o>;
    type SerializeTupleVariant = Impossible<(), Failed>;
    type SerializeMap = Open<'w, 'o>;
    type SerializeStruct = Open<'w, 'o>;
    type SerializeStructVariant = Impossible<(), Failed>;

    numbers! {
        serialize_bool write_bool bool;
        serialize_i8 write_i8 i8;
        serialize_i16 write_i16 i16;
        serialize_i32 write_i32 i32;
        serialize_i64 write_i64 i64;
        serialize_u8 write_u8 u8;
        serialize_u16 write_u16 u16;
        serialize_u32 write_u32 u32;
        serialize_u64 write_u64 u64;
    }

    fn serialize_f32(self, value: f32) -> Result<(), Failed> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        Ok(CompactFormatter.write_f32(self.text(), value)?)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Failed> {
        if !value.is_finite() {
            return self.serialize_unit();
        }
        Ok(CompactFormatter.write_f64(self.text(), value)?)
    }

    fn serialize_char(self, value: char) -> Result<(), Failed> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Failed> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Failed> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Failed> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failed> {
        self.raw("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Failed> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _at: u32, variant: &'static str) -> Result<(), Failed> {
        self.word(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _at: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.collect_map([(variant, value)])
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Open<'w, 'o>, Failed> {
        self.begin(b'[', true);
        Ok(Open { writer: self, first: true })
    }

    fn serialize_tuple(self, len: usize) -> Result<Open<'w, 'o>, Failed> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Open<'w, 'o>, Failed> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _at: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, Failed> {
        Err(has_no_form(name, variant))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Open<'w, 'o>, Failed> {
        let first = !self.begin_object();
        Ok(Open { writer: self, first })
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Open<'w, 'o>, Failed> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _at: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant, Failed> {
        Err(has_no_form(name, variant))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Failed> {
        self.displayed(value);
        Ok(())
    }
}

/// Variants with several values have no form in our reports (docs/json.md).
fn has_no_form(name: &str, variant: &str) -> Failed {
    Failed::custom(format_args!("{name}::{variant} has no form in JSON"))
}

impl SerializeSeq for Open<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.element(value)
    }

    fn end(self) -> Result<(), Failed> {
        self.writer.end(b']');
        Ok(())
    }
}

impl SerializeTuple for Open<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.element(value)
    }

    fn end(self) -> Result<(), Failed> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for Open<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.element(value)
    }

    fn end(self) -> Result<(), Failed> {
        SerializeSeq::end(self)
    }
}

impl SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        self.writer.next_field(std::mem::take(&mut self.first));
        Ok(self.writer.key(key)?)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.writer.colon();
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Failed> {
        self.writer.end(b'}');
        Ok(())
    }
}

impl SerializeStruct for Open<'_, '_> {
    type Ok = ();
    type Error = Failed;

    #[expect(clippy::inline_always, reason = "see Writer::name")]
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Failed> {
        self.writer.name(std::mem::take(&mut self.first), name);
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Failed> {
        SerializeMap::end(self)
    }
}
