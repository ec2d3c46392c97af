//! `${NAME}` in values.

/// What stands in a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No variable.
    Plain,
    /// A variable of the environment, perhaps after some text.
    Variable { prefix: String, name: String },
    /// Something that cannot be read here, and why.
    Unreadable { message: &'static str, hint: &'static str },
}

/// Variables of editors. They look like those of the environment.
const EDITOR: [&str; 8] = [
    "cwd",
    "file",
    "fileDirname",
    "pathSeparator",
    "userHome",
    "workspaceFolder",
    "workspaceFolderBasename",
    "workspaceRoot",
];

/// What an editor's variable could be replaced with.
const OWN_VARIABLE: &str = "put the whole value into the environment and write ${env:NAME}";

/// Looks for variables in a value that may be a secret.
pub(super) fn find(text: &str) -> Found {
    let Some((prefix, rest)) = text.split_once("${") else { return Found::Plain };
    let unreadable = |message| Found::Unreadable { message, hint: OWN_VARIABLE };
    let Some((inside, after)) = rest.split_once('}') else {
        return unreadable("the value has \"${\" without \"}\"");
    };
    if inside.starts_with("input:") {
        return unreadable("the editor asks its user for this value, and here is nobody to ask");
    }
    let name = inside.strip_prefix("env:").unwrap_or(inside);
    if EDITOR.contains(&inside) || !is_name(name) {
        return unreadable("only variables of the environment can stand in a value");
    }
    if !after.is_empty() {
        return unreadable("nothing can follow a variable");
    }
    Found::Variable { prefix: prefix.to_owned(), name: name.to_owned() }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_the_whole_value_or_its_end() {
        let variable =
            |prefix: &str, name: &str| Found::Variable { prefix: prefix.into(), name: name.into() };
        for (text, expected) in [
            ("", Found::Plain),
            ("plain $HOME {x}", Found::Plain),
            ("${TOKEN}", variable("", "TOKEN")),
            ("${env:TOKEN_2}", variable("", "TOKEN_2")),
            ("Bearer ${env:TOKEN}", variable("Bearer ", "TOKEN")),
        ] {
            assert_eq!(find(text), expected, "{text}");
        }
        for text in [
            "${",
            "${}",
            "${env:}",
            "${A}b",
            "${A}${B}",
            "${input:x}",
            "${workspaceFolder}",
            "${A:-b}",
            "${1A}",
            "${A B}",
            "${userHome}/x",
        ] {
            assert!(matches!(find(text), Found::Unreadable { .. }), "{text}");
        }
    }
}
