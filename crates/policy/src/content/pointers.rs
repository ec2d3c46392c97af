//! Values that do not go on, by where they stand.

use std::borrow::Cow;

use protocol::Raw;

use super::walk::{Event, Step, Walk, is_named};
use super::{REDACTED, splice};

/// The result's member of which its texts are often a copy.
const STRUCTURED: &str = "structuredContent";

/// Why a text is no pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {0:?} as a JSON pointer: it is empty or begins with \"/\", and has ~0 for ~ and ~1 for /")]
pub struct BadPointer(pub String);

/// A pointer's steps.
struct Pointer<'a>(Vec<Cow<'a, str>>);

impl<'a> Pointer<'a> {
    fn read(text: &'a str) -> Result<Self, BadPointer> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let bad = || BadPointer(text.to_owned());
        let rest = text.strip_prefix('/').ok_or_else(bad)?;
        let steps = rest.split('/').map(|step| {
            if !step.contains('~') {
                return Ok(Cow::Borrowed(step));
            }
            let mut plain = step.replace("~1", "/");
            if step.replace("~0", "").replace("~1", "").contains('~') {
                return Err(bad());
            }
            plain = plain.replace("~0", "~");
            Ok(Cow::Owned(plain))
        });
        steps.collect::<Result<_, _>>().map(Self)
    }

    /// Whether it is the way to something. `*` stands for every item of an array.
    fn fits(&self, bytes: &[u8], way: &[Step]) -> bool {
        let fits = |(wanted, step): (&Cow<'_, str>, &Step)| match step {
            Step::Member { name, .. } => is_named(bytes, name, wanted),
            Step::Item(number) => *wanted == "*" || *wanted == number.to_string(),
        };
        self.0.len() == way.len() && self.0.iter().zip(way).all(fits)
    }
}

/// Whether a text is a pointer.
///
/// # Errors
/// [`BadPointer`]
pub fn check_pointer(text: &str) -> Result<(), BadPointer> {
    Pointer::read(text).map(drop)
}

/// The text with `"[redacted]"` in place of what stands at these JSON pointers (RFC 6901; `*` stands for
/// every item of an array). What a pointer does not find is not there, and nothing is done. Everything else
/// stays as it is spelled. The whole, an object, becomes an empty one.
///
/// # Errors
/// [`BadPointer`]
pub fn redact_pointers<P: AsRef<str>>(raw: &Raw, pointers: &[P]) -> Result<Raw, BadPointer> {
    let pointers: Vec<Pointer<'_>> =
        pointers.iter().map(|pointer| Pointer::read(pointer.as_ref())).collect::<Result<_, _>>()?;
    Ok(blank(raw, &pointers))
}

/// [`redact_pointers`] for a tool's result: what is blanked in `structuredContent` is blanked as well in
/// those of its texts that are JSON themselves, since servers send the same thing in both.
///
/// # Errors
/// [`BadPointer`]
pub fn redact_result_pointers<P: AsRef<str>>(raw: &Raw, pointers: &[P]) -> Result<Raw, BadPointer> {
    let pointers: Vec<Pointer<'_>> =
        pointers.iter().map(|pointer| Pointer::read(pointer.as_ref())).collect::<Result<_, _>>()?;
    let blanked = blank(raw, &pointers);
    let inside: Vec<Pointer<'_>> = pointers
        .iter()
        .filter(|pointer| pointer.0.first().is_some_and(|first| first == STRUCTURED))
        .map(|pointer| Pointer(pointer.0[1..].to_vec()))
        .collect();
    Ok(if inside.is_empty() { blanked } else { blank_texts(&blanked, &inside) })
}

/// Blanks inside the texts of a result's contents.
fn blank_texts(raw: &Raw, pointers: &[Pointer<'_>]) -> Raw {
    let texts = Pointer(vec!["content".into(), "*".into(), "text".into()]);
    let bytes = raw.as_bytes();
    let (mut walk, mut parts) = (Walk::new(bytes), Vec::new());
    while let Some(event) = walk.next() {
        let Event::Text(range) = &event else { continue };
        if !texts.fits(bytes, walk.way(&event)) {
            continue;
        }
        let said = Raw::trusted(raw.bytes().slice(range.clone()));
        let Some(said) = said.as_str() else { continue };
        let Ok(inner) = Raw::parse(said.into_owned().into_bytes().into()) else { continue };
        let made = blank(&inner, pointers);
        if made != inner {
            parts.push((range.clone(), Raw::string(made.as_text()).as_text().to_owned()));
        }
    }
    splice(raw, parts)
}

fn blank(raw: &Raw, pointers: &[Pointer<'_>]) -> Raw {
    let bytes = raw.as_bytes();
    let (mut walk, mut parts) = (Walk::new(bytes), Vec::new());
    while let Some(event) = walk.next() {
        if matches!(event, Event::Name(_) | Event::Close(_)) {
            continue;
        }
        let way = walk.way(&event);
        if !pointers.iter().any(|pointer| pointer.fits(bytes, way)) {
            continue;
        }
        let whole = way.is_empty();
        let range = match event {
            Event::Open(start) => start..walk.leave(),
            Event::Text(range) | Event::Bare(range) | Event::Name(range) => range,
            Event::Close(end) => end..end,
        };
        let said =
            if whole && bytes[range.start] == b'{' { "{}".to_owned() } else { format!("\"{REDACTED}\"") };
        parts.push((range, said));
    }
    splice(raw, parts)
}
