//! What names say, and which values are no secrets whatever they are called.

/// Words in a name that say that its value is a secret.
const WORDS: [&str; 18] = [
    "auth",
    "bearer",
    "credentials",
    "dsn",
    "jwt",
    "key",
    "keys",
    "pass",
    "pat",
    "pin",
    "psk",
    "pw",
    "pwd",
    "session",
    "sig",
    "signature",
    "token",
    "tokens",
];

/// What says so also where it is only a part of a word: `GITHUBTOKEN`, `apikey2`.
const PARTS: [&str; 11] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "cookie",
];

/// Words by which a name says something else of what has a secret: where, how long, of which kind.
const ABOUT: [&str; 21] = [
    "algorithm",
    "audience",
    "dir",
    "directory",
    "endpoint",
    "file",
    "format",
    "header",
    "host",
    "issuer",
    "method",
    "mode",
    "name",
    "path",
    "prefix",
    "provider",
    "server",
    "type",
    "uri",
    "url",
    "version",
];

/// Words by which a name says that its value is an amount.
const MEASURES: [&str; 20] = [
    "budget", "chars", "count", "days", "expiry", "hours", "interval", "len", "length", "lifetime", "limit",
    "max", "min", "minutes", "ms", "num", "seconds", "size", "timeout", "ttl",
];

/// Keys of that kind are for everybody, or none at all.
const OPEN_KEYS: [&str; 6] = ["public", "publishable", "primary", "partition", "sort", "foreign"];

/// What stands in place of a secret where a name only asks how somebody proves who they are.
const KINDS: [&str; 22] = [
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "0",
    "1",
    "none",
    "null",
    "auto",
    "default",
    "basic",
    "bearer",
    "oauth",
    "oauth2",
    "oidc",
    "jwt",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
];

/// The folders that paths begin with. A secret may begin with `/` as well.
const ROOTS: [&str; 24] = [
    "Applications",
    "Library",
    "Users",
    "Volumes",
    "app",
    "config",
    "data",
    "dev",
    "etc",
    "home",
    "mnt",
    "opt",
    "private",
    "proc",
    "root",
    "run",
    "secrets",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "workspace",
    "workspaces",
];

/// The words of a name, in small letters: `maxTokens`, `MAX_TOKENS` and `X-Max-Tokens` alike.
pub(super) fn parts(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut all = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || (before.is_uppercase() && after.is_some_and(|c| c.is_lowercase()))
            });
        if !c.is_alphanumeric() || begins {
            all.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(last) = all.last_mut()
        {
            last.extend(c.to_lowercase());
        }
    }
    all.retain(|word| !word.is_empty());
    all
}

/// Whether what is called so has a secret: a variable, a header, an option.
pub(super) fn names_secret(name: &str) -> bool {
    let words = parts(name);
    let lower = name.to_ascii_lowercase().replace("tokeniz", "");
    let is_open = words.iter().any(|word| OPEN_KEYS.contains(&word.as_str()));
    let says = |word: &String| {
        WORDS.contains(&word.as_str()) && !(is_open && matches!(word.as_str(), "key" | "keys"))
    };
    words.iter().any(says) || PARTS.iter().any(|part| lower.contains(part))
}

/// Whether a value is no secret though its name says so.
pub(super) fn is_harmless(name: &str, value: &str) -> bool {
    let value = value.trim();
    let words = parts(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let is_about = words.last().is_some_and(|last| ABOUT.contains(&last.as_str()));
    let counts = has(&MEASURES) || has(&["tokens"]);
    value.is_empty()
        || is_placeholder(value)
        || KINDS.contains(&value.to_ascii_lowercase().as_str())
        || is_path(value)
        || (counts && is_amount(value))
        || (is_about && !value.contains(char::is_whitespace) && !is_random(value))
}

/// Whether a value only says that another one belongs there: `<token>`, `{token}`, `${TOKEN}`, `YOUR_KEY`.
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    let within = |start: &str, end: &str| value.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.: ".contains(c))
    };
    let lower = value.to_ascii_lowercase();
    let yours = lower.strip_prefix("your").is_some_and(|rest| {
        rest.starts_with(['-', '_', ' ']) && !rest.contains(|c: char| c.is_ascii_digit())
    });
    let upper = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    yours
        || within("<", ">").is_some_and(|inner| !inner.contains(['<', '>']))
        || within("${", "}").is_some_and(|inner| is_name(inner) && !inner.contains(":-"))
        || within("{", "}").is_some_and(|inner| is_name(inner.trim_matches(['{', '}'])))
        || within("%", "%").is_some_and(is_name)
        || within("$(", ")").is_some()
        || value.strip_prefix('$').is_some_and(upper)
        || value.contains("***")
        || (value.len() >= 3 && value.chars().all(|c| matches!(c, 'x' | 'X' | '*' | '.' | '…')))
        || value == "…"
        || value == "[secret]"
}

/// Whether a value is where something is on this machine.
fn is_path(value: &str) -> bool {
    if value.contains(char::is_whitespace) || value.len() >= 200 {
        return false;
    }
    let mut pieces = value.split('/').skip(1);
    let is_rooted = value.starts_with('/')
        && pieces.next().is_some_and(|root| ROOTS.contains(&root))
        && pieces.next().is_some_and(|next| !next.is_empty());
    let is_relative = ["./", "../", "~/"].iter().any(|start| value.starts_with(start));
    (is_rooted || is_relative) && !value.split('/').any(is_random)
}

/// A number, with a unit or without.
fn is_amount(value: &str) -> bool {
    let rest = value.trim_start_matches(|c: char| c.is_ascii_digit() || "._,-".contains(c));
    rest.len() < value.len() && rest.len() <= 3 && rest.chars().all(|c| c.is_ascii_alphabetic() || c == '%')
}

/// Whether a word has small and large letters and digits, and is as long as no name is.
pub(super) fn is_random(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    word.len() >= 20
        && !word.contains("://")
        && has(char::is_ascii_digit)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_uppercase)
}
