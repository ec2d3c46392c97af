//! What cards and registry entries have in common.

use protocol::Raw;

use crate::address::{Address, URL_BYTES_MAX};
use crate::fault::shown;
use crate::input::{NAME_CHARS_MAX, TEXT_CHARS_MAX};
use crate::read::{Desk, Members, word};
use crate::write::{Extra, Out};

/// Icons of one document.
const ICONS_MAX: usize = 20;
/// Characters of an icon that stands in the document itself.
const DATA_ICON_CHARS_MAX: usize = 65_536;

/// A picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Icon {
    /// Where it is.
    pub src: String,
    /// Its media type.
    pub mime_type: Option<String>,
    /// `48x48` or `any`.
    pub sizes: Vec<String>,
    /// `light` or `dark`.
    pub theme: Option<String>,
    /// All else.
    pub extra: Extra,
}

impl Icon {
    /// The member `icons`. Registries take fewer kinds than cards.
    pub(crate) fn list(desk: &mut Desk, members: &mut Members, registry: bool) -> Vec<Self> {
        let items = members.items(desk, "icons", ICONS_MAX).unwrap_or_default();
        items.iter().filter_map(|item| Self::read(desk, &item.at, &item.raw, registry)).collect()
    }

    fn read(desk: &mut Desk, at: &str, raw: &Raw, registry: bool) -> Option<Self> {
        let mut members = Members::open(desk, at, raw)?;
        let longest = if registry { 255 } else { DATA_ICON_CHARS_MAX };
        let src = members.needed(desk, "src", longest);
        if let Some(src) = &src
            && let Err(what) = icon_source(src, registry)
        {
            desk.refuse(&format!("{at}/src"), what);
        }
        let icon = Self {
            src: src?,
            mime_type: members.any_text(desk, "mimeType", NAME_CHARS_MAX),
            sizes: members.texts(desk, "sizes", ICONS_MAX, NAME_CHARS_MAX).unwrap_or_default(),
            theme: members.any_text(desk, "theme", NAME_CHARS_MAX),
            extra: members.rest(),
        };
        let known = ["image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/webp"];
        if let Some(mime) = &icon.mime_type
            && registry
            && !known.contains(&mime.as_str())
        {
            desk.refuse(&format!("{at}/mimeType"), format!("{} is no type of a picture", shown(mime)));
        }
        if let Some(theme) = &icon.theme {
            word(desk, &format!("{at}/theme"), theme, &[("light", ()), ("dark", ())]);
        }
        if registry && let Some(size) = icon.sizes.iter().find(|size| !is_size(size)) {
            desk.refuse(&format!("{at}/sizes"), format!("{} is no size", shown(size)));
        }
        Some(icon)
    }

    pub(crate) fn write(&self) -> Raw {
        Out::new()
            .text("src", &self.src)
            .some_text("mimeType", self.mime_type.as_deref())
            .texts("sizes", &self.sizes)
            .some_text("theme", self.theme.as_deref())
            .extra(&self.extra)
            .finish()
    }
}

fn is_size(size: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    size == "any" || size.split_once('x').is_some_and(|(a, b)| digits(a) && digits(b))
}

fn icon_source(src: &str, registry: bool) -> Result<(), String> {
    if !registry && let Some(data) = src.strip_prefix("data:image/") {
        let plain = data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=;,.-".contains(&byte));
        return if plain { Ok(()) } else { Err("a picture that is not in base 64".to_owned()) };
    }
    match Address::parse(src) {
        Ok(url) if !url.is_https() && registry => Err("not over https".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Where the source is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// For a browser and for `git clone`.
    pub url: String,
    /// Whose it is: `github`.
    pub source: String,
    /// The folder of the server in it.
    pub subfolder: Option<String>,
    /// The hosting service's own name for it, which a successor under the same URL does not have.
    pub id: Option<String>,
    /// All else.
    pub extra: Extra,
}

impl Repository {
    /// The member `repository`.
    pub(crate) fn member(desk: &mut Desk, members: &mut Members) -> Option<Self> {
        let found = members.take(desk, "repository")?;
        let mut members = Members::open(desk, found.at, &found.raw)?;
        let url = members.needed(desk, "url", URL_BYTES_MAX);
        if let Some(Err(error)) = url.as_deref().map(Address::parse) {
            desk.refuse(&format!("{}/url", members.at), error.to_string());
        }
        let source = members.needed(desk, "source", NAME_CHARS_MAX);
        let subfolder = members.any_text(desk, "subfolder", TEXT_CHARS_MAX);
        if let Some(folder) = &subfolder
            && !is_clean_path(folder)
        {
            desk.refuse(&format!("{}/subfolder", members.at), "no plain relative path");
        }
        let id = members.any_text(desk, "id", NAME_CHARS_MAX);
        Some(Self { url: url?, source: source?, subfolder, id, extra: members.rest() })
    }

    pub(crate) fn write(&self) -> Raw {
        Out::new()
            .text("url", &self.url)
            .text("source", &self.source)
            .some_text("subfolder", self.subfolder.as_deref())
            .some_text("id", self.id.as_deref())
            .extra(&self.extra)
            .finish()
    }
}

/// A relative path that stays where it is.
pub(crate) fn is_clean_path(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    !path.contains(['\\', ':']) && !path.chars().any(char::is_control) && path.split('/').all(plain)
}

/// What is wrong with the name of a server: reverse DNS, one slash, a name.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let plain = |part: &str, more: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    match name.split_once('/') {
        _ if name.len() < 3 || name.len() > 200 => Some("a name of a server has 3 to 200 characters"),
        Some((space, own)) if plain(space, b".-") && plain(own, b"._-") => None,
        _ => Some("no name of a server: a domain backwards, one slash, a name"),
    }
}

