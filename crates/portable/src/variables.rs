//! How programs spell references in their values.

use crate::text::{Piece, Place, Text};

/// How a program spells references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variables {
    /// How variables of the environment are spelt.
    pub(crate) env: Spelling,
    /// `${input:ID}`
    pub(crate) inputs: bool,
    /// `${workspaceFolder}` and its like.
    pub(crate) places: bool,
    /// `${file:PATH}`
    pub(crate) files: bool,
    /// Words of vaults: `${op:…}`.
    pub(crate) vaults: &'static [&'static str],
    /// Whether they are replaced in commands, URLs and folders as well.
    pub(crate) everywhere: bool,
}

/// How variables of the environment are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// They are not.
    None,
    /// `${NAME}`
    Braces,
    /// `${NAME}`, `${NAME:-default}`
    BracesWithDefault,
    /// `${env:NAME}`; `${NAME}` is read as well.
    Scheme,
    /// `$NAME`, `${NAME}`
    Dollar,
    /// `${env:NAME}`, `${env:NAME | default}`
    SchemeWithDefault,
}

impl Variables {
    pub(crate) const NONE: Self = Self {
        env: Spelling::None,
        inputs: false,
        places: false,
        files: false,
        vaults: &[],
        everywhere: false,
    };

    pub(crate) const fn of(env: Spelling) -> Self {
        Self { env, everywhere: true, ..Self::NONE }
    }

    /// Reads a value.
    pub(crate) fn parse(self, text: &str) -> Text {
        self.parse_for(text, &[])
    }

    /// Reads a word of a command whose program has these variables of its own: where the environment is spelt
    /// `${env:NAME}`, `${NAME}` of one of those is for the program itself to read, as `mcp-remote` does.
    pub(crate) fn parse_for(self, text: &str, own: &[&str]) -> Text {
        let mut out = Text::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push(Piece::Plain(rest[..at].to_owned()));
            rest = &rest[at..];
            match self.piece(rest).filter(|_| !self.is_own(rest, own)) {
                Some((piece, len)) => {
                    out.push(piece);
                    rest = &rest[len..];
                }
                None => {
                    out.push(Piece::Plain("$".to_owned()));
                    rest = &rest[1..];
                }
            }
        }
        out.push(Piece::Plain(rest.to_owned()));
        out
    }

    fn is_own(self, text: &str, own: &[&str]) -> bool {
        let name = text.strip_prefix("${").and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        self.env == Spelling::Scheme && name.is_some_and(|name| own.contains(&name))
    }

    /// The reference that a text begins with, and how long it is.
    fn piece(self, text: &str) -> Option<(Piece, usize)> {
        if let Some(rest) = text.strip_prefix("${") {
            let inside = &rest[..rest.find('}')?];
            return Some((self.braces(inside)?, inside.len() + 3));
        }
        if self.env != Spelling::Dollar {
            return None;
        }
        let rest = text.strip_prefix('$')?;
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..len];
        is_name(name).then(|| (env(name, None), len + 1))
    }

    fn braces(self, inside: &str) -> Option<Piece> {
        if self.places
            && let Some(place) = PLACES.iter().find(|(name, _)| *name == inside)
        {
            return Some(Piece::Place(place.1));
        }
        if let Some((scheme, reference)) = inside.split_once(':') {
            let is_scheme = matches!(self.env, Spelling::Scheme | Spelling::SchemeWithDefault);
            match scheme {
                "env" if is_scheme => {
                    let (name, default) = match reference.split_once(" | ") {
                        Some((name, default)) if self.env == Spelling::SchemeWithDefault => {
                            (name, Some(default))
                        }
                        _ => (reference, None),
                    };
                    return is_name(name).then(|| env(name, default));
                }
                "input" if self.inputs => return Some(Piece::Input(reference.to_owned())),
                "file" if self.files => return Some(Piece::File(reference.to_owned())),
                scheme if self.vaults.contains(&scheme) => {
                    let (scheme, reference) = (scheme.to_owned(), reference.to_owned());
                    return Some(Piece::Vault { scheme, reference });
                }
                _ => {}
            }
            let (name, default) = inside.split_once(":-")?;
            let known = self.env == Spelling::BracesWithDefault && is_name(name);
            return known.then(|| env(name, Some(default)));
        }
        let bare = matches!(
            self.env,
            Spelling::Braces | Spelling::BracesWithDefault | Spelling::Dollar | Spelling::Scheme
        );
        (bare && is_name(inside)).then(|| env(inside, None))
    }

    /// Spells a text. `None`: it cannot be, or would be read as another one.
    pub(crate) fn render(self, text: &Text) -> Option<String> {
        self.render_for(text, &[])
    }

    /// Spells a word of a command, as [`Self::parse_for`] reads it.
    pub(crate) fn render_for(self, text: &Text, own: &[&str]) -> Option<String> {
        let mut out = String::new();
        for piece in text.pieces() {
            match piece {
                Piece::Plain(plain) => out.push_str(plain),
                Piece::Env { name, default } => out.push_str(&self.spell(name, default.as_deref())?),
                Piece::Input(id) if self.inputs => out.push_str(&format!("${{input:{id}}}")),
                Piece::File(path) if self.files => out.push_str(&format!("${{file:{path}}}")),
                Piece::Vault { scheme, reference } if self.vaults.contains(&scheme.as_str()) => {
                    out.push_str(&format!("${{{scheme}:{reference}}}"));
                }
                Piece::Place(place) if self.places => {
                    let (name, _) = PLACES.iter().find(|(_, known)| known == place)?;
                    out.push_str(&format!("${{{name}}}"));
                }
                Piece::Input(_) | Piece::File(_) | Piece::Vault { .. } | Piece::Place(_) => return None,
            }
        }
        (self.parse_for(&out, own) == *text).then_some(out)
    }

    fn spell(self, name: &str, default: Option<&str>) -> Option<String> {
        Some(match (self.env, default) {
            (Spelling::None, _) => return None,
            (Spelling::Braces | Spelling::BracesWithDefault | Spelling::Dollar, None) => {
                format!("${{{name}}}")
            }
            (Spelling::BracesWithDefault, Some(default)) => format!("${{{name}:-{default}}}"),
            (Spelling::Scheme | Spelling::SchemeWithDefault, None) => format!("${{env:{name}}}"),
            (Spelling::SchemeWithDefault, Some(default)) => format!("${{env:{name} | {default}}}"),
            (Spelling::Braces | Spelling::Scheme | Spelling::Dollar, Some(_)) => return None,
        })
    }
}

