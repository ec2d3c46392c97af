//! Names of packages: what each registry lets a name be, and so nothing that a runtime takes for an option.

use crate::address::Address;
use crate::fault::shown;
use crate::server_json::Package;

/// An image as a runtime takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub reference: String,
    /// Whether it names bytes and not only a tag.
    pub by_digest: bool,
}

/// The name and version of a package of npm, PyPI or NuGet.
pub(super) fn named(package: &Package) -> Result<(String, String), String> {
    let name = package.identifier.as_str();
    let fits = match package.registry_type.as_str() {
        "npm" => is_npm(name),
        "pypi" => is_plain(name, b"._-", 200) && name.ends_with(|c: char| c.is_ascii_alphanumeric()),
        _ => is_plain(name, b"._-", 100),
    };
    if !fits {
        return Err(format!("{} is no name of a package of {}", shown(name), package.registry_type));
    }
    let Some(version) = &package.version else {
        return Err("no version: what is newest tomorrow was looked at by nobody today".to_owned());
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_!".contains(&byte);
    if !version.bytes().all(plain) || version.starts_with(['-', '.', '+', '!']) {
        return Err(format!("{} is no version of a package", shown(version)));
    }
    Ok((name.to_owned(), version.clone()))
}

fn is_npm(name: &str) -> bool {
    let own = match name.strip_prefix('@') {
        None => name,
        Some(scoped) => match scoped.split_once('/') {
            Some((scope, own)) if is_plain(scope, b"._~-", 214) => own,
            _ => return false,
        },
    };
    name.len() <= 214 && is_plain(own, b"._~-", 214)
}

/// Letters and digits, and after the first one of them some more.
fn is_plain(text: &str, more: &[u8], max: usize) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

/// The image of a package. Before 2025-10-11 the registry and the version stood beside its name.
pub(super) fn image(package: &Package) -> Result<Image, String> {
    let given = package.identifier.as_str();
    let wrong = || format!("{} is no name of an image", shown(given));
    let (rest, digest) = match given.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (given, None),
    };
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").ok_or_else(wrong)?;
        if !crate::server_json::is_sha256(hex) {
            return Err(wrong());
        }
    }
    let tail = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[tail..].find(':') {
        Some(at) => (&rest[..tail + at], Some(&rest[tail + at + 1..])),
        None => (rest, None),
    };
    if !is_image_name(name) || name.len() > 255 {
        return Err(wrong());
    }
    let tag = match (tag, package.version.as_deref()) {
        (Some(tag), Some(version)) if tag != version && tag.trim_start_matches('v') != version => {
            return Err(format!("the image says {} and the package {}", shown(tag), shown(version)));
        }
        (Some(tag), _) => Some(tag),
        (None, version) => version,
    };
    if let Some(tag) = tag {
        let plain = is_plain(tag.trim_start_matches('_'), b"._-", 128);
        if !plain || tag.eq_ignore_ascii_case("latest") {
            return Err(format!("{} is no tag that names one image", shown(tag)));
        }
    } else if digest.is_none() {
        return Err("no version: what is newest tomorrow was looked at by nobody today".to_owned());
    }
    let mut reference = with_registry(package, name)?;
    if let Some(tag) = tag {
        reference = format!("{reference}:{tag}");
    }
    if let Some(digest) = digest {
        reference = format!("{reference}@{digest}");
    }
    Ok(Image { reference, by_digest: digest.is_some() })
}

fn with_registry(package: &Package, name: &str) -> Result<String, String> {
    let Some(base) = &package.registry_base_url else { return Ok(name.to_owned()) };
    let base = Address::parse(base).map_err(|error| error.to_string())?;
    let host = base.host();
    let usual = host == "docker.io" || host.ends_with(".docker.io") || host == "hub.docker.com";
    let first = name.split('/').next().unwrap_or_default();
    match has_host(name) {
        true if first == host || (usual && first == "docker.io") => Ok(name.to_owned()),
        true => Err(format!("the image is of {} and the package of {host}", shown(first))),
        false if usual => Ok(name.to_owned()),
        false => Ok(format!("{host}/{name}")),
    }
}

/// Whether the first part of an image's name is a registry.
fn has_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

