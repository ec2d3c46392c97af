//! Text with variables in it, as each program spells them.

use std::fmt;

use config::suspect::looks_secret;

/// A text that may have references to what is elsewhere: to variables, answers, files, vaults.
///
/// References are kept as such. Nothing here looks one up.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Vec<Piece>);

/// A piece of a [`Text`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// As it stands.
    Plain(String),
    /// A variable of the environment, and what stands in for it where it is not set.
    Env {
        /// The variable.
        name: String,
        /// What is taken where it is not set.
        default: Option<String>,
    },
    /// What a user is asked for, by its id: see [`Deployment::inputs`](crate::Deployment::inputs).
    Input(String),
    /// The content of a file.
    File(String),
    /// A secret in a store that a program knows by a word: `keyring`, `op`, `kubernetes`, `aws`.
    Vault {
        /// The word.
        scheme: String,
        /// What the secret is called there.
        reference: String,
    },
    /// A folder that each machine has elsewhere.
    Place(Place),
}

/// What editors put in for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The folder that is open.
    Workspace,
    /// The last name of that folder's path.
    WorkspaceName,
    /// The user's home.
    Home,
    /// `/` or `\`.
    Separator,
}

impl Text {
    /// Text without references.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self::default().with(Piece::Plain(text.into()))
    }

    /// A variable of the environment.
    #[must_use]
    pub fn env(name: impl Into<String>) -> Self {
        Self::default().with(Piece::Env { name: name.into(), default: None })
    }

    /// The content of a file.
    #[must_use]
    pub fn file(path: impl Into<String>) -> Self {
        Self::default().with(Piece::File(path.into()))
    }

    /// The same with a piece more at its end. Plain pieces that meet become one, and empty ones none.
    #[must_use]
    pub fn with(mut self, piece: Piece) -> Self {
        self.push(piece);
        self
    }

    /// Puts a piece at the end, as [`Self::with`] does.
    pub fn push(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (_, Piece::Plain(text)) if text.is_empty() => {}
            (Some(Piece::Plain(last)), Piece::Plain(text)) => last.push_str(&text),
            (_, piece) => self.0.push(piece),
        }
    }

    /// The pieces in their order; none of the empty text.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The text, where it has no references.
    #[must_use]
    pub fn as_plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// The one reference of a text that is nothing but plain text and, at its end, that reference.
    #[must_use]
    pub fn as_reference(&self) -> Option<(&str, &Piece)> {
        match self.0.as_slice() {
            [Piece::Plain(prefix), piece] if !matches!(piece, Piece::Plain(_)) => Some((prefix, piece)),
            [piece] if !matches!(piece, Piece::Plain(_)) => Some(("", piece)),
            _ => None,
        }
    }

    /// The variable that is the whole text, where it has no default.
    #[must_use]
    pub fn as_env(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Env { name, default: None }] => Some(name),
            _ => None,
        }
    }

    /// The plain pieces, for checks that do not show them.
    pub(crate) fn plain_pieces(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Plain(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

impl FromIterator<Piece> for Text {
    fn from_iter<I: IntoIterator<Item = Piece>>(pieces: I) -> Self {
        pieces.into_iter().fold(Self::default(), Self::with)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::plain(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Piece {
    /// What looks like a secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) if looks_secret(text) => f.write_str("[secret]"),
            Self::Plain(text) => write!(f, "{text:?}"),
            Self::Env { name, default: None } => write!(f, "env:{name}"),
            Self::Env { name, default: Some(_) } => write!(f, "env:{name} or a default"),
            Self::Input(id) => write!(f, "input:{id}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Vault { scheme, reference } => write!(f, "{scheme}:{reference}"),
            Self::Place(place) => write!(f, "{place:?}"),
        }
    }
}
