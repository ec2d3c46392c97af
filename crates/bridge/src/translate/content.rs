//! Content blocks in revisions that lack some kinds of them.
//!
//! `text`, `image` and `resource` are in all revisions, `audio` came with 2025-03-26, `resource_link` with
//! 2025-06-18 (server/tools, "Tool result", of each revision).

use protocol::json::{Kind, Object, array};
use protocol::{Raw, Revision};

use super::splice::{map_items, object, says};

/// A list of blocks in this revision. The list is looked into only where the revision lacks a kind.
pub(super) fn blocks(to: Revision, content: &Raw) -> Raw {
    if to.features().structured {
        return content.clone();
    }
    map_items(content, |at, item| block(to, at, item))
}

/// One block in this revision; `None`: it stays as it is. `at` makes the URI of what becomes a resource
/// unique.
pub(super) fn block(to: Revision, at: usize, block: &Raw) -> Option<Raw> {
    let features = to.features();
    if features.structured {
        return None;
    }
    let block = object(block)?;
    if says(&block, "type", "resource_link") {
        return link_as_text(&block);
    }
    if !features.audio && says(&block, "type", "audio") {
        return audio_as_resource(&block, at);
    }
    None
}

/// A link becomes its name, URI and description as text; annotations, `_meta` and unknown members stay.
fn link_as_text(link: &Object) -> Option<Raw> {
    let words = |name: &str| link.get(name).and_then(|v| v.as_str().map(|s| s.into_owned()));
    let uri = words("uri")?;
    let mut said = match words("title").or_else(|| words("name")) {
        Some(name) => format!("{name}: {uri}"),
        None => uri,
    };
    if let Some(description) = words("description") {
        said.push('\n');
        said.push_str(&description);
    }
    let mut edit = link.edit().set("type", Raw::literal("\"text\"")).set("text", Raw::string(&said));
    for member in ["uri", "name", "title", "description", "mimeType", "size", "icons"] {
        edit = edit.remove(member);
    }
    Some(edit.finish())
}

/// Audio becomes an embedded resource with the same bytes. Its URI is the gateway's own and names nothing to
/// read.
fn audio_as_resource(audio: &Object, at: usize) -> Option<Raw> {
    let text = |name: &str| audio.get(name).filter(|value| value.kind() == Kind::String);
    let resource = Object::empty()
        .edit()
        .set("uri", Raw::string(&format!("tidegate:audio/{at}")))
        .put("mimeType", text("mimeType"))
        .set("blob", text("data")?)
        .finish();
    let edit = audio.edit().set("type", Raw::literal("\"resource\"")).set("resource", resource);
    Some(edit.remove("data").remove("mimeType").finish())
}

/// A text block.
pub(super) fn text(said: &str) -> Raw {
    Object::empty().edit().set("type", Raw::literal("\"text\"")).set("text", Raw::string(said)).finish()
}

/// The list with `structured` as text, unless the server has put some text there itself.
pub(super) fn with_text(content: Option<&Raw>, structured: &Raw) -> Raw {
    let mut items = content.and_then(Raw::items).unwrap_or_default();
    let has_text = items.iter().any(|b| object(b).is_some_and(|b| says(&b, "type", "text")));
    match content {
        Some(content) if has_text => content.clone(),
        _ => {
            items.push(text(structured.as_text()));
            array(&items)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::line;

    const OLD: [Revision; 2] = [Revision::V2024_11_05, Revision::V2025_03_26];

    #[test]
    fn a_link_becomes_text_before_2025_06_18_and_keeps_what_is_not_its_own() {
        let list = Raw::literal(line(
            r#"[{"type":"resource_link","uri":"file:///a","name":"a","description":"the a","size":1,"x":1.0,
                "mimeType":"t/p","icons":[],"annotations":{"priority":1}},
                {"type":"resource_link","uri":"file:///b","name":"b","title":"B"}]"#,
        ));
        for to in OLD {
            let want = line(
                r#"[{"type":"text","x":1.0,"annotations":{"priority":1},"text":"a: file:///a\nthe a"},
                    {"type":"text","text":"B: file:///b"}]"#,
            );
            assert_eq!(blocks(to, &list).as_text(), want, "{to}");
        }
        for to in [Revision::V2025_06_18, Revision::V2025_11_25] {
            assert_eq!(blocks(to, &list), list);
        }
    }

    #[test]
    fn audio_keeps_its_bytes_in_2024_11_05() {
        let list = Raw::literal(line(
            r#"[{"type":"text","text":"t"},{"type":"\u0061udio","data":"AA==",
                "mimeType":"audio/wav","_meta":{"k":1}}]"#,
        ));
        let want = line(
            r#"[{"type":"text","text":"t"},{"type":"resource","_meta":{"k":1},
            "resource":{"uri":"tidegate:audio/1","mimeType":"audio/wav","blob":"AA=="}}]"#,
        );
        assert_eq!(blocks(Revision::V2024_11_05, &list).as_text(), want);
        assert_eq!(blocks(Revision::V2025_03_26, &list), list);
    }

    #[test]
    fn blocks_that_all_revisions_have_or_none_has_stay_byte_for_byte() {
        for text in [
            r#"[ {"type":"text", "text":"t"} , {"type":"image","data":"","mimeType":"i/p"}]"#,
            r#"[{"type":"hologram","uri":1}, 7, null, {"type":"resource_link"}, {"type":"audio"}]"#,
            "[]",
            "{}",
            "null",
        ] {
            for to in OLD {
                assert_eq!(blocks(to, &Raw::literal(text)).as_text(), text);
            }
        }
    }
}