const PLACES: [(&str, Place); 5] = [
    ("workspaceFolder", Place::Workspace),
    ("workspaceFolderBasename", Place::WorkspaceName),
    ("userHome", Place::Home),
    ("pathSeparator", Place::Separator),
    ("/", Place::Separator),
];

fn env(name: &str, default: Option<&str>) -> Piece {
    Piece::Env { name: name.to_owned(), default: default.map(str::to_owned) }
}

pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Variables = Variables {
        inputs: true,
        places: true,
        files: true,
        vaults: &["command"],
        ..Variables::of(Spelling::Scheme)
    };

    #[test]
    fn each_spelling_is_read_and_written_by_itself() {
        let read = |variables: Variables, text: &str| format!("{:?}", variables.parse(text));
        let claude = Variables::of(Spelling::BracesWithDefault);
        assert_eq!(read(claude, "Bearer ${A} ${B:-x}"), "[\"Bearer \", env:A, \" \", env:B or a default]");
        assert_eq!(read(claude, "${env:A} $A ${"), "[\"${env:A} $A ${\"]");
        let gemini = Variables::of(Spelling::Dollar);
        assert_eq!(read(gemini, "$A_1/x ${B} $1 $"), "[env:A_1, \"/x \", env:B, \" $1 $\"]");
        assert_eq!(
            read(CODE, "${env:A}${input:k}${workspaceFolder}${file:/k}${command:x}${other}"),
            "[env:A, input:k, Workspace, file:/k, command:x, env:other]"
        );
        let sep = Variables::of(Spelling::SchemeWithDefault);
        assert_eq!(read(sep, "${env:A | b}${A}"), "[env:A or a default, \"${A}\"]");
        for (variables, text) in
            [(claude, "Bearer ${A} ${B:-x}"), (CODE, "${env:A}${input:k}/${userHome}"), (sep, "${env:A | b}")]
        {
            assert_eq!(variables.render(&variables.parse(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_programs_own_variable_is_left_to_the_program() {
        let text = "Authorization:${TOKEN} ${OTHER}";
        let read = CODE.parse_for(text, &["TOKEN"]);
        assert_eq!(format!("{read:?}"), "[\"Authorization:${TOKEN} \", env:OTHER]");
        let spelt = CODE.render_for(&read, &["TOKEN"]);
        assert_eq!(spelt.as_deref(), Some("Authorization:${TOKEN} ${env:OTHER}"));
        assert_eq!(CODE.render(&read), None, "without it, the editor would read it");
        let claude = Variables::of(Spelling::BracesWithDefault);
        assert_eq!(claude.parse_for("${TOKEN}", &["TOKEN"]), Text::env("TOKEN"), "there it is the client's");
    }

    #[test]
    fn what_would_be_read_as_something_else_is_not_written() {
        let plain = Text::plain("costs $5 or ${A}");
        assert_eq!(Variables::NONE.render(&plain).as_deref(), Some("costs $5 or ${A}"));
        assert_eq!(Variables::of(Spelling::Braces).render(&plain), None);
        assert_eq!(Variables::of(Spelling::Braces).render(&Text::env("A")).as_deref(), Some("${A}"));
        assert_eq!(Variables::NONE.render(&Text::env("A")), None);
    }
}
