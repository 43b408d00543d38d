//! JSON without the fields that are null: half of a job is.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// Writes JSON like serde_json does, but for fields that are null: these are left out.
#[derive(Default)]
pub(super) struct Terse {
    /// A key, with what belongs in front of it, that waits for a value.
    key: Vec<u8>,
    is_in_key: bool,
    /// Of each open array or object, whether something is in it.
    begun: Vec<bool>,
}

impl Terse {
    /// There is a value: its key is written.
    fn value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key.is_empty() || self.is_in_key {
            return Ok(());
        }
        self.commit();
        writer.write_all(&self.key)?;
        self.key.clear();
        Ok(())
    }

    fn commit(&mut self) {
        if let Some(begun) = self.begun.last_mut() {
            *begun = true;
        }
    }

    fn separates(&self) -> bool {
        self.begun.last().is_some_and(|begun| *begun)
    }
}

/// Values, each after its key.
macro_rules! values {
    ($($name:ident($kind:ty);)*) => { $(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W, value: $kind) -> io::Result<()> {
            self.value(writer)?;
            // A key may be a number, in quotes.
            if self.is_in_key {
                return CompactFormatter.$name(&mut self.key, value);
            }
            CompactFormatter.$name(writer, value)
        }
    )* };
}

impl Formatter for Terse {
    values! {
        write_bool(bool);
        write_i8(i8);
        write_i16(i16);
        write_i32(i32);
        write_i64(i64);
        write_i128(i128);
        write_u8(u8);
        write_u16(u16);
        write_u32(u32);
        write_u64(u64);
        write_u128(u128);
        write_f32(f32);
        write_f64(f64);
        write_number_str(&str);
        write_string_fragment(&str);
        write_char_escape(CharEscape);
        write_raw_fragment(&str);
    }

    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key.is_empty() {
            return writer.write_all(b"null");
        }
        self.key.clear();
        Ok(())
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.write_raw_fragment(writer, "\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.write_raw_fragment(writer, "\"")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.value(writer)?;
        self.begun.push(false);
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begun.pop();
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, _first: bool) -> io::Result<()> {
        if self.separates() {
            writer.write_all(b",")?;
        }
        self.commit();
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.value(writer)?;
        self.begun.push(false);
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begun.pop();
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, _writer: &mut W, _first: bool) -> io::Result<()> {
        if self.separates() {
            self.key.push(b',');
        }
        self.is_in_key = true;
        Ok(())
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.is_in_key = false;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.key.push(b':');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Serializer, Value, json};

    use super::*;

    fn terse(value: &impl serde::Serialize) -> String {
        let mut bytes = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut bytes, Terse::default());
        value.serialize(&mut serializer).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn fields_that_are_null_are_left_out_and_nothing_else_is() {
        for (value, expected) in [
            (
                json!({"a": null, "b": 1, "c": null, "d": [null, {"e": null}]}),
                r#"{"b":1,"d":[null,{}]}"#,
            ),
            (json!({"a": null}), "{}"),
            (
                json!({"a": {"b": null, "c": {}}, "d": []}),
                r#"{"a":{"c":{}},"d":[]}"#,
            ),
            (
                json!([null, 1, [], "x\"\n\u{1}ü"]),
                r#"[null,1,[],"x\"\n\u0001ü"]"#,
            ),
            (
                json!({"k\"": "v", "n": -1.5, "t": true}),
                r#"{"k\"":"v","n":-1.5,"t":true}"#,
            ),
            (Value::Null, "null"),
        ] {
            assert_eq!(terse(&value), expected);
        }
    }

    #[test]
    fn keys_that_are_numbers_are_quoted() {
        let map = BTreeMap::from([(1u64, None), (2, Some("x"))]);
        assert_eq!(terse(&map), r#"{"2":"x"}"#);
    }
}
