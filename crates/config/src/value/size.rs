//! Amounts of bytes: `4MiB`, `512KiB`, `65536`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Units with their number of bytes, smallest first.
const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// The largest size, in bytes: a TiB. It fits any counter and no memory.
const BYTES_MAX: u64 = 1 << 40;

/// An amount of bytes.
///
/// In text: a whole number of bytes, or a whole number with one of the units `KiB`, `MiB`, `GiB`, without a
/// space; at most `1024GiB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Why a text is not an amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// The unit is unknown, or the number is not whole.
    #[error("expected a size such as \"512KiB\", \"4MiB\" or a number of bytes")]
    Form,
    /// A unit of thousands, which people read in two ways.
    #[error("sizes are counted in KiB, MiB and GiB")]
    Decimal,
    /// More than a TiB.
    #[error("a size is at most \"1024GiB\"")]
    Large,
}

impl Size {
    /// So many bytes, cut to a TiB.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(if bytes > BYTES_MAX { BYTES_MAX } else { bytes })
    }

    /// So many KiB, cut to a TiB.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Self {
        Self::from_bytes(kib.saturating_mul(1 << 10))
    }

    /// So many MiB, cut to a TiB.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self::from_bytes(mib.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes for buffers in memory; cut where the machine cannot address so many.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The unit that gives a whole number, if one does.
    fn unit(self) -> Option<(&'static str, u64)> {
        UNITS.iter().rev().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)).copied()
    }

    fn checked(bytes: Option<u64>) -> Result<Self, SizeError> {
        bytes.filter(|bytes| *bytes <= BYTES_MAX).map(Self).ok_or(SizeError::Large)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::Form);
        }
        let factor = match unit {
            "" => 1,
            "KB" | "kB" | "MB" | "GB" | "K" | "k" | "M" | "G" => return Err(SizeError::Decimal),
            _ => UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, bytes)| *bytes)
                .ok_or(SizeError::Form)?,
        };
        Self::checked(number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)))
    }
}

impl fmt::Display for Size {
    /// The largest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit() {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.unit() {
            Some(_) => serializer.collect_str(self),
            None => serializer.serialize_u64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"4MiB\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Size::checked(Some(bytes)).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A number of bytes, or a whole number and a unit: `512KiB`, `4MiB`, `1GiB`.",
            "pattern": "^[0-9]+(KiB|MiB|GiB)?$",
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_as_it_is_read() {
        for text in ["0", "1", "1000", "512KiB", "4MiB", "1GiB", "1024GiB"] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("1024KiB".parse::<Size>(), Ok(Size::from_mib(1)));
        assert_eq!("4MiB".parse::<Size>().map(Size::bytes), Ok(4 * 1024 * 1024));
        assert_eq!("4MiB".parse::<Size>().map(Size::as_usize), Ok(4 * 1024 * 1024));
    }

    #[test]
    fn a_size_of_another_form_is_refused() {
        for text in ["", "MiB", "-1", "1.5MiB", "4 MiB", "4mib", "4Mib", "4TiB", "x"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Form), "{text:?}");
        }
        for text in ["4MB", "4K", "1G", "1kB"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Decimal), "{text:?}");
        }
        for text in ["1025GiB", "99999999999999999999999", "18446744073709551615GiB"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Large), "{text:?}");
        }
    }
}