/// What is wrong with a version that has to name one thing.
#[must_use]
pub fn version_fault(version: &str) -> Option<&'static str> {
    let shaped = |part: &str| matches!(part, "x" | "X" | "*");
    if version.is_empty() || version.len() > 255 {
        Some("a version has 1 to 255 characters")
    } else if version.eq_ignore_ascii_case("latest") {
        Some("names whatever is newest, and no version")
    } else if version.contains(['^', '~', '>', '<', '=', '|', '*', ','])
        || version.contains(" - ")
        || version.split(['.', '-', '+']).any(shaped)
    {
        Some("a range, and no version")
    } else if !version.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("a version with a character that may not stand in one")
    } else {
        None
    }
}

/// What a card and a registry entry both begin with.
pub(crate) struct Head {
    pub name: String,
    pub title: Option<String>,
    pub description: String,
    pub version: String,
    pub website_url: Option<String>,
    pub repository: Option<Repository>,
    pub icons: Vec<Icon>,
    pub meta: Option<Raw>,
}

impl Head {
    /// Reads it of a card or, with other rules for pictures, of a registry's entry.
    pub fn read(desk: &mut Desk, members: &mut Members, registry: bool) -> Option<Self> {
        let name = members.needed(desk, "name", NAME_CHARS_MAX);
        if let Some(what) = name.as_deref().and_then(name_fault) {
            desk.refuse(&format!("{}/name", members.at), what);
        }
        let version = members.needed(desk, "version", NAME_CHARS_MAX);
        if let Some(what) = version.as_deref().and_then(version_fault) {
            desk.refuse(&format!("{}/version", members.at), what);
        }
        let description = members.needed(desk, "description", 100);
        let title = members.text(desk, "title", 100);
        let website_url = members.any_text(desk, "websiteUrl", URL_BYTES_MAX);
        if let Some(Err(error)) = website_url.as_deref().map(Address::parse) {
            desk.refuse(&format!("{}/websiteUrl", members.at), error.to_string());
        }
        let repository = Repository::member(desk, members);
        let icons = Icon::list(desk, members, registry);
        let meta = members
            .take(desk, "_meta")
            .and_then(|found| Members::open(desk, found.at, &found.raw).map(|_| found.raw));
        let (name, description, version) = (name?, description?, version?);
        Some(Self { name, title, description, version, website_url, repository, icons, meta })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_one_thing() {
        for version in ["1.0.2", "2.1.0-alpha", "1.0.0+20130313", "2026.05.01", "v3", "1.0.0-alpine.x86"] {
            assert_eq!(version_fault(version), None, "{version}");
        }
        for version in [
            "",
            "latest",
            "LATEST",
            "^1.2.3",
            "~1.2.3",
            ">=1.2.3",
            "<2",
            "1.x",
            "1.X.0",
            "1.*",
            "*",
            "1 - 2",
            "1.2.3 || 2",
            "=1.0.0",
            "1.0.0\n",
            "1.0.0 ",
            "1.0,2.0",
            "\u{661}.0",
        ] {
            assert!(version_fault(version).is_some(), "{version}");
        }
    }

    #[test]
    fn a_name_has_one_slash_and_nothing_odd() {
        for name in ["com.acme/crm", "io.github.user/my_server-2.x", "a/b"] {
            assert_eq!(name_fault(name), None, "{name}");
        }
        for name in
            ["", "a/", "/b", "crm", "com.acme/crm/x", "com acme/crm", "com.acme/..\u{202e}", "../../x"]
        {
            assert!(name_fault(name).is_some(), "{name}");
        }
        assert!(name_fault(&format!("a/{}", "b".repeat(200))).is_some());
    }

    #[test]
    fn a_folder_in_a_repository_stays_in_it() {
        for (path, clean) in
            [("src/x", true), ("", false), ("/etc", false), ("a/../b", false), ("a//b", false)]
        {
            assert_eq!(is_clean_path(path), clean, "{path}");
        }
        assert!(!is_clean_path("a\\b") && !is_clean_path("C:x") && !is_clean_path("a/./b"));
    }
}
