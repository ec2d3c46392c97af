//! A file laid over another one.
//!
//! A section and a map of names take the keys of both, and everything else of the upper file stands in place
//! of what the lower one has: values, lists as a whole, secrets as a whole. A key with the value `null`,
//! written out, is taken out. A key without a value is a fault as it is everywhere, so that a list whose
//! items were all commented out does not take a limit away.

use super::fault::{Fault, Problem, note};
use super::path::Path;
use super::tree::{Entry, Node, Position, Value};
use crate::describe;

/// What a file above took the place of.
#[derive(Debug, Clone)]
pub(crate) struct Covered {
    pub(crate) path: Path,
    pub(crate) at: Position,
}

/// Lays `over` on `base`. What is covered is put into `covered`, what cannot be done into `faults`.
pub(crate) fn merge(base: Node, over: Node, faults: &mut Vec<Fault>, covered: &mut Vec<Covered>) -> Node {
    Merge { faults, covered }.node(base, over, &mut Vec::new(), &Path::default())
}

struct Merge<'a> {
    faults: &'a mut Vec<Fault>,
    covered: &'a mut Vec<Covered>,
}

impl Merge<'_> {
    fn node(&mut self, base: Node, over: Node, keys: &mut Vec<String>, path: &Path) -> Node {
        match (base.value, over.value) {
            (Value::Map(lower), Value::Map(upper)) if describe::merges(keys) => {
                let value = Value::Map(self.entries(lower, upper, keys, path));
                Node { id: base.id, at: base.at, value }
            }
            (_, value) => {
                self.covered.push(Covered { path: path.clone(), at: base.at });
                Node { id: over.id, at: over.at, value }
            }
        }
    }

    fn entries(
        &mut self,
        mut lower: Vec<Entry>,
        upper: Vec<Entry>,
        keys: &mut Vec<String>,
        path: &Path,
    ) -> Vec<Entry> {
        for entry in upper {
            let inner = path.key(&entry.key);
            let place = lower.iter().position(|known| known.key == entry.key);
            // A value that is not written has the position of its key.
            let taken_out = matches!(entry.value.value, Value::Null) && entry.value.at != entry.key_at;
            match place {
                None if taken_out => {
                    let problem = Problem::other("there is nothing below to take out", None);
                    note(self.faults, Fault { at: entry.key_at, path: inner, problem });
                }
                None => lower.push(entry),
                Some(at) if taken_out => {
                    let gone = lower.remove(at);
                    self.covered.push(Covered { path: inner, at: gone.key_at });
                }
                Some(at) => {
                    let known = lower.remove(at);
                    keys.push(entry.key.clone());
                    let value = self.node(known.value, entry.value, keys, &inner);
                    keys.pop();
                    // Whoever looks for the key finds it where its value comes from.
                    let key_at = if value.at.file == entry.key_at.file { entry.key_at } else { known.key_at };
                    lower.insert(at, Entry { key: entry.key, key_at, value });
                }
            }
        }
        lower
    }
}
