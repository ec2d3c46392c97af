//! The words of enums: alone, or with a value as in `{when_slow: 2s}`.

use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor};

use super::fault::Problem;
use super::path::Seg;
use super::tree::{Entry, cut};
use super::typed::{ReadError, Reader};

/// A word alone.
pub(super) struct Word<'a>(pub(super) &'a str);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let word: StrDeserializer<'_, ReadError> = self.0.into_deserializer();
        seed.deserialize(word).map(|variant| (variant, self))
    }
}

impl Word<'_> {
    fn lacks_a_value(&self) -> ReadError {
        let hint = format!("write {{{}: VALUE}}", self.0);
        ReadError::of(Problem::other(format!("{:?} needs a value", self.0), Some(hint)))
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, ReadError> {
        Err(self.lacks_a_value())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(self.lacks_a_value())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ReadError> {
        Err(self.lacks_a_value())
    }
}

/// A word with its value: the one entry of a map.
pub(super) struct Tagged<'a> {
    entry: &'a Entry,
    left_out: &'a HashSet<u32>,
}

impl<'a> Tagged<'a> {
    pub(super) fn new(entry: &'a Entry, left_out: &'a HashSet<u32>) -> Self {
        Self { entry, left_out }
    }

    fn reader(&self) -> Reader<'a> {
        Reader { node: &self.entry.value, left_out: self.left_out }
    }

    fn inside(&self, error: ReadError) -> ReadError {
        error.at(&self.entry.value).inside(Seg::Key(self.entry.key.clone()))
    }
}

impl<'de> EnumAccess<'de> for Tagged<'_> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let Entry { key, key_at, value } = self.entry;
        let word: StrDeserializer<'_, ReadError> = key.as_str().into_deserializer();
        let variant = seed.deserialize(word).map_err(|e| e.at_key(key, *key_at, value))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        let Entry { key, key_at, value } = self.entry;
        let problem =
            Problem::other(format!("{:?} has no value", cut(key)), Some(format!("write {:?}", cut(key))));
        Err(ReadError::of(problem).at_key(key, *key_at, value))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self.reader()).map_err(|e| self.inside(e))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.reader().deserialize_seq(visitor).map_err(|e| self.inside(e))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.reader().deserialize_struct("", fields, visitor).map_err(|e| self.inside(e))
    }
}
