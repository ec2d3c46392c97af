//! Names of images of containers, as entries of a registry have them.

/// How long a name is at most, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// How long a tag is at most, in bytes.
const TAG_BYTES_MAX: usize = 128;

/// The one image that an entry means: its name with a tag or a digest. Before 2025-10-11 the version and the
/// registry stood beside the name.
///
/// # Errors
/// Why it is none, in words.
pub(super) fn image(
    identifier: &str,
    version: Option<&str>,
    registry: Option<&str>,
) -> Result<String, &'static str> {
    const WRONG: &str = "it is no name of an image";
    let (rest, digest) = match identifier.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (identifier, None),
    };
    if digest.is_some_and(|digest| !digest.strip_prefix("sha256:").is_some_and(is_sha256)) {
        return Err(WRONG);
    }
    let (folder, last) = rest.rsplit_once('/').map_or((None, rest), |(folder, last)| (Some(folder), last));
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    let name = folder.map_or_else(|| last.to_owned(), |folder| format!("{folder}/{last}"));
    if !is_name(&name) {
        return Err(WRONG);
    }
    let tag = match (tag, version) {
        (Some(tag), Some(version)) if tag != version && tag.trim_start_matches('v') != version => {
            return Err("its image and its version say different tags");
        }
        (Some(tag), _) => Some(tag),
        (None, version) => version,
    };
    if tag.is_none() && digest.is_none() {
        return Err("it has no version: what is newest tomorrow was looked at by nobody today");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("it has a tag that names no one image");
    }
    let mut image = with_registry(name, registry)?;
    image.extend(tag.into_iter().flat_map(|tag| [":", tag]));
    image.extend(digest.into_iter().flat_map(|digest| ["@", digest]));
    Ok(image)
}

/// Whether a text is a SHA-256 in hexadecimal.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The part of a name that is a registry, where there is one.
fn host(name: &str) -> Option<(&str, &str)> {
    name.split_once('/').filter(|(first, _)| first.contains(['.', ':']) || *first == "localhost")
}

fn with_registry(name: String, registry: Option<&str>) -> Result<String, &'static str> {
    let Some(registry) = registry else { return Ok(name) };
    let of = registry.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let of = of.filter(|of| is_host(of)).ok_or("its registry is no URL of https")?;
    let usual = of == "docker.io" || of.ends_with(".docker.io") || of == "hub.docker.com";
    match host(&name) {
        Some((first, _)) if first == of || (usual && first == "docker.io") => Ok(name),
        Some(_) => Err("its image and its registry say different hosts"),
        None if usual => Ok(name),
        None => Ok(format!("{of}/{name}")),
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric();
        label.bytes().next().is_some_and(plain)
            && label.bytes().all(|b| plain(b) || b == b'-')
            && label.len() < 64
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_name(name: &str) -> bool {
    let path = match host(name) {
        Some((host, _)) if !is_host(host) => return false,
        Some((_, path)) => path,
        None => name,
    };
    let part = |part: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().next().is_some_and(plain)
            && part.bytes().last().is_some_and(plain)
            && part.bytes().all(|b| plain(b) || b"._-".contains(&b))
    };
    name.len() <= NAME_BYTES_MAX && path.split('/').all(part)
}

/// Whether a text is a tag, and not the one that is always another image.
fn is_tag(tag: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(plain)
        && tag.bytes().all(|b| plain(b) || b".-".contains(&b))
        && !tag.eq_ignore_ascii_case("latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_one_that_stays_the_same() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (identifier, version, registry, expected) in [
            ("ghcr.io/ann/files:1.2.0", None, None, "ghcr.io/ann/files:1.2.0"),
            ("ghcr.io/ann/files", Some("1.2.0"), None, "ghcr.io/ann/files:1.2.0"),
            ("ghcr.io/ann/files:v1", Some("1"), None, "ghcr.io/ann/files:v1"),
            ("ann/files", Some("1"), Some("https://docker.io"), "ann/files:1"),
            ("ann/files:1", None, Some("https://ghcr.io/"), "ghcr.io/ann/files:1"),
            ("localhost:5000/a/b:1", None, None, "localhost:5000/a/b:1"),
            (&format!("a/b@{digest}"), None, None, &format!("a/b@{digest}")),
            (&format!("a/b:1@{digest}"), None, None, &format!("a/b:1@{digest}")),
        ] {
            assert_eq!(image(identifier, version, registry).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn nothing_that_docker_takes_for_an_option_or_another_image_is_an_image() {
        for identifier in [
            "",
            "-v",
            "--privileged",
            "a b:1",
            "A/b:1",
            "a/../b:1",
            "/a:1",
            "a/:1",
            "a:1/b",
            "a;id:1",
            "$(id):1",
            "a/b:",
            "a/b:-x",
            "a/b:latest",
            "a/b:1 x",
            "a/b",
            "a/b@sha256:00",
            "a/b@md5:1",
            "-x.io/a:1",
            "x.io:0/a:1",
            "http://x.io/a:1",
            "a/b:1\n",
        ] {
            assert!(image(identifier, None, None).is_err(), "{identifier}");
        }
        assert!(image(&format!("{}:1", "a".repeat(300)), None, None).is_err());
        assert!(image("a/b:1", Some("2"), None).is_err());
        assert!(image("ghcr.io/a/b:1", None, Some("https://quay.io")).is_err());
        assert!(image("a/b:1", None, Some("http://x.io")).is_err());
    }
}
