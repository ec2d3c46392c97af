//! What a session is called, as it travels under our seal.

use protocol::{Raw, Revision};
use serde_json::{Value, json};
use upstream::{Kept, Place};

/// A session as a JSON value with short names: it becomes part of a header.
pub(super) fn write(kept: &Kept) -> Value {
    match &kept.place {
        Place::Process => json!({"n": kept.name}),
        Place::Server { session, revision, asks } => {
            json!({"n": kept.name, "r": revision.as_str(), "s": session, "a": asks})
        }
    }
}

/// `None`: another version of the gateway wrote it.
pub(super) fn read(raw: &Raw) -> Option<Kept> {
    let name = raw.get("n")?.as_str()?.into_owned();
    let place = match raw.get("r") {
        None => Place::Process,
        Some(revision) => Place::Server {
            revision: Revision::parse(&revision.as_str()?)?,
            session: raw.get("s").and_then(|s| s.as_str().map(|s| s.into_owned())),
            asks: raw.get("a")?.as_bool()?,
        },
    };
    Some(Kept { name, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let server = |session: Option<&str>, asks| Place::Server {
            session: session.map(str::to_owned),
            revision: Revision::V2025_06_18,
            asks,
        };
        for place in [Place::Process, server(Some("s"), true), server(None, false)] {
            let kept = Kept { name: "0123456789ab-x".to_owned(), place };
            assert_eq!(read(&Raw::from_value(&write(&kept))), Some(kept));
        }
        for other in ["{}", "7", r#"{"n":1}"#, r#"{"n":"a","r":"1999-01-01","a":true}"#] {
            assert_eq!(read(&Raw::parse(other.into()).expect("JSON")), None, "{other}");
        }
    }
}
