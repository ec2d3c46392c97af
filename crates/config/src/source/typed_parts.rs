//! The parts of lists and maps, without those that were at fault.

use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};

use super::path::Seg;
use super::tree::{Entry, Node};
use super::typed::{ReadError, Reader};

pub(super) struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    left_out: &'a HashSet<u32>,
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Node], left_out: &'a HashSet<u32>) -> Self {
        Self { items: items.iter().enumerate(), left_out }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let left_out = self.left_out;
        match self.items.find(|(_, item)| !left_out.contains(&item.id)) {
            None => Ok(None),
            Some((index, node)) => {
                let value = seed.deserialize(Reader { node, left_out });
                value.map(Some).map_err(|e| e.at(node).inside(Seg::Index(index)))
            }
        }
    }
}

pub(super) struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
    left_out: &'a HashSet<u32>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(entries: &'a [Entry], left_out: &'a HashSet<u32>) -> Self {
        Self { entries: entries.iter(), current: None, left_out }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let left_out = self.left_out;
        self.current = self.entries.find(|entry| !left_out.contains(&entry.value.id));
        let Some(entry) = self.current else { return Ok(None) };
        let key: StrDeserializer<'_, ReadError> = entry.key.as_str().into_deserializer();
        let in_key = |e: ReadError| e.at_key(&entry.key, entry.key_at, &entry.value);
        seed.deserialize(key).map(Some).map_err(in_key)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let entry = self.current.take().expect("serde asks for a value after its key only");
        let value = seed.deserialize(Reader { node: &entry.value, left_out: self.left_out });
        value.map_err(|e| e.at(&entry.value).inside(Seg::Key(entry.key.clone())))
    }
}
