//! What a format is.

use config::Diagnostic;
use indexmap::IndexMap;

use crate::field::{Field, Support};
use crate::model::{Deployment, Scope, Tools};
use crate::report::Report;

/// The largest text that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How deep a text may be nested.
pub const DEPTH_MAX: usize = 64;
/// How many servers a text may have.
pub const SERVERS_MAX: usize = 1000;

/// Something that is wrong with a text, and where. It shows no value of that text.
pub type Fault = Diagnostic;

/// A program's configuration, read and written.
pub trait Format: Sync + Send {
    /// Its name at the command line and in reports: `claude-code`. Of `a-z`, `0-9` and `-`.
    fn name(&self) -> &'static str;

    /// The program's name, for people.
    fn title(&self) -> &'static str;

    /// Where its files are.
    fn known(&self) -> &'static [Known];

    /// Whether a text is of this format, by the last part of its file's name and by what is in it.
    fn detect(&self, file_name: &str, text: &str) -> Likeness;

    /// Reads a text. What cannot be used of it is in [`Imported::refused`] or in the report.
    ///
    /// # Errors
    /// [`Fault`] where nothing of it can be used: it is no text of this format, too large, ambiguous.
    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault>;

    /// Writes a deployment: what [`reduce`](crate::reduce) leaves of it, into the text that is there, whose
    /// comments, order and other members stay.
    ///
    /// # Errors
    /// [`Fault`] where the text that is there cannot be used, or cannot be changed without changing more.
    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault>;

    /// Whether it can say something. The matrix and the loss report of exports come from here.
    fn support(&self, field: Field) -> Support;

    /// Keeps out of virtual servers what lists of tools kept out that servers had themselves, where this
    /// format has no place for those. Called by [`reduce`](crate::reduce) before [`Self::adjust`] with the
    /// lists as they were; whatever is changed is noted. By default nothing.
    fn narrow(&self, deployment: &mut Deployment, lists: &IndexMap<String, Tools>, report: &mut Report) {
        let _ = (deployment, lists, report);
    }

    /// What only this format knows of what it cannot say. Called by [`reduce`](crate::reduce) after what
    /// [`Self::support`] says; whatever is changed is noted. By default nothing.
    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        let _ = (deployment, report);
    }

    /// By what it was tried that the program reads what is written.
    fn tested(&self) -> Tested;

    /// Whether it can be read.
    fn imports(&self) -> bool {
        true
    }

    /// Whether it can be written.
    fn exports(&self) -> bool {
        true
    }
}

/// A place where a format's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The path, from the user's home for [`Scope::User`], from the project's folder for [`Scope::Project`],
    /// from the root for [`Scope::Managed`].
    pub path: &'static str,
    /// Whose it is.
    pub scope: Scope,
}

/// How much a text looks like a format's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// Not at all.
    No,
    /// It could be, as others could.
    Maybe,
    /// By what is in it alone.
    Likely,
    /// By its name and what is in it.
    Surely,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The file, for messages and for the provenance.
    pub file: &'a str,
    /// Whose it is.
    pub scope: Scope,
    /// Its digest, if the caller knows it: `sha256:…`.
    pub digest: Option<&'a str>,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// What it says.
    pub deployment: Deployment,
    /// What did not go over, and what did.
    pub report: Report,
    /// Servers that cannot be used as they are written.
    pub refused: Vec<Refused>,
}

/// A server that cannot be used as it is written: wrong types, two of what excludes each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name there.
    pub name: String,
    /// What is wrong.
    pub fault: Fault,
}

/// Into what is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// The file, for messages.
    pub file: &'a str,
    /// The text that is there; `None`: none is.
    pub existing: Option<&'a str>,
    /// The names of servers of that text that go. All others stay, unless one that is written has their name.
    pub remove: &'a [String],
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exported {
    /// The text of the file.
    pub text: String,
    /// Further files beside it, by name.
    pub beside: Vec<(String, String)>,
    /// What did not go over, and what did.
    pub report: Report,
}

/// By what it was tried that a program reads what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tested {
    /// By the program, of this version.
    Program(&'static str),
    /// By the parser that the program uses, or one of the same language.
    Parser(&'static str),
    /// By another program that reads the same files.
    Other(&'static str),
    /// By what this documentation says.
    Documentation(&'static str),
}