fn is_image_name(name: &str) -> bool {
    let path = if has_host(name) {
        let (host, path) = name.split_once('/').unwrap_or(("", name));
        if Address::parse(&format!("https://{host}/")).is_err() {
            return false;
        }
        path
    } else {
        name
    };
    let part = |part: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().next().is_some_and(plain)
            && part.bytes().last().is_some_and(plain)
            && part.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
    };
    path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(kind: &str, identifier: &str, version: Option<&str>) -> Package {
        Package {
            registry_type: kind.to_owned(),
            identifier: identifier.to_owned(),
            version: version.map(str::to_owned),
            ..Package::default()
        }
    }

    #[test]
    fn no_name_of_a_package_can_be_taken_for_an_option_a_path_or_a_url() {
        for (kind, name) in [
            ("npm", "@scope/server-x"),
            ("npm", "server.x"),
            ("pypi", "mcp-server-time"),
            ("nuget", "Knapcode.SampleMcpServer"),
        ] {
            assert!(named(&package(kind, name, Some("1.0.0"))).is_ok(), "{name}");
        }
        for kind in ["npm", "pypi", "nuget"] {
            for name in [
                "",
                "-c",
                "--call=id",
                "-",
                "../x",
                "/etc/x",
                "./x",
                ".x",
                "a b",
                "a;id",
                "$(id)",
                "`id`",
                "a@1.0.0",
                "git+https://x/y",
                "https://x/y.tgz",
                "file:x",
                "a\nb",
                "a\0",
                "a&b",
                "a|b",
                "@/x",
                "@a/",
                "@a/-b",
                "@-a/b",
                "a==1",
                "a[extra]",
                "npm:other",
                "\u{ff0d}c",
            ] {
                assert!(named(&package(kind, name, Some("1.0.0"))).is_err(), "{kind} {name}");
            }
            assert!(named(&package(kind, &"a".repeat(300), Some("1.0.0"))).is_err());
            assert!(named(&package(kind, "a", None)).is_err(), "without a version");
            for version in ["-1", "1 --x", "1;id", "file:x", "1/2", "1@2", "$V", "1:2"] {
                assert!(named(&package(kind, "a", Some(version))).is_err(), "{version}");
            }
        }
    }

    #[test]
    fn an_image_is_pinned_and_spelled_in_full() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let whole = format!("ghcr.io/acme/crm@{digest}");
        for (identifier, version, reference) in [
            ("ghcr.io/acme/crm:v1.2.3", None, Some("ghcr.io/acme/crm:v1.2.3")),
            ("ghcr.io/acme/crm:v1.2.3", Some("1.2.3"), Some("ghcr.io/acme/crm:v1.2.3")),
            ("acme/crm", Some("1.2.3"), Some("acme/crm:1.2.3")),
            ("localhost:5000/crm:1", None, Some("localhost:5000/crm:1")),
            (&whole, None, Some(whole.as_str())),
            ("acme/crm", None, None),
            ("acme/crm:latest", None, None),
            ("acme/crm:1.2.3", Some("1.2.4"), None),
            ("acme/crm@sha256:abc", None, None),
            ("--privileged", Some("1"), None),
            ("-v/:/host", Some("1"), None),
            ("acme/CRM", Some("1"), None),
            ("acme//crm", Some("1"), None),
            ("acme/../crm", Some("1"), None),
            ("acme/crm:-x", None, None),
            ("acme/crm:1;id", None, None),
            ("https://ghcr.io/acme/crm", Some("1"), None),
            ("acme/crm alpine", Some("1"), None),
        ] {
            let image = image(&package("oci", identifier, version)).map(|image| image.reference);
            assert_eq!(image.as_deref().ok(), reference, "{identifier} {image:?}");
        }
    }

    #[test]
    fn the_registry_of_an_older_entry_is_put_before_the_name_and_never_against_it() {
        for (base, identifier, reference) in [
            ("https://docker.io", "acme/crm", Some("acme/crm:1")),
            ("https://ghcr.io", "acme/crm", Some("ghcr.io/acme/crm:1")),
            ("https://ghcr.io", "ghcr.io/acme/crm", Some("ghcr.io/acme/crm:1")),
            ("https://ghcr.io", "evil.example/acme/crm", None),
        ] {
            let package =
                Package { registry_base_url: Some(base.to_owned()), ..package("oci", identifier, Some("1")) };
            let image = image(&package).map(|image| image.reference);
            assert_eq!(image.as_deref().ok(), reference, "{base} {identifier}");
        }
    }
}
