//! A policy file's text, before Cedar reads it: where policies begin, and whether they are too large.
//!
//! Cedar's reader and its checks recurse over what they read, so that size, nesting and operators are limited
//! here, where nothing recurses.

use crate::fault::Fault;
use crate::limits::{
    FILE_BYTES_MAX, POLICY_BYTES_MAX, POLICY_DEPTH_MAX, POLICY_MEMBERS_MAX, POLICY_OPERATORS_MAX,
};

/// Where the policies of a text begin and end: up to their semicolons, comments before them left out.
///
/// # Errors
/// What is too large.
pub(crate) fn pieces(name: &str, text: &str) -> Result<Vec<(usize, usize)>, Vec<Fault>> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, and there may be {FILE_BYTES_MAX}", text.len());
        return Err(vec![Fault::at(name, text, 0, message)]);
    }
    let mut found = Reader::default();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '/' if rest.peek().is_some_and(|(_, next)| *next == '/') => {
                while rest.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            '"' => {
                found.token(at);
                skip_string(&mut rest);
            }
            c if c.is_whitespace() => found.word.clear(),
            c => found.char(at, c),
        }
    }
    if let Some(start) = found.start {
        found.pieces.push((start, text.len()));
    }
    let mut faults = Vec::new();
    if let Some((at, what)) = found.too_much {
        faults.push(Fault::at(name, text, at, what));
    }
    for (start, end) in &found.pieces {
        if end - start > POLICY_BYTES_MAX {
            let message = format!("the policy has {} bytes, and may have {POLICY_BYTES_MAX}", end - start);
            faults.push(Fault::at(name, text, *start, message));
        }
    }
    if faults.is_empty() { Ok(found.pieces) } else { Err(faults) }
}

fn skip_string(rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>) {
    while let Some((_, c)) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            '"' => return,
            _ => {}
        }
    }
}

#[derive(Default)]
struct Reader {
    pieces: Vec<(usize, usize)>,
    start: Option<usize>,
    depth: usize,
    operators: usize,
    /// Dots in a row, with nothing but names between them.
    members: usize,
    word: String,
    /// The sign that would be the second of a pair, and where it would stand.
    last: Option<(char, usize)>,
    too_much: Option<(usize, String)>,
}

impl Reader {
    /// Something of a policy stands here.
    fn token(&mut self, at: usize) {
        self.word.clear();
        self.start.get_or_insert(at);
    }

    fn char(&mut self, at: usize, c: char) {
        self.start.get_or_insert(at);
        if c.is_alphanumeric() || c == '_' {
            // Longer words are none of those that count.
            if self.word.len() < 8 {
                self.word.push(c);
            }
            if self.word == "if" {
                self.operator(at);
            }
            return;
        }
        self.word.clear();
        if c == '.' {
            self.members += 1;
            if self.members > POLICY_MEMBERS_MAX {
                let message = format!("more than {POLICY_MEMBERS_MAX} members are named in a row");
                self.too_much.get_or_insert((at, message));
            }
            return;
        }
        self.members = 0;
        match c {
            '(' | '[' | '{' => {
                self.depth += 1;
                self.operator(at);
                if self.depth > POLICY_DEPTH_MAX {
                    let message = format!("brackets are nested deeper than {POLICY_DEPTH_MAX}");
                    self.too_much.get_or_insert((at, message));
                }
            }
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            // The second sign of `&&` is no operator of its own.
            '&' | '|' if self.last == Some((c, at)) => {}
            '&' | '|' => {
                self.last = Some((c, at + 1));
                self.operator(at);
            }
            '+' | '-' | '*' | '!' | '@' => self.operator(at),
            ';' if self.depth == 0 => {
                let start = self.start.take().unwrap_or(at);
                self.pieces.push((start, at + 1));
                self.operators = 0;
            }
            _ => {}
        }
    }

    fn operator(&mut self, at: usize) {
        self.operators += 1;
        if self.operators > POLICY_OPERATORS_MAX {
            let message = format!("the policy has more than {POLICY_OPERATORS_MAX} operators and brackets");
            self.too_much.get_or_insert((at, message));
        }
    }
}
