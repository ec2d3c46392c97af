//! The names of what lives in this process and clients come back to. They say which process it is.

use model::{ReplicaId, Rng};
use protocol::{Id, Raw};

use crate::app::App;

/// Between the name of a call's stream and the call's id.
const CALL: char = '~';
/// The longest id that stands in a name, in bytes: event ids travel with each event.
const ID_BYTES_MAX: usize = 64;

/// A new stream.
pub(super) fn of_stream(app: &App) -> String {
    random::<8>(app.replicas.me(), &*app.rng)
}

/// A new stream of the transport that has no session ids: its name is all that leads to it.
pub(super) fn of_pair(app: &App) -> String {
    random::<16>(app.replicas.me(), &*app.rng)
}

/// A new stream of a call. Its name says which call: should this process end, another can still tell the
/// client that its call has ended, too.
pub(super) fn of_call(app: &App, id: &Id) -> String {
    with_call(of_stream(app), id)
}

fn with_call(name: String, id: &Id) -> String {
    let id = id.raw().as_bytes();
    if id.len() > ID_BYTES_MAX {
        return name;
    }
    let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
    format!("{name}{CALL}{hex}")
}

/// The id of the call whose stream has this name. `None`: it is no call's stream, or does not say.
pub(super) fn call_of(name: &str) -> Option<Id> {
    let (_, hex) = name.split_once(CALL)?;
    if hex.len() > 2 * ID_BYTES_MAX || !hex.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    Id::from_raw(Raw::parse(bytes?.into()).ok()?)
}

fn random<const BYTES: usize>(me: &ReplicaId, rng: &dyn Rng) -> String {
    let mut random = [0; BYTES];
    rng.fill(&mut random);
    me.owns(&random.iter().map(|b| format!("{b:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_calls_stream_says_which_call_it_is() {
        for id in [Id::number(7), Id::string("a-b.~c\u{e9}")] {
            assert_eq!(call_of(&with_call("0123456789ab-00".into(), &id)), Some(id));
        }
        let long = Id::string(&"x".repeat(100));
        assert_eq!(call_of(&with_call("0123456789ab-00".into(), &long)), None);
        for other in ["0123456789ab-00", "a~", "a~zz", "a~7", "a~7b7d", "a~\u{e9}\u{e9}", "a~5b5d"] {
            assert_eq!(call_of(other), None, "{other}");
        }
    }
}
